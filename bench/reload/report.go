package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"tandem/bench/load"
)

// describe is what a result is worthless without.
func describe(s settings) []string {
	commit := command("git", "rev-parse", "--short=12", "HEAD")
	if command("git", "status", "--porcelain", "--untracked-files=no", "--", "..") != "" {
		commit += "-modified"
	}
	if s.binary != "" {
		commit = "a binary that was given, `" + command(s.binary, "version") + "`"
	}
	cpu := "unknown CPU"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return []string{
		fmt.Sprintf("commit %s, %s", commit, time.Now().UTC().Format(time.RFC3339)),
		fmt.Sprintf("%d x %s, Linux %s, load average at the start %s", runtime.NumCPU(), cpu, strings.TrimSpace(string(kernel)), loadAverage()),
		runtime.Version(),
		"`" + strings.TrimSpace("go run ./reload "+strings.Join(os.Args[1:], " ")) + "`, in bench/",
	}
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(text) + " ? ? ?")[:3], " ")
}

func command(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(out))
}

// write prints the report, and writes it under results.
func (r *result) write(w io.Writer) error {
	var text strings.Builder
	r.render(&text)
	fmt.Fprint(w, text.String())
	if r.settings.results == "-" {
		return nil
	}
	path := filepath.Join(r.settings.results, "reload-"+time.Now().UTC().Format("2006-01-02")+".md")
	progress("written to %s", path)
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

func (r *result) render(w io.Writer) {
	s := r.settings
	say(w, "# A reload of %s numbers under calls\n\n", group3(s.numbers))
	for _, line := range append(r.about, "load average at the end "+loadAverage()) {
		say(w, "- %s\n", line)
	}
	pinned := "nothing is pinned, as deployed"
	if s.pin {
		pinned = fmt.Sprintf("tandem is pinned to CPU %d, the load to CPU %d", proxyCPU, loadCPU)
	}
	say(w, "\nTwo files of numbers, one of six tenths, in random order, in blocks of %s that are scattered over +1. At each reload a\n"+
		"block changes hands, and both files are read anew. Calls, %g a second from %d port(s), go to random numbers of all, and each must come\n"+
		"out at its owner; %s. A call counts where it began: *during* is from SIGHUP to the log line,\n"+
		"*between* the quiet %v after it.\n\n", group3(blockSize), s.rate, s.sources, pinned, s.quiet)
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
	say(w, "%s of %s calls failed, %s of %s in reloads. ", group3(all.Counts[load.Failed]), group3(all.Counts[load.Begun]),
		group3(during.Counts[load.Failed]), group3(during.Counts[load.Begun]))
	say(w, "The p99.9 of INVITE-to-forward was %s before and %s during, %.1f times as much.\n",
		duration(int64(p(before))), duration(int64(p(during))), p(during)/max(p(before), 1))
	say(w, "%s numbers load in %v (`tandem check`); a reload beside calls took %v, %v to %v.\n", group3(r.settings.numbers),
		round(r.check), round(seen[len(seen)/2]), round(seen[0]), round(seen[len(seen)-1]))
	wrong := 0
	for _, one := range r.reloads {
		if one.first != 1 {
			wrong++
		}
	}
	say(w, "After %d of %d reloads the first call to the block that began after the log line reached its new owner. %s calls came\nout at their owner, %s elsewhere.\n\n",
		len(r.reloads)-wrong, len(r.reloads), group3(r.right), group3(r.wrong))
}

// seen are the times from signal to log line, in order of length.
func (r *result) seen() (all []time.Duration) {
	for _, one := range r.reloads {
		all = append(all, one.seen)
	}
	return slices.Sorted(slices.Values(all))
}

// sum is all windows whose name begins so.
func (r *result) sum(name string) load.Report {
	var sum load.Report
	for _, window := range r.windows {
		switch {
		case !strings.HasPrefix(window.Name, name):
		case sum.Forward == nil:
			sum = window.Clone()
			sum.Name = name
		default:
			sum.Add(window)
		}
	}
	return sum
}

func (r *result) renderLatencies(w io.Writer) {
	say(w, "## INVITE to forward\n\nIn milliseconds, from just before the INVITE is sent to the kernel's receipt of the forwarded one. The last two columns\n"+
		"are from the moment that the schedule wanted the INVITE sent: they hold what the machine made the load generator wait, too.\n\n")
	say(w, "| window | seconds | calls | failed | retransmitted | p50 | p99 | p99.9 | most | scheduled p99.9 | most |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	rows := []load.Report{r.sum("before"), r.sum("during"), r.sum("between"), r.sum("after")}
	for _, row := range append(rows, r.windows[1:len(r.windows)-1]...) {
		f, planned := row.Forward, row.ScheduledForward
		say(w, "| %s | %.1f | %s | %d | %d | %s | %s | %s | %s | %s | %s |\n", row.Name, row.Duration.Seconds(), group3(row.Counts[load.Begun]),
			row.Counts[load.Failed], row.Counts[load.Retransmitted], duration(f.ValueAtQuantile(50)), duration(f.ValueAtQuantile(99)),
			duration(f.ValueAtQuantile(99.9)), duration(f.Max()), duration(planned.ValueAtQuantile(99.9)), duration(planned.Max()))
	}
	all := r.sum("")
	var odd []string
	for k := load.LostInvite; k <= load.SendFailed; k++ {
		if n := all.Counts[k]; n > 0 && k != load.Forwarded && k != load.Trying && k != load.Ringing && k != load.Probes {
			odd = append(odd, fmt.Sprintf("%s %d", k, n))
		}
	}
	if all.Drops > 0 {
		odd = append(odd, fmt.Sprintf("%d datagrams found no room in the load generator's sockets", all.Drops))
	}
	if odd == nil {
		odd = []string{"nothing"}
	}
	say(w, "\nOut of the ordinary: %s. The load generator's own CPU time: %d µs a call.\n\n", strings.Join(odd, ", "), all.CPUPerCall().Microseconds())
}

func (r *result) renderLoads(w io.Writer) {
	say(w, "## Loads and memory\n\nMemory is resident; the peak is VmHWM, which begins anew with each reload.\n\n")
	say(w, "| | seconds | by the log | memory | peak |\n|---|---|---|---|---|\n")
	say(w, "| `tandem check`, %v of CPU | %.2f | | | %s |\n", round(r.checkCPU), r.check.Seconds(), megabytes(r.checkMemory))
	say(w, "| start to \"serving\" | %.2f | | %s | %s |\n", r.serving.Seconds(), megabytes(r.atStart.now), megabytes(r.atStart.peak))
	say(w, "| start to the end of the first call | %.2f | | | |\n", r.answered.Seconds())
	say(w, "| before the reloads | | | %s | |\n", megabytes(r.before.now))
	for i, one := range r.reloads {
		say(w, "| reload %d, block: %s | %.2f | %.2f | | %s |\n", i+1, verdict(one.first), one.seen.Seconds(), one.logged.Seconds(), megabytes(one.peak))
	}
	say(w, "| at the end | | | %s | |\n", megabytes(r.after.now))
	if r.settings.settle > 0 {
		say(w, "| %v later, without calls | | | %s | |\n", r.settings.settle, megabytes(r.settled.now))
	}
}

func verdict(first int) string {
	return map[int]string{1: "first call right", -1: "FIRST CALL WRONG", 0: "FIRST CALL LOST"}[first]
}

func duration(ns int64) string { return fmt.Sprintf("%.3f", float64(ns)/1e6) }

func megabytes(bytes int64) string { return fmt.Sprintf("%d MB", bytes>>20) }

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// group3 writes n with commas.
func group3(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", group3(n/1000), n%1000)
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
