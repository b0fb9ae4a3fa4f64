package inventory

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImport(t *testing.T) {
	e := account(t)
	before := e.Snapshot
	c, err := e.Import(
		[]ConnectorSpec{{Name: "south"}, before.Connectors[0].ConnectorSpec, {Name: "west", Region: "us-west-2", MaxCalls: 5}},
		[]GroupSpec{
			{Name: "sales", Connectors: []Member{{"east", 1}, {"south", 2}}}, // east has numbers and is in support yet
			{Name: "support", Connectors: []Member{{"west", 1}}},
			{Name: "billing", Connectors: []Member{{"south", 1}}},
		})
	require.NoError(t, err)
	require.Equal(t, before.Revision, c.Catalog)
	require.Len(t, c.Connectors, 2)
	require.Nil(t, c.Connectors[0].Before)
	require.Same(t, &before.Connectors[2], c.Connectors[1].Before)
	require.Len(t, c.Groups, 3)
	require.Same(t, &before.Groups[0], c.Groups[0].Before)
	require.Same(t, &before.Groups[1], c.Groups[1].Before)
	require.Nil(t, c.Groups[2].Before)
	require.Equal(t, Meta{ID: before.Groups[1].ID, Revision: before.Groups[1].Revision, Created: then, Updated: now}, c.Groups[1].After.Meta)
	e.Snapshot = before.With(c, 99)
	require.Equal(t, []Owner{connector(t, e, "south")}, c.Empty)
	require.Equal(t, []Member{{"west", 1}}, findGroup(t, e, "support").Connectors)
	require.Equal(t, []Member{{"east", 1}, {"south", 2}}, findGroup(t, e, "sales").Connectors)

	var connectors []ConnectorSpec
	var groups []GroupSpec
	for i := range e.Snapshot.Connectors {
		connectors = append(connectors, e.Snapshot.Connectors[i].ConnectorSpec)
	}
	for i := range e.Snapshot.Groups {
		groups = append(groups, e.Snapshot.Groups[i].GroupSpec)
	}
	c, err = e.Import(connectors, groups)
	require.NoError(t, err)
	require.Equal(t, Change{}, c)

	// Only to take a connector out is a change too.
	groups[2].Connectors = nil
	c, err = e.Import(nil, groups)
	require.NoError(t, err)
	require.Len(t, c.Groups, 1)
	require.Empty(t, c.Groups[0].After.Connectors)

	for _, test := range []struct {
		connectors []ConnectorSpec
		groups     []GroupSpec
		want       string
	}{
		{[]ConnectorSpec{{Name: "east", Region: "us-east-1"}, {Name: "west", Region: "r"}}, nil,
			`connectors[1].region: the region of connector "west" is "us-west-2" and fixed since it was created; leave it, or create another connector`},
		{[]ConnectorSpec{{Name: "id-1"}}, nil, `connectors[0].name: "id-1" is the ID of connector "east"; choose another name`},
		{nil, []GroupSpec{{Name: "sales"}, {Name: "a"}}, "groups[1]: there are 3 groups, and quotas.groups allows 3; delete one, or raise it (0 is no limit)"},
		{nil, []GroupSpec{{Name: "sales", Connectors: []Member{{"wests", 1}}}}, `groups[0].connectors[0].connector: there is no connector "wests"; did you mean "west"?`},
		{nil, []GroupSpec{{Name: "billing", Connectors: []Member{{"east", 1}}}},
			`groups[0].connectors: connector "east" has 1 number of its own and falls back on its group, so it can be in one only; unassign its numbers, or remove it from group "sales"`},
		{nil, []GroupSpec{{Name: "id-4"}}, `groups[0].name: "id-4" is the ID of group "support"; choose another name`},
	} {
		c, err := e.Import(test.connectors, test.groups)
		require.EqualError(t, err, test.want)
		require.Equal(t, Change{}, c)
	}
}

// What there was before the quota was lowered may stay, as in an update.
func TestImportUnderALoweredQuota(t *testing.T) {
	e := account(t)
	c, err := e.Import([]ConnectorSpec{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}},
		[]GroupSpec{{Name: "sales", Connectors: []Member{{"a", 1}, {"b", 2}, {"c", 3}}}})
	require.NoError(t, err)
	e.Snapshot = e.Snapshot.With(c, 99)
	e.Quotas.ConnectorsPerGroup = 2
	_, err = e.Import(nil, []GroupSpec{{Name: "sales", Connectors: []Member{{"a", 1}, {"b", 2}, {"d", 3}}}})
	require.NoError(t, err)
	_, err = e.Import(nil, []GroupSpec{{Name: "sales", Connectors: []Member{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}}}})
	require.EqualError(t, err, "groups[0].connectors: 4 connectors, and quotas.connectors_per_group allows 2; remove some, or raise it (0 is no limit)")
}
