package manage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/store"
)

// bench is a Manager on a real store, and what it did.
type bench struct {
	*Manager
	t       *testing.T
	store   *store.Bolt
	log     bytes.Buffer
	checked func(*inventory.Snapshot) error
	applied func(*inventory.Change) error
	changes []*inventory.Change // that were applied
	refills []*inventory.Snapshot
	quotas  inventory.Quotas
}

func open(t *testing.T) *bench {
	t.Helper()
	bolt, err := store.Open(filepath.Join(t.TempDir(), "tandem.db"), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bolt.Close()) })
	b := &bench{t: t, store: bolt}
	b.Manager, err = Open(t.Context(), Options{
		Store:  bolt,
		Quotas: func() inventory.Quotas { return b.quotas },
		Prepare: func(c *inventory.Change, s *inventory.Snapshot) (func() error, error) {
			if b.checked != nil {
				if err := b.checked(s); err != nil {
					return nil, err
				}
			}
			return func() error {
				b.changes = append(b.changes, c)
				if b.applied != nil {
					return b.applied(c)
				}
				return nil
			}, nil
		},
		Refill: func(s *inventory.Snapshot) error {
			b.refills = append(b.refills, s)
			if b.applied != nil {
				return b.applied(nil)
			}
			return nil
		},
		Now: time.Now,
		Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	})
	require.NoError(t, err)
	return b
}

var ops = Action{Who: "ops", What: "test"}

func (b *bench) edit(op Operation) inventory.Change {
	b.t.Helper()
	c, err := b.Edit(b.t.Context(), ops, op)
	require.NoError(b.t, err)
	return c
}

func createGroup(name string) Operation {
	return func(e *inventory.Editor) (inventory.Change, error) {
		return e.CreateGroup(inventory.GroupSpec{Name: name})
	}
}

func entries(texts ...string) (all []catalog.Entry) {
	for _, text := range texts {
		e, err := catalog.ParseEntry([]byte(text))
		if err != nil {
			panic(err)
		}
		all = append(all, e)
	}
	return all
}

func add(to inventory.Owner) NumberOperation {
	return func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.AddNumbers(found, to)
	}
}

func TestEdit(t *testing.T) {
	b := open(t)
	c := b.edit(createGroup("support"))
	created := c.Groups[0].After
	require.Len(t, created.ID, 22)
	require.NotZero(t, created.Revision)
	require.Len(t, b.changes, 1)
	require.Equal(t, created.ID, b.changes[0].Groups[0].After.ID, "what is applied is what was committed")

	g, err := b.Snapshot().Group("support")
	require.NoError(t, err)
	require.Equal(t, created, g)
	kept, _, err := b.store.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, b.Snapshot().Groups, kept.Groups, "the store has the same")
	require.Equal(t, b.Snapshot().Revision, kept.Revision)
	require.Contains(t, b.log.String(), `who=ops`)
	require.Contains(t, b.log.String(), `before=none after="{\"name\":\"support\"}"`)

	owner := inventory.Owner{Kind: inventory.GroupOwner, ID: created.ID}
	c, refused, err := b.EditNumbers(t.Context(), ops, entries("+15550000001", "+15550000001", "+1555*"), add(owner))
	require.NoError(t, err)
	require.Empty(t, refused)
	require.Len(t, c.Numbers, 2)
	require.Equal(t, map[inventory.Owner]int{owner: 2}, b.Snapshot().Counts)
	require.Len(t, b.Snapshot().Spans, 1)
	kept, _, err = b.store.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, b.Snapshot(), kept)

	b.log.Reset()
	c, _, err = b.EditNumbers(t.Context(), ops, entries("+15550000001"), add(owner))
	require.NoError(t, err)
	require.True(t, c.None(), "it is there")
	require.Len(t, b.changes, 2, "nothing is committed, applied or logged for nothing")
	require.Empty(t, b.log.String())
}

func TestDryEditDoesNothing(t *testing.T) {
	b := open(t)
	dry := ops
	dry.Dry = true
	c, err := b.Edit(t.Context(), dry, createGroup("support"))
	require.NoError(t, err)
	require.Equal(t, "support", c.Groups[0].After.Name)
	b.checked = func(*inventory.Snapshot) error { return &inventory.Refusal{Text: "no"} }
	_, err = b.Edit(t.Context(), dry, createGroup("sales"))
	require.EqualError(t, err, "no", "but it is checked")
	require.Empty(t, b.changes)
	require.Empty(t, b.Snapshot().Groups)
	require.Empty(t, b.log.String())
}

