package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"tandem/bench/load"
	"tandem/bench/peer"
)

// transported is CPU per call with UDP, TCP or TLS on both sides of a proxy.
type transported struct {
	Curve curve `json:"own"`
	Check curve `json:"sipp"` // SIPp over TCP, at one rate
}

var transports = []string{load.UDP, load.TCP, load.TLS}

// crossRate is that of SIPp.
const crossRate = 1000

// transportLoad is a generator of our own for each transport.
type transportLoad map[string]*ownLoad

func newTransportLoad(s settings) (transportLoad, error) {
	files, err := s.peer().Certify()
	if err != nil {
		return nil, err
	}
	all := transportLoad{}
	for _, transport := range transports {
		cfg := load.Config{Transport: transport}
		if cfg.Client, cfg.Server, err = files.Configs(); err == nil {
			all[transport], err = newOwnLoad(s, cfg)
		}
		if err != nil {
			all.close()
			return nil, fmt.Errorf("%s: %w", transport, err)
		}
	}
	return all, nil
}

func (l transportLoad) name() string { return "own" }

func (l transportLoad) close() {
	for _, one := range l {
		if one != nil {
			one.close()
		}
	}
}

func (l transportLoad) block(ctx context.Context, p target, rate int) (block, error) {
	return l[p.Transport].block(ctx, p, rate)
}

// over are settings for these transports alone: proxies of each that there are
// over all, one after the other, so that every ratio is of blocks near each other.
func (s settings) over(transports ...string) settings {
	proxies := s.Proxies
	s.Proxies = nil
	for _, transport := range transports {
		for _, name := range peer.Transported() {
			if slices.Contains(proxies, name) {
				s.Proxies = append(s.Proxies, peer.Over(name, transport))
			}
		}
	}
	s.Rates = s.TransportRates
	s.Sources = s.Connections
	return s
}

// checked are settings of the cross-check.
func (s settings) checked() settings {
	s = s.over(load.TCP)
	s.Rates, s.Rounds = []int{crossRate}, min(s.Rounds, 2)
	return s
}

// transports measures all of it, each load with fresh proxies.
func (s *session) transports(ctx context.Context) (t transported, err error) {
	say(s.out, "UDP, TCP and TLS: starting\n")
	t.Curve, err = s.with(s.over(transports...)).blocks(ctx, func(s settings) (loader, error) { return newTransportLoad(s) })
	if err != nil {
		return t, err
	}
	say(s.out, "SIPp over TCP: starting\n")
	t.Check, err = s.with(s.checked()).blocks(ctx, func(s settings) (loader, error) { return newSIPpLoad(ctx, s, load.TCP) })
	return t, err
}

// with is a session of other settings.
func (s *session) with(of settings) *session {
	return &session{settings: of, out: s.out, progress: s.progress}
}

// blocks opens a load, starts proxies and measures their CPU.
func (s *session) blocks(ctx context.Context, open func(settings) (loader, error)) (c curve, err error) {
	l, err := open(s.settings)
	if err != nil {
		return c, err
	}
	defer l.close()
	defer s.stop()
	if err := s.start(ctx); err != nil {
		return c, err
	}
	return s.curve(ctx, l)
}

// planTransports is how long that takes.
func (s settings) planTransports() (all time.Duration) {
	for load, of := range map[string]settings{"own": s.over(transports...), "sipp": s.checked()} {
		all += settling + time.Duration(len(of.Proxies))*time.Second + of.planBlocks(load)
	}
	return all
}

// write renders it.
func (t transported) write(w io.Writer, s settings) {
	if len(t.Curve.Blocks) == 0 {
		return
	}
	say(w, "\n## UDP, TCP and TLS: CPU per call\n\n")
	say(w, "The same transport on both sides of the proxy; our own generator, with %d connections of callers (over UDP as many ports), which\n"+
		"stay, and those that the proxy opens to the connectors. TLS is 1.3 with TLS_AES_128_GCM_SHA256 and one certificate (ECDSA, P-256)\n"+
		"everywhere; handshakes are over before the measurement. Kamailio has one or two tcp_children, tcp_async, reads of 64 KiB, and\n"+
		"closes nothing. Microseconds of user and system time a successful call, medians, in windows of %v; ratios are of blocks of the\n"+
		"same round.\n\n", s.Connections, s.Window)
	say(w, "| transport | calls/s | tandem | user | system | better rival | user | system | tandem : rival, median | spread | tandem : tandem over UDP |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|\n")
	c := t.Curve
	for _, transport := range transports {
		of := s.over(transport)
		name := peer.Over("tandem", transport)
		for _, rate := range of.Rates {
			best := c.better(rate, rivals(of.Proxies))
			ratios := c.ratios(rate, name, best)
			rival := "-"
			if best != "" {
				rival = fmt.Sprintf("%s (%s)", c.median(rate, best, total), best)
			}
			say(w, "| %s | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", strings.ToUpper(transport), rate,
				c.median(rate, name, total), c.median(rate, name, user), c.median(rate, name, system),
				rival, c.median(rate, best, user), c.median(rate, best, system),
				number(median(ratios), "%.2f"), spread(ratios, "%.2f"), number(median(c.ratios(rate, name, "tandem")), "%.2f"))
		}
	}
	say(w, "\n")
	c.writeBlocks(w, s.over(transports...))
	t.writeCheck(w, s.checked())
}

// writeCheck puts SIPp's figures beside ours.
func (t transported) writeCheck(w io.Writer, s settings) {
	if len(t.Check.Blocks) == 0 {
		return
	}
	say(w, "\nThe same over TCP with SIPp (-t t1: one connection, calls in bursts), %d calls/s:\n\n", crossRate)
	say(w, "| proxy | blocks (void) | failed | us/call, SIPp | spread | user | system | us/call, our own |\n|---|---|---|---|---|---|---|---|\n")
	for _, name := range s.Proxies {
		values := t.Check.values(crossRate, name, total)
		failures := 0.0
		for _, n := range t.Check.values(crossRate, name, failed) {
			failures += n
		}
		ours := math.NaN()
		if slices.Contains(s.TransportRates, crossRate) {
			ours = median(t.Curve.values(crossRate, name, total))
		}
		say(w, "| %s | %d (%d) | %.0f | %s | %s | %s | %s | %s |\n", peer.About(name), len(values), t.Check.voids(crossRate, name), failures,
			number(median(values), "%.1f"), spread(values, "%.1f"), t.Check.median(crossRate, name, user), t.Check.median(crossRate, name, system),
			number(ours, "%.1f"))
	}
	for _, g := range t.Check.GivenUp {
		say(w, "\n%s was given up: %s.\n", peer.About(g.Proxy), g.Why)
	}
}
