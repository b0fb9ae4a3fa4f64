package table

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

func TestBuilder_RefusesWhatIsNoNumber(t *testing.T) {
	var b Builder
	for _, k := range []number.Key{0, number.Empty, number.Plus} {
		require.Error(t, b.Add(k, 1))
		require.Error(t, b.Exclude(k))
		require.Error(t, b.AddRange(k, keyOf("1"), 1))
		require.Error(t, b.AddRange(keyOf("1"), k, 1))
	}
	require.EqualError(t, b.Add(number.Plus, 1), `number "+" has no digits`)
	require.Error(t, b.AddPrefix(0, 1))
	require.EqualError(t, b.AddRange(keyOf("10"), keyOf("100"), 1), "range 10-100: the ends differ in length or in their +")
	require.EqualError(t, b.AddRange(keyOf("+10"), keyOf("20"), 1), "range +10-20: the ends differ in length or in their +")
	require.EqualError(t, b.AddRange(keyOf("20"), keyOf("10"), 1), "range 20-10: the end is before the start")
	table, err := b.Build()
	require.NoError(t, err)
	require.Zero(t, table.Len(), "what was refused is not in the table")
}

func TestBuild_Conflicts(t *testing.T) {
	for _, c := range []struct {
		name string
		add  func(b *Builder)
		want string
	}{
		{"same number", func(b *Builder) { b.Add(keyOf("+1555"), 1); b.Add(keyOf("+1555"), 2) },
			"number +1555 has two routes, 1 and 2"},
		{"same prefix", func(b *Builder) { b.AddPrefix(keyOf("+1555"), 1); b.AddPrefix(keyOf("+1555"), 2) },
			"prefix +1555* has two routes, 1 and 2"},
		{"ranges that share an end", func(b *Builder) { b.AddRange(keyOf("10"), keyOf("20"), 1); b.AddRange(keyOf("20"), keyOf("30"), 2) },
			"ranges 10-20 of route 1 and 20-30 of route 2 overlap"},
		{"range inside another", func(b *Builder) { b.AddRange(keyOf("10"), keyOf("20"), 1); b.AddRange(keyOf("12"), keyOf("13"), 2) },
			"ranges 10-20 of route 1 and 12-13 of route 2 overlap"},
		{"same range", func(b *Builder) { b.AddRange(keyOf("10"), keyOf("20"), 1); b.AddRange(keyOf("10"), keyOf("20"), 2) },
			"ranges 10-20 of route 1 and 10-20 of route 2 overlap"},
		{"range behind one that holds another", func(b *Builder) {
			b.AddRange(keyOf("10"), keyOf("30"), 1)
			b.AddRange(keyOf("11"), keyOf("12"), 1)
			b.AddRange(keyOf("25"), keyOf("40"), 2)
		}, "ranges 10-30 of route 1 and 25-40 of route 2 overlap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b Builder
			c.add(&b)
			table, err := b.Build()
			require.EqualError(t, err, c.want)
			require.Nil(t, table)
		})
	}
}

func TestBuild_NamesTheFirstConflicts(t *testing.T) {
	var b Builder
	for i := range 1000 {
		require.NoError(t, b.Add(keyOf(fmt.Sprint(i)), 1))
		require.NoError(t, b.Add(keyOf(fmt.Sprint(i)), 2))
	}
	_, err := b.Build()
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, maxConflicts+1)
	require.Equal(t, "and 990 more conflicts", lines[maxConflicts])
}

func TestBuild_TwiceTheSameIsOne(t *testing.T) {
	var b Builder
	for range 2 {
		require.NoError(t, b.Add(keyOf("1"), 1))
		require.NoError(t, b.AddPrefix(keyOf("1"), 1))
		require.NoError(t, b.AddRange(keyOf("10"), keyOf("20"), 1))
	}
	require.NoError(t, b.AddRange(keyOf("15"), keyOf("25"), 1)) // becomes 10-25
	require.NoError(t, b.AddRange(keyOf("26"), keyOf("30"), 2)) // a neighbour
	require.NoError(t, b.AddRange(keyOf("010"), keyOf("020"), 3))
	require.NoError(t, b.AddRange(keyOf("+10"), keyOf("+20"), 4))
	table, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, 6, table.Len())
	for number, want := range map[string]string{"22": "10-25", "25": "10-25", "26": "26-30", "015": "010-020", "+15": "+10-+20"} {
		m, ok := lookup(table, number)
		require.True(t, ok, number)
		require.Equal(t, want, m.Entry())
	}
}

func TestBuild_LeavesTheBuilderEmpty(t *testing.T) {
	var b Builder
	require.NoError(t, b.AddRange(keyOf("10"), keyOf("20"), 1))
	require.NoError(t, b.Add(keyOf("1"), 1))
	require.NoError(t, b.AddPrefix(keyOf("2"), 1))
	first, err := b.Build()
	require.NoError(t, err)
	require.NoError(t, b.Add(keyOf("1"), 2))
	require.NoError(t, b.Add(keyOf("1"), 3))
	_, err = b.Build()
	require.EqualError(t, err, "number 1 has two routes, 2 and 3")
	second, err := b.Build()
	require.NoError(t, err, "nothing is left of what was refused")
	require.Zero(t, second.Len())
	require.Equal(t, 3, first.Len())
	m, _ := lookup(first, "1")
	require.Equal(t, uint32(1), m.Route)
}

// TestBuilder_Grow: room for too few, or for more of what is there, is fine.
func TestBuilder_Grow(t *testing.T) {
	var b Builder
	want := make(map[number.Key]owner)
	for i := range 5000 {
		if i%1000 == 0 {
			b.Grow(i / 2)
		}
		k := plus(11, uint64(15550000000+i))
		require.NoError(t, b.Add(k, uint32(i)))
		want[k] = owner(i)
	}
	table, err := b.Build()
	require.NoError(t, err)
	check(t, table.exact.words.Load(), want)
}
