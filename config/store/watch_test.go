package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/inventory"
)

func ringOf(events ...Event) *ring {
	r := new(ring)
	r.begin(0)
	for _, e := range events {
		r.add(e)
	}
	return r
}

// The ring holds the last commits by count and by weight, the very last one
// whatever it weighs, and nothing of those before.
func TestRing(t *testing.T) {
	r := ringOf()
	for i := range uint64(2 * ringEvents) {
		r.add(Event{Revision: i + 1})
	}
	require.Len(t, r.events, ringEvents)
	_, grown, found := r.next(ringEvents - 1)
	require.False(t, found)
	require.Nil(t, grown)
	e, _, found := r.next(ringEvents)
	require.True(t, found)
	require.EqualValues(t, ringEvents+1, e.Revision)
	_, grown, found = r.next(2 * ringEvents)
	require.False(t, found)
	require.NotNil(t, grown)

	large := inventory.Change{Numbers: make([]inventory.NumberChange, 10_000)}
	for range 100 {
		r.add(Event{Revision: r.last + 1, Change: large})
	}
	require.Less(t, len(r.events), 20)
	require.LessOrEqual(t, r.weight, ringWeight)
	require.LessOrEqual(t, cap(r.events), 4*ringEvents)
	huge := inventory.Change{Numbers: make([]inventory.NumberChange, 1_000_000)}
	r.add(Event{Revision: r.last + 1, Change: huge})
	require.Len(t, r.events, 1)
	r.add(Event{Revision: r.last + 1})
	require.Len(t, r.events, 1)
	require.Equal(t, Event{}.weight(), r.weight)
}

// One who is slow keeps nobody waiting, and learns that it has missed something.
func TestSlowWatcher(t *testing.T) {
	b := openBolt(t)
	commit(t, b, adding(t, 0, east, "+1555"))
	seen, fast := 0, make(chan struct{})
	goOn, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- b.Watch(t.Context(), 0, func(Event) error {
			if seen++; seen == 1 {
				close(fast)
				<-goOn
			}
			return nil
		})
	}()
	<-fast
	for range ringEvents + 1 { // as if so many commits were made
		b.ring.add(Event{Revision: b.ring.last + 1})
	}
	close(goOn)
	require.ErrorIs(t, <-ended, ErrCompacted)
	require.Equal(t, 1, seen)
}

// A store that is opened again remembers no commits; from now on it does.
func TestWatchReopened(t *testing.T) {
	path := filled(t)
	b, err := Open(path, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	snap, revision := snapshot(t, b)
	require.ErrorIs(t, b.Watch(t.Context(), revision-1, func(Event) error { return nil }), ErrCompacted)
	commit(t, b, adding(t, snap.Revision, east, "+1999000111"))
	require.ErrorIs(t, b.Watch(t.Context(), revision, func(e Event) error {
		require.Equal(t, revision+1, e.Revision)
		return errFull
	}), errFull)
}
