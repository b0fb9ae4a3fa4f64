package router

import (
	"cmp"
	"errors"
	"fmt"
	"iter"

	"tandem/config/catalog"
	"tandem/config/number"
	"tandem/router/table"
)

// Owner is who numbers belong to: a group, or a connector that has them for
// itself, by its ID, else by its name. One of the two is "". The zero Owner is
// nobody: its numbers lead nowhere, whatever ranges and prefixes hold them.
type Owner struct{ Group, Connector string }

// ownerGroup and ownerConnector are the owners that a catalog has.
func ownerGroup(g *catalog.Group) Owner         { return Owner{Group: cmp.Or(g.ID, g.Name)} }
func ownerConnector(c *catalog.Connector) Owner { return Owner{Connector: cmp.Or(c.ID, c.Name)} }

// String names the owner as an operator does.
func (o Owner) String() string {
	switch {
	case o.Group != "":
		return fmt.Sprintf("group %q", o.Group)
	case o.Connector != "":
		return fmt.Sprintf("connector %q", o.Connector)
	}
	return "nobody"
}

// Owned is numbers and who has them.
type Owned struct {
	Entry catalog.Entry
	Owner Owner
}

// Numbers are all numbers of a policy, from elsewhere than its catalog.
type Numbers interface {
	Count() int                   // about how many there are
	All() iter.Seq2[Owned, error] // ends at an error
}

// numbers leads from numbers to their owners. Plans share it for as long as
// numbers change in place only. A batch may hold a plan that is older than an
// owner that it finds here, so an id is never given to another owner.
type numbers struct {
	table  *table.Table
	ids    map[Owner]uint32 // policyMu is held
	edited bool             // they are not those of the policy; policyMu is held
}

// id returns the id of an owner, a new one if it has none yet.
func (n *numbers) id(o Owner) uint32 {
	id, ok := n.ids[o]
	if !ok {
		id = uint32(len(n.ids))
		n.ids[o] = id
	}
	return id
}

// numbersOf returns the numbers of a policy: those of the plan before, if they
// are to stay or are the same, else new ones.
func (r *Router) numbersOf(p *Policy) (*numbers, error) {
	if before := r.plan.Load(); before != nil {
		n := before.numbers
		// Who keeps the numbers and has the same catalog keeps them as they are.
		n.edited = n.edited || p.KeepNumbers && p.Catalog != before.policy.Catalog
		if p.KeepNumbers || p.Numbers == nil && !n.edited && before.policy.Catalog.SameNumbers(p.Catalog) {
			return n, nil
		}
	}
	n := &numbers{ids: make(map[Owner]uint32)}
	b := new(table.Builder)
	var err error
	if p.Numbers != nil {
		err = n.fill(b, p.Numbers)
	} else {
		err = n.fillFrom(b, p.Catalog)
	}
	if err != nil {
		return nil, err
	}
	n.table, err = b.Build()
	return n, err
}

func (n *numbers) fill(b *table.Builder, all Numbers) error {
	b.Grow(all.Count())
	for o, err := range all.All() {
		if err != nil {
			return err
		}
		if err := addNumbers(b, o.Entry, n.id(o.Owner)); err != nil {
			return err
		}
	}
	return nil
}

