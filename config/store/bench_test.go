package store

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// BenchmarkCommit moves numbers, all apart, in a store of a million: with what it
// takes to find them, and to have the change on the disk.
func BenchmarkCommit(b *testing.B) {
	const n = 1_000_000
	s, err := Open(filepath.Join(b.TempDir(), "store.db"), Options{})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	owners := []inventory.Owner{east, sales}
	importTen(b, s, n, owners)
	r := rand.New(rand.NewPCG(1, 2))
	for _, count := range []int{1, 100, 5000} {
		b.Run(fmt.Sprint(count, " numbers"), func(b *testing.B) {
			for b.Loop() {
				entries, start := make([]catalog.Entry, count), r.IntN(n/count)
				for i := range entries {
					entries[i].First = tenKey(i*(n/count) + start)
				}
				move(b, s, entries, owners[r.IntN(2)])
			}
		})
	}
}

// BenchmarkFind finds numbers one by one.
func BenchmarkFind(b *testing.B) {
	const n = 1_000_000
	s, err := Open(filepath.Join(b.TempDir(), "store.db"), Options{})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	importTen(b, s, n, []inventory.Owner{east})
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		found, err := s.Find(b.Context(), []catalog.Entry{{First: tenKey(r.IntN(n))}})
		require.NoError(b, err)
		require.NotNil(b, found[0])
	}
}
