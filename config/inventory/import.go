package inventory

import (
	"fmt"
	"reflect"
	"slices"
)

// Import makes one Change of many connectors and groups: those that are missing
// are created, those that are there become what their spec says, all of it, and
// nothing is deleted. They are known by their names, each of which stands once.
// The Field of a refusal begins with the place: "connectors[2].region".
func (e *Editor) Import(connectors []ConnectorSpec, groups []GroupSpec) (Change, error) {
	change := Change{Catalog: e.Snapshot.Revision}
	for i, spec := range connectors {
		c, err := e.putConnector(spec)
		if err != nil {
			return Change{}, under(fmt.Sprintf("connectors[%d]", i), err)
		}
		change.Connectors = append(change.Connectors, c.Connectors...)
	}
	work := *e
	work.Snapshot = e.Snapshot.With(change, e.Snapshot.Revision)
	work.had = work.leaveGroups(groups)
	for i, spec := range groups {
		c, err := work.putGroup(spec)
		if err != nil {
			return Change{}, under(fmt.Sprintf("groups[%d]", i), err)
		}
		work.Snapshot = work.Snapshot.With(c, e.Snapshot.Revision)
		for _, o := range c.Empty {
			if !slices.Contains(change.Empty, o) {
				change.Empty = append(change.Empty, o)
			}
		}
		after := lookup(work.Snapshot.Groups, spec.Name, groupMeta)
		before := lookup(e.Snapshot.Groups, after.ID, groupMeta)
		switch {
		case before == nil:
			change.Groups = append(change.Groups, GroupChange{After: after})
		case !reflect.DeepEqual(after.GroupSpec, before.GroupSpec):
			after = &Group{Meta: e.updated(before.Meta), GroupSpec: after.GroupSpec}
			change.Groups = append(change.Groups, GroupChange{before, after})
		}
	}
	if change.None() {
		return Change{}, nil
	}
	return change, nil
}

func (e *Editor) putConnector(spec ConnectorSpec) (Change, error) {
	if c := lookup(e.Snapshot.Connectors, spec.Name, connectorMeta); c != nil && c.Name == spec.Name {
		return e.UpdateConnector(c.ID, spec)
	}
	return e.CreateConnector(spec)
}

func (e *Editor) putGroup(spec GroupSpec) (Change, error) {
	if g := lookup(e.Snapshot.Groups, spec.Name, groupMeta); g != nil && g.Name == spec.Name {
		return e.UpdateGroup(g.ID, spec)
	}
	return e.CreateGroup(spec)
}

// leaveGroups takes connectors out of the groups that are to be without them, so
// that one with numbers of its own can go from group to group, whichever of the
// two comes first. It returns how many each of them had, by its ID.
func (e *Editor) leaveGroups(groups []GroupSpec) map[string]int {
	var changes []GroupChange
	had := make(map[string]int)
	for _, spec := range groups {
		g := lookup(e.Snapshot.Groups, spec.Name, groupMeta)
		if g == nil || g.Name != spec.Name {
			continue
		}
		had[g.ID] = len(g.Connectors)
		stays := make(map[string]bool, len(spec.Connectors))
		for _, m := range spec.Connectors {
			if c, err := e.Snapshot.Connector(m.Connector); err == nil {
				stays[c.Name] = true
			}
		}
		after := &Group{Meta: g.Meta, GroupSpec: g.GroupSpec}
		after.Connectors = normalList(slices.DeleteFunc(slices.Clone(g.Connectors), func(m Member) bool { return !stays[m.Connector] }))
		changes = append(changes, GroupChange{g, after})
	}
	e.Snapshot = e.Snapshot.With(Change{Groups: changes}, e.Snapshot.Revision)
	return had
}
