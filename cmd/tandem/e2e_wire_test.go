//go:build linux

package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 3261 18.2.2 and RFC 3581: where a response goes.
func TestE2E_ResponsesGoWhereTheViaSays(t *testing.T) {
	t.Parallel()
	const symmetric = "trunks: [{name: carrier, sources: [127.0.0.0/24], symmetric: true}]\n"
	for name, c := range map[string]struct {
		config, rport string
		atSource      bool
	}{
		"rport: to the source port":           {"", ";rport", true},
		"no rport: to the sent-by port":       {"", "", false},
		"symmetric trunk: to the source port": {symmetric, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			source, sentBy, first := l.peer("127.0.0.2:5071"), l.peer("127.0.0.2:5072"), l.peer("127.0.0.11")
			n := l.serve(c.config + twoConnectors)
			d := source.call(n.addr, "+15550000001")
			// The Via names a host that is not ours and the port of sentBy.
			d.invite = strings.Replace(d.invite, fmt.Sprintf("Via: SIP/2.0/UDP %v;branch=%s;rport", source.addr, d.branch),
				fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.1:%d;branch=%s%s", sentBy.addr.Port(), d.branch, c.rport), 1)
			d.start()
			m := first.expect("INVITE")
			via := m.list("Via")[1]
			require.Equal(t, source.addr.Addr().String(), param(via, "received"))
			if c.rport != "" {
				require.Equal(t, fmt.Sprint(source.addr.Port()), param(via, "rport"))
			}
			first.answer(m, 486, "Busy Here")
			if c.atSource {
				source.expect("486 INVITE")
				sentBy.quiet(settle)
			} else {
				sentBy.expect("486 INVITE")
				source.quiet(settle)
			}
		})
	}
}

// What a trunk and a connector do to the number.
func TestE2E_NumberRewriting(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(`
trunks: [{name: carrier, sources: [127.0.0.2/32], strip: "00", prepend: "+"}]
connectors:
  - {name: first, number: e164, hosts: [{uri: "sip:127.0.0.11:5060;transport=udp"}]}
  - {name: second, request_uri: keep, hosts: [{uri: "sip:127.0.0.12"}]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550001000-+15550001999"]
`)
	for _, dialled := range []string{"0015550001234", "+1-555-000-1234;phone-context=x", "%2B15550001234"} {
		d := caller.call(n.addr, dialled).start()
		m := first.expect("INVITE")
		require.True(t, strings.HasPrefix(m.uri(), "sip:15550001234"), "%s became %s", dialled, m.uri())
		require.Contains(t, m.uri(), "@"+first.addr.String()+";transport=udp")
		first.answer(m, 503, reasons[503])
		kept := second.expect("INVITE")
		require.Contains(t, kept.uri(), "@"+n.addr.String(), "request_uri: keep")
		second.answer(kept, 486, reasons[486])
		first.expect("ACK")
		second.expect("ACK")
		d.fails(486)
	}
	d := caller.call(n.addr, "+15550001234") // a tel URI
	d.target = "tel:+15550001234"
	d.invite = strings.Replace(d.invite, "INVITE sip:+15550001234@"+n.addr.String(), "INVITE "+d.target, 1)
	d.start()
	m := first.expect("INVITE")
	require.True(t, strings.HasPrefix(m.uri(), "sip:15550001234@"), m.uri())
	require.Contains(t, m.uri(), "user=phone")
	first.answer(m, 486, reasons[486])
	first.expect("ACK")
	d.fails(486)
}

// Datagrams far above the path's MTU pass whole, both ways.
func TestE2E_LargeMessages(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	body := strings.Repeat("a=candidate: 1234567890\r\n", 2400) // 60,000 bytes
	d := caller.call(n.addr, "+15550000001", "\r\n"+body)
	d.invite = d.request("INVITE", d.branch, caller.contact(), "\r\n"+body)
	d.start()
	m := first.expect("INVITE")
	require.Equal(t, body, m.body())
	first.answer(m, 200, "OK", first.contact(), "\r\n"+body)
	require.Equal(t, body, d.established().body())
	first.expect("ACK")
	d.bye(first)
}

func TestE2E_RetransmissionsAreAbsorbed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	m := first.expect("INVITE")
	first.answer(m, 180, "Ringing", first.contact())
	ringing := caller.expect("180 INVITE")
	caller.send(n.addr, d.invite)
	caller.expectAgain(ringing) // the last provisional (RFC 3261 17.2.1)
	first.quiet(settle)

	ok := []string{first.contact(), "Content-Type: application/sdp", "\r\n" + sdp}
	first.answer(m, 200, "OK", ok...)
	answer := caller.expect("200 INVITE")
	first.answer(m, 200, "OK", ok...) // the ACK is late
	caller.expectAgain(answer)        // every 2xx is relayed
	caller.send(n.addr, d.invite)     // RFC 6026: absorbed, though answered
	first.quiet(settle)
	caller.inbox <- answer // for established
	delete(caller.seen, answer.raw)
	d.established()
	first.expect("ACK")
	d.bye(first)
}

