package table

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

// BenchmarkLookupCounted is what instructions are counted of: its table is the
// same in each process, so numbers meet in the same places, and building it
// takes as long.
func BenchmarkLookupCounted(b *testing.B) {
	const n, drawn = 10_000, 1 << 12
	rnd := rand.New(rand.NewPCG(1, 1))
	var builder Builder
	builder.exact.words = newWords(bitsFor(n), mixerOf(rnd.Uint64()|1, rnd.Uint64()|1))
	builder.prefixes.words = newWords(bitsFor(100), mixerOf(rnd.Uint64()|1, rnd.Uint64()|1))
	var errs []error // testify walks the stack at each call, which takes as long as it likes
	for i := range n {
		errs = append(errs, builder.Add(plus(11, uint64(15550000000+i)), uint32(i)))
	}
	for i := range 100 {
		first := uint64(14440000000 + i*10_000)
		errs = append(errs, builder.AddPrefix(keyOf(fmt.Sprintf("+49%d", i)), uint32(i)),
			builder.AddRange(plus(11, first), plus(11, first+9999), uint32(i)))
	}
	table, err := builder.Build()
	require.NoError(b, errors.Join(append(errs, err)...))
	for _, kind := range []struct {
		name, format string
		count        int
		want         Kind
	}{
		{"exact", "+1555%07d", n, Exact},
		{"prefix", "+49%09d", 1_000_000_000, Prefix},
	} {
		list := make([]number.Key, drawn)
		for i := range list {
			list[i] = keyOf(fmt.Sprintf(kind.format, rnd.IntN(kind.count)))
			if m, ok := table.Lookup(list[i]); !ok || m.Kind != kind.want {
				b.Fatal(list[i], m, ok)
			}
		}
		b.Run(kind.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				table.Lookup(list[i%drawn])
			}
		})
	}
}
