//go:build linux

package main_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// connect has a peer hear one address only, as a phone's connected socket does:
// the kernel drops what comes from any other.
func (p *peer) connect(to netip.AddrPort) {
	p.t.Helper()
	raw, err := p.conn.(*net.UDPConn).SyscallConn()
	require.NoError(p.t, err)
	require.NoError(p.t, raw.Control(func(fd uintptr) {
		err = unix.Connect(int(fd), &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	}))
	require.NoError(p.t, err)
}

// A wildcard listener answers from the address that was asked, whatever the
// node advertises: new requests, and those within dialogs, of both sides.
func TestE2E_NetnsWildcardAnswersFromTheAddressAsked(t *testing.T) {
	if !inNetns(t) {
		return
	}
	command(t, "ip", "addr", "add", "127.0.0.3/8", "dev", "lo")
	l := &lab{t: t, net: "127.0.0."}
	first := l.peer("127.0.0.11:5080") // port 5060 of all of 127.0.0.0/8 is the node itself
	n := l.serveFile(l.addr("0.0.0.0:5060"), l.admin(8080), configHead+strings.ReplaceAll(twoConnectors, ":5060", ":5080")+
		"advertise: 127.0.0.1\nhealth: {probe: false}\n")
	for i, asked := range []netip.AddrPort{l.addr("127.0.0.1"), l.addr("127.0.0.3")} {
		caller, desk := l.peer(fmt.Sprintf("127.0.0.2:%d", 5061+i)), l.peer(fmt.Sprintf("127.0.0.2:%d", 5071+i))
		callee := l.peer(fmt.Sprintf("127.0.0.11:%d", 5061+i)) // what the callee's requests leave from
		caller.connect(asked)
		callee.connect(asked)

		// Answers of the node's own, without a call and of one.
		caller.send(asked, caller.ping(asked, fmt.Sprintf("ask%d", i)))
		caller.expect("200 OPTIONS")
		caller.call(asked, "+15559999999").start().fails(404)
		d := caller.call(asked, "+15550000001").start()
		caller.expect("100 INVITE")
		invite := first.expect("INVITE")
		first.answer(invite, 180, "Ringing", first.contact())
		caller.expect("180 INVITE")
		caller.send(asked, d.cancel())
		caller.expect("200 CANCEL")
		first.answer(first.expect("CANCEL"), 200, "OK")
		first.answer(invite, 487, reasons[487])
		first.expect("ACK")
		final := caller.expect("487 INVITE")
		caller.expectAgain(final) // a timer sends this one
		d.ackFailure(final)

		// A call. What the node sends the caller unasked goes to its Contact.
		d = caller.call(asked, "+15550000001")
		d.invite = strings.Replace(d.invite, "sip:caller@"+caller.addr.String(), "sip:desk@"+desk.addr.String(), 1)
		d.start()
		invite = first.expect("INVITE")
		first.answer(invite, 180, "Ringing", first.contact())
		caller.expect("180 INVITE")
		first.answer(invite, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
		require.Equal(t, asked, d.established().from)
		first.expect("ACK")

		// Requests within it, from both sides, to the address that they know.
		d.cseq++
		d.send(asked, d.request("INFO", d.branch+"info"))
		first.answer(first.expect("INFO"), 200, "OK")
		caller.expect("200 INFO")
		callee.send(asked, d.fromCallee(callee, invite, "INFO", 1))
		desk.answer(desk.expect("INFO"), 200, "OK")
		callee.expect("200 INFO")
		callee.send(asked, d.fromCallee(callee, invite, "BYE", 2))
		desk.answer(desk.expect("BYE"), 200, "OK")
		callee.expect("200 BYE")
	}
	require.Zero(t, n.metric(`^tandem_udp_local_refused_total`))
}

// fromCallee renders a request within the dialog as the callee sends it. invite
// is the INVITE as it came to the callee.
func (d *dialog) fromCallee(callee *peer, invite message, method string, cseq int) string {
	_, target, _ := strings.Cut(invite.header("Contact"), "<")
	target, _, _ = strings.Cut(target, ">")
	lines := []string{
		method + " " + target + " SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/UDP %v;branch=%scallee%d;rport", callee.addr, d.branch, cseq),
	}
	for _, r := range invite.list("Record-Route") {
		lines = append(lines, "Route: "+r)
	}
	return render(append(lines, "Max-Forwards: 70", "From: "+d.to, "To: "+d.from, "Call-ID: "+d.id,
		fmt.Sprintf("CSeq: %d %s", cseq, method)), nil, "")
}

// inside and outside are listeners with names; the first connector is reached
// through inside.
const namedListeners = `
listen:
  - {address: "udp://127.0.0.1:5060", name: outside}
  - {address: "udp://127.0.0.3:5070", name: inside}
admin: {listen: ADMIN}
state_dir: STATE
trunks: [{name: carrier, sources: [127.0.0.2]}]
health: {interval: 1s, fast_interval: 200ms}
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:127.0.0.11:5060"}], listener: inside}
  - {name: second, region: west, hosts: [{uri: "sip:127.0.0.12:5060"}]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
`

// probed waits for an OPTIONS at a socket that nobody reads yet, answers it and
// returns where it came from.
func probed(t testing.TB, conn *net.UDPConn) netip.AddrPort {
	t.Helper()
	buf := make([]byte, 2048)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(2*patience)))
	size, from, err := conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	m := message{raw: string(buf[:size])}
	require.Equal(t, "OPTIONS", m.what())
	require.Contains(t, m.header("Via"), from.String(), "its Via says the same")
	_, err = conn.WriteToUDPAddrPort([]byte(m.reply(200, "OK")), from)
	require.NoError(t, err)
	return from
}

