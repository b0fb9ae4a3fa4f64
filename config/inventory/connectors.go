package inventory

import (
	"reflect"
	"slices"
	"strings"
)

// CreateConnector creates a connector, in no group and without numbers.
func (e *Editor) CreateConnector(spec ConnectorSpec) (Change, error) {
	spec, err := e.connectorSpec(spec, "")
	if err != nil {
		return Change{}, err
	}
	after := &Connector{Meta: e.created(), ConnectorSpec: spec}
	return Change{Catalog: e.Snapshot.Revision, Connectors: []ConnectorChange{{After: after}}}, nil
}

// connectorSpec checks the spec of the connector with an ID, "" for a new one.
func (e *Editor) connectorSpec(spec ConnectorSpec, id string) (ConnectorSpec, error) {
	if err := checkName("name", spec.Name); err != nil {
		return spec, err
	}
	if err := checkFree("connector", spec.Name, id, e.Snapshot.Connectors, connectorMeta); err != nil {
		return spec, err
	}
	if spec.Region != "" {
		if err := checkName("region", spec.Region); err != nil {
			return spec, err
		}
	}
	return spec.normal()
}

// UpdateConnector makes a connector what spec says, all of it. Its region is
// fixed; the groups that list it follow a new name.
func (e *Editor) UpdateConnector(ref string, spec ConnectorSpec) (Change, error) {
	before, err := e.Snapshot.Connector(ref)
	if err != nil {
		return Change{}, err
	}
	if spec, err = e.connectorSpec(spec, before.ID); err != nil {
		return Change{}, err
	}
	if spec.Region != before.Region {
		return Change{}, refuse(Invalid, "region", "the region of connector %s is %s and fixed since it was created; leave it, or create another connector",
			quote(before.Name), orNone(before.Region))
	}
	if reflect.DeepEqual(spec, before.ConnectorSpec) {
		return Change{}, nil
	}
	after := &Connector{Meta: e.updated(before.Meta), ConnectorSpec: spec}
	change := Change{Catalog: e.Snapshot.Revision, Connectors: []ConnectorChange{{before, after}}}
	if after.Name != before.Name {
		change.Groups = e.renamed(before.Name, after.Name)
	}
	return change, nil
}

// renamed makes the groups that list a connector follow its new name.
func (e *Editor) renamed(from, to string) (changes []GroupChange) {
	for _, g := range e.Snapshot.GroupsOf(from) {
		after := &Group{Meta: e.updated(g.Meta), GroupSpec: g.GroupSpec}
		after.Connectors = slices.Clone(g.Connectors)
		after.Connectors[g.place(from)].Connector = to
		changes = append(changes, GroupChange{g, after})
	}
	return changes
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return quote(s)
}

// DeleteConnector deletes a connector that is in no group and has no numbers.
func (e *Editor) DeleteConnector(ref string) (Change, error) {
	c, err := e.Snapshot.Connector(ref)
	if err != nil {
		return Change{}, err
	}
	groups, numbers := e.Snapshot.GroupsOf(c.Name), e.Snapshot.Counts[c.owner()]
	var is, do, blocking []string
	if len(groups) > 0 {
		in := groupName(groups[0].Name)
		if len(groups) > 1 {
			in = several(len(groups), "group")
		}
		is, do, blocking = append(is, "is in "+in), append(do, "remove it there"), groupNames(groups)
	}
	if numbers > 0 {
		is, do = append(is, "has "+several(numbers, "number")), append(do, "unassign its numbers")
	}
	if len(is) > 0 {
		r := refuse(InUse, "", "connector %s %s; first %s", quote(c.Name), strings.Join(is, " and "), strings.Join(do, " and ")).blockedBy(blocking...)
		return Change{}, r.withNumbers(numbers)
	}
	return Change{Catalog: e.Snapshot.Revision, Connectors: []ConnectorChange{{Before: c}}, Empty: []Owner{c.owner()}}, nil
}

// withNumbers adds a count of numbers to what is in the way.
func (r *Refusal) withNumbers(n int) *Refusal {
	if n > 0 {
		r.Blocking = append(slices.Clip(r.Blocking), several(n, "number"))
	}
	return r
}
