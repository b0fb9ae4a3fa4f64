package health

import "time"

// word is what calls need of a Status, in one atomic value: its state, and
// when that may be over without anything being seen.
//
//	bits 0-1   the state
//	bit  2     of a full host: it is doubtful beneath. Of one that is up: it was
//	           silent, and no call was answered since
//	bit  3     there are no probes: a doubt ends with a trial call
//	bits 4-63  until when it is full, or, without probes, doubtful without a
//	           trial, in the caller's nanoseconds rounded up to 16; 0: until
//	           something is seen
type word uint64

const (
	wordState   word = 3
	wordBeneath word = 1 << 2
	wordTrials  word = 1 << 3
	wordUntil   word = ^word(15)
)

// pack returns the word for s; trials says that there are no probes.
func pack(s *Status, trials bool) word {
	w := word(s.State)
	if trials {
		w |= wordTrials
	}
	switch s.State {
	case Up:
		if s.Hold != 0 {
			w |= wordBeneath
		}
	case Doubtful:
		if trials {
			w |= until(s.DoubtUntil)
		}
	case Full:
		if s.Doubt {
			w |= wordBeneath
		}
		if !s.ProbeFull {
			w |= until(s.FullUntil)
		}
	}
	return w
}

func until(at int64) word { return word(at+15) & wordUntil }

func (w word) state() State  { return State(w & wordState) }
func (w word) until() int64  { return int64(w & wordUntil) }
func (w word) trials() bool  { return w&wordTrials != 0 }
func (w word) beneath() bool { return w&wordBeneath != 0 }

// over says whether the time in w has come.
func (w word) over(now int64) bool { return w.until() != 0 && now >= w.until() }

// at returns the state at the time now, and whether one call may try the host
// in its normal place although it is doubtful.
func (w word) at(now int64) (s State, trial bool) {
	switch s = w.state(); s {
	case Doubtful:
		return s, w.trials() && w.over(now)
	case Full:
		if w.over(now) {
			if w.beneath() {
				return Doubtful, w.trials()
			}
			return Up, false
		}
	}
	return s, false
}

// claimed returns the word after a trial was taken at the time now; the next
// one may be taken a hold later.
func (w word) claimed(now int64, hold time.Duration) word {
	return word(Doubtful) | wordTrials | until(now+int64(hold))
}

// ignores says whether o changes nothing about a host whose word is w, so that
// it need not be written down. It may say no without need, never yes.
func (w word) ignores(now int64, o *Observation) bool {
	switch o.Event {
	case CallAnswered:
		return w.state() == Up && !w.beneath() || w.state() == Down
	case CallSilent:
		return w.state() == Down
	case CallUnreachable:
		return w.state() == Down || w.state() == Doubtful && !w.trials()
	case CallFull:
		return o.RetryAfter <= 0 && !(w.state() == Full && w.over(now))
	}
	return false
}
