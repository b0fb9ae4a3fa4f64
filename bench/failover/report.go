package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tandem/bench/describe"
	"tandem/bench/load"
)

// write prints the report, and writes it under results.
func (r *result) write(w io.Writer) error {
	var text strings.Builder
	r.render(&text)
	fmt.Fprint(w, text.String())
	if r.settings.results == "-" {
		return nil
	}
	path, err := describe.Keep(r.settings.results, "failover", text.String())
	progress("written to %s", path)
	return err
}

func (r *result) render(w io.Writer) {
	s := r.settings
	say(w, "# What a dead connector costs a call\n\n")
	for _, line := range append(r.about, "load average at the end "+describe.LoadAverage()) {
		say(w, "- %s\n", line)
	}
	say(w, `
%s calls of each kind, %g a second, and at the same time as many, as often, whose first connector is well. Nothing is pinned.

- **refused**: nothing listens on the host's port, and the kernel says so by ICMP. Each call goes to a number, a group and a host of its
  own, which is not probed, so that none is known to be dead: the column of failovers has to have all calls.
- **down**: one host whose port is closed, and probes have found that out before. No call fails over.
- **silent**: as refused, but the ports are open and nobody reads. The first response is waited for %v (`+"`first_response`"+`), which is
  taken off what is added.

From just before the INVITE is sent to the kernel's receipt of the 200, in milliseconds; what the connector takes to answer is in it, in both
columns. What is added is the difference of the quantiles. Times have three significant digits and are rounded up.

`, describe.Number(s.calls), s.rate, s.wait)
	say(w, "| first connector | calls | failed | failovers | others | p50 | p99 | most | well: p50 | p99 | most | added: p50 | p99 | most |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range r.cases {
		r.cases[i].render(w, s)
	}
	say(w, "\nOut of the ordinary: %s.\n", r.odd())
	for _, line := range r.warnings {
		say(w, "\nA warning of tandem's: `%s`\n", line)
	}
}

func (c *comparison) render(w io.Writer, s settings) {
	expected := int64(0)
	if c.kind.open {
		expected = int64(s.wait)
	}
	dead, well := quantiles(c.dead.Answer), quantiles(c.well.Answer)
	say(w, "| %s | %s | %d | %d | %d ", c.kind.name, describe.Number(c.dead.Counts[load.Begun]), c.dead.Counts[load.Failed]+c.well.Counts[load.Failed], c.failovers, c.others)
	for i := range dead {
		say(w, "| %s ", describe.Milliseconds(dead[i]))
	}
	for i := range well {
		say(w, "| %s ", describe.Milliseconds(well[i]))
	}
	for i := range dead {
		say(w, "| %s ", describe.Milliseconds(dead[i]-well[i]-expected))
	}
	say(w, "|\n")
}

// quantiles are p50, p99 and the most.
func quantiles(h *hdrhistogram.Histogram) [3]int64 {
	return [3]int64{h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.ValueAtQuantile(100)}
}

// odd says what a good run has nothing of.
func (r *result) odd() string {
	var odd []string
	for _, c := range r.cases {
		for _, one := range []load.Report{c.dead, c.well} {
			if text := one.Odd(); text != "nothing" {
				odd = append(odd, c.kind.name+": "+text)
			}
		}
		if want := c.dead.Counts[load.Begun]; c.kind.why != "" && c.failovers != want || c.kind.why == "" && c.others > 0 {
			odd = append(odd, fmt.Sprintf("%s: %d failovers and %d others for %d calls", c.kind.name, c.failovers, c.others, want))
		}
	}
	if odd == nil {
		return "nothing"
	}
	return strings.Join(odd, "; ")
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
