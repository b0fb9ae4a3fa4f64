package inventory

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

var (
	then = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	now  = time.Date(2026, 4, 1, 12, 0, 0, 987654321, time.UTC)
)

// account is a small inventory: support (east 1, west 2) and sales (west 1),
// with numbers; north is in no group.
func account(t *testing.T) *Editor {
	t.Helper()
	ids := 0
	e := &Editor{
		Snapshot: &Snapshot{Revision: 1}, Now: then, Quotas: Quotas{Groups: 3, ConnectorsPerGroup: 3},
		NewID: func() string { ids++; return fmt.Sprintf("id-%d", ids) },
	}
	for _, c := range []ConnectorSpec{
		{Name: "east", Region: "us-east-1", Hosts: []HostSpec{{URI: "sip:10.0.0.1"}}},
		{Name: "west", Region: "us-west-2", Health: json.RawMessage(`{"timeout":"1s","interval":"5s"}`)},
		{Name: "north"},
	} {
		must(t, e)(e.CreateConnector(c))
	}
	must(t, e)(e.CreateGroup(GroupSpec{Name: "support", Connectors: []Member{{"west", 2}, {"east", 1}}}))
	must(t, e)(e.CreateGroup(GroupSpec{Name: "sales", Connectors: []Member{{"west", 1}}}))
	must(t, e)(add(e, group(t, e, "support"), "+15550000001", "+15550001000-+15550001999"))
	must(t, e)(add(e, connector(t, e, "east"), "+15550000002"))
	must(t, e)(add(e, Owner{}, "+15550000003", "+1777*"))
	e.Now = now
	return e
}

// must commits a change to the editor's snapshot.
func must(t *testing.T, e *Editor) func(Change, error) Change {
	return func(c Change, err error) Change {
		t.Helper()
		require.NoError(t, err)
		if !c.None() {
			require.Equal(t, e.Snapshot.Revision, c.Catalog)
		}
		e.Snapshot = e.Snapshot.With(c, e.Snapshot.Revision+1)
		return c
	}
}

// refused requires a refusal and returns it.
func refused(t *testing.T) func(Change, error) *Refusal {
	return func(c Change, err error) *Refusal {
		t.Helper()
		require.Equal(t, Change{}, c)
		require.IsType(t, (*Refusal)(nil), err)
		return err.(*Refusal)
	}
}

func group(t *testing.T, e *Editor, name string) Owner {
	t.Helper()
	o, err := e.Snapshot.OwnerOf("", name)
	require.NoError(t, err)
	return o
}

func connector(t *testing.T, e *Editor, name string) Owner {
	t.Helper()
	o, err := e.Snapshot.OwnerOf(name, "")
	require.NoError(t, err)
	return o
}

func entry(text string) catalog.Entry {
	e, err := catalog.ParseEntry([]byte(text))
	if err != nil {
		panic(err)
	}
	return e
}

// add adds numbers that are not in the inventory and must not be refused.
func add(e *Editor, to Owner, numbers ...string) (Change, error) {
	var found []Found
	for _, n := range numbers {
		found = append(found, Found{Entry: entry(n)})
	}
	c, refused, err := e.AddNumbers(found, to)
	if len(refused) > 0 {
		return c, refused[0].Refusal
	}
	return c, err
}

