//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const nodeName = "node.example.com"

// serveTLS starts a node with a listener of each transport: UDP and TCP at port
// 5060, TLS at 5061 (see pairs for the rest). The TLS listener asks for clients as
// is said.
func (l *lab) serveTLS(a *authority, clients, config string) *node {
	l.t.Helper()
	a.sign(nodeName)
	return l.serveFile(l.addr("127.0.0.1"), l.admin(8080), strings.NewReplacer("DIR", a.dir, "CLIENTS", strings.ReplaceAll(clients, "DIR", a.dir)).Replace(`
listen:
  - udp://LISTEN
  - tcp://LISTEN
  - {address: "tls://127.0.0.1:5061", tls: {certificate: DIR/node.example.com.pem, key: DIR/node.example.com.key, CLIENTS}}
admin: {listen: ADMIN}
state_dir: STATE
`+config))
}

// tlsConnectors are a connector over TLS, which has to be first.example.com, and
// one over UDP behind it.
const tlsConnectors = `
connectors:
  - name: first
    region: east
    hosts: ["sip:127.0.0.11:5061;transport=tls"]
    tls: {name: first.example.com, ca: DIR/ca.pem, certificate: DIR/node.example.com.pem, key: DIR/node.example.com.key}
  - {name: second, region: west, hosts: ["sip:127.0.0.12:5060"]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
`

// Calls come over TLS and leave over TLS, whatever each side has to show, and the
// node shows its own certificates.
func TestE2E_TLSCalls(t *testing.T) {
	t.Parallel()
	for name, asked := range map[string]struct {
		clients string
		both    bool // the peers ask for a certificate, and have one
	}{
		"certificates on both sides": {"clients: required, client_ca: DIR/ca.pem", true},
		"nothing is asked":           {"clients: any", false},
		"may be shown and is not":    {"clients: optional, client_ca: DIR/ca.pem", false},
		"may be shown and is":        {"clients: optional, client_ca: DIR/ca.pem", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, a := newLab(t), newAuthority(t)
			callerEnd, firstEnd := a.end("carrier.example.com", nodeName), a.end("first.example.com", nodeName)
			if !asked.both {
				callerEnd, firstEnd = callerEnd.open(), firstEnd.open()
			}
			caller, _ := l.streamPeer("127.0.0.2:5061", callerEnd)
			first, _ := l.streamPeer("127.0.0.11:5061", firstEnd)
			n := l.serveTLS(a, asked.clients, tlsConnectors)
			for range 20 {
				n.over("127.0.0.1:5061").goodCall(caller, first, "+15550000001")
			}
			require.Zero(t, n.metric(`^tandem_failovers_total`))
		})
	}
}

// over is the node as peers of another listener see it.
func (n *node) over(listener string) *node {
	other := *n
	other.addr = n.lab.addr(listener)
	return &other
}

// TLS and the others meet in one call, both ways.
func TestE2E_TLSAndOthers(t *testing.T) {
	t.Parallel()
	l, a := newLab(t), newAuthority(t)
	secure := l.serveTLS(a, "clients: any", tlsConnectors+`
    # and the other way
  - {name: back, connectors: [{connector: second, priority: 1}], numbers: ["+15550000002"]}
`).over("127.0.0.1:5061")
	plain := secure.over("127.0.0.1:5060")
	first, _ := l.streamPeer("127.0.0.11:5061", a.end("first.example.com", nodeName))
	second := l.peer("127.0.0.12")
	overTLS, _ := l.streamPeer("127.0.0.2:5061", a.end("carrier.example.com", nodeName))
	overTCP, _ := l.streamPeer("127.0.0.3:5060", nil)
	overUDP := l.peer("127.0.0.2")
	for range 10 {
		secure.goodCall(overTLS, second, "+15550000002")
		plain.goodCall(overTCP, first, "+15550000001")
		plain.goodCall(overUDP, first, "+15550000001")
	}
}

