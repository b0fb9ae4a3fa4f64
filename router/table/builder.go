package table

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"tandem/config/number"
)

// maxConflicts is how many conflicts Build names; a file with a wrong block of
// numbers can have millions.
const maxConflicts = 10

// Builder collects entries for a Table. Its zero value is ready for use; it
// is not safe for concurrent use. A number takes no more room in it than in
// the Table.
type Builder struct {
	exact    draft
	waiting  []entry // to be added to exact
	ranges   []span
	prefixes draft

	ofExact, ofPrefixes conflicts
}

// entry is a number and what it leads to.
type entry struct {
	key   number.Key
	owner owner
}

// addedAtOnce is how many numbers wait until they are added.
const addedAtOnce = 64

// Grow makes room for n more numbers, which saves time when there are millions.
func (b *Builder) Grow(n int) { b.exact.grow(n) }

// Add leads one number to route. It is an error when k is of no digits.
func (b *Builder) Add(k number.Key, route uint32) error {
	return b.addNumber(k, owner(route))
}

// Exclude makes one number an exception: it leads nowhere, whatever ranges and
// prefixes hold it.
func (b *Builder) Exclude(k number.Key) error {
	return b.addNumber(k, excluded)
}

func (b *Builder) addNumber(k number.Key, o owner) error {
	if err := checkNumber(k); err != nil {
		return err
	}
	if b.waiting = append(b.waiting, entry{k, o}); len(b.waiting) == addedAtOnce {
		b.addWaiting()
	}
	return nil
}

// addWaiting touches the homes of all that wait before it adds them: so they are
// fetched from memory together, and not one after the other.
func (b *Builder) addWaiting() {
	a := b.exact.written()
	for _, e := range b.waiting {
		at, _ := a.start(e.key)
		a.groups[at][0].Load()
	}
	for _, e := range b.waiting {
		switch had := b.exact.add(e.key, e.owner); {
		case had == e.owner:
		case had == excluded || e.owner == excluded:
			b.ofExact.add("number %s is excluded and has a route, %d", e.key, min(had, e.owner))
		default:
			b.ofExact.add("number %s has two routes, %d and %d", e.key, had, e.owner)
		}
	}
	b.waiting = b.waiting[:0]
}

// AddRange leads the numbers from first to last, both included, to route. Both
// must have the same count of digits, and both a "+" or none.
func (b *Builder) AddRange(first, last number.Key, route uint32) error {
	if err := checkRange(first, last); err != nil {
		return err
	}
	b.ranges = append(b.ranges, span{first, last, route})
	return nil
}

// AddPrefix leads every number that starts with a prefix to route, a number
// equal to it included. number.Plus holds all numbers with a "+", number.Empty
// holds all numbers.
func (b *Builder) AddPrefix(k number.Key, route uint32) error {
	if k == 0 {
		return errors.New("the prefix is none, not even the empty one")
	}
	if had := b.prefixes.add(k, owner(route)); had != owner(route) {
		b.ofPrefixes.add("prefix %s* has two routes, %d and %d", k, had, route)
	}
	return nil
}

func checkNumber(k number.Key) error {
	if k <= number.Plus {
		return fmt.Errorf("number %q has no digits", k)
	}
	return nil
}

func checkRange(first, last number.Key) error {
	if err := errors.Join(checkNumber(first), checkNumber(last)); err != nil {
		return err
	}
	if first.Form() != last.Form() {
		return fmt.Errorf("range %s-%s: the ends differ in length or in their +", first, last)
	}
	if first > last {
		return fmt.Errorf("range %s-%s: the end is before the start", first, last)
	}
	return nil
}

// Build returns the table of all entries and leaves the Builder empty: what it
// has collected becomes the Table's. An entry that was added twice with one
// route is one entry. Two routes for one number or one prefix, and ranges of
// different routes that overlap, are errors; ranges of one route that overlap
// become one.
func (b *Builder) Build() (*Table, error) {
	b.addWaiting()
	built := *b
	*b = Builder{}
	c := built.ofExact
	c.join(built.ofPrefixes)
	p := built.layPatterns(&c)
	if err := c.err(); err != nil {
		return nil, err
	}
	t := new(Table)
	t.patterns.Store(p)
	t.exact.words.Store(built.exact.written())
	t.exact.used = built.exact.used
	return t, nil
}

func (b *Builder) layPatterns(c *conflicts) *patterns {
	p := &patterns{prefixes: b.prefixes.written(), entries: b.prefixes.used}
	p.prefixes.each(0, uint(len(p.prefixes.groups)), func(_ uint, _ int, k number.Key, _ owner) bool {
		p.forms |= 1 << k.Form()
		return true
	})
	p.entries += b.layRanges(p, c)
	return p
}

// layRanges sorts the ranges into p and returns how many there are.
func (b *Builder) layRanges(p *patterns, c *conflicts) int {
	slices.SortFunc(b.ranges, func(x, y span) int {
		return cmp.Or(cmp.Compare(x.first, y.first), cmp.Compare(x.last, y.last))
	})
	count := 0
	for _, s := range b.ranges {
		form := s.first.Form()
		spans := p.ranges[form]
		if n := len(spans); n > 0 && s.first <= spans[n-1].last {
			before := &spans[n-1]
			if before.route != s.route {
				c.add("ranges %s-%s of route %d and %s-%s of route %d overlap",
					before.first, before.last, before.route, s.first, s.last, s.route)
			}
			before.last = max(before.last, s.last)
			continue
		}
		p.ranges[form] = append(spans, s)
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

func (c *conflicts) join(other conflicts) {
	take := min(maxConflicts-len(c.named), len(other.named))
	c.named = append(c.named, other.named[:take]...)
	c.more += other.more + len(other.named) - take
}

func (c *conflicts) err() error {
	if c.more > 0 {
		return errors.Join(append(c.named, fmt.Errorf("and %d more conflicts", c.more))...)
	}
	return errors.Join(c.named...)
}
