package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// Commit implements Store. A change that does nothing is checked as any other, and
// returns the revision as it is. c must not change any more: it is kept for those
// who watch.
func (b *Bolt) Commit(ctx context.Context, c inventory.Change) (revision uint64, err error) {
	if err := b.take(ctx); err != nil {
		return 0, err
	}
	defer b.leave()
	if b.broken != nil {
		return 0, b.broken
	}
	if b.unsure != nil {
		if err := b.settle(); err != nil {
			return 0, err
		}
	}
	return b.carryOut(c)
}

// take waits for the turn to commit.
func (b *Bolt) take(ctx context.Context) error {
	if err := b.goOn(ctx); err != nil {
		return err
	}
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.closing:
		return ErrClosed
	}
	if err := b.goOn(ctx); err != nil {
		b.leave()
		return err
	}
	return nil
}

func (b *Bolt) leave() { <-b.turn }

// carryOut commits c, whose turn it is.
func (b *Bolt) carryOut(c inventory.Change) (revision uint64, err error) {
	var (
		before uint64
		event  Event
		done   bool
	)
	err = guarded(nil, func() error {
		t, err := b.db.Begin(true)
		if err != nil {
			return err
		}
		defer func() { // also when bolt panics
			if !done {
				_ = t.Rollback()
			}
		}()
		x, err := newTx(t)
		if err != nil {
			return err
		}
		before = x.revision
		writes, err := x.plan(c)
		if err != nil {
			return err
		}
		if c.None() {
			return nil
		}
		if err := carryOut(writes); err != nil {
			return err
		}
		event = Event{Revision: before + 1, Change: committed(c, before+1)}
		done = true // or rolled back by bolt
		if err := b.commit(t); err != nil {
			return failed{err}
		}
		return nil
	})
	var fail failed
	switch {
	case err == nil && c.None():
		return before, nil
	case err == nil:
		b.ring.add(event)
		return event.Revision, nil
	case errors.As(err, &fail):
		return b.afterFailure(event, fail.error)
	case errors.Is(err, errDamaged):
		b.broken = fmt.Errorf("the store %s takes no more changes: %w", b.path, err)
		return 0, b.broken
	}
	return 0, err
}

// failed is an error of writing.
type failed struct{ error }

// afterFailure is what a failed write leads to. Mostly nothing reached the disk. But
// if the very last write went through, and only to wait for it failed, then the
// change stands in the file as far as anybody can see: it has to be made sure.
func (b *Bolt) afterFailure(e Event, cause error) (uint64, error) {
	cause = fmt.Errorf("the change could not be written to %s, and is not carried out: %w", b.path, cause)
	now, err := b.revision()
	if err == nil && now != e.Revision {
		return 0, cause
	}
	b.unsure = &e
	if err := b.settle(); err != nil {
		return 0, err
	}
	return e.Revision, nil
}

// settle makes a commit sure that has failed and yet stands in the file: by another
// one, which changes nothing. Bolt takes the pages that the failed one freed for
// free at once, so nobody may be reading.
func (b *Bolt) settle() error {
	if !b.reads.TryLock() {
		return fmt.Errorf("the store %s takes no changes until it is known what became of one that could not be written: try again", b.path)
	}
	defer b.reads.Unlock()
	err := guarded(nil, func() error {
		t, err := b.db.Begin(true)
		if err != nil {
			return err
		}
		meta := t.Bucket(metaBucket)
		if err := meta.Put(revisionName, eightBytes(b.unsure.Revision)); err != nil {
			_ = t.Rollback()
			return err
		}
		return b.commit(t)
	})
	if err != nil {
		return fmt.Errorf("the store %s takes no changes until it is known what became of one that could not be written: %w", b.path, err)
	}
	b.ring.add(*b.unsure)
	b.unsure = nil
	return nil
}

// revision reads which the last commit was.
func (b *Bolt) revision() (revision uint64, err error) {
	err = guarded(nil, func() error {
		return b.db.View(func(t *bbolt.Tx) error {
			x, err := newTx(t)
			if err == nil {
				revision = x.revision
			}
			return err
		})
	})
	return revision, err
}