func (n *numbers) fillFrom(b *table.Builder, c *catalog.Catalog) error {
	count := 0
	for i := range c.Groups {
		count += c.Groups[i].NumberCount()
	}
	for i := range c.Connectors {
		count += c.Connectors[i].NumberCount()
	}
	b.Grow(count)
	for i := range c.Groups {
		if g := &c.Groups[i]; g.HasNumbers() {
			id := n.id(ownerGroup(g))
			if err := g.EachNumber(func(e catalog.Entry) error { return addNumbers(b, e, id) }); err != nil {
				return err
			}
		}
	}
	for i := range c.Connectors {
		if cc := &c.Connectors[i]; cc.HasNumbers() {
			id := n.id(ownerConnector(cc))
			if err := cc.EachNumber(func(e catalog.Entry) error { return addNumbers(b, e, id) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// addNumbers leads the numbers of an entry to an owner.
func addNumbers(b *table.Builder, e catalog.Entry, id uint32) error {
	switch e.Kind {
	case catalog.Range:
		return b.AddRange(e.First, e.Last, id)
	case catalog.Prefix:
		return b.AddPrefix(e.First, id)
	}
	return b.Add(e.First, id)
}

// Assign gives numbers to an owner, whomever they belonged to before: every
// INVITE that is handled after it returns goes there, and no call waits. A number
// that lies in a range or has a prefix of someone else's becomes an exception.
// The next policy that has other numbers than the one in force, and is not to
// keep them, replaces them all.
func (r *Router) Assign(now int64, o Owner, keys ...number.Key) error {
	r.policyMu.Lock()
	defer r.policyMu.Unlock()
	id, err := r.ownerID(now, o)
	if err != nil {
		return err
	}
	n := r.plan.Load().numbers
	for _, k := range keys {
		if k <= number.Plus {
			return errors.New("a number needs a digit")
		}
	}
	n.edited = true
	for _, k := range keys {
		if err := n.table.Set(k, id); err != nil {
			return err
		}
	}
	return nil
}

// SetSpans makes spans all the ranges and prefixes that there are: every INVITE
// that is handled after it returns sees them, and no call waits. After an error
// those before stay.
func (r *Router) SetSpans(now int64, spans []Owned) error {
	r.policyMu.Lock()
	defer r.policyMu.Unlock()
	b := new(table.Builder)
	for _, s := range spans {
		if s.Entry.Kind == catalog.Exact {
			return fmt.Errorf("%s is one number, and no range or prefix", s.Entry)
		}
		id, err := r.ownerID(now, s.Owner)
		if err != nil {
			return err
		}
		if err := addNumbers(b, s.Entry, id); err != nil {
			return err
		}
	}
	n := r.plan.Load().numbers
	n.edited = true
	return n.table.SetPatterns(b)
}

// Release takes numbers from whomever they belong to, and returns how many did.
// A number of a range or a prefix belongs to the owner of that from then on.
func (r *Router) Release(keys ...number.Key) (released int) {
	r.policyMu.Lock()
	defer r.policyMu.Unlock()
	n := r.plan.Load().numbers
	n.edited = true
	for _, k := range keys {
		if n.table.Delete(k) {
			released++
		}
	}
	return released
}

// Move gives the numbers from first to last that belong to one owner, and are
// not of a range or a prefix, to another, and returns how many there were. They
// move one by one, each with one owner at every moment.
func (r *Router) Move(now int64, first, last number.Key, from, to Owner) (int, error) {
	r.policyMu.Lock()
	defer r.policyMu.Unlock()
	fromID, err := r.ownerID(now, from)
	if err != nil {
		return 0, err
	}
	toID, err := r.ownerID(now, to)
	if err != nil {
		return 0, err
	}
	n := r.plan.Load().numbers
	n.edited = true
	return n.table.Move(first, last, fromID, toID)
}

// has reports whether the policy has an owner.
func (pl *plan) has(o Owner) bool {
	c := pl.policy.Catalog
	for i := range c.Groups {
		if ownerGroup(&c.Groups[i]) == o {
			return true
		}
	}
	for i := range c.Connectors {
		if ownerConnector(&c.Connectors[i]) == o {
			return true
		}
	}
	return false
}

// ownerID returns the id of an owner that the policy has. One that had no
// numbers gets its route first, so that it is there before a call is led to it.
func (r *Router) ownerID(now int64, o Owner) (uint32, error) {
	pl := r.plan.Load()
	if o == (Owner{}) {
		return pl.numbers.id(o), nil // no plan has a route for it
	}
	if id, ok := pl.numbers.ids[o]; ok && pl.route(id) != nil {
		return id, nil
	}
	if !pl.has(o) {
		return 0, fmt.Errorf("there is no %s", o)
	}
	id := pl.numbers.id(o)
	p := pl.policy
	p.KeepNumbers = true
	return id, r.setPolicy(now, p)
}
