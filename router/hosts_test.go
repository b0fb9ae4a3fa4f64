package router

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// Probes may leave from a listener of their own: the host, and what is known of
// it, is the same one, that of the way which calls take.
func TestHostsProbedFromAListenerOfTheirOwn(t *testing.T) {
	addr := netip.MustParseAddrPort("10.0.0.1:5060")
	policy := func(calls string, probe catalog.Probe) Policy {
		return Policy{Catalog: &catalog.Catalog{Connectors: []catalog.Connector{{
			Name: "east", Listener: calls, Probe: probe,
			Hosts: []catalog.Host{{URI: "sip:10.0.0.1", Addr: addr, HostPort: "10.0.0.1", Priority: 1, Weight: 1}},
		}}}, Failover: catalog.DefaultFailover()}
	}
	made := func(p Policy) (*Router, error) {
		return New(Options{
			Listeners: []Listener{
				{Name: "a", Addr: netip.MustParseAddrPort("10.0.0.8:5060"), Advertise: "10.0.0.8:5060"},
				{Name: "b", Addr: netip.MustParseAddrPort("10.0.0.9:5060"), Advertise: "10.0.0.9:5060"},
				{Name: "loop", Addr: netip.MustParseAddrPort("127.0.0.1:5060"), Advertise: "127.0.0.1:5060"},
			},
			Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)},
			Health:  health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()}),
			Now:     1,
		}, p)
	}
	for _, c := range []struct {
		calls, probes, key string
		from               int
	}{
		{"", "", "10.0.0.8:5060", 0}, {"b", "", "10.0.0.9:5060", 1}, {"", "b", "10.0.0.8:5060", 1}, {"b", "a", "10.0.0.9:5060", 0},
	} {
		r, err := made(policy(c.calls, catalog.Probe{Listener: c.probes, From: "sip:a@b"}))
		require.NoError(t, err)
		h := r.Hosts()[0]
		require.Equal(t, c.key, h.Key.Listener)
		require.Equal(t, c.from, h.Listener)
		require.Equal(t, "sip:a@b", h.Probe.From)
	}
	_, err := made(policy("", catalog.Probe{Listener: "c"}))
	require.EqualError(t, err, `connector "east": probes of host sip:10.0.0.1: there is no listener "c"`)
	_, err = made(policy("", catalog.Probe{Listener: "loop"}))
	require.EqualError(t, err, `connector "east": probes of host sip:10.0.0.1: listener "loop" cannot reach it; choose another`)
}

// Who is told of a change of health asks for the hosts that it concerns, and no more.
func TestHostsOf(t *testing.T) {
	p := twoRegions()
	p.Catalog.Connectors = append(p.Catalog.Connectors, catalog.Connector{Name: "shares", Hosts: []catalog.Host{hostAt(west1), hostAt(east1)}})
	g := newRig(t, p)
	all := g.r.Hosts()
	require.Equal(t, []HostInfo{all[0], all[3]}, g.r.HostsOf(all[0].Key))
	other := all[0].Key
	other.Listener = "another"
	require.Empty(t, g.r.HostsOf(other))
}
