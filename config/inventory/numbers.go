package inventory

import (
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/config/number"
)

// Found is an entry and what a store has of it.
type Found struct {
	Entry  catalog.Entry
	Number *Number // nil: it is not in the inventory
}

// NumberRefusal is a number that an operation leaves as it is, and why.
type NumberRefusal struct {
	Entry   catalog.Entry
	Refusal *Refusal
}

// AddNumbers adds numbers to the inventory, assigned to an owner or, for the zero
// Owner, unassigned. One that is there with another owner is refused.
func (e *Editor) AddNumbers(found []Found, to Owner) (Change, []NumberRefusal, error) {
	if err := e.mayOwn(to); err != nil {
		return Change{}, nil, err
	}
	b, spans := e.batch(found), newSpans(e.Snapshot, to)
	b.each(func(f Found) *Refusal {
		if f.Number != nil && f.Number.Owner == to {
			return nil
		}
		if f.Number != nil && f.Number.Owner == (Owner{}) {
			return refuse(Taken, "", "is in the inventory already, unassigned; assign it")
		}
		if f.Number != nil {
			return b.taken(f.Number, "is in the inventory already and belongs to %s; assign it, if it is to move")
		}
		if r := checkEntry(f.Entry); r != nil {
			return r
		}
		if f.Entry.Kind != catalog.Exact {
			if r := spans.conflict(f.Entry, b.name); r != nil {
				return r
			}
			spans.add(f.Entry)
		}
		b.change(f, &Number{Entry: f.Entry, Owner: to, Created: b.now, Updated: b.now})
		return nil
	})
	return b.changes(), b.refused, nil
}

// AssignNumbers gives numbers of the inventory to an owner. Without force, one
// that has another owner is refused.
func (e *Editor) AssignNumbers(found []Found, to Owner, force bool) (Change, []NumberRefusal, error) {
	if to == (Owner{}) {
		return Change{}, nil, refuse(Invalid, "to", "is missing; name a group or a connector, or unassign the numbers")
	}
	if err := e.mayOwn(to); err != nil {
		return Change{}, nil, err
	}
	b := e.batch(found)
	b.each(func(f Found) *Refusal {
		switch {
		case f.Number == nil:
			return notInInventory()
		case f.Number.Owner == to:
			return nil
		case f.Number.Owner != (Owner{}) && !force:
			return b.taken(f.Number, "belongs to %s; unassign it first, or force the assignment")
		}
		b.give(f, to)
		return nil
	})
	return b.changes(), b.refused, nil
}

// UnassignNumbers takes numbers from their owners, or from one owner only: then
// one that belongs to another is refused. Those that belong to nobody are left.
func (e *Editor) UnassignNumbers(found []Found, from *Owner) (Change, []NumberRefusal, error) {
	b := e.batch(found)
	b.each(func(f Found) *Refusal {
		switch {
		case f.Number == nil:
			return notInInventory()
		case f.Number.Owner == (Owner{}):
			return nil
		case from != nil && f.Number.Owner != *from:
			owner := b.name(f.Number.Owner)
			return refuse(Taken, "", "belongs to %s, not to %s; unassign it there", owner, b.name(*from)).blockedBy(owner)
		}
		b.give(f, Owner{})
		return nil
	})
	return b.changes(), b.refused, nil
}

// RemoveNumbers takes unassigned numbers out of the inventory.
func (e *Editor) RemoveNumbers(found []Found) (Change, []NumberRefusal, error) {
	b := e.batch(found)
	b.each(func(f Found) *Refusal {
		switch {
		case f.Number == nil:
			return notInInventory()
		case f.Number.Owner != (Owner{}):
			r := b.taken(f.Number, "belongs to %s; unassign it first")
			r.Reason = InUse
			return r
		}
		b.change(f, nil)
		return nil
	})
	return b.changes(), b.refused, nil
}

