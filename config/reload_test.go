package config

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

const reloadable = `
trunks: [{name: a, sources: [10.9.0.0/24]}]
connectors: [{name: east, hosts: ["sip:10.0.0.1"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`

// What a reload takes is what Diff does not name as waiting for a restart.
func TestUntilRestart(t *testing.T) {
	old := load(t, "listen: [udp://192.0.2.10:5060]\n"+reloadable)
	new := load(t, `
listen: [udp://192.0.2.10:5070]
aliases: [a.example.com]
admin: {listen: 127.0.0.1:9000}
metrics: {listen: 127.0.0.1:9001}
state_dir: /tmp/x
secrets: [0123456789abcdef]
record_route: false
workers: 3
recent_calls: 5
reload: {watch: true}
untrusted: drop
drain_timeout: 5s
`+reloadable)
	next, err := UntilRestart(old, new)
	require.NoError(t, err)
	for _, c := range Diff(old, next) {
		require.False(t, c.Restart, c.Text)
	}
	require.Len(t, Diff(old, next), 2)
	waiting := Diff(next, new)
	for _, c := range waiting {
		require.True(t, c.Restart, c.Text)
	}
	require.Len(t, waiting, 10)
}

// A node that runs by its file keeps what stands there until it has the store, and
// one with a store does not take a file's instead.
func TestUntilRestartKeepsTheInventoryWhereItIs(t *testing.T) {
	file, stored := load(t, reloadable), load(t, "store: {path: tandem.db}\nuntrusted: drop\n")
	for _, c := range []struct{ old, new *Config }{{file, stored}, {stored, file}} {
		next, err := UntilRestart(c.old, c.new)
		require.NoError(t, err)
		require.Equal(t, c.old.Catalog, next.Catalog)
		require.Equal(t, c.old.Store, next.Store)
		require.Equal(t, c.old.Quotas, next.Quotas)
		require.Equal(t, c.new.Untrusted, next.Untrusted)
		for _, change := range Diff(next, c.new) {
			require.True(t, change.Restart, change.Text)
			require.Contains(t, change.Text, "restart_needed: ")
		}
	}
}

// What cannot run with the listeners that there are is told, and nothing taken.
func TestUntilRestartRefuses(t *testing.T) {
	old := load(t, "listen: [udp://192.0.2.10:5060]\n"+reloadable)
	for _, c := range []struct{ new, want string }{
		{`
listen: [udp://192.0.2.10:5070]
connectors: [{name: east, hosts: ["sip:192.0.2.10:5060"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`, "test.yaml: connectors[0].hosts[0].uri: 192.0.2.10:5060 is this node itself until it listens elsewhere, which needs a restart: restart it to take this file"},
		{`
listen: [{address: "udp://192.0.2.10:5060", name: inside}]
connectors: [{name: east, listener: inside, hosts: ["sip:10.0.0.1"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`, "test.yaml: connectors[0].hosts[0].uri: the listener that reaches 10.0.0.1:5060 comes with a restart only: restart the node to take this file"},
		{`
listen: [{address: "udp://192.0.2.10:5060", name: inside}]
connectors: [{name: east, probe: {listener: inside}, hosts: ["sip:10.0.0.1"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`, "test.yaml: connectors[0].hosts[0].uri: the listener that reaches 10.0.0.1:5060 comes with a restart only: restart the node to take this file"},
		{`
listen: [udp://192.0.2.10:5060, "udp://[2001:db8::10]:5060"]
connectors: [{name: east, hosts: ["sip:[2001:db8::1]"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`, "test.yaml: connectors[0].hosts[0].uri: the listener that reaches [2001:db8::1]:5060 comes with a restart only: restart the node to take this file"},
		{`
listen: [udp://192.0.2.10:5060, tcp://192.0.2.10:5060]
connectors: [{name: east, hosts: ["sip:10.0.0.1", "sip:sbc.example.com;transport=tcp"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`, "test.yaml: connectors[0].hosts[1].uri: the listener that reaches sbc.example.com comes with a restart only: restart the node to take this file"},
		{`
listen: [{address: "udp://192.0.2.10:5060", name: inside}]
connectors: [{name: east, listener: inside, hosts: ["sip:sbc.example.com"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`, "test.yaml: connectors[0].hosts[0].uri: the listener that reaches sbc.example.com comes with a restart only: restart the node to take this file"},
		{`
listen: [udp://192.0.2.10:5060, {address: "tls://192.0.2.10:5061", tls: {certificate: a.pem, clients: required}}]
trunks: [{name: b, sources: [10.8.0.0/24]}, {name: a, tls: [carrier.example.com]}]
connectors: [{name: east, hosts: ["sip:10.0.0.1"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`, "test.yaml: trunks[1].tls: the listener that asks for certificates comes with a restart only: restart the node to take this file"},
		{`
listen: [udp://192.0.2.10:5060, tcp://192.0.2.10:5060]
connectors: [{name: east, large_requests: tcp, hosts: ["sip:10.0.0.1"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`, "test.yaml: connectors[0].large_requests: the tcp:// listener that 10.0.0.1:5060 needs comes with a restart only: restart the node to take this file"},
	} {
		_, err := UntilRestart(old, load(t, c.new))
		require.EqualError(t, err, c.want)
	}
}

// What DNS says of an address is nothing that a file was checked for.
func TestReach(t *testing.T) {
	cfg := load(t, `
listen: [{address: "udp://192.0.2.10:5060", name: out}, {address: "tcp://192.0.2.10:5060", name: stream}, "udp://127.0.0.1:5070"]
aliases: ["198.51.100.1:5060"]
`+reloadable)
	reach := cfg.Reach()
	for _, c := range []struct {
		addr, listener, probe string
		over                  catalog.Transport
		want                  string
	}{
		{"10.0.0.1:5060", "", "", catalog.UDP, ""},
		{"10.0.0.1:5060", "", "", catalog.TCP, ""},
		{"10.0.0.1:5061", "", "", catalog.TLS, "no tls:// listener can send to it"},
		{"10.0.0.1:5060", "out", "", catalog.UDP, ""},
		{"10.0.0.1:5060", "out", "", catalog.TCP, `listener "out" cannot send to it over tcp`},
		{"10.0.0.1:5060", "", "stream", catalog.UDP, `listener "stream" cannot send to it over udp`},
		{"127.0.0.1:5060", "", "", catalog.UDP, ""},
		{"127.0.0.1:5060", "", "", catalog.TCP, "no tcp:// listener can send to it"},
		{"127.0.0.1:5060", "out", "", catalog.UDP, `listener "out" cannot send to it over udp`},
		{"127.0.0.1:5070", "", "", catalog.UDP, "it is this node itself: calls would loop"},
		{"192.0.2.10:5060", "", "", catalog.UDP, "it is this node itself: calls would loop"},
		{"198.51.100.1:5060", "", "", catalog.UDP, "it is this node itself: calls would loop"},
		{"[2001:db8::1]:5060", "", "", catalog.UDP, "no udp:// listener can send to it"},
	} {
		err := reach(&catalog.Connector{Listener: c.listener, Probe: catalog.Probe{Listener: c.probe}}, c.over, netip.MustParseAddrPort(c.addr))
		if c.want == "" {
			require.NoError(t, err, c.addr)
			continue
		}
		require.EqualError(t, err, c.want, c.addr)
	}
}