func TestRefusedEditChangesNothing(t *testing.T) {
	b := open(t)
	b.quotas.Groups = 1
	b.edit(createGroup("support"))
	before := b.Snapshot()
	_, err := b.Edit(t.Context(), ops, createGroup("sales"))
	var r *inventory.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, inventory.Quota, r.Reason)

	b.quotas.Groups = 0
	b.checked = func(s *inventory.Snapshot) error {
		_, err := s.Group("sales")
		require.NoError(t, err, "what is checked is what would be")
		return &inventory.Refusal{Field: "failover.codes", Text: "is wrong"}
	}
	_, err = b.Edit(t.Context(), ops, createGroup("sales"))
	require.EqualError(t, err, "failover.codes: is wrong")
	require.Same(t, before, b.Snapshot())
	require.Len(t, b.changes, 1)
	require.Equal(t, Stats{Made: 1, Refused: 2}, b.Stats())
}

// Somebody else changes the store, as other nodes on one store do.
func TestEditByAnOldSnapshotIsDecidedAgain(t *testing.T) {
	b := open(t)
	other, err := Open(t.Context(), Options{
		Store: b.store, Quotas: func() inventory.Quotas { return inventory.Quotas{} }, Prepare: b.Prepare, Refill: b.Refill,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	_, err = other.Edit(t.Context(), ops, createGroup("support"))
	require.NoError(t, err)

	decided := 0
	_, err = b.Edit(t.Context(), ops, func(e *inventory.Editor) (inventory.Change, error) {
		decided++
		return createGroup("support")(e)
	})
	var r *inventory.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, inventory.Taken, r.Reason, "the name is taken by now")
	require.Equal(t, 2, decided)
	require.Len(t, b.refills, 1, "what the other one did is in force here too")
	b.edit(createGroup("sales"))
	require.Len(t, b.Snapshot().Groups, 2)
}

func TestEditsOfManyAreOneAfterTheOther(t *testing.T) {
	b := open(t)
	inside := false
	b.applied = func(c *inventory.Change) error {
		require.False(t, inside)
		inside = true
		defer func() { inside = false }()
		_, err := b.Snapshot().Group(c.Groups[0].After.Name)
		return err
	}
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for j := range 10 {
				_, err := b.Edit(t.Context(), ops, createGroup(fmt.Sprintf("g%d-%d", i, j)))
				require.NoError(t, err)
			}
		})
	}
	clients.Wait()
	require.Len(t, b.Snapshot().Groups, 80)
	require.Len(t, b.changes, 80)
}

// A store that fails takes no changes, says why, and is logged once when that
// begins and once when it ends.
func TestFailingStore(t *testing.T) {
	b := open(t)
	b.edit(createGroup("support"))
	failing := &failingStore{Store: b.store, err: errors.New("no space left on device")}
	b.Store = failing
	for range 2 {
		_, err := b.Edit(t.Context(), ops, createGroup("sales"))
		var r *inventory.Refusal
		require.ErrorAs(t, err, &r)
		require.Equal(t, inventory.Closed, r.Reason)
		require.Contains(t, r.Text, "no space left on device")
	}
	require.Len(t, b.Snapshot().Groups, 1)
	require.Len(t, b.changes, 1)
	require.Equal(t, 1, bytes.Count(b.log.Bytes(), []byte("the store fails")))
	require.True(t, b.Stats().Failing)
	require.EqualValues(t, 2, b.Stats().Failed)
	failing.err = nil
	b.edit(createGroup("sales"))
	require.Equal(t, 1, bytes.Count(b.log.Bytes(), []byte("takes changes again")))
	require.Equal(t, Stats{Made: 2, Failed: 2}, b.Stats())
}

// failingStore is a store whose commits fail.
type failingStore struct {
	store.Store
	err error
}

func (s *failingStore) Commit(ctx context.Context, c inventory.Change) (uint64, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.Store.Commit(ctx, c)
}

// What is stored and cannot be brought into force is not forgotten, and said.
func TestApplyFails(t *testing.T) {
	b := open(t)
	b.applied = func(*inventory.Change) error { return errors.New("no socket") }
	_, err := b.Edit(t.Context(), ops, createGroup("support"))
	require.ErrorContains(t, err, "stored, but not in force yet: no socket")
	require.Len(t, b.Snapshot().Groups, 1)
	require.Contains(t, b.log.String(), "level=ERROR")

	// Nothing is said to be so before it is in force.
	there := func(e *inventory.Editor) (inventory.Change, error) {
		return e.UpdateGroup("support", inventory.GroupSpec{Name: "support"})
	}
	_, err = b.Edit(t.Context(), ops, there)
	require.ErrorContains(t, err, "stored, but not in force yet: no socket")
	b.applied, b.refills = nil, nil
	_, err = b.Edit(t.Context(), ops, there)
	require.NoError(t, err)
	require.Equal(t, []*inventory.Snapshot{b.Snapshot()}, b.refills)
	b.edit(createGroup("sales"))
	require.Len(t, b.refills, 1)
}

