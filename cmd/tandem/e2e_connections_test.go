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
)

// serveTCP starts a node with UDP and TCP and the connectors of twoConnectors, the
// first one over TCP.
func (l *lab) serveTCP() *node {
	l.t.Helper()
	return l.serveFile(l.addr("127.0.0.1"), l.admin(8080), `
listen: ["udp://LISTEN", "tcp://LISTEN"]
admin: {listen: ADMIN}
state_dir: STATE
`+strings.Replace(twoConnectors, "127.0.0.11:5060", "127.0.0.11:5060;transport=tcp", 1))
}

// target is the URI in a Contact.
func (m message) target() string {
	_, contact, _ := strings.Cut(m.header("Contact"), "<")
	target, _, _ := strings.Cut(contact, ">")
	return target
}

// byeOf renders the BYE of the callee who was sent invite.
func (d *dialog) byeOf(callee *peer, invite message) string {
	lines := []string{"BYE " + invite.target() + " SIP/2.0", fmt.Sprintf("Via: SIP/2.0/%s %v;branch=%sback", callee.over, callee.addr, d.branch)}
	for _, r := range invite.list("Record-Route") {
		lines = append(lines, "Route: "+r)
	}
	return render(append(lines, "Max-Forwards: 70", "From: "+d.final.header("To"), "To: "+d.final.header("From"),
		"Call-ID: "+d.id, "CSeq: 1 BYE"), nil, "")
}

// Who hangs up on a peer that cannot be connected to hears of it at once, and not
// after 32 s (RFC 3261 16.9); and a peer that was not there is not called again by
// everybody who is told to.
func TestE2E_CalleeThatCannotBeConnectedTo(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"UDP", "TCP"} {
		t.Run("from "+over, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			caller := l.peer("127.0.0.2")
			if over == "TCP" {
				caller, _ = l.streamPeer("127.0.0.3", nil)
			}
			first, _ := l.streamPeer("127.0.0.11", nil)
			n := l.serveTCP()
			refused := func(d *dialog) {
				t.Helper()
				d.cseq++
				began := time.Now()
				d.send(d.next(), d.request("BYE", d.branch+"bye"))
				m := d.expect("503 BYE")
				require.Less(t, time.Since(began), time.Second)
				require.Len(t, m.list("Via"), 1)
				require.Equal(t, d.branch+"bye", m.branch())
				require.Equal(t, []string{d.from, d.to, d.id}, []string{m.header("From"), m.header("To"), m.header("Call-ID")})
			}

			// A Contact where nobody is. The ACK finds that out, and the BYE is told.
			d := caller.call(n.addr, "+15550000001").start()
			invite := first.expect("INVITE")
			first.answer(invite, 200, "OK", "Contact: <sip:agent@"+l.place("127.0.0.21")+":5060;transport=tcp>")
			d.established()
			require.Eventually(t, func() bool { return n.metric(`^tandem_stream_ended_total.*"connect_failed"`) == 1 }, patience, readyEvery)
			refused(d)
			require.EqualValues(t, 1, n.metric(`^tandem_stream_ended_total.*"connect_failed_a_moment_ago"`))
			require.EqualValues(t, 1, n.metric(`^tandem_stream_ended_total.*"connect_failed"`))

			// A host that has gone since: that is one to be called again.
			d = caller.call(n.addr, "+15550000001").start()
			first.pickUp()
			d.expect("180 INVITE")
			d.established()
			first.expect("ACK")
			first.close()
			require.Eventually(t, func() bool { return n.metric(`^tandem_stream_connections\{direction="out"`) == 0 }, patience, readyEvery)
			refused(d)
			require.Greater(t, n.metric(`^tandem_stream_ended_total.*"connect_failed"`), 1.0)
		})
	}
}

// A callee hangs up on a caller over TLS whose Contact is where it listens, and not
// its connection: a new one is opened, to who proves to be what the Contact says.
func TestE2E_TLSCallerListensElsewhere(t *testing.T) {
	t.Parallel()
	for name, proves := range map[string]bool{"its address": true, "another's name": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, a := newLab(t), newAuthority(t)
			secure := l.serveTLS(a, "clients: optional, client_ca: DIR/ca.pem", tlsConnectors).over("127.0.0.1:5061")
			first, _ := l.streamPeer("127.0.0.11:5061", a.end("first.example.com", nodeName))
			who := "other.example.com"
			if proves {
				who = l.place("127.0.0.2")
			}
			caller, socket := l.streamPeer("127.0.0.2:5061", a.end(who, nodeName).open())
			d := caller.call(secure.addr, "+15550000001").start()
			invite := first.pickUp()
			require.Contains(t, invite.target(), caller.addr.String())
			d.expect("180 INVITE")
			d.established()
			first.expect("ACK")
			first.send(invite.from, d.byeOf(first, invite))
			accepted, _ := socket.handshakes()
			require.Zero(t, accepted, "its own connection is to another address")
			if !proves {
				first.expect("503 BYE")
				require.Contains(t, secure.logged("certificate refused")["error"], "it is for "+`"other.example.com", not for `)
				caller.quiet(settle)
				return
			}
			caller.answer(caller.expect("BYE"), 200, "OK")
			first.expect("200 BYE")
			accepted, _ = socket.handshakes()
			require.Equal(t, 1, accepted)
		})
	}
}

