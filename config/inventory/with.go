package inventory

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"tandem/config/catalog"
)

// With returns the Snapshot after a Change that was committed at a revision.
func (s *Snapshot) With(c Change, revision uint64) *Snapshot {
	next := *s
	if len(c.Connectors) > 0 {
		next.Connectors, next.Revision = s.withConnectors(c.Connectors, revision), revision
	}
	if len(c.Groups) > 0 {
		next.Groups, next.Revision = s.withGroups(c.Groups, revision), revision
	}
	if len(c.Numbers) > 0 {
		next.Counts = s.withCounts(c.Numbers)
		if spans := spanChanges(c.Numbers); len(spans) > 0 {
			next.Spans, next.Revision = s.withSpans(spans, revision), revision
		}
	}
	return &next
}

func (s *Snapshot) withConnectors(changes []ConnectorChange, revision uint64) []Connector {
	gone := make(map[string]bool, len(changes))
	var after []Connector
	for _, c := range changes {
		if c.Before != nil {
			gone[c.Before.ID] = true
		}
		if c.After != nil {
			after = append(after, *c.After)
			after[len(after)-1].Revision = revision
		}
	}
	return merged(s.Connectors, after, func(c *Connector) bool { return gone[c.ID] },
		func(a, b *Connector) int { return strings.Compare(a.Name, b.Name) })
}

func (s *Snapshot) withGroups(changes []GroupChange, revision uint64) []Group {
	gone := make(map[string]bool, len(changes))
	var after []Group
	for _, c := range changes {
		if c.Before != nil {
			gone[c.Before.ID] = true
		}
		if c.After != nil {
			after = append(after, *c.After)
			after[len(after)-1].Revision = revision
		}
	}
	return merged(s.Groups, after, func(g *Group) bool { return gone[g.ID] },
		func(a, b *Group) int { return strings.Compare(a.Name, b.Name) })
}

// spanChanges returns the changes of ranges and prefixes.
func spanChanges(changes []NumberChange) (spans []NumberChange) {
	for _, c := range changes {
		if n := cmp.Or(c.After, c.Before); n.Entry.Kind != catalog.Exact {
			spans = append(spans, c)
		}
	}
	return spans
}

func (s *Snapshot) withSpans(changes []NumberChange, revision uint64) []Number {
	gone := make(map[catalog.Entry]bool, len(changes))
	var after []Number
	for _, c := range changes {
		if c.Before != nil {
			gone[c.Before.Entry] = true
		}
		if c.After != nil {
			after = append(after, *c.After)
			after[len(after)-1].Revision = revision
		}
	}
	return merged(s.Spans, after, func(n *Number) bool { return gone[n.Entry] }, func(a, b *Number) int {
		return cmp.Or(cmp.Compare(a.Entry.Kind, b.Entry.Kind), cmp.Compare(a.Entry.First, b.Entry.First))
	})
}

// withCounts counts each change; an owner without numbers is not in the map.
func (s *Snapshot) withCounts(changes []NumberChange) map[Owner]int {
	counts := maps.Clone(s.Counts)
	if counts == nil {
		counts = make(map[Owner]int)
	}
	for _, c := range changes {
		if c.After != nil {
			counts[c.After.Owner]++
		}
		if c.Before == nil {
			continue
		}
		if counts[c.Before.Owner]--; counts[c.Before.Owner] == 0 {
			delete(counts, c.Before.Owner)
		}
	}
	return counts
}

// merged returns a sorted list without what is gone and with what is new, in its
// order.
func merged[T any](list, after []T, gone func(*T) bool, order func(a, b *T) int) []T {
	slices.SortFunc(after, func(a, b T) int { return order(&a, &b) })
	next := make([]T, 0, len(list)+len(after))
	for i := range list {
		if gone(&list[i]) {
			continue
		}
		for len(after) > 0 && order(&after[0], &list[i]) < 0 {
			next, after = append(next, after[0]), after[1:]
		}
		next = append(next, list[i])
	}
	return append(next, after...)
}