// A callee's BYE reaches a caller over TLS on the connection that the call came by,
// which is what its Contact says; and over TCP where the caller listens.
func TestE2E_CalleeHangsUpOverConnections(t *testing.T) {
	t.Parallel()
	l, a := newLab(t), newAuthority(t)
	secure := l.serveTLS(a, "clients: any", tlsConnectors).over("127.0.0.1:5061")
	first, _ := l.streamPeer("127.0.0.11:5061", a.end("first.example.com", nodeName))
	overTLS, socket := l.streamPeer("127.0.0.2:5061", a.end("carrier.example.com", nodeName))
	overTCP, _ := l.streamPeer("127.0.0.3:5060", nil)
	conn, err := socket.connect(secure.addr)
	require.NoError(t, err)
	own := conn.LocalAddr().(*net.TCPAddr).AddrPort()

	hangsUp := func(d *dialog) {
		t.Helper()
		d.start()
		invite := first.pickUp()
		d.expect("180 INVITE")
		d.established()
		first.expect("ACK")
		_, contact, _ := strings.Cut(invite.header("Contact"), "<")
		target, _, _ := strings.Cut(contact, ">")
		lines := []string{"BYE " + target + " SIP/2.0", fmt.Sprintf("Via: SIP/2.0/TLS %v;branch=%sback", first.addr, d.branch)}
		for _, r := range invite.list("Record-Route") {
			lines = append(lines, "Route: "+r)
		}
		lines = append(lines, "Max-Forwards: 70", "From: "+d.final.header("To"), "To: "+d.final.header("From"),
			"Call-ID: "+d.id, "CSeq: 1 BYE")
		first.send(invite.from, render(lines, nil, ""))
		d.answer(d.expect("BYE"), 200, "OK")
		first.expect("200 BYE")
	}
	d := overTLS.call(secure.addr, "+15550000001")
	d.invite = strings.Replace(d.invite, "caller@"+overTLS.addr.String(), "caller@"+own.String(), 1)
	hangsUp(d)
	hangsUp(overTCP.call(secure.over("127.0.0.1:5060").addr, "+15550000001"))
}

// Who has to show a certificate and has none makes no call, and the log says why.
func TestE2E_TLSClientWithoutCertificate(t *testing.T) {
	t.Parallel()
	l, a := newLab(t), newAuthority(t)
	first, _ := l.streamPeer("127.0.0.11:5061", a.end("first.example.com", nodeName))
	caller, socket := l.streamPeer("127.0.0.2:5061", a.end("carrier.example.com", nodeName).open())
	n := l.serveTLS(a, "clients: required, client_ca: DIR/ca.pem", tlsConnectors).over("127.0.0.1:5061")

	// With TLS 1.3 the client has done its part before it is refused.
	_, _ = socket.WriteToUDPAddrPort([]byte(caller.call(n.addr, "+15550000001").invite), n.addr)
	line := n.logged("certificate refused")
	require.Equal(t, "the client shows no certificate, and has to", line["error"])
	require.Contains(t, line["peer"], l.place("127.0.0.2:"))
	first.quiet(settle)
	require.Zero(t, n.metric(`^tandem_requests_received_total.*INVITE`))
	require.EqualValues(t, 1, n.metric(`^tandem_stream_ended_total.*reason="certificate_refused"`))
}

// A host that shows a certificate for another name gets no call, however well it
// answers: the call goes on to the next connector, at once (RFC 5922 7.3).
func TestE2E_TLSHostOfAnotherName(t *testing.T) {
	t.Parallel()
	l, a := newLab(t), newAuthority(t)
	first, socket := l.streamPeer("127.0.0.11:5061", a.end("other.example.com", nodeName))
	second, caller := l.peer("127.0.0.12"), l.peer("127.0.0.2")
	n := l.serveTLS(a, "clients: any", tlsConnectors+"health: {probe: false}\n")
	began := time.Now()
	n.goodCall(caller, second, "+15550000001")
	require.Less(t, time.Since(began), time.Second, "first_response is 2 s")
	first.quiet(settle)
	_, failed := socket.handshakes()
	require.NotEmpty(t, failed)
	line := n.logged("certificate refused")
	require.Contains(t, line["error"], `it is for "other.example.com", not for "first.example.com"`)
	require.EqualValues(t, 1, n.metric(`^tandem_failovers_total`))
}

