package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tandem/bench/peer"
)

// block is one proxy under load for one window.
type block struct {
	Proxy string `json:"proxy"`
	Rate  int    `json:"calls_per_second"`
	Round int    `json:"round"`
	At    string `json:"at"`

	Total  float64 `json:"us_per_call"`
	User   float64 `json:"user_us_per_call"` // Total, split as samples after the window were; both 0 without them
	System float64 `json:"system_us_per_call"`

	Calls           int     `json:"calls"` // that ended well within the window
	Seconds         float64 `json:"seconds"`
	Failed          int     `json:"failed"`
	Retransmissions int     `json:"retransmissions"`
	peer.Noise
	Generator float64 `json:"generator_us_per_call,omitempty"` // CPU of our own generator
	Odd       string  `json:"odd,omitempty"`                   // what else our own generator counted
	Void      string  `json:"void,omitempty"`                  // why it does not count
}

// disturbed says by whom a measurement was. What a host keeps of a virtual
// machine the kernel takes off the time of whoever runs later, so that a figure
// would be too low.
func (s settings) disturbed(n peer.Noise) string {
	const mostStolen = 0.05
	switch {
	case n.Stolen > mostStolen:
		return fmt.Sprintf("the host kept %.0f %% of a CPU", 100*n.Stolen)
	case n.Foreign > s.Foreign:
		return fmt.Sprintf("other processes used %.0f %% of a CPU", 100*n.Foreign)
	}
	return ""
}

// why says what voids a block: a proxy that loses calls is not compared. It was
// to place so many calls, and so many succeeded.
//
// sipgo handles each message in a goroutine of its own, so some overtake others
// at any rate: of its calls a few may fail. The report says how many.
func (b block) why(placed, succeeded int) string {
	bad := max(b.Failed, placed-succeeded) + b.Retransmissions
	switch {
	case b.Proxy == "sipgo" && float64(bad) <= tolerated*float64(placed):
	case b.Failed > 0:
		return fmt.Sprintf("%d calls failed", b.Failed)
	case succeeded != placed:
		return fmt.Sprintf("%d of %d calls succeeded", succeeded, placed)
	case b.Retransmissions > 0:
		return fmt.Sprintf("%d retransmissions", b.Retransmissions)
	case b.Lost > 0:
		return fmt.Sprintf("%d datagrams lost in socket buffers", b.Lost)
	}
	if got := float64(b.Calls) / b.Seconds; got < 0.97*float64(b.Rate) {
		return fmt.Sprintf("only %.0f calls/s", got)
	}
	return ""
}

// tolerated is the share of calls that may fail where any may.
const tolerated = 0.02

// void says why a block does not count, "" if it does.
func (s settings) void(b block, placed, succeeded int) string {
	if why := b.why(placed, succeeded); why != "" {
		return why
	}
	return s.disturbed(b.Noise)
}

// usage is the CPU time of a proxy in a window, and where samples after it fell.
type usage struct {
	cpu          time.Duration
	user, kernel int
	noise        peer.Noise
}

// take makes a block's figures of it.
func (b *block) take(u usage) {
	lost := b.Lost // of the whole block
	b.Noise = u.noise
	b.Lost = lost
	if b.Calls == 0 {
		return
	}
	b.Total = float64(u.cpu.Nanoseconds()) / 1e3 / float64(b.Calls)
	if n := u.user + u.kernel; n > 0 {
		b.User = b.Total * float64(u.user) / float64(n)
		b.System = b.Total * float64(u.kernel) / float64(n)
	}
}

