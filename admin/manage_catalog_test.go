package admin

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config"
)

// A connector of a file is told with all that it has there.
func TestConnectorOfAFileIsWhole(t *testing.T) {
	cfg, err := config.Parse("tandem.yaml", []byte(`
listen: [{address: "udp://127.0.0.1:5060", name: inside}]
connectors:
  - name: east
    region: us-east-1
    hosts: ["sip:127.0.0.2"]
    state: draining
    request_uri: keep
    number: e164
    strip: "9"
    prepend: "8"
    listener: inside
    large_requests: udp
    udp_mtu: 1400
    tls: {name: sbc.example.com, ca: ca.pem}
    max_calls: 3
    max_cps: 4
    failover: {progress: 5s}
    health: {probe: false}
    probe: {from: "sip:x@y"}
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["+1555"]}]
`), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	spec := connectorSpec(&cfg.Catalog.Connectors[0])
	for i, f := range reflect.VisibleFields(reflect.TypeOf(spec)) {
		require.False(t, reflect.ValueOf(spec).Field(i).IsZero(), f.Name)
	}
	require.JSONEq(t, `{"name": "sbc.example.com", "ca": "ca.pem"}`, string(spec.TLS))
	require.Equal(t, []any{"udp", 1400}, []any{spec.Large, spec.UDPMTU})
}
