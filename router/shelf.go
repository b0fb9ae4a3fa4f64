package router

import "slices"

// shelf holds things that wait to be used again, the last one first. It is under
// its stripe's lock.
//
// A peak of calls leaves more on it than anyone needs. What has lain there all
// the time since the last look was not needed, and half of that is let go at each
// look: after some of them most is gone, and much of it is still there for a
// peak that comes again soon.
type shelf[T any] struct {
	free []T
	low  int // the fewest there were since the last look
}

// shelfKeeps is how many things of a kind, in each stripe, are never let go. One
// that stays may keep a whole page of Go's heap, 8 kB, so a few are enough.
const shelfKeeps = 2

// surplus is how many things are let go when low is the fewest that lay on a
// shelf since the last look.
func surplus(low int) int { return max(low-shelfKeeps+1, 0) / 2 }

func (s *shelf[T]) take() (v T, ok bool) {
	last := len(s.free) - 1
	if last < 0 {
		return v, false
	}
	v, s.free = s.free[last], s.free[:last]
	s.low = min(s.low, last)
	return v, true
}

func (s *shelf[T]) put(v T) { s.free = append(s.free, v) }

// trim lets go of n things, and returns of how many it did: fewer when they
// have been taken since they were counted.
func (s *shelf[T]) trim(n int) int {
	n = min(n, len(s.free))
	s.free = s.free[:len(s.free)-n]
	clear(s.free[len(s.free):cap(s.free)])
	if cap(s.free) > 4*len(s.free)+8 {
		s.free = slices.Clone(s.free)
	}
	return n
}

// look begins a new look, and returns how many things to let go by the last one.
func (s *shelf[T]) look() int {
	n := surplus(s.low)
	s.low = len(s.free) - n
	return n
}
