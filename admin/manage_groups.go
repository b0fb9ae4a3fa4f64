package admin

import (
	"net/http"
	"net/url"

	"tandem/config/inventory"
	"tandem/config/manage"
)

// ManagedGroup is a group as it is told.
type ManagedGroup struct {
	*inventory.Meta // nil of one in a file
	inventory.GroupSpec
	Numbers int `json:"numbers"` // entries that belong to it
	Preview
}

// GroupList is the answer of GET /v1/groups.
type GroupList struct {
	Groups []ManagedGroup `json:"groups"`
	Next   string         `json:"next,omitempty"` // to go on after
}

func (p *managed) group(s *inventory.Snapshot, g *inventory.Group) ManagedGroup {
	m := ManagedGroup{GroupSpec: g.GroupSpec, Numbers: s.Counts[inventory.Owner{Kind: inventory.GroupOwner, ID: g.ID}]}
	if p.manager != nil {
		m.Meta = &g.Meta
	}
	return m
}

func (p *managed) listGroups(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := byName(r)
	if err != nil {
		return err
	}
	s := p.snapshot()
	from, to, next := pageOf(len(s.Groups), func(i int) string { return s.Groups[i].Name }, after, limit)
	list := GroupList{Groups: []ManagedGroup{}, Next: next}
	for i := from; i < to; i++ {
		list.Groups = append(list.Groups, p.group(s, &s.Groups[i]))
	}
	sayJSON(w, http.StatusOK, list)
	return nil
}

func (p *managed) showGroup(w http.ResponseWriter, r *http.Request) error {
	if _, err := asked(r); err != nil {
		return err
	}
	ref, err := refOf(r, "ref")
	if err != nil {
		return err
	}
	s := p.snapshot()
	g, err := s.Group(ref)
	if err != nil {
		return err
	}
	p.sayGroup(w, http.StatusOK, p.group(s, g))
	return nil
}

func (p *managed) sayGroup(w http.ResponseWriter, code int, g ManagedGroup) {
	if g.Meta != nil && !g.DryRun {
		etag(w, g.Revision)
	}
	sayJSON(w, code, g)
}

func (p *managed) createGroup(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "create group")
	if err != nil {
		return err
	}
	var spec inventory.GroupSpec
	if err := read(r, &spec); err != nil {
		return err
	}
	c, err := m.Edit(r.Context(), a, func(e *inventory.Editor) (inventory.Change, error) { return e.CreateGroup(spec) })
	if err != nil {
		return err
	}
	g := p.group(&inventory.Snapshot{}, c.Groups[0].After)
	code := http.StatusCreated
	if a.Dry {
		code, g.Preview = http.StatusOK, Preview{DryRun: true, RecentCalls: new(int)}
	} else {
		w.Header().Set("Location", "/v1/groups/"+url.PathEscape(g.ID))
	}
	p.sayGroup(w, code, g)
	return nil
}

// changeGroup changes the group in the path, if it is the one that the request
// knows, and answers with it.
func (p *managed) changeGroup(w http.ResponseWriter, r *http.Request, what string, op func(*inventory.Editor, *inventory.Group) (inventory.Change, error)) error {
	m, a, err := p.change(r, what)
	if err != nil {
		return err
	}
	is, err := p.editGroup(m, a, r, op)
	if err != nil {
		return err
	}
	g := p.group(m.Snapshot(), is)
	if a.Dry {
		g.Preview = p.previewRoute(is.Name)
	}
	p.sayGroup(w, http.StatusOK, g)
	return nil
}

func (p *managed) editGroup(m *manage.Manager, a manage.Action, r *http.Request, op func(*inventory.Editor, *inventory.Group) (inventory.Change, error)) (*inventory.Group, error) {
	ref, err := refOf(r, "ref")
	if err != nil {
		return nil, err
	}
	var is *inventory.Group
	c, err := m.Edit(r.Context(), a, func(e *inventory.Editor) (inventory.Change, error) {
		g, err := e.Snapshot.Group(ref)
		if err != nil {
			return inventory.Change{}, err
		}
		if err := unchanged(r, "the group", g.Revision); err != nil {
			return inventory.Change{}, err
		}
		is = g
		return op(e, g)
	})
	if err != nil {
		return nil, err
	}
	for _, one := range c.Groups {
		if one.After != nil && one.After.ID == is.ID {
			is = one.After
		}
	}
	return is, nil
}

func (p *managed) updateGroup(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.stored(); err != nil {
		return err
	}
	patch, err := readPatch[inventory.GroupSpec](r)
	if err != nil {
		return err
	}
	return p.changeGroup(w, r, "update group", func(e *inventory.Editor, g *inventory.Group) (inventory.Change, error) {
		spec, err := patched(g.GroupSpec, patch)
		if err != nil {
			return inventory.Change{}, err
		}
		return e.UpdateGroup(g.ID, spec)
	})
}

func (p *managed) deleteGroup(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "delete group")
	if err != nil {
		return err
	}
	was, err := p.editGroup(m, a, r, func(e *inventory.Editor, g *inventory.Group) (inventory.Change, error) {
		return e.DeleteGroup(g.ID)
	})
	if err != nil {
		return p.withNumbers(r, err, inventory.GroupOwner)
	}
	p.sayDeleted(w, a.Dry, was.Name)
	return nil
}

// sayDeleted answers that something is gone, or would be.
func (p *managed) sayDeleted(w http.ResponseWriter, dry bool, name string) {
	if dry {
		sayJSON(w, http.StatusOK, p.previewRoute(name))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
