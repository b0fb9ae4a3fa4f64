package router

import "reflect"

// trimStep is how many things are let go while a stripe's lock is held.
const trimStep = 256

// Trim lets go of memory that calls have not needed since it was called last
// (shelf), and returns how many bytes. How often it is called says how long a
// peak is remembered. It is for one goroutine.
func (r *Router) Trim() (freed int) {
	for _, st := range r.stripes {
		freed += trim(st, &st.idle, &st.made, 1, int(reflect.TypeFor[call]().Size()))
		st.mu.Lock()
		freed += st.accepted.trim()
		st.mu.Unlock()
		freed += trim(st, &st.spares, new(int), 0, int(reflect.TypeFor[[moreAttempts]attempt]().Size()))
		for class := range st.buffers.shelves {
			freed += trim(st, &st.buffers.shelves[class], &st.buffers.free, bufferSize(class), bufferSize(class))
		}
	}
	return freed
}

// trim lets go of what a shelf of st has too much of, things of so many bytes,
// each of which counts for so much in sum.
func trim[T any](st *stripe, s *shelf[T], sum *int, counts, size int) (freed int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for n := s.look(); n > 0; n -= trimStep {
		gone := s.trim(min(n, trimStep))
		*sum -= gone * counts
		freed += gone * size
		st.mu.Unlock() // calls need not wait for all of it
		st.mu.Lock()
	}
	return freed
}
