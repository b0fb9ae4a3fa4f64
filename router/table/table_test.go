package table

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

// keyOf is the key of a number or a prefix.
func keyOf(text string) number.Key {
	k, ok := number.Parse([]byte(text))
	if !ok {
		panic("no number: " + text)
	}
	return k
}

// lookup looks a number up by its text; what is no number is not there.
func lookup(t *Table, text string) (Match, bool) {
	k, ok := number.Parse([]byte(text))
	if !ok {
		return Match{}, false
	}
	return t.Lookup(k)
}

func TestLookup(t *testing.T) {
	var b Builder
	require.NoError(t, b.Add(keyOf("+15550000001"), 1))
	require.NoError(t, b.Add(keyOf("15550000001"), 2))
	require.NoError(t, b.Add(keyOf("0110"), 3))
	require.NoError(t, b.Add(keyOf("110"), 4))
	require.NoError(t, b.Add(keyOf("0"), 5))
	require.NoError(t, b.Add(keyOf("999999999999999"), 6))
	require.NoError(t, b.AddRange(keyOf("+15550001000"), keyOf("+15550001999"), 7))
	require.NoError(t, b.AddRange(keyOf("+15550002000"), keyOf("+15550002000"), 8))
	require.NoError(t, b.AddRange(keyOf("1000"), keyOf("1999"), 9))
	require.NoError(t, b.AddPrefix(keyOf("+1555"), 10))
	require.NoError(t, b.AddPrefix(keyOf("+15550001"), 11))
	require.NoError(t, b.AddPrefix(keyOf("00"), 12))
	require.NoError(t, b.Add(keyOf("+15550001500"), 13))
	require.NoError(t, b.AddPrefix(keyOf("+44"), 14))
	require.NoError(t, b.AddPrefix(keyOf("123456789012345"), 15))
	table, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, 15, table.Len())

	for _, c := range []struct {
		name, number string
		route        uint32
		kind         Kind
		entry        string
	}{
		{"exact", "+15550000001", 1, Exact, "+15550000001"},
		{"without plus is another number", "15550000001", 2, Exact, "15550000001"},
		{"leading zero matters", "0110", 3, Exact, "0110"},
		{"no leading zero", "110", 4, Exact, "110"},
		{"one digit", "0", 5, Exact, "0"},
		{"longest number", "999999999999999", 6, Exact, "999999999999999"},
		{"first of a range", "+15550001000", 7, Range, "+15550001000-+15550001999"},
		{"last of a range", "+15550001999", 7, Range, "+15550001000-+15550001999"},
		{"range before prefix", "+15550001001", 7, Range, "+15550001000-+15550001999"},
		{"exact before range", "+15550001500", 13, Exact, "+15550001500"},
		{"range of one", "+15550002000", 8, Range, "+15550002000-+15550002000"},
		{"after a range", "+15550002001", 10, Prefix, "+1555*"},
		{"before a range", "+15550000999", 10, Prefix, "+1555*"},
		{"short range", "1555", 9, Range, "1000-1999"},
		{"prefix of another length than the range", "+155500010001", 11, Prefix, "+15550001*"},
		{"number equal to a prefix", "+1555", 10, Prefix, "+1555*"},
		{"leading zeros of a prefix", "00441", 12, Prefix, "00*"},
		{"prefix of two digits", "+442079460000", 14, Prefix, "+44*"},
		{"prefix as long as a number can be", "123456789012345", 15, Prefix, "123456789012345*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, ok := lookup(table, c.number)
			require.True(t, ok)
			require.Equal(t, c.route, m.Route)
			require.Equal(t, c.kind, m.Kind)
			require.Equal(t, c.entry, m.Entry())
		})
	}

	for _, c := range []struct{ name, number string }{
		{"empty", ""},
		{"plus alone", "+"},
		{"two pluses", "++1555"},
		{"letter", "+1555a"},
		{"separator", "+1-555"},
		{"too long", "+1555000000000000"},
		{"a million digits", strings.Repeat("1", 1_000_000)},
		{"NUL", "+1555\x00"},
		{"plus inside", "1+555"},
		{"not there", "4711"},
		{"range of another length", "10000"},
		{"shorter than a prefix", "+155"},
		{"prefix with plus, number without", "442079460000"},
		{"prefix without plus, number with", "+0044"},
	} {
		t.Run("no match: "+c.name, func(t *testing.T) {
			_, ok := lookup(table, c.number)
			require.False(t, ok)
		})
	}
}

