package catalog

import (
	"cmp"
	"slices"
	"sort"
)

// owners is all entries of a catalog, each with a place among them: those of
// connectors first, of each owner its list and then its files.
type owners struct {
	catalog *Catalog
	lists   []entries
	total   int
}

// entries is a list of numbers or the files of one owner.
type entries struct {
	index int // among the lists of all
	owner int // connectors, then groups
	start int // the place of the first entry
	list  []Numbers
	wrong map[int]bool // of list, those that are no numbers
	set   *NumberSet
}

func (k *checker) owners() *owners {
	o := &owners{catalog: k.catalog}
	add := func(path string, list []Numbers, set *NumberSet) {
		owner := len(o.lists) / 2
		var wrong map[int]bool
		for i, n := range list {
			if err := n.check(); err != nil {
				k.fail(at(path+".numbers", i), "%v", err)
				if wrong == nil {
					wrong = make(map[int]bool)
				}
				wrong[i] = true
			}
		}
		o.lists = append(o.lists, entries{index: len(o.lists), owner: owner, start: o.total, list: list, wrong: wrong})
		o.total += len(list)
		o.lists = append(o.lists, entries{index: len(o.lists), owner: owner, start: o.total, set: set})
		o.total += set.Len()
	}
	for i := range k.catalog.Connectors {
		add(at("connectors", i), k.catalog.Connectors[i].Numbers, k.catalog.Connectors[i].FileNumbers)
	}
	for i := range k.catalog.Groups {
		add(at("groups", i), k.catalog.Groups[i].Numbers, k.catalog.Groups[i].FileNumbers)
	}
	return o
}

// count is how many entries of a kind there are, and perhaps some more.
func (o *owners) count(kind Kind) int {
	n := 0
	for _, l := range o.lists {
		n += l.set.count(kind)
		if kind == Exact {
			n += len(l.list)
		}
	}
	return n
}

// each calls f for all entries of a kind, by their places.
func (o *owners) each(kind Kind, f func(entry int, e Entry)) {
	for _, l := range o.lists {
		for i, n := range l.list {
			if n.Kind == kind && !l.wrong[i] {
				f(l.start+i, n.entry())
			}
		}
		start := l.start
		for before := range kind {
			start += l.set.count(before)
		}
		l.set.each(kind, func(i int, e Entry) { f(start+i, e) })
	}
}

// spans returns all ranges or all prefixes, sorted.
func (o *owners) spans(kind Kind) []span {
	list := make([]span, 0, o.count(kind))
	o.each(kind, func(entry int, e Entry) { list = append(list, span{e.First, e.Last, entry}) })
	slices.SortFunc(list, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.entry, b.entry))
	})
	return list
}

// find returns the list of an entry, its kind if that is a set, and its index
// there.
func (o *owners) find(entry int) (l *entries, kind Kind, i int) {
	// Of lists that begin at one place, all but the last are empty.
	l = &o.lists[sort.Search(len(o.lists), func(i int) bool { return o.lists[i].start > entry })-1]
	i = entry - l.start
	if l.set == nil {
		return l, 0, i
	}
	for kind < Prefix && i >= l.set.count(kind) {
		i -= l.set.count(kind)
		kind++
	}
	return l, kind, i
}

func (o *owners) entry(entry int) Entry {
	l, kind, i := o.find(entry)
	if l.set == nil {
		return l.list[i].entry()
	}
	return l.set.find(kind, i)
}

// spot is where an entry stands.
type spot struct {
	Place
	owner int
	path  string // "groups[0].numbers[3]", "groups[0].numbers_file[0]"
}

func (o *owners) place(entry int) spot {
	l, kind, i := o.find(entry)
	s := spot{owner: l.owner}
	if l.set == nil {
		s.path = at(o.path(l.owner)+".numbers", i)
		return s
	}
	var file int
	s.Place, file = l.set.place(kind, i)
	s.path = at(o.path(l.owner)+".numbers_file", file)
	return s
}

// ownersFile is one of the files of a list.
type ownersFile struct{ list, file int }

// file returns the file that an entry stands in, if it does.
func (o *owners) file(entry int) (f ownersFile, ok bool) {
	l, kind, i := o.find(entry)
	if l.set == nil {
		return f, false
	}
	return ownersFile{l.index, l.set.fileOf(kind, i)}, true
}

func (o *owners) filePath(f ownersFile) string {
	l := &o.lists[f.list]
	return at(o.path(l.owner)+".numbers_file", l.set.fileIndex(f.file))
}

func (o *owners) path(owner int) string {
	if n := len(o.catalog.Connectors); owner >= n {
		return at("groups", owner-n)
	}
	return at("connectors", owner)
}

func (o *owners) name(owner int) string {
	if n := len(o.catalog.Connectors); owner >= n {
		return "group " + quote(o.catalog.Groups[owner-n].Name)
	}
	return "connector " + quote(o.catalog.Connectors[owner].Name)
}
