// Package table leads from a number to the id of its route.
//
//	var b table.Builder
//	b.Add("+15550000001", 7)
//	b.AddRange("+15550001000", "+15550001999", 7)
//	b.AddPrefix("+1555100", 8)
//	t, err := b.Build()
//	m, ok := t.Lookup([]byte("+15551001234")) // m.Route is 8
//
// It does not know what a route is, normalises nothing (the number must come as
// it is stored: no visual separators, no escapes), and holds no health.
//
// A Table does not change after Build: a reload builds another one and swaps a
// pointer. Updating exact numbers in place belongs into slots, whose arrays
// only get and put touch: readers see a Table through Lookup alone, so slots
// can become atomic, with one writer, without a change to any caller.
package table

import "sort"

// Kind is the way in which a number was found.
type Kind uint8

// Kinds of matches, in the order in which they are looked for.
const (
	Exact Kind = iota
	Range
	Prefix
)

// String returns the word for k.
func (k Kind) String() string {
	switch k {
	case Exact:
		return "exact"
	case Range:
		return "range"
	case Prefix:
		return "prefix"
	}
	return "unknown"
}

// Match is the entry that a number was found by.
type Match struct {
	Route       uint32
	Kind        Kind
	first, last key
}

// Entry writes the matching entry as an operator does: "+15550000001",
// "+15550001000-+15550001999" or "+1555100*".
func (m Match) Entry() string {
	switch m.Kind {
	case Range:
		return m.first.String() + "-" + m.last.String()
	case Prefix:
		return m.first.String() + "*"
	}
	return m.first.String()
}

// Table is a set of numbers, ranges and prefixes, each with a route. It is safe
// for use by any number of goroutines.
type Table struct {
	exact    slots
	ranges   [classes][]span // by length and "+", ascending, without overlaps
	prefixes slots
	lengths  [2]uint16 // which prefix lengths exist, one bit each; without "+" and with
	entries  int
}

// span is a range of numbers of one class, both ends included.
type span struct {
	first, last key
	route       uint32
}

// Len is the count of different entries: a range or a prefix is one.
func (t *Table) Len() int { return t.entries }

// Lookup finds the entry for number: an optional "+" and 1 to 15 digits. The
// number itself comes first, then a range that holds it, then the longest
// prefix. It takes no lock and allocates nothing.
func (t *Table) Lookup(number []byte) (Match, bool) {
	k, ok := parseKey(number)
	if !ok || k.digits() == 0 {
		return Match{}, false
	}
	if route, ok := t.exact.get(k); ok {
		return Match{Route: route, Kind: Exact, first: k, last: k}, true
	}
	if s, ok := findSpan(t.ranges[k.class()], k); ok {
		return Match{Route: s.route, Kind: Range, first: s.first, last: s.last}, true
	}
	return t.longestPrefix(k)
}

// findSpan searches for the span that holds k.
func findSpan(spans []span, k key) (span, bool) {
	if len(spans) == 0 {
		return span{}, false
	}
	after := sort.Search(len(spans), func(i int) bool { return spans[i].first > k })
	if after == 0 || spans[after-1].last < k {
		return span{}, false
	}
	return spans[after-1], true
}

// longestPrefix cuts k digit by digit and looks at the lengths that exist.
func (t *Table) longestPrefix(k key) (Match, bool) {
	lengths := t.lengths[0]
	if k.plus() {
		lengths = t.lengths[1]
	}
	if lengths != 0 {
		for p := k; ; p = p.shorten() {
			if lengths>>p.digits()&1 != 0 {
				if route, ok := t.prefixes.get(p); ok {
					return Match{Route: route, Kind: Prefix, first: p, last: p}, true
				}
			}
			if p.digits() == 0 {
				break
			}
		}
	}
	// The empty prefix holds every number, those with "+" too.
	if k.plus() && t.lengths[0]&1 != 0 {
		p := makeKey(false, 0, 0)
		route, ok := t.prefixes.get(p)
		return Match{Route: route, Kind: Prefix, first: p, last: p}, ok
	}
	return Match{}, false
}
