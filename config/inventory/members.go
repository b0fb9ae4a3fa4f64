package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tandem/config/catalog"
)

// AddMember puts a connector into a group, or gives it another priority there.
func (e *Editor) AddMember(group, connector string, priority int) (Change, error) {
	g, c, err := e.membership(group, connector)
	if err != nil {
		return Change{}, err
	}
	if err := checkPriority("priority", priority); err != nil {
		return Change{}, err
	}
	spec := g.GroupSpec
	spec.Connectors = slices.Clone(g.Connectors)
	if i := g.place(c.Name); i >= 0 {
		spec.Connectors[i].Priority = priority
	} else {
		spec.Connectors = append(spec.Connectors, Member{c.Name, priority})
	}
	for _, m := range g.Connectors {
		if m.Priority == priority && m.Connector != c.Name {
			return Change{}, refuse(Taken, "priority", "connector %s has priority %d in group %s; choose another, or set the priorities of both in one change",
				quote(m.Connector), priority, quote(g.Name)).blockedBy(connectorName(m.Connector))
		}
	}
	return e.UpdateGroup(g.ID, spec)
}

// RemoveMember takes a connector out of a group.
func (e *Editor) RemoveMember(group, connector string) (Change, error) {
	g, c, err := e.membership(group, connector)
	if err != nil {
		return Change{}, err
	}
	i := g.place(c.Name)
	if i < 0 {
		return Change{}, notMember(g, c)
	}
	spec := g.GroupSpec
	spec.Connectors = slices.Delete(slices.Clone(g.Connectors), i, i+1)
	return e.UpdateGroup(g.ID, spec)
}

// SetPriorities gives connectors of a group, each by name or ID, their
// priorities. The others keep theirs.
func (e *Editor) SetPriorities(group string, priorities map[string]int) (Change, error) {
	g, err := e.Snapshot.Group(group)
	if err != nil {
		return Change{}, err
	}
	spec := g.GroupSpec
	spec.Connectors = slices.Clone(g.Connectors)
	said := make(map[string]string, len(priorities)) // the ref of each connector's name
	for _, ref := range slices.Sorted(maps.Keys(priorities)) {
		c, err := e.Snapshot.Connector(ref)
		if err != nil {
			return Change{}, under(ref, err)
		}
		i := g.place(c.Name)
		if i < 0 {
			return Change{}, under(ref, notMember(g, c))
		}
		if other, twice := said[c.Name]; twice {
			return Change{}, refuse(Invalid, ref, "is connector %s, as is %s; give it one priority", quote(c.Name), quote(other))
		}
		if err := checkPriority(ref, priorities[ref]); err != nil {
			return Change{}, err
		}
		said[c.Name], spec.Connectors[i].Priority = ref, priorities[ref]
	}
	has := make(map[int]string, len(spec.Connectors))
	for _, m := range spec.Connectors {
		other, twice := has[m.Priority]
		has[m.Priority] = m.Connector
		if !twice {
			continue
		}
		a, b := said[other], said[m.Connector]
		r := refuse(Invalid, cmp.Or(b, a), "connectors %s and %s would both have priority %d in group %s; give each its own",
			quote(other), quote(m.Connector), m.Priority, quote(g.Name))
		if a == "" || b == "" {
			r.Reason = Taken
		}
		return Change{}, r
	}
	return e.UpdateGroup(g.ID, spec)
}

// membership returns the group and the connector of an operation on both.
func (e *Editor) membership(group, connector string) (*Group, *Connector, error) {
	g, err := e.Snapshot.Group(group)
	if err != nil {
		return nil, nil, err
	}
	c, err := e.Snapshot.Connector(connector)
	return g, c, err
}

func notMember(g *Group, c *Connector) *Refusal {
	return refuse(NotFound, "", "connector %s is not in group %s; add it, or correct the name", quote(c.Name), quote(g.Name))
}

func checkPriority(field string, priority int) error {
	if priority < 1 || priority > catalog.MaxGroupPriority {
		return refuse(Invalid, field, "%d is not a priority; write 1 (tried first) to %d", priority, catalog.MaxGroupPriority)
	}
	return nil
}

// checkMembers checks a list of connectors by itself, and puts their names in
// place of IDs.
func (e *Editor) checkMembers(list []Member) error {
	places := make(map[string]int, len(list))
	priorities := make(map[int]int, len(list))
	for i := range list {
		m, path := &list[i], fmt.Sprintf("connectors[%d]", i)
		c, err := e.Snapshot.Connector(m.Connector)
		if err != nil {
			return under(path+".connector", err)
		}
		m.Connector = c.Name
		if first, twice := places[m.Connector]; twice {
			return refuse(Invalid, path+".connector", "%s is connectors[%d] already; list each connector once", quote(m.Connector), first)
		}
		places[m.Connector] = i
		if err := checkPriority(path+".priority", m.Priority); err != nil {
			return err
		}
		if first, twice := priorities[m.Priority]; twice {
			return refuse(Invalid, path+".priority", "connectors %s and %s have the same priority %d; give each its own",
				quote(list[first].Connector), quote(m.Connector), m.Priority)
		}
		priorities[m.Priority] = i
	}
	return nil
}

// rank sorts connectors by priority: in one order, the same ranking is the same
// list.
func rank(list []Member) {
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Priority, b.Priority) })
}

// checkMembership checks connectors that a group is to have against what it had:
// how many they are, and that one with numbers of its own, which falls back on
// its group, is in no second one. empty are those that may have no numbers
// because they are in several groups now.
func (e *Editor) checkMembership(list []Member, before *Group) (empty []Owner, err error) {
	if n, most := len(list), e.Quotas.ConnectorsPerGroup; most > 0 && n > most && n > max(len(before.Connectors), e.had[before.ID]) {
		return nil, refuse(Quota, "connectors", "%s, and quotas.connectors_per_group allows %d; remove some, or raise it (0 is no limit)", several(n, "connector"), most)
	}
	for _, m := range list {
		if before.place(m.Connector) >= 0 {
			continue
		}
		groups := e.Snapshot.GroupsOf(m.Connector)
		if len(groups) == 0 {
			continue
		}
		c, err := e.Snapshot.Connector(m.Connector)
		if err != nil {
			return nil, err
		}
		if n := e.Snapshot.Counts[c.owner()]; n > 0 {
			return nil, refuse(InUse, "connectors", "connector %s has %s of its own and falls back on its group, so it can be in one only; unassign its numbers, or remove it from %s",
				quote(c.Name), several(n, "number"), strings.Join(groupNames(groups), ", ")).blockedBy(groupNames(groups)...).withNumbers(n)
		}
		empty = append(empty, c.owner())
	}
	return empty, nil
}
