package config

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeNumbers writes a config with a file of n different numbers, ascending or
// in random order, and returns its path.
func writeNumbers(tb testing.TB, n int, shuffled bool) string {
	dir := tb.TempDir()
	path := filepath.Join(dir, "tandem.yaml")
	require.NoError(tb, os.WriteFile(path, []byte(`
connectors: [{name: east, hosts: ["sip:10.0.0.1"]}]
groups: [{name: support, connectors: [{connector: east, priority: 1}], numbers_file: numbers.csv}]
`), 0o600))
	file, err := os.Create(filepath.Join(dir, "numbers.csv"))
	require.NoError(tb, err)
	out := bufio.NewWriterSize(file, 1<<20)
	next := func(i int) int { return i }
	if shuffled {
		order := rand.New(rand.NewPCG(1, 2)).Perm(n)
		next = func(i int) int { return order[i] }
	}
	for i := range n {
		fmt.Fprintf(out, "+1%010d\n", next(i)*331)
	}
	require.NoError(tb, out.Flush())
	require.NoError(tb, file.Close())
	return path
}

// The largest load that is asked of a node. What stays in memory is reported by
// number.
func BenchmarkLoadTenMillion(b *testing.B) {
	const n = 10_000_000
	for _, order := range []string{"ascending", "random"} {
		b.Run(order, func(b *testing.B) {
			path := writeNumbers(b, n, order == "random")
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.ReportAllocs()
			var cfg *Config
			for b.Loop() {
				cfg = nil
				var err error
				cfg, err = Load(path)
				require.NoError(b, err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			require.Equal(b, n, cfg.Catalog.Groups[0].NumberCount())
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/n, "heap-B/number")
		})
	}
}