// plan checks c and returns what has to be written.
func (t *tx) plan(c inventory.Change) ([]write, error) {
	if c.Catalog != t.catalog {
		return nil, ErrConflict
	}
	revision := t.revision + 1
	writes := []write{{t.meta, revisionName, eightBytes(revision)}}
	named, err := t.planNamed(c, revision)
	if err != nil {
		return nil, err
	}
	writes = append(writes, named...)

	l := t.owners.ledger()
	numbers, spans, err := t.planNumbers(c.Numbers, revision, l)
	if err != nil {
		return nil, err
	}
	writes = append(writes, numbers...)
	if spans || len(named) > 0 {
		writes = append(writes, write{t.meta, catalogName, eightBytes(revision)})
	}

	for _, o := range c.Empty {
		n, err := l.count(o)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return nil, ErrConflict
		}
	}
	table, err := l.plan()
	if err != nil {
		return nil, err
	}
	return append(writes, table...), nil
}

// carryOut does what was planned, in the order of keys.
func carryOut(writes []write) error {
	for _, w := range writes {
		w.bucket.FillPercent = fillPercent
		var err error
		if w.value == nil {
			err = w.bucket.Delete(w.key)
		} else {
			err = w.bucket.Put(w.key, w.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// planNamed plans the connectors and groups.
func (t *tx) planNamed(c inventory.Change, revision uint64) (writes []write, err error) {
	connectors, err := planAll(t.connectors, c.Connectors, "connector", func(ch inventory.ConnectorChange) (before, after *inventory.Meta, v any) {
		if ch.Before != nil {
			before = &ch.Before.Meta
		}
		if ch.After != nil {
			made := *ch.After
			made.Revision = revision
			after, v = &made.Meta, &made
		}
		return before, after, v
	})
	if err != nil {
		return nil, err
	}
	groups, err := planAll(t.groups, c.Groups, "group", func(ch inventory.GroupChange) (before, after *inventory.Meta, v any) {
		if ch.Before != nil {
			before = &ch.Before.Meta
		}
		if ch.After != nil {
			made := *ch.After
			made.Revision = revision
			after, v = &made.Meta, &made
		}
		return before, after, v
	})
	return append(connectors, groups...), err
}

func planAll[C any](bucket *bbolt.Bucket, changes []C, what string, parts func(C) (before, after *inventory.Meta, v any)) (writes []write, err error) {
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		before, after, v := parts(c)
		if before == nil && after == nil || before != nil && after != nil && before.ID != after.ID {
			return nil, fmt.Errorf("the change of a %s is not of one", what)
		}
		id := ""
		if before != nil {
			id = before.ID
		} else {
			id = after.ID
		}
		if id == "" || seen[id] {
			return nil, fmt.Errorf("the change has a %s without an ID, or twice: %q", what, id)
		}
		seen[id] = true
		var now struct{ inventory.Meta }
		stands := bucket.Get([]byte(id))
		if stands != nil {
			if err := json.Unmarshal(stands, &now); err != nil {
				return nil, err
			}
		}
		if (before == nil) != (stands == nil) || before != nil && before.Revision != now.Revision {
			return nil, ErrConflict
		}
		w := write{bucket: bucket, key: []byte(id)}
		if after != nil {
			if w.value, err = encode(v); err != nil {
				return nil, fmt.Errorf("%s %q: %w", what, id, err)
			}
		}
		writes = append(writes, w)
	}
	return writes, nil
}

// encode writes v as JSON and leaves what it has of JSON as it is.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// planNumbers plans the numbers, in the lists of their owners too; spans is
// whether there are ranges or prefixes among them.
func (t *tx) planNumbers(changes []inventory.NumberChange, revision uint64, l *ledger) (writes []write, spans bool, err error) {
	sorted := slices.Clone(changes)
	for _, c := range sorted {
		if err := checkNumber(c); err != nil {
			return nil, false, err
		}
	}
	slices.SortFunc(sorted, func(a, b inventory.NumberChange) int { return compareEntries(entryOf(a), entryOf(b)) })
	edits := make([]edit, 0, len(sorted))
	for i, c := range sorted {
		e := entryOf(c)
		if i > 0 && e == entryOf(sorted[i-1]) {
			return nil, false, fmt.Errorf("the change has %s twice", e)
		}
		r, err := recordOf(c.After, revision, l)
		if err != nil {
			return nil, false, err
		}
		if e.Kind == catalog.Exact {
			edits = append(edits, edit{key: e.First, put: c.After != nil, new: r})
			continue
		}
		spans = true
		old, had, err := t.span(e)
		if err != nil {
			return nil, false, err
		}
		if err := compare(c.Before, old, had); err != nil {
			return nil, false, err
		}
		w := write{bucket: t.spans, key: spanKey(e)}
		if c.After != nil {
			w.value = r.append(nil, record{})
		}
		writes = append(writes, w)
		if had {
			a, err := l.at(old.owner)
			if err != nil {
				return nil, false, err
			}
			a.has--
			writes = append(writes, write{t.ownedSpans, append(placeKey(old.owner), w.key...), nil})
		}
		if c.After != nil {
			l.place[r.owner].has++
			writes = append(writes, write{t.ownedSpans, append(placeKey(r.owner), w.key...), []byte{}})
		}
	}
	exact, err := t.planExact(sorted[:len(edits)], edits, l)
	return append(writes, exact...), spans, err
}

// planExact plans the exact numbers, whose changes and edits are in order.
func (t *tx) planExact(changes []inventory.NumberChange, edits []edit, l *ledger) ([]write, error) {
	writes, err := t.numbers.plan(edits)
	if err != nil {
		return nil, err
	}
	for i := range edits {
		e := &edits[i]
		if err := compare(changes[i].Before, e.old, e.had); err != nil {
			return nil, err
		}
		if e.had && e.put && e.old.owner == e.new.owner {
			continue
		}
		if e.had {
			a, err := l.at(e.old.owner)
			if err != nil {
				return nil, err
			}
			a.has--
			a.edits = append(a.edits, edit{key: e.key})
		}
		if e.put {
			a := l.place[e.new.owner]
			a.has++
			a.edits = append(a.edits, edit{key: e.key, put: true})
		}
	}
	for _, a := range l.found {
		owned, err := t.of(a.place).plan(a.edits)
		if err != nil {
			return nil, err
		}
		for i := range a.edits {
			if a.edits[i].had == a.edits[i].put {
				return nil, errIndex
			}
		}
		writes = append(writes, owned...)
	}
	return writes, nil
}

// compare says whether a number is as a decision was made by.
func compare(before *inventory.Number, old record, had bool) error {
	if had != (before != nil) || had && before.Revision != old.revision {
		return ErrConflict
	}
	return nil
}

func checkNumber(c inventory.NumberChange) error {
	if c.Before == nil && c.After == nil || c.Before != nil && c.After != nil && c.Before.Entry != c.After.Entry {
		return errors.New("the change of a number is not of one")
	}
	e := entryOf(c)
	if e.Kind > catalog.Prefix || !isNumber(e.First) || (e.Kind == catalog.Range) != isNumber(e.Last) || e.Kind != catalog.Range && e.Last != 0 {
		return fmt.Errorf("the change has a number that is none: %+v", e)
	}
	return nil
}

// isNumber is whether k is the key of a number.
func isNumber(k number.Key) bool {
	digits := 0
	for ; k > 9; k /= 10 {
		digits++
	}
	return digits >= 1 && digits <= number.MaxDigits && (k == number.Empty || k == number.Plus)
}

func entryOf(c inventory.NumberChange) catalog.Entry {
	if c.After != nil {
		return c.After.Entry
	}
	return c.Before.Entry
}

// compareEntries orders entries as Store does.
func compareEntries(a, b catalog.Entry) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}

func recordOf(n *inventory.Number, revision uint64, l *ledger) (record, error) {
	if n == nil {
		return record{}, nil
	}
	a, err := l.of(n.Owner)
	if err != nil {
		return record{}, err
	}
	return record{a.place, revision, n.Created.Unix(), n.Updated.Unix()}, nil
}

// committed returns c as it was committed.
func committed(c inventory.Change, revision uint64) inventory.Change {
	c.Connectors, c.Groups, c.Numbers = slices.Clone(c.Connectors), slices.Clone(c.Groups), slices.Clone(c.Numbers)
	for i, ch := range c.Connectors {
		if ch.After != nil {
			after := *ch.After
			after.Revision = revision
			c.Connectors[i].After = &after
		}
	}
	for i, ch := range c.Groups {
		if ch.After != nil {
			after := *ch.After
			after.Revision = revision
			c.Groups[i].After = &after
		}
	}
	for i, ch := range c.Numbers {
		if ch.After != nil {
			after := *ch.After
			after.Revision = revision
			c.Numbers[i].After = &after
		}
	}
	return c
}
