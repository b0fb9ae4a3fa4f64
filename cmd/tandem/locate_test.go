package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/inventory"
	"tandem/router/dns/dnstest"
)

func TestCheckResolve(t *testing.T) {
	server := dnstest.Start(t, "127.0.0.1:0",
		"_sip._udp.sbc.test. 60 IN SRV 10 60 5060 a.sbc.test.", "_sip._udp.sbc.test. 60 IN SRV 20 0 5060 b.sbc.test.", "_sip._tcp.sbc.test. 60 IN SRV 1 1 5060 a.sbc.test.",
		"a.sbc.test. 60 IN A 192.0.2.1", "b.sbc.test. 60 IN A 127.0.0.9", "tcp.test. 60 IN A 192.0.2.80", "_sip._tcp.tcp.test. 60 IN SRV 1 1 5060 a.sbc.test.")
	text := func(hosts string) string {
		return fmt.Sprintf("listen: [udp://192.0.2.10:5060]\ntrunks: [{name: a, sources: [198.51.100.1]}]\ndns: {servers: [%q], timeout: 200ms}\n", server.Addr) + strings.Replace(running1, `["sip:10.0.0.1"]`, hosts, 1)
	}
	sbc := write(t, text(`["sip:sbc.test"]`))
	out, _, code := command(t, "check", sbc)
	require.Equal(t, 0, code, out)
	require.Zero(t, server.Asked(""), "nothing is sent unless it is asked for")

	out, _, code = command(t, "check", "--resolve", sbc)
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "sip:sbc.test  192.0.2.1:5060  udp  a.sbc.test  priority 10, weight 60\n")
	require.Contains(t, out, "sip:sbc.test  127.0.0.9:5060  udp  b.sbc.test  priority 20, weight 0\n")
	require.Contains(t, out, "warning: connector east: sip:sbc.test: 127.0.0.9:5060 udp of b.sbc.test gets no calls: no udp:// listener can send to it\n")
	require.Contains(t, out, "warning: connector east: sip:sbc.test: 192.0.2.1:5060 tcp of a.sbc.test gets no calls: no tcp:// listener can send to it\n")
	require.True(t, strings.HasSuffix(out, "\nok\n"), out)

	for hosts, want := range map[string]string{
		`["sip:gone.test", "sip:sbc.test"]`: "connector east: sip:gone.test has no server that calls can be sent to: DNS has none\n",
		`["sip:tcp.test"]`:                  "connector east: sip:tcp.test has no server that calls can be sent to: see above\n",
	} {
		out, _, code = command(t, "check", "--resolve", write(t, text(hosts)))
		require.Equal(t, exitFailed, code, out)
		require.Contains(t, out, want)
		require.NotContains(t, out, "ok\n")
	}
	server.Feel(dnstest.Refusing)
	out, _, code = command(t, "check", "--resolve", sbc)
	require.Equal(t, exitFailed, code, out)
	require.Contains(t, out, "SRV _sip._udp.sbc.test: DNS server "+server.Addr.String()+" answers REFUSED")
}

// Offline nobody asks DNS: the name is told of, and why it has no place.
func TestExplainNameOffline(t *testing.T) {
	path := write(t, strings.Replace(running1, "sip:10.0.0.1", "sip:sbc.test", 1))
	out, _, code := command(t, "explain", "--config", path, "+15550000001")
	require.Equal(t, 0, code)
	require.Contains(t, out, "1  west  r2  sip:10.0.0.2")
	require.Contains(t, out, "-  east  r1  sip:sbc.test  no address of the name is known")
}

// Connectors of a store have names too: their addresses are there with the change
// that brings the name, follow DNS, and are there after a restart.
func TestNamesInAStore(t *testing.T) {
	first, second := newSIPSocket(t), newSIPSocket(t)
	record := func(s *sipSocket) string {
		return fmt.Sprintf("_sip._udp.sbc.test. 1 IN SRV 1 1 %d local.test.", s.addr().Port())
	}
	const local = "local.test. 1 IN A 127.0.0.1"
	server := dnstest.Start(t, "127.0.0.1:0", record(first), local)
	m := newManages(t, fmt.Sprintf("dns: {servers: [%q], timeout: 500ms, min_ttl: 1s}\n", server.Addr))
	m.edit(func(e *inventory.Editor) (inventory.Change, error) {
		return e.CreateConnector(inventory.ConnectorSpec{Name: "east", Hosts: []inventory.HostSpec{{URI: "sip:sbc.test", Weight: 7}}})
	})
	m.group("support", "east")
	hosts := func() (all []string) {
		for _, h := range m.router.Hosts() {
			all = append(all, h.URI)
		}
		return all
	}
	at := func(s *sipSocket) string { return fmt.Sprintf("sip:sbc.test (%s)", s.addr()) }
	require.Equal(t, []string{at(first)}, hosts(), "its answer came before the change was in force")
	server.Set(t, record(second), local)
	require.Eventually(t, func() bool { h := hosts(); return len(h) == 1 && h[0] == at(second) }, 10*time.Second, 10*time.Millisecond)
	c, err := m.managed.Snapshot().Connector("east")
	require.NoError(t, err)
	require.Equal(t, "sip:sbc.test", c.Hosts[0].URI, "the store has the name")
	m.restart()
	require.Equal(t, []string{at(second)}, hosts())
}
