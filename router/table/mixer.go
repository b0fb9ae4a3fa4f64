package table

import (
	"math/rand/v2"

	"tandem/config/number"
)

// A mixer permutes the keys: it spreads them like a hash, and can be undone, so
// that a place in an array can stand for a part of the number. Its multipliers
// are random: who sends calls, or picks numbers, cannot tell which of them meet.
// It keeps no secret from those who can read memory.
type mixer struct {
	first, second     uint64 // odd, but first is shifted: it takes keys to the upper bits
	unfirst, unsecond uint64 // their inverses modulo 2^64
}

func newMixer() mixer { return mixerOf(rand.Uint64()|1, rand.Uint64()|1) }

func mixerOf(first, second uint64) mixer {
	return mixer{first << unused, second, inverse(first), inverse(second)}
}

// mix returns what k becomes in its upper number.Bits bits; those below are 0.
// Multiplying carries low bits up only, and numbers are dense runs: between two
// products the upper half is folded onto the lower.
func (m *mixer) mix(k number.Key) uint64 {
	x := uint64(k) * m.first
	x ^= x >> foldBits & upper
	return x * m.second
}

// unmix undoes mix. Folding is its own inverse: what is folded onto is the lower
// half, so it is not folded on again.
func (m *mixer) unmix(mixed uint64) number.Key {
	x := mixed * m.unsecond
	x ^= x >> foldBits & upper
	return number.Key(x >> unused * m.unfirst & (1<<number.Bits - 1))
}

const (
	unused          = 64 - number.Bits
	upper    uint64 = (1<<number.Bits - 1) << unused
	foldBits        = (number.Bits + 1) / 2
)

// inverse is Newton's: each step doubles the bits that are right, 3 to 96.
func inverse(odd uint64) uint64 {
	x := odd
	for range 5 {
		x *= 2 - odd*x
	}
	return x
}
