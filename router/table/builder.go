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
// is not safe for concurrent use. A number takes no more room in it than in
// the Table.
type Builder struct {
	exact    draft
	ranges   []span
	prefixes draft

	ofExact, ofPrefixes conflicts
}

// Add leads one number, an optional "+" and 1 to 15 digits, to route.
func (b *Builder) Add(number string, route uint32) error {
	return b.addNumber(number, owner(route))
}

// Exclude makes one number an exception: it leads nowhere, whatever ranges and
// prefixes hold it.
func (b *Builder) Exclude(number string) error {
	return b.addNumber(number, excluded)
}

func (b *Builder) addNumber(number string, o owner) error {
	k, err := numberKey(number)
	if err != nil {
		return err
	}
	switch had := b.exact.add(k, o); {
	case had == o:
	case had == excluded || o == excluded:
		b.ofExact.add("number %s is excluded and has a route, %d", k, min(had, o))
	default:
		b.ofExact.add("number %s has two routes, %d and %d", k, had, o)
	}
	return nil
}

// AddRange leads the numbers from first to last, both included, to route. Both
// must have the same count of digits, and both a "+" or none.
func (b *Builder) AddRange(first, last string, route uint32) error {
	from, to, err := numberKeys(first, last)
	if err != nil {
		return err
	}
	b.ranges = append(b.ranges, span{from, to, route})
	return nil
}

// AddPrefix leads every number that starts with prefix to route, a number equal
// to it included. "+" holds all numbers with a "+", "" holds all numbers.
func (b *Builder) AddPrefix(prefix string, route uint32) error {
	k, ok := parseKey([]byte(prefix))
	if !ok {
		return fmt.Errorf("prefix %q: want an optional + and at most %d digits", prefix, MaxDigits)
	}
	if had := b.prefixes.add(k, owner(route)); had != owner(route) {
		b.ofPrefixes.add("prefix %s* has two routes, %d and %d", k, had, route)
	}
	return nil
}

func numberKey(number string) (key, error) {
	k, ok := parseKey([]byte(number))
	if !ok || number == "" || number == "+" {
		return 0, fmt.Errorf("number %q: want an optional + and 1 to %d digits", number, MaxDigits)
	}
	return k, nil
}

func numberKeys(first, last string) (from, to key, err error) {
	if from, err = numberKey(first); err != nil {
		return 0, 0, err
	}
	if to, err = numberKey(last); err != nil {
		return 0, 0, err
	}
	if from.class() != to.class() {
		return 0, 0, fmt.Errorf("range %s-%s: the ends differ in length or in their +", first, last)
	}
	if from > to {
		return 0, 0, fmt.Errorf("range %s-%s: the end is before the start", first, last)
	}
	return from, to, nil
}

// Build returns the table of all entries. An entry that was added twice with
// one route is one entry. Two routes for one number or one prefix, and ranges
// of different routes that overlap, are errors; ranges of one route that
// overlap become one.
func (b *Builder) Build() (*Table, error) {
	c := b.ofExact.clone()
	c.join(b.ofPrefixes)
	t := &Table{patterns: b.layPatterns(&c)}
	if err := c.err(); err != nil {
		return nil, err
	}
	t.exact.words.Store(b.exact.clone())
	t.exact.used = b.exact.used
	return t, nil
}

func (b *Builder) layPatterns(c *conflicts) patterns {
	p := patterns{prefixes: b.prefixes.clone(), entries: b.prefixes.used}
	p.prefixes.each(0, uint(len(p.prefixes.groups)), func(_ uint, _ int, k key, _ owner) bool {
		class := k.class()
		p.lengths[class/lengths] |= 1 << (class % lengths)
		return true
	})
	p.entries += b.layRanges(&p, c)
	return p
}

// layRanges sorts the ranges into p and returns how many there are.
func (b *Builder) layRanges(p *patterns, c *conflicts) int {
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
		spans := p.ranges[class]
		if n := len(spans); n > 0 && s.first <= spans[n-1].last {
			before := &spans[n-1]
			if before.route != s.route {
				c.add("ranges %s-%s of route %d and %s-%s of route %d overlap",
					before.first, before.last, before.route, s.first, s.last, s.route)
			}
			before.last = max(before.last, s.last)
			continue
		}
		p.ranges[class] = append(spans, s)
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

func (c *conflicts) clone() conflicts { return conflicts{slices.Clone(c.named), c.more} }

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
