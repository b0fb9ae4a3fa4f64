package manage

import (
	"cmp"
	"encoding/json"
	"slices"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// mostNamed is how many numbers, or runs of them, a line of the log has.
const mostNamed = 500

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
		for named := range slices.Chunk(move.named(), mostNamed) {
			log.Info("changed: "+a.What, "numbers", named, "count", len(move.entries), "before", move.from, "after", move.to)
		}
	}
}

// move is numbers that went from one owner to another.
type move struct {
	from, to string
	entries  []catalog.Entry
}

// moves gathers the numbers of a change by who had them and who has them.
func (m *Manager) moves(c *inventory.Change) (all []*move) {
	type way struct{ from, to inventory.Owner }
	at := make(map[way]*move)
	s := m.Snapshot()
	for _, one := range c.Numbers {
		var w way
		from, to := "none", "none"
		var entry catalog.Entry
		if b := one.Before; b != nil {
			w.from, from, entry = b.Owner, s.OwnerName(b.Owner), b.Entry
		} else {
			w.from.ID = "none" // no owner has this one
		}
		if is := one.After; is != nil {
			w.to, to, entry = is.Owner, s.OwnerName(is.Owner), is.Entry
		} else {
			w.to.ID = "none"
		}
		if at[w] == nil {
			at[w] = &move{from: from, to: to}
			all = append(all, at[w])
		}
		at[w].entries = append(at[w].entries, entry)
	}
	return all
}

// named writes the numbers in their order, those that follow each other as
// "A to B": a range that is managed as one is written "A-B".
func (m *move) named() (all []string) {
	slices.SortFunc(m.entries, func(a, b catalog.Entry) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.First, b.First))
	})
	for i := 0; i < len(m.entries); i++ {
		first, last := m.entries[i], m.entries[i]
		for i+1 < len(m.entries) && follows(m.entries[i], m.entries[i+1]) {
			i++
			last = m.entries[i]
		}
		if first == last {
			all = append(all, first.String())
		} else {
			all = append(all, first.String()+" to "+last.String())
		}
	}
	return all
}

// follows reports whether b is the number after a.
func follows(a, b catalog.Entry) bool {
	return a.Kind == catalog.Exact && b.Kind == catalog.Exact && b.First == a.First+1 && a.First.Form() == b.First.Form()
}

// text is settings as they stand in a file.
func text(spec any) string {
	b, err := json.Marshal(spec)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
