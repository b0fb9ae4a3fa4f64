package store

import (
	"maps"
	"slices"
	"strings"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// model is a store as simple as can be: maps, and lists that are made anew for
// each question.
type model struct {
	revision, catalog uint64
	connectors        map[string]inventory.Connector
	groups            map[string]inventory.Group
	numbers           map[catalog.Entry]inventory.Number
}

func newModel() *model {
	return &model{
		connectors: make(map[string]inventory.Connector),
		groups:     make(map[string]inventory.Group),
		numbers:    make(map[catalog.Entry]inventory.Number),
	}
}

func (m *model) clone() *model {
	c := *m
	c.connectors, c.groups, c.numbers = maps.Clone(m.connectors), maps.Clone(m.groups), maps.Clone(m.numbers)
	return &c
}

// commit carries c out, unless it is a conflict.
func (m *model) commit(c inventory.Change) error {
	if c.Catalog != m.catalog {
		return ErrConflict
	}
	n := m.clone()
	n.revision++
	for _, ch := range c.Connectors {
		if ch.Before != nil {
			now, ok := n.connectors[ch.Before.ID]
			if !ok || now.Revision != ch.Before.Revision {
				return ErrConflict
			}
			delete(n.connectors, ch.Before.ID)
		}
		if ch.After != nil {
			if _, ok := n.connectors[ch.After.ID]; ok {
				return ErrConflict
			}
			after := *ch.After
			after.Revision = n.revision
			n.connectors[after.ID] = after
		}
		n.catalog = n.revision
	}
	for _, ch := range c.Groups {
		if ch.Before != nil {
			now, ok := n.groups[ch.Before.ID]
			if !ok || now.Revision != ch.Before.Revision {
				return ErrConflict
			}
			delete(n.groups, ch.Before.ID)
		}
		if ch.After != nil {
			if _, ok := n.groups[ch.After.ID]; ok {
				return ErrConflict
			}
			after := *ch.After
			after.Revision = n.revision
			n.groups[after.ID] = after
		}
		n.catalog = n.revision
	}
	for _, ch := range c.Numbers {
		e := entryOf(ch)
		now, ok := n.numbers[e]
		if ok != (ch.Before != nil) || ok && now.Revision != ch.Before.Revision {
			return ErrConflict
		}
		if delete(n.numbers, e); ch.After != nil {
			after := *ch.After
			after.Revision = n.revision
			n.numbers[e] = after
		}
		if e.Kind != catalog.Exact {
			n.catalog = n.revision
		}
	}
	counts := n.counts()
	for _, o := range c.Empty {
		if counts[o] > 0 {
			return ErrConflict
		}
	}
	if !c.None() {
		*m = *n
	}
	return nil
}

func (m *model) counts() map[inventory.Owner]int {
	counts := make(map[inventory.Owner]int)
	for _, n := range m.numbers {
		counts[n.Owner]++
	}
	return counts
}

// all returns the numbers that q wants, without its Limit, in order.
func (m *model) all(q Query) (all []inventory.Number) {
	for e, n := range m.numbers {
		if (q.Owner == nil || n.Owner == *q.Owner) && strings.HasPrefix(e.First.String(), q.Digits) &&
			(q.After == nil || compareEntries(e, *q.After) > 0) {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b inventory.Number) int { return compareEntries(a.Entry, b.Entry) })
	return all
}

func (m *model) snapshot() *inventory.Snapshot {
	s := &inventory.Snapshot{Revision: m.catalog, Counts: m.counts()}
	s.Connectors = slices.SortedFunc(maps.Values(m.connectors), func(a, b inventory.Connector) int { return strings.Compare(a.Name, b.Name) })
	s.Groups = slices.SortedFunc(maps.Values(m.groups), func(a, b inventory.Group) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range m.all(Query{}) {
		if n.Entry.Kind != catalog.Exact {
			s.Spans = append(s.Spans, n)
		}
	}
	return s
}