func TestCreateConnector(t *testing.T) {
	e := account(t)
	hosts := []HostSpec{{URI: "sip:10.0.0.3"}}
	c := must(t, e)(e.CreateConnector(ConnectorSpec{Name: "south", Hosts: hosts, Failover: json.RawMessage("{\"progress\": \"3s\",\n \"codes\": [503]}"), Probe: json.RawMessage(`{}`), Health: json.RawMessage(`null`)}))
	hosts[0].URI = "changed later"
	require.Equal(t, []ConnectorChange{{After: &Connector{
		Meta: Meta{ID: "id-6", Created: now, Updated: now},
		ConnectorSpec: ConnectorSpec{
			Name: "south", Hosts: []HostSpec{{URI: "sip:10.0.0.3"}}, Failover: json.RawMessage(`{"codes":[503],"progress":"3s"}`),
		},
	}}}, c.Connectors)
	got, err := e.Snapshot.Connector("id-6")
	require.NoError(t, err)
	require.Equal(t, e.Snapshot.Revision, got.Revision)
	require.Equal(t, got, find(t, e, "south"))

	for _, test := range []struct {
		spec ConnectorSpec
		want Refusal
	}{
		{ConnectorSpec{}, Refusal{Field: "name", Text: "is missing; write a name"}},
		{ConnectorSpec{Name: "a/b"}, Refusal{Field: "name", Text: `"a/b" is not a name; use letters, digits, space and _ . -`}},
		{ConnectorSpec{Name: strings.Repeat("a", 257)}, Refusal{Field: "name", Text: `"` + strings.Repeat("a", 60) + `"... has 257 characters; a name has at most 256`}},
		{ConnectorSpec{Name: "east"}, Refusal{Reason: Taken, Field: "name", Text: `"east" is the name of another connector; give each its own`}},
		{ConnectorSpec{Name: "id-1"}, Refusal{Reason: Taken, Field: "name", Text: `"id-1" is the ID of connector "east"; choose another name`}},
		{ConnectorSpec{Name: ".."}, Refusal{Field: "name", Text: `".." is not a name, because it means something else in a URL; choose another`}},
		{ConnectorSpec{Name: "a", Region: "."}, Refusal{Field: "region", Text: `"." is not a name, because it means something else in a URL; choose another`}},
		{ConnectorSpec{Name: "  "}, Refusal{Field: "name", Text: `"  " is not a name, because nobody can see it; choose another`}},
		{ConnectorSpec{Name: "a", Region: "ü"}, Refusal{Field: "region", Text: `"ü" is not a name; use letters, digits, space and _ . -`}},
		{ConnectorSpec{Name: "a", Probe: json.RawMessage(`[]`)}, Refusal{Field: "probe", Text: `is not an object; write its settings as in a file, by their names`}},
		{ConnectorSpec{Name: "a", Health: json.RawMessage(`{} {}`)}, Refusal{Field: "health", Text: `is not an object; write its settings as in a file, by their names`}},
		{ConnectorSpec{Name: "a", Failover: json.RawMessage(`{`)}, Refusal{Field: "failover", Text: `is not an object; write its settings as in a file, by their names`}},
	} {
		require.Equal(t, test.want, *refused(t)(e.CreateConnector(test.spec)))
	}
}

func find(t *testing.T, e *Editor, name string) *Connector {
	t.Helper()
	c, err := e.Snapshot.Connector(name)
	require.NoError(t, err)
	return c
}

func findGroup(t *testing.T, e *Editor, name string) *Group {
	t.Helper()
	g, err := e.Snapshot.Group(name)
	require.NoError(t, err)
	return g
}

func TestUpdateConnector(t *testing.T) {
	e := account(t)
	spec := find(t, e, "west").ConnectorSpec
	spec.Health = json.RawMessage(`{ "interval": "5s", "timeout": "1s" }`)
	require.Equal(t, Change{}, must(t, e)(e.UpdateConnector("west", spec)), "the same, written otherwise")
	spec.MaxCalls = 10
	c := must(t, e)(e.UpdateConnector("west", spec))
	require.Len(t, c.Connectors, 1)
	require.Empty(t, c.Groups)
	require.Equal(t, 10, find(t, e, "west").MaxCalls)

	before := *e.Snapshot
	spec.Name = "aardvark"
	c = must(t, e)(e.UpdateConnector("west", spec))
	require.Len(t, c.Groups, 2)
	require.Equal(t, []Member{{"east", 1}, {"aardvark", 2}}, findGroup(t, e, "support").Connectors)
	require.Equal(t, now, findGroup(t, e, "sales").Updated)
	require.Equal(t, then, findGroup(t, e, "sales").Created)
	require.Equal(t, e.Snapshot.Revision, findGroup(t, e, "sales").Revision)
	require.Len(t, e.Snapshot.GroupsOf("aardvark"), 2)
	require.Empty(t, e.Snapshot.GroupsOf("west"))
	require.Equal(t, "aardvark", e.Snapshot.Connectors[0].Name)
	require.Equal(t, "east", before.Connectors[0].Name)
	require.Equal(t, []Member{{"east", 1}, {"west", 2}}, before.Groups[1].Connectors)

	require.Equal(t, Refusal{Reason: NotFound, Text: `there is no connector "aardvarks"; did you mean "aardvark"?`}, *refused(t)(e.UpdateConnector("aardvarks", spec)))
	spec.Region = "eu-west-1"
	require.Equal(t, Refusal{Field: "region", Text: `the region of connector "aardvark" is "us-west-2" and fixed since it was created; leave it, or create another connector`},
		*refused(t)(e.UpdateConnector("aardvark", spec)))
	spec.Region = ""
	require.Equal(t, "region", refused(t)(e.UpdateConnector("aardvark", spec)).Field)
	spec.Name = "north"
	require.Equal(t, Taken, refused(t)(e.UpdateConnector("aardvark", spec)).Reason)
}

