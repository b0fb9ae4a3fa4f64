package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tandem/bench/describe"
)

// TableHead is the head of a Markdown table of reports: INVITE to forward, in
// milliseconds.
const TableHead = "| window | seconds | calls | failed | retransmitted | p50 | p99 | p99.9 | most | scheduled p99.9 | most |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|\n"

// Row is a report as a row of it.
func (r Report) Row() string {
	return fmt.Sprintf("| %s | %.1f | %s | %d | %d | %s | %s |\n", r.Name, r.Duration.Seconds(), describe.Number(r.Counts[Begun]),
		r.Counts[Failed], r.Counts[Retransmitted], quantiles(r.Forward, 50, 99, 99.9, 100), quantiles(r.ScheduledForward, 99.9, 100))
}

func quantiles(h *hdrhistogram.Histogram, all ...float64) string {
	cells := make([]string, len(all))
	for i, q := range all {
		cells[i] = fmt.Sprintf("%.3f", float64(h.ValueAtQuantile(q))/1e6)
	}
	return strings.Join(cells, " | ")
}

// Sum is all reports whose name begins so, under that name.
func Sum(reports []Report, name string) Report {
	var sum Report
	for _, one := range reports {
		switch {
		case !strings.HasPrefix(one.Name, name):
		case sum.Forward == nil:
			sum = one.Clone()
			sum.Name = name
		default:
			sum.Add(one)
		}
	}
	return sum
}

// Odd says what was counted that a good run has nothing of.
func (r Report) Odd() string {
	var odd []string
	for k := LostInvite; k <= Broken; k++ {
		if n := r.Counts[k]; n > 0 && k != Forwarded && k != Trying && k != Ringing && k != Probes {
			odd = append(odd, fmt.Sprintf("%s %d", k, n))
		}
	}
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		odd = append(odd, fmt.Sprintf("status %d %d times", status, r.Statuses[status]))
	}
	if r.Drops > 0 {
		odd = append(odd, fmt.Sprintf("%d datagrams found no room in the load generator's sockets", r.Drops))
	}
	if odd == nil {
		return "nothing"
	}
	return strings.Join(odd, ", ")
}
