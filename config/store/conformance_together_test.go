package store

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// Many decide by the same state: exactly one of them wins each time.
func testOneWins(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, nobody, "+1555"))
	const rounds, rivals = 20, 4
	for range rounds {
		now := find(t, s, "+1555")[0]
		var wg sync.WaitGroup
		errs := make([]error, rivals)
		for i := range rivals {
			wg.Go(func() {
				after := *now
				after.Owner = inventory.Owner{Kind: inventory.GroupOwner, ID: fmt.Sprint(i)}
				_, errs[i] = s.Commit(t.Context(), inventory.Change{Numbers: []inventory.NumberChange{{Before: now, After: &after}}})
			})
		}
		wg.Wait()
		owner := find(t, s, "+1555")[0].Owner
		for i, err := range errs {
			if owner.ID == fmt.Sprint(i) {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrConflict)
			}
		}
	}
	_, revision := snapshot(t, s)
	require.EqualValues(t, 1+rounds, revision)
}

// A group is deleted while a number is assigned to it: one of the two.
func testEmptyOrAssigned(t *testing.T, s Store) {
	var revision uint64
	for i := range 20 {
		g := &inventory.Group{Meta: inventory.Meta{ID: fmt.Sprint("g", i)}}
		owner := inventory.Owner{Kind: inventory.GroupOwner, ID: g.ID}
		revision = commit(t, s, inventory.Change{Catalog: revision, Groups: []inventory.GroupChange{{After: g}}})
		g.Revision = revision
		var wg sync.WaitGroup
		var assigned, deleted error
		add := adding(t, revision, owner, fmt.Sprint("+1555", i))
		wg.Go(func() { _, assigned = s.Commit(t.Context(), add) })
		wg.Go(func() {
			_, deleted = s.Commit(t.Context(), inventory.Change{Catalog: revision, Groups: []inventory.GroupChange{{Before: g}}, Empty: []inventory.Owner{owner}})
		})
		wg.Wait()
		snap, _ := snapshot(t, s)
		switch {
		case assigned == nil:
			require.ErrorIs(t, deleted, ErrConflict)
			require.Equal(t, 1, snap.Counts[owner])
		default:
			require.ErrorIs(t, assigned, ErrConflict)
			require.NoError(t, deleted)
			require.Zero(t, snap.Counts[owner])
		}
		revision = snap.Revision
	}
}

