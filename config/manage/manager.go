// Package manage carries out what operators ask of an inventory. The way of a
// change, one after the other:
//
//  1. an operation of package inventory decides it by the newest Snapshot,
//  2. Prepare holds its settings against those of the node,
//  3. the Store commits it; if somebody else was faster, again from 1,
//  4. what Prepare returned brings it into force, before the change is answered:
//     the next call sees it,
//  5. it is logged, with who, what, before and after.
//
// It keeps nothing but the newest Snapshot, and routes no call: when the store
// fails, changes are refused and calls go on as they did. What is in force and what
// is stored are the same again, by Refill, before the next change is decided: a
// commit that failed may have been made, and one that was made may have failed to
// be brought into force.
package manage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/store"
)

// Options are what a Manager works with.
type Options struct {
	Store  store.Store
	Quotas func() inventory.Quotas // in force now
	// Prepare says whether the node could run by the Snapshot after a change; its
	// error, an *inventory.Refusal, refuses it. It returns what brings the change
	// into force once it is committed. Changes come one at a time.
	Prepare func(*inventory.Change, *inventory.Snapshot) (apply func() error, err error)
	// Refill brings all of the store into force, whose Snapshot it is given: when it
	// is not known what has changed since what is in force. It may be nil where
	// nothing is.
	Refill func(*inventory.Snapshot) error
	Now    func() time.Time
	Log    *slog.Logger
}

// Manager carries out changes, one at a time. Reading waits for nobody.
type Manager struct {
	Options
	turn     chan struct{} // holds one element while somebody changes something
	snapshot atomic.Pointer[inventory.Snapshot]
	counts   counts

	// Of who has the turn.
	revision uint64      // of the store, as far as it is known here
	failing  atomic.Bool // the store failed at what was asked of it last
	behind   error       // why what is in force may be older than the Snapshot; nil
}

type counts struct{ made, refused, failed atomic.Uint64 }

// Stats is what a Manager has done since it was opened.
type Stats struct {
	Made    uint64 // changes
	Refused uint64 // by the rules
	Failed  uint64 // that the store did not take
	Failing bool   // the store failed at what was asked of it last
}

// Stats returns the counts so far.
func (m *Manager) Stats() Stats {
	return Stats{Made: m.counts.made.Load(), Refused: m.counts.refused.Load(), Failed: m.counts.failed.Load(), Failing: m.failing.Load()}
}

// Action is who changes something, and what for the log.
type Action struct {
	Who  string // "ops", "127.0.0.1:41234"
	What string // "create group"
	Dry  bool   // decide and check it, and do nothing
}

// Operation decides a change of connectors and groups.
type Operation func(*inventory.Editor) (inventory.Change, error)

// NumberOperation decides a change of numbers. found is in the order of the
// entries, each once.
type NumberOperation func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error)

// tries is how often a change is decided when others are always faster.
const tries = 10

// Open reads the Snapshot of a store. What it holds is not applied: who opens it
// starts by it.
func Open(ctx context.Context, o Options) (*Manager, error) {
	m := &Manager{Options: o, turn: make(chan struct{}, 1)}
	if err := m.read(ctx); err != nil {
		return nil, err
	}
	m.behind = nil
	return m, nil
}

// errElsewhere is a commit that was not made here, or was said to have failed.
var errElsewhere = errors.New("the store has more than was known here")

// read takes the store's Snapshot for the newest one.
func (m *Manager) read(ctx context.Context) error {
	s, revision, err := m.Store.Snapshot(ctx)
	if err != nil {
		return err
	}
	if revision != m.revision {
		m.behind = errElsewhere
	}
	m.revision = revision
	m.snapshot.Store(s)
	return nil
}

// Snapshot is the newest one.
func (m *Manager) Snapshot() *inventory.Snapshot { return m.snapshot.Load() }

// Find returns the numbers of entries, nil for each that is not in the inventory.
func (m *Manager) Find(ctx context.Context, entries []catalog.Entry) ([]*inventory.Number, error) {
	return m.Store.Find(ctx, entries)
}

// Numbers returns a page of numbers.
func (m *Manager) Numbers(ctx context.Context, q store.Query) (store.Page, error) {
	return m.Store.Numbers(ctx, q)
}

// Each calls f for all numbers in their order, until it returns an error.
func (m *Manager) Each(ctx context.Context, f func(inventory.Number) error) error {
	_, err := m.Store.Each(ctx, f)
	return err
}

// Backup writes the whole store.
func (m *Manager) Backup(ctx context.Context, w io.Writer) error { return m.Store.Backup(ctx, w) }

// Frozen calls f while nothing changes.
func (m *Manager) Frozen(f func(*inventory.Snapshot) error) error {
	m.turn <- struct{}{}
	defer m.leave()
	return f(m.Snapshot())
}

// take waits for the turn to change something. Who does not wait any more, as a
// client of a store that was stuck for long, gets nothing done later.
func (m *Manager) take(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		m.leave()
		return err
	}
	return nil
}

func (m *Manager) leave() { <-m.turn }

// Edit carries out an operation on connectors and groups and returns what it did.
// The error is an *inventory.Refusal, or of the node itself.
func (m *Manager) Edit(ctx context.Context, a Action, op Operation) (inventory.Change, error) {
	c, _, err := m.EditNumbers(ctx, a, nil, func(e *inventory.Editor, _ []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		c, err := op(e)
		return c, nil, err
	})
	return c, err
}

