package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"tandem/bench/load"
	"tandem/bench/peer"
)

// saturation is the highest rate that a proxy keeps up with.
type saturation struct {
	Proxy string `json:"proxy"`
	Rate  int    `json:"calls_per_second"` // 0: none was found
	Sure  bool   `json:"confirmed"`        // three times
	Limit string `json:"limit"`            // who had no CPU time left above it
	Steps []step `json:"steps"`
}

// step is one rate that was tried.
type step struct {
	Rate            int     `json:"calls_per_second"`
	Why             string  `json:"too_much,omitempty"` // "" for a good one
	Placed          float64 `json:"placed_per_second"`
	Failed          int     `json:"failed"`
	Retransmissions int     `json:"retransmissions"`
	Slowest         float64 `json:"slowest_answer_ms"`   // INVITE to 200, or BYE to 200
	AtEnd           float64 `json:"median_at_end_ms"`    // INVITE to 200 from the schedule on, of the last half second
	Proxy           float64 `json:"proxy_busy"`          // of one CPU
	Generator       float64 `json:"generator_busy"`      // of one CPU
	PerCall         float64 `json:"generator_us_a_call"` // CPU time
	peer.Noise
	Odd  string `json:"odd,omitempty"`  // what a good run has nothing of
	Void string `json:"void,omitempty"` // it was repeated, by what disturbed it
}

const (
	// A caller sends again what has no answer after T1 (RFC 3261 17.1.1.2). Ours
	// does not, so what took as long counts as sent again.
	t1 = 500 // ms

	// Socket buffers hold a second of calls: a proxy that cannot keep up is found
	// out by a queue that grows, long before they are full.
	backlog = 50 // ms
)

// why says in what a rate is too much.
func (s step) why() string {
	switch {
	case s.Failed > 0:
		return fmt.Sprintf("%d calls failed: %s", s.Failed, s.Odd)
	case s.Retransmissions > 0:
		return fmt.Sprintf("%d retransmissions", s.Retransmissions)
	case s.Lost > 0:
		return fmt.Sprintf("%d datagrams lost in socket buffers", s.Lost)
	case s.Placed < 0.98*float64(s.Rate):
		return fmt.Sprintf("only %.0f calls/s were placed", s.Placed)
	case s.Slowest > t1:
		return fmt.Sprintf("an answer took %.0f ms: a caller would have sent again", s.Slowest)
	case s.AtEnd > backlog:
		return fmt.Sprintf("a queue grows: answers took %.0f ms at the end", s.AtEnd)
	}
	return ""
}

// busy is the share of a CPU from which on somebody has none left: the rest goes
// to what else runs on it.
const busy = 0.93

// above is the lowest rate above the result that was too much.
func above(result int, steps []step) (found step) {
	for _, s := range steps {
		if s.Why != "" && s.Void == "" && s.Rate > result && (found.Rate == 0 || s.Rate <= found.Rate) {
			found = s
		}
	}
	return found
}

// limit says who had no CPU time left there.
func limit(result int, steps []step) string {
	above := above(result, steps)
	switch {
	case above.Rate == 0:
		return "nobody"
	case above.Proxy >= busy && above.Proxy >= above.Generator-0.02:
		return "proxy"
	case above.Generator >= busy || above.Placed < 0.98*float64(above.Rate):
		return "generator"
	}
	return "neither"
}

// lowerBound says whether the proxy could do more than was found.
func (s saturation) lowerBound() bool { return s.Limit == "generator" || s.Limit == "nobody" }

// contenders are the proxies whose highest rate and latencies are measured.
func (s settings) contenders() (all []string) {
	for _, name := range s.Proxies {
		if name != "sipgo" {
			all = append(all, name)
		}
	}
	return all
}

func (s step) String() string {
	text := fmt.Sprintf("proxy %3.0f %%, generator %3.0f %%, %.0f us/call", 100*s.Proxy, 100*s.Generator, s.PerCall)
	if s.Why != "" {
		text += "  " + s.Why
	}
	if s.Void != "" {
		text += "; " + s.Void
	}
	return text
}

// mostVoids is how many bad steps of a search are repeated, not believed, when
// something else used the machine.
const mostVoids = 10

const firstRate = 1500 // calls/s, which all bear