// Where nobody listens a call goes on at once.
func TestE2E_TCPPortRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.serveFile(l.addr("127.0.0.1"), l.admin(8080), `
listen: ["udp://LISTEN", "tcp://LISTEN"]
admin: {listen: ADMIN}
state_dir: STATE
health: {probe: false}
`+strings.Replace(twoConnectors, "127.0.0.11:5060", "127.0.0.11:5060;transport=tcp", 1))
	second, caller := l.peer("127.0.0.12"), l.peer("127.0.0.2")
	began := time.Now()
	n.goodCall(caller, second, "+15550000001")
	require.Less(t, time.Since(began), time.Second, "first_response is 2 s")
	require.EqualValues(t, 1, n.metric(`^tandem_failovers_total`))
	require.EqualValues(t, 1, n.metric(`^tandem_stream_ended_total.*reason="connect_failed"`))
}

// Probes go over the transport of their host, and find it down and up again.
func TestE2E_ProbesOverConnections(t *testing.T) {
	t.Parallel()
	l, a := newLab(t), newAuthority(t)
	hosts := map[string]*endTLS{"127.0.0.11:5061": a.end("first.example.com", nodeName), "127.0.0.13:5060": nil}
	up := make(map[string]*peer)
	open := func(host string) { up[host], _ = l.streamPeer(host, hosts[host]) }
	for host := range hosts {
		open(host)
	}
	config := strings.Replace(tlsConnectors, `"sip:127.0.0.12:5060"`, `"sip:127.0.0.13:5060;transport=tcp"`, 1) +
		strings.Replace(quick, "doubt_hold: 1s", "doubt_hold: 1s, slow_start: off", 1)
	n := l.serveTLS(a, "clients: any", config)
	state := func(host, state string) {
		t.Helper()
		require.Eventually(t, func() bool {
			return n.metric(fmt.Sprintf(`^tandem_host_state\{.*host="sip:%s.*state="%s"`, l.addr(host), state)) == 1
		}, 2*patience, readyEvery, "%s is not %s:\n%s", host, state, n.logs)
	}
	for host := range hosts {
		state(host, "up")
		require.Eventually(t, func() bool { return up[host].pings.Load() > 1 }, patience, readyEvery)
		up[host].close()
		state(host, "down")
		open(host)
		state(host, "up")
	}
}

// The limits of connections are the config's.
func TestE2E_StreamLimits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.serveFile(l.addr("127.0.0.1"), l.admin(8080), `
listen: ["udp://LISTEN", "tcp://LISTEN"]
admin: {listen: ADMIN}
state_dir: STATE
streams: {per_source: 2, body: 1024, keep_alive: 1s}
health: {probe: false}
`+strings.Replace(twoConnectors, "127.0.0.11:5060", "127.0.0.11:5060;transport=tcp", 1))
	first, _ := l.streamPeer("127.0.0.11:5060", nil)
	caller, _ := l.streamPeer("127.0.0.2:5060", nil)
	ended := func(reason string) float64 {
		return n.metric(`^tandem_stream_ended_total.*reason="` + reason + `"`)
	}
	n.goodCall(caller, first, "+15550000001")
	until(t, "pings on the connection to the host", func() bool { return n.metric(`^tandem_stream_pings_total.*kind="out"`) > 0 })
	for i := range 2 {
		from := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(l.addr("127.0.0.2:0")), Timeout: patience}
		conn, err := from.Dial("tcp", n.addr.String())
		if i == 1 && errors.Is(err, syscall.ECONNRESET) {
			break // the third was refused before it looked
		}
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
	}
	until(t, "the third connection refused", func() bool { return ended("too_many_connections_of_the_source") == 1 })

	d := caller.call(n.addr, "+15550000001")
	d.invite = strings.Replace(d.invite, fmt.Sprintf("%d\r\n\r\n%s", len(sdp), sdp), "1025\r\n\r\n"+strings.Repeat("x", 1025), 1)
	d.start()
	until(t, "the connection of the long body ended", func() bool { return ended("body_too_long") == 1 })
	first.quiet(settle)
}
