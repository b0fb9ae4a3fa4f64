package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// testRandom makes random changes, some of them wrong, and holds everything that
// can be read against a model.
func testRandom(t *testing.T, s Store) {
	r := rand.New(rand.NewPCG(7, uint64(time.Now().UnixNano())))
	m := newModel()
	owners := []inventory.Owner{nobody, east, sales}
	for i := range 5 {
		owners = append(owners, inventory.Owner{Kind: inventory.GroupOwner, ID: fmt.Sprint("g", i)})
	}
	var events []Event
	for round := range 150 {
		c := randomChange(r, m, owners)
		before := m.revision
		want := m.commit(c)
		revision, err := s.Commit(t.Context(), c)
		require.ErrorIs(t, err, want, "round %d", round)
		if want != nil {
			require.Zero(t, revision)
		} else {
			require.Equal(t, m.revision, revision)
		}
		if m.revision != before {
			events = append(events, Event{revision, c})
		}
		snap, at := snapshot(t, s)
		require.Equal(t, m.revision, at)
		require.Equal(t, m.snapshot(), snap)
		for range 3 {
			comparePages(t, r, s, m, owners)
		}
		if round%10 != 0 {
			continue
		}
		var all []inventory.Number
		_, err = s.Each(t.Context(), func(n inventory.Number) error {
			all = append(all, n)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, m.all(Query{}), all)
	}
	seen := 0
	err := s.Watch(t.Context(), 0, func(e Event) error {
		require.Equal(t, events[seen].Revision, e.Revision)
		require.Len(t, e.Change.Numbers, len(events[seen].Change.Numbers))
		if seen++; seen == len(events) {
			return errFull
		}
		return nil
	})
	require.ErrorIs(t, err, errFull)
}

// randomEntry is of few numbers that stand close together, and of many that do not.
func randomEntry(r *rand.Rand) catalog.Entry {
	k := number.Key(215550000000 + r.Uint64N(3000))
	if r.IntN(3) == 0 {
		text := []byte([]string{"", "+"}[r.IntN(2)])
		for range 1 + r.IntN(number.MaxDigits) {
			text = append(text, byte('0'+r.IntN(10)))
		}
		k, _ = number.Parse(text)
	}
	switch r.IntN(20) {
	case 0:
		return catalog.Entry{Kind: catalog.Range, First: k - k%10, Last: k - k%10 + 9}
	case 1:
		return catalog.Entry{Kind: catalog.Prefix, First: 215550000 + k%1000}
	}
	return catalog.Entry{First: k}
}

func randomChange(r *rand.Rand, m *model, owners []inventory.Owner) inventory.Change {
	c := inventory.Change{Catalog: m.catalog}
	if r.IntN(30) == 0 {
		c.Catalog++
	}
	changed := make(map[catalog.Entry]bool)
	change := func(e catalog.Entry) {
		if changed[e] || e.Kind == catalog.Range && e.First == 0 {
			return
		}
		changed[e] = true
		ch := inventory.NumberChange{After: &inventory.Number{
			Entry: e, Owner: owners[r.IntN(len(owners))],
			Created: time.Unix(r.Int64N(2e9), 0).UTC(), Updated: time.Unix(r.Int64N(2e9), 0).UTC(),
		}}
		if n, ok := m.numbers[e]; ok {
			if ch.Before = &n; r.IntN(3) == 0 {
				ch.After = nil
			} else {
				ch.After.Created = n.Created
			}
			if r.IntN(3000) == 0 {
				ch.Before = nil
				ch.After = &n
			}
		}
		c.Numbers = append(c.Numbers, ch)
	}
	for range []int{1, 20, 400, 1500}[r.IntN(4)] {
		change(randomEntry(r))
	}
	if r.IntN(10) == 0 { // a stretch of them
		for i := range number.Key(1000) {
			change(catalog.Entry{First: 24900000000 + i})
		}
	}
	if r.IntN(15) == 0 { // nearly all go
		c.Numbers = nil
		for e, n := range m.numbers {
			if r.IntN(50) != 0 {
				c.Numbers = append(c.Numbers, inventory.NumberChange{Before: &n})
			}
			_ = e
		}
	}
	for range r.IntN(3) {
		id := fmt.Sprint("c", r.IntN(6))
		ch := inventory.ConnectorChange{After: &inventory.Connector{Meta: inventory.Meta{ID: id}, ConnectorSpec: inventory.ConnectorSpec{Name: fmt.Sprint(id, r.IntN(9))}}}
		if now, ok := m.connectors[id]; ok {
			if ch.Before = &now; r.IntN(2) == 0 {
				ch.After = nil
			}
		}
		c.Connectors = []inventory.ConnectorChange{ch}
	}
	if r.IntN(5) == 0 {
		c.Empty = []inventory.Owner{owners[r.IntN(len(owners))]}
	}
	return c
}

func comparePages(t *testing.T, r *rand.Rand, s Store, m *model, owners []inventory.Owner) {
	t.Helper()
	q := Query{Limit: 1 + r.IntN(300), Digits: []string{"", "", "+", "+15", "+155500001", "1", "9"}[r.IntN(7)]}
	if r.IntN(2) == 0 {
		q.Owner = &owners[r.IntN(len(owners))]
	}
	if r.IntN(2) == 0 {
		e := randomEntry(r)
		q.After = &e
	}
	want := m.all(q)
	p, err := s.Numbers(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, len(want) > q.Limit, p.More, "%+v", q)
	require.Equal(t, want[:min(q.Limit, len(want))], p.Numbers, "%+v", q)

	entries := []catalog.Entry{randomEntry(r), randomEntry(r)}
	for _, n := range p.Numbers[:min(5, len(p.Numbers))] {
		entries = append(entries, n.Entry)
	}
	found, err := s.Find(t.Context(), entries)
	require.NoError(t, err)
	for i, e := range entries {
		n, ok := m.numbers[e]
		require.Equal(t, ok, found[i] != nil)
		if ok {
			require.Equal(t, n, *found[i])
		}
	}
}
