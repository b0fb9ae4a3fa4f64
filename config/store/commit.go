package store

import (
	"bytes"
	"context"
	"errors"
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
		if err := b.undo(); err != nil {
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
		undo   []rewrite
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
		if undo, err = x.put(writes); err != nil {
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
		return b.afterFailure(event, undo, fail.error)
	case errors.Is(err, errDamaged):
		b.broken = b.noMore(err)
		return 0, b.broken
	}
	return 0, err
}

// failed is an error of writing.
type failed struct{ error }

// put writes what was planned, and returns what undoes it.
func (t *tx) put(writes []write) (undo []rewrite, err error) {
	for _, w := range writes {
		undo = append(undo, rewrite{t.bucketName[w.bucket], w.key, bytes.Clone(w.bucket.Get(w.key))})
		if err := w.put(w.bucket); err != nil {
			return nil, err
		}
	}
	return undo, nil
}

func (w write) put(b *bbolt.Bucket) error {
	b.FillPercent = fillPercent
	if w.value == nil {
		return b.Delete(w.key)
	}
	return b.Put(w.key, w.value)
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