// A caller with a certificate that asks for it has the callee's BYE on the
// connection that it opened (RFC 5923).
func TestE2E_TLSCallerWithAlias(t *testing.T) {
	t.Parallel()
	l, a := newLab(t), newAuthority(t)
	secure := l.serveTLS(a, "clients: required, client_ca: DIR/ca.pem", tlsConnectors).over("127.0.0.1:5061")
	first, _ := l.streamPeer("127.0.0.11:5061", a.end("first.example.com", nodeName))
	caller, socket := l.streamPeer("127.0.0.2:5061", a.end(l.place("127.0.0.2"), nodeName))
	d := caller.call(secure.addr, "+15550000001")
	d.invite = strings.Replace(d.invite, ";rport", ";rport;alias", 1)
	d.start()
	invite := first.pickUp()
	d.expect("180 INVITE")
	d.established()
	first.expect("ACK")
	first.send(invite.from, d.byeOf(first, invite))
	caller.answer(caller.expect("BYE"), 200, "OK")
	first.expect("200 BYE")
	accepted, failed := socket.handshakes()
	require.Zero(t, accepted)
	require.Empty(t, failed)
	require.EqualValues(t, 1, secure.metric(`^tandem_stream_connections_total.*"out"`), "none but to the host")
}

// A caller of a symmetric trunk, with a Contact that leads nowhere, has the callee's
// BYE on the connection that it opened; when that has ended, nobody is connected to
// (RFC 5626 5.3).
func TestE2E_SymmetricTrunkOverTCP(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	first := l.peer("127.0.0.11")
	n := l.serveFile(l.addr("127.0.0.1"), l.admin(8080), `
listen: ["udp://LISTEN", "tcp://LISTEN"]
admin: {listen: ADMIN}
state_dir: STATE
trunks: [{name: branch, sources: [127.0.0.0/8], symmetric: true}]
`+twoConnectors)
	caller, socket := l.streamPeer("127.0.0.3", nil)
	for _, ended := range []bool{false, true} {
		d := caller.call(n.addr, "+15550000001")
		d.invite = strings.Replace(d.invite, "<sip:caller@"+caller.reached()+">", "<sip:caller@phone.invalid;transport=tcp>", 1)
		d.start()
		invite := first.pickUp()
		require.Equal(t, "sip:caller@phone.invalid;transport=tcp", invite.target())
		d.expect("180 INVITE")
		d.established()
		first.expect("ACK")
		if ended {
			socket.hangUp(n.addr)
			until(t, "it has ended", func() bool { return n.metric(`^tandem_stream_ended_total.*"closed_by_the_peer"`) >= 1 })
		}
		first.send(invite.from, d.byeOf(first, invite))
		if ended {
			first.expect("503 BYE")
			break
		}
		bye := caller.expect("BYE")
		require.Equal(t, invite.target(), bye.uri())
		caller.answer(bye, 200, "OK")
		first.expect("200 BYE")
	}
	require.Zero(t, n.metric(`^tandem_stream_connections_total.*"out"`), "the node opened none")
}

// A response whose connection has ended goes to where the caller listens, and to
// no port of the moment.
func TestE2E_ResponseAfterItsConnectionEnded(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	first, _ := l.streamPeer("127.0.0.11", nil) // before its first probe
	n := l.serveTCP()
	caller, socket := l.streamPeer("127.0.0.3", nil)
	d := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	socket.hangUp(n.addr)
	require.Eventually(t, func() bool { return n.metric(`^tandem_stream_ended_total.*"closed_by_the_peer"`) >= 1 }, patience, readyEvery)
	first.answer(invite, 180, "Ringing", first.contact())
	m := caller.expect("180 INVITE")
	require.NotEqual(t, n.addr, m.from, "on a connection of the node's")
	first.answer(invite, 200, "OK", first.contact())
	d.established()
	first.expect("ACK")
	d.bye(first)
	require.Zero(t, n.metric(`^tandem_stream_ended_total.*"connect_failed"`))
	require.EqualValues(t, 2, n.metric(`^tandem_stream_ended_total.*"response_without_its_connection"`))
	require.EqualValues(t, 2, n.metric(`^tandem_stream_connections_total.*"out"`), "one to each, for all that there was")
}

// hangUp closes the connection to an address.
func (s *streamSocket) hangUp(to netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conns[to].(*net.TCPConn).CloseWrite()
}
