package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// TestTenMillion reports what a store of STORE_NUMBERS numbers takes, ten million
// being the most that is asked of a node: size, times, memory. It is not run
// unless that is set.
func TestTenMillion(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("STORE_NUMBERS"))
	if n == 0 {
		t.Skip("STORE_NUMBERS is not set")
	}
	path := filepath.Join(t.TempDir(), "store.db")
	b, err := Open(path, Options{})
	require.NoError(t, err)
	report := func(what string, began time.Time) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		t.Logf("%-48s %9.3f ms  file %6.1f MB, %5.2f bytes a number  heap %s", what, time.Since(began).Seconds()*1e3,
			float64(info.Size())/1e6, float64(info.Size())/float64(n), memory())
	}
	groups := []inventory.Owner{sales, {Kind: inventory.GroupOwner, ID: "support"}, east}

	began := time.Now()
	importTen(t, b, n, groups)
	report("import, 10,000 a commit, ascending", began)

	few := inventory.Owner{Kind: inventory.GroupOwner, ID: "few"}
	var entries []catalog.Entry
	for i := range 3 {
		entries = append(entries, catalog.Entry{First: tenKey(n / 4 * (i + 1))})
	}
	move(t, b, entries, few)

	r := rand.New(rand.NewPCG(1, 2))
	began = time.Now()
	const moves, each = 200, 100
	for range moves {
		entries := make(map[catalog.Entry]bool)
		for len(entries) < each {
			entries[catalog.Entry{First: tenKey(r.IntN(n))}] = true
		}
		list := make([]catalog.Entry, 0, each)
		for e := range entries {
			list = append(list, e)
		}
		move(t, b, list, groups[r.IntN(3)])
	}
	report(fmt.Sprint(moves, " moves of ", each, " random numbers"), began)
	began = time.Now()
	for range 200 {
		move(t, b, []catalog.Entry{{First: tenKey(r.IntN(n))}}, groups[r.IntN(3)])
	}
	report("200 moves of 1 random number", began)

	require.NoError(t, b.Close())
	began = time.Now()
	b, err = Open(path, Options{})
	require.NoError(t, err)
	report("open", began)
	began = time.Now()
	snapshot(t, b)
	report("snapshot", began)
	for range 2 {
		began = time.Now()
		got := 0
		_, err = b.Each(t.Context(), func(inventory.Number) error { got++; return nil })
		require.NoError(t, err)
		require.Equal(t, n, got)
		report("each", began)
	}
	for name, q := range map[string]Query{
		"of all":                 {},
		"of all, in the middle":  {After: &catalog.Entry{First: tenKey(n / 2)}},
		"by digits":              {Digits: tenKey(n / 3).String()[:7]},
		"of an owner of a third": {Owner: &sales},
		"of an owner of a third, in the middle, by digits": {Owner: &sales, Digits: "+1", After: &catalog.Entry{First: tenKey(n / 2)}},
		"of an owner of three":                             {Owner: &few},
		"of an owner of none":                              {Owner: &inventory.Owner{Kind: inventory.GroupOwner, ID: "none"}},
	} {
		for _, limit := range []int{100, 1000} {
			q.Limit = limit
			var times []time.Duration
			got := 0
			for range 200 {
				began := time.Now()
				p, err := b.Numbers(t.Context(), q)
				require.NoError(t, err)
				times = append(times, time.Since(began))
				got = len(p.Numbers)
			}
			slices.Sort(times)
			t.Logf("page %-48s limit %4d: %4d numbers, median %8v, p99 %8v", name, limit, got, times[100], times[198])
		}
	}
	began = time.Now()
	backup := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(backup)
	require.NoError(t, err)
	require.NoError(t, b.Backup(t.Context(), f))
	require.NoError(t, f.Close())
	report("backup", began)

	// A slow reader of all, and what commits do to the file meanwhile.
	began = time.Now()
	commits := 0
	_, err = b.Each(t.Context(), func(inventory.Number) error {
		if commits++; commits > 1000 {
			return errFull
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			move(t, b, []catalog.Entry{{First: tenKey(r.IntN(n))}}, groups[r.IntN(3)])
		}()
		<-done
		return nil
	})
	require.ErrorIs(t, err, errFull)
	report("1,000 commits while all are read", began)
	began = time.Now()
	for range 200 {
		move(t, b, []catalog.Entry{{First: tenKey(r.IntN(n))}}, groups[r.IntN(3)])
	}
	report("200 moves of 1 random number after that", began)

	began = time.Now()
	for i := range 20 {
		var list []catalog.Entry
		for j := range 5000 {
			list = append(list, catalog.Entry{First: tenKey((i*5000 + j) * (n / 100_000))})
		}
		move(t, b, list, groups[r.IntN(3)])
	}
	report("20 moves of 5,000 numbers, all apart", began)
	require.NoError(t, b.Close())

	began = time.Now()
	info, err := Verify(path)
	require.NoError(t, err)
	require.Equal(t, n, info.Numbers)
	report("verify", began)
	began = time.Now()
	_, err = Restore(backup, path)
	require.NoError(t, err)
	report("restore", began)
}

// tenKey is the i-th number: most come as consecutive thousands, as they are
// given out, and the rest alone.
func tenKey(i int) number.Key {
	k := 21000_0000000 + number.Key(i/1000)*10_000
	if i/1000%4 == 3 {
		return k + number.Key(i%1000)*7
	}
	return k + number.Key(i%1000)
}

func importTen(t testing.TB, s Store, n int, owners []inventory.Owner) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := 0; i < n; {
		c := inventory.Change{Numbers: make([]inventory.NumberChange, 0, 10_000)}
		at := someTime.Add(time.Duration(i/10_000) * time.Second)
		numbers := make([]inventory.Number, min(10_000, n-i))
		for j := range numbers {
			owner := owners[i/100%len(owners)]
			if i/1000%4 == 3 {
				owner = owners[r.IntN(len(owners))]
			}
			numbers[j] = inventory.Number{Entry: catalog.Entry{First: tenKey(i)}, Owner: owner, Created: at, Updated: at}
			c.Numbers = append(c.Numbers, inventory.NumberChange{After: &numbers[j]})
			i++
		}
		commit(t, s, c)
	}
}

// move gives numbers to an owner.
func move(t testing.TB, s Store, entries []catalog.Entry, to inventory.Owner) {
	found, err := s.Find(context.Background(), entries)
	require.NoError(t, err)
	c := inventory.Change{}
	for _, n := range found {
		after := *n
		after.Owner, after.Updated = to, someTime.Add(1000*time.Hour)
		c.Numbers = append(c.Numbers, inventory.NumberChange{Before: n, After: &after})
	}
	commit(t, s, c)
}

// memory is what the process has of it.
func memory() string {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rss := ""
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "RssAnon:" || f[0] == "RssFile:") {
			rss += fmt.Sprintf(" %s %s kB", f[0], f[1])
		}
	}
	return fmt.Sprintf("%.1f MB,%s", float64(m.HeapInuse)/1e6, rss)
}