// mayOwn checks that an owner is there and can have numbers; nobody can.
func (e *Editor) mayOwn(o Owner) error {
	switch o.Kind {
	case ConnectorOwner:
		c, err := e.Snapshot.Connector(o.ID)
		if err != nil {
			return err
		}
		if groups := e.Snapshot.GroupsOf(c.Name); len(groups) > 1 {
			return refuse(InUse, "", "a connector with numbers of its own falls back on its group, but %s is in %d groups (%s); remove it from all but one, or assign the numbers to a group",
				quote(c.Name), len(groups), strings.Join(groupNames(groups[:2]), ", ")).blockedBy(groupNames(groups)...)
		}
	case GroupOwner:
		_, err := e.Snapshot.Group(o.ID)
		return err
	}
	return nil
}

func notInInventory() *Refusal {
	return refuse(NotFound, "", "is not in the inventory; add it first, or correct the number")
}

// checkEntry refuses what is no number, range or prefix.
func checkEntry(e catalog.Entry) *Refusal {
	ok := isNumber(e.First)
	switch e.Kind {
	case catalog.Exact, catalog.Prefix:
		ok = ok && e.Last == 0
	case catalog.Range:
		ok = ok && isNumber(e.Last) && e.First <= e.Last && e.First.Form() == e.Last.Form()
	default:
		ok = false
	}
	if !ok {
		return refuse(Invalid, "", "is no number; write one, a range A-B or a prefix X*")
	}
	return nil
}

func isNumber(k number.Key) bool {
	const past = 3 * 1e15 // the longest ones are below it
	if k <= number.Plus || k >= past {
		return false
	}
	var buf [1 + number.MaxDigits]byte
	same, ok := number.Parse(k.Append(buf[:0]))
	return ok && same == k
}

// batch is an operation on many numbers.
type batch struct {
	editor  *Editor
	found   []Found
	now     time.Time // in whole seconds
	names   map[Owner]string
	made    []NumberChange
	after   []Number // room for those of made
	refused []NumberRefusal
}

func (e *Editor) batch(found []Found) *batch {
	return &batch{editor: e, found: found, now: e.now().Truncate(time.Second), names: make(map[Owner]string)}
}

// each decides on each number, once.
func (b *batch) each(decide func(Found) *Refusal) {
	seen := make(map[catalog.Entry]struct{}, len(b.found))
	for _, f := range b.found {
		if _, again := seen[f.Entry]; again {
			continue
		}
		seen[f.Entry] = struct{}{}
		if r := decide(f); r != nil {
			b.refused = append(b.refused, NumberRefusal{f.Entry, r})
		}
	}
}

// give gives a number to another owner.
func (b *batch) give(f Found, to Owner) {
	after := *f.Number
	after.Owner, after.Updated = to, b.now
	b.change(f, &after)
}

// change adds what becomes of a number; nil is removed.
func (b *batch) change(f Found, after *Number) {
	if b.made == nil {
		b.made, b.after = make([]NumberChange, 0, len(b.found)), make([]Number, 0, len(b.found))
	}
	c := NumberChange{Before: f.Number}
	if after != nil {
		b.after = append(b.after, *after)
		c.After = &b.after[len(b.after)-1]
	}
	b.made = append(b.made, c)
}

func (b *batch) changes() Change {
	if len(b.made) == 0 {
		return Change{}
	}
	return Change{Catalog: b.editor.Snapshot.Revision, Numbers: b.made}
}

// name is OwnerName, looked up once for each owner.
func (b *batch) name(o Owner) string {
	name, known := b.names[o]
	if !known {
		name = b.editor.Snapshot.OwnerName(o)
		b.names[o] = name
	}
	return name
}

// taken refuses a number because of its owner, whom format names.
func (b *batch) taken(n *Number, format string) *Refusal {
	owner := b.name(n.Owner)
	return refuse(Taken, "", format, owner).blockedBy(owner)
}
