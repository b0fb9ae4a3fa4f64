package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"tandem/config/inventory"
)

// Commit implements Store. Once it has its turn, the end of ctx does not stop it.
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
		event = Event{Revision: before + 1, Change: committed(c, before+1)}
		writes, err := x.plan(event.Change)
		if err != nil {
			return err
		}
		if c.None() {
			return nil
		}
		if err := put(writes); err != nil {
			return err
		}
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

// put writes what was planned.
func put(writes []write) error {
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

// committed returns c as it is once it was committed. Whose it is keeps it as it was.
func committed(c inventory.Change, revision uint64) inventory.Change {
	c.Connectors, c.Groups, c.Numbers = slices.Clone(c.Connectors), slices.Clone(c.Groups), slices.Clone(c.Numbers)
	for i := range c.Connectors {
		if after := copied(&c.Connectors[i].After); after != nil {
			after.Revision = revision
		}
	}
	for i := range c.Groups {
		if after := copied(&c.Groups[i].After); after != nil {
			after.Revision = revision
		}
	}
	for i := range c.Numbers {
		if after := copied(&c.Numbers[i].After); after != nil {
			after.Revision = revision
		}
	}
	return c
}

// copied puts a copy in the place of what v points to, and returns it.
func copied[T any](v **T) *T {
	if *v != nil {
		c := **v
		*v = &c
	}
	return *v
}
