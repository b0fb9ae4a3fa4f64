package admin

import (
	"net/http"
	"time"

	"tandem/config/inventory"
)

// VoiceConnectorGroup is a group in the Chime API.
type VoiceConnectorGroup struct {
	CreatedTimestamp      *time.Time `json:",omitempty"`
	Name                  string
	UpdatedTimestamp      *time.Time `json:",omitempty"`
	VoiceConnectorGroupId string
	VoiceConnectorItems   []VoiceConnectorItem
}

// VoiceConnectorItem is a connector's place in a group.
type VoiceConnectorItem struct {
	Priority         int    `json:"Priority"`
	VoiceConnectorId string `json:"VoiceConnectorId"`
}

func voiceConnectorGroup(s *inventory.Snapshot, g *inventory.Group) VoiceConnectorGroup {
	v := VoiceConnectorGroup{
		CreatedTimestamp: stamp(g.Created), Name: g.Name, UpdatedTimestamp: stamp(g.Updated),
		VoiceConnectorGroupId: g.ID, VoiceConnectorItems: []VoiceConnectorItem{},
	}
	for _, m := range g.Connectors {
		item := VoiceConnectorItem{Priority: m.Priority, VoiceConnectorId: m.Connector}
		if c, err := s.Connector(m.Connector); err == nil {
			item.VoiceConnectorId = c.ID
		}
		v.VoiceConnectorItems = append(v.VoiceConnectorItems, item)
	}
	return v
}

// groupBody is a group as it is given.
type groupBody struct {
	Name                *string `json:"Name"`
	VoiceConnectorItems *[]struct {
		Priority         *int    `json:"Priority"`
		VoiceConnectorId *string `json:"VoiceConnectorId"`
	} `json:"VoiceConnectorItems"`
}

// members are the items, whose connectors are not looked for yet.
func (b *groupBody) members() (members []inventory.Member, err error) {
	if b.VoiceConnectorItems == nil {
		return nil, nil
	}
	for i, item := range *b.VoiceConnectorItems {
		field := "VoiceConnectorItems" + index(i)
		if item.Priority == nil {
			return nil, invalid(field+".Priority", "is missing; write 1 for the connector that is tried first, 2 for the next")
		}
		if optional(item.VoiceConnectorId) == "" {
			return nil, invalid(field+".VoiceConnectorId", "is missing")
		}
		members = append(members, inventory.Member{Connector: *item.VoiceConnectorId, Priority: *item.Priority})
	}
	return members, nil
}

func (p *chime) createGroup(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "create group")
	if err != nil {
		return err
	}
	var body groupBody
	if err := read(r, &body); err != nil {
		return err
	}
	members, err := body.members()
	if err != nil {
		return err
	}
	edit, err := m.Edit(r.Context(), a, func(e *inventory.Editor) (inventory.Change, error) {
		return e.CreateGroup(inventory.GroupSpec{Name: optional(body.Name), Connectors: members})
	})
	if err != nil {
		return err
	}
	p.sayVoiceGroup(w, http.StatusCreated, edit.Groups[0].After)
	return nil
}

func (p *chime) sayVoiceGroup(w http.ResponseWriter, code int, g *inventory.Group) {
	sayJSON(w, code, struct{ VoiceConnectorGroup VoiceConnectorGroup }{voiceConnectorGroup(p.snapshot(), g)})
}

func (p *chime) getGroup(w http.ResponseWriter, r *http.Request) error {
	ref, err := refOf(r, "ref")
	if err != nil {
		return err
	}
	g, err := p.snapshot().Group(ref)
	if err != nil {
		return err
	}
	p.sayVoiceGroup(w, http.StatusOK, g)
	return nil
}

func (p *chime) listGroups(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := paging(r)
	if err != nil {
		return err
	}
	s := p.snapshot()
	from, to, next := pageOf(len(s.Groups), func(i int) string { return s.Groups[i].Name }, after, limit)
	list := struct {
		NextToken            string `json:",omitempty"`
		VoiceConnectorGroups []VoiceConnectorGroup
	}{token(next), []VoiceConnectorGroup{}}
	for i := from; i < to; i++ {
		list.VoiceConnectorGroups = append(list.VoiceConnectorGroups, voiceConnectorGroup(s, &s.Groups[i]))
	}
	sayJSON(w, http.StatusOK, list)
	return nil
}

func (p *chime) updateGroup(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "update group")
	if err != nil {
		return err
	}
	var body groupBody
	if err := read(r, &body); err != nil {
		return err
	}
	if body.VoiceConnectorItems == nil {
		return invalid("VoiceConnectorItems", "is missing; write all items of the group, or [] for none")
	}
	members, err := body.members()
	if err != nil {
		return err
	}
	is, err := p.editGroup(m, a, r, func(e *inventory.Editor, g *inventory.Group) (inventory.Change, error) {
		spec := g.GroupSpec
		spec.Name, spec.Connectors = optional(body.Name), members
		return e.UpdateGroup(g.ID, spec)
	})
	if err != nil {
		return err
	}
	p.sayVoiceGroup(w, http.StatusAccepted, is)
	return nil
}
