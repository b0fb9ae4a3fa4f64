package main

import (
	"fmt"
	"io"
	"strings"

	"tandem/bench/describe"
)

// write prints the report, and writes it under results.
func (r *result) write(w io.Writer) error {
	var text strings.Builder
	r.render(&text)
	fmt.Fprint(w, text.String())
	if r.settings.results == "-" {
		return nil
	}
	path, err := describe.Keep(r.settings.results, "ringing", text.String())
	progress("written to %s", path)
	return err
}

func (r *result) render(w io.Writer) {
	say(w, "# What calls cost in memory\n\n")
	for _, line := range append(r.about, "load average at the end "+describe.LoadAverage()) {
		say(w, "- %s\n", line)
	}
	say(w, `
A tandem of its own for each series, without probes, and with settings of memory as it chooses them. All calls begin and get 180, then
all are answered and acknowledged, then all end. A record stays until 32 s after the answer, when the last of its RFC timers ends. The
connector is the first choice and answers; nothing is sent twice by tandem. Resident memory is VmRSS, and with it what a call costs:
the difference to before, for each call. What that is beside the message is everything but the bytes of the INVITE as it came: the
call, what the buffer rounds up, the 180 that is kept for retransmissions, the tables, and what Go's collector leaves.

`)
	for i := range r.series {
		r.series[i].renderReading(w)
	}
	for i := range r.series {
		r.series[i].renderMoments(w)
	}
}

// renderReading says in words what the table holds.
func (s *series) renderReading(w io.Writer) {
	before, ring, last := s.moments[0], s.moments[1], s.moments[len(s.moments)-1]
	each := (ring.resident - before.resident) / int64(s.calls)
	say(w, "%s calls that ring at once, with an INVITE of %s bytes: %s resident, %s bytes a call, %s beside the INVITE. At the end it is %s,\n"+
		"before it was %s; %s of the difference are the newest calls, kept to be looked at.\n\n",
		describe.Number(s.calls), describe.Number(s.invite), describe.Megabytes(ring.resident), describe.Number(int(each)),
		signed(each-int64(s.invite)), describe.Megabytes(last.resident), describe.Megabytes(before.resident), describe.Megabytes(last.recent-before.recent))
}

func (s *series) renderMoments(w io.Writer) {
	say(w, "## %s calls, INVITEs of %s bytes\n\nMegabytes, but for the bytes of a call.\n\n", describe.Number(s.calls), describe.Number(s.invite))
	say(w, "| when | calls in memory | resident | more than before, a call | heap in use | kept by Go | room for calls | idle buffers | recent calls | collections |\n"+
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range s.moments {
		say(w, "| %s | %s | %.1f | %s | %.1f | %.1f | %.1f | %.1f | %.1f | %d |\n", m.name, describe.Number(m.live), mega(m.resident),
			signed((m.resident-s.moments[0].resident)/int64(s.calls)), mega(m.inUse), mega(m.kept), mega(m.calls), mega(m.buffers), mega(m.recent), m.cycles)
	}
	for _, line := range s.warnings {
		say(w, "\nA warning of tandem's: `%s`\n", line)
	}
	say(w, "\n")
}

func mega(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func signed(n int64) string {
	if n < 0 {
		return "-" + describe.Number(int(-n))
	}
	return describe.Number(int(n))
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
