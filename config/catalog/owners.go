package catalog

import (
	"cmp"
	"slices"
	"sort"

	"tandem/config/number"
)

// MaxNamed is how many problems of one file of numbers are named; the others
// are counted.
const MaxNamed = 20

// checkOwners finds numbers with two owners. The most specific entry wins, so
// an exact number inside a range or prefix, a range inside a prefix and a
// longer prefix inside a shorter one are legal. Left are: the same number
// twice, the same prefix twice, ranges that overlap, and a range that is only
// partly inside a prefix, or wider than it: neither is the more specific.
func (k *checker) checkOwners() {
	o := k.owners()
	k.checkExact(o)
	ranges, prefixes := o.spans(Range), o.spans(Prefix)
	found := twice(prefixes)
	found = append(found, overlaps(ranges)...)
	found = append(found, across(prefixes, ranges)...)
	slices.SortStableFunc(found, func(a, b clash) int { return cmp.Compare(a.entry, b.entry) })
	for _, c := range found {
		k.conflict(o, c)
	}
	k.countUnnamed(o)
}

// clash is two entries that cannot both be; across is a prefix at whose edge a
// range lies.
type clash struct {
	entry, earlier int
	across         bool
}

// span is one range or prefix by its keys, so that entries are compared as
// integers.
type span struct {
	first, last number.Key
	entry       int // its place among all entries of the catalog
}

// checkExact reports all but the first entry of each number. Of millions of
// numbers it keeps the keys, and of those that occur twice their first place.
func (k *checker) checkExact(o *owners) {
	keys := make([]number.Key, 0, o.count(Exact))
	o.each(Exact, func(_ int, e Entry) { keys = append(keys, e.First) })
	sortKeys(keys)
	var again []number.Key // each that is there more than once
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] && (len(again) == 0 || again[len(again)-1] != keys[i]) {
			again = append(again, keys[i])
		}
	}
	if len(again) == 0 {
		return
	}
	first := make([]int, len(again))
	for i := range first {
		first[i] = -1
	}
	o.each(Exact, func(entry int, e Entry) {
		switch i, found := slices.BinarySearch(again, e.First); {
		case !found:
		case first[i] < 0:
			first[i] = entry
		default:
			k.conflict(o, clash{entry: entry, earlier: first[i]})
		}
	})
}

// twice finds all but the first entry of each prefix.
func twice(list []span) (found []clash) {
	first := 0
	for i := 1; i < len(list); i++ {
		if list[i].first != list[first].first {
			first = i
			continue
		}
		found = append(found, clash{entry: list[i].entry, earlier: list[first].entry})
	}
	return found
}

// overlaps finds each range that begins inside an earlier one.
func overlaps(ranges []span) (found []clash) {
	reach := 0 // the range that reaches farthest so far
	for i := 1; i < len(ranges); i++ {
		if ranges[i].first <= ranges[reach].last {
			a, b := ranges[i].entry, ranges[reach].entry
			found = append(found, clash{entry: max(a, b), earlier: min(a, b)})
		}
		if ranges[i].last > ranges[reach].last {
			reach = i
		}
	}
	return found
}

// across finds each prefix at whose edge a range lies across.
func across(prefixes, ranges []span) (found []clash) {
	if len(ranges) == 0 {
		return nil
	}
	reach := make([]int, len(ranges)) // of the ranges up to here, the one that reaches farthest
	forms := []number.Form{ranges[0].first.Form()}
	for i := 1; i < len(ranges); i++ {
		reach[i] = reach[i-1]
		if ranges[i].last > ranges[reach[i]].last {
			reach[i] = i
		}
		if form := ranges[i].first.Form(); form != forms[len(forms)-1] {
			forms = append(forms, form)
		}
	}
	// before returns, of the ranges that begin before x, the one that reaches farthest.
	before := func(x number.Key) (span, bool) {
		n := sort.Search(len(ranges), func(i int) bool { return ranges[i].first >= x })
		if n == 0 {
			return span{}, false
		}
		return ranges[reach[n-1]], true
	}
	for _, p := range prefixes {
		for _, form := range forms {
			first, last, ok := p.first.Numbers(form)
			if !ok {
				continue
			}
			r, cut := before(first)
			cut = cut && r.last >= first
			if !cut {
				r, cut = before(last + 1)
				cut = cut && r.last > last
			}
			if cut {
				found = append(found, clash{entry: p.entry, earlier: r.entry, across: true})
				break
			}
		}
	}
	return found
}

// conflict reports a clash at the place of its entry.
func (k *checker) conflict(o *owners, c clash) {
	if file, ok := o.file(c.entry); ok && !k.names(file) {
		return
	}
	at, other := o.place(c.entry), o.place(c.earlier)
	entry, earlier := o.entry(c.entry), o.entry(c.earlier)
	text, args := "%s %s belongs to %s already; a number has one owner, so remove it from one of them",
		[]any{word[entry.Kind], entry, o.name(other.owner)}
	switch {
	case c.across:
		text, args = "prefix %s of %s overlaps range %s of %s; put the range wholly inside the prefix or wholly outside",
			[]any{entry, o.name(at.owner), earlier, o.name(other.owner)}
	case entry.Kind == Range:
		text, args = "range %s overlaps %s of %s; a number has one owner, so let them not overlap",
			[]any{entry, earlier, o.name(other.owner)}
	case at.owner == other.owner:
		text, args = "%s %s is listed twice; remove one", []any{word[entry.Kind], entry}
	}
	k.failWith(at.path, other.path, text, args...)
	p := &k.problems[len(k.problems)-1]
	p.At, p.OtherAt = at.Place, other.Place
}

// word is what an entry of a kind is called.
var word = [kinds]string{Exact: "number", Range: "range", Prefix: "prefix"}

// names reports whether one more problem of a file is to be named.
func (k *checker) names(file ownersFile) bool {
	k.found[file]++
	return k.found[file] <= MaxNamed
}

// countUnnamed adds how many problems of each file are not named.
func (k *checker) countUnnamed(o *owners) {
	for i := range o.lists {
		for j := range o.lists[i].set.fileCount() {
			if more := k.found[ownersFile{i, j}] - MaxNamed; more > 0 {
				k.problems = append(k.problems, Problem{Path: o.filePath(ownersFile{i, j}), More: more})
			}
		}
	}
}
