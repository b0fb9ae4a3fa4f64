//go:build linux

package main_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a connector's probe says is what its host sees, from the listener that it
// names; calls go their own way, and both make the health of one host.
func TestE2E_ProbeSaysWhatTheConnectorWants(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	outside, inside := l.addr("127.0.0.1"), l.addr("127.0.0.3:5070")
	caller := l.peer("127.0.0.2")
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(l.addr("127.0.0.11")))
	require.NoError(t, err)
	n := l.serveFile(outside, l.admin(8080), `
listen:
  - {address: "udp://127.0.0.1:5060", name: outside}
  - {address: "udp://127.0.0.3:5070", name: inside}
admin: {listen: ADMIN}
state_dir: STATE
trunks: [{name: carrier, sources: [127.0.0.2]}]
health: {interval: 300ms, fast_interval: 100ms, timeout: 300ms}
connectors:
  - name: first
    hosts: ["sip:127.0.0.11:5060;x=y"]
    probe: {from: "sip:ping@example.com", to: "sip:you@example.net", request_uri: "sip:options@trunk.example", max_forwards: 1, listener: inside}
groups: [{name: support, connectors: [{connector: first, priority: 1}], numbers: ["+15550000001"]}]
`)
	buf := make([]byte, 2048)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(2*patience)))
	size, from, err := conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	m := message{raw: string(buf[:size])}
	require.Equal(t, inside, from)
	require.Contains(t, m.header("Via"), inside.String(), "its Via says the same")
	require.Equal(t, "OPTIONS sip:options@trunk.example SIP/2.0", m.start())
	require.Regexp(t, `^<sip:ping@example\.com>;tag=\S+$`, m.header("From"))
	require.Equal(t, "<sip:you@example.net>", m.header("To"))
	require.Equal(t, "1", m.header("Max-Forwards"))

	first := newPeer(t, conn)
	d := caller.call(n.addr, "+15550000001").start()
	require.Equal(t, outside, first.pickUp().from, "calls go their own way")
	caller.expect("180 INVITE")
	d.established()
	first.expect("ACK")
	d.bye(first)
	first.close()
	until(t, "the host is down", func() bool {
		return n.metric(`^tandem_host_state{.*state="down"`) == 1
	})
	again := l.peer("127.0.0.11")
	until(t, "it is back", func() bool { return n.metric(`^tandem_host_state{.*state="down"`) == 0 })
	n.goodCall(caller, again, "+15550000001")
}
