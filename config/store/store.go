// Package store keeps an inventory so that nothing that was acknowledged is ever
// lost: a Bolt in a file of this machine, of which Restore, Verify and Info are for
// when no process has it open. It knows no rules of the inventory and routes no call.
package store

import (
	"context"
	"errors"
	"io"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// Errors of a Store. Others are of the medium: a full disk, a file that cannot
// be read.
var (
	// ErrConflict is a Change that was decided by what is no longer so.
	ErrConflict = errors.New("it has changed meanwhile")
	// ErrCompacted is a revision that is too old to be watched from: read a
	// Snapshot and all numbers again.
	ErrCompacted = errors.New("the changes since that revision are forgotten")
	// ErrClosed is a store that was closed.
	ErrClosed = errors.New("the store is closed")
)

// Store keeps an inventory. All methods may be called at the same time.
//
// Each commit has a revision, one more than that of the commit before. Etcd's
// transactions, revisions and watches are the model: what cannot be built on them
// is not in this interface.
type Store interface {
	// Snapshot returns the connectors and groups as they are now, with the count of
	// numbers of each owner, and the revision of the whole store.
	Snapshot(ctx context.Context) (s *inventory.Snapshot, revision uint64, err error)

	// Find returns the numbers of entries, nil for each that is not there.
	Find(ctx context.Context, entries []catalog.Entry) ([]*inventory.Number, error)

	// Numbers returns numbers in their order: exact ones by key, then ranges, then
	// prefixes.
	Numbers(ctx context.Context, q Query) (Page, error)

	// Each calls f for all numbers as they are at one revision, in their order,
	// until f returns an error, which it returns. f must not call the store; while it
	// takes its time, commits go on.
	Each(ctx context.Context, f func(inventory.Number) error) (revision uint64, err error)

	// Commit carries a change out durably, or not at all, and returns its revision,
	// which each of its After then has. It is the store that gives it to them: what
	// Revision they come with is not looked at, and c stays as it is, so that the
	// caller knows it by what is returned, and those who watch by the Event. A change
	// that does nothing is checked too, makes no commit, and returns the revision as
	// it is. c must not be changed any more. ErrConflict: Catalog is not the current one,
	// a Before is not as it is now, or an owner of Empty has numbers.
	Commit(ctx context.Context, c inventory.Change) (revision uint64, err error)

	// Watch calls f for each commit after a revision, in order, until ctx ends or f
	// returns an error, which it returns. ErrCompacted says that it cannot begin
	// there, or that f was so slow that it cannot go on. f may call the store.
	Watch(ctx context.Context, after uint64, f func(Event) error) error

	// Backup writes the whole store as it is at one moment, while changes go on.
	Backup(ctx context.Context, w io.Writer) error

	Close() error
}

// Event is a commit that was made.
type Event struct {
	Revision uint64
	Change   inventory.Change // with the revision in each After
}

// Query is which numbers are wanted.
type Query struct {
	Owner *inventory.Owner // of this owner; nil for all, zero for unassigned ones
	// Digits that exact numbers begin with, as "+1555", and that ranges and
	// prefixes are written with; "" for all.
	Digits string
	After  *catalog.Entry // behind this one; nil from the first
	Limit  int            // the most of them, 1 or more
}

// Page is part of a list.
type Page struct {
	Numbers []inventory.Number
	More    bool // there are more behind the last one
}
