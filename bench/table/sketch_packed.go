package main

import (
	"math/bits"
	"sync/atomic"
)

// packed is one 64-bit word a number, in groups of half a cache line, with
// distant ids of routes behind an index (left out here). The key is permuted,
// not hashed: the group's place stands for its upper bits, the word holds the
// rest, the distance from home and the route:
//
//	rest (51-g bits) | distance (8) | passed (1) | route (4+g), g = log2(groups)
//
// A group's passed bit, in its first word, says that numbers at home in it or
// before it stand further on, so deleting needs no tombstones. This one became
// router/table.
type packed struct {
	groups []group
	home   uint8
	rest   uint8
	step   uint64
}

type group [4]atomic.Uint64

const (
	keyBits   = 51
	distances = 8
	furthest  = 1<<distances - 1
	fixed1    = 0x4f1bbcdcbfa53e0b
	fixed2    = 0x2545f4914f6cdd1d
)

func newPacked(n int) sketch {
	g := 4
	for 3<<g < n {
		g++
	}
	rest := keyBits - g
	return &packed{make([]group, 1<<g), uint8(64 - g), uint8(64 - rest), 1 << (64 - rest - distances)}
}

func (p *packed) bytes() int { return len(p.groups) * 32 }

// ordinal numbers all numbers of up to 15 digits, with and without "+", densely.
func ordinal(key uint64) uint64 {
	return key&(1<<50-1) + bases[key>>50&31]
}

var bases = func() (b [32]uint64) {
	sum, power := uint64(0), uint64(1)
	for digits := range 16 {
		b[digits] = sum
		b[16+digits] = 1111111111111111 + sum
		sum += power
		power *= 10
	}
	return b
}()

func (p *packed) start(key uint64) (at uint, want uint64) {
	x := ordinal(key) * fixed1
	x ^= x << 13 >> (13 + 26)
	x *= fixed2
	return uint(x << 13 >> (p.home & 63)), x<<(p.rest&63) + p.step
}

func (p *packed) get(key uint64) (uint32, bool) {
	at, want := p.start(key)
	groups, step := p.groups, p.step
	for {
		g := &groups[at&uint(len(groups)-1)]
		first := g[0].Load()
		found := min(first^want, g[1].Load()^want, g[2].Load()^want, g[3].Load()^want)
		if found < step {
			return uint32(found & (step>>1 - 1)), true
		}
		if first&(step>>1) == 0 || ^want&(furthest*step) == 0 {
			return 0, false
		}
		at++
		want += step
	}
}

// put adds a key or changes its route. It reports false when there is no room.
func (p *packed) put(key uint64, route uint32) bool {
	at, want := p.start(key)
	mask, passed := uint(len(p.groups)-1), p.step>>1
	for a, w := at, want; ; a, w = a+1, w+p.step {
		g := &p.groups[a&mask]
		for i := range g {
			if had := g[i].Load(); had^w < p.step {
				g[i].Store(had&^(passed-1) | uint64(route))
				return true
			}
		}
		if g[0].Load()&passed == 0 || ^w&(furthest*p.step) == 0 {
			break
		}
	}
	for ; ^want&(furthest*p.step) != 0; at, want = at+1, want+p.step {
		g := &p.groups[at&mask]
		for i := range g {
			if had := g[i].Load(); had&^passed == 0 {
				g[i].Store(want | had | uint64(route))
				return true
			}
		}
		g[0].Store(g[0].Load() | passed)
	}
	return false
}

// hashOf is for the two sketches that store whole keys.
func hashOf(key uint64) uint64 {
	high, low := bits.Mul64(key^fixed1, fixed2)
	return (high ^ low) * fixed1
}
