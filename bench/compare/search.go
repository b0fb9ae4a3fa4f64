package main

import "math"

// search finds the highest rate that a proxy keeps up with, by trying. From the
// first rate on it goes up until one is too much, then halves what is between,
// then tries the highest good one three times more; where that fails it goes on
// a little below. Before that, a rate is too much when it failed twice: once may
// be the machine.
type search struct {
	precision float64
	good, bad float64 // the highest that was good, the lowest that was not; 0 for none
	now       float64
	failed    bool // now has, once
	confirmed int
	stage     stage
	tries     int
}

type stage int

const (
	rising stage = iota
	halving
	confirming
	done
)

const (
	growth   = 1.4
	confirms = 3
	least    = 50 // calls/s; a proxy that does not even bear that has no highest rate
	mostTry  = 60
)

func newSearch(first int, precision float64) *search {
	return &search{precision: precision, now: float64(first)}
}

// rate is what to try next, or that nothing is.
func (s *search) rate() (rate int, more bool) {
	return int(math.Round(s.now)), s.stage != done
}

// result is the highest rate, and whether it was confirmed.
func (s *search) result() (rate int, sure bool) {
	return int(math.Round(s.good)), s.stage == done && s.confirmed == confirms
}

// take is told whether the rate was good.
func (s *search) take(ok bool) {
	if s.tries++; s.tries >= mostTry {
		s.stage = done
		return
	}
	switch {
	case s.stage == confirming:
		s.confirm(ok)
		return
	case !ok && !s.failed:
		s.failed = true
		return
	case ok:
		s.good = s.now
	default:
		s.bad = s.now
	}
	s.failed = false
	switch {
	case s.bad == 0:
		s.now *= growth
	case s.good == 0:
		if s.now /= 2; s.now < least {
			s.stage = done
		}
	case s.bad-s.good > s.precision*s.good:
		s.stage, s.now = halving, (s.good+s.bad)/2
	default:
		s.stage, s.now = confirming, s.good
	}
}

func (s *search) confirm(ok bool) {
	if ok {
		s.good = s.now
		if s.confirmed++; s.confirmed == confirms {
			s.stage = done
		}
		return
	}
	s.confirmed, s.bad = 0, s.now
	s.now /= 1 + s.precision/2
	s.good = s.now // as far as is known
	if s.now < least {
		s.good, s.stage = 0, done
	}
}
