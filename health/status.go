package health

import (
	"time"

	"tandem/config/catalog"
)

// MaxRetryAfter bounds how long one 503 keeps calls away from a host.
const MaxRetryAfter = 60 * time.Second

// Status is all that is known about a host. Its zero value is a host of which
// nothing was seen. Times are monotonic nanoseconds of the caller's clock; 0 is
// never, so a clock should start above 0.
//
// What was seen is kept as facts of their own (Dead, Ejected, ProbeFull,
// FullUntil, Doubt, Ramp), and State is the worst of them: a host that is full
// and then silent is still doubtful when its Retry-After is over.
type Status struct {
	State  State
	Since  int64  // when the host came into State
	Reason Reason // what brought it there; of an ejected host, why it is ejected

	Dead      bool  // DownAfter probes in a row failed, and not yet UpAfter succeeded
	Downs     int   // how often it went down, each time soon after its return
	KeptUntil int64 // no good probes bring it back sooner; 0: any do
	BackAt    int64 // when it came back last; 0: never

	Ejected      bool          // its calls failed, and no trial call was answered since
	EjectedUntil int64         // from when on trial calls decide
	TrialAt      int64         // from when on the next one may go
	EjectHold    time.Duration // how long the last ejection lasts at least
	ForgetAt     int64         // one that begins before lasts twice as long
	Ejection     Reason        // why it is ejected
	Row          Row           // calls that failed since the last success
	JudgedFrom   int64         // what began before it came back counts for nothing

	ProbeFull bool  // its last answer to OPTIONS was 503
	FullUntil int64 // a Retry-After keeps calls away until then; 0: none

	Doubt      bool          // a call got no answer, and nothing has dispelled that since
	Stalled    bool          // calls got 100, and none got more since: another 100 dispels nothing
	DoubtUntil int64         // from when on a good probe ends Doubt, or one call may try it; 0: any good probe does
	Hold       time.Duration // of the last doubt by silence; 0: a call was answered since

	Ramp         time.Duration // it is coming back: its share of calls grows over this time; 0: it is not
	RecoverUntil int64         // when that is done; 0 unless State is Recovering

	Failures  int // failed probes in a row
	Successes int // good probes in a row

	LastProbe int64         // when the result of the last probe came
	LastEvent Event         // what the result was
	LastCode  int           // status code of the last answer to OPTIONS
	RTT       time.Duration // of the last answer to OPTIONS
}

// InDoubt says whether the host is to be probed at the fast interval: all but
// those that answered their last probe and are neither down nor doubtful. That a
// host is ejected is no reason: probes say nothing about it that they did not
// say while its calls failed, a trial call decides, and a host in trouble is not
// to be asked more often than others.
func (s *Status) InDoubt() bool {
	return s.Dead || s.Doubt || s.Failures > 0
}

// At returns the status as it is at the time now: a Retry-After or a slow start
// may have come to its end.
func (s Status) At(now int64) Status {
	for {
		next, due := s.due(now)
		if !due {
			return s
		}
		s = next
	}
}

// due returns the status after the first thing that time brings about until
// now, if there is one.
func (s Status) due(now int64) (next Status, due bool) {
	switch {
	case s.FullUntil != 0 && now >= s.FullUntil:
		over := s.FullUntil
		s.FullUntil = 0
		s.settle(over, Reason{Event: RetryAfterOver})
	case s.RecoverUntil != 0 && now >= s.RecoverUntil:
		s.Ramp = 0
		s.settle(s.RecoverUntil, Reason{Event: RampOver})
	default:
		return s, false
	}
	return s, true
}

