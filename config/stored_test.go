package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

const nodeWithStore = `
listen: [udp://127.0.0.1:5060]
store: {path: tandem.db}
health: {max_detection: 20s}
`

func stored(connectors []inventory.ConnectorSpec, groups ...inventory.GroupSpec) *inventory.Snapshot {
	s := new(inventory.Snapshot)
	for _, c := range connectors {
		s.Connectors = append(s.Connectors, inventory.Connector{Meta: inventory.Meta{ID: "id-" + c.Name}, ConnectorSpec: c})
	}
	for _, g := range groups {
		s.Groups = append(s.Groups, inventory.Group{Meta: inventory.Meta{ID: "id-" + g.Name}, GroupSpec: g})
	}
	return s
}

func TestWithInventory(t *testing.T) {
	node, err := Parse("node.yaml", []byte(nodeWithStore), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	require.Equal(t, Quotas{Groups: 3, ConnectorsPerGroup: 3}, node.Quotas, "the documented ones")
	require.Empty(t, node.Warnings)

	file, err := Parse("file.yaml", []byte(`
listen: [udp://127.0.0.1:5060]
connectors:
  - {name: east, region: us-east-1, hosts: [{uri: "sip:10.0.0.1:5061", priority: 2, weight: 3}], number: +e164, max_cps: 5,
     failover: {first_response: 1s}, health: {down_after: 2}, probe: {from: "sip:probe@example.com"}}
  - {name: west, hosts: ["sip:10.0.0.2"], state: draining}
groups:
  - {name: support, connectors: [{connector: west, priority: 1}, {connector: east, priority: 2}], failover: {max_attempts: 2, codes: [503]}}
`), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	got, err := node.WithInventory(stored([]inventory.ConnectorSpec{
		{
			Name: "east", Region: "us-east-1", Hosts: []inventory.HostSpec{{URI: "sip:10.0.0.1:5061", Priority: 2, Weight: 3}}, Number: "+e164", MaxCPS: 5,
			Failover: json.RawMessage(`{"first_response": "1s"}`), Health: json.RawMessage(`{"down_after": 2}`),
			Probe: json.RawMessage(`{"from": "sip:probe@\u0065xample.com"}`),
		},
		{Name: "west", Hosts: []inventory.HostSpec{{URI: "sip:10.0.0.2"}}, State: "draining"},
	}, inventory.GroupSpec{
		Name: "support", Connectors: []inventory.Member{{Connector: "west", Priority: 1}, {Connector: "east", Priority: 2}},
		Failover: json.RawMessage(`{"max_attempts": 2, "codes": [503]}`),
	}))
	require.NoError(t, err)
	want := file.Catalog
	want.Managed = true
	want.Connectors[0].ID, want.Connectors[1].ID, want.Groups[0].ID = "id-east", "id-west", "id-support"
	require.Equal(t, want, got.Catalog, "as if it stood in a file")
	require.Equal(t, node.Health, got.Health)
	require.Empty(t, node.Catalog.Connectors, "the node's own config is not touched")

	got, err = node.WithInventory(stored([]inventory.ConnectorSpec{{Name: "new"}}, inventory.GroupSpec{Name: "empty"}))
	require.NoError(t, err, "hosts and connectors come one by one")
	require.Equal(t, []catalog.Group{{Name: "empty", ID: "id-empty"}}, got.Catalog.Groups)
}

func TestWithInventoryRefuses(t *testing.T) {
	node, err := Parse("node.yaml", []byte(nodeWithStore), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	host := []inventory.HostSpec{{URI: "sip:10.0.0.1"}}
	for name, c := range map[string]struct {
		s           *inventory.Snapshot
		field, text string
	}{
		"a host that is none": {
			stored([]inventory.ConnectorSpec{{Name: "west", Hosts: host}, {Name: "east", Hosts: []inventory.HostSpec{{URI: "sip:10.0.0.2"}, {URI: "http://x"}}}}),
			"hosts[1].uri", `(connector "east")`,
		},
		"this node itself": {stored([]inventory.ConnectorSpec{{Name: "east", Hosts: []inventory.HostSpec{{URI: "sip:127.0.0.1:5060"}}}}), "hosts[0].uri", "calls would loop"},
		"a state that is none": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host, State: "off"}}), "state", `"off"`,
		},
		"a variable of the environment": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host, Prepend: "${SECRET}"}}), "prepend", "the variable SECRET is not looked up for a client",
		},
		"a control character": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: []inventory.HostSpec{{URI: "sip:10.0.0.1\x7f"}}}}), "hosts[0].uri", `holds '\x7f'`,
		},
		"what no text has": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host, Strip: "\ufeff\uffff\u009f\U0001f600"}}), "strip", "use digits",
		},
		"a key that is too long for YAML": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host, Health: json.RawMessage(`{"` + strings.Repeat("x", 2000) + `": 1}`)}}), "", "cannot be read",
		},
		"unknown settings": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host, Health: json.RawMessage(`{"intervall": "5s"}`)}}), "health.intervall", `did you mean "interval"?`,
		},
		"settings that are no object": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host, Health: json.RawMessage(`5`)}}), "health", "block of keys",
		},
		"a listener that is none": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host, Listener: "inside"}}), "listener", `"inside"`,
		},
		"slower than the node's max_detection": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host, Health: json.RawMessage(`{"interval": "60s"}`)}}), "health.interval", "max_detection",
		},
		"two healths of a host": {
			stored([]inventory.ConnectorSpec{{Name: "east", Hosts: host}, {Name: "west", Hosts: host, Health: json.RawMessage(`{"down_after": 2}`)}}),
			"hosts[0].uri", "is a host of connector \"east\" too, and",
		},
		"a group's settings": {
			stored(nil, inventory.GroupSpec{Name: "support", Failover: json.RawMessage(`{"max_attempts": 0}`)}), "failover.max_attempts", `(group "support")`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := node.WithInventory(c.s)
			var r *inventory.Refusal
			require.ErrorAs(t, err, &r)
			require.Equal(t, inventory.Invalid, r.Reason)
			require.Equal(t, c.field, r.Field)
			require.Contains(t, r.Text, c.text)
			require.NotContains(t, r.Text, "line ")
		})
	}
}
