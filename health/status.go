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

	Dead       bool          // DownAfter probes in a row failed, and not yet UpAfter succeeded
	Doubt      bool          // a call got no answer, and nothing has dispelled that since
	DoubtUntil int64         // from when on a good probe ends Doubt, or one call may try it; 0: any good probe does
	Hold       time.Duration // of the last doubt by silence; 0: a call was answered since
	ProbeFull  bool          // its last answer to OPTIONS was 503
	FullUntil  int64         // a Retry-After keeps calls away until then; 0: none

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
// With probes, only probes take a host down and bring it up again; calls raise
// doubts, which is enough to keep other calls away. A doubt by ICMP ends with one
// good probe: the host was not there, and is. A doubt by silence does so only
// after a hold, which begins anew with each silent call: hosts exist that answer
// OPTIONS and not INVITE, and each probe would send the next call into the wait.
// If the host is silent again before it has answered any call, the next hold is
// twice as long. An answered call ends every doubt at once. Without probes
// nothing takes a host down: all doubts are held, and then cleared by a trial
// call that gets an answer.
func Next(s Status, o Observation, now int64, set *catalog.Health) Status {
	s = s.At(now)
	switch o.Event {
	case ProbeOK, ProbeFailed, ProbeUnreachable:
		s.probed(o, now, set)
	case CallUnreachable:
		s.doubt()
		if s.Doubt && !set.Probe {
			s.hold(now, holdOf(set))
		}
	case CallSilent:
		s.silent(now, set)
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
	if good && now >= s.DoubtUntil {
		s.Doubt, s.DoubtUntil = false, 0
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

// believe ends a doubt for good: the host answered a call, or is known to be
// dead, which explains its silence.
func (s *Status) believe() {
	s.Doubt, s.DoubtUntil, s.Hold = false, 0, 0
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
// the next one decides, after the hold.
func Adopt(s Status, now int64, set *catalog.Health) Status {
	s = s.At(now)
	if set.Probe {
		return s
	}
	s.Doubt = s.Doubt || s.Dead
	if s.Doubt && s.DoubtUntil == 0 {
		s.hold(now, holdOf(set))
	}
	s.Dead, s.ProbeFull = false, false
	s.Failures, s.Successes = 0, 0
	s.settle(now, Reason{Event: ProbesOff})
	return s
}
