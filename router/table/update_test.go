package table

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

func TestUpdate(t *testing.T) {
	var b Builder
	require.NoError(t, b.Add(keyOf("+1555"), 1))
	require.NoError(t, b.Exclude(keyOf("+15550000150")))
	require.NoError(t, b.AddRange(keyOf("+15550000100"), keyOf("+15550000199"), 2))
	require.NoError(t, b.AddPrefix(keyOf("+1555"), 3))
	table, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, 4, table.Len())
	leads := func(text string, kind Kind, route uint32) {
		t.Helper()
		m, ok := lookup(table, text)
		require.Equal(t, kind != Excluded, ok)
		require.Equal(t, Match{Route: route, Kind: kind}, Match{Route: m.Route, Kind: m.Kind})
		if kind == Exact || kind == Excluded {
			require.Equal(t, text, m.Entry())
		}
	}

	leads("+15550000150", Excluded, 0)
	leads("+15550000151", Range, 2)
	require.NoError(t, table.Set(keyOf("+15550000151"), 4_000_000_000))
	leads("+15550000151", Exact, 4_000_000_000)
	require.NoError(t, table.Set(keyOf("+15550000150"), 5))
	leads("+15550000150", Exact, 5)
	require.NoError(t, table.Exclude(keyOf("+15550000151")))
	leads("+15550000151", Excluded, 0)
	require.Equal(t, 5, table.Len())

	for _, text := range []string{"+15550000150", "+15550000151"} {
		require.True(t, table.Delete(keyOf(text)))
		leads(text, Range, 2)
		require.False(t, table.Delete(keyOf(text)))
	}
	require.Equal(t, 3, table.Len())

	require.NoError(t, table.Set(keyOf("0110"), 6))
	leads("0110", Exact, 6)
	_, ok := lookup(table, "110")
	require.False(t, ok)

	for _, k := range []number.Key{0, number.Empty, number.Plus} {
		require.Error(t, table.Set(k, 1))
		require.Error(t, table.Exclude(k))
		require.False(t, table.Delete(k))
		_, err = table.Move(k, keyOf("1"), 1, 2)
		require.Error(t, err)
		_, err = table.Move(keyOf("1"), k, 1, 2)
		require.Error(t, err)
		require.False(t, table.MoveNumber(k, 1, 2))
	}
}

func TestMove(t *testing.T) {
	for _, others := range []int{0, 100_000} { // the block is larger than the table, or smaller
		var b Builder
		for i := range others {
			require.NoError(t, b.Add(keyOf(fmt.Sprintf("+4930%06d", i)), 1))
		}
		for i := range 1000 {
			require.NoError(t, b.Add(keyOf(fmt.Sprintf("+1555%04d", i)), uint32(i%2)))
		}
		table, err := b.Build()
		require.NoError(t, err)
		moved, err := table.Move(keyOf("+15550100"), keyOf("+15550899"), 1, 7)
		require.NoError(t, err)
		require.Equal(t, 400, moved)
		for i := range 1000 {
			want := uint32(i % 2)
			if want == 1 && 100 <= i && i < 900 {
				want = 7
			}
			m, ok := lookup(table, fmt.Sprintf("+1555%04d", i))
			require.True(t, ok)
			require.Equal(t, want, m.Route)
		}
		moved, err = table.Move(keyOf("+15550000"), keyOf("+15559999"), 9, 1)
		require.NoError(t, err)
		require.Zero(t, moved)
		require.True(t, table.MoveNumber(keyOf("+15550101"), 7, 8))
		require.False(t, table.MoveNumber(keyOf("+15550101"), 7, 8))
		_, err = table.Move(keyOf("+15550100"), keyOf("+1555089"), 1, 7)
		require.Error(t, err)
	}
}

func TestBuild_ExcludedConflicts(t *testing.T) {
	var b Builder
	require.NoError(t, b.Exclude(keyOf("1")))
	require.NoError(t, b.Exclude(keyOf("1")))
	require.NoError(t, b.Add(keyOf("1"), 7))
	require.NoError(t, b.Add(keyOf("2"), 8))
	require.NoError(t, b.Exclude(keyOf("2")))
	_, err := b.Build()
	require.EqualError(t, err, "number 1 is excluded and has a route, 7\nnumber 2 is excluded and has a route, 8")
}

// FuzzTable holds a table, built and then changed, against comparing text.
func FuzzTable(f *testing.F) {
	f.Add(uint64(1), []byte("0123456789"))
	f.Add(uint64(2), []byte{0, 0, 0, 64, 0, 0, 64, 0, 1, 128, 0, 0, 192, 3, 0})
	f.Fuzz(func(t *testing.T, seed uint64, steps []byte) { changeAtRandom(t, seed, steps) })
}

func TestUpdate_AgainstNaive(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		steps := make([]byte, rnd.IntN(6000))
		for i := range steps {
			steps[i] = byte(rnd.Uint32())
		}
		changeAtRandom(t, seed, steps)
	}
}

