package table

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

// plus is the key of a "+" and a count of digits with a value.
func plus(digits int, value uint64) number.Key {
	k := number.Plus
	for range digits {
		k *= 10
	}
	return k + number.Key(value)
}

// check holds words against what must be true of them whenever nobody changes
// them: the entries are those of want, each is found, and a group is marked as
// passed when an entry further on has passed it, and only then.
func check(t testing.TB, a *words, want map[number.Key]owner) {
	count := 0
	marked := make([]bool, len(a.groups))
	a.each(0, uint(len(a.groups)), func(at uint, slot int, k number.Key, o owner) bool {
		count++
		require.Equal(t, want[k], o, k)
		got, ok := a.get(k)
		require.True(t, ok, k)
		require.Equal(t, o, got, k)
		foundAt, foundSlot, ok := a.find(k)
		require.True(t, ok, k)
		require.Equal(t, at, foundAt, k)
		require.Equal(t, slot, foundSlot, k)
		for d := a.distance(a.groups[at][slot].Load()); d > 1; d-- {
			at--
			marked[at&uint(len(a.groups)-1)] = true
		}
		return true
	})
	require.Equal(t, len(want), count)
	for at := range a.groups {
		require.Equal(t, marked[at], a.groups[at][0].Load()&passed != 0, "group %d", at)
	}
}

func TestMixer_IsUndone(t *testing.T) {
	for range 100 {
		m := newMixer()
		for range 100 {
			k := number.Key(rand.Uint64N(1 << number.Bits))
			require.Equal(t, k, m.unmix(m.mix(k)))
		}
	}
}

// TestWords_AgainstMap fills the smallest words to the last place and empties
// them, over and over, so that entries stand far from home and wrap around.
func TestWords_AgainstMap(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		a := newWords(leastBits, mixerOf(rnd.Uint64()|1, rnd.Uint64()|1))
		want := make(map[number.Key]owner)
		for i := range 600 {
			k := plus(3, rnd.Uint64N(120))
			insertions := uint64(3)
			if i/100%2 == 1 {
				insertions = 1
			}
			at, slot, had := a.find(k)
			_, wanted := want[k]
			require.Equal(t, wanted, had)
			if rnd.Uint64N(4) < insertions {
				o := owner(rnd.Uint64N(100))
				if rnd.IntN(10) == 0 {
					o = excluded
				}
				if put(a, k, o) {
					want[k] = o
				} else {
					require.Len(t, want, 4<<leastBits, "seed %d: refused with room left", seed)
				}
			} else if had {
				a.remove(at, slot)
				delete(want, k)
			}
			if i%30 == 0 {
				check(t, a, want)
			}
		}
		check(t, a, want)
	}
}

// TestWords_ChurnLeavesNoTrace: after 300,000 changes at a constant size,
// entries are about as near to home as in words that have just been filled.
func TestWords_ChurnLeavesNoTrace(t *testing.T) {
	const n = 1 << 12
	churned := newWords(10, newMixer())
	fresh := newWords(10, churned.mixer)
	away := func(a *words) (sum uint64) {
		a.each(0, uint(len(a.groups)), func(at uint, slot int, _ number.Key, _ owner) bool {
			sum += a.distance(a.groups[at][slot].Load()) - 1
			return true
		})
		return sum
	}
	for i := range n / 2 {
		require.True(t, put(churned, plus(9, uint64(i)), 1))
		require.True(t, put(fresh, plus(9, uint64(300_000+i)), 1))
	}
	for i := range 300_000 {
		at, slot, ok := churned.find(plus(9, uint64(i)))
		require.True(t, ok)
		churned.remove(at, slot)
		require.True(t, put(churned, plus(9, uint64(i+n/2)), 1))
	}
	require.Less(t, away(churned), 3*away(fresh)+n/20)
	for i := range n / 2 {
		at, slot, ok := churned.find(plus(9, uint64(300_000+i)))
		require.True(t, ok)
		churned.remove(at, slot)
	}
	check(t, churned, nil)
	for at := range churned.groups {
		for slot := range churned.groups[at] {
			require.Zero(t, churned.groups[at][slot].Load(), "an empty table is all zeros")
		}
	}
}

// TestWords_SpreadDenseNumbers: runs and strides of numbers are spread like
// random ones would be. A mixer now and then does so a little worse.
func TestWords_SpreadDenseNumbers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	const mixers = 9
	for _, stride := range []uint64{1, 1000, 1 << 20} {
		var homes []float64 // the part of all that is at home, by mixer
		for range mixers {
			a := newWords(16, mixerOf(rnd.Uint64()|1, rnd.Uint64()|1))
			for i := range uint64(fullAt(16)) {
				require.True(t, put(a, plus(12, 15550000000+i*stride), 1))
			}
			home, most := 0, uint64(0)
			a.each(0, uint(len(a.groups)), func(at uint, slot int, _ number.Key, _ owner) bool {
				distance := a.distance(a.groups[at][slot].Load())
				most = max(most, distance)
				if distance == 1 {
					home++
				}
				return true
			})
			homes = append(homes, float64(home)/float64(fullAt(16)))
			require.Less(t, most, uint64(150), "of random numbers under 80")
		}
		slices.Sort(homes)
		require.Greater(t, homes[mixers/2], 0.84, "of random numbers 87 %% are at home")
		require.Greater(t, homes[0], 0.75)
	}
}
