//go:build linux

package main_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Address translation: each test is a node in a namespace of its own, and others
// that translate, by nftables, or are at the far side of what does.

// cable joins two namespaces by a veth pair whose ends have the addresses given.
// a nil machine is the namespace of the test.
func cable(t testing.TB, a *machine, aName string, aAddrs []string, b *machine, bName string, bAddrs []string) {
	t.Helper()
	run := func(m *machine, args ...string) {
		t.Helper()
		if m != nil {
			m.run(args...)
		} else {
			command(t, args[0], args[1:]...)
		}
	}
	run(a, "ip", "link", "add", aName, "type", "veth", "peer", "name", bName, "netns", fmt.Sprint(b.pid))
	for _, end := range []struct {
		m     *machine
		name  string
		addrs []string
	}{{a, aName, aAddrs}, {b, bName, bAddrs}} {
		for _, addr := range end.addrs {
			args := []string{"ip", "addr", "add", addr, "dev", end.name}
			if strings.Contains(addr, ":") {
				args = append(args, "nodad") // or it is of no use for a second or two
			}
			run(end.m, args...)
		}
		run(end.m, "ip", "link", "set", end.name, "up")
	}
}

// forwards makes a machine a router with a ruleset of nftables.
func (m *machine) forwards(ruleset string) {
	m.t.Helper()
	m.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	m.run("nft", ruleset)
}

// at opens a peer on a machine, at an address that is its own.
func (m *machine) at(addr string) *peer {
	m.t.Helper()
	return newPeer(m.t, m.listen(netip.MustParseAddrPort(addr)))
}

// behindNAT has callers at 192.168.1.2 and 192.168.1.3, who are 203.0.113.2 and
// 203.0.113.3 outside, at ports that the NAT chooses; nothing gets in that was not
// asked for.
const behindNAT = `
trunks:
  - {name: plain, sources: [203.0.113.2]}
  - {name: symmetric, sources: [203.0.113.3], symmetric: true}
health: {probe: false}
connectors:
  - {name: pbx, hosts: ["sip:203.0.113.11"]}
groups:
  - {name: support, connectors: [{connector: pbx, priority: 1}], numbers: ["+15550000001"]}
`

// translated is a node, and callers behind a NAT that translates their ports.
type translated struct {
	*node
	nat              *machine
	plain, symmetric *peer // the callers, by what their trunk is
	pbx              *peer
}

func newTranslated(t *testing.T) *translated {
	t.Helper()
	nat, inner := newNamespace(t, ""), newNamespace(t, "")
	cable(t, nil, "pub", []string{"203.0.113.1/24", "203.0.113.11/24"}, nat, "out", []string{"203.0.113.2/24", "203.0.113.3/24"})
	cable(t, nat, "in", []string{"192.168.1.1/24"}, inner, "lan", []string{"192.168.1.2/24", "192.168.1.3/24"})
	inner.run("ip", "route", "add", "default", "via", "192.168.1.1")
	nat.forwards("add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; " +
		"add rule ip nat post oif out ip saddr 192.168.1.2 udp sport 5060 snat to 203.0.113.2:41000-41999; " +
		"add rule ip nat post oif out ip saddr 192.168.1.3 udp sport 5060 snat to 203.0.113.3:42000-42999")
	l := &lab{t: t, net: "127.0.0."}
	return &translated{
		nat: nat, plain: inner.at("192.168.1.2:5060"), symmetric: inner.at("192.168.1.3:5060"), pbx: l.peer("203.0.113.11"),
		node: l.serveAt("203.0.113.1:5060", behindNAT),
	}
}

// bare is a request that does not ask for rport.
func bare(request string) string { return strings.Replace(request, ";rport", "", 1) }

