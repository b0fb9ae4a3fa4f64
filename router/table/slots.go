package table

import "math/bits"

// slots is a hash table from key to route: open addressing with linear probing
// in two parallel arrays, so that a probe sequence reads one cache line of keys
// and the route only of the key that was found. Its size is a power of two and
// at most three quarters of it are in use, so a search ends at an empty slot.
type slots struct {
	keys   []key // 0 is empty
	routes []uint32
	shift  uint8 // 64 - log2(len(keys))
	used   int
}

// newSlots returns a table with room for n keys.
func newSlots(n int) slots {
	size := 4
	for size/4*3 < n {
		size *= 2
	}
	return slots{
		keys:   make([]key, size),
		routes: make([]uint32, size),
		shift:  uint8(64 - bits.Len(uint(size-1))),
	}
}

// home is where the search for k starts. Numbers are dense runs that differ in
// a few low bits; both halves of a 128-bit product together depend on all bits
// of the key, and the top bits of the sum are the best mixed.
func (s *slots) home(k key) uint {
	high, low := bits.Mul64(uint64(k)^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return uint(((high ^ low) * 0x9e3779b97f4a7c15) >> s.shift)
}

func (s *slots) get(k key) (uint32, bool) {
	mask := uint(len(s.keys) - 1)
	for at := s.home(k); ; at++ {
		at &= mask
		switch s.keys[at] {
		case k:
			return s.routes[at], true
		case 0:
			return 0, false
		}
	}
}

// put adds k. When k is there already it changes nothing and returns the route
// that k has. There must be room.
func (s *slots) put(k key, route uint32) uint32 {
	mask := uint(len(s.keys) - 1)
	for at := s.home(k); ; at++ {
		at &= mask
		switch s.keys[at] {
		case k:
			return s.routes[at]
		case 0:
			s.keys[at], s.routes[at] = k, route
			s.used++
			return route
		}
	}
}
