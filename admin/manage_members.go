package admin

import (
	"net/http"

	"tandem/config/inventory"
)

func (p *managed) putMember(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.stored(); err != nil {
		return err
	}
	connector, err := refOf(r, "connector")
	if err != nil {
		return err
	}
	var body struct {
		Priority *int `json:"priority"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if body.Priority == nil {
		return invalid("priority", "is missing; write 1 for the connector that is tried first, 2 for the next")
	}
	return p.changeGroup(w, r, "set connector of group", func(e *inventory.Editor, g *inventory.Group) (inventory.Change, error) {
		return e.AddMember(g.ID, connector, *body.Priority)
	})
}

func (p *managed) deleteMember(w http.ResponseWriter, r *http.Request) error {
	connector, err := refOf(r, "connector")
	if err != nil {
		return err
	}
	return p.changeGroup(w, r, "remove connector from group", func(e *inventory.Editor, g *inventory.Group) (inventory.Change, error) {
		return e.RemoveMember(g.ID, connector)
	})
}

func (p *managed) putRanking(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.stored(); err != nil {
		return err
	}
	var ranking map[string]int
	if err := read(r, &ranking); err != nil {
		return err
	}
	return p.changeGroup(w, r, "rank connectors of group", func(e *inventory.Editor, g *inventory.Group) (inventory.Change, error) {
		return e.SetPriorities(g.ID, ranking)
	})
}