// A caller whose ports are translated and who asks for rport (RFC 3581), or whose
// trunk is symmetric, hears all that the node says to it.
func TestE2E_NetnsCallerBehindNAT(t *testing.T) {
	if !inNetns(t) {
		return
	}
	n := newTranslated(t)
	for _, c := range []struct {
		caller *peer
		asks   func(string) string
		public string
		low    int
	}{
		{n.plain, func(s string) string { return s }, "203.0.113.2", 41000},
		{n.symmetric, func(s string) string { return s }, "203.0.113.3", 42000},
		{n.symmetric, bare, "203.0.113.3", 42000},
	} {
		d := c.caller.call(n.addr, "+15550000001")
		d.invite = c.asks(d.invite)
		d.start()
		c.caller.expect("100 INVITE")
		invite := n.pbx.pickUp()
		via := invite.list("Via")[1]
		require.Contains(t, via, " "+c.caller.addr.String()+";", "the sent-by stays")
		require.Equal(t, c.public, param(via, "received"), via)
		var port int
		_, err := fmt.Sscan(param(via, "rport"), &port)
		require.NoError(t, err, via)
		require.InDelta(t, c.low, port, 999, via)
		c.caller.expect("180 INVITE")
		d.established()
		n.pbx.expect("ACK")
		d.cseq++
		d.send(d.next(), c.asks(d.request("INFO", d.branch+"info")))
		n.pbx.answer(n.pbx.expect("INFO"), 200, "OK")
		c.caller.expect("200 INFO")
		d.cseq++
		d.send(d.next(), c.asks(d.request("BYE", d.branch+"bye")))
		n.pbx.answer(n.pbx.expect("BYE"), 200, "OK")
		c.caller.expect("200 BYE")

		// A refusal is sent again by a timer, and to the same place.
		d = c.caller.call(n.addr, "+15550000001")
		d.invite = c.asks(d.invite)
		d.start()
		invite = n.pbx.expect("INVITE")
		n.pbx.answer(invite, 180, "Ringing", n.pbx.contact())
		c.caller.expect("180 INVITE")
		c.caller.send(n.addr, c.asks(d.cancel()))
		c.caller.expect("200 CANCEL")
		n.pbx.answer(n.pbx.expect("CANCEL"), 200, "OK")
		n.pbx.answer(invite, 487, reasons[487])
		n.pbx.expect("ACK")
		c.caller.expectAgain(c.caller.expect("487 INVITE"))
	}
}

// What the callee sends reaches a caller whose Contact is private when its trunk is
// symmetric: it takes the way back that the INVITE opened (RFC 5626 5.3). Else it is
// lost, as the Contact leads nowhere.
func TestE2E_NetnsCalleeOfACallerBehindNAT(t *testing.T) {
	if !inNetns(t) {
		return
	}
	n := newTranslated(t)
	begin := func(caller *peer) (*dialog, message) {
		d := caller.call(n.addr, "+15550000001").start()
		invite := n.pbx.pickUp()
		require.Contains(t, invite.header("Contact"), "<sip:caller@192.168.1.")
		caller.expect("180 INVITE")
		d.established()
		n.pbx.expect("ACK")
		return d, invite
	}
	d, invite := begin(n.symmetric)
	for i, method := range []string{"INVITE", "ACK", "BYE"} {
		n.pbx.send(n.addr, d.fromCallee(n.pbx, invite, method, i+1))
		got := n.symmetric.expect(method)
		require.Equal(t, n.addr, got.from)
		require.Equal(t, "sip:caller@192.168.1.3:5060", got.uri())
		require.Empty(t, got.headers("Route"))
		if method != "ACK" {
			n.symmetric.answer(got, 200, "OK", n.symmetric.contact())
			n.pbx.expect("200 " + method)
		}
	}

	d, invite = begin(n.plain)
	n.pbx.send(n.addr, d.fromCallee(n.pbx, invite, "BYE", 1))
	n.plain.quiet(settle)
	d.bye(n.pbx)
}

