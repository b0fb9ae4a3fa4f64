package health

import (
	"time"

	"tandem/config/catalog"
)

// Row is the calls to a host that failed since the last one that was a success:
// how a host is found out that answers OPTIONS and fails calls.
//
// Silence, ICMP, nothing after 100 and 503 speak against the host. Any other
// code speaks against the called number as much as against the host, so such
// failures count in pairs of different numbers, and a last one only when there
// is a pair. So one bad number that always fails never counts by itself, and
// at most doubles what other calls say: an ejection needs at least half of its
// failures from others, however often and whenever the bad one is called.
type Row struct {
	Sure   int    // failures that speak against the host
	Pairs  int    // pairs of failures of different numbers
	Alone  int    // failures of Number that have no partner yet
	Number uint32 // hash of a number that failed
}

// add takes in one more failure.
func (r *Row) add(o Observation) {
	switch {
	case o.Event != CallFailed:
		r.Sure++
	case r.Alone == 0 || r.Number == o.Number:
		r.Alone++
		r.Number = o.Number
	default:
		r.Alone--
		r.Pairs++
	}
}

// count is how many of the failures count.
func (r *Row) count() int {
	n := r.Sure + 2*r.Pairs
	if r.Pairs > 0 && r.Alone > 0 {
		n++
	}
	return n
}

// failed takes note that a call failed. A dead host is not judged by its calls.
func (s *Status) failed(o Observation, now int64, set *catalog.Health) {
	switch {
	case set.EjectAfter <= 0 || s.Dead:
	case o.began(now) < s.JudgedFrom: // older news than its return
	case s.Ejected:
		s.tried(o, now, set)
	default:
		s.Row.add(o)
		if n := s.Row.count(); n >= set.EjectAfter {
			s.eject(o, now, set, Reason{Event: FailedCalls, Count: int32(n)})
		}
	}
}

// tried takes note of the failure of a trial call. What began before trials were
// let through is older news than the ejection. A code for the number that failed
// last says as little as before; another trial follows one hold after this one.
func (s *Status) tried(o Observation, now int64, set *catalog.Health) {
	if o.began(now) < s.EjectedUntil {
		return
	}
	if o.Event == CallFailed {
		another := s.Row.Alone > 0 && s.Row.Number != o.Number
		s.Row = Row{Alone: 1, Number: o.Number}
		if !another {
			return
		}
	}
	s.eject(o, now, set, Reason{Event: TrialFailed})
}

// eject keeps calls away from now on, because of the last of some failures: for
// eject_time, or, when the host did no better after the last time, for twice as
// long as then, up to eject_max.
func (s *Status) eject(last Observation, now int64, set *catalog.Health, why Reason) {
	hold := set.EjectTime
	if s.Ejected || now < s.ForgetAt {
		hold = max(hold, 2*s.EjectHold)
	}
	if set.EjectMax > 0 {
		hold = min(hold, set.EjectMax)
	}
	hold = max(hold, time.Millisecond) // settings that are not of a file
	s.Ejected, s.EjectHold, s.ForgetAt = true, hold, 0
	s.EjectedUntil = now + int64(hold)
	s.TrialAt = s.EjectedUntil
	why.Last, why.Code, why.For = last.Event, int16(last.Code), hold
	s.Ejection = why
	// The number that failed last must not decide the trial too.
	switch {
	case last.Event == CallFailed:
		s.Row = Row{Alone: 1, Number: last.Number}
	case s.Row.Alone > 0 || s.Row.Pairs > 0:
		s.Row = Row{Alone: 1, Number: s.Row.Number}
	default:
		s.Row = Row{}
	}
}

// answered takes note that a call was a success. One that began before trials
// were let through brings no ejected host back.
func (s *Status) answered(o Observation, now int64, set *catalog.Health, why *Reason) {
	if !s.Ejected {
		s.Row = Row{}
		return
	}
	if o.began(now) < s.EjectedUntil {
		return
	}
	hold := s.EjectHold
	s.pardon()
	s.JudgedFrom = now
	s.Ramp = max(set.SlowStart, 0)
	// It has to do well for as long as it was away, and until it has its whole
	// share of calls, before the next ejection is taken for a first one.
	s.EjectHold, s.ForgetAt = hold, now+int64(max(hold, s.Ramp))
	why.Event = TrialAnswered
}

// pardon ends an ejection and forgets what led to it.
func (s *Status) pardon() {
	s.Ejected, s.EjectedUntil, s.TrialAt, s.EjectHold, s.ForgetAt = false, 0, 0, 0, 0
	s.Ejection, s.Row = Reason{}, Row{}
}
