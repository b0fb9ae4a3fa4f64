package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// orders are what was ordered at ten o'clock.
func orders(of ...catalog.Order) (o catalog.Orders) {
	for _, order := range of {
		order.At = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
		o = o.With(order)
	}
	return o
}

func ordered(kind catalog.SubjectKind, name string, state catalog.State) catalog.Order {
	return catalog.Order{Subject: catalog.Subject{Kind: kind, Name: name}, State: state, Note: "maintenance 4711"}
}

// Whatever takes east out, new calls skip it, calls in set-up and those that are
// up go on, and taken back it has its place again.
func TestOrdersTakeOutAndBringBack(t *testing.T) {
	const because = " (ordered 2026-11-23T10:00:00Z: maintenance 4711)"
	for want, order := range map[string]catalog.Order{
		"connector is draining" + because:         ordered(catalog.ConnectorKind, "east", catalog.Draining),
		"connector is disabled" + because:         ordered(catalog.ConnectorKind, "east", catalog.Disabled),
		"host is draining" + because:              ordered(catalog.HostKind, east1.String(), catalog.Draining),
		"host is disabled" + because:              ordered(catalog.HostKind, east1.String(), catalog.Disabled),
		"region us-east-1 is evacuated" + because: ordered(catalog.RegionKind, "us-east-1", catalog.Draining),
	} {
		t.Run(want, func(t *testing.T) {
			g := newRig(t, twoRegions())
			up := newDialog(t, g)
			ringing := g.from(caller, invite("Call-ID: ringing"))[1]
			given := orders(order)
			require.NoError(t, g.r.SetOrders(g.now, given))
			require.Equal(t, given, g.r.Orders())

			require.Equal(t, "west1", g.leads("+15550000001"))
			sends(t, g.from(east1, respond(ringing, 180)), "caller 180 INVITE")
			sends(t, g.from(east1, respond(ringing, 200)), "caller 200 INVITE")
			sends(t, g.from(caller, up.byCaller("BYE")), "callee BYE")

			steps := explanation(t, g, "+15550000001").Steps
			require.Equal(t, []string{"west", "east"}, []string{steps[0].Connector, steps[1].Connector})
			require.Equal(t, Step{
				Connector: "east", Region: "us-east-1", Host: "sip:" + east1.String(), Health: steps[1].Health, Reason: want, Settings: steps[1].Settings,
			}, steps[1])
			host := g.r.Hosts()[0]
			require.Equal(t, want, host.Why)
			require.Equal(t, order.State, host.State)
			require.Equal(t, order.State == catalog.Disabled, steps[1].Health == "not probed")
			require.Empty(t, g.r.Hosts()[1].Why)

			require.NoError(t, g.r.SetOrders(g.now, given.Without(order.Subject)))
			require.Equal(t, "east1", g.leads("+15550000001"))
			require.Empty(t, g.r.Hosts()[0].Why)
		})
	}
}

// What the catalog says is not given back by taking an order back.
func TestOrdersBesideTheCatalog(t *testing.T) {
	p := twoRegions()
	p.Catalog.Connectors[0].State = catalog.Draining
	p.Catalog.Connectors[0].Hosts[0].State = catalog.Draining
	p.Orders = orders(ordered(catalog.HostKind, east1.String(), catalog.Disabled), ordered(catalog.RegionKind, "us-east-1", catalog.Draining))
	g := newRig(t, p)
	require.Equal(t, "connector is draining; region us-east-1 is evacuated (ordered 2026-11-23T10:00:00Z: maintenance 4711); "+
		"host is disabled (ordered 2026-11-23T10:00:00Z: maintenance 4711)", g.r.Hosts()[0].Why)
	require.Equal(t, catalog.Disabled, g.r.Hosts()[0].State)
	require.NoError(t, g.r.SetOrders(g.now, catalog.Orders{}))
	require.Equal(t, "connector is draining; host is draining", g.r.Hosts()[0].Why)
	require.Equal(t, "west1", g.leads("+15550000001"))
	require.Same(t, p.Catalog, g.r.Catalog())
}

// An order builds no table and leaves numbers that were changed as they are; a
// reload of the same catalog after it builds none either.
func TestOrdersLeaveNumbersAlone(t *testing.T) {
	g := newRig(t, twoGroups())
	table := g.r.plan.Load().numbers
	drained := orders(ordered(catalog.ConnectorKind, "east", catalog.Draining))
	require.NoError(t, g.r.SetOrders(g.now, drained))
	reloaded := twoGroups()
	reloaded.Orders = drained
	require.NoError(t, g.r.SetPolicy(g.now, reloaded))
	require.Same(t, table, g.r.plan.Load().numbers)
	require.Equal(t, "caller 503", g.leads("+15550000001"), "a reload keeps orders")

	require.NoError(t, g.r.Assign(g.now, sales, key("+15550000001")))
	require.NoError(t, g.r.SetOrders(g.now, catalog.Orders{}))
	require.Same(t, table, g.r.plan.Load().numbers)
	require.Equal(t, "west1", g.leads("+15550000001"))
	require.Equal(t, "east1", g.leads("+15550000002"))
	require.NoError(t, g.r.SetPolicy(g.now, twoGroups()))
	require.Equal(t, "east1", g.leads("+15550000001"), "a policy that is to bring its numbers brings them")
}
