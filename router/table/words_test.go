package table

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// check holds words against what must be true of them whenever nobody changes
// them: the entries are those of want, each is found, and a group is marked as
// passed when an entry further on has passed it, and only then.
func check(t testing.TB, a *words, want map[key]owner) {
	count := 0
	marked := make([]bool, len(a.groups))
	a.each(0, uint(len(a.groups)), func(at uint, slot int, k key, o owner) bool {
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
			k := key(rand.Uint64N(1 << keyBits))
			require.Equal(t, k, m.unmix(m.mix(k)&(1<<keyBits-1)))
		}
	}
}

func TestKey_IsDenseAndUndone(t *testing.T) {
	next := key(0)
	for _, plus := range []bool{false, true} {
		for digits := range MaxDigits + 1 {
			first, last := makeKey(plus, digits, 0), makeKey(plus, digits, power(digits)-1)
			require.Equal(t, next, first)
			next = last + 1
			for k, value := range map[key]uint64{first: 0, last: power(digits) - 1} {
				gotPlus, gotDigits, gotValue := k.parts()
				require.Equal(t, plus, gotPlus)
				require.Equal(t, digits, gotDigits)
				require.Equal(t, value, gotValue)
			}
		}
	}
	require.Less(t, next, key(1)<<keyBits)
}

// TestWords_AgainstMap fills the smallest words to the last place and empties
// them, over and over, so that entries stand far from home and wrap around.
func TestWords_AgainstMap(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		a := newWords(leastBits, mixerOf(rnd.Uint64()|1, rnd.Uint64()|1))
		want := make(map[key]owner)
		for i := range 600 {
			k := makeKey(true, 3, rnd.Uint64N(120))
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
// entries are as near to their homes as at first.
func TestWords_ChurnLeavesNoTrace(t *testing.T) {
	const n = 1 << 12
	fresh, churned := newWords(10, newMixer()), newWords(10, newMixer())
	away := func(a *words) (sum uint64) {
		a.each(0, uint(len(a.groups)), func(at uint, slot int, _ key, _ owner) bool {
			sum += a.distance(a.groups[at][slot].Load()) - 1
			return true
		})
		return sum
	}
	for i := range n / 2 {
		require.True(t, put(fresh, makeKey(true, 9, uint64(i)), 1))
		require.True(t, put(churned, makeKey(true, 9, uint64(i)), 1))
	}
	for i := range 300_000 {
		at, slot, ok := churned.find(makeKey(true, 9, uint64(i)))
		require.True(t, ok)
		churned.remove(at, slot)
		require.True(t, put(churned, makeKey(true, 9, uint64(i+n/2)), 1))
	}
	require.Less(t, away(churned), 2*away(fresh)+n/20)
	for i := range n / 2 {
		at, slot, ok := churned.find(makeKey(true, 9, uint64(300_000+i)))
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
// random ones would be.
func TestWords_SpreadDenseNumbers(t *testing.T) {
	for _, stride := range []uint64{1, 1000, 1 << 20} {
		a := newWords(16, newMixer())
		for i := range uint64(fullAt(16)) {
			require.True(t, put(a, makeKey(true, 12, 15550000000+i*stride), 1))
		}
		home, most := 0, uint64(0)
		a.each(0, uint(len(a.groups)), func(at uint, slot int, _ key, _ owner) bool {
			distance := a.distance(a.groups[at][slot].Load())
			most = max(most, distance)
			if distance == 1 {
				home++
			}
			return true
		})
		require.Greater(t, float64(home), 0.84*float64(fullAt(16)), "of random numbers 87 %% are at home")
		require.Less(t, most, uint64(150), "of random numbers under 80")
	}
}
