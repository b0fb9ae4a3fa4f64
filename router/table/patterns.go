package table

import (
	"sort"

	"tandem/config/number"
)

// patterns are the entries that hold more than one number. They do not change:
// SetPatterns puts others in their place.
type patterns struct {
	ranges   [number.Forms][]span // ascending, without overlaps
	prefixes *words
	forms    uint32 // which forms prefixes have, one bit each
	entries  int
}

// span is a range of numbers of one form, both ends included.
type span struct {
	first, last number.Key
	route       uint32
}

func (p *patterns) lookup(k number.Key) (Match, bool) {
	if p.entries == 0 || k <= number.Plus { // no digits, so no number
		return Match{}, false
	}
	form := k.Form()
	if s, ok := findSpan(p.ranges[form], k); ok {
		return Match{Route: s.route, Kind: Range, First: s.first, Last: s.last}, true
	}
	return p.longestPrefix(k, form)
}

// findSpan searches for the span that holds k.
func findSpan(spans []span, k number.Key) (span, bool) {
	if len(spans) == 0 {
		return span{}, false
	}
	after := sort.Search(len(spans), func(i int) bool { return spans[i].first > k })
	if after == 0 || spans[after-1].last < k {
		return span{}, false
	}
	return spans[after-1], true
}

// longestPrefix cuts k digit by digit and looks at the forms that exist.
func (p *patterns) longestPrefix(k number.Key, form number.Form) (Match, bool) {
	for ; k > 0; k, form = k.Cut(), form-2 {
		if p.forms>>form&1 != 0 {
			if m, ok := p.prefix(k); ok {
				return m, true
			}
		}
	}
	// The empty prefix holds every number, those with "+" too.
	if p.forms&1 != 0 {
		return p.prefix(number.Empty)
	}
	return Match{}, false
}

func (p *patterns) prefix(k number.Key) (Match, bool) {
	o, ok := p.prefixes.get(k)
	if !ok {
		return Match{}, false
	}
	return Match{Route: uint32(o), Kind: Prefix, First: k, Last: k}, true
}
