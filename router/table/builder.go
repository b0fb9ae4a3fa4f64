package table

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// maxConflicts is how many conflicts Build names; a file with a wrong block of
// numbers can have millions.
const maxConflicts = 10

// Builder collects entries for a Table. Its zero value is ready for use; it
// is not safe for concurrent use.
type Builder struct {
	exact    []entry
	ranges   []span
	prefixes []entry
}

type entry struct {
	key   key
	route uint32
}

// Add leads one number, an optional "+" and 1 to 15 digits, to route.
func (b *Builder) Add(number string, route uint32) error {
	k, err := numberKey(number)
	if err != nil {
		return err
	}
	b.exact = append(b.exact, entry{k, route})
	return nil
}

// AddRange leads the numbers from first to last, both included, to route. Both
// must have the same count of digits, and both a "+" or none.
func (b *Builder) AddRange(first, last string, route uint32) error {
	from, err := numberKey(first)
	if err != nil {
		return err
	}
	to, err := numberKey(last)
	if err != nil {
		return err
	}
	if from.class() != to.class() {
		return fmt.Errorf("range %s-%s: the ends differ in length or in their +", first, last)
	}
	if from > to {
		return fmt.Errorf("range %s-%s: the end is before the start", first, last)
	}
	b.ranges = append(b.ranges, span{from, to, route})
	return nil
}

// AddPrefix leads every number that starts with prefix to route, a number equal
// to it included. "+" holds all numbers with a "+", "" holds all numbers.
func (b *Builder) AddPrefix(prefix string, route uint32) error {
	k, ok := parseKey(prefix)
	if !ok {
		return fmt.Errorf("prefix %q: want an optional + and at most %d digits", prefix, MaxDigits)
	}
	b.prefixes = append(b.prefixes, entry{k, route})
	return nil
}

func numberKey(number string) (key, error) {
	k, ok := parseKey(number)
	if !ok || k.digits() == 0 {
		return 0, fmt.Errorf("number %q: want an optional + and 1 to %d digits", number, MaxDigits)
	}
	return k, nil
}

// Build returns the table of all entries. An entry that was added twice with
// one route is one entry. Two routes for one number or one prefix, and ranges
// of different routes that overlap, are errors; ranges of one route that
// overlap become one.
func (b *Builder) Build() (*Table, error) {
	var c conflicts
	t := &Table{
		exact:    newSlots(len(b.exact)),
		prefixes: newSlots(len(b.prefixes)),
	}
	for _, e := range b.exact {
		if had := t.exact.put(e.key, e.route); had != e.route {
			c.add("number %s has two routes, %d and %d", e.key, had, e.route)
		}
	}
	for _, e := range b.prefixes {
		if had := t.prefixes.put(e.key, e.route); had != e.route {
			c.add("prefix %s* has two routes, %d and %d", e.key, had, e.route)
		}
		plus := 0
		if e.key.plus() {
			plus = 1
		}
		t.lengths[plus] |= 1 << e.key.digits()
	}
	t.entries = t.exact.used + t.prefixes.used + b.layRanges(t, &c)
	if err := c.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// layRanges sorts the ranges into t and returns how many there are.
func (b *Builder) layRanges(t *Table, c *conflicts) int {
	sorted := slices.Clone(b.ranges)
	slices.SortFunc(sorted, func(x, y span) int {
		if x.first != y.first {
			return cmp.Compare(x.first, y.first)
		}
		return cmp.Compare(x.last, y.last)
	})
	count := 0
	for _, s := range sorted {
		class := s.first.class()
		spans := t.ranges[class]
		if n := len(spans); n > 0 && s.first <= spans[n-1].last {
			before := &spans[n-1]
			if before.route != s.route {
				c.add("ranges %s-%s of route %d and %s-%s of route %d overlap",
					before.first, before.last, before.route, s.first, s.last, s.route)
			}
			before.last = max(before.last, s.last)
			continue
		}
		t.ranges[class] = append(spans, s)
		count++
	}
	return count
}

// conflicts keeps the first few of many errors.
type conflicts struct {
	named []error
	more  int
}

func (c *conflicts) add(format string, args ...any) {
	if len(c.named) < maxConflicts {
		c.named = append(c.named, fmt.Errorf(format, args...))
		return
	}
	c.more++
}

func (c *conflicts) err() error {
	if c.more > 0 {
		return errors.Join(append(c.named, fmt.Errorf("and %d more conflicts", c.more))...)
	}
	return errors.Join(c.named...)
}