// changeAtRandom takes a change and a number out of three bytes.
func changeAtRandom(t *testing.T, seed uint64, steps []byte) {
	text := func(x, y byte) string {
		n := int(x)<<8 | int(y)
		return fmt.Sprintf([]string{"%d", "+%d", "%03d", "+1%02d"}[n&3], n>>2%400)
	}
	var b Builder
	n := naive{exact: map[string]uint32{}, prefixes: map[string]uint32{"+1": 1, "0": 2, "1": 3},
		ranges: [][2]string{{"+100", "+220"}, {"10", "55"}}, routes: []uint32{4, 5}}
	for i, r := range n.ranges {
		require.NoError(t, b.AddRange(keyOf(r[0]), keyOf(r[1]), n.routes[i]))
	}
	for p, route := range n.prefixes {
		require.NoError(t, b.AddPrefix(keyOf(p), route))
	}
	table, err := b.Build()
	require.NoError(t, err)
	gone := make(map[string]bool) // excluded
	rnd := rand.New(rand.NewPCG(seed, 4))
	for i := 0; i+2 < len(steps); i += 3 {
		s := text(steps[i+1], steps[i+2])
		route := uint32(steps[i])
		if seed&1 == 0 && steps[i]&1 == 0 {
			route = rnd.Uint32()
		}
		switch op := steps[i] >> 5; op {
		case 0:
			require.NoError(t, table.Exclude(keyOf(s)))
			delete(n.exact, s)
			gone[s] = true
		case 1, 2:
			_, exact := n.exact[s]
			require.Equal(t, exact || gone[s], table.Delete(keyOf(s)))
			delete(n.exact, s)
			delete(gone, s)
		case 3:
			from := n.exact[s]
			last := []byte(s)
			last[len(last)-1] = '9'
			moved, err := table.Move(keyOf(s), keyOf(string(last)), from, route)
			require.NoError(t, err)
			want := 0
			for c := []byte(s); c[len(c)-1] <= '9'; c[len(c)-1]++ {
				if had, ok := n.exact[string(c)]; ok && had == from {
					n.exact[string(c)] = route
					want++
				}
			}
			require.Equal(t, want, moved)
		default:
			require.NoError(t, table.Set(keyOf(s), route))
			n.exact[s] = route
			delete(gone, s)
		}
		for _, s := range []string{s, text(steps[i], steps[i+1])} {
			m, ok := lookup(table, s)
			route, kind, want := n.lookup(s)
			if gone[s] {
				route, kind, want = 0, Excluded, false
			}
			require.Equal(t, want, ok, s)
			require.Equal(t, Match{Route: route, Kind: kind}, Match{Route: m.Route, Kind: m.Kind}, s)
		}
	}
	table.Settle()
	want := make(map[number.Key]owner)
	for s, route := range n.exact {
		want[keyOf(s)] = owner(route)
	}
	for s := range gone {
		want[keyOf(s)] = excluded
	}
	check(t, table.exact.words.Load(), want)
	require.Equal(t, len(want)+5, table.Len())
}

func TestSetPatterns(t *testing.T) {
	var b Builder
	require.NoError(t, b.Add(keyOf("+15550000001"), 1))
	require.NoError(t, b.AddRange(keyOf("+15550000100"), keyOf("+15550000199"), 2))
	require.NoError(t, b.AddPrefix(keyOf("+1666"), 3))
	table, err := b.Build()
	require.NoError(t, err)
	route := func(text string) int {
		if m, ok := lookup(table, text); ok {
			return int(m.Route)
		}
		return -1
	}

	require.NoError(t, b.AddRange(keyOf("+15550000150"), keyOf("+15550000299"), 4))
	require.NoError(t, b.AddPrefix(keyOf("+1777"), 5))
	require.NoError(t, table.SetPatterns(&b))
	require.Equal(t, []int{1, -1, 4, 4, -1, 5}, []int{route("+15550000001"), route("+15550000149"), route("+15550000150"),
		route("+15550000299"), route("+16660"), route("+17770")})
	require.Equal(t, 3, table.Len())

	require.NoError(t, b.AddPrefix(keyOf("+1777"), 5))
	require.NoError(t, b.AddPrefix(keyOf("+1777"), 6))
	require.ErrorContains(t, table.SetPatterns(&b), "prefix +1777* has two routes")
	require.NoError(t, b.Add(keyOf("+15550000002"), 1))
	require.Error(t, table.SetPatterns(&b))
	require.Equal(t, []int{4, 5, -1}, []int{route("+15550000150"), route("+17770"), route("+15550000002")}, "nothing of it was done")

	require.NoError(t, table.SetPatterns(&b), "a builder is empty after it was used, and so may the patterns be")
	require.Equal(t, []int{1, -1, -1}, []int{route("+15550000001"), route("+15550000150"), route("+17770")})
}

// A lookup sees the patterns before or those after, whole.
func TestSetPatternsWhileNumbersAreLookedUp(t *testing.T) {
	sets := func(route uint32) *Builder {
		b := new(Builder)
		require.NoError(t, b.AddPrefix(keyOf("+1"), route))
		require.NoError(t, b.AddRange(keyOf("+15550000100"), keyOf("+15550000199"), route+1))
		return b
	}
	table, err := sets(10).Build()
	require.NoError(t, err)
	const swaps = 2_000
	done := make(chan error)
	go func() {
		defer close(done)
		for i := range swaps {
			if err := table.SetPatterns(sets(uint32(10 + i%2*10))); err != nil {
				done <- err
				return
			}
		}
	}()
	for reading := true; reading; {
		select {
		case err := <-done:
			require.NoError(t, err)
			reading = false
		default:
		}
		m, ok := lookup(table, "+15550000150")
		require.True(t, ok)
		require.Contains(t, []uint32{11, 21}, m.Route, "the range, never the prefix around it")
	}
}
