package catalog

import "tandem/config/number"

// Part is some entries: how many, and the first few of them.
type Part struct {
	Count int
	First []Entry
}

func (p *Part) add(e Entry, most int) {
	if p.Count++; p.Count <= most {
		p.First = append(p.First, e)
	}
}

// Side is the numbers of one owner in a comparison.
type Side struct {
	List  []Numbers
	Files *NumberSet // sealed
}

// Apart returns what one of two owners has and the other has not: numbers,
// then ranges, then prefixes, each in order. It names the first most of each
// and takes O(n log n) for n numbers that are listed, O(n) for those of files.
func Apart(was, is Side, most int) (gone, come Part) {
	old, new := packList(was.List), packList(is.List)
	for kind := range kinds {
		a := either{old[kind].begin(), was.Files.begin(Kind(kind))}
		b := either{new[kind].begin(), is.Files.begin(Kind(kind))}
		for x, y := a.least(), b.least(); x.left > 0 || y.left > 0; x, y = a.least(), b.least() {
			switch {
			case y.left <= 0 || x.left > 0 && before(x.Entry, y.Entry):
				gone.add(x.Entry, most)
				x.next()
			case x.left <= 0 || before(y.Entry, x.Entry):
				come.add(y.Entry, most)
				y.next()
			default:
				x.next()
				y.next()
			}
		}
	}
	return gone, come
}

// packList packs a list.
func packList(list []Numbers) sorted {
	var first, last [kinds][]number.Key
	for _, n := range list {
		e := n.entry()
		first[e.Kind] = append(first[e.Kind], e.First)
		last[e.Kind] = append(last[e.Kind], e.Last)
	}
	var s sorted
	for kind := range s {
		s[kind] = pack(Kind(kind), first[kind], last[kind])
	}
	return s
}

// begin returns the first entry of a kind of a sealed set.
func (s *NumberSet) begin(kind Kind) cursor {
	if s == nil {
		return cursor{}
	}
	return s.sorted[kind].begin()
}

// either is two lists that are read as one.
type either [2]cursor

// least returns the cursor with the lesser entry, or one that is past the end.
func (e *either) least() *cursor {
	if e[0].left <= 0 || e[1].left > 0 && before(e[1].Entry, e[0].Entry) {
		return &e[1]
	}
	return &e[0]
}

func before(a, b Entry) bool {
	return a.First < b.First || a.First == b.First && a.Last < b.Last
}
