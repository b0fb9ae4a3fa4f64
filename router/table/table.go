// Package table leads from a number to the id of its route.
//
//	var b table.Builder
//	b.Add(one, 7)             // +15550000001
//	b.AddRange(first, last, 7) // +15550001000-+15550001999
//	b.AddPrefix(prefix, 8)    // +1555100*
//	t, err := b.Build()
//	m, ok := t.Lookup(number) // +15551001234: m.Route is 8
//
// It does not know what a route is, reads no text, and holds no health.
//
// Numbers change in place while calls look others up: Set, Delete, Exclude and
// Move are seen by every lookup that begins after they return, and make none
// wait. Ranges and prefixes change all at once: SetPatterns.
package table

import (
	"sync/atomic"

	"tandem/config/number"
)

// Kind is the way in which a number was found.
type Kind uint8

// Kinds of matches, in the order in which they are looked for.
const (
	Exact Kind = iota
	Range
	Prefix
	Excluded // an exact number, of no route
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
	case Excluded:
		return "excluded"
	}
	return "unknown"
}

// Match is the entry that a number was found by.
type Match struct {
	Route       uint32
	Kind        Kind
	First, Last number.Key // of a Range its ends, else both the same
}

// Entry writes the matching entry as an operator does: "+15550000001",
// "+15550001000-+15550001999" or "+1555100*".
func (m Match) Entry() string {
	switch m.Kind {
	case Range:
		return m.First.String() + "-" + m.Last.String()
	case Prefix:
		return m.First.String() + "*"
	}
	return m.First.String()
}

// Table is a set of numbers, ranges and prefixes, each with a route. It is safe
// for use by any number of goroutines. It must not be copied.
type Table struct {
	patterns atomic.Pointer[patterns]
	exact    exact
}

// Len is the count of different entries: a range or a prefix is one, and so is
// a number that is excluded.
func (t *Table) Len() int { return t.patterns.Load().entries + t.exact.len() }

// Lookup finds the entry for a number. The number itself comes first, then a
// range that holds it, then the longest prefix. When the number is excluded it
// reports false, and the Match says so. A key of no digits is not found. It takes
// no lock, waits for nobody and allocates nothing.
//
// What it computes for one number is time in which the next one's memory is not
// asked for, so it has all that most numbers need in one function.
func (t *Table) Lookup(k number.Key) (Match, bool) {
	a := t.exact.words.Load()
	at, want := a.start(k)
	g := &a.groups[at]
	for {
		// The four words of a group are compared without a branch: which of them it
		// is cannot be foretold, and a branch that waits for memory keeps the next
		// lookup's from being fetched meanwhile. Above the owner all is 0 in the one
		// that is equal.
		first := g[0].Load()
		found := min(first^want, g[1].Load()^want, g[2].Load()^want, g[3].Load()^want)
		if found < a.ids {
			return Match{Route: uint32(found >> 1), Kind: Exact, First: k, Last: k}, true
		}
		if found < a.step {
			return a.unlike(k, found)
		}
		if first&passed == 0 || a.last(want) {
			p := t.patterns.Load()
			if p.entries == 0 {
				return Match{}, false
			}
			return p.lookup(k)
		}
		at++
		want += a.step
		g = &a.groups[at&uint(len(a.groups)-1)]
	}
}

// unlike is the Match of a number whose owner is not the id of a route itself. It
// is not inlined, because the compiler puts no conditional moves where the
// address of a load comes from: Lookup would branch on every word of a group.
//
//go:noinline
func (a *words) unlike(k number.Key, w uint64) (Match, bool) {
	o := a.decode(w)
	if o == excluded {
		return Match{Kind: Excluded, First: k, Last: k}, false
	}
	return Match{Route: uint32(o), Kind: Exact, First: k, Last: k}, true
}
