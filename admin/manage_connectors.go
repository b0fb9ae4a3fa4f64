package admin

import (
	"net/http"
	"net/url"

	"tandem/config/inventory"
	"tandem/config/manage"
)

// ManagedConnector is a connector as it is told.
type ManagedConnector struct {
	*inventory.Meta // nil of one in a file
	inventory.ConnectorSpec
	Groups  []string `json:"groups"`  // that it is in
	Numbers int      `json:"numbers"` // entries that belong to it
	Preview
}

// ConnectorList is the answer of GET /v1/connectors.
type ConnectorList struct {
	Connectors []ManagedConnector `json:"connectors"`
	Next       string             `json:"next,omitempty"` // to go on after
}

func (p *managed) connector(s *inventory.Snapshot, c *inventory.Connector) ManagedConnector {
	m := ManagedConnector{
		ConnectorSpec: c.ConnectorSpec, Groups: []string{},
		Numbers: s.Counts[inventory.Owner{Kind: inventory.ConnectorOwner, ID: c.ID}],
	}
	for _, g := range s.GroupsOf(c.Name) {
		m.Groups = append(m.Groups, g.Name)
	}
	if p.manager != nil {
		m.Meta = &c.Meta
	}
	return m
}

func (p *managed) listConnectors(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := byName(r)
	if err != nil {
		return err
	}
	s := p.snapshot()
	from, to, next := pageOf(len(s.Connectors), func(i int) string { return s.Connectors[i].Name }, after, limit)
	list := ConnectorList{Connectors: []ManagedConnector{}, Next: next}
	for i := from; i < to; i++ {
		list.Connectors = append(list.Connectors, p.connector(s, &s.Connectors[i]))
	}
	sayJSON(w, http.StatusOK, list)
	return nil
}

func (p *managed) showConnector(w http.ResponseWriter, r *http.Request) error {
	if _, err := asked(r); err != nil {
		return err
	}
	ref, err := refOf(r, "ref")
	if err != nil {
		return err
	}
	s := p.snapshot()
	c, err := s.Connector(ref)
	if err != nil {
		return err
	}
	p.sayConnector(w, http.StatusOK, p.connector(s, c))
	return nil
}

func (p *managed) sayConnector(w http.ResponseWriter, code int, c ManagedConnector) {
	if c.Meta != nil && !c.DryRun {
		etag(w, c.Revision)
	}
	sayJSON(w, code, c)
}

func (p *managed) createConnector(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "create connector")
	if err != nil {
		return err
	}
	var spec inventory.ConnectorSpec
	if err := read(r, &spec); err != nil {
		return err
	}
	edit, err := m.Edit(r.Context(), a, func(e *inventory.Editor) (inventory.Change, error) { return e.CreateConnector(spec) })
	if err != nil {
		return err
	}
	c := p.connector(&inventory.Snapshot{}, edit.Connectors[0].After)
	code := http.StatusCreated
	if a.Dry {
		code, c.Preview = http.StatusOK, Preview{DryRun: true, RecentCalls: new(int)}
	} else {
		w.Header().Set("Location", "/v1/connectors/"+url.PathEscape(c.ID))
	}
	p.sayConnector(w, code, c)
	return nil
}

func (p *managed) editConnector(m *manage.Manager, a manage.Action, r *http.Request, op func(*inventory.Editor, *inventory.Connector) (inventory.Change, error)) (*inventory.Connector, error) {
	ref, err := refOf(r, "ref")
	if err != nil {
		return nil, err
	}
	var is *inventory.Connector
	edit, err := m.Edit(r.Context(), a, func(e *inventory.Editor) (inventory.Change, error) {
		c, err := e.Snapshot.Connector(ref)
		if err != nil {
			return inventory.Change{}, err
		}
		if err := unchanged(r, "the connector", c.Revision); err != nil {
			return inventory.Change{}, err
		}
		is = c
		return op(e, c)
	})
	if err != nil {
		return nil, err
	}
	for _, one := range edit.Connectors {
		if one.After != nil && one.After.ID == is.ID {
			is = one.After
		}
	}
	return is, nil
}

func (p *managed) updateConnector(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "update connector")
	if err != nil {
		return err
	}
	patch, err := readPatch[inventory.ConnectorSpec](r)
	if err != nil {
		return err
	}
	var was string
	is, err := p.editConnector(m, a, r, func(e *inventory.Editor, c *inventory.Connector) (inventory.Change, error) {
		was = c.Name
		spec, err := patched(c.ConnectorSpec, patch)
		if err != nil {
			return inventory.Change{}, err
		}
		return e.UpdateConnector(c.ID, spec)
	})
	if err != nil {
		return err
	}
	c := p.connector(m.Snapshot(), is)
	if a.Dry {
		c.Preview = p.previewConnector(was)
	}
	p.sayConnector(w, http.StatusOK, c)
	return nil
}

func (p *managed) deleteConnector(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "delete connector")
	if err != nil {
		return err
	}
	was, err := p.editConnector(m, a, r, func(e *inventory.Editor, c *inventory.Connector) (inventory.Change, error) {
		return e.DeleteConnector(c.ID)
	})
	if err != nil {
		return p.withNumbers(r, err, inventory.ConnectorOwner)
	}
	if a.Dry {
		sayJSON(w, http.StatusOK, p.previewConnector(was.Name))
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