// watch measures a proxy while load runs: during a window, then where it spends
// its time. began and ended are called at the ends of the window.
func (s settings) watch(ctx context.Context, p target, began, ended func()) (u usage, err error) {
	look, err := peer.Look(p.others...)
	if err != nil {
		return u, err
	}
	began()
	before, err := peer.CPU(p.PID())
	if err != nil {
		return u, err
	}
	if err := sleep(ctx, s.Window); err != nil {
		return u, err
	}
	after, err := peer.CPU(p.PID())
	if err != nil {
		return u, err
	}
	ended()
	u.cpu = after - before
	again, err := peer.Look(p.others...)
	if err != nil {
		return u, err
	}
	u.noise = again.Since(look)
	split, err := peer.Sample(p.PID())
	if err != nil { // not root, and the kernel does not let others: without
		return u, sleep(ctx, s.Split)
	}
	err = sleep(ctx, s.Split)
	u.user, u.kernel = split.Stop()
	return u, err
}

// curve is what one load found: blocks in the order that they were measured.
type curve struct {
	Load    string  `json:"load"`
	Blocks  []block `json:"blocks"`
	GivenUp []given `json:"given_up,omitempty"`
}

// given up: a proxy at a rate, and why.
type given struct {
	Proxy string `json:"proxy"`
	Rate  int    `json:"calls_per_second"`
	Why   string `json:"why"`
}

// order is who is measured in a round: all, from the first to the last and the
// next time back, so that what drifts hits all alike. Those outside the core
// are in half of the rounds, in as many of either direction.
func order(proxies []string, round int) (all []string) {
	for _, name := range proxies {
		if slices.Contains(core, overUDP(name)) || round%4 == 0 || round%4 == 3 {
			all = append(all, name)
		}
	}
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

// curve measures all proxies at all rates. A void block is repeated at once,
// but not for ever: who has too many of his own making is given up at this rate,
// and so at higher ones; when too many were disturbed, those stay void.
func (s *session) curve(ctx context.Context, load loader) (curve, error) {
	c := curve{Load: load.name()}
	lost := map[string]bool{}
	disturbed := 0
	for _, rate := range s.Rates {
		voids := map[string]int{}
		for round := range s.Rounds {
			for _, name := range order(s.Proxies, round) {
				for repeat := true; repeat && !lost[name]; {
					b, err := load.block(ctx, s.target(name), rate)
					if err != nil {
						return c, fmt.Errorf("%s at %d calls/s: %w", name, rate, err)
					}
					b.Round = round
					c.Blocks = append(c.Blocks, b)
					s.progress.say(s.out, "%-4s %5d/s  %-11s %s", c.Load, rate, name, b)
					switch {
					case b.Void == "":
						repeat = false
					case s.disturbed(b.Noise) != "":
						disturbed++
						repeat = disturbed <= s.Disturbed
					default:
						voids[name]++
						lost[name] = voids[name] > s.Voids
					}
					if lost[name] {
						c.GivenUp = append(c.GivenUp, given{name, rate, fmt.Sprintf("%d blocks are void, the last one by: %s", voids[name], b.Void)})
					}
					if err := s.renew(ctx, name, lost[name]); err != nil {
						return c, err
					}
				}
				s.progress.done(s.blockTime(c.Load))
			}
		}
	}
	return c, nil
}

// renew starts sipgo anew after each block, unless it was given up: it would go
// on for half a minute to send again what it lost, beside the others. Proxies
// that lose nothing run all the time.
func (s *session) renew(ctx context.Context, name string, lost bool) error {
	for i, p := range s.proxies {
		if p.Name != name || p.Process == nil || slices.Contains(s.contenders(), name) {
			continue
		}
		p.Stop()
		if lost {
			return nil
		}
		fresh, err := peer.StartProxy(ctx, s.peer(), name)
		if err != nil {
			return err
		}
		s.proxies[i] = fresh
	}
	return nil
}

func (b block) String() string {
	text := fmt.Sprintf("%6.1f us/call (user %.0f, system %.0f)  %d calls", b.Total, b.User, b.System, b.Calls)
	if b.Generator > 0 {
		text += fmt.Sprintf("  generator %.0f us/call", b.Generator)
	}
	if b.Odd != "" {
		text += "  " + b.Odd
	}
	if b.Void != "" {
		text += "  void: " + b.Void
	}
	return text
}
