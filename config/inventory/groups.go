package inventory

import (
	"reflect"
	"strings"
)

// CreateGroup creates a group without numbers. Its connectors may be named by
// name or ID.
func (e *Editor) CreateGroup(spec GroupSpec) (Change, error) {
	spec, empty, err := e.groupSpec(spec, &Group{})
	if err != nil {
		return Change{}, err
	}
	if n, most := len(e.Snapshot.Groups), e.Quotas.Groups; most > 0 && n >= most {
		return Change{}, refuse(Quota, "", "there are %s, and quotas.groups allows %d; delete one, or raise it (0 is no limit)", several(n, "group"), most)
	}
	after := &Group{Meta: e.created(), GroupSpec: spec}
	return Change{Catalog: e.Snapshot.Revision, Groups: []GroupChange{{After: after}}, Empty: empty}, nil
}

// groupSpec checks what a group is to be; empty are the connectors that may have
// no numbers then.
func (e *Editor) groupSpec(spec GroupSpec, before *Group) (_ GroupSpec, empty []Owner, err error) {
	if err := checkName("name", spec.Name); err != nil {
		return spec, nil, err
	}
	if err := checkFree("group", spec.Name, before.ID, e.Snapshot.Groups, groupMeta); err != nil {
		return spec, nil, err
	}
	if spec, err = spec.normal(); err != nil {
		return spec, nil, err
	}
	if err := e.checkMembers(spec.Connectors); err != nil {
		return spec, nil, err
	}
	rank(spec.Connectors)
	empty, err = e.checkMembership(spec.Connectors, before)
	return spec, empty, err
}

// UpdateGroup makes a group what spec says, all of it. Its connectors may be
// named by name or ID; its numbers stay.
func (e *Editor) UpdateGroup(ref string, spec GroupSpec) (Change, error) {
	before, err := e.Snapshot.Group(ref)
	if err != nil {
		return Change{}, err
	}
	spec, empty, err := e.groupSpec(spec, before)
	if err != nil {
		return Change{}, err
	}
	if reflect.DeepEqual(spec, before.GroupSpec) {
		return Change{}, nil
	}
	after := &Group{Meta: e.updated(before.Meta), GroupSpec: spec}
	return Change{Catalog: e.Snapshot.Revision, Groups: []GroupChange{{before, after}}, Empty: empty}, nil
}

// DeleteGroup deletes a group that has neither connectors nor numbers.
func (e *Editor) DeleteGroup(ref string) (Change, error) {
	g, err := e.Snapshot.Group(ref)
	if err != nil {
		return Change{}, err
	}
	numbers := e.Snapshot.Counts[g.owner()]
	var has, do, blocking []string
	if n := len(g.Connectors); n > 0 {
		has, do = append(has, several(n, "connector")), append(do, "remove its connectors")
		for _, m := range g.Connectors {
			blocking = append(blocking, connectorName(m.Connector))
		}
	}
	if numbers > 0 {
		has, do = append(has, several(numbers, "number")), append(do, "unassign its numbers")
	}
	if len(has) > 0 {
		r := refuse(InUse, "", "group %s has %s; first %s", quote(g.Name), strings.Join(has, " and "), strings.Join(do, " and ")).blockedBy(blocking...)
		return Change{}, r.withNumbers(numbers)
	}
	return Change{Catalog: e.Snapshot.Revision, Groups: []GroupChange{{Before: g}}, Empty: []Owner{g.owner()}}, nil
}
