package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tandem/bench/load"
	"tandem/bench/peer"
)

// latency is from INVITE to its forwarding, of one proxy at one rate.
type latency struct {
	Proxy     string    `json:"proxy"`
	Rate      int       `json:"calls_per_second"`
	Common    bool      `json:"same_rate_for_all"` // half of the better rival's highest; else half of its own
	Calls     int       `json:"calls"`
	Failed    int       `json:"failed"`
	Again     int       `json:"retransmissions"`
	Repeated  int       `json:"repeated,omitempty"`   // windows in which something else used the machine
	Forward   []float64 `json:"invite_to_forward_us"` // at quantiles
	Scheduled []float64 `json:"schedule_to_forward_us"`
	Answer    []float64 `json:"invite_to_200_us"`
}

// quantiles are those of each latency, in percent.
var quantiles = []float64{50, 90, 99, 99.9, 99.99, 100}

func at(h *hdrhistogram.Histogram) (all []float64) {
	for _, q := range quantiles {
		all = append(all, float64(h.ValueAtQuantile(q))/1e3)
	}
	return all
}

// aim is a proxy at a rate.
type aim struct {
	proxy  string
	rate   int
	common bool
}

// aims are what latencies are measured at: half of the highest rate of each, and
// half of the better rival's for all. Where no highest rate is known it is the
// highest rate of the CPU part.
func aims(proxies []string, found []saturation, rates []int) (all []aim) {
	common := bestRival(found).Rate / 2
	if common == 0 {
		common = slices.Max(rates)
	}
	for _, name := range proxies {
		if most := rateOf(found, name); most > 0 {
			all = append(all, aim{name, most / 2, false})
		}
	}
	for _, name := range proxies {
		if most := rateOf(found, name); len(found) == 0 || most >= common {
			all = append(all, aim{name, common, true})
		}
	}
	return all
}

// latencies are measured twice, forth and back.
func (s *session) latencies(ctx context.Context, l *ownLoad, found []saturation) ([]latency, error) {
	all := aims(s.contenders(), found, s.Rates)
	sums := make([]load.Report, len(all))
	order := make([]int, 0, 2*len(all))
	for i := range all {
		order = append(order, i)
	}
	for i := range all {
		order = append(order, len(all)-1-i)
	}
	repeated := make([]int, len(all))
	for turn, i := range order {
		m, voids, err := s.quiet(ctx, l, all[i])
		if err != nil {
			return nil, fmt.Errorf("%s at %d calls/s: %w", all[i].proxy, all[i].rate, err)
		}
		repeated[i] += voids
		if turn < len(all) {
			sums[i] = m.window
		} else {
			sums[i].Add(m.window)
		}
		s.progress.done(s.latencyTime())
	}
	var out []latency
	for i, a := range all {
		r := sums[i]
		out = append(out, latency{
			Proxy: a.proxy, Rate: a.rate, Common: a.common, Calls: r.Counts[load.Begun], Failed: r.Counts[load.Failed], Again: again(r), Repeated: repeated[i],
			Forward: at(r.Forward), Scheduled: at(r.ScheduledForward), Answer: at(r.Answer),
		})
	}
	return out, nil
}

// quiet measures one window, and again when something else used the machine. Who
// failed calls has time to recover: the next window is not to show the last one.
func (s *session) quiet(ctx context.Context, l *ownLoad, a aim) (m steadily, voids int, err error) {
	p := s.target(a.proxy)
	for ; ; voids++ {
		if m, err = l.steady(ctx, p, float64(a.rate), s.Warmup/2, s.Latency); err != nil {
			return m, voids, err
		}
		void := s.disturbed(m.noise)
		s.progress.say(s.out, "latency %-11s %6d/s  p50 %s, p99 %s, p99.9 %s  %s; %s", a.proxy, a.rate,
			quantile(m.window.Forward, 50), quantile(m.window.Forward, 99), quantile(m.window.Forward, 99.9), m.window.Odd(), cmp.Or(void, "undisturbed"))
		if m.all.Counts[load.Failed] > 0 {
			if err := l.recover(ctx, p); err != nil {
				return m, voids, err
			}
		}
		if void == "" || voids == mostVoids {
			return m, voids, nil
		}
	}
}

func quantile(h *hdrhistogram.Histogram, q float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(q)).Round(time.Microsecond)
}

func (s settings) latencyTime() time.Duration { return s.Warmup/2 + s.Latency + 200*time.Millisecond }

// writeLatency renders latencies.
func writeLatency(w io.Writer, s settings, all []latency) {
	if len(all) == 0 {
		return
	}
	say(w, "\n## Latency: INVITE to its forwarding\n\n")
	say(w, "Milliseconds from just before the INVITE was sent to its arrival at the connector, by the kernel's clock, in two windows of %v\n"+
		"each. From the schedule on, what the generator and the machine delayed is in it too. A window in which others used the machine is repeated,\n"+
		"%d times at most.\n\n", s.Latency, mostVoids)
	for _, common := range []bool{false, true} {
		title := "Each at half of its own highest rate"
		if common {
			title = "All at the same rate"
		}
		say(w, "%s:\n\n| proxy | calls/s | calls | failed | p50 | p99 | p99.9 | most | p99.9 from the schedule on |\n|---|---|---|---|---|---|---|---|---|\n", title)
		for _, l := range all {
			if l.Common == common {
				say(w, "| %s | %d | %d | %d | %s | %s | %s | %s | %s |\n", peer.About(l.Proxy), l.Rate, l.Calls, l.Failed,
					ms(l.Forward, 50), ms(l.Forward, 99), ms(l.Forward, 99.9), ms(l.Forward, 100), ms(l.Scheduled, 99.9))
			}
		}
		say(w, "\n")
	}
}

// ms is the value at a quantile.
func ms(values []float64, q float64) string {
	if i := slices.Index(quantiles, q); i >= 0 && i < len(values) {
		return fmt.Sprintf("%.3f", values[i]/1e3)
	}
	return "-"
}