// A connector that chose a listener sees calls, requests within them and
// OPTIONS from that one; the other connector from the one that was asked.
func TestE2E_ConnectorChoosesItsListener(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	outside, inside := l.addr("127.0.0.1"), l.addr("127.0.0.3:5070")
	listen := func(host string) *net.UDPConn {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(l.addr(host)))
		require.NoError(t, err)
		return conn
	}
	firstConn, secondConn := listen("127.0.0.11"), listen("127.0.0.12")
	n := l.serveFile(outside, l.admin(8080), namedListeners)
	require.Equal(t, inside, probed(t, firstConn))
	require.Equal(t, outside, probed(t, secondConn))
	first, second, caller := newPeer(t, firstConn), newPeer(t, secondConn), l.peer("127.0.0.2")
	first.connect(inside)
	second.connect(outside)
	caller.connect(outside)

	d := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	require.Equal(t, inside, invite.from)
	require.Contains(t, invite.header("Via"), inside.String())
	first.answer(invite, 503, reasons[503])
	require.Equal(t, inside, first.expect("ACK").from)
	require.Equal(t, outside, second.pickUp().from)
	caller.expect("180 INVITE")
	d.established()
	require.Equal(t, outside, second.expect("ACK").from)
	d.bye(second)

	d = caller.call(n.addr, "+15550000001").start()
	invite = first.pickUp()
	routes := invite.list("Record-Route")
	require.NotEmpty(t, routes)
	require.Equal(t, inside, routeAddr(t, routes[0]), "the callee's side of the Record-Route")
	require.Equal(t, outside, routeAddr(t, routes[len(routes)-1]), "the caller's")
	caller.expect("180 INVITE")
	d.established()
	require.Equal(t, outside, d.next(), "the caller's route set leads to where it called")
	require.Equal(t, inside, first.expect("ACK").from)

	// The callee ends it, through the listener that it knows.
	first.send(inside, d.fromCallee(first, invite, "BYE", 1))
	got := caller.expect("BYE")
	require.Equal(t, outside, got.from)
	require.Empty(t, got.headers("Route"))
	caller.answer(got, 200, "OK")
	require.Equal(t, inside, first.expect("200 BYE").from)
}

// A callee that gives a name in Contact: it is looked up, and ACK and BYE reach
// it there. The names are those of /etc/hosts.
func TestE2E_NameInContact(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // localhost's
	require.NoError(t, err)
	caller, first, phone := l.peer("127.0.0.2"), l.peer("127.0.0.11"), newPeer(t, conn)
	n := l.serve(twoConnectors)
	for range 3 { // at first nobody has asked for the name
		d := caller.call(n.addr, "+15550000001").start()
		invite := first.expect("INVITE")
		contact := fmt.Sprintf("Contact: <sip:callee@localhost:%d>", phone.addr.Port())
		first.answer(invite, 180, "Ringing", contact)
		caller.expect("180 INVITE")
		first.answer(invite, 200, "OK", contact, "Content-Type: application/sdp", "\r\n"+sdp)
		d.established()
		ack := phone.expect("ACK")
		require.True(t, strings.HasPrefix(ack.uri(), "sip:callee@localhost:"), "the name stays: %s", ack.uri())
		d.bye(phone)
		first.quiet(0)
	}
	require.Equal(t, 1.0, n.metric(`^tandem_name_lookups_total{result="found"}`), "one question for all of them")
	require.Greater(t, n.metric(`^tandem_parked_total`), 0.0, "the first request waited for it")
	require.Equal(t, 1.0, n.metric(`^tandem_names$`))
}
