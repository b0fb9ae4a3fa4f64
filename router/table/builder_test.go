package table

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuilder_RefusesWhatIsNoNumber(t *testing.T) {
	var b Builder
	for _, s := range []string{"", "+", "a", "+1 555", "1234567890123456", "+1234567890123456", "1*"} {
		require.Error(t, b.Add(s, 1), s)
		require.Error(t, b.AddRange(s, "1", 1), s)
		require.Error(t, b.AddRange("1", s, 1), s)
	}
	for _, s := range []string{"a", "1*", "1234567890123456", "++"} {
		require.Error(t, b.AddPrefix(s, 1), s)
	}
	require.EqualError(t, b.AddRange("10", "100", 1), "range 10-100: the ends differ in length or in their +")
	require.EqualError(t, b.AddRange("+10", "20", 1), "range +10-20: the ends differ in length or in their +")
	require.EqualError(t, b.AddRange("20", "10", 1), "range 20-10: the end is before the start")
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
		{"same number", func(b *Builder) { b.Add("+1555", 1); b.Add("+1555", 2) },
			"number +1555 has two routes, 1 and 2"},
		{"same prefix", func(b *Builder) { b.AddPrefix("+1555", 1); b.AddPrefix("+1555", 2) },
			"prefix +1555* has two routes, 1 and 2"},
		{"ranges that share an end", func(b *Builder) { b.AddRange("10", "20", 1); b.AddRange("20", "30", 2) },
			"ranges 10-20 of route 1 and 20-30 of route 2 overlap"},
		{"range inside another", func(b *Builder) { b.AddRange("10", "20", 1); b.AddRange("12", "13", 2) },
			"ranges 10-20 of route 1 and 12-13 of route 2 overlap"},
		{"same range", func(b *Builder) { b.AddRange("10", "20", 1); b.AddRange("10", "20", 2) },
			"ranges 10-20 of route 1 and 10-20 of route 2 overlap"},
		{"range behind one that holds another", func(b *Builder) {
			b.AddRange("10", "30", 1)
			b.AddRange("11", "12", 1)
			b.AddRange("25", "40", 2)
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
		require.NoError(t, b.Add(fmt.Sprint(i), 1))
		require.NoError(t, b.Add(fmt.Sprint(i), 2))
	}
	_, err := b.Build()
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, maxConflicts+1)
	require.Equal(t, "and 990 more conflicts", lines[maxConflicts])
}

func TestBuild_TwiceTheSameIsOne(t *testing.T) {
	var b Builder
	for range 2 {
		require.NoError(t, b.Add("1", 1))
		require.NoError(t, b.AddPrefix("1", 1))
		require.NoError(t, b.AddRange("10", "20", 1))
	}
	require.NoError(t, b.AddRange("15", "25", 1)) // becomes 10-25
	require.NoError(t, b.AddRange("26", "30", 2)) // a neighbour
	require.NoError(t, b.AddRange("010", "020", 3))
	require.NoError(t, b.AddRange("+10", "+20", 4))
	table, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, 6, table.Len())
	for number, want := range map[string]string{"22": "10-25", "25": "10-25", "26": "26-30", "015": "010-020", "+15": "+10-+20"} {
		m, ok := table.Lookup([]byte(number))
		require.True(t, ok, number)
		require.Equal(t, want, m.Entry())
	}
}

func TestBuilder_CanBuildAgain(t *testing.T) {
	var b Builder
	require.NoError(t, b.AddRange("20", "30", 1))
	require.NoError(t, b.AddRange("10", "15", 1))
	first, err := b.Build()
	require.NoError(t, err)
	require.NoError(t, b.Add("1", 1))
	second, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, 2, first.Len())
	require.Equal(t, 3, second.Len())
}
