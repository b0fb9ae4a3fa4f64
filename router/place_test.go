package router

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// twoTransports is a connector with one address and port over UDP and, behind it,
// over TCP.
func twoTransports() Policy {
	p := hostOver(catalog.UDP)
	second := hostAt(east1)
	second.URI += ";transport=tcp"
	second.Transport, second.Priority = catalog.TCP, 2
	p.Catalog.Connectors[0].Hosts = append(p.Catalog.Connectors[0].Hosts, second)
	return p
}

// leaves is which listeners the INVITEs of a new call leave by, each after the
// failure of the one before.
func (g *rig) leaves(branch string) (by []int) {
	g.t.Helper()
	all := g.over(overUDP, caller, invite("Call-ID: "+branch, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK"+branch))
	for all[len(all)-1].to == east1 {
		inv := all[len(all)-1]
		by = append(by, inv.listener)
		all = g.over(inv.listener, east1, respond(sent{inv.to, inv.text}, 503))
		require.NotEmpty(g.t, all)
	}
	return by
}

// One address over two transports is two hosts: each is tried, and each has what
// is counted and ordered of it for itself.
func TestHostsOfOneAddressAndTwoTransports(t *testing.T) {
	t.Run("each is tried", func(t *testing.T) {
		require.Equal(t, []int{overUDP, overTCP}, newMixedRig(t, twoTransports()).leaves("a"))
	})
	t.Run("orders", func(t *testing.T) {
		g := newMixedRig(t, twoTransports())
		for name, want := range map[string][]int{
			east1.String():                    {overTCP},
			east1.String() + ";transport=tcp": {overUDP},
			east1.String() + ";transport=tls": {overUDP, overTCP},
		} {
			require.NoError(t, g.r.SetOrders(g.now, orders(ordered(catalog.HostKind, name, catalog.Draining))))
			require.Equal(t, want, g.leaves(name[len(name)-3:]), name)
			for _, h := range g.r.Hosts() {
				s := catalog.Subject{Kind: catalog.HostKind, Name: name}
				require.Equal(t, h.State == catalog.Draining, h.Is(s))
			}
		}
	})
	t.Run("limits", func(t *testing.T) {
		p := twoTransports()
		p.Catalog.Connectors[0].Hosts[0].Limits.MaxCalls = 1
		g := newMixedRig(t, p)
		g.over(overUDP, caller, invite("Call-ID: first", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKfirst"))
		require.Equal(t, []int{overTCP}, g.leaves("second"), "UDP has a call")
		p.Catalog.Connectors[0].Hosts[1].Limits.MaxCalls = 1
		require.NoError(t, g.r.SetPolicy(g.now, p))
		require.Equal(t, []int{overTCP}, g.leaves("third"), "TCP has none of its own")
		// What is counted of the one is forgotten without it, and of the other not.
		require.NoError(t, g.r.SetPolicy(g.now, hostOver(catalog.TCP)))
		g.now += 2 * ledgerKeep
		require.NoError(t, g.r.SetPolicy(g.now, hostOver(catalog.TCP)))
		g.r.ledger.mu.Lock()
		defer g.r.ledger.mu.Unlock()
		require.NotContains(t, g.r.ledger.hosts, east1.String())
		require.Contains(t, g.r.ledger.hosts, east1.String()+";transport=tcp")
	})
	t.Run("answers to probes", func(t *testing.T) {
		var probed []int
		g := newRig(t, hostOver(catalog.TCP), func(o *Options) {
			o.Listeners = []Listener{{Addr: ownAddr}, {Addr: ownAddr, Transport: catalog.TCP}}
			o.Probe = func(l int, _ []byte, _ netip.AddrPort) bool { probed = append(probed, l); return true }
		})
		answer := "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 198.51.100.1:5060;branch=z9hG4bK.probe\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: p\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
		g.over(overUDP, east1, answer)
		require.Empty(t, probed, "no host is there over UDP")
		g.over(overTCP, east1, answer)
		require.Equal(t, []int{overTCP}, probed)
	})
}
