package catalog

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

func TestSortKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, key := range map[string]func(i int) number.Key{
		"random":    func(int) number.Key { return number.Key(rnd.Uint64() >> 9) },
		"few":       func(int) number.Key { return number.Key(rnd.IntN(3)) },
		"one":       func(int) number.Key { return 7 },
		"near":      func(int) number.Key { return 1<<54 + number.Key(rnd.IntN(100_000)) },
		"descends":  func(i int) number.Key { return number.Key(1_000_000 - i) },
		"ascends":   func(i int) number.Key { return number.Key(i) },
		"lopsided":  func(i int) number.Key { return number.Key(rnd.Uint64()>>10) >> (i % 50) },
		"two forms": func(i int) number.Key { return number.Key(i%2)<<54 | number.Key(rnd.IntN(50_000)) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 1, 128, 129, 5000, 60_000} {
				keys := make([]number.Key, n)
				for i := range keys {
					keys[i] = key(i)
				}
				want := slices.Clone(keys)
				slices.Sort(want)
				sortKeys(keys)
				require.True(t, slices.Equal(want, keys))
			}
		})
	}
}

func BenchmarkSortMillionKeys(b *testing.B) {
	rnd := rand.New(rand.NewPCG(3, 4))
	keys := make([]number.Key, 1_000_000)
	for i := range keys {
		keys[i] = number.Key(rnd.Uint64() >> 10)
	}
	for b.Loop() {
		sortKeys(slices.Clone(keys))
	}
}
