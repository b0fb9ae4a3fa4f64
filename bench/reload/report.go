package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

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
	path, err := describe.Keep(r.settings.results, "reload", text.String())
	progress("written to %s", path)
	return err
}

func (r *result) render(w io.Writer) {
	s := r.settings
	say(w, "# A reload of %s numbers under calls\n\n", describe.Number(s.numbers))
	for _, line := range append(r.about, "load average at the end "+describe.LoadAverage()) {
		say(w, "- %s\n", line)
	}
	pinned := "nothing is pinned, as deployed"
	if s.pin {
		pinned = fmt.Sprintf("tandem is pinned to CPU %d, the load to CPU %d", proxyCPU, loadCPU)
	}
	say(w, "\nTwo files of numbers, one of six tenths, in random order, in blocks of %s that are scattered over +1. At each reload a\n"+
		"block changes hands, and both files are read anew. Calls, %g a second from %d port(s), go to random numbers of all, and each must come\n"+
		"out at its owner; %s. A call counts where it began: *during* is from SIGHUP to the log line,\n"+
		"*between* the quiet %v after it.\n\n", describe.Number(blockSize), s.rate, s.sources, pinned, s.quiet)
	r.renderReading(w)
	r.renderLatencies(w)
	r.renderLoads(w)
}

// renderReading says in words what the tables hold.
func (r *result) renderReading(w io.Writer) {
	all := r.sum("")
	before, during := r.sum("before"), r.sum("during")
	p := func(report load.Report) float64 { return float64(report.Forward.ValueAtQuantile(99.9)) }
	seen := r.seen()
	say(w, "%s of %s calls failed, %s of %s in reloads. ", describe.Number(all.Counts[load.Failed]), describe.Number(all.Counts[load.Begun]),
		describe.Number(during.Counts[load.Failed]), describe.Number(during.Counts[load.Begun]))
	say(w, "The p99.9 of INVITE-to-forward was %s before and %s during, %.1f times as much.\n",
		describe.Milliseconds(int64(p(before))), describe.Milliseconds(int64(p(during))), p(during)/max(p(before), 1))
	say(w, "%s numbers load in %v (`tandem check`); a reload beside calls took %v, %v to %v.\n", describe.Number(r.settings.numbers),
		round(r.check), round(seen[len(seen)/2]), round(seen[0]), round(seen[len(seen)-1]))
	wrong := 0
	for _, one := range r.reloads {
		if one.first != 1 {
			wrong++
		}
	}
	say(w, "After %d of %d reloads the first call to the block that began after the log line reached its new owner. %s calls came\nout at their owner, %s elsewhere.\n\n",
		len(r.reloads)-wrong, len(r.reloads), describe.Number(r.right), describe.Number(r.wrong))
}

// seen are the times from signal to log line, in order of length.
func (r *result) seen() (all []time.Duration) {
	for _, one := range r.reloads {
		all = append(all, one.seen)
	}
	return slices.Sorted(slices.Values(all))
}

func (r *result) sum(name string) load.Report { return load.Sum(r.windows, name) }

func (r *result) renderLatencies(w io.Writer) {
	say(w, "## INVITE to forward\n\nIn milliseconds, from just before the INVITE is sent to the kernel's receipt of the forwarded one. The last two columns\n"+
		"are from the moment that the schedule wanted the INVITE sent: they hold what the machine made the load generator wait, too.\n\n")
	say(w, "%s", load.TableHead)
	rows := []load.Report{r.sum("before"), r.sum("during"), r.sum("between"), r.sum("after")}
	for _, row := range append(rows, r.windows[1:len(r.windows)-1]...) {
		say(w, "%s", row.Row())
	}
	all := r.sum("")
	say(w, "\nOut of the ordinary: %s. The load generator's own CPU time: %d µs a call.\n\n", all.Odd(), all.CPUPerCall().Microseconds())
}

func (r *result) renderLoads(w io.Writer) {
	say(w, "## Loads and memory\n\nMemory is resident; the peak is VmHWM, which begins anew with each reload.\n\n")
	say(w, "| | seconds | by the log | memory | peak |\n|---|---|---|---|---|\n")
	say(w, "| `tandem check`, %v of CPU | %.2f | | | %s |\n", round(r.checkCPU), r.check.Seconds(), describe.Megabytes(r.checkMemory))
	say(w, "| start to \"serving\" | %.2f | | %s | %s |\n", r.serving.Seconds(), describe.Megabytes(r.atStart.now), describe.Megabytes(r.atStart.peak))
	say(w, "| start to the end of the first call | %.2f | | | |\n", r.answered.Seconds())
	say(w, "| before the reloads | | | %s | |\n", describe.Megabytes(r.before.now))
	for i, one := range r.reloads {
		say(w, "| reload %d, block: %s | %.2f | %.2f | | %s |\n", i+1, verdict(one.first), one.seen.Seconds(), one.logged.Seconds(), describe.Megabytes(one.peak))
	}
	say(w, "| at the end | | | %s | |\n", describe.Megabytes(r.after.now))
	if r.settings.settle > 0 {
		say(w, "| %v later, without calls | | | %s | |\n", r.settings.settle, describe.Megabytes(r.settled.now))
	}
}

func verdict(first int) string {
	return map[int]string{1: "first call right", -1: "FIRST CALL WRONG", 0: "FIRST CALL LOST"}[first]
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