// Next is the state machine of a host: the status after o was seen at the time
// now, with the settings set.
//
// With probes, only probes take a host down and bring it up again; calls raise
// doubts and eject, which is enough to keep other calls away. A doubt by ICMP
// ends with one good probe: the host was not there, and is. A doubt by silence
// does so only after a hold, which begins anew with each silent call: hosts
// exist that answer OPTIONS and not INVITE, and each probe would send the next
// call into the wait. If the host is silent again before it has answered any
// call, the next hold is twice as long. Any response to a call ends every doubt
// at once, but for 100 where that is all that calls get, and for what comes by a
// detour. Without probes nothing takes a host down: all doubts are held, and then
// cleared by a trial call that gets an answer.
//
// Calls that fail in a row eject a host, whatever its probes say: see Row. No
// probe brings it back, but a trial call that is answered.
func Next(s Status, o Observation, now int64, set *catalog.Health) Status {
	s = s.At(now)
	why := Reason{Event: o.Event, Code: int16(o.Code)}
	switch o.Event {
	case ProbeOK, ProbeFailed, ProbeUnreachable:
		s.probed(o, now, set, &why)
	case CallUnreachable:
		s.doubt()
		if s.Doubt && !set.Probe {
			s.hold(now, holdOf(set))
		}
	case CallSilent:
		s.silent(now, set)
	case CallsStall:
		s.stall(o, now, set)
		why.Count = int32(o.Count)
	case CallTrying:
		if !s.Stalled || o.Beyond {
			s.heard(&o, set)
		}
	case CallFailed:
		s.heard(&o, set)
	case CallAnswered:
		s.heard(&o, set)
		s.answered(o, now, set, &why)
	case CallFull:
		s.heard(&o, set)
		if o.RetryAfter > 0 { // RFC 3261 21.5.4
			why.For = min(o.RetryAfter, MaxRetryAfter)
			s.FullUntil = max(s.FullUntil, now+int64(why.For))
		}
	}
	if o.Event.fails() && !o.Besides {
		s.failed(o, now, set)
	}
	s.settle(now, why)
	return s
}

// claimed returns the status after a trial call was let through: the next one is
// a hold later.
func (s Status) claimed(now int64, set *catalog.Health) Status {
	s = s.At(now)
	switch s.State {
	case Ejected:
		s.TrialAt = now + int64(s.EjectHold)
	case Doubtful:
		s.DoubtUntil = now + int64(holdOf(set))
	}
	return s
}

// probed counts the result of a probe.
func (s *Status) probed(o Observation, now int64, set *catalog.Health, why *Reason) {
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
		if s.Failures >= max(set.DownAfter, 1) && !s.Dead {
			s.die(now, set, why)
		}
		return
	}
	s.Successes++
	s.Failures = 0
	s.ProbeFull = o.Code == 503
	if s.Dead && s.Successes >= set.UpAfter && now >= s.KeptUntil {
		s.revive(now, set)
	}
}

// settle derives the state from the facts. A share of calls grows from when the
// host takes calls again: one that becomes full or doubtful meanwhile begins
// anew.
func (s *Status) settle(now int64, why Reason) {
	state := s.worst()
	switch {
	case state != Recovering:
		s.RecoverUntil = 0
	case s.State != Recovering:
		s.RecoverUntil = now + int64(s.Ramp)
	}
	if state != s.State {
		s.State, s.Since, s.Reason = state, now, why
	}
	if state == Ejected {
		s.Reason = s.Ejection
	}
}

func (s *Status) worst() State {
	switch {
	case s.Dead:
		return Down
	case s.Ejected:
		return Ejected
	case s.ProbeFull || s.FullUntil != 0:
		return Full
	case s.Doubt:
		return Doubtful
	case s.Ramp > 0:
		return Recovering
	}
	return Up
}

// Adopt returns the status under new settings. Without probes no host is down
// or full by a probe: what is no longer watched is only doubtful. With probes
// the next one decides, after the hold.
func Adopt(s Status, now int64, set *catalog.Health) Status {
	s = s.At(now)
	if set.EjectAfter <= 0 {
		s.pardon()
		s.settle(now, Reason{Event: EjectionOff})
	}
	if set.FlapHold <= 0 {
		s.KeptUntil = 0
	}
	s.Stalled = s.Stalled && set.Stall > 0
	if s.Ramp > 0 && s.Ramp != set.SlowStart {
		s.Ramp = max(set.SlowStart, 0)
		if s.State == Recovering {
			s.RecoverUntil = s.Since + int64(s.Ramp)
			s = s.At(now)
		}
	}
	if set.Probe {
		return s
	}
	s.Doubt = s.Doubt || s.Dead
	if s.Doubt && s.DoubtUntil == 0 {
		s.hold(now, holdOf(set))
	}
	s.Dead, s.KeptUntil, s.ProbeFull = false, 0, false
	s.Failures, s.Successes = 0, 0
	s.settle(now, Reason{Event: ProbesOff})
	return s
}
