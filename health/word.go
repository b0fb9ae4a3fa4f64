package health

import "time"

// word is what calls need of a Status, in one atomic value: its state, and
// when that may be over without anything being seen.
//
//	bits 0-2   the state
//	bits 3-4   a note, by the state: see below
//	bits 5-63  until when it is recovering, full, or without a trial (doubtful
//	           and not probed, ejected), in the caller's nanoseconds rounded up
//	           to 32; 0: until something is seen
type word uint64

const (
	wordState word = 7
	wordUntil word = ^word(31)

	// Of a host that is up, recovering or down: an answered call changes
	// something.
	noteNews word = 1 << 3
	// Of a full host, what it is beneath: doubtful, doubtful and not probed, or
	// recovering.
	noteDoubt word = 1 << 3
	noteTrial word = 2 << 3
	noteRamp  word = 3 << 3

	wordNote = noteRamp
)

// leastShare is the share of calls that a recovering host begins with.
const leastShare = 0.05

// View is what a call needs to know of a host.
type View struct {
	State State
	// Trial is true when the host is doubtful or ejected and one call may try
	// it in its normal place: the call that Claim gives it to.
	Trial bool
	// Share is the part of its calls that the host is to get: 1, or less while
	// it is Recovering.
	Share float64
}

// pack returns the word for s; trials says that there are no probes.
func pack(s *Status, trials bool) word {
	w := word(s.State)
	switch s.State {
	case Up, Recovering:
		if s.Hold != 0 || s.Row != (Row{}) {
			w |= noteNews
		}
		w |= until(s.RecoverUntil)
	case Down:
		if s.Ejected {
			w |= noteNews
		}
	case Doubtful:
		if trials {
			w |= until(s.DoubtUntil)
		}
	case Ejected:
		if !s.ProbeFull { // it says itself that a trial is of no use
			w |= until(max(s.TrialAt, s.FullUntil))
		}
	case Full:
		switch {
		case s.Doubt && trials:
			w |= noteTrial
		case s.Doubt:
			w |= noteDoubt
		case s.Ramp > 0:
			w |= noteRamp
		}
		if !s.ProbeFull {
			w |= until(s.FullUntil)
		}
	}
	return w
}

func until(at int64) word { return word(at+31) & wordUntil }

func (w word) state() State { return State(w & wordState) }
func (w word) until() int64 { return int64(w & wordUntil) }
func (w word) note() word   { return w & wordNote }
func (w word) news() bool   { return w&noteNews != 0 }

// over says whether the time in w has come.
func (w word) over(now int64) bool { return w.until() != 0 && now >= w.until() }

// ramps says whether the slow start of the host's settings has to be known.
func (w word) ramps() bool {
	return w.state() == Recovering || w.state() == Full && w.note() == noteRamp
}

// at returns the view at the time now of a host with the slow start given.
func (w word) at(now int64, slow time.Duration) View {
	v := View{State: w.state(), Share: 1}
	switch v.State {
	case Recovering:
		return recovering(w.until(), now, slow)
	case Doubtful, Ejected:
		v.Trial = w.over(now)
	case Full:
		switch {
		case !w.over(now):
		case w.note() == noteRamp:
			return recovering(w.until()+int64(slow), now, slow)
		case w.note() == 0:
			v.State = Up
		default:
			v.State, v.Trial = Doubtful, w.note() == noteTrial
		}
	}
	return v
}

// recovering returns the view of a host that recovers until a time.
func recovering(until, now int64, slow time.Duration) View {
	if now >= until {
		return View{State: Up, Share: 1}
	}
	share := 1 - float64(until-now)/float64(slow)
	return View{State: Recovering, Share: min(max(share, leastShare), 1)}
}

// ignores says whether o changes nothing about a host whose word is w, so that
// it need not be written down. It may say no without need, never yes.
func (w word) ignores(now int64, o *Observation) bool {
	switch o.Event {
	case CallTrying, CallAnswered:
		switch w.state() {
		case Up, Down:
			return !w.news()
		case Recovering:
			return !w.news() && !w.over(now)
		}
	case CallSilent, CallUnreachable, CallStuck, CallsStall, CallFailed:
		return w.state() == Down
	case CallFull:
		return w.state() == Down && o.RetryAfter <= 0
	}
	return false
}
