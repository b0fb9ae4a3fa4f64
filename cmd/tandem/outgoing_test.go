package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/router"
)

// Hosts over TCP and TLS take a connection each, from each listener; one of two
// connectors takes one, and what is disabled or over UDP none.
func TestOutgoingTo(t *testing.T) {
	host := func(addr string, over catalog.Transport, state catalog.State, listeners ...int) router.HostInfo {
		return router.HostInfo{Addr: netip.MustParseAddrPort(addr), Transport: over, State: state, Listener: listeners[0], Listeners: listeners}
	}
	got := outgoingTo([]router.HostInfo{
		host("10.0.0.1:5060", catalog.TCP, catalog.Enabled, 1, 1, 1),
		host("10.0.0.1:5060", catalog.TCP, catalog.Draining, 1, 1, 1),
		host("10.0.0.1:5060", catalog.TLS, catalog.Enabled, 2, 2, 3),
		host("10.0.0.2:5060", catalog.UDP, catalog.Enabled, 0),
		host("10.0.0.3:5060", catalog.TCP, catalog.Disabled, 1),
	})
	require.Equal(t, outgoing{hosts: 2, connections: 3}, got)
}

// Where the limit comes from is said, and what to write has room for strangers.
func TestOutgoingWarning(t *testing.T) {
	const room = 256 << 20
	require.Empty(t, outgoing{512, 512}.warning(config.Streams{}, room))
	require.Equal(t, "513 hosts over TCP and TLS take up to 513 connections, and the node opens no more than 512, by the memory of this machine, since it is not set: "+
		"some hosts cannot be connected to; write 642 or more, which needs a restart", outgoing{513, 513}.warning(config.Streams{}, room))
	require.Empty(t, outgoing{513, 513}.warning(config.Streams{Outgoing: 642}, room))
	require.Contains(t, outgoing{300, 600}.warning(config.Streams{Outgoing: 599}, room), "no more than 599, as written: ")
}

// tcpHosts is a config with hosts over TCP at ports of loopback.
func tcpHosts(more string, hosts ...string) string {
	var b strings.Builder
	for i, h := range hosts {
		fmt.Fprintf(&b, "  - {name: c%d, hosts: [%q]}\n", i, h)
	}
	return "listen: [\"udp://127.0.0.1:5060\", \"tcp://127.0.0.1:5060\"]\nconnectors:\n" + b.String() + "health: {probe: false}\n" + more
}

// The warning of a check has the names that say TCP or TLS, which have one address at
// least.
func TestCheckOfMoreHostsThanConnections(t *testing.T) {
	hosts := []string{"sip:127.0.0.11:5060;transport=tcp", "sip:127.0.0.12:5060;transport=tcp", "sip:127.0.0.13:5060", "sip:east.example.com;transport=tcp", "sip:west.example.com"}
	for most, warned := range map[int]bool{2: true, 3: false} {
		path := write(t, tcpHosts(fmt.Sprintf("streams: {outgoing: %d}\n", most), hosts...))
		out, _, code := command(t, "check", path)
		require.Equal(t, 0, code, out)
		require.Equal(t, warned, strings.Contains(out, "warning: "+path+": streams.outgoing: 3 hosts over TCP and TLS take up to 3 connections, and the node opens no more than 2, as written: "+
			"some hosts cannot be connected to; write 4 or more, which needs a restart\n"), out)
	}
}

// A start and each reload say it, and a change of the hosts that changes it: not one
// that leaves it as it is.
func TestMoreHostsThanConnections(t *testing.T) {
	first, second, third := "sip:127.0.0.11:5060;transport=tcp", "sip:127.0.0.12:5060;transport=tcp", "sip:127.0.0.13:5060;transport=tcp"
	const streams = "streams: {outgoing: 1}\n"
	f := newFile(t, tcpHosts(streams, first, second))
	r := f.start()
	said := func(hosts, times int) {
		t.Helper()
		text := fmt.Sprintf(`"config: %d hosts over TCP and TLS take up to %[1]d connections, and the node opens no more than 1, as written`, hosts)
		require.Equal(t, times, strings.Count(r.log.String(), text), r.log.String())
	}
	said(2, 1)
	require.NoError(t, r.retarget())
	said(2, 1)
	r.reload.take("test")
	said(2, 2)
	f.write(tcpHosts(streams, first, second, third))
	r.reload.take("test")
	said(3, 1)
	f.write(tcpHosts(streams, first))
	r.reload.take("test")
	said(2, 2)
	said(1, 0)
}
