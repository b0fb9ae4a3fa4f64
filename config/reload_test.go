package config

import (
	"testing"

	"github.com/stretchr/testify/require"
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
	} {
		_, err := UntilRestart(old, load(t, c.new))
		require.EqualError(t, err, c.want)
	}
}
