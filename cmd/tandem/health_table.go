package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tandem/admin"
)

// healthText is the table of hosts, below a line that counts them and one for
// each region that is unhealthy or evacuated.
func healthText(all *admin.Health, colours bool) string {
	var b strings.Builder
	b.WriteString(healthSummary(all.Hosts) + "\n")
	marked := make(map[string]bool)
	for i := range all.Regions {
		r := &all.Regions[i]
		if text, colour := regionText(r); text != "" {
			marked[r.Region] = true
			b.WriteString(cell{"region " + r.Region + " is " + text, colour}.paint(colours) + "\n")
		}
	}
	if len(all.Hosts) == 0 {
		return b.String()
	}
	rows := [][]cell{plainRow("REGION", "CONNECTOR", "HOST", "STATE", "SINCE", "PROBE", "CALLS", "LOAD", "REASON")}
	hosts := worstFirst(all.Hosts)
	for _, h := range hosts {
		region := cmp.Or(h.Region, "-")
		if marked[h.Region] {
			region += " !"
		}
		rows = append(rows, []cell{
			{text: region}, {text: h.Connector}, {text: h.Host}, {hostState(h), stateColour(h)}, {text: since(h)},
			{text: probeText(h)}, {text: callsText(h)}, {text: loadText(h)}, {text: reasonText(h)},
		})
	}
	b.WriteString("\n")
	for i, line := range alignRows(rows, colours) {
		b.WriteString(line + "\n")
		if i == 0 {
			continue
		}
		for _, c := range hosts[i-1].History {
			fmt.Fprintf(&b, "    %s  %s -> %s: %s\n", c.Time.Local().Format(time.DateTime), c.From, c.To, printable(c.Reason.Text))
		}
	}
	return b.String()
}

// worstFirst is the order in which hosts are shown. Who is woken at night looks
// at the first line: what is in trouble has to be there, however large the
// catalog. Hosts of a connector stay together all the same, the worst of them
// first, since the next question is what is left of it. Among equals it is the
// order of the config, which the reader knows.
func worstFirst(hosts []admin.HostHealth) []*admin.HostHealth {
	worst := make(map[string]int)
	place := make(map[string]int)
	sorted := make([]*admin.HostHealth, len(hosts))
	for i := range hosts {
		h := &hosts[i]
		sorted[i] = h
		if _, ok := place[h.Connector]; !ok {
			place[h.Connector] = i
		}
		worst[h.Connector] = max(worst[h.Connector], trouble(h))
	}
	slices.SortStableFunc(sorted, func(a, b *admin.HostHealth) int {
		return cmp.Or(
			cmp.Compare(worst[b.Connector], worst[a.Connector]),
			cmp.Compare(place[a.Connector], place[b.Connector]),
			cmp.Compare(trouble(b), trouble(a)),
		)
	})
	return sorted
}

// stateWords are the words that a host is counted by, from good to bad. What
// somebody took out is no surprise to everybody, but no spare host either.
var stateWords = []string{"up", "disabled", "draining", "recovering", "doubtful", "full", "ejected", "down"}

// stateWord is what counts of a host: what the operator wants, then its health.
func stateWord(h *admin.HostHealth) string {
	if h.Operator != "enabled" {
		return h.Operator
	}
	return h.State
}

func trouble(h *admin.HostHealth) int { return slices.Index(stateWords, stateWord(h)) }

