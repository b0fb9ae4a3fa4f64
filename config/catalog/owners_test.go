package catalog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The sweeps find what comparing every two entries finds.
func TestCheckOwnersAgainstNaive(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		c := randomNumbers(rnd)
		entries := flatten(c)
		conflicts := make(map[[2]string]bool)
		wrong := make(map[string]bool) // entries in conflict
		for i, a := range entries {
			for _, b := range entries[i+1:] {
				if conflict(a, b) {
					conflicts[[2]string{a.path, b.path}] = true
					conflicts[[2]string{b.path, a.path}] = true
					wrong[a.path], wrong[b.path] = true, true
				}
			}
		}

		reported := make(map[string]bool)
		for _, p := range c.Check() {
			if p.Warning || !strings.Contains(p.Path, ".numbers") {
				continue
			}
			path, other := placed(p.Path, p.At), placed(p.Other, p.OtherAt)
			require.True(t, conflicts[[2]string{path, other}], "seed %d: %+v", seed, p)
			require.False(t, reported[path] && !strings.Contains(p.Text, "range"), "seed %d: %+v twice", seed, p)
			reported[path], reported[other] = true, true
		}
		// Of entries that conflict with each other, all are named in some
		// problem: correcting the named ones corrects the catalog.
		for path := range wrong {
			if reported[path] {
				continue
			}
			for pair := range conflicts {
				if pair[0] == path {
					require.True(t, reported[pair[1]], "seed %d: %s against %s not reported", seed, path, pair[1])
				}
			}
		}
		require.Equal(t, len(conflicts) > 0, len(reported) > 0, "seed %d", seed)
	}
}

type entry struct {
	path string
	Numbers
	members []string
}

// placed is a path that tells the lines of files apart.
func placed(path string, at Place) string {
	if at == (Place{}) {
		return path
	}
	return fmt.Sprintf("%s, %s:%d", path, at.File, at.Line)
}

// fileEntries are the entries of a set that was read by readInto.
func fileEntries(path string, s *NumberSet) (entries []entry) {
	for kind := range kinds {
		s.each(Kind(kind), func(i int, e Entry) {
			at, file := s.place(Kind(kind), i)
			entries = append(entries, entry{placed(fmt.Sprintf("%s.numbers_file[%d]", path, file), at), e.Numbers(), members(e.Numbers())})
		})
	}
	return entries
}

// readInto makes a set of files of entries, with gaps between their lines.
func readInto(rnd *rand.Rand, files ...[]Numbers) *NumberSet {
	s := new(NumberSet)
	for i, list := range files {
		s.Begin(fmt.Sprintf("%d.csv", i), i)
		line := 0
		for _, n := range list {
			line += 1 + rnd.IntN(2)
			s.Add(n.entry(), line)
		}
	}
	return s
}

func flatten(c *Catalog) []entry {
	var entries []entry
	for i := range c.Connectors {
		for j, n := range c.Connectors[i].Numbers {
			entries = append(entries, entry{fmt.Sprintf("connectors[%d].numbers[%d]", i, j), n, members(n)})
		}
		entries = append(entries, fileEntries(at("connectors", i), c.Connectors[i].FileNumbers)...)
	}
	for i := range c.Groups {
		for j, n := range c.Groups[i].Numbers {
			entries = append(entries, entry{fmt.Sprintf("groups[%d].numbers[%d]", i, j), n, members(n)})
		}
		entries = append(entries, fileEntries(at("groups", i), c.Groups[i].FileNumbers)...)
	}
	return entries
}

// conflict is the rule, spelled out on sets of numbers of at most two digits.
func conflict(a, b entry) bool {
	if a.Kind > b.Kind {
		a, b = b, a
	}
	switch {
	case a.Kind != b.Kind && a.Kind == Exact:
		return false
	case a.Kind == b.Kind && a.Kind != Range:
		return a.Numbers == b.Numbers
	}
	// Two ranges, or a range and a prefix: sets of numbers.
	shared, outside := 0, 0
	for _, n := range a.members {
		if slices.Contains(b.members, n) {
			shared++
		} else {
			outside++
		}
	}
	if b.Kind == Range {
		return shared > 0
	}
	return shared > 0 && outside > 0
}

// members returns the numbers of at most two digits in a range or prefix.
func members(n Numbers) []string {
	var list []string
	for _, plus := range []string{"", "+"} {
		for digits := 1; digits <= 2; digits++ {
			for v := range []int{0, 10, 100}[digits] {
				s := fmt.Sprintf("%s%0*d", plus, digits, v)
				in := n.Kind == Prefix && strings.HasPrefix(s, n.First) ||
					n.Kind == Range && len(s) == len(n.First) && s >= n.First && s <= n.Last && (plus == "") == (n.First[0] != '+')
				if in {
					list = append(list, s)
				}
			}
		}
	}
	return list
}

// randomNumbers returns a catalog of few, short numbers, so that many conflict.
func randomNumbers(rnd *rand.Rand) *Catalog {
	number := func() string {
		plus := []string{"", "+"}[rnd.IntN(2)]
		if rnd.IntN(2) == 0 {
			return fmt.Sprintf("%s%d", plus, rnd.IntN(10))
		}
		return fmt.Sprintf("%s%02d", plus, rnd.IntN(100))
	}
	list := func() []Numbers {
		var numbers []Numbers
		for range rnd.IntN(5) {
			n := Numbers{Kind: Kind(rnd.IntN(3)), First: number()}
			for n.Kind == Range && (n.Last == "" || n.check() != nil) {
				n.Last = number()
			}
			numbers = append(numbers, n)
		}
		return numbers
	}
	files := func() *NumberSet {
		if rnd.IntN(2) == 0 {
			return nil
		}
		return readInto(rnd, list(), list())
	}
	c := &Catalog{}
	for i := range rnd.IntN(3) {
		c.Connectors = append(c.Connectors, Connector{Name: fmt.Sprintf("c%d", i), Numbers: list(), FileNumbers: files()})
	}
	for i := range rnd.IntN(3) {
		c.Groups = append(c.Groups, Group{Name: fmt.Sprintf("g%d", i), Numbers: list(), FileNumbers: files()})
	}
	return c
}

func BenchmarkCheckMillion(b *testing.B) {
	numbers := make([]Numbers, 0, 1_000_000)
	for i := range 900_000 {
		numbers = append(numbers, Numbers{First: fmt.Sprintf("+1555%07d", i)})
	}
	for i := range 50_000 {
		numbers = append(numbers, Numbers{Kind: Range, First: fmt.Sprintf("+1666%05d00", i), Last: fmt.Sprintf("+1666%05d99", i)})
		numbers = append(numbers, Numbers{Kind: Prefix, First: fmt.Sprintf("+1777%05d", i)})
	}
	c := &Catalog{
		Connectors: []Connector{{Name: "a", Hosts: []Host{{Priority: 1, Weight: 1}}}},
		Groups:     []Group{{Name: "a", Connectors: []Member{{Connector: "a", Priority: 1}}, Numbers: numbers}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if problems := c.Check(); len(problems) > 0 {
			b.Fatal(problems[0])
		}
	}
}