// Who does not ask gets its answers where its Via says, at the address that it came
// from (RFC 3261 18.2.2): of a NAT that is a port that nobody opened.
func TestE2E_NetnsCallerBehindNATWithoutRport(t *testing.T) {
	if !inNetns(t) {
		return
	}
	n := newTranslated(t)
	outside := n.nat.at("203.0.113.2:5060") // the NAT's own port of that number
	d := n.plain.call(n.addr, "+15550000001")
	d.invite = bare(d.invite)
	d.start()
	invite := n.pbx.pickUp()
	via := invite.list("Via")[1]
	require.Equal(t, "203.0.113.2", param(via, "received"))
	require.NotContains(t, via, "rport")
	outside.expect("180 INVITE")
	outside.expect("200 INVITE")
	n.plain.quiet(settle)
}

// oneToOne is a node at 10.0.0.5 that the world knows as 203.0.113.5, and that is
// at 192.168.7.5 in a network of its own inside.
const oneToOne = `
listen:
  - {address: "udp://10.0.0.5:5060", advertise: 203.0.113.5, name: outside}
  - {address: "udp://192.168.7.5:5060", name: inside}
admin: {listen: ADMIN}
state_dir: STATE
trunks:
  - {name: carrier, sources: [203.0.113.10]}
  - {name: office, sources: [192.168.7.20]}
health: {interval: 1s, fast_interval: 200ms}
connectors:
  - {name: far, region: world, hosts: ["sip:203.0.113.20"], listener: outside}
  - {name: near, region: office, hosts: ["sip:192.168.7.20"], listener: inside}
groups:
  - {name: to-far, connectors: [{connector: far, priority: 1}], numbers: ["+15550000001"]}
  - {name: to-near, connectors: [{connector: near, priority: 1}], numbers: ["+15550000002"]}
`

// mapped is that node and those who call through it.
type mapped struct {
	*node
	public, private, inside netip.AddrPort
	carrier, far, near      *peer
}

func newMapped(t *testing.T) *mapped {
	t.Helper()
	gate, world, office := newNamespace(t, ""), newNamespace(t, ""), newNamespace(t, "")
	cable(t, nil, "wan", []string{"10.0.0.5/24"}, gate, "node", []string{"10.0.0.1/24"})
	cable(t, gate, "pub", []string{"203.0.113.1/24", "203.0.113.5/24"}, world, "net", []string{"203.0.113.10/24", "203.0.113.20/24"})
	cable(t, nil, "lan", []string{"192.168.7.5/24"}, office, "desk", []string{"192.168.7.20/24"})
	command(t, "ip", "route", "add", "default", "via", "10.0.0.1")
	gate.forwards("add table ip nat; add chain ip nat pre { type nat hook prerouting priority -100; }; " +
		"add chain ip nat post { type nat hook postrouting priority 100; }; " +
		"add rule ip nat pre iif pub ip daddr 203.0.113.5 dnat to 10.0.0.5; " +
		"add rule ip nat post oif pub ip saddr 10.0.0.5 snat to 203.0.113.5")
	l := &lab{t: t, net: "127.0.0."}
	m := &mapped{
		public: netip.MustParseAddrPort("203.0.113.5:5060"), private: netip.MustParseAddrPort("10.0.0.5:5060"), inside: netip.MustParseAddrPort("192.168.7.5:5060"),
		carrier: world.at("203.0.113.10:5060"), far: world.at("203.0.113.20:5060"), near: office.at("192.168.7.20:5060"),
	}
	m.node = l.serveFile(m.private, l.admin(8080), oneToOne)
	return m
}

