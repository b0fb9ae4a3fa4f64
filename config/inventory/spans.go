package inventory

import (
	"slices"
	"sort"

	"tandem/config/catalog"
	"tandem/config/number"
)

// spans is the ranges and prefixes that there are, and those that are added to
// them. Ranges never overlap, and none lies across the edge of a prefix or is
// wider than it; prefixes may be inside each other. Each check takes O(log n).
type spans struct {
	there, added [2]spanList // ranges, prefixes
	theirs       [2][]Number // those of there
	entries      [2][]catalog.Entry
	to           Owner // whom the added ones are for
}

// spanList is ranges or prefixes in the order of their keys.
type spanList struct {
	len int
	at  func(i int) catalog.Entry
}

func newSpans(s *Snapshot, to Owner) *spans {
	x := &spans{to: to}
	prefixes := sort.Search(len(s.Spans), func(i int) bool { return s.Spans[i].Entry.Kind == catalog.Prefix })
	x.theirs = [2][]Number{s.Spans[:prefixes], s.Spans[prefixes:]}
	for i, list := range x.theirs {
		x.there[i] = spanList{len(list), func(j int) catalog.Entry { return list[j].Entry }}
		x.added[i].at = func(j int) catalog.Entry { return x.entries[i][j] }
	}
	return x
}

func listOf(k catalog.Kind) int { return int(k - catalog.Range) }

// add adds a range or prefix that conflicts with none.
func (x *spans) add(e catalog.Entry) {
	k := listOf(e.Kind)
	x.entries[k] = slices.Insert(x.entries[k], x.added[k].after(e.First), e)
	x.added[k].len++
}

// conflict refuses a range or prefix that cannot be beside one that is there.
func (x *spans) conflict(e catalog.Entry, name func(Owner) string) *Refusal {
	for k := range x.there {
		if i := x.there[k].conflict(k, e); i >= 0 {
			n := x.theirs[k][i]
			return overlap(e, n.Entry, name(n.Owner))
		}
		if i := x.added[k].conflict(k, e); i >= 0 {
			return overlap(e, x.entries[k][i], name(x.to))
		}
	}
	return nil
}

func overlap(e, other catalog.Entry, owner string) *Refusal {
	its := other.String() + " of " + owner
	if owner == nobody {
		its = other.String() + ", which is unassigned"
	}
	inside := "; put the range wholly inside the prefix or wholly outside"
	text := "overlaps range " + its + "; a number has one owner, so let them not overlap"
	switch {
	case e.Kind == catalog.Prefix && other.Kind == catalog.Prefix:
		text = "is in the inventory already: " + its
	case e.Kind == catalog.Prefix:
		text = "overlaps range " + its + inside
	case other.Kind == catalog.Prefix:
		text = "overlaps prefix " + its + inside
	}
	return (&Refusal{Reason: Taken, Text: text}).blockedBy(other.String())
}

// conflict returns the place of one that an entry cannot be beside, or -1.
func (l spanList) conflict(list int, e catalog.Entry) int {
	prefixes := list == listOf(catalog.Prefix)
	switch {
	case prefixes && e.Kind == catalog.Prefix:
		return l.same(e.First)
	case prefixes:
		return l.cutBy(e)
	case e.Kind == catalog.Prefix:
		return l.cutting(e.First)
	}
	return l.overlapping(e)
}

// after returns the place of the first one with a key above k.
func (l spanList) after(k number.Key) int {
	return sort.Search(l.len, func(i int) bool { return l.at(i).First > k })
}

// same returns the prefix k, or -1.
func (l spanList) same(k number.Key) int {
	if i := l.after(k) - 1; i >= 0 && l.at(i).First == k {
		return i
	}
	return -1
}

// overlapping returns a range that has a number of another, or -1: the last one
// that begins before its end reaches farthest.
func (l spanList) overlapping(e catalog.Entry) int {
	if i := l.after(e.Last) - 1; i >= 0 && l.at(i).Last >= e.First {
		return i
	}
	return -1
}

// cutting returns a range that is partly inside the prefix p, or wider, or -1.
func (l spanList) cutting(p number.Key) int {
	if l.len == 0 {
		return -1
	}
	for form := p.Form(); form < number.Forms; form += 2 { // of more and more digits
		first, last, ok := p.Numbers(form)
		if !ok {
			continue
		}
		if i := l.after(first-1) - 1; i >= 0 && l.at(i).Last >= first {
			return i
		}
		if i := l.after(last) - 1; i >= 0 && l.at(i).Last > last {
			return i
		}
	}
	return -1
}

// cutBy returns a prefix that has some of a range's numbers, and not all, or -1.
func (l spanList) cutBy(r catalog.Entry) int {
	// Of prefixes with as many digits, those of the range's numbers lie between
	// those of its ends; where the ends share one, that has all.
	for first, last := r.First, r.Last; first != last && first > number.Plus; first, last = first.Cut(), last.Cut() {
		if i := l.after(last) - 1; i >= 0 && l.at(i).First >= first {
			return i
		}
	}
	return -1
}
