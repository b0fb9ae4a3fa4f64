package probe

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"tandem/health"
)

// fly sends one probe, waits for its end and tells the host what was seen.
// parent ends with the prober, or when the host is not to be probed any more;
// such an end says nothing about the host.
func (p *Prober) fly(parent context.Context, t *target, timeout time.Duration) {
	agent := p.agents[t.Listener]
	req, branch := agent.request(t)
	waiting, fail := context.WithCancelCause(parent)
	defer fail(nil)
	defer p.takeOff(t.Addr, branch, fail)()

	waiting, cancel := context.WithTimeout(waiting, timeout)
	defer cancel()

	sent := p.now()
	code, err := agent.options(waiting, req)
	if parent.Err() != nil || !t.Host.Settings().Probe {
		return
	}
	now := p.now()
	o := health.Observation{Event: health.ProbeOK, Code: code, RTT: time.Duration(now - sent)}
	switch {
	case errors.Is(err, errUnreachable):
		o = health.Observation{Event: health.ProbeUnreachable}
	case err != nil:
		o = health.Observation{Event: health.ProbeFailed}
	}
	t.Host.Observe(now, o)
}

// takeOff makes a flight known to Unreachable; the function returned makes it
// forgotten.
func (p *Prober) takeOff(dest netip.AddrPort, branch string, fail context.CancelCauseFunc) (landed func()) {
	f := &flight{branch, fail}
	p.mu.Lock()
	p.flights[dest] = append(p.flights[dest], f)
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		left := slices.DeleteFunc(p.flights[dest], func(other *flight) bool { return other == f })
		if len(left) == 0 {
			delete(p.flights, dest)
			return
		}
		p.flights[dest] = left
	}
}
