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
	if s, ok := findSpan(p.ranges[k.class()], k); ok {
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
	lengths := p.lengths[0]
	if k.plus() {
		lengths = p.lengths[1]
	}
	if lengths != 0 {
		for cut := k; ; cut = cut.shorten() {
			if lengths>>cut.digits()&1 != 0 {
				if m, ok := p.prefix(cut); ok {
					return m, true
				}
			}
			if cut.digits() == 0 {
				break
			}
		}
	}
	// The empty prefix holds every number, those with "+" too.
	if k.plus() && p.lengths[0]&1 != 0 {
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