// saturate looks for the highest rate of each proxy.
func (s *session) saturate(ctx context.Context, l *ownLoad) (all []saturation, err error) {
	for _, name := range s.contenders() {
		p := s.target(name)
		found := saturation{Proxy: name}
		voids := 0
		for try := newSearch(firstRate, s.Precision); ; {
			rate, more := try.rate()
			if !more {
				found.Rate, found.Sure = try.result()
				break
			}
			one, err := l.step(ctx, p, rate)
			if err != nil {
				return nil, fmt.Errorf("%s at %d calls/s: %w", name, rate, err)
			}
			s.progress.say(s.out, "saturation %-11s %6d/s  %s", name, rate, one)
			if one.Why != "" && one.Void != "" && voids < mostVoids { // it may not be the proxy's fault
				voids++
			} else {
				one.Void = ""
				try.take(one.Why == "")
			}
			found.Steps = append(found.Steps, one)
			s.progress.done(s.stepTime())
			if one.Why != "" {
				if err := l.recover(ctx, p); err != nil {
					return nil, fmt.Errorf("%s after %d calls/s: %w", name, rate, err)
				}
			}
		}
		found.Limit = limit(found.Rate, found.Steps)
		all = append(all, found)
		s.progress.done(s.searchTime() - time.Duration(len(found.Steps))*s.stepTime())
	}
	return all, nil
}

// searchTime is how long a search takes: some steps up, a bad one twice, halves,
// and what confirms.
func (s settings) searchTime() time.Duration {
	steps := 8 + 1.5*math.Log2((growth-1)/s.Precision) + confirms
	return time.Duration(steps * float64(s.stepTime()))
}

func (s settings) stepTime() time.Duration { return s.Warmup/2 + s.Step + 600*time.Millisecond }

// step tries a rate.
func (l *ownLoad) step(ctx context.Context, p target, rate int) (step, error) {
	s := step{Rate: rate}
	m, err := l.steady(ctx, p, float64(rate), l.Warmup/2, l.Step)
	if err != nil {
		return s, err
	}
	seconds := m.window.Duration.Seconds()
	s.Placed = float64(m.window.Counts[load.Begun]) / seconds
	s.Failed, s.Retransmissions, s.Noise = m.all.Counts[load.Failed], again(m.all), m.noise
	s.Slowest = float64(max(m.all.Answer.Max(), m.all.Bye.Max())) / 1e6
	s.AtEnd = float64(m.end.ScheduledAnswer.ValueAtQuantile(50)) / 1e6
	s.Proxy, s.Generator = m.cpu.Seconds()/seconds, m.window.CPU.Seconds()/seconds
	s.PerCall = float64(m.window.CPUPerCall().Nanoseconds()) / 1e3
	if odd := m.all.Odd(); odd != "nothing" {
		s.Odd = odd
	}
	s.Why, s.Void = s.why(), l.disturbed(m.noise)
	return s, nil
}

// recover waits until a proxy that had too much takes calls again as it should:
// it may hold a connector to be down whose answers to probes were lost, and lets it
// come back slowly, for a minute and more.
func (l *ownLoad) recover(ctx context.Context, p target) error {
	for try := 0; ; try++ {
		l.g.Forget()
		w := l.g.Window("recovery")
		const calls = 50
		if err := <-l.place(ctx, p, 200, calls).done; err != nil {
			return err
		}
		r := w.Report()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.Counts[load.Good] == calls && r.Reached[0] == calls && again(r) == 0:
			return nil
		case try == 200:
			return fmt.Errorf("it does not recover: %s", r.Odd())
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// bestRival is the highest rate of a rival, 0 if there is none.
func bestRival(all []saturation) (best saturation) {
	for _, s := range all {
		if s.Proxy != "tandem" && slices.Contains(core, s.Proxy) && s.Rate > best.Rate {
			best = s
		}
	}
	return best
}

func rateOf(all []saturation, name string) int {
	for _, s := range all {
		if s.Proxy == name {
			return s.Rate
		}
	}
	return 0
}

// writeSaturation renders the highest rates.
func writeSaturation(w io.Writer, s settings, all []saturation) {
	if len(all) == 0 {
		return
	}
	say(w, "\n## Saturation: the highest rate\n\n")
	say(w, "With our own generator: calls/s without a failure, a retransmission, an answer later than %d ms or a queue that grows, in\n"+
		"windows of %v, three times in a row, to %.0f %%. The shares of a CPU are those of the lowest rate that was too much.\n\n", t1, s.Step, 100*s.Precision)
	say(w, "| proxy | calls/s | : better rival | who was the limit | proxy's CPU | generator's CPU | generator, us/call |\n|---|---|---|---|---|---|---|\n")
	best := bestRival(all)
	for _, one := range all {
		rate, ratio := fmt.Sprint(one.Rate), "-"
		if !one.Sure {
			rate += " (not confirmed)"
		}
		if one.lowerBound() {
			rate = "at least " + rate
		}
		if best.Rate > 0 {
			ratio = fmt.Sprintf("%.2f", float64(one.Rate)/float64(best.Rate))
		}
		above := above(one.Rate, one.Steps)
		say(w, "| %s | %s | %s | %s | %.0f %% | %.0f %% | %.0f |\n", peer.About(one.Proxy), rate, ratio, one.Limit, 100*above.Proxy, 100*above.Generator, above.PerCall)
	}
	for _, one := range all {
		if one.lowerBound() {
			say(w, "\nWith %s the generator was the limit: what was found is a lower bound.\n", peer.About(one.Proxy))
		}
	}
}
