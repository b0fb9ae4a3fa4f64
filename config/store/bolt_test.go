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

// A commit whose last wait for the disk fails stands in the file all the same: it
// is made sure by another one.
func TestSettle(t *testing.T) {
	b := openBolt(t)
	failing := 1
	b.commit = func(t *bbolt.Tx) error {
		err := t.Commit()
		if failing > 0 && err == nil {
			failing--
			err = errDisk
		}
		return err
	}
	revision, err := b.Commit(t.Context(), adding(t, 0, east, "+1555"))
	require.NoError(t, err, "the second try made it sure")
	require.EqualValues(t, 1, revision)

	failing = 2
	_, err = b.Commit(t.Context(), adding(t, 0, east, "+1556"))
	require.ErrorIs(t, err, errDisk)
	require.ErrorContains(t, err, "takes no changes until it is known what became of one that could not be written")
	require.NotNil(t, find(t, b, "+1555")[0], "it is read from all the same")

	failing = 0
	_, err = b.Commit(t.Context(), adding(t, 0, east, "+1556"))
	require.ErrorIs(t, err, ErrConflict, "it is there")
	require.EqualValues(t, 3, commit(t, b, adding(t, 0, east, "+1557")))
	var seen []uint64
	require.ErrorIs(t, b.Watch(t.Context(), 0, func(e Event) error {
		if seen = append(seen, e.Revision); len(seen) == 3 {
			return errFull
		}
		return nil
	}), errFull)
	require.Equal(t, []uint64{1, 2, 3}, seen)
}

// Nobody reads while pages are taken that were freed by a commit that failed.
func TestSettleAlone(t *testing.T) {
	b := openBolt(t)
	commit(t, b, adding(t, 0, east, "+1555"))
	b.commit = func(t *bbolt.Tx) error {
		err := t.Commit()
		b.commit = (*bbolt.Tx).Commit
		return errors.Join(err, errDisk)
	}
	_, err := b.Each(t.Context(), func(inventory.Number) error {
		for range 2 {
			_, err := b.Commit(t.Context(), adding(t, 0, east, "+1556"))
			require.ErrorContains(t, err, "takes no changes until it is known what became of one that could not be written: try again")
		}
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 3, commit(t, b, adding(t, 0, east, "+1557")))
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