// Each sees one revision although commits go on, which it keeps none waiting.
func testEachAtOneRevision(t *testing.T, s Store) {
	var all []string
	for i := range 3000 {
		all = append(all, fmt.Sprintf("+1555%06d", i))
	}
	commit(t, s, adding(t, 0, east, all...))
	var seen []string
	revision, err := s.Each(t.Context(), func(n inventory.Number) error {
		seen = append(seen, n.Entry.String())
		require.Equal(t, east, n.Owner)
		if len(seen)%300 != 1 {
			return nil
		}
		done := make(chan struct{})
		go func() { // f must not call the store; that others do is what it is about
			defer close(done)
			numbers, err := s.Numbers(t.Context(), Query{Owner: &east, Limit: 100})
			if err != nil {
				t.Error(err)
				return
			}
			c := adding(t, 0, nobody, fmt.Sprintf("+1666%06d", len(seen)))
			for _, n := range numbers.Numbers {
				after := n
				after.Owner = sales
				c.Numbers = append(c.Numbers, inventory.NumberChange{Before: &n, After: &after})
			}
			if _, err = s.Commit(t.Context(), c); err != nil {
				t.Error(err)
			}
		}()
		<-done
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, revision)
	require.Equal(t, all, seen)
	snap, _ := snapshot(t, s)
	require.Equal(t, map[inventory.Owner]int{east: 2000, sales: 1000, nobody: 10}, snap.Counts)
}

// Watchers that begin at any time see all commits in order.
func testWatch(t *testing.T, s Store) {
	const commits, watchers = 60, 4
	var wg sync.WaitGroup
	for i := range watchers {
		wg.Go(func() {
			want := uint64(0)
			err := s.Watch(t.Context(), 0, func(e Event) error {
				want++
				if e.Revision != want || len(e.Change.Numbers) != 1 || e.Change.Numbers[0].After.Revision != want {
					return fmt.Errorf("watcher %d wants %d, got %+v", i, want, e)
				}
				if want == commits {
					return errFull
				}
				return nil
			})
			if err != errFull {
				t.Error(err)
			}
		})
	}
	for i := range 3 {
		wg.Go(func() {
			for n := range commits / 3 {
				if _, err := s.Commit(t.Context(), adding(t, 0, east, fmt.Sprintf("+1555%d%03d", i, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func testWatchFrom(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555"))
	commit(t, s, adding(t, 0, east, "+1556"))
	seen := uint64(0)
	require.ErrorIs(t, s.Watch(t.Context(), 1, func(e Event) error {
		seen = e.Revision
		return errFull
	}), errFull)
	require.EqualValues(t, 2, seen)

	require.ErrorIs(t, s.Watch(t.Context(), 3, func(Event) error { return nil }), ErrCompacted, "of the future")

	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan error)
	go func() {
		began <- s.Watch(ctx, 2, func(e Event) error {
			cancel()
			return nil
		})
	}()
	commit(t, s, adding(t, 0, east, "+1557"))
	require.ErrorIs(t, <-began, context.Canceled)
}

func testContext(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555", "+1556", "+1557"))
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := s.Each(ctx, func(inventory.Number) error {
		calls++
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, calls)

	_, _, err = s.Snapshot(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Find(ctx, []catalog.Entry{entry(t, "+1555")})
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Numbers(ctx, Query{Limit: 1})
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Commit(ctx, adding(t, 0, east, "+1558"))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.Watch(ctx, 0, func(Event) error { return nil }), context.Canceled)
	require.ErrorIs(t, s.Backup(ctx, new(bytes.Buffer)), context.Canceled)

	_, revision := snapshot(t, s)
	require.EqualValues(t, 1, revision)
	commit(t, s, adding(t, 0, east, "+1558"))
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errFull }

// Errors and panics of a caller's function come back as they are, and leave
// nothing behind.
func testCallersErrors(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555"))
	_, err := s.Each(t.Context(), func(inventory.Number) error { return errFull })
	require.Equal(t, errFull, err)
	require.Equal(t, errFull, s.Watch(t.Context(), 0, func(Event) error { return errFull }))
	require.ErrorIs(t, s.Backup(t.Context(), brokenWriter{}), errFull)
	require.PanicsWithValue(t, "mine", func() {
		_, _ = s.Each(t.Context(), func(inventory.Number) error { panic("mine") })
	})
	commit(t, s, adding(t, 0, east, "+1556"))
	require.NoError(t, s.Close())
}

func testClosed(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555", "+1556"))
	watched := make(chan error)
	go func() { watched <- s.Watch(t.Context(), 1, func(Event) error { return nil }) }()
	reading, ended := make(chan struct{}), make(chan error)
	goOn := make(chan struct{})
	go func() {
		first := true
		_, err := s.Each(t.Context(), func(inventory.Number) error {
			if first {
				first = false
				close(reading)
				<-goOn
			}
			return nil
		})
		ended <- err
	}()
	<-reading
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	require.ErrorIs(t, <-watched, ErrClosed)
	close(goOn)
	require.ErrorIs(t, <-ended, ErrClosed)
	require.NoError(t, <-closed)
	require.NoError(t, s.Close())

	_, _, err := s.Snapshot(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Find(t.Context(), nil)
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Numbers(t.Context(), Query{Limit: 1})
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Each(t.Context(), func(inventory.Number) error { return nil })
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Commit(t.Context(), adding(t, 0, east, "+1557"))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Watch(t.Context(), 1, func(Event) error { return nil }), ErrClosed)
	require.ErrorIs(t, s.Backup(t.Context(), new(bytes.Buffer)), ErrClosed)
}

// slowWriter lets a commit be made before each write.
type slowWriter struct {
	bytes.Buffer
	before func()
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.before()
	return w.Buffer.Write(p)
}

func testBackupMeanwhile(t *testing.T, s Store) {
	var all []string
	for i := range 3000 {
		all = append(all, fmt.Sprintf("+1555%06d", i*1001))
	}
	commit(t, s, adding(t, 0, east, all...))
	n := 0
	w := slowWriter{before: func() {
		n++
		_, err := s.Commit(t.Context(), adding(t, 0, sales, fmt.Sprintf("+1666%06d", n)))
		require.NoError(t, err)
	}}
	require.NoError(t, s.Backup(t.Context(), &w))
	require.Positive(t, n)
	require.NotZero(t, w.Len())
	_, revision := snapshot(t, s)
	require.EqualValues(t, 1+n, revision)
}
