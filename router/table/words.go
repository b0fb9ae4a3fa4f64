package table

import (
	"math/bits"
	"sync/atomic"

	"tandem/config/number"
)

// words is a hash table from key to value, one 64-bit word an entry, in groups
// of four: half a cache line. The home group of a key is the upper bits of its
// mixed key, so the word needs to hold only those below, the rest:
//
//	rest (52-g bits) | distance (8) | owner (3+g) | passed (1), g = log2(groups)
//
// The distance is how many groups from home the entry is, plus one, so that no
// entry is 0 and 0 is an empty word. It is bounded: who searches sees at most
// furthest groups. The passed bit, of a group's first word only, says that
// entries stand further on which found this group full; where it is not set, a
// search ends.
//
// One goroutine may change words at a time, while any number search. A word is
// loaded and stored whole, so a search sees a key with its own owner or not at
// all. An entry never changes its place while it is there: a search that misses
// a key it began with has met a moment at which the key was not there. So a
// deleted entry just becomes 0, for any key to use, and the passed bits behind
// it are cleared when nothing needs them: there are no tombstones, and the cost
// of a search depends on what is in the table alone.
type words struct {
	groups  []group
	bits    int    // log2(groups)
	step    uint64 // one of distance
	ids     uint64 // twice the ids of routes that an owner may be itself
	mixer   mixer
	distant *distant
}

type group [4]atomic.Uint64

const (
	distanceBits = 8
	furthest     = 1<<distanceBits - 1
	leastBits    = 4 // a table has at least 2^4 groups
	mostBits     = 30

	passed uint64 = 1
)

// newWords returns a table of 2^groupBits groups.
func newWords(groupBits int, m mixer) *words {
	step := uint64(1) << (groupBits + unused - distanceBits)
	return &words{
		groups:  make([]group, 1<<groupBits),
		bits:    groupBits,
		step:    step,
		ids:     step >> 1,
		mixer:   m,
		distant: new(distant),
	}
}

// bitsFor is the size of a table that n entries fill to less than the fraction
// that it grows at.
func bitsFor(n int) int {
	b := leastBits
	for b < mostBits && fullAt(b) <= n {
		b++
	}
	return b
}

// fullAt is how many entries make a table of 2^groupBits groups grow: three
// quarters of its words. Then 13 % of the entries are not at home and the
// furthest is some 60 groups away; there is room for all up to 88 %.
func fullAt(groupBits int) int { return 3 << groupBits }

// start is where the search for k begins: its home, and the part of a word that
// an entry of k at home has, everything above the owner.
func (a *words) start(k number.Key) (at uint, want uint64) {
	turned := bits.RotateLeft64(a.mixer.mix(k), a.bits) // rest, zeros, home
	home := turned & uint64(len(a.groups)-1)
	return uint(home), turned ^ home + a.step
}

// last reports whether want is as far from home as can be.
func (a *words) last(want uint64) bool { return ^want&(furthest*a.step) == 0 }

// get is for who changes words, or where nobody does: others may find a place
// and load from it what has taken it since. Lookup is for all.
func (a *words) get(k number.Key) (owner, bool) {
	at, slot, ok := a.find(k)
	if !ok {
		return 0, false
	}
	return a.decode(a.groups[at][slot].Load()), true
}

// find returns where the word of k is, to those who may get.
func (a *words) find(k number.Key) (at uint, slot int, ok bool) {
	at, want := a.start(k)
	for {
		at &= uint(len(a.groups) - 1)
		g := &a.groups[at]
		for slot := range g {
			if g[slot].Load()^want < a.step {
				return at, slot, true
			}
		}
		if g[0].Load()&passed == 0 || a.last(want) {
			return 0, 0, false
		}
		at++
		want += a.step
	}
}

// change gives the entry that find has found another owner.
func (a *words) change(at uint, slot int, code uint64) {
	w := &a.groups[at][slot]
	w.Store(w.Load()&^(a.step-1-passed) | code<<1)
}

// insert adds k, which must not be there, and returns its group. It reports
// false when all groups that k may be in are full. The groups that it passes
// are marked before the entry is there, so that who sees the entry needed sees
// the mark.
func (a *words) insert(k number.Key, code uint64) (uint, bool) {
	at, want := a.start(k)
	for first := at; ; at++ {
		at &= uint(len(a.groups) - 1)
		g := &a.groups[at]
		for slot := range g {
			if w := g[slot].Load(); w&^passed == 0 {
				for ; first != at; first = (first + 1) & uint(len(a.groups)-1) {
					head := &a.groups[first][0]
					head.Store(head.Load() | passed)
				}
				g[slot].Store(want | w | code<<1)
				return at, true
			}
		}
		if a.last(want) || a.distance(want) == uint64(len(a.groups)) {
			return 0, false
		}
		want += a.step
	}
}

// add is insert of an owner. It reports false when there is no room for k, or for
// the id of its route.
func (a *words) add(k number.Key, o owner) bool {
	code, ok := a.encode(o)
	if ok {
		_, ok = a.insert(k, code)
	}
	return ok
}

// remove deletes the entry that find has found.
func (a *words) remove(at uint, slot int) {
	w := &a.groups[at][slot]
	distance := a.distance(w.Load())
	w.Store(w.Load() & passed)
	for ; distance > 1; distance-- {
		at = (at - 1) & uint(len(a.groups)-1)
		if head := &a.groups[at][0]; !a.needed(at) {
			head.Store(head.Load() &^ passed)
		}
	}
}

// needed reports whether an entry further on has passed the group at.
func (a *words) needed(at uint) bool {
	for away := uint64(1); away < furthest; away++ {
		g := &a.groups[(at+uint(away))&uint(len(a.groups)-1)]
		for slot := range g {
			if a.distance(g[slot].Load()) > away {
				return true
			}
		}
		if g[0].Load()&passed == 0 {
			return false // who has passed at has passed this one too
		}
	}
	return false
}

// distance is 0 of an empty word.
func (a *words) distance(w uint64) uint64 {
	return w >> ((a.bits + unused - distanceBits) & 63) & furthest
}

// each calls f with the entries of groups from up to, not including, to, until
// f returns false.
func (a *words) each(from, to uint, f func(at uint, slot int, k number.Key, o owner) bool) bool {
	for at := from; at < to; at++ {
		for slot := range a.groups[at] {
			w := a.groups[at][slot].Load()
			if w&^passed == 0 {
				continue
			}
			if !f(at, slot, a.key(at, w), a.decode(w)) {
				return false
			}
		}
	}
	return true
}

// key is the key of the word w that stands in group at.
func (a *words) key(at uint, w uint64) number.Key {
	home := (at - uint(a.distance(w)) + 1) & uint(len(a.groups)-1)
	rest := w &^ (a.step<<distanceBits - 1)
	return a.mixer.unmix(bits.RotateLeft64(rest|uint64(home), -a.bits))
}
