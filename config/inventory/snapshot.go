package inventory

import (
	"sort"

	"tandem/config/catalog"
)

// Connector returns the connector of an ID, else that of a name. The error is a
// *Refusal that names the nearest one.
func (s *Snapshot) Connector(ref string) (*Connector, error) {
	if c := lookup(s.Connectors, ref, connectorMeta); c != nil {
		return c, nil
	}
	return nil, notFound("connector", ref, s.Connectors, connectorMeta)
}

// Group returns the group of an ID, else that of a name. The error is a *Refusal
// that names the nearest one.
func (s *Snapshot) Group(ref string) (*Group, error) {
	if g := lookup(s.Groups, ref, groupMeta); g != nil {
		return g, nil
	}
	return nil, notFound("group", ref, s.Groups, groupMeta)
}

func connectorMeta(c *Connector) (id, name string) { return c.ID, c.Name }
func groupMeta(g *Group) (id, name string)         { return g.ID, g.Name }

// lookup finds by ID, in O(n), since there are thousands at most, and then by
// name.
func lookup[T any](list []T, ref string, meta func(*T) (id, name string)) *T {
	for i := range list {
		if id, _ := meta(&list[i]); id == ref {
			return &list[i]
		}
	}
	i := sort.Search(len(list), func(i int) bool {
		_, name := meta(&list[i])
		return name >= ref
	})
	if i == len(list) {
		return nil
	}
	if _, name := meta(&list[i]); name != ref {
		return nil
	}
	return &list[i]
}

func notFound[T any](what, ref string, list []T, meta func(*T) (id, name string)) *Refusal {
	if ref == "" {
		return refuse(NotFound, "", "the name of a %s is missing; write it", what)
	}
	names := make([]string, len(list))
	for i := range list {
		_, names[i] = meta(&list[i])
	}
	if near := catalog.Nearest(ref, names); near != "" {
		return refuse(NotFound, "", "there is no %s %s; did you mean %s?", what, quote(ref), quote(near))
	}
	return refuse(NotFound, "", "there is no %s %s; create it, or correct the name", what, quote(ref))
}

// GroupsOf returns the groups that list a connector, by its name.
func (s *Snapshot) GroupsOf(connector string) []*Group {
	var groups []*Group
	for i := range s.Groups {
		if g := &s.Groups[i]; g.place(connector) >= 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// place returns where a connector stands in the list of a group, or -1.
func (g *Group) place(connector string) int {
	for i := range g.Connectors {
		if g.Connectors[i].Connector == connector {
			return i
		}
	}
	return -1
}

// OwnerOf returns the owner that a reference means; exactly one of the two is
// not "".
func (s *Snapshot) OwnerOf(connectorRef, groupRef string) (Owner, error) {
	switch {
	case connectorRef != "" && groupRef != "":
		return Owner{}, refuse(Invalid, "", "numbers have one owner; name a group or a connector, not both")
	case connectorRef != "":
		c, err := s.Connector(connectorRef)
		if err != nil {
			return Owner{}, err
		}
		return c.owner(), nil
	case groupRef != "":
		g, err := s.Group(groupRef)
		if err != nil {
			return Owner{}, err
		}
		return g.owner(), nil
	}
	return Owner{}, refuse(Invalid, "", "the owner is missing; name a group or a connector")
}

func (c *Connector) owner() Owner { return Owner{ConnectorOwner, c.ID} }
func (g *Group) owner() Owner     { return Owner{GroupOwner, g.ID} }

// OwnerName names an owner as messages do: `group "support"`, `connector "east"`,
// "nobody"; one that is not there by its ID.
func (s *Snapshot) OwnerName(o Owner) string {
	switch o.Kind {
	case ConnectorOwner:
		if c := lookup(s.Connectors, o.ID, connectorMeta); c != nil && c.ID == o.ID {
			return connectorName(c.Name)
		}
		return connectorName(o.ID)
	case GroupOwner:
		if g := lookup(s.Groups, o.ID, groupMeta); g != nil && g.ID == o.ID {
			return groupName(g.Name)
		}
		return groupName(o.ID)
	}
	return nobody
}

// nobody is what the zero Owner is called.
const nobody = "nobody"

func connectorName(name string) string { return "connector " + quote(name) }
func groupName(name string) string     { return "group " + quote(name) }

// groupNames names groups as messages do.
func groupNames(groups []*Group) []string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = groupName(g.Name)
	}
	return names
}
