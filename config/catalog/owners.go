package catalog

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// checkOwners finds numbers with two owners. The most specific entry wins, so
// an exact number inside a range or prefix, a range inside a prefix and a
// longer prefix inside a shorter one are legal. Left are: the same number
// twice, the same prefix twice, ranges that overlap, and a range that is only
// partly inside a prefix, or wider than it: neither is the more specific.
func (k *checker) checkOwners() {
	s := k.spans()
	k.checkTwice(s, s.exact, "number")
	k.checkTwice(s, s.prefixes, "prefix")
	k.checkRanges(s)
	k.checkPrefixes(s)
}

// span is one entry by its keys, so that entries are compared as integers.
type span struct {
	first, last uint64
	entry       int // its place among all entries of the catalog
}

// spans is all entries of a catalog by kind, each kind sorted.
type spans struct {
	catalog                 *Catalog
	exact, ranges, prefixes []span
	start                   []int // the place of each owner's first entry: connectors, then groups
}

func (k *checker) spans() *spans {
	c := k.catalog
	s := &spans{catalog: c}
	var place int
	add := func(path string, list []Numbers) {
		s.start = append(s.start, place)
		for i, n := range list {
			if err := n.check(); err != nil {
				k.fail(at(path+".numbers", i), "%v", err)
				continue
			}
			sp := span{first: key(n.First), entry: place + i}
			switch n.Kind {
			case Range:
				sp.last = key(n.Last)
				s.ranges = append(s.ranges, sp)
			case Prefix:
				s.prefixes = append(s.prefixes, sp)
			default:
				s.exact = append(s.exact, sp)
			}
		}
		place += len(list)
	}
	for i := range c.Connectors {
		add(at("connectors", i), c.Connectors[i].Numbers)
	}
	for i := range c.Groups {
		add(at("groups", i), c.Groups[i].Numbers)
	}
	for _, list := range [][]span{s.exact, s.ranges, s.prefixes} {
		slices.SortFunc(list, func(a, b span) int {
			return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.entry, b.entry))
		})
	}
	return s
}

// checkTwice reports all but the first entry of each number or prefix.
func (k *checker) checkTwice(s *spans, list []span, what string) {
	first := 0
	for i := 1; i < len(list); i++ {
		if list[i].first != list[first].first {
			first = i
			continue
		}
		k.conflict(s, list[i].entry, list[first].entry, what)
	}
}

// checkRanges reports each range that begins inside an earlier one.
func (k *checker) checkRanges(s *spans) {
	reach := 0 // the range that reaches farthest so far
	for i := 1; i < len(s.ranges); i++ {
		if s.ranges[i].first <= s.ranges[reach].last {
			a, b := s.ranges[i].entry, s.ranges[reach].entry
			k.conflict(s, max(a, b), min(a, b), "range")
		}
		if s.ranges[i].last > s.ranges[reach].last {
			reach = i
		}
	}
}

// checkPrefixes reports each prefix at whose edge a range lies across.
func (k *checker) checkPrefixes(s *spans) {
	if len(s.ranges) == 0 {
		return
	}
	reach := make([]int, len(s.ranges)) // of the ranges up to here, the one that reaches farthest
	lengths := []uint64{s.ranges[0].first >> digitsShift}
	for i := 1; i < len(s.ranges); i++ {
		reach[i] = reach[i-1]
		if s.ranges[i].last > s.ranges[reach[i]].last {
			reach[i] = i
		}
		if length := s.ranges[i].first >> digitsShift; length != lengths[len(lengths)-1] {
			lengths = append(lengths, length)
		}
	}
	// before returns, of the ranges that begin before x, the one that reaches farthest.
	before := func(x uint64) (span, bool) {
		n := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].first >= x })
		if n == 0 {
			return span{}, false
		}
		return s.ranges[reach[n-1]], true
	}
	for _, p := range s.prefixes {
		for _, length := range lengths {
			first, last, ok := expand(p.first, length)
			if !ok {
				continue
			}
			r, found := before(first)
			found = found && r.last >= first
			if !found {
				r, found = before(last + 1)
				found = found && r.last > last
			}
			if found {
				k.failWith(s.path(p.entry), s.path(r.entry),
					"prefix %s of %s overlaps range %s of %s; put the range wholly inside the prefix or wholly outside",
					s.numbers(p.entry), s.owner(p.entry), s.numbers(r.entry), s.owner(r.entry))
				break
			}
		}
	}
}

func (k *checker) conflict(s *spans, entry, earlier int, what string) {
	path, other := s.path(entry), s.path(earlier)
	owner, _ := s.find(entry)
	first, _ := s.find(earlier)
	switch {
	case what == "range":
		k.failWith(path, other, "range %s overlaps %s of %s; a number has one owner, so let them not overlap",
			s.numbers(entry), s.numbers(earlier), s.owner(earlier))
	case owner == first:
		k.failWith(path, other, "%s %s is listed twice; remove one", what, s.numbers(entry))
	default:
		k.failWith(path, other, "%s %s belongs to %s already; a number has one owner, so remove it from one of them",
			what, s.numbers(entry), s.owner(earlier))
	}
}

// find returns the owner of an entry, connectors first, and its index there.
func (s *spans) find(entry int) (owner, i int) {
	owner = sort.SearchInts(s.start, entry+1) - 1
	return owner, entry - s.start[owner]
}

func (s *spans) path(entry int) string {
	owner, i := s.find(entry)
	if n := len(s.catalog.Connectors); owner >= n {
		return at(at("groups", owner-n)+".numbers", i)
	}
	return at(at("connectors", owner)+".numbers", i)
}

func (s *spans) owner(entry int) string {
	owner, _ := s.find(entry)
	if n := len(s.catalog.Connectors); owner >= n {
		return "group " + quote(s.catalog.Groups[owner-n].Name)
	}
	return "connector " + quote(s.catalog.Connectors[owner].Name)
}

func (s *spans) numbers(entry int) Numbers {
	owner, i := s.find(entry)
	if n := len(s.catalog.Connectors); owner >= n {
		return s.catalog.Groups[owner-n].Numbers[i]
	}
	return s.catalog.Connectors[owner].Numbers[i]
}

// A key is a number as an integer: whether it has a "+", how many digits, and
// their value (15 digits take 50 bits), so that keys of numbers with the same
// form and length are in the order of the numbers.
const (
	digitsShift = 50
	plusBit     = 1 << 54
	valueMask   = 1<<digitsShift - 1
)

// key returns the key of a number that checkNumber accepts.
func key(number string) uint64 {
	var k uint64
	digits, plus := strings.CutPrefix(number, "+")
	if plus {
		k = plusBit
	}
	var value uint64
	for i := range len(digits) {
		value = value*10 + uint64(digits[i]-'0')
	}
	return k | uint64(len(digits))<<digitsShift | value
}

// expand returns the keys of the first and last number of a length (a key's
// bits from digitsShift) that begin with a prefix; ok is false when the prefix
// is longer or has another form.
func expand(prefix, length uint64) (first, last uint64, ok bool) {
	const plus = plusBit >> digitsShift
	own := prefix >> digitsShift
	if own&plus != length&plus || own > length {
		return 0, 0, false
	}
	size := uint64(1)
	for range length - own {
		size *= 10
	}
	first = length<<digitsShift | prefix&valueMask*size
	return first, first + size - 1, true
}