func TestDeleteConnector(t *testing.T) {
	e := account(t)
	require.Equal(t, Refusal{
		Reason: InUse, Text: `connector "west" is in 2 groups; first remove it there`, Blocking: []string{`group "sales"`, `group "support"`},
	}, *refused(t)(e.DeleteConnector("west")))
	require.Equal(t, Refusal{
		Reason: InUse, Text: `connector "east" is in group "support" and has 1 number; first remove it there and unassign its numbers`,
		Blocking: []string{`group "support"`, "1 number"},
	}, *refused(t)(e.DeleteConnector("east")))
	north := connector(t, e, "north")
	c := must(t, e)(e.DeleteConnector("north"))
	require.Equal(t, []Owner{north}, c.Empty)
	require.Nil(t, c.Connectors[0].After)
	require.Equal(t, NotFound, refused(t)(e.DeleteConnector("north")).Reason)
}

func TestCreateGroup(t *testing.T) {
	e := account(t)
	c := must(t, e)(e.CreateGroup(GroupSpec{Name: "billing", Connectors: []Member{{"id-3", 2}, {"west", 1}}, Health: json.RawMessage(`{ }`)}))
	require.Equal(t, GroupSpec{Name: "billing", Connectors: []Member{{"west", 1}, {"north", 2}}}, c.Groups[0].After.GroupSpec)
	require.Equal(t, []Owner{connector(t, e, "west")}, c.Empty, "it is in several groups now")
	require.Equal(t, Refusal{Reason: Quota, Text: "there are 3 groups, and quotas.groups allows 3; delete one, or raise it (0 is no limit)"},
		*refused(t)(e.CreateGroup(GroupSpec{Name: "more"})))
	e.Quotas = Quotas{}
	for _, test := range []struct {
		spec GroupSpec
		want Refusal
	}{
		{GroupSpec{}, Refusal{Field: "name", Text: "is missing; write a name"}},
		{GroupSpec{Name: "sales"}, Refusal{Reason: Taken, Field: "name", Text: `"sales" is the name of another group; give each its own`}},
		{GroupSpec{Name: "a", Failover: json.RawMessage(`1`)}, Refusal{Field: "failover", Text: `is not an object; write its settings as in a file, by their names`}},
		{members("west", 1, "wets", 2), Refusal{Reason: NotFound, Field: "connectors[1].connector", Text: `there is no connector "wets"; did you mean "west"?`}},
		{members("", 1), Refusal{Reason: NotFound, Field: "connectors[0].connector", Text: `the name of a connector is missing; write it`}},
		{members("west", 1, "id-2", 2), Refusal{Field: "connectors[1].connector", Text: `"west" is connectors[0] already; list each connector once`}},
		{members("west", 0), Refusal{Field: "connectors[0].priority", Text: `0 is not a priority; write 1 (tried first) to 99`}},
		{members("west", 1, "north", 100), Refusal{Field: "connectors[1].priority", Text: `100 is not a priority; write 1 (tried first) to 99`}},
		{members("west", 1, "north", 1), Refusal{Field: "connectors[1].priority", Text: `connectors "west" and "north" have the same priority 1; give each its own`}},
		{members("east", 1), Refusal{
			Reason: InUse, Field: "connectors",
			Text:     `connector "east" has 1 number of its own and falls back on its group, so it can be in one only; unassign its numbers, or remove it from group "support"`,
			Blocking: []string{`group "support"`, "1 number"},
		}},
	} {
		require.Equal(t, test.want, *refused(t)(e.CreateGroup(test.spec)))
	}
}

