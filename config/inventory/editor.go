package inventory

import "time"

// Editor makes changes of a Snapshot. Each of its methods decides one operation
// and returns what it does, for a store to carry out; After has the new ID, and
// the Revision once it is committed. An operation that finds nothing to do is an
// empty Change. The error is a *Refusal.
type Editor struct {
	Snapshot *Snapshot
	Quotas   Quotas
	Now      time.Time
	NewID    func() string // nil is the function NewID

	had map[string]int // in an import: how many connectors groups had before it, by ID
}

// Quotas limits how much an account may have; 0 is no limit. What is there
// already may stay when a quota is lowered: it may not grow.
type Quotas struct {
	Groups             int
	ConnectorsPerGroup int
}

// now is the time as it comes back from a store: without the monotonic clock and
// the place.
func (e *Editor) now() time.Time { return e.Now.Round(0).UTC() }

// created is the Meta of something new.
func (e *Editor) created() Meta {
	newID := e.NewID
	if newID == nil {
		newID = NewID
	}
	return Meta{ID: newID(), Created: e.now(), Updated: e.now()}
}

// updated is the Meta of what is changed.
func (e *Editor) updated(m Meta) Meta {
	m.Updated = e.now()
	return m
}
