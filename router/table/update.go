package table

import (
	"errors"

	"tandem/config/number"
)

// Set leads a number to route, wherever it led before. The number is added when
// it is not there. It is an error when k is of no digits.
func (t *Table) Set(k number.Key, route uint32) error {
	if err := checkNumber(k); err != nil {
		return err
	}
	t.exact.set(k, owner(route))
	return nil
}

// Exclude makes a number lead nowhere, whatever ranges and prefixes hold it.
func (t *Table) Exclude(k number.Key) error {
	if err := checkNumber(k); err != nil {
		return err
	}
	t.exact.set(k, excluded)
	return nil
}

// Delete removes what Set or Exclude, Add of a Builder too, has said of a
// number. It leads to the range or prefix that holds it, if there is one. It
// reports whether there was anything to remove.
func (t *Table) Delete(k number.Key) bool { return t.exact.remove(k) }

// Move leads the exact numbers from first to last, both included, that lead to
// from to another route, and returns how many. They move one by one: at every
// moment each of them leads to one of the two.
func (t *Table) Move(first, last number.Key, from, to uint32) (int, error) {
	if err := checkRange(first, last); err != nil {
		return 0, err
	}
	return t.exact.move(first, last, owner(from), owner(to)), nil
}

// MoveNumber leads one exact number that leads to from to another route. It
// reports false and changes nothing when it does not lead there.
func (t *Table) MoveNumber(k number.Key, from, to uint32) bool {
	return t.exact.change(k, owner(from), owner(to))
}

// SetPatterns makes the ranges and prefixes of a Builder all that there are, in
// one step, and leaves the Builder empty. It is an error when it has numbers too,
// or entries that contradict each other: then nothing changes.
func (t *Table) SetPatterns(b *Builder) error {
	b.addWaiting()
	built := *b
	*b = Builder{}
	if built.exact.used > 0 {
		return errors.New("the builder has numbers; Set adds them")
	}
	c := built.ofPrefixes
	p := built.layPatterns(&c)
	if err := c.err(); err != nil {
		return err
	}
	t.patterns.Store(p)
	return nil
}

// Settle returns when no resize is under way. Lookups need not wait for that;
// tests and measurements do.
func (t *Table) Settle() { t.exact.settle() }