// A change that mends what could not be brought into force is made, and brings
// all of it.
func TestChangeAfterOneThatWasNotApplied(t *testing.T) {
	b := open(t)
	b.applied = func(*inventory.Change) error {
		if _, err := b.Snapshot().Group("support"); err == nil {
			return errors.New("no socket")
		}
		return nil
	}
	_, err := b.Edit(t.Context(), ops, createGroup("support"))
	require.Error(t, err)
	b.edit(func(e *inventory.Editor) (inventory.Change, error) { return e.DeleteGroup("support") })
	require.Same(t, b.Snapshot(), b.refills[len(b.refills)-1])
	require.Len(t, b.changes, 1, "the second one came with all of them")
}

// The disk failed after it had taken a change: the store says that it failed, and
// has it nevertheless.
func TestCommitThatFailedAndIsThere(t *testing.T) {
	b := open(t)
	b.edit(createGroup("support"))
	g, err := b.Snapshot().Group("support")
	require.NoError(t, err)
	lossy := &lossyStore{Store: b.store}
	b.Store = lossy
	number, owner := entries("+15550000001"), inventory.Owner{Kind: inventory.GroupOwner, ID: g.ID}
	fails := func() {
		t.Helper()
		lossy.fails = true
		_, _, err = b.EditNumbers(t.Context(), ops, number, add(owner))
		var r *inventory.Refusal
		require.ErrorAs(t, err, &r)
		require.Equal(t, inventory.Closed, r.Reason)
	}
	fails()
	require.Empty(t, b.refills)

	// Who tries again is told that it is so once calls see it.
	c, _, err := b.EditNumbers(t.Context(), ops, number, add(owner))
	require.NoError(t, err)
	require.True(t, c.None())
	require.Len(t, b.refills, 1)
	require.Equal(t, map[inventory.Owner]int{owner: 1}, b.refills[0].Counts)
	require.Same(t, b.refills[0], b.Snapshot())
	require.Contains(t, b.log.String(), "takes changes again")

	number = entries("+15550000002")
	fails()
	b.edit(createGroup("sales"))
	require.Len(t, b.refills, 2, "whatever comes next brings it into force")
	require.Equal(t, 2, b.Snapshot().Counts[owner])
}

// lossyStore is a store whose commits fail once they are made.
type lossyStore struct {
	store.Store
	fails bool
}

func (s *lossyStore) Commit(ctx context.Context, c inventory.Change) (uint64, error) {
	revision, err := s.Store.Commit(ctx, c)
	if s.fails && err == nil {
		s.fails, err = false, errors.New("input/output error")
	}
	return revision, err
}

// Who waits for others does so no longer than it wants to.
func TestEditWaitsWithItsContext(t *testing.T) {
	b := open(t)
	require.NoError(t, b.Frozen(func(*inventory.Snapshot) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := b.Edit(ctx, ops, createGroup("support"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return nil
	}))
	require.Empty(t, b.changes)
}

func TestFrozen(t *testing.T) {
	b := open(t)
	edited := make(chan struct{})
	require.NoError(t, b.Frozen(func(s *inventory.Snapshot) error {
		go func() {
			defer close(edited)
			_, err := b.Edit(context.Background(), ops, createGroup("support"))
			require.NoError(t, err)
		}()
		require.Same(t, s, b.Snapshot())
		return nil
	}))
	<-edited
	require.Len(t, b.Snapshot().Groups, 1)
}

// It may be the turn of a client in the moment in which it goes.
func TestWhoHasGoneChangesNothing(t *testing.T) {
	b := open(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 20 {
		_, err := b.Edit(gone, ops, createGroup("support"))
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Empty(t, b.Snapshot().Groups)
}

// The log has every number of a change.
func TestAuditOfNumbers(t *testing.T) {
	b := open(t)
	support := inventory.Owner{Kind: inventory.GroupOwner, ID: b.edit(createGroup("support")).Groups[0].After.ID}
	b.log.Reset()
	var many []catalog.Entry
	for i := range 2 * mostNamed { // every other number: none follows another
		many = append(many, entries(fmt.Sprintf("+1666%07d", 2*i))...)
	}
	_, _, err := b.EditNumbers(t.Context(), ops, append(many, entries("+15550000003", "+15550000001", "+15550000002", "+15550000009", "99", "100", "+15551000-+15551999")...), add(support))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(b.log.String()), "\n")
	require.Len(t, lines, 3)
	require.Contains(t, lines[0], `count=1007 before=none after="group \"support\""`)
	require.Contains(t, b.log.String(), `+15551000-+15551999`)
	for _, e := range many {
		require.Equal(t, 1, strings.Count(b.log.String(), e.String()), "%s", e)
	}
	require.Contains(t, b.log.String(), "+15550000001 to +15550000003 +15550000009")
	require.Contains(t, b.log.String(), "99 100 ", "these have not the same length")

	b.log.Reset()
	_, _, err = b.EditNumbers(t.Context(), ops, entries("99"), func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.UnassignNumbers(found, nil)
	})
	require.NoError(t, err)
	require.Contains(t, b.log.String(), `numbers=[99] count=1 before="group \"support\"" after=nobody`)
}
