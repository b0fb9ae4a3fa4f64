//go:build linux

package main_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// IPv6 where it is more than longer addresses: links, and calls between the two
// families. Every peer is on the other side of a veth pair.

// index of the far end of every cable: who lives there says so in place of a name,
// which package net looks up in the wrong namespace.
const farIndex = "77"

// onLink opens a peer at a link-local address. What it writes in messages has no
// zone.
func (m *machine) onLink(addr string) *peer {
	m.t.Helper()
	p := m.at(strings.Replace(addr, "]", "%"+farIndex+"]", 1))
	p.addr = netip.MustParseAddrPort(addr)
	return p
}

// linked is a namespace with a link to it: IPv6 of the link and beyond, and IPv4.
func linked(t *testing.T) *machine {
	t.Helper()
	far := newNamespace(t, "10.9.0.")
	far.run("ip", "link", "add", "far", "index", farIndex, "type", "veth", "peer", "name", "near", "netns", fmt.Sprint(os.Getpid()))
	// The only address of the link on each side is the one that is given.
	command(t, "ip", "link", "set", "near", "addrgenmode", "none")
	far.run("ip", "link", "set", "far", "addrgenmode", "none")
	for _, addr := range []string{"10.9.0.1/24", "2001:db8::1/64", "fe80::1/64"} {
		command(t, "ip", "addr", "add", addr, "dev", "near", "nodad")
	}
	for _, addr := range []string{"10.9.0.2/24", "10.9.0.11/24", "2001:db8::2/64", "2001:db8::11/64", "fe80::2/64", "fe80::11/64", "fe80::12/64"} {
		far.run("ip", "addr", "add", addr, "dev", "far", "nodad")
	}
	command(t, "ip", "link", "set", "near", "up")
	far.run("ip", "link", "set", "far", "up")
	return far
}

// linkHosts are two connectors at addresses of a link, and one with an IPv4 address.
const linkHosts = `
admin: {listen: ADMIN}
state_dir: STATE
trunks: [{name: link, sources: ["fe80::/10", 10.9.0.2]}]
health: {interval: 1s, fast_interval: 200ms}
connectors:
  - {name: first, region: east, hosts: ["sip:[fe80::11%near]:5060"]}
  - {name: second, region: west, hosts: ["sip:[fe80::12%near]:5060"]}
  - {name: old, region: west, hosts: ["sip:10.9.0.11:5060"]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
  - {name: to-old, connectors: [{connector: old, priority: 1}], numbers: ["+15550000002"]}
`

// both runs a call to its end, by its caller or by its callee, with a request
// within it from each side before. in and out are how the two know the node.
func (n *node) both(caller, callee *peer, number string, in, out netip.AddrPort, calleeEnds bool) {
	n.t.Helper()
	bare := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()) }
	zone := func(a netip.AddrPort) netip.AddrPort { // that the node is reached by, from there
		if a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() {
			return netip.AddrPortFrom(a.Addr().WithZone(farIndex), a.Port())
		}
		return a
	}
	d := caller.call(zone(in), number)
	for _, text := range []*string{&d.invite, &d.to, &d.target} {
		*text = strings.ReplaceAll(*text, "%"+farIndex, "")
	}
	d.start()
	invite := callee.pickUp()
	require.NotContains(n.t, invite.raw, "%", "zones are nobody else's business")
	require.Equal(n.t, out, bare(invite.from))
	require.Contains(n.t, invite.header("Via"), " "+out.String()+";")
	routes := invite.list("Record-Route")
	want := []netip.AddrPort{out, in}
	if in == out {
		want = want[:1]
	}
	require.Len(n.t, routes, len(want))
	for i, r := range routes {
		require.Equal(n.t, want[i], routeAddr(n.t, r))
	}
	require.Equal(n.t, in, bare(caller.expect("180 INVITE").from))
	final := d.expect("200 INVITE")
	d.to, d.routes = final.header("To"), nil
	d.target = strings.TrimSuffix(strings.TrimPrefix(final.header("Contact"), "<"), ">")
	for _, rr := range final.list("Record-Route") {
		d.routes = append([]string{rr}, d.routes...)
	}
	require.Equal(n.t, in, d.next(), "the caller's route set")
	d.send(zone(in), d.request("ACK", d.branch+"ack"))
	require.Equal(n.t, out, bare(callee.expect("ACK").from))

	d.cseq++
	d.send(zone(in), d.request("INFO", d.branch+"info"))
	callee.answer(callee.expect("INFO"), 200, "OK")
	require.Equal(n.t, in, bare(d.expect("200 INFO").from))
	method := "INFO"
	if calleeEnds {
		method = "BYE"
	}
	callee.send(zone(out), d.fromCallee(callee, invite, method, 1))
	got := caller.expect(method)
	require.Equal(n.t, in, bare(got.from))
	caller.answer(got, 200, "OK")
	require.Equal(n.t, out, bare(callee.expect("200 "+method).from))
	if !calleeEnds {
		d.cseq++
		d.send(zone(in), d.request("BYE", d.branch+"bye"))
		callee.answer(callee.expect("BYE"), 200, "OK")
		require.Equal(n.t, in, bare(d.expect("200 BYE").from))
	}
}

