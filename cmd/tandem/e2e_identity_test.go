//go:build linux

package main_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Trunks are told apart by their certificates, though they come from one address,
// and a certificate that goes to another trunk does so under an open connection.
func TestE2E_TrunksByCertificate(t *testing.T) {
	t.Parallel()
	l, a := newLab(t), newAuthority(t)
	first, _ := l.streamPeer("127.0.0.11:5061", a.end("first.example.com", nodeName))
	east, eastSocket := l.streamPeer("127.0.0.2:5061", a.end("east.carrier.example", nodeName))
	west, _ := l.streamPeer("127.0.0.2:5062", a.end("west.carrier.example", nodeName))
	bare, _ := l.streamPeer("127.0.0.2:5063", a.end("bare.carrier.example", nodeName).open())
	stranger, _ := l.streamPeer("127.0.0.3:5061", a.end("stranger.example", nodeName))

	const trunks = `
trunks:
  - {name: by-address, sources: [127.0.0.2]}
  - {name: east, tls: [EAST.carrier.example]}
  - {name: west, tls: [west.carrier.example], sources: [127.0.0.0/24]}
`
	n := l.serveTLS(a, "clients: optional, client_ca: DIR/ca.pem", trunks+tlsConnectors).over("127.0.0.1:5061")
	calls := func(trunk string) float64 {
		return n.metric(fmt.Sprintf(`^tandem_trunk_calls_total\{.*outcome="answered".*trunk="%s"`, trunk))
	}
	for range 2 {
		n.goodCall(east, first, "+15550000001")
	}
	n.goodCall(west, first, "+15550000001")
	n.goodCall(bare, first, "+15550000001")
	require.Equal(t, []float64{2, 1, 1}, []float64{calls("east"), calls("west"), calls("by-address")})

	stranger.call(n.addr, "+15550000001").start().fails(403)
	line := n.logged("is no trunk's: answered 403")
	require.Equal(t, []any{"stranger.example"}, line["certificate"])
	require.Equal(t, "trunks: [{name: NAME, tls: [stranger.example]}]", line["to_admit"])

	n.edit("EAST.carrier.example", "other.carrier.example", "[west.carrier.example]", "[west.carrier.example, east.carrier.example]")
	line = n.hup("config reloaded")
	require.Equal(t, []any{
		"trunk east: name east.carrier.example removed", "trunk east: name other.carrier.example added", "trunk west: name east.carrier.example added",
	}, line["changed"])
	n.goodCall(east, first, "+15550000001")
	require.Equal(t, []float64{2, 2, 1}, []float64{calls("east"), calls("west"), calls("by-address")})
	eastSocket.mu.Lock()
	defer eastSocket.mu.Unlock()
	require.Len(t, eastSocket.conns, 1, "its connection stays")
}

// edit changes the node's config.
func (n *node) edit(pairs ...string) {
	n.t.Helper()
	text, err := os.ReadFile(n.config)
	require.NoError(n.t, err)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(n.t, string(text), pairs[i])
	}
	require.NoError(n.t, os.WriteFile(n.config, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600))
}
