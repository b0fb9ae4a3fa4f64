package catalog

import (
	"slices"
	"sort"

	"tandem/config/number"
)

// NumberSet is the numbers that an owner has from files, which may be millions:
// eight bytes each while they are read, with their places, and a byte or two
// once the set is sealed, which forgets the places. It holds no pointers for
// the collector to walk. A nil set is an empty one.
type NumberSet struct {
	files []sourceFile
	read  [kinds]column // until it is sealed, in the order read
	sorted
}

// sorted is entries by kind, packed.
type sorted [kinds]packed

// kinds is how many kinds of Numbers there are.
const kinds = int(Prefix) + 1

// sourceFile is a file that numbers come from.
type sourceFile struct {
	name  string
	index int // among the files of the owner
}

// Place is where an entry stands in a file of numbers; the zero Place is none.
type Place struct {
	File string
	Line int // from 1
}

// column is entries of one kind in the order read.
type column struct {
	first, last []number.Key // last of ranges only
	runs        []run
}

// run is entries on consecutive lines, as most are.
type run struct {
	entry int    // the first one
	line  uint32 // its line
	file  uint32
}

// Begin says that what is added from now on comes from a file; index is the
// file's place among those of the owner.
func (s *NumberSet) Begin(file string, index int) {
	s.files = append(s.files, sourceFile{file, index})
}

// Add adds an entry of a line of the file begun last.
func (s *NumberSet) Add(e Entry, line int) {
	c := &s.read[e.Kind]
	file, n := uint32(len(s.files)-1), len(c.first)
	if r := len(c.runs) - 1; r < 0 || c.runs[r].file != file || line-int(c.runs[r].line) != n-c.runs[r].entry {
		c.runs = append(c.runs, run{entry: n, line: uint32(line), file: file})
	}
	c.first = append(c.first, e.First)
	if e.Kind == Range {
		c.last = append(c.last, e.Last)
	}
}

// Grow makes room for n more numbers.
func (s *NumberSet) Grow(n int) { s.read[Exact].first = slices.Grow(s.read[Exact].first, n) }

// Seal ends the reading: the set packs its entries and forgets their places.
func (s *NumberSet) Seal() {
	if s == nil || s.files == nil {
		return
	}
	for kind := range s.read {
		s.sorted[kind] = pack(Kind(kind), s.read[kind].first, s.read[kind].last)
		s.read[kind] = column{}
	}
	s.files = nil
}

// Len is how many entries there are, a range or prefix as one.
func (s *NumberSet) Len() int {
	n := 0
	for kind := range kinds {
		n += s.count(Kind(kind))
	}
	return n
}

// Bytes is how much memory the entries take.
func (s *NumberSet) Bytes() int {
	n := 0
	if s != nil {
		for kind := range kinds {
			c := &s.read[kind]
			n += len(s.sorted[kind].data) + 8*(len(c.first)+len(c.last)) + 16*len(c.runs)
		}
	}
	return n
}

// count is how many entries of a kind there are.
func (s *NumberSet) count(kind Kind) int {
	if s == nil {
		return 0
	}
	return len(s.read[kind].first) + s.sorted[kind].n
}

// each calls f for all entries of a kind, in order of their keys if the set is
// sealed, else in the order read.
func (s *NumberSet) each(kind Kind, f func(i int, e Entry)) {
	if s == nil {
		return
	}
	c := &s.read[kind]
	for i, first := range c.first {
		e := Entry{Kind: kind, First: first}
		if kind == Range {
			e.Last = c.last[i]
		}
		f(i, e)
	}
	for i, p := 0, s.sorted[kind].begin(); p.left > 0; i++ {
		f(i, p.Entry)
		p.next()
	}
}

// find returns the entry of a kind that each calls the i-th.
func (s *NumberSet) find(kind Kind, i int) (found Entry) {
	s.each(kind, func(j int, e Entry) {
		if i == j {
			found = e
		}
	})
	return found
}

// place returns where an entry was read, and the file's place among those of
// the owner.
func (s *NumberSet) place(kind Kind, i int) (at Place, index int) {
	r := s.read[kind].run(i)
	if r == nil {
		return Place{}, 0 // sealed: forgotten
	}
	file := s.files[r.file]
	return Place{File: file.name, Line: int(r.line) + i - r.entry}, file.index
}

// run returns the run that an entry is in, or nil.
func (c *column) run(i int) *run {
	if len(c.runs) == 0 {
		return nil
	}
	return &c.runs[sort.Search(len(c.runs), func(j int) bool { return c.runs[j].entry > i })-1]
}

// fileOf returns which of the files an entry was read from; of a sealed set
// there is one.
func (s *NumberSet) fileOf(kind Kind, i int) int {
	if r := s.read[kind].run(i); r != nil {
		return int(r.file)
	}
	return 0
}

func (s *NumberSet) fileCount() int {
	if s == nil {
		return 0
	}
	return max(1, len(s.files))
}

// fileIndex returns the place of a file among those of the owner.
func (s *NumberSet) fileIndex(file int) int {
	if s.files == nil {
		return 0
	}
	return s.files[file].index
}

// HasNumbers reports whether the connector has numbers of its own.
func (c *Connector) HasNumbers() bool { return c.NumberCount() > 0 }

// NumberCount is how many entries the connector has, a range or prefix as one.
func (c *Connector) NumberCount() int { return len(c.Numbers) + c.FileNumbers.Len() }

// EachNumber calls f for every entry of the connector until it fails, in no
// order that means anything.
func (c *Connector) EachNumber(f func(Entry) error) error {
	return eachNumber(c.Numbers, c.FileNumbers, f)
}

// HasNumbers reports whether the group has numbers.
func (g *Group) HasNumbers() bool { return g.NumberCount() > 0 }

// NumberCount is how many entries the group has, a range or prefix as one.
func (g *Group) NumberCount() int { return len(g.Numbers) + g.FileNumbers.Len() }

// EachNumber calls f for every entry of the group until it fails, in no order
// that means anything.
func (g *Group) EachNumber(f func(Entry) error) error {
	return eachNumber(g.Numbers, g.FileNumbers, f)
}

func eachNumber(list []Numbers, set *NumberSet, f func(Entry) error) error {
	for _, n := range list {
		if err := n.check(); err != nil {
			return err
		}
		if err := f(n.entry()); err != nil {
			return err
		}
	}
	var err error
	for kind := range kinds {
		set.each(Kind(kind), func(_ int, e Entry) {
			if err == nil {
				err = f(e)
			}
		})
	}
	return err
}