// EditNumbers carries out an operation on numbers and returns what it did, and of
// which numbers it was refused: the others are done all the same.
func (m *Manager) EditNumbers(ctx context.Context, a Action, entries []catalog.Entry, op NumberOperation) (inventory.Change, []inventory.NumberRefusal, error) {
	if err := m.take(ctx); err != nil {
		return inventory.Change{}, nil, err
	}
	defer m.leave()
	entries = once(entries)
	for range tries {
		if err := m.catchUp(ctx); err != nil {
			return inventory.Change{}, nil, err
		}
		c, refused, err := m.decide(ctx, entries, op)
		if err != nil {
			return inventory.Change{}, nil, m.counted(err)
		}
		if c.None() {
			return c, refused, m.notInForce(m.behind)
		}
		apply, err := m.Prepare(&c, m.Snapshot().With(c, m.Snapshot().Revision))
		if err != nil {
			return inventory.Change{}, nil, m.counted(err)
		}
		if a.Dry {
			return c, refused, nil
		}
		// A client that goes away now has its change all the same.
		revision, err := m.Store.Commit(context.WithoutCancel(ctx), c)
		if errors.Is(err, store.ErrConflict) {
			if err := m.read(ctx); err != nil {
				return inventory.Change{}, nil, m.closed(err)
			}
			continue
		}
		if err != nil {
			return inventory.Change{}, nil, m.closed(err)
		}
		c = stamped(c, revision)
		return c, refused, m.committed(a, c, revision, apply)
	}
	return inventory.Change{}, nil, &inventory.Refusal{Reason: inventory.Stale, Text: "others change the same all the time; try again"}
}

// catchUp brings into force what the store has and calls do not see: the store may
// have what it said it had not, others may have changed it, and what was committed
// could perhaps not be brought into force at the time. If it cannot be now either,
// behind says so: what is changed next may be what mends it.
func (m *Manager) catchUp(ctx context.Context) error {
	if m.failing.Load() {
		// What became of a commit that failed is sure once another is not refused. This
		// one changes nothing.
		_, err := m.Store.Commit(context.WithoutCancel(ctx), inventory.Change{Catalog: m.Snapshot().Revision})
		if err == nil || errors.Is(err, store.ErrConflict) {
			err = m.read(ctx)
		}
		if err != nil {
			return m.closed(err)
		}
		m.failing.Store(false)
		m.Log.Info("the store takes changes again")
	}
	if m.behind != nil {
		m.behind = m.refill()
	}
	return nil
}

func (m *Manager) refill() error {
	if m.Refill == nil {
		return nil
	}
	return m.Refill(m.Snapshot())
}

func (m *Manager) notInForce(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("it is stored, but not in force yet: %w", err)
}

// counted counts a refusal by the rules.
func (m *Manager) counted(err error) error {
	var r *inventory.Refusal
	if errors.As(err, &r) && r.Reason != inventory.Closed {
		m.counts.refused.Add(1)
	}
	return err
}

// decide decides a change by the newest Snapshot.
func (m *Manager) decide(ctx context.Context, entries []catalog.Entry, op NumberOperation) (c inventory.Change, refused []inventory.NumberRefusal, err error) {
	found := make([]inventory.Found, len(entries))
	if len(entries) > 0 {
		numbers, err := m.Store.Find(ctx, entries)
		if err != nil {
			return c, nil, m.closed(err)
		}
		for i := range found {
			found[i] = inventory.Found{Entry: entries[i], Number: numbers[i]}
		}
	}
	e := &inventory.Editor{Snapshot: m.Snapshot(), Quotas: m.Quotas(), Now: m.Now().UTC().Truncate(time.Second), NewID: inventory.NewID}
	return op(e, found)
}

// committed brings a commit into force and logs it.
func (m *Manager) committed(a Action, c inventory.Change, revision uint64, apply func() error) error {
	m.counts.made.Add(1)
	m.snapshot.Store(m.Snapshot().With(c, revision))
	m.revision = revision
	m.audit(a, &c, revision)
	if m.behind != nil {
		apply = m.refill
	}
	if m.behind = apply(); m.behind != nil {
		m.Log.Error("a change is stored but could not be brought into force: the next one that can, or a restart, will", "what", a.What, "revision", revision, "error", m.behind.Error())
	}
	return m.notInForce(m.behind)
}

// closed is the refusal of changes, and of a look at numbers, by a store that
// fails. It is logged when that begins.
func (m *Manager) closed(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // of whoever asked
	}
	m.counts.failed.Add(1)
	if !m.failing.Swap(true) {
		m.Log.Error("the store fails: changes are refused until it works again; calls go on as they did", "error", err.Error())
	}
	return &inventory.Refusal{Reason: inventory.Closed, Text: "nothing is changed, because the store fails: " + err.Error()}
}

// stamped is a change with its revision.
func stamped(c inventory.Change, revision uint64) inventory.Change {
	c.Connectors, c.Groups, c.Numbers = slices.Clone(c.Connectors), slices.Clone(c.Groups), slices.Clone(c.Numbers)
	for i := range c.Connectors {
		if after := c.Connectors[i].After; after != nil {
			is := *after
			is.Revision = revision
			c.Connectors[i].After = &is
		}
	}
	for i := range c.Groups {
		if after := c.Groups[i].After; after != nil {
			is := *after
			is.Revision = revision
			c.Groups[i].After = &is
		}
	}
	numbers := make([]inventory.Number, 0, len(c.Numbers)) // there may be thousands
	for i := range c.Numbers {
		if after := c.Numbers[i].After; after != nil {
			numbers = append(numbers, *after)
			is := &numbers[len(numbers)-1]
			is.Revision = revision
			c.Numbers[i].After = is
		}
	}
	return c
}

// once leaves out entries that were there before.
func once(entries []catalog.Entry) []catalog.Entry {
	seen := make(map[catalog.Entry]bool, len(entries))
	var all []catalog.Entry
	for _, e := range entries {
		if !seen[e] {
			seen[e] = true
			all = append(all, e)
		}
	}
	return all
}
