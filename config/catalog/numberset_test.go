package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

func parsed(t *testing.T, texts ...string) []Numbers {
	t.Helper()
	list := make([]Numbers, len(texts))
	for i, text := range texts {
		var err error
		list[i], err = ParseNumbers(text)
		require.NoError(t, err)
	}
	return list
}

func entriesOf(t *testing.T, each func(func(Entry) error) error) (texts []string) {
	t.Helper()
	require.NoError(t, each(func(e Entry) error {
		texts = append(texts, e.String())
		return nil
	}))
	return texts
}

func TestNumberSet(t *testing.T) {
	set := new(NumberSet)
	for i, file := range []string{"a.csv", "b.csv"} {
		set.Begin(file, i)
		for _, line := range []struct {
			line int
			text string
		}{{1, "200"}, {2, "100"}, {3, "+1556*"}, {5, "0100"}, {6, "100-199"}, {9, "+1555*"}, {10, "+15550000001"}} {
			e, err := ParseEntry([]byte(line.text))
			require.NoError(t, err)
			set.Add(e, line.line)
		}
	}
	for i, want := range []Place{{"a.csv", 1}, {"a.csv", 2}, {"a.csv", 5}, {"a.csv", 10}, {"b.csv", 1}, {"b.csv", 2}, {"b.csv", 5}, {"b.csv", 10}} {
		at, file := set.place(Exact, i)
		require.Equal(t, want, at)
		require.Equal(t, i/4, file)
	}
	g := Group{Numbers: parsed(t, "300"), FileNumbers: set}
	before := entriesOf(t, g.EachNumber)
	require.Equal(t, 14, set.Len())
	set.Seal()
	set.Seal() // again is nothing
	after := entriesOf(t, g.EachNumber)
	require.Equal(t, []string{"300", "100", "100", "200", "200", "0100", "0100", "+15550000001", "+15550000001",
		"100-199", "100-199", "+1555*", "+1555*", "+1556*", "+1556*"}, after)
	require.ElementsMatch(t, before, after)
	require.Equal(t, 15, g.NumberCount())
	at, _ := set.place(Exact, 0)
	require.Zero(t, at)
	require.Equal(t, "100", set.find(Exact, 1).String())
}

func TestNumberSetNone(t *testing.T) {
	var none *NumberSet
	none.Seal()
	require.Zero(t, none.Len())
	require.Zero(t, none.Bytes())
	require.False(t, (&Group{}).HasNumbers())
	require.False(t, (&Connector{FileNumbers: new(NumberSet)}).HasNumbers())
	require.Empty(t, entriesOf(t, (&Group{}).EachNumber))
}

// An entry that is none, and one that is refused, end it.
func TestEachNumberFails(t *testing.T) {
	c := Connector{Numbers: []Numbers{{First: "1"}, {First: "1a"}}, FileNumbers: readInto(rand.New(rand.NewPCG(1, 1)), parsed(t, "2", "3", "4-5"))}
	calls := 0
	require.ErrorContains(t, c.EachNumber(func(Entry) error { calls++; return nil }), `"1a" is not a number`)
	require.Equal(t, 1, calls)
	c.Numbers = nil
	refused := errors.New("refused")
	require.Equal(t, refused, c.EachNumber(func(Entry) error { calls++; return refused }))
	require.Equal(t, 2, calls)
}

// A number takes a byte or two where there are many.
func TestNumberSetIsSmall(t *testing.T) {
	const n = 100_000
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		name string
		most float64 // bytes a number
		key  func(i int) number.Key
	}{
		{"a block", 1.01, func(i int) number.Key { return keyOf(fmt.Sprintf("+1555%07d", i)) }},
		{"one in a thousand", 2.01, func(i int) number.Key { return keyOf(fmt.Sprintf("+1%09d", rnd.IntN(1e8))) }},
	} {
		set := new(NumberSet)
		set.Begin("numbers.csv", 0)
		for i := range n {
			set.Add(Entry{First: c.key(i)}, i+1)
		}
		require.Equal(t, 8*n+16, set.Bytes(), c.name)
		set.Seal()
		require.LessOrEqual(t, float64(set.Bytes()), c.most*n, c.name)
	}
}

// Apart finds what comparing sorted lists finds, however entries are divided
// between the list and the files.
func TestApartAgainstNaive(t *testing.T) {
	order := func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
	}
	all := func(s Side) (entries []Entry) {
		_ = eachNumber(s.List, s.Files, func(e Entry) error { entries = append(entries, e); return nil })
		slices.SortFunc(entries, order)
		return entries
	}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		side := func() Side {
			c := randomNumbers(rnd)
			var s Side
			for i := range c.Groups {
				s.List = append(s.List, c.Groups[i].Numbers...)
				if c.Groups[i].FileNumbers != nil {
					s.Files = c.Groups[i].FileNumbers
				}
			}
			s.Files.Seal()
			return s
		}
		was, is := side(), side()
		gone, come := Apart(was, is, 1000)
		wantGone, wantCome := all(was), all(is)
		for _, e := range slices.Clone(wantGone) {
			if i := slices.Index(wantCome, e); i >= 0 {
				j := slices.Index(wantGone, e)
				wantGone, wantCome = slices.Delete(wantGone, j, j+1), slices.Delete(wantCome, i, i+1)
			}
		}
		require.True(t, slices.Equal(wantGone, gone.First), "seed %d", seed)
		require.True(t, slices.Equal(wantCome, come.First), "seed %d", seed)
		few, _ := Apart(was, is, 2)
		require.Equal(t, gone.Count, few.Count)
		require.Equal(t, gone.First[:min(2, len(gone.First))], few.First[:min(2, len(few.First))])
		same, none := Apart(was, was, 5)
		require.Zero(t, same.Count+none.Count)
	}
}

// Of the conflicts of one file some are named and the rest counted.
func TestCheckNamesSome(t *testing.T) {
	const n = 1000
	set := new(NumberSet)
	for i := range 2 {
		set.Begin("numbers.csv", i)
		for j := range n {
			set.Add(Entry{First: keyOf(fmt.Sprintf("1%04d", j))}, j+1)
			set.Add(Entry{Kind: Prefix, First: keyOf(fmt.Sprintf("2%04d", j))}, j+1)
		}
	}
	c := &Catalog{Connectors: []Connector{{Name: "a", Hosts: []Host{{Priority: 1, Weight: 1}}, FileNumbers: set}}}
	problems := c.Check()
	require.Len(t, problems, MaxNamed+1)
	require.Equal(t, Problem{
		Path: "connectors[0].numbers_file[1]", Other: "connectors[0].numbers_file[0]",
		At: Place{"numbers.csv", 1}, OtherAt: Place{"numbers.csv", 1}, Text: "number 10000 is listed twice; remove one",
	}, problems[0])
	require.Equal(t, Problem{Path: "connectors[0].numbers_file[1]", More: 2*n - MaxNamed}, problems[MaxNamed])
}
