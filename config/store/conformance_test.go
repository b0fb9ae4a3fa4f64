package store

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
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
