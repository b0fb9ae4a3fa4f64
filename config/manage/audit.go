package manage

import (
	"encoding/json"

	"tandem/config/inventory"
)

// mostNamed is how many numbers of one change are logged one by one.
const mostNamed = 10

// audit logs a change: who, what, before and after.
func (m *Manager) audit(a Action, c *inventory.Change, revision uint64) {
	log := m.Log.With("who", a.Who, "revision", revision)
	for _, one := range c.Connectors {
		name, before, after := "", "none", "none"
		if b := one.Before; b != nil {
			name, before = b.Name, text(b.ConnectorSpec)
		}
		if is := one.After; is != nil {
			name, after = is.Name, text(is.ConnectorSpec)
		}
		log.Info("changed: "+a.What, "connector", name, "before", before, "after", after)
	}
	for _, one := range c.Groups {
		name, before, after := "", "none", "none"
		if b := one.Before; b != nil {
			name, before = b.Name, text(b.GroupSpec)
		}
		if is := one.After; is != nil {
			name, after = is.Name, text(is.GroupSpec)
		}
		log.Info("changed: "+a.What, "group", name, "before", before, "after", after)
	}
	for _, move := range m.moves(c) {
		log.Info("changed: "+a.What, "numbers", move.count, "before", move.from, "after", move.to, "first", move.first)
	}
}

// move is numbers that went from one owner to another.
type move struct {
	from, to string
	count    int
	first    []string // the first of them
}

// moves gathers the numbers of a change by who had them and who has them.
func (m *Manager) moves(c *inventory.Change) (all []*move) {
	type way struct{ from, to string }
	at := make(map[way]*move)
	s := m.Snapshot()
	for _, one := range c.Numbers {
		w, number := way{"none", "none"}, ""
		if b := one.Before; b != nil {
			w.from, number = s.OwnerName(b.Owner), b.Entry.String()
		}
		if is := one.After; is != nil {
			w.to, number = s.OwnerName(is.Owner), is.Entry.String()
		}
		if at[w] == nil {
			at[w] = &move{from: w.from, to: w.to}
			all = append(all, at[w])
		}
		at[w].count++
		if at[w].count <= mostNamed {
			at[w].first = append(at[w].first, number)
		}
	}
	return all
}

// text is settings as they stand in a file.
func text(spec any) string {
	b, err := json.Marshal(spec)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
