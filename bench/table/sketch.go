package main

// sketch is a layout of entries, as far as it takes to look up and to add. All
// are read without locks while one goroutine writes.
type sketch interface {
	get(key uint64) (uint32, bool)
	put(key uint64, route uint32) bool
	bytes() int
}

var sketches = []struct {
	name string
	make func(n int) sketch
}{
	{"packed word", newPacked},
	{"parallel arrays", newParallel},
	{"16 bytes, sequence", newSequenced},
}

// keyOf reads a number: value in the low 50 bits, count of digits in 4, "+" in
// one, and a bit that is always set, so that no key is 0.
func keyOf(number []byte) uint64 {
	key := uint64(1) << 63
	if number[0] == '+' {
		key |= 1 << 54
		number = number[1:]
	}
	value := uint64(0)
	for _, c := range number {
		value = value*10 + uint64(c-'0')
	}
	return key | uint64(len(number))<<50 | value
}
