package table

import "sort"

// patterns are the entries that hold more than one number. They do not change.
type patterns struct {
	ranges   [classes][]span // by length and "+", ascending, without overlaps
	prefixes *words
	lengths  [2]uint16 // which prefix lengths exist, one bit each; without "+" and with
	entries  int
}

// span is a range of numbers of one class, both ends included.
type span struct {
	first, last key
	route       uint32
}

func (p *patterns) lookup(k key) (Match, bool) {
	class := k.class()
	if class%lengths == 0 { // no digits, so no number
		return Match{}, false
	}
	if s, ok := findSpan(p.ranges[class], k); ok {
		return Match{Route: s.route, Kind: Range, first: s.first, last: s.last}, true
	}
	return p.longestPrefix(k)
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
func (p *patterns) longestPrefix(k key) (Match, bool) {
	plus, digits, value := k.parts()
	exist := p.lengths[0]
	if plus {
		exist = p.lengths[1]
	}
	for ; exist != 0 && digits >= 0; digits-- {
		if exist>>digits&1 != 0 {
			if m, ok := p.prefix(makeKey(plus, digits, value)); ok {
				return m, true
			}
		}
		value /= 10
	}
	// The empty prefix holds every number, those with "+" too.
	if plus && p.lengths[0]&1 != 0 {
		return p.prefix(makeKey(false, 0, 0))
	}
	return Match{}, false
}

func (p *patterns) prefix(k key) (Match, bool) {
	o, ok := p.prefixes.get(k)
	if !ok {
		return Match{}, false
	}
	return Match{Route: uint32(o), Kind: Prefix, first: k, last: k}, true
}
