package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Kind is something that is counted. What a call does, early or late, counts in
// the window that it began in; what belongs to no call, in the newest one.
type Kind int

const (
	Begun  Kind = iota
	Good        // calls that went from INVITE to the 200 of BYE
	Failed      // calls that did not, by one of the kinds from LostInvite to ByeRefused

	LostInvite    // no final answer, and no connector saw the INVITE
	LostAnswer    // no final answer, though the INVITE arrived, or nobody here would know
	LostAck       // answered, but the connector saw no ACK
	LostBye       // the connector saw no BYE
	LostByeAnswer // no answer to BYE
	Refused       // the final answer was an error
	ByeRefused

	Forwarded // INVITEs of calls that reached a connector
	Trying    // 100
	Ringing   // 180 and its like
	Probes    // OPTIONS at connectors

	LostRinging   // good calls without a 180
	Repeated      // requests that we sent again by a timer
	Retransmitted // requests that came to a connector again
	Duplicate     // responses that came again
	Elsewhere     // INVITEs that came to another connector too
	TryingLate    // 100 after 180 or a final answer
	RingingLate   // the first 180 after the final answer
	AckLate       // ACK after BYE, at the connector
	Late          // came when the call had been given up
	Garbled       // no SIP, or cut off
	Stranger      // of no call
	WrongVia      // not our Via alone, or not at the port of the call
	WrongTag      // no To tag, or one of another dialog
	WrongCSeq
	WrongRoute // a Route that should be gone, or another URI than our Contact
	Unexpected // any other message that is not of this call's course
	SendFailed // messages that the kernel did not take, or whose connection is gone
	Broken     // connections that ended

	kinds
)

var kindNames = [kinds]string{"begun", "good", "failed",
	"INVITE lost", "answer lost", "ACK lost", "BYE lost", "answer to BYE lost", "refused", "BYE refused",
	"forwarded", "trying", "ringing", "probes",
	"180 lost", "repeated", "retransmitted", "duplicate", "elsewhere", "100 overtaken", "180 overtaken", "ACK overtaken", "late", "garbled", "stranger",
	"wrong Via", "wrong tag", "wrong CSeq", "wrong route", "unexpected", "send failed", "connections ended"}

func (k Kind) String() string { return kindNames[k] }

// Report is what is known of the calls that began in a window. Times are in
// nanoseconds. From the second answer on, only the first counts.
type Report struct {
	Name     string
	Duration time.Duration
	Counts   [kinds]int
	Statuses map[int]int // of Refused and ByeRefused
	Reached  []int       // calls whose first INVITE came to each connector
	Forward  *hdrhistogram.Histogram
	Answer   *hdrhistogram.Histogram // INVITE to 200
	Bye      *hdrhistogram.Histogram // BYE to 200

	// The same from the moment that the schedule wanted: what this process or the
	// machine delayed is in them.
	ScheduledForward *hdrhistogram.Histogram
	ScheduledAnswer  *hdrhistogram.Histogram

	CPU   time.Duration // of this process during the window
	Drops int           // datagrams that found no room in the sockets here
}

// Window counts the calls that begin while it is the newest.
type Window struct {
	g         *Generator
	report    Report
	began     time.Time
	open      bool
	cpuBefore time.Duration
	dropsAt   int
}

// Window begins a new one. The one before takes no more calls, but what becomes
// of its calls is still counted there.
func (g *Generator) Window(name string) *Window {
	w := &Window{g: g, open: true, report: Report{Name: name, Statuses: make(map[int]int), Reached: make([]int, len(g.connectors))}}
	for _, h := range w.report.histograms() {
		*h = hdrhistogram.New(1, int64(2*time.Minute), 3)
	}
	w.cpuBefore, w.dropsAt, w.began = cpu(), g.drops(), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.windows) > 0 {
		g.windows[len(g.windows)-1].end(w)
	}
	g.windows = append(g.windows, w)
	return w
}

// Forget lets go of all windows but the newest: each holds a megabyte or two of
// histograms. Reports of them can still be had; what still comes of their calls
// is counted in the newest.
func (g *Generator) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.windows) - 1
	g.forgotten += n
	g.windows = append([]*Window(nil), g.windows[n])
}

// end closes a window when the next one begins, or nil as if.
func (w *Window) end(next *Window) {
	r := &w.report
	if next != nil {
		w.open = false
		r.CPU, r.Drops, r.Duration = next.cpuBefore-w.cpuBefore, next.dropsAt-w.dropsAt, next.began.Sub(w.began)
		return
	}
	r.CPU, r.Drops, r.Duration = cpu()-w.cpuBefore, w.g.drops()-w.dropsAt, time.Since(w.began)
}

// Report is what is known so far.
func (w *Window) Report() Report {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	if w.open {
		w.end(nil)
	}
	return w.report.Clone()
}

// Count is one of the figures so far.
func (w *Window) Count(k Kind) int {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	return w.report.Counts[k]
}

func (r *Report) histograms() []**hdrhistogram.Histogram {
	return []**hdrhistogram.Histogram{&r.Forward, &r.Answer, &r.Bye, &r.ScheduledForward, &r.ScheduledAnswer}
}

// Clone is a copy that shares nothing.
func (r Report) Clone() Report {
	r.Statuses, r.Reached = maps.Clone(r.Statuses), slices.Clone(r.Reached)
	for _, h := range r.histograms() {
		*h = (*h).Clone()
	}
	return r
}

// Add adds what another window counted.
func (r *Report) Add(other Report) {
	r.Duration, r.CPU, r.Drops = r.Duration+other.Duration, r.CPU+other.CPU, r.Drops+other.Drops
	for k, n := range other.Counts {
		r.Counts[k] += n
	}
	for status, n := range other.Statuses {
		r.Statuses[status] += n
	}
	for i, n := range other.Reached {
		r.Reached[i] += n
	}
	from := other.histograms()
	for i, h := range r.histograms() {
		(*h).Merge(*from[i])
	}
}

// CPUPerCall is what the generator itself costs, connectors included.
func (r Report) CPUPerCall() time.Duration {
	return r.CPU / time.Duration(max(r.Counts[Begun], 1))
}

// String is a short table.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", r.Name, r.Duration.Round(time.Millisecond))
	for k, n := range r.Counts {
		if n > 0 || Kind(k) <= Failed {
			fmt.Fprintf(&b, ", %s %d", Kind(k), n)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		fmt.Fprintf(&b, ", status %d %d", status, r.Statuses[status])
	}
	fmt.Fprintf(&b, ", drops %d, CPU %v a call\n", r.Drops, r.CPUPerCall().Round(100*time.Nanosecond))
	for i, name := range []string{"INVITE to forward", "INVITE to 200", "BYE to 200", "schedule to forward", "schedule to 200"} {
		h := *r.histograms()[i]
		fmt.Fprintf(&b, "  %-20s", name)
		for _, q := range []float64{50, 99, 99.9, 100} {
			fmt.Fprintf(&b, " %10v", time.Duration(h.ValueAtQuantile(q)).Round(100*time.Nanosecond))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// record takes a time into a histogram. A clock that was set in between makes
// it nonsense, which must not be an error.
func record(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns, 0), h.HighestTrackableValue()))
}

// newest is what new calls count in.
func (g *Generator) newest() *Report { return &g.windows[len(g.windows)-1].report }

// of is what a call counts in.
func (g *Generator) of(c *call) *Report {
	return &g.windows[max(int(c.window)-g.forgotten, 0)].report
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// window is the number of the newest, which are counted from 1.
func (g *Generator) window() int { return g.forgotten + len(g.windows) }