// crosses runs a call from a caller who knows the node as in to a callee who knows
// it as out, and has one of them end it.
func (m *mapped) crosses(caller, callee *peer, number string, in, out netip.AddrPort, calleeEnds bool) {
	t := m.t
	t.Helper()
	d := caller.call(in, number).start()
	invite := callee.pickUp()
	require.Equal(t, out, invite.from)
	require.Equal(t, out.String(), strings.Fields(strings.Split(invite.header("Via"), ";")[0])[1], "what its Via says")
	routes := invite.list("Record-Route")
	want := []netip.AddrPort{out, in}
	if in == out {
		want = want[:1]
	}
	require.Len(t, routes, len(want))
	for i, r := range routes {
		require.Equal(t, want[i], routeAddr(t, r))
	}
	require.NotContains(t, invite.raw, m.private.Addr().String(), "what only the gateway knows")
	require.Equal(t, in, caller.expect("180 INVITE").from)
	require.Equal(t, in, d.established().from)
	require.Equal(t, in, d.next(), "the caller's route set leads to where it called")
	require.Equal(t, out, callee.expect("ACK").from)
	if !calleeEnds {
		d.bye(callee)
		return
	}
	callee.send(out, d.fromCallee(callee, invite, "BYE", 1))
	bye := caller.expect("BYE")
	require.Equal(t, in, bye.from)
	require.Empty(t, bye.headers("Route"))
	caller.answer(bye, 200, "OK")
	require.Equal(t, out, callee.expect("200 BYE").from)
}

// Behind a gateway that translates its address and no ports, a node that
// advertises the public one is spoken of, and spoken to, by that alone.
func TestE2E_NetnsNodeBehindNAT(t *testing.T) {
	if !inNetns(t) {
		return
	}
	m := newMapped(t)
	for _, calleeEnds := range []bool{false, true} {
		m.crosses(m.carrier, m.far, "+15550000001", m.public, m.public, calleeEnds)
	}
	until(t, "answers to probes come back too", func() bool { return m.far.pings.Load() > 0 })
	until(t, "both are up", func() bool { return m.metric(`^tandem_host_state.*state="up"`) == 2 })

	// What names it is its own, and no number elsewhere.
	for i, own := range []string{"203.0.113.5", "203.0.113.5:5060", "10.0.0.5", "10.0.0.5:5060", "192.168.7.5"} {
		ask := m.carrier.ping(m.public, fmt.Sprintf("own%d", i))
		ask = strings.Replace(ask, "OPTIONS sip:203.0.113.5:5060 ", "OPTIONS sip:"+own+" ", 1)
		m.carrier.send(m.public, ask)
		m.carrier.expect("200 OPTIONS")
		d := m.carrier.call(m.public, "+15550000001", fmt.Sprintf("Route: <sip:%s;lr>", own)).start()
		invite := m.far.pickUp()
		require.Empty(t, invite.headers("Route"), own)
		m.carrier.expect("180 INVITE")
		d.established()
		m.far.expect("ACK")
		d.bye(m.far)
	}
	for _, foreign := range []string{"203.0.113.5:5070", "203.0.113.6"} {
		m.carrier.call(m.public, "+15550000001", fmt.Sprintf("Route: <sip:%s;lr>", foreign)).start().fails(403)
	}
	// A Contact that is the node itself is no way out: it would come back.
	d := m.carrier.call(m.public, "+15550000001").start()
	m.far.pickUp()
	m.carrier.expect("180 INVITE")
	d.established()
	m.far.expect("ACK")
	honest := d.target
	for _, own := range []netip.AddrPort{m.public, m.private, m.inside} {
		d.cseq++
		d.target = "sip:callee@" + own.String()
		d.send(d.next(), d.request("INFO", fmt.Sprintf("%sself%d", d.branch, d.cseq)))
		d.expect("403 INFO")
	}
	d.target = honest
	d.bye(m.far)
}

// A call between a network outside and one inside, which know nothing of each
// other, crosses two listeners: each side speaks to the one that it knows.
func TestE2E_NetnsBetweenTwoNetworks(t *testing.T) {
	if !inNetns(t) {
		return
	}
	m := newMapped(t)
	for _, calleeEnds := range []bool{false, true} {
		m.crosses(m.carrier, m.near, "+15550000002", m.public, m.inside, calleeEnds)
		m.crosses(m.near, m.far, "+15550000001", m.inside, m.public, calleeEnds)
		m.crosses(m.near, m.near, "+15550000002", m.inside, m.inside, false)
	}
}
