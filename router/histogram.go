package router

import "sync/atomic"

// histogram counts durations by size. The bounds are the same for all of them:
// what a caller waits ranges from a failover on the same machine to a phone
// that rings for minutes.
type histogram struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// bounds are the inclusive upper bounds of the counts, in nanoseconds; the last
// count has none.
var bounds = [...]int64{
	1 * milli, 5 * milli, 10 * milli, 25 * milli, 50 * milli, 100 * milli, 250 * milli, 500 * milli,
	1 * second, 2 * second, 3 * second, 5 * second, 8 * second, 12 * second, 20 * second, 40 * second, 80 * second, 160 * second,
}

func (h *histogram) observe(ns int64) {
	i := 0
	for i < len(bounds) && ns > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(ns)
}

// Histogram is a distribution of durations.
type Histogram struct {
	Name  string
	Label string   // whose it is: see the names
	Upper []uint64 // how many were at most as long as each of HistogramBounds
	Count uint64   // of all
	Sum   float64  // seconds
}

// HistogramBounds returns the bounds of all histograms, in seconds.
func HistogramBounds() []float64 {
	seconds := make([]float64, len(bounds))
	for i, b := range bounds {
		seconds[i] = float64(b) / float64(second)
	}
	return seconds
}

func (h *histogram) export(name, label string) Histogram {
	e := Histogram{Name: name, Label: label, Upper: make([]uint64, len(bounds))}
	for i := range h.counts {
		e.Count += h.counts[i].Load()
		if i < len(bounds) {
			e.Upper[i] = e.Count
		}
	}
	e.Sum = float64(h.sum.Load()) / float64(second)
	return e
}