// Hosts and callers that have addresses of a link only: calls, responses, probes
// and requests within calls find the interface, by a listener on the link or by one
// at all addresses.
func TestE2E_NetnsLinkLocal(t *testing.T) {
	if !inNetns(t) {
		return
	}
	far := linked(t)
	caller, old := far.onLink("[fe80::2]:5060"), far.at("10.9.0.2:5060")
	first, second, oldHost := far.onLink("[fe80::11]:5060"), far.onLink("[fe80::12]:5060"), far.at("10.9.0.11:5060")
	link, four := netip.MustParseAddrPort("[fe80::1]:5060"), netip.MustParseAddrPort("10.9.0.1:5060")
	for name, listen := range map[string]string{
		"a listener on the link": `listen: ["udp://[fe80::1%near]:5060", "udp://10.9.0.1:5060"]`,
		"after one beyond it":    `listen: ["udp://[2001:db8::1]:5060", "udp://[fe80::1%near]:5060", "udp://10.9.0.1:5060"]`,
		"at all addresses":       `listen: [{address: "udp://[::]:5060", advertise: "[fe80::1]"}, "udp://10.9.0.1:5060"]`,
	} {
		t.Run(name, func(t *testing.T) {
			l := &lab{t: t, net: "127.0.0."}
			n := l.serveFile(link, l.admin(8080), listen+linkHosts)
			until(t, "all are up", func() bool { return n.metric(`^tandem_host_state.*state="up"`) == 3 })
			require.Positive(t, first.pings.Load())
			for _, calleeEnds := range []bool{false, true} {
				n.both(caller, first, "+15550000001", link, link, calleeEnds)
				n.both(old, first, "+15550000001", four, link, calleeEnds)
				if !strings.Contains(listen, "[::]") { // from beyond the link it is not known which one the caller is on
					n.both(caller, oldHost, "+15550000002", link, four, calleeEnds)
				}
			}
			// A refusal: the next one, and its ACK.
			d := old.call(four, "+15550000001").start()
			invite := first.expect("INVITE")
			first.answer(invite, 503, reasons[503])
			first.expect("ACK")
			second.answer(second.expect("INVITE"), 486, reasons[486])
			second.expect("ACK")
			d.fails(486)
			// A port that is closed says so by ICMPv6.
			third := n.metric(`^tandem_failovers_total{reason="icmp"}`)
			first.close()
			d = old.call(four, "+15550000001").start()
			second.answer(second.expect("INVITE"), 486, reasons[486])
			second.expect("ACK")
			d.fails(486)
			require.Equal(t, third+1, n.metric(`^tandem_failovers_total{reason="icmp"}`))
			until(t, "the first is down", func() bool {
				return n.metric(`^tandem_host_state.*first.*state="down"`) == 1
			})
			require.Zero(t, n.stop())
			first = far.onLink("[fe80::11]:5060")
		})
	}
}

// A node with an address of each family, behind what translates both or not: each
// side of a call sees the family that it speaks.
func TestE2E_NetnsDualStack(t *testing.T) {
	if !inNetns(t) {
		return
	}
	far := linked(t)
	far.run("ip", "addr", "add", "2001:db8::5/64", "dev", "far", "nodad")
	callers := []*peer{far.at("10.9.0.2:5060"), far.at("[2001:db8::2]:5060")}
	hosts := []*peer{far.at("10.9.0.11:5060"), far.at("[2001:db8::11]:5060")}
	node := []netip.AddrPort{netip.MustParseAddrPort("10.9.0.1:5060"), netip.MustParseAddrPort("[2001:db8::1]:5060")}
	for name, listen := range map[string]string{
		"own addresses":         `listen: ["udp://10.9.0.1:5060", "udp://[2001:db8::1]:5060"]`,
		"IPv6 first":            `listen: ["udp://[2001:db8:0:0::1]:5060", "udp://10.9.0.1:5060"]`,
		"an advertise a family": "listen: ['udp://0.0.0.0:5060', 'udp://[::]:5060']\nadvertise: [10.9.0.1, '[2001:db8::1]']",
	} {
		t.Run(name, func(t *testing.T) {
			l := &lab{t: t, net: "127.0.0."}
			n := l.serveFile(node[0], l.admin(8080), listen+`
admin: {listen: ADMIN}
state_dir: STATE
trunks: [{name: both, sources: ["2001:db8::/64", 10.9.0.0/24]}]
connectors:
  - {name: four, region: east, hosts: ["sip:10.9.0.11:5060"]}
  - {name: six, region: west, hosts: ["sip:[2001:DB8:0::11]:5060"]}
groups:
  - {name: to-four, connectors: [{connector: four, priority: 1}], numbers: ["+15550000000"]}
  - {name: to-six, connectors: [{connector: six, priority: 1}], numbers: ["+15550000001"]}
  - {name: to-both, connectors: [{connector: six, priority: 1}, {connector: four, priority: 2}], numbers: ["+15550000002"]}
`)
			for in, caller := range callers {
				for out, host := range hosts {
					for _, calleeEnds := range []bool{false, true} {
						n.both(caller, host, fmt.Sprintf("+1555000000%d", out), node[in], node[out], calleeEnds)
					}
				}
				// Over to the other family.
				d := caller.call(node[in], "+15550000002").start()
				six := hosts[1].expect("INVITE")
				hosts[1].answer(six, 503, reasons[503])
				hosts[1].expect("ACK")
				four := hosts[0].expect("INVITE")
				require.Contains(t, four.header("Via"), " "+node[0].String()+";")
				hosts[0].answer(four, 486, reasons[486])
				hosts[0].expect("ACK")
				d.fails(486)
			}
			require.Zero(t, n.stop())
		})
	}
}
