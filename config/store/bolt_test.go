package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"tandem/config/inventory"
)

// openBolt opens a new store that is closed after the test, and must be sound then.
func openBolt(t testing.TB) *Bolt {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	b, err := Open(path, Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		_, err := Verify(path)
		require.NoError(t, err)
	})
	return b
}

func TestBolt(t *testing.T) {
	testStore(t, func(t *testing.T) Store { return openBolt(t) })
}

// A commit waits for its turn no longer than its caller does.
func TestCommitWaitsInVain(t *testing.T) {
	b := openBolt(t)
	b.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := b.Commit(ctx, adding(t, 0, east, "+1555"))
		ended <- err
	}()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	b.leave()
	commit(t, b, adding(t, 0, east, "+1555"))
}

var errDisk = errors.New("input/output error")

// failingAfter lets the next commits of bolt fail although they went through.
func failingAfter(b *Bolt, commits int) {
	b.commit = func(t *bbolt.Tx) error {
		err := t.Commit()
		if commits > 0 && err == nil {
			commits--
			err = errDisk
		}
		return err
	}
}

// A commit whose last wait for the disk fails stands in the file all the same:
// another one makes it sure.
func TestSettle(t *testing.T) {
	b := openBolt(t)
	failingAfter(b, 1)
	require.EqualValues(t, 1, commit(t, b, adding(t, 0, east, "+1555", "+1666*")))
	require.EqualValues(t, 2, commit(t, b, adding(t, 1, east, "+1556")))
	requireRevisions(t, b, 2)
}

// If that fails too, it is undone before there is another change: everything is as
// it was, but for the revision.
func TestUndo(t *testing.T) {
	b := openBolt(t)
	group := &inventory.Group{Meta: inventory.Meta{ID: "g"}}
	first := adding(t, 0, east, "+1555", "+1556", "+1666*")
	first.Groups = []inventory.GroupChange{{After: group}}
	commit(t, b, first)
	was, _ := snapshot(t, b)
	numbers := find(t, b, "+1555", "+1556", "+1666*")

	group.Revision = 1
	after := *numbers[0]
	after.Owner = sales
	second := adding(t, 1, nobody, "+1557", "+1777*")
	second.Groups = []inventory.GroupChange{{Before: group}}
	second.Numbers = append(second.Numbers, inventory.NumberChange{Before: numbers[0], After: &after}, inventory.NumberChange{Before: numbers[2]})
	failingAfter(b, 3)
	_, err := b.Commit(t.Context(), second)
	require.ErrorIs(t, err, errDisk)
	require.ErrorContains(t, err, "it will be undone before there is another, but if this process ends before, it may be there")
	_, err = b.Commit(t.Context(), second)
	require.ErrorIs(t, err, errDisk)
	require.ErrorContains(t, err, "takes no changes until one that could not be written is undone")

	require.EqualValues(t, 2, commit(t, b, inventory.Change{Catalog: 1, Empty: []inventory.Owner{sales, nobody}}), "the disk works again")
	now, revision := snapshot(t, b)
	require.EqualValues(t, 2, revision)
	require.Equal(t, was, now)
	require.Equal(t, append(numbers, nil, nil), find(t, b, "+1555", "+1556", "+1666*", "+1557", "+1777*"))
	require.EqualValues(t, 3, commit(t, b, second))
	requireRevisions(t, b, 3)
}

// requireRevisions wants all commits watched.
func requireRevisions(t *testing.T, b *Bolt, last uint64) {
	t.Helper()
	seen := uint64(0)
	require.ErrorIs(t, b.Watch(t.Context(), 0, func(e Event) error {
		if seen++; seen != e.Revision {
			return errDisk
		}
		if seen == last {
			return errFull
		}
		return nil
	}), errFull)
}

// Nobody reads while pages are taken that a failed commit freed.
func TestUndoAlone(t *testing.T) {
	b := openBolt(t)
	commit(t, b, adding(t, 0, east, "+1555"))
	failingAfter(b, 1)
	_, err := b.Each(t.Context(), func(inventory.Number) error {
		_, err := b.Commit(t.Context(), adding(t, 0, east, "+1556"))
		require.ErrorIs(t, err, errDisk)
		_, err = b.Commit(t.Context(), adding(t, 0, east, "+1556"))
		require.ErrorContains(t, err, "takes no changes until one that could not be written is undone: it is being read; try again")
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 3, commit(t, b, adding(t, 0, east, "+1556")))
	requireRevisions(t, b, 3)
}

// Damage that is met by a commit ends all commits; reading goes on as far as it
// can, and closing ends.
func TestCommitMeetsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	b, err := Open(path, Options{})
	require.NoError(t, err)
	commit(t, b, adding(t, 0, east, "+1555"))
	b.commit = func(*bbolt.Tx) error { panic("page 7 already freed") }
	for range 2 {
		_, err = b.Commit(t.Context(), adding(t, 0, east, "+1556"))
		require.ErrorContains(t, err, "the store "+path+" takes no more changes: the file is damaged; restore a backup (page 7 already freed)")
	}
	require.NotNil(t, find(t, b, "+1555")[0])
	require.NoError(t, b.Close())
	_, err = Verify(path)
	require.NoError(t, err)
}
