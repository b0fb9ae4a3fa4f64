package health

import (
	"time"

	"tandem/config/catalog"
)

const (
	// DoubtHold is how long a host that was silent to a call is left alone when
	// the settings do not say: no probe clears the doubt sooner. Without probes,
	// one call may then try it, and one more each such time.
	DoubtHold = 10 * time.Second

	// MaxDoubtHold is what that time grows to, doubling, when probes clear the
	// doubt and calls find the host silent again.
	MaxDoubtHold = 5 * time.Minute
)

// silent takes note that a call got no answer at all.
func (s *Status) silent(now int64, set *catalog.Health) {
	again := !s.Doubt && s.Hold != 0 // cleared, and no call was answered since
	s.doubt()
	if !s.Doubt {
		return
	}
	switch {
	case s.Hold == 0:
		s.Hold = holdOf(set)
	case again:
		s.Hold = min(2*s.Hold, MaxDoubtHold)
	}
	s.hold(now, s.Hold)
}

// doubt takes note that a call did not get through. A dead host is beyond doubt.
func (s *Status) doubt() { s.Doubt = !s.Dead }

// hold keeps a doubt for a time from now on, if not longer already.
func (s *Status) hold(now int64, d time.Duration) {
	s.DoubtUntil = max(s.DoubtUntil, now+int64(d))
}

// holdOf returns how long a first doubt by silence is held.
func holdOf(set *catalog.Health) time.Duration {
	if set.DoubtHold > 0 {
		return set.DoubtHold
	}
	return DoubtHold
}

// heard takes note of a response to a call: it ends every doubt. One by a detour
// ends only that calls stall, which is the host's doing by any way; without probes
// it ends others like a probe, until calls by the host's own way are silent again:
// else nothing would, where all calls make the detour.
func (s *Status) heard(o *Observation, set *catalog.Health) {
	switch {
	case !o.Detour || s.Stalled:
		s.believe()
	case !set.Probe:
		s.Doubt, s.DoubtUntil = false, 0
	}
}

// believe ends a doubt for good: the host answered a call, or is known to be
// dead, which explains its silence.
func (s *Status) believe() {
	s.Doubt, s.DoubtUntil, s.Hold, s.Stalled = false, 0, 0, false
}