// Branches survive a crash, so the connector sees a retransmission and not a
// second call.
func TestE2E_RetransmissionAfterRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	before := first.expect("INVITE")
	n.crash()
	n.start()
	caller.send(n.addr, d.invite)
	after := first.expectAgain(before)
	first.answer(after, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	d.established()
	first.expect("ACK")
	d.bye(first)
}

// Strangers cost little: 403s are bounded, and so is the log.
func TestE2E_UntrustedFlood(t *testing.T) {
	t.Parallel()
	const flood = 2000
	l := newLab(t)
	caller, stranger, first := l.peer("127.0.0.2"), l.peer("127.0.0.66"), l.peer("127.0.0.11")
	n := l.serve(onlyCaller + twoConnectors)
	for range flood {
		d := stranger.call(n.addr, "+15550000001")
		_, err := stranger.conn.WriteToUDPAddrPort([]byte(d.invite), n.addr)
		require.NoError(t, err)
	}
	n.goodCall(caller, first, "+15550000001")
	replies := n.metric(`^tandem_replies_total{class="4xx"}`)
	require.Less(t, replies, flood/2.0)
	require.LessOrEqual(t, strings.Count(n.logs.String(), "no trunk"), 10)
	first.quiet(0)
}

func TestE2E_IPv6(t *testing.T) {
	t.Parallel()
	// There is one IPv6 loopback address, so ports have to differ.
	port := func() int {
		conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		return conn.LocalAddr().(*net.UDPAddr).Port
	}
	open := func() *peer {
		conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
		require.NoError(t, err)
		return newPeer(t, conn)
	}
	l := newLab(t)
	caller, first, second := open(), open(), open()
	n := l.serveAt(fmt.Sprintf("[::1]:%d", port()), fmt.Sprintf(`
connectors:
  - {name: first, hosts: [{uri: "sip:%v"}]}
  - {name: second, hosts: [{uri: "sip:%v"}]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
`, first.addr, second.addr))
	d := caller.call(n.addr, "+15550000001").start()
	m := first.expect("INVITE")
	require.Contains(t, m.header("Via"), n.addr.String())
	first.answer(m, 503, reasons[503])
	second.pickUp()
	first.expect("ACK")
	caller.expect("180 INVITE")
	d.established()
	second.expect("ACK")
	d.bye(second)
}

func TestE2E_MetricsOfTheirOwn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.serve(twoConnectors + "metrics: {listen: 127.0.0.1:9090}\n")
	metrics := *n
	metrics.admin = l.place("127.0.0.1:9090")
	require.Zero(t, metrics.metric(`^tandem_calls_total`))
	out, code := run(t, "healthcheck", "--admin", "http://"+metrics.admin)
	require.Equal(t, 0, code, out)
}

func TestE2E_RecordRouteFalse(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors + "record_route: false\n")
	d := caller.call(n.addr, "+15550000001").start()
	require.Empty(t, first.pickUp().headers("Record-Route"))
	caller.expect("180 INVITE")
	d.established() // straight to the connector
	first.expect("ACK")
	d.bye(first)
}

// The README's first command, shortened: no call is lost and the story is told.
func TestE2E_Demo(t *testing.T) {
	t.Parallel()
	out, code := run(t, "demo", "--duration", "9s", "--rate", "10")
	require.Equal(t, 0, code, out)
	for _, part := range []string{"DIES", "is down", "BACK", "answers calls again", "0 lost"} {
		require.Contains(t, out, part, out)
	}
}

// A secret shared by configuration does as well as one kept in state_dir.
func TestE2E_SecretFromTheEnvironment(t *testing.T) {
	l := newLab(t) // not parallel: it sets the environment
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	t.Setenv("TANDEM_E2E_SECRET", "0123456789abcdef0123456789abcdef")
	n := l.serve(twoConnectors + "secrets: [\"${TANDEM_E2E_SECRET}\"]\n")
	d := caller.call(n.addr, "+15550000001").start()
	first.pickUp()
	caller.expect("180 INVITE")
	d.established()
	first.expect("ACK")
	n.crash()
	kept, err := filepath.Glob(filepath.Join(filepath.Dir(n.config), "state", "*"))
	require.NoError(t, err)
	for _, file := range kept {
		require.NoError(t, os.RemoveAll(file))
	}
	n.start()
	d.bye(first)

	t.Setenv("TANDEM_E2E_SECRET", "")
	require.NoError(t, os.Unsetenv("TANDEM_E2E_SECRET"))
	out, code := run(t, "check", n.config)
	require.Equal(t, 1, code)
	require.Contains(t, out, "TANDEM_E2E_SECRET", "an unset variable is an error")
}
