package health

import (
	"time"

	"tandem/config/catalog"
)

const (
	// DoubtHold is how long a doubtful host is left alone when no probe can
	// clear it. After that one call may try it, and one more each DoubtHold.
	DoubtHold = 10 * time.Second

	// MaxRetryAfter bounds how long one 503 keeps calls away from a host.
	MaxRetryAfter = 60 * time.Second
)

// Status is all that is known about a host. Its zero value is a host of which
// nothing was seen. Times are monotonic nanoseconds of the caller's clock; 0 is
// never, so a clock should start above 0.
//
// What was seen is kept as facts of their own (Doubt, ProbeFull, FullUntil,
// Dead), and State is the worst of them: a host that is full and then silent is
// still doubtful when its Retry-After is over.
type Status struct {
	State  State
	Since  int64  // when the host came into State
	Reason Reason // what brought it there

	Dead       bool  // DownAfter probes in a row failed, and not yet UpAfter succeeded
	Doubt      bool  // a call got no answer, and nothing has answered since
	DoubtUntil int64 // when one call may try it in spite of Doubt; 0: probes will tell
	ProbeFull  bool  // its last answer to OPTIONS was 503
	FullUntil  int64 // a Retry-After keeps calls away until then; 0: none

	Failures  int // failed probes in a row
	Successes int // good probes in a row

	LastProbe int64         // when the result of the last probe came
	LastEvent Event         // what the result was
	LastCode  int           // status code of the last answer to OPTIONS
	RTT       time.Duration // of the last answer to OPTIONS
}

// InDoubt says whether the host is to be probed at the fast interval: all but
// those that are up or full and answered their last probe.
func (s *Status) InDoubt() bool {
	return s.Dead || s.Doubt || s.Failures > 0
}

// At returns the status as it is at the time now, which is s unless a
// Retry-After ran out in the meantime.
func (s Status) At(now int64) Status {
	if s.FullUntil == 0 || now < s.FullUntil {
		return s
	}
	over := s.FullUntil
	s.FullUntil = 0
	s.settle(over, Reason{Event: RetryAfterOver})
	return s
}

// Next is the state machine of a host: the status after o was seen at the time
// now, with the settings set.
//
// With probes, only probes take a host down and bring it up again, and they
// clear a doubt; calls only raise doubts, which is enough to keep other calls
// away. Without probes nothing takes a host down: doubts are cleared by a trial
// call that gets an answer.
func Next(s Status, o Observation, now int64, set *catalog.Health) Status {
	s = s.At(now)
	switch o.Event {
	case ProbeOK, ProbeFailed, ProbeUnreachable:
		s.probed(o, now, set)
	case CallSilent, CallUnreachable:
		s.doubt(now, set)
	case CallAnswered:
		s.believe()
	case CallFull:
		// RFC 3261 21.5.4: a 503 without Retry-After is to be taken as a 500,
		// which says something about one call and not about the host.
		if o.RetryAfter > 0 {
			s.FullUntil = max(s.FullUntil, now+int64(min(o.RetryAfter, MaxRetryAfter)))
		}
	}
	s.settle(now, Reason{o.Event, int16(o.Code)})
	return s
}

// probed counts the result of a probe.
func (s *Status) probed(o Observation, now int64, set *catalog.Health) {
	s.LastProbe, s.LastEvent = now, o.Event
	if o.Event == ProbeOK {
		s.LastCode, s.RTT = o.Code, o.RTT
	}
	good := o.Event == ProbeOK && !set.DownCodes.Has(o.Code)
	if good {
		s.believe()
	}
	if !set.Probe {
		return // a late result: it begins nothing that no other would end
	}
	if !good {
		s.Failures++
		s.Successes = 0
		if s.Failures >= max(set.DownAfter, 1) {
			s.Dead = true
			s.believe() // beyond doubt
		}
		return
	}
	s.Successes++
	s.Failures = 0
	s.ProbeFull = o.Code == 503
	if s.Successes >= set.UpAfter {
		s.Dead = false
	}
}

// doubt takes note that a call got no answer. A dead host is beyond doubt.
func (s *Status) doubt(now int64, set *catalog.Health) {
	if s.Dead {
		return
	}
	s.Doubt = true
	if !set.Probe {
		s.DoubtUntil = now + int64(DoubtHold)
	}
}

// believe ends a doubt: the host answered, or is known to be dead.
func (s *Status) believe() {
	s.Doubt, s.DoubtUntil = false, 0
}

// settle derives the state from the facts.
func (s *Status) settle(now int64, why Reason) {
	state := Up
	switch {
	case s.Dead:
		state = Down
	case s.ProbeFull || s.FullUntil != 0:
		state = Full
	case s.Doubt:
		state = Doubtful
	}
	if state != s.State {
		s.State, s.Since, s.Reason = state, now, why
	}
}

// Adopt returns the status under new settings. Without probes no host is down
// or full by a probe: what is no longer watched is only doubtful. With probes
// the next one decides.
func Adopt(s Status, now int64, set *catalog.Health) Status {
	s = s.At(now)
	if set.Probe {
		s.DoubtUntil = 0
		return s
	}
	s.Doubt = s.Doubt || s.Dead
	if s.Doubt && s.DoubtUntil == 0 {
		s.DoubtUntil = now + int64(DoubtHold)
	}
	s.Dead, s.ProbeFull = false, false
	s.Failures, s.Successes = 0, 0
	s.settle(now, Reason{Event: ProbesOff})
	return s
}
