package router

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// located is address n of a host whose URI is a name.
func located(n, priority, weight, order int, share float64) catalog.Host {
	h := hostN(1, n, priority, weight)
	h.URI, h.Name, h.HostPort = "sip:sbc.example.com;lr", "sbc.example.com", "sbc.example.com"
	h.Params, h.Order, h.Share = ";lr", order, share
	return h
}

// unlocated is a host of which no address is known.
func unlocated() catalog.Host {
	h := located(0, 1, 1, 0, 0)
	h.Addr = netip.AddrPort{}
	return h
}

// The priority of hosts, then the order of addresses, then weight by share.
func TestOrderOfLocatedHosts(t *testing.T) {
	g := groupRig(t, []catalog.Connector{connectorOf("east", "us-east-1",
		hostN(1, 9, 2, 1), located(1, 1, 10, 63, 1), located(2, 1, 10, 0, 0.6), located(3, 1, 10, 0, 0.3), hostN(1, 4, 1, 3), unlocated())})
	first := make(map[string]int)
	const seeds = 20_000
	for seed := range uint64(seeds) {
		order := g.order(mixed(seed))
		require.Equal(t, []string{"203.0.1.1", "203.0.1.9"}, order[3:])
		first[order[0]]++
	}
	require.InDelta(t, 0.50, float64(first["203.0.1.2"])/seeds, 0.02)
	require.InDelta(t, 0.25, float64(first["203.0.1.3"])/seeds, 0.02)
	require.InDelta(t, 0.25, float64(first["203.0.1.4"])/seeds, 0.02, "an address of the same priority")
}

// mixed spreads consecutive seeds.
func mixed(x uint64) uint64 { return (x + 1) * 0x9e3779b97f4a7c15 }

func TestLocatedHostIsCalledByItsName(t *testing.T) {
	g := groupRig(t, []catalog.Connector{connectorOf("east", "us-east-1", located(1, 1, 1, 0, 1))})
	out := g.from(caller, invite())
	at := slices.IndexFunc(out, func(s sent) bool { return s.to == netip.MustParseAddrPort("203.0.1.1:5060") })
	require.GreaterOrEqual(t, at, 0)
	require.Contains(t, out[at].text, "INVITE sip:+15550000001@sbc.example.com;lr SIP/2.0")
}

func TestExplainLocatedHosts(t *testing.T) {
	g := groupRig(t, []catalog.Connector{connectorOf("east", "us-east-1", located(1, 1, 10, 0, 0.25), located(2, 1, 10, 1, 1)), connectorOf("west", "us-west-2", unlocated())})
	require.Equal(t, `number +15550000001 entry +15550000001 kind exact group support connector 
1 east us-east-1 sip:sbc.example.com;lr (203.0.1.1:5060) up: connector priority 1, host priority 1, weight 2.5
2 east us-east-1 sip:sbc.example.com;lr (203.0.1.2:5060) up: connector priority 1, host priority 1, place 2 in DNS, weight 10
0 west us-west-2 sip:sbc.example.com;lr unknown: no address of the name is known
`, golden(explanation(t, g, "+15550000001")))
}

// A change of addresses is a change of the policy: numbers stay, an address that
// stays keeps its health, one order is for all of a name.
func TestAddressesChange(t *testing.T) {
	g := groupRig(t, []catalog.Connector{connectorOf("east", "us-east-1", located(1, 1, 1, 0, 0.5), located(2, 1, 1, 0, 0.5))})
	g.observe(1, 2, silentCall)
	p := g.r.plan.Load().policy
	cat := *p.Catalog
	cat.Connectors = []catalog.Connector{connectorOf("east", "us-east-1", located(2, 1, 1, 0, 0.5), located(3, 1, 1, 0, 0.5))}
	cat.Groups = slices.Clone(cat.Groups)
	cat.Groups[0].Numbers = nil // nobody looks at them
	p.Catalog, p.KeepNumbers = &cat, true
	p.Orders = p.Orders.With(catalog.Order{Subject: catalog.Subject{Kind: catalog.HostKind, Name: "sbc.example.com"}, State: catalog.Draining, At: time.Now()})
	require.NoError(t, g.r.SetPolicy(g.now, p))
	hosts := g.r.Hosts()
	require.Len(t, hosts, 2)
	require.Equal(t, health.Doubtful, hosts[0].Health.Status().State)
	require.Equal(t, health.Up, hosts[1].Health.Status().State)
	for _, h := range hosts {
		require.Equal(t, catalog.Draining, h.State)
		require.True(t, h.Is(catalog.Subject{Kind: catalog.HostKind, Name: "sbc.example.com"}))
		require.Equal(t, "sip:sbc.example.com;lr", h.Configured)
	}
	ex := explanation(t, g, "+15550000001")
	require.Equal(t, "+15550000001", ex.Entry)
	require.Equal(t, "there is no host to try: calls are answered 503", ex.Verdict)
}