// members is a group of connectors and their priorities.
func members(list ...any) GroupSpec {
	g := GroupSpec{Name: "a"}
	for i := 0; i < len(list); i += 2 {
		g.Connectors = append(g.Connectors, Member{list[i].(string), list[i+1].(int)})
	}
	return g
}

func TestUpdateGroup(t *testing.T) {
	e := account(t)
	require.Equal(t, Change{}, must(t, e)(e.UpdateGroup("support", GroupSpec{Name: "support", Connectors: []Member{{"west", 2}, {"east", 1}}})))
	owner := group(t, e, "support")
	must(t, e)(e.UpdateGroup("support", GroupSpec{Name: "help desk", Connectors: []Member{{"east", 1}}}))
	require.Equal(t, owner, group(t, e, "help desk"), "numbers stay with it")
	require.Equal(t, `group "help desk"`, e.Snapshot.OwnerName(owner))
	require.Equal(t, Taken, refused(t)(e.UpdateGroup("sales", GroupSpec{Name: "help desk"})).Reason)
	require.Equal(t, NotFound, refused(t)(e.UpdateGroup("support", GroupSpec{Name: "a"})).Reason)

	four := GroupSpec{Name: "sales"}
	for i, name := range []string{"north", "west", "c1", "c2"} {
		if i > 1 {
			must(t, e)(e.CreateConnector(ConnectorSpec{Name: name}))
		}
		four.Connectors = append(four.Connectors, Member{name, i + 1})
	}
	require.Equal(t, Refusal{Reason: Quota, Field: "connectors", Text: "4 connectors, and quotas.connectors_per_group allows 3; remove some, or raise it (0 is no limit)"},
		*refused(t)(e.UpdateGroup("sales", four)))
	e.Quotas.ConnectorsPerGroup = 4
	must(t, e)(e.UpdateGroup("sales", four))
	e.Quotas.ConnectorsPerGroup = 2
	must(t, e)(e.SetPriorities("sales", map[string]int{"north": 2, "west": 1}))
	must(t, e)(e.RemoveMember("sales", "c2"))
	require.Equal(t, Quota, refused(t)(e.AddMember("sales", "c2", 4)).Reason)
}

func TestDeleteGroup(t *testing.T) {
	e := account(t)
	require.Equal(t, Refusal{
		Reason: InUse, Text: `group "support" has 2 connectors and 2 numbers; first remove its connectors and unassign its numbers`,
		Blocking: []string{`connector "east"`, `connector "west"`, "2 numbers"},
	}, *refused(t)(e.DeleteGroup("support")))
	must(t, e)(e.RemoveMember("sales", "west"))
	owner := group(t, e, "sales")
	c := must(t, e)(e.DeleteGroup("sales"))
	require.Equal(t, []Owner{owner}, c.Empty)
	require.Equal(t, NotFound, refused(t)(e.DeleteGroup("sales")).Reason)
}

func TestAddMember(t *testing.T) {
	e := account(t)
	require.Equal(t, Refusal{
		Reason: Taken, Field: "priority", Blocking: []string{`connector "west"`},
		Text: `connector "west" has priority 1 in group "sales"; choose another, or set the priorities of both in one change`,
	}, *refused(t)(e.AddMember("sales", "north", 1)))
	require.Equal(t, "priority", refused(t)(e.AddMember("sales", "north", 100)).Field)
	require.Equal(t, InUse, refused(t)(e.AddMember("sales", "east", 2)).Reason)
	require.Equal(t, NotFound, refused(t)(e.AddMember("sale", "east", 2)).Reason)
	require.Equal(t, NotFound, refused(t)(e.AddMember("sales", "eats", 2)).Reason)
	must(t, e)(e.AddMember("sales", "north", 2))
	must(t, e)(e.AddMember("sales", "id-3", 9))
	require.Equal(t, []Member{{"west", 1}, {"north", 9}}, findGroup(t, e, "sales").Connectors)
	require.Equal(t, Change{}, must(t, e)(e.AddMember("sales", "north", 9)))
}

