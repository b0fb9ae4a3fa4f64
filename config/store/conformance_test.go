package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// testStore holds a store against what Store promises. open returns an empty one.
func testStore(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"empty":                     testEmpty,
		"named":                     testNamed,
		"numbers":                   testNumbers,
		"conflicts":                 testConflicts,
		"senseless changes":         testSenseless,
		"no change":                 testNoChange,
		"pages":                     testPages,
		"random":                    testRandom,
		"one of two wins":           testOneWins,
		"empty or assigned":         testEmptyOrAssigned,
		"pages while it changes":    testPagesMeanwhile,
		"each at one revision":      testEachAtOneRevision,
		"watch":                     testWatch,
		"watch from a revision":     testWatchFrom,
		"caller's context":          testContext,
		"caller's errors":           testCallersErrors,
		"closed":                    testClosed,
		"backup while it changes":   testBackupMeanwhile,
		"what is read is one's own": testOwn,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

var someTime = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

// entry parses one entry.
func entry(t testing.TB, text string) catalog.Entry {
	t.Helper()
	e, err := catalog.ParseEntry([]byte(text))
	require.NoError(t, err)
	return e
}

var (
	nobody = inventory.Owner{}
	east   = inventory.Owner{Kind: inventory.ConnectorOwner, ID: "east"}
	sales  = inventory.Owner{Kind: inventory.GroupOwner, ID: "sales"}
)

// adding is a change that adds numbers to an owner.
func adding(t testing.TB, catalog uint64, to inventory.Owner, entries ...string) inventory.Change {
	t.Helper()
	c := inventory.Change{Catalog: catalog}
	for _, text := range entries {
		c.Numbers = append(c.Numbers, inventory.NumberChange{After: &inventory.Number{
			Entry: entry(t, text), Owner: to, Created: someTime, Updated: someTime,
		}})
	}
	return c
}

func commit(t testing.TB, s Store, c inventory.Change) uint64 {
	t.Helper()
	revision, err := s.Commit(t.Context(), c)
	require.NoError(t, err)
	return revision
}

func find(t testing.TB, s Store, texts ...string) []*inventory.Number {
	t.Helper()
	entries := make([]catalog.Entry, len(texts))
	for i, text := range texts {
		entries[i] = entry(t, text)
	}
	found, err := s.Find(t.Context(), entries)
	require.NoError(t, err)
	require.Len(t, found, len(texts))
	return found
}

func snapshot(t testing.TB, s Store) (*inventory.Snapshot, uint64) {
	t.Helper()
	snap, revision, err := s.Snapshot(t.Context())
	require.NoError(t, err)
	return snap, revision
}

func texts(numbers []inventory.Number) (all []string) {
	for _, n := range numbers {
		all = append(all, n.Entry.String())
	}
	return all
}

func testEmpty(t *testing.T, s Store) {
	snap, revision := snapshot(t, s)
	require.Zero(t, revision)
	require.Equal(t, &inventory.Snapshot{Counts: map[inventory.Owner]int{}}, snap)
	p, err := s.Numbers(t.Context(), Query{Limit: 10})
	require.NoError(t, err)
	require.Zero(t, p)
	require.Nil(t, find(t, s, "+15550000001")[0])
	revision, err = s.Each(t.Context(), func(inventory.Number) error { return errors.New("a number") })
	require.NoError(t, err)
	require.Zero(t, revision)
}

func testNamed(t *testing.T, s Store) {
	west := &inventory.Connector{
		Meta: inventory.Meta{ID: "w", Revision: 77, Created: someTime, Updated: someTime},
		ConnectorSpec: inventory.ConnectorSpec{
			Name: "west", Region: "us-west-2", Hosts: []inventory.HostSpec{{URI: "sip:<a&b>", Priority: 1}},
			Failover: []byte(`{"codes":["<5xx>"]}`),
		},
	}
	eastern := &inventory.Connector{Meta: inventory.Meta{ID: "x"}, ConnectorSpec: inventory.ConnectorSpec{Name: "east"}}
	group := &inventory.Group{
		Meta:      inventory.Meta{ID: "g"},
		GroupSpec: inventory.GroupSpec{Name: "sales", Connectors: []inventory.Member{{Connector: "west", Priority: 1}}},
	}
	c := inventory.Change{
		Connectors: []inventory.ConnectorChange{{After: west}, {After: eastern}},
		Groups:     []inventory.GroupChange{{After: group}},
	}
	require.EqualValues(t, 1, commit(t, s, c))
	require.EqualValues(t, 77, west.Revision, "the caller's own is left as it is")

	snap, revision := snapshot(t, s)
	require.EqualValues(t, 1, revision)
	require.EqualValues(t, 1, snap.Revision)
	west.Revision, eastern.Revision, group.Revision = 1, 1, 1
	require.Equal(t, []inventory.Connector{*eastern, *west}, snap.Connectors, "by name")
	require.Equal(t, []inventory.Group{*group}, snap.Groups)

	renamed := *eastern
	renamed.Name = "zulu"
	require.EqualValues(t, 2, commit(t, s, inventory.Change{Catalog: 1,
		Connectors: []inventory.ConnectorChange{{Before: eastern, After: &renamed}},
		Groups:     []inventory.GroupChange{{Before: group}},
	}))
	snap, _ = snapshot(t, s)
	require.EqualValues(t, 2, snap.Revision)
	renamed.Revision = 2
	require.Equal(t, []inventory.Connector{*west, renamed}, snap.Connectors)
	require.Empty(t, snap.Groups)
}

func testNumbers(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+15550000002", "+15550000001"))
	snap, revision := snapshot(t, s)
	require.EqualValues(t, 1, revision)
	require.Zero(t, snap.Revision, "a change of exact numbers alone does not move it")
	require.Equal(t, map[inventory.Owner]int{east: 2}, snap.Counts)

	commit(t, s, adding(t, 0, sales, "+1666*", "+15551000-+15551999"))
	snap, _ = snapshot(t, s)
	require.EqualValues(t, 2, snap.Revision, "one of a range does")
	require.Equal(t, []string{"+15551000-+15551999", "+1666*"}, texts(snap.Spans))
	require.Equal(t, map[inventory.Owner]int{east: 2, sales: 2}, snap.Counts)

	found := find(t, s, "+15550000001", "+15550000003", "+1666*", "+15551000-+15551998", "+1666", "+15550000001")
	one := inventory.Number{Entry: entry(t, "+15550000001"), Owner: east, Revision: 1, Created: someTime, Updated: someTime}
	require.Equal(t, &one, found[0])
	require.Nil(t, found[1])
	require.Equal(t, &inventory.Number{Entry: entry(t, "+1666*"), Owner: sales, Revision: 2, Created: someTime, Updated: someTime}, found[2])
	require.Nil(t, found[3])
	require.Nil(t, found[4], "a number is not its prefix")
	require.Equal(t, &one, found[5])

	moved := one
	moved.Owner, moved.Updated = nobody, someTime.Add(time.Hour)
	require.EqualValues(t, 3, commit(t, s, inventory.Change{Catalog: 2, Numbers: []inventory.NumberChange{{Before: &one, After: &moved}}}))
	moved.Revision = 3
	require.Equal(t, &moved, find(t, s, "+15550000001")[0])
	snap, _ = snapshot(t, s)
	require.Equal(t, map[inventory.Owner]int{east: 1, sales: 2, nobody: 1}, snap.Counts)

	require.EqualValues(t, 4, commit(t, s, inventory.Change{Catalog: 2, Numbers: []inventory.NumberChange{{Before: &moved}, {Before: found[2]}}}))
	require.Equal(t, []*inventory.Number{nil, nil}, find(t, s, "+15550000001", "+1666*"))
	snap, _ = snapshot(t, s)
	require.EqualValues(t, 4, snap.Revision)
	require.Equal(t, map[inventory.Owner]int{east: 1, sales: 1}, snap.Counts)

	var all []string
	revision, err := s.Each(t.Context(), func(n inventory.Number) error {
		all = append(all, n.Entry.String())
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 4, revision)
	require.Equal(t, []string{"+15550000002", "+15551000-+15551999"}, all)
}

func testConflicts(t *testing.T, s Store) {
	a := &inventory.Connector{Meta: inventory.Meta{ID: "a"}, ConnectorSpec: inventory.ConnectorSpec{Name: "a"}}
	g := &inventory.Group{Meta: inventory.Meta{ID: "a"}, GroupSpec: inventory.GroupSpec{Name: "a"}}
	commit(t, s, inventory.Change{Connectors: []inventory.ConnectorChange{{After: a}}, Groups: []inventory.GroupChange{{After: g}}})
	commit(t, s, adding(t, 1, east, "+1555", "+1666*"))
	a.Revision, g.Revision = 1, 1
	there, staleA, staleG := find(t, s, "+1555")[0], *a, *g
	stale, other, prefix := *there, *there, find(t, s, "+1666*")[0]
	stale.Revision, staleA.Revision, staleG.Revision = 1, 7, 7
	other.Entry = entry(t, "+1556")
	staleSpan := *prefix
	staleSpan.Revision = 1
	fresh := adding(t, 2, sales, "+1777").Numbers[0]

	for name, c := range map[string]inventory.Change{
		"catalog":                 adding(t, 1, east, "+1777"),
		"catalog of the future":   adding(t, 3, east, "+1777"),
		"catalog of no change":    {Catalog: 1},
		"number is there":         {Catalog: 2, Numbers: []inventory.NumberChange{fresh, {After: there}}},
		"number has changed":      {Catalog: 2, Numbers: []inventory.NumberChange{fresh, {Before: &stale, After: there}}},
		"number is gone":          {Catalog: 2, Numbers: []inventory.NumberChange{fresh, {Before: &other}}},
		"prefix is there":         {Catalog: 2, Numbers: []inventory.NumberChange{fresh, {After: prefix}}},
		"prefix has changed":      {Catalog: 2, Numbers: []inventory.NumberChange{fresh, {Before: &staleSpan}}},
		"connector is there":      {Catalog: 2, Numbers: []inventory.NumberChange{fresh}, Connectors: []inventory.ConnectorChange{{After: a}}},
		"connector has changed":   {Catalog: 2, Numbers: []inventory.NumberChange{fresh}, Connectors: []inventory.ConnectorChange{{Before: &staleA, After: a}}},
		"group is there":          {Catalog: 2, Numbers: []inventory.NumberChange{fresh}, Groups: []inventory.GroupChange{{After: g}}},
		"group has changed":       {Catalog: 2, Numbers: []inventory.NumberChange{fresh}, Groups: []inventory.GroupChange{{Before: &staleG}}},
		"not empty":               {Catalog: 2, Numbers: []inventory.NumberChange{fresh}, Empty: []inventory.Owner{sales, east}},
		"not empty by the change": {Catalog: 2, Numbers: []inventory.NumberChange{fresh}, Empty: []inventory.Owner{sales}},
		"not empty, no change":    {Catalog: 2, Empty: []inventory.Owner{east}},
	} {
		_, err := s.Commit(t.Context(), c)
		require.ErrorIs(t, err, ErrConflict, name)
	}
	snap, revision := snapshot(t, s)
	require.EqualValues(t, 2, revision, "nothing was carried out")
	require.Equal(t, map[inventory.Owner]int{east: 2}, snap.Counts)

	commit(t, s, inventory.Change{Catalog: 2, Empty: []inventory.Owner{east, sales},
		Connectors: []inventory.ConnectorChange{{Before: a}},
		Numbers:    []inventory.NumberChange{{Before: there}, {Before: prefix}}})
	snap, _ = snapshot(t, s)
	require.Empty(t, snap.Counts, "emptied by the change itself")
}

// What is no change is no conflict either: to decide again would not help.
func testSenseless(t *testing.T, s Store) {
	n := adding(t, 0, east, "+1555").Numbers[0]
	other := adding(t, 0, east, "+1556").Numbers[0].After
	a := inventory.ConnectorChange{After: &inventory.Connector{Meta: inventory.Meta{ID: "a"}}}
	g := inventory.GroupChange{After: &inventory.Group{Meta: inventory.Meta{ID: "a"}}}
	for name, c := range map[string]inventory.Change{
		"number twice":       {Numbers: []inventory.NumberChange{n, n}},
		"nothing":            {Numbers: []inventory.NumberChange{{}}},
		"two numbers":        {Numbers: []inventory.NumberChange{{Before: other, After: n.After}}},
		"no number":          {Numbers: []inventory.NumberChange{{After: &inventory.Number{}}}},
		"no kind":            {Numbers: []inventory.NumberChange{{After: &inventory.Number{Entry: catalog.Entry{Kind: 3, First: 21555}}}}},
		"no key":             {Numbers: []inventory.NumberChange{{After: &inventory.Number{Entry: catalog.Entry{First: 31555}}}}},
		"too large":          {Numbers: []inventory.NumberChange{{After: &inventory.Number{Entry: catalog.Entry{First: 1 << 60}}}}},
		"half a range":       {Numbers: []inventory.NumberChange{{After: &inventory.Number{Entry: catalog.Entry{Kind: catalog.Range, First: 21555}}}}},
		"connector twice":    {Connectors: []inventory.ConnectorChange{a, a}},
		"connector of none":  {Connectors: []inventory.ConnectorChange{{}}},
		"group twice":        {Groups: []inventory.GroupChange{g, g}},
		"group without ID":   {Groups: []inventory.GroupChange{{After: &inventory.Group{}}}},
		"settings not JSON":  {Groups: []inventory.GroupChange{{After: &inventory.Group{Meta: g.After.Meta, GroupSpec: inventory.GroupSpec{Health: []byte("{")}}}}},
		"an ID becomes else": {Groups: []inventory.GroupChange{{Before: &inventory.Group{Meta: inventory.Meta{ID: "b"}}, After: g.After}}},
	} {
		_, err := s.Commit(t.Context(), c)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, ErrConflict, name)
	}
	_, revision := snapshot(t, s)
	require.Zero(t, revision)
	_, err := s.Numbers(t.Context(), Query{Limit: 10, Digits: "+1x"})
	require.Error(t, err)
	_, err = s.Numbers(t.Context(), Query{})
	require.Error(t, err)
}

func testNoChange(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555"))
	require.EqualValues(t, 1, commit(t, s, inventory.Change{Empty: []inventory.Owner{sales}}))
	_, revision := snapshot(t, s)
	require.EqualValues(t, 1, revision)
}

func testPages(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+15550001", "+1555", "1555", "+155500", "+1556", "112", "15550"))
	commit(t, s, adding(t, 0, sales, "+15550002", "+15551000-+15551999", "+1557*", "+155*", "15550-15559"))
	for _, c := range []struct {
		q    Query
		want string
		more bool
	}{
		{Query{Limit: 100}, "112 1555 +1555 +1556 15550 +155500 +15550001 +15550002 15550-15559 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 4}, "112 1555 +1555 +1556", true},
		{Query{Limit: 12}, "112 1555 +1555 +1556 15550 +155500 +15550001 +15550002 15550-15559 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 11, Digits: ""}, "112 1555 +1555 +1556 15550 +155500 +15550001 +15550002 15550-15559 +15551000-+15551999 +155*", true},
		{Query{Limit: 100, Digits: "+1555"}, "+1555 +155500 +15550001 +15550002 +15551000-+15551999", false},
		{Query{Limit: 100, Digits: "+155"}, "+1555 +1556 +155500 +15550001 +15550002 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 100, Digits: "1"}, "112 1555 15550 15550-15559", false},
		{Query{Limit: 100, Digits: "+"}, "+1555 +1556 +155500 +15550001 +15550002 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 100, Digits: "+2"}, "", false},
		{Query{Limit: 100, Digits: "+155500010000000"}, "", false},
		{Query{Limit: 100, Owner: &east}, "112 1555 +1555 +1556 15550 +155500 +15550001", false},
		{Query{Limit: 2, Owner: &sales}, "+15550002 15550-15559", true},
		{Query{Limit: 100, Owner: &sales, Digits: "+155"}, "+15550002 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 100, Owner: &nobody}, "", false},
		{Query{Limit: 100, Owner: &inventory.Owner{Kind: inventory.GroupOwner, ID: "east"}}, "", false},
	} {
		p, err := s.Numbers(t.Context(), c.q)
		require.NoError(t, err)
		require.Equal(t, c.want, strings.Join(texts(p.Numbers), " "), "%+v", c.q)
		require.Equal(t, c.more, p.More, "%+v", c.q)
	}
	for _, after := range []string{"111", "112", "1555", "+1556", "+15550002", "+9", "15550-15559", "15551-15552", "+15551000-+15551999", "+99-+99", "+1*", "+155*", "+1557*", "+9*"} {
		e := entry(t, after)
		p, err := s.Numbers(t.Context(), Query{Limit: 100, After: &e})
		require.NoError(t, err)
		all, err := s.Numbers(t.Context(), Query{Limit: 100})
		require.NoError(t, err)
		want := slices.DeleteFunc(all.Numbers, func(n inventory.Number) bool { return compareEntries(n.Entry, e) <= 0 })
		require.Equal(t, texts(want), texts(p.Numbers), after)
	}
}

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

// Many decide by the same state: exactly one of them wins each time.
func testOneWins(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, nobody, "+1555"))
	const rounds, rivals = 20, 4
	for range rounds {
		now := find(t, s, "+1555")[0]
		var wg sync.WaitGroup
		errs := make([]error, rivals)
		for i := range rivals {
			wg.Go(func() {
				after := *now
				after.Owner = inventory.Owner{Kind: inventory.GroupOwner, ID: fmt.Sprint(i)}
				_, errs[i] = s.Commit(t.Context(), inventory.Change{Numbers: []inventory.NumberChange{{Before: now, After: &after}}})
			})
		}
		wg.Wait()
		owner := find(t, s, "+1555")[0].Owner
		for i, err := range errs {
			if owner.ID == fmt.Sprint(i) {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrConflict)
			}
		}
	}
	_, revision := snapshot(t, s)
	require.EqualValues(t, 1+rounds, revision)
}

// A group is deleted while a number is assigned to it: one of the two.
func testEmptyOrAssigned(t *testing.T, s Store) {
	var revision uint64
	for i := range 20 {
		g := &inventory.Group{Meta: inventory.Meta{ID: fmt.Sprint("g", i)}}
		owner := inventory.Owner{Kind: inventory.GroupOwner, ID: g.ID}
		revision = commit(t, s, inventory.Change{Catalog: revision, Groups: []inventory.GroupChange{{After: g}}})
		g.Revision = revision
		var wg sync.WaitGroup
		var assigned, deleted error
		add := adding(t, revision, owner, fmt.Sprint("+1555", i))
		wg.Go(func() { _, assigned = s.Commit(t.Context(), add) })
		wg.Go(func() {
			_, deleted = s.Commit(t.Context(), inventory.Change{Catalog: revision, Groups: []inventory.GroupChange{{Before: g}}, Empty: []inventory.Owner{owner}})
		})
		wg.Wait()
		snap, _ := snapshot(t, s)
		switch {
		case assigned == nil:
			require.ErrorIs(t, deleted, ErrConflict)
			require.Equal(t, 1, snap.Counts[owner])
		default:
			require.ErrorIs(t, assigned, ErrConflict)
			require.NoError(t, deleted)
			require.Zero(t, snap.Counts[owner])
		}
		revision = snap.Revision
	}
}

// Numbers that are there all the time are on exactly one page, whatever comes and
// goes beside them.
func testPagesMeanwhile(t *testing.T, s Store) {
	var stay []string
	for i := range 500 {
		stay = append(stay, fmt.Sprintf("+1555%06d", i*7))
	}
	commit(t, s, adding(t, 0, east, stay...))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			text := fmt.Sprintf("+1555%06d", i%500*7+1)
			c := inventory.Change{}
			found, err := s.Find(t.Context(), []catalog.Entry{entry(t, text)})
			if err == nil && found[0] != nil {
				c.Numbers = []inventory.NumberChange{{Before: found[0]}}
			} else {
				c = adding(t, 0, east, text)
			}
			if _, err := s.Commit(t.Context(), c); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 10 {
		var seen []string
		q := Query{Limit: 17, Owner: &east}
		for more := true; more; {
			p, err := s.Numbers(t.Context(), q)
			require.NoError(t, err)
			for _, n := range p.Numbers {
				if n.Revision == 1 {
					seen = append(seen, n.Entry.String())
				}
				q.After = &n.Entry
			}
			more = p.More
		}
		require.Equal(t, stay, seen)
	}
	close(stop)
	wg.Wait()
}

// Each sees one revision although commits go on, which it keeps none waiting.
func testEachAtOneRevision(t *testing.T, s Store) {
	var all []string
	for i := range 3000 {
		all = append(all, fmt.Sprintf("+1555%06d", i))
	}
	commit(t, s, adding(t, 0, east, all...))
	var seen []string
	revision, err := s.Each(t.Context(), func(n inventory.Number) error {
		seen = append(seen, n.Entry.String())
		require.Equal(t, east, n.Owner)
		if len(seen)%300 != 1 {
			return nil
		}
		done := make(chan struct{})
		go func() { // f must not call the store; that others do is what it is about
			defer close(done)
			numbers, err := s.Numbers(t.Context(), Query{Owner: &east, Limit: 100})
			if err != nil {
				t.Error(err)
				return
			}
			c := adding(t, 0, nobody, fmt.Sprintf("+1666%06d", len(seen)))
			for _, n := range numbers.Numbers {
				after := n
				after.Owner = sales
				c.Numbers = append(c.Numbers, inventory.NumberChange{Before: &n, After: &after})
			}
			if _, err = s.Commit(t.Context(), c); err != nil {
				t.Error(err)
			}
		}()
		<-done
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, revision)
	require.Equal(t, all, seen)
	snap, _ := snapshot(t, s)
	require.Equal(t, map[inventory.Owner]int{east: 2000, sales: 1000, nobody: 10}, snap.Counts)
}

// Watchers that begin at any time see all commits in order.
func testWatch(t *testing.T, s Store) {
	const commits, watchers = 60, 4
	var wg sync.WaitGroup
	for i := range watchers {
		wg.Go(func() {
			want := uint64(0)
			err := s.Watch(t.Context(), 0, func(e Event) error {
				want++
				if e.Revision != want || len(e.Change.Numbers) != 1 || e.Change.Numbers[0].After.Revision != want {
					return fmt.Errorf("watcher %d wants %d, got %+v", i, want, e)
				}
				if want == commits {
					return errFull
				}
				return nil
			})
			if err != errFull {
				t.Error(err)
			}
		})
	}
	for i := range 3 {
		wg.Go(func() {
			for n := range commits / 3 {
				if _, err := s.Commit(t.Context(), adding(t, 0, east, fmt.Sprintf("+1555%d%03d", i, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func testWatchFrom(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555"))
	commit(t, s, adding(t, 0, east, "+1556"))
	seen := uint64(0)
	require.ErrorIs(t, s.Watch(t.Context(), 1, func(e Event) error {
		seen = e.Revision
		return errFull
	}), errFull)
	require.EqualValues(t, 2, seen)

	require.ErrorIs(t, s.Watch(t.Context(), 3, func(Event) error { return nil }), ErrCompacted, "of the future")

	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan error)
	go func() {
		began <- s.Watch(ctx, 2, func(e Event) error {
			cancel()
			return nil
		})
	}()
	commit(t, s, adding(t, 0, east, "+1557"))
	require.ErrorIs(t, <-began, context.Canceled)
}

func testContext(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555", "+1556", "+1557"))
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := s.Each(ctx, func(inventory.Number) error {
		calls++
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, calls)

	_, _, err = s.Snapshot(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Find(ctx, []catalog.Entry{entry(t, "+1555")})
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Numbers(ctx, Query{Limit: 1})
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Commit(ctx, adding(t, 0, east, "+1558"))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.Watch(ctx, 0, func(Event) error { return nil }), context.Canceled)
	require.ErrorIs(t, s.Backup(ctx, new(bytes.Buffer)), context.Canceled)

	_, revision := snapshot(t, s)
	require.EqualValues(t, 1, revision)
	commit(t, s, adding(t, 0, east, "+1558"))
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errFull }

// Errors and panics of a caller's function come back as they are, and leave
// nothing behind.
func testCallersErrors(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555"))
	_, err := s.Each(t.Context(), func(inventory.Number) error { return errFull })
	require.Equal(t, errFull, err)
	require.Equal(t, errFull, s.Watch(t.Context(), 0, func(Event) error { return errFull }))
	require.ErrorIs(t, s.Backup(t.Context(), brokenWriter{}), errFull)
	require.PanicsWithValue(t, "mine", func() {
		_, _ = s.Each(t.Context(), func(inventory.Number) error { panic("mine") })
	})
	commit(t, s, adding(t, 0, east, "+1556"))
	require.NoError(t, s.Close())
}

func testClosed(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+1555", "+1556"))
	watched := make(chan error)
	go func() { watched <- s.Watch(t.Context(), 1, func(Event) error { return nil }) }()
	reading, ended := make(chan struct{}), make(chan error)
	goOn := make(chan struct{})
	go func() {
		first := true
		_, err := s.Each(t.Context(), func(inventory.Number) error {
			if first {
				first = false
				close(reading)
				<-goOn
			}
			return nil
		})
		ended <- err
	}()
	<-reading
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	require.ErrorIs(t, <-watched, ErrClosed)
	close(goOn)
	require.ErrorIs(t, <-ended, ErrClosed)
	require.NoError(t, <-closed)
	require.NoError(t, s.Close())

	_, _, err := s.Snapshot(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Find(t.Context(), nil)
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Numbers(t.Context(), Query{Limit: 1})
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Each(t.Context(), func(inventory.Number) error { return nil })
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Commit(t.Context(), adding(t, 0, east, "+1557"))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Watch(t.Context(), 1, func(Event) error { return nil }), ErrClosed)
	require.ErrorIs(t, s.Backup(t.Context(), new(bytes.Buffer)), ErrClosed)
}

// slowWriter lets a commit be made before each write.
type slowWriter struct {
	bytes.Buffer
	before func()
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.before()
	return w.Buffer.Write(p)
}

func testBackupMeanwhile(t *testing.T, s Store) {
	var all []string
	for i := range 3000 {
		all = append(all, fmt.Sprintf("+1555%06d", i*1001))
	}
	commit(t, s, adding(t, 0, east, all...))
	n := 0
	w := slowWriter{before: func() {
		n++
		_, err := s.Commit(t.Context(), adding(t, 0, sales, fmt.Sprintf("+1666%06d", n)))
		require.NoError(t, err)
	}}
	require.NoError(t, s.Backup(t.Context(), &w))
	require.Positive(t, n)
	require.NotZero(t, w.Len())
	_, revision := snapshot(t, s)
	require.EqualValues(t, 1+n, revision)
}

// What was read may be changed by its reader.
func testOwn(t *testing.T, s Store) {
	commit(t, s, inventory.Change{Groups: []inventory.GroupChange{{After: &inventory.Group{
		Meta: inventory.Meta{ID: "g"}, GroupSpec: inventory.GroupSpec{Name: "g", Health: []byte(`{"a":1}`)}}}}})
	snap, _ := snapshot(t, s)
	snap.Groups[0].Health[1] = 'x'
	snap.Counts[east] = 7
	again, _ := snapshot(t, s)
	require.Equal(t, `{"a":1}`, string(again.Groups[0].Health))
	require.Empty(t, again.Counts)
}