func TestLookup_EmptyPrefixHoldsAllNumbers(t *testing.T) {
	var b Builder
	require.NoError(t, b.AddPrefix(keyOf(""), 1))
	require.NoError(t, b.AddPrefix(keyOf("+"), 2))
	table, err := b.Build()
	require.NoError(t, err)
	for number, route := range map[string]uint32{"110": 1, "+15550000001": 2} {
		m, ok := lookup(table, number)
		require.True(t, ok, number)
		require.Equal(t, route, m.Route, number)
	}

	b = Builder{}
	require.NoError(t, b.AddPrefix(keyOf(""), 1))
	table, err = b.Build()
	require.NoError(t, err)
	m, ok := lookup(table, "+15550000001")
	require.True(t, ok)
	require.Equal(t, "*", m.Entry())
	_, ok = lookup(table, "+")
	require.False(t, ok)
}

func TestLookup_EmptyTable(t *testing.T) {
	table, err := new(Builder).Build()
	require.NoError(t, err)
	_, ok := lookup(table, "+15550000001")
	require.False(t, ok)
	for _, k := range []number.Key{0, number.Empty, number.Plus} {
		_, ok = table.Lookup(k)
		require.False(t, ok, "a key of no digits")
	}
	require.Zero(t, table.Len())
}

// naive does what Table does, by comparing text.
type naive struct {
	exact    map[string]uint32
	ranges   [][2]string
	routes   []uint32
	prefixes map[string]uint32
}

func (n *naive) lookup(number string) (uint32, Kind, bool) {
	if r, ok := n.exact[number]; ok {
		return r, Exact, true
	}
	for i, r := range n.ranges {
		if len(r[0]) == len(number) && r[0][0] == '+' == (number[0] == '+') && r[0] <= number && number <= r[1] {
			return n.routes[i], Range, true
		}
	}
	for end := len(number); end >= 0; end-- {
		if r, ok := n.prefixes[number[:end]]; ok {
			return r, Prefix, true
		}
	}
	return 0, 0, false
}

// TestLookup_AgainstNaive uses few digits, so that entries meet.
func TestLookup_AgainstNaive(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		number := func(least int) string {
			var s strings.Builder
			if rnd.IntN(2) == 0 {
				s.WriteByte('+')
			}
			for range least + rnd.IntN(5) {
				s.WriteByte(byte('0' + rnd.IntN(3)))
			}
			return s.String()
		}
		var b Builder
		n := naive{exact: map[string]uint32{}, prefixes: map[string]uint32{}}
		for range rnd.IntN(60) {
			s, route := number(1), rnd.Uint32()
			if _, had := n.exact[s]; !had {
				n.exact[s] = route
				require.NoError(t, b.Add(keyOf(s), route))
			}
		}
		for range rnd.IntN(20) {
			s, route := number(0), rnd.Uint32()
			if _, had := n.prefixes[s]; !had {
				n.prefixes[s] = route
				require.NoError(t, b.AddPrefix(keyOf(s), route))
			}
		}
		for range rnd.IntN(40) {
			first := number(1)
			last := []byte(first)
			last[len(last)-1] += byte(rnd.IntN(3))
			free := true
			for _, r := range n.ranges {
				if len(r[0]) == len(first) && r[0][0] == '+' == (first[0] == '+') &&
					r[0] <= string(last) && first <= r[1] {
					free = false
				}
			}
			if free {
				n.ranges = append(n.ranges, [2]string{first, string(last)})
				n.routes = append(n.routes, rnd.Uint32())
				require.NoError(t, b.AddRange(keyOf(first), keyOf(string(last)), n.routes[len(n.routes)-1]))
			}
		}
		table, err := b.Build()
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, len(n.exact)+len(n.ranges)+len(n.prefixes), table.Len())
		for range 300 {
			s := number(1)
			m, ok := lookup(table, s)
			route, kind, want := n.lookup(s)
			require.Equal(t, want, ok, "seed %d, number %s", seed, s)
			require.Equal(t, route, m.Route, "seed %d, number %s", seed, s)
			require.Equal(t, kind, m.Kind, "seed %d, number %s", seed, s)
		}
	}
}