func TestRemoveMember(t *testing.T) {
	e := account(t)
	must(t, e)(e.RemoveMember("support", "east"))
	require.Equal(t, []Member{{"west", 2}}, findGroup(t, e, "support").Connectors)
	require.Equal(t, Refusal{Reason: NotFound, Text: `connector "east" is not in group "support"; add it, or correct the name`},
		*refused(t)(e.RemoveMember("support", "east")))
}

func TestSetPriorities(t *testing.T) {
	e := account(t)
	c := must(t, e)(e.SetPriorities("support", map[string]int{"east": 2, "id-2": 1}))
	require.Len(t, c.Groups, 1)
	require.Equal(t, []Member{{"west", 1}, {"east", 2}}, findGroup(t, e, "support").Connectors)
	require.Equal(t, Change{}, must(t, e)(e.SetPriorities("support", map[string]int{"east": 2})))
	for _, test := range []struct {
		set  map[string]int
		want Refusal
	}{
		{map[string]int{"north": 2}, Refusal{Reason: NotFound, Field: "north", Text: `connector "north" is not in group "support"; add it, or correct the name`}},
		{map[string]int{"eats": 2}, Refusal{Reason: NotFound, Field: "eats", Text: `there is no connector "eats"; did you mean "east"?`}},
		{map[string]int{"east": 0}, Refusal{Field: "east", Text: `0 is not a priority; write 1 (tried first) to 99`}},
		{map[string]int{"east": 3, "id-1": 4}, Refusal{Field: "id-1", Text: `is connector "east", as is "east"; give it one priority`}},
		{map[string]int{"east": 1}, Refusal{Reason: Taken, Field: "east", Text: `connectors "west" and "east" would both have priority 1 in group "support"; give each its own`}},
		{map[string]int{"east": 3, "west": 3}, Refusal{Field: "east", Text: `connectors "west" and "east" would both have priority 3 in group "support"; give each its own`}},
	} {
		require.Equal(t, test.want, *refused(t)(e.SetPriorities("support", test.set)))
	}
	require.Equal(t, NotFound, refused(t)(e.SetPriorities("supports", nil)).Reason)
}

func TestOwners(t *testing.T) {
	e := account(t)
	s := e.Snapshot
	_, err := s.OwnerOf("east", "support")
	require.EqualError(t, err, "numbers have one owner; name a group or a connector, not both")
	_, err = s.OwnerOf("", "")
	require.EqualError(t, err, "the owner is missing; name a group or a connector")
	_, err = s.OwnerOf("eats", "")
	require.EqualError(t, err, `there is no connector "eats"; did you mean "east"?`)
	_, err = s.OwnerOf("", "accounting")
	require.EqualError(t, err, `there is no group "accounting"; create it, or correct the name`)
	require.Equal(t, "nobody", s.OwnerName(Owner{}))
	require.Equal(t, `connector "east"`, s.OwnerName(connector(t, e, "id-1")))
	require.Equal(t, `connector "gone"`, s.OwnerName(Owner{ConnectorOwner, "gone"}))
	require.Equal(t, `group "gone"`, s.OwnerName(Owner{GroupOwner, "gone"}))
}

func TestNewID(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		id := NewID()
		require.Regexp(t, "^[a-z0-9]{22}$", id)
		require.False(t, seen[id])
		seen[id] = true
	}
	e := &Editor{Snapshot: &Snapshot{}}
	c, err := e.CreateConnector(ConnectorSpec{Name: "east"})
	require.NoError(t, err)
	require.Len(t, c.Connectors[0].After.ID, 22)
}

// What a store writes as JSON is what it reads.
func TestSpecsSurviveJSON(t *testing.T) {
	e := account(t)
	c := must(t, e)(e.CreateConnector(ConnectorSpec{Name: "south", Hosts: []HostSpec{}, Probe: json.RawMessage(`{"from":"sip:<a>&b","max_forwards":0}`)})).Connectors[0].After
	text, err := json.Marshal(c)
	require.NoError(t, err)
	var back Connector
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, *c, back)
}
