package store

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"tandem/config/inventory"
)

// A commit that fails mostly leaves nothing behind. But if its very last write went
// through, and only to wait for the disk failed, then it stands in the file as far
// as anybody can see, and nobody knows whether it would after a power failure.
// Another commit right away makes it sure. If that fails too, the caller hears that
// it failed: it is undone before there is another change.

// unsure is a commit of which it is not known what became of it.
type unsure struct {
	revision uint64
	undo     []rewrite
}

// rewrite is a write by the name of its bucket.
type rewrite struct {
	bucket, key, value []byte
}

// afterFailure is what a failed write leads to.
func (b *Bolt) afterFailure(e Event, undo []rewrite, cause error) (uint64, error) {
	now, err := b.revision()
	if err == nil && now != e.Revision {
		return 0, fmt.Errorf("the change could not be written to %s, and is not carried out: %w", b.path, cause)
	}
	sure := rewrite{metaBucket, revisionName, eightBytes(e.Revision)}
	if b.rewrite(sure) == nil {
		b.ring.add(e)
		return e.Revision, nil
	}
	// The revision is used up: somebody may have seen it.
	for i, w := range undo {
		if string(w.bucket) == string(metaBucket) && string(w.key) == string(revisionName) {
			undo[i] = sure
		}
	}
	b.unsure = &unsure{e.Revision, undo}
	return 0, fmt.Errorf("the change could not be written to %s; it will be undone before there is another, but if this process ends before, it may be there: %w", b.path, cause)
}

// undo undoes what failed: its revision is a change of nothing.
func (b *Bolt) undo() error {
	if err := b.rewrite(b.unsure.undo...); err != nil {
		return fmt.Errorf("the store %s takes no changes until one that could not be written is undone: %w", b.path, err)
	}
	b.ring.add(Event{Revision: b.unsure.revision, Change: inventory.Change{}})
	b.unsure = nil
	return nil
}

// rewrite commits writes. Bolt takes the pages that a failed commit freed for free at
// once, so nobody may be reading.
func (b *Bolt) rewrite(writes ...rewrite) error {
	if !b.reads.TryLock() {
		return errors.New("it is being read; try again")
	}
	defer b.reads.Unlock()
	err := guarded(nil, func() error {
		t, err := b.db.Begin(true)
		if err != nil {
			return err
		}
		for _, w := range writes {
			if err := (write{key: w.key, value: w.value}).put(t.Bucket(w.bucket)); err != nil {
				_ = t.Rollback()
				return err
			}
		}
		return b.commit(t)
	})
	if errors.Is(err, errPanic) { // bolt may hold its locks still
		b.broken = b.noMore(err)
	}
	return err
}

// noMore is why there are no more commits.
func (b *Bolt) noMore(err error) error {
	return fmt.Errorf("the store %s takes no more changes: %w", b.path, err)
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