func TestLookup_AllocatesNothing(t *testing.T) {
	table := build(t, 1000)
	for _, number := range []string{"+15550000500", "+15559990500", "+1666", "+4920", "garbage"} {
		require.Zero(t, testing.AllocsPerRun(100, func() { lookup(table, number) }), number)
	}
}

func TestUpdate_AllocatesNothing(t *testing.T) {
	table := build(t, 1000)
	for name, change := range map[string]func(){
		"elsewhere":      func() { _ = table.Set(keyOf("+15550000500"), 7) },
		"remove and add": func() { table.Delete(keyOf("+15550000501")); _ = table.Set(keyOf("+15550000501"), 1) },
		"exclude":        func() { _ = table.Exclude(keyOf("+15550000502")) },
		"move one":       func() { table.MoveNumber(keyOf("+15550000503"), 503, 503) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, change), name)
	}
	// What a block costs does not depend on how many numbers it has.
	require.Less(t, testing.AllocsPerRun(100, func() { _, _ = table.Move(keyOf("+15550000000"), keyOf("+15550000255"), 0, 0) }), 10.0)
}

// build returns a table of n numbers in dense blocks, with some ranges and
// prefixes.
func build(t testing.TB, n int) *Table {
	var b Builder
	b.Grow(n)
	for i := range n {
		require.NoError(t, b.Add(plus(11, uint64(15550000000+i)), uint32(i)))
	}
	for i := range 100 {
		require.NoError(t, b.AddRange(plus(11, uint64(14440000000+i*10_000)), plus(11, uint64(14440009999+i*10_000)), uint32(i)))
	}
	for i := range 100 {
		require.NoError(t, b.AddPrefix(keyOf(fmt.Sprintf("+49%d", i)), uint32(i)))
	}
	table, err := b.Build()
	require.NoError(t, err)
	return table
}

// BenchmarkLookup looks random numbers up, each found in its own way or not at
// all. They are so many that a table of millions is not in the cache.
func BenchmarkLookup(b *testing.B) {
	const drawn = 1 << 20
	for _, n := range []int{10_000, 1_000_000, 10_000_000} {
		table := build(b, n)
		for _, kind := range []struct {
			name, format string
			count        int
		}{
			{"exact", "+1555%07d", n},
			{"range", "+1444%07d", 1_000_000},
			{"prefix", "+49%09d", 1_000_000_000},
			{"none", "+7%010d", 1_000_000_000},
		} {
			rnd := rand.New(rand.NewPCG(1, 1))
			list := make([]number.Key, drawn)
			for i := range list {
				list[i] = keyOf(fmt.Sprintf(kind.format, rnd.IntN(kind.count)))
			}
			b.Run(fmt.Sprintf("%d/%s", n, kind.name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					table.Lookup(list[i%drawn])
				}
			})
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	const n, drawn = 1_000_000, 1 << 16
	table := build(b, n)
	rnd := rand.New(rand.NewPCG(1, 1))
	numbers, others := make([]number.Key, drawn), make([]number.Key, drawn)
	for i := range drawn {
		numbers[i], others[i] = plus(11, uint64(15550000000+rnd.IntN(n))), plus(11, uint64(33000000000+rnd.IntN(n)))
	}
	b.Run("elsewhere", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_ = table.Set(numbers[i%drawn], uint32(i))
		}
	})
	b.Run("add and remove", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_ = table.Set(others[i%drawn], 1)
			table.Delete(others[i%drawn])
		}
	})
	b.Run("block of 10000", func(b *testing.B) {
		for i := range 10_000 {
			_ = table.Set(keyOf(fmt.Sprintf("+155501%05d", i)), 0)
		}
		for i := 0; b.Loop(); i++ {
			_, _ = table.Move(keyOf("+15550100000"), keyOf("+15550109999"), uint32(i), uint32(i+1))
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	const n = 1_000_000
	b.ReportAllocs()
	for b.Loop() {
		var builder Builder
		builder.Grow(n)
		for i := range n {
			if err := builder.Add(plus(11, uint64(15550000000+i)), uint32(i)); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := builder.Build(); err != nil {
			b.Fatal(err)
		}
	}
}
