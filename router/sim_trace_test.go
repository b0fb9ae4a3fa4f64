package router

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tandem/router/wire"
)

// simTrace is what happened in a seed, a line each. It is written only when a
// seed is run a second time because it failed.
type simTrace struct {
	lines []simLine
}

type simLine struct {
	call *simCall // nil: it concerns all
	text string
}

func (t *simTrace) note(w *simWorld, c *simCall, format string, args ...any) {
	if t == nil {
		return
	}
	at := time.Duration(w.now - simStart).Round(100 * time.Microsecond)
	t.lines = append(t.lines, simLine{c, fmt.Sprintf("%12v  ", at) + fmt.Sprintf(format, args...)})
}

func (t *simTrace) sent(w *simWorld, c *simCall, n *simNode, to netip.AddrPort, m *wire.Message) {
	if t != nil {
		t.note(w, c, "node%d → %-9s %s", n.number, w.name(to), describe(m))
	}
}

func (t *simTrace) came(w *simWorld, c *simCall, n *simNode, from netip.AddrPort, m *wire.Message) {
	if t != nil {
		t.note(w, c, "%-9s → node%d %s", w.name(from), n.number, describe(m))
	}
}

// describe is the start line in short, CSeq, To tag and the end of the branch.
func describe(m *wire.Message) string {
	start := m.Method.String()
	if start == "" {
		start = string(m.Bytes(m.MethodName))
	}
	if !m.IsRequest {
		start = fmt.Sprint(m.Status, " ", start)
	}
	branch := string(m.Bytes(m.TopVia.Branch))
	return fmt.Sprintf("%-12s cseq %d to-tag %q branch …%s", start, m.CSeq, m.Bytes(m.To.Tag), branch[max(0, len(branch)-6):])
}

// name is c1h2 for the second host of the first connector.
func (w *simWorld) name(a netip.AddrPort) string {
	if w.byAddr[a] != nil {
		b := a.Addr().As4()
		return fmt.Sprintf("c%dh%d", b[2], b[3])
	}
	if strings.HasPrefix(a.String(), "192.0.2.") {
		return "caller"
	}
	return a.String()
}

// of are the lines that concern one call, or all of them; the last ones when
// they are too many.
func (t *simTrace) of(c *simCall) string {
	const most = 300
	var lines []string
	for _, l := range t.lines {
		if c == nil || l.call == nil || l.call.index == c.index {
			text := l.text
			if c == nil && l.call != nil {
				text = l.call.id + " " + text
			}
			lines = append(lines, text)
		}
	}
	if n := len(lines); n > most {
		lines = append([]string{fmt.Sprintf("… %d lines before", n-most)}, lines[n-most:]...)
	}
	return strings.Join(lines, "\n")
}