// healthSummary is a line as "5 hosts: 1 down, 4 up".
func healthSummary(hosts []admin.HostHealth) string {
	if len(hosts) == 0 {
		return "no hosts"
	}
	counts := make(map[string]int)
	for i := range hosts {
		counts[stateWord(&hosts[i])]++
	}
	var parts []string
	for _, word := range slices.Backward(stateWords) {
		if n := counts[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	return count(len(hosts), "host", "hosts") + ": " + strings.Join(parts, ", ")
}

// regionText is what is out of the ordinary about a region; "" for nothing.
func regionText(r *admin.RegionHealth) (text string, c colour) {
	if r.Unhealthy {
		text, c = fmt.Sprintf("UNHEALTHY: %d of %d hosts down or ejected", r.Bad, r.Hosts), red
		if r.Bad < r.Hosts {
			text += "; the others are tried last"
		}
	}
	if r.Evacuated && r.Order != nil {
		if text != "" {
			text += "; and "
		}
		text += "EVACUATED, ordered " + orderedAt(r.Order)
		c = max(c, yellow)
	}
	return text, c
}

func hostState(h *admin.HostHealth) string {
	switch {
	case h.Operator == "disabled":
		return h.Operator // nothing new is known of it
	case h.Operator != "enabled" && h.State != "up":
		return h.Operator + ", " + h.State
	case h.Operator != "enabled":
		return h.Operator
	case h.State == "recovering":
		return fmt.Sprintf("recovering %.0f%%", 100*h.Share)
	}
	return h.State
}

func stateColour(h *admin.HostHealth) colour {
	switch stateWord(h) {
	case "up":
		return green
	case "down", "ejected":
		return red
	}
	return yellow
}

func since(h *admin.HostHealth) string {
	if h.SinceSec == nil {
		return "-"
	}
	return ago(time.Duration(*h.SinceSec * float64(time.Second)))
}

// ago is a time in its two largest units: "12s", "4m12s", "3h04m", "5d03h".
func ago(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d.Truncate(time.Second), 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
}

func probeText(h *admin.HostHealth) string {
	switch p := h.LastProbe; {
	case !h.Probed:
		return "off"
	case p == nil:
		return "-"
	case p.Result == "probe_silent":
		return "no answer"
	case p.Result == "probe_unreachable":
		return "unreachable"
	case p.RTT < 10:
		return fmt.Sprintf("%.1f ms", p.RTT)
	default:
		return fmt.Sprintf("%.0f ms", p.RTT)
	}
}

func callsText(h *admin.HostHealth) string {
	all := h.Calls.Answered + h.Calls.Failed
	if all == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", h.Calls.Answered, all)
}

func loadText(h *admin.HostHealth) string {
	var parts []string
	if l := h.Load; l != nil {
		parts = append(parts, fmt.Sprintf("%d/%d", l.Calls, l.Max))
	}
	if l := h.ConnectorLoad; l != nil {
		parts = append(parts, fmt.Sprintf("(%d/%d)", l.Calls, l.Max))
	}
	return cmp.Or(strings.Join(parts, " "), "-")
}

// reasonText is why a host is in its state: what the operator wants first, then
// what was seen, if anything was.
func reasonText(h *admin.HostHealth) string {
	var parts []string
	if h.OperatorReason != "" {
		parts = append(parts, h.OperatorReason)
	}
	if h.Since != nil && h.Operator != "disabled" {
		parts = append(parts, h.Reason.Text)
	}
	return printable(cmp.Or(strings.Join(parts, "; "), "-"))
}

// changeText is a change as a line.
func changeText(e *admin.Event) string {
	at := e.Time.Local().Format("2006-01-02 15:04:05.000")
	subject := e.Kind + " " + e.Subject
	switch e.Kind {
	case "host":
		var places []string
		places = append(append(places, e.Connectors...), e.Regions...)
		if len(places) > 0 {
			subject += " (" + strings.Join(places, ", ") + ")"
		}
	case "order":
		subject = "order: " + e.Subject
	}
	text := fmt.Sprintf("%s  %s  %s -> %s: %s", at, subject, e.From, e.To, e.Reason.Text)
	if e.NotShown > 0 {
		text += fmt.Sprintf(" (%s before this came too fast to be told)", count(e.NotShown, "change", "changes"))
	}
	return printable(text)
}

// cell is one of a table.
type cell struct {
	text   string
	colour colour
}

type colour int

const (
	noColour colour = iota
	green
	yellow
	red
)

// paint is the text in its colour, as terminals understand it (ECMA-48 SGR).
func (c cell) paint(colours bool) string {
	if !colours || c.colour == noColour {
		return c.text
	}
	return [...]string{green: "\x1b[32m", yellow: "\x1b[33m", red: "\x1b[1;31m"}[c.colour] + c.text + "\x1b[0m"
}

func plainRow(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i].text = text
	}
	return row
}

// alignRows makes lines of rows. Unlike text/tabwriter it does not count what
// only colours a cell.
func alignRows(rows [][]cell, colours bool) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	lines := make([]string, len(rows))
	for r, row := range rows {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(c.paint(colours))
			if i+1 < len(row) {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		lines[r] = b.String()
	}
	return lines
}
