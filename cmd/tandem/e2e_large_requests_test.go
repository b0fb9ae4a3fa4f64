//go:build linux

package main_test

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// largeHead is configHead with a listener of TCP beside that of UDP.
const largeHead = `
listen: ["udp://LISTEN", "tcp://LISTEN"]
admin: {listen: ADMIN}
state_dir: STATE
failover: {first_response: 500ms}
health: {interval: 300ms, fast_interval: 100ms, timeout: 300ms, doubt_hold: 500ms}
`

// serveLarge starts a node whose UDP hosts get large requests as said.
func (l *lab) serveLarge(mode string) *node {
	l.t.Helper()
	return l.serveLargeTo(mode, twoConnectors)
}

func (l *lab) serveLargeTo(mode, rest string) *node {
	l.t.Helper()
	return l.serveFile(l.addr("127.0.0.1:5060"), l.admin(8080), largeHead+"large_requests: "+mode+"\n"+rest)
}

// large gives an INVITE that was not sent yet a body of so many bytes.
func (d *dialog) large(size int) *dialog {
	body := sdp + strings.Repeat("a=x-filler:0123456789abcdef0123456789abcdef\r\n", size/45)
	d.invite = d.request("INVITE", d.branch, "Contact: <sip:caller@"+d.reached()+">", "Content-Type: application/sdp", "\r\n"+body)
	return d
}

// goodLarge runs one whole call with a large INVITE.
func (n *node) goodLarge(caller, callee *peer, size int) {
	n.t.Helper()
	d := caller.call(n.addr, "+15550000001").large(size).start()
	_, body, _ := strings.Cut(d.invite, "\r\n\r\n")
	m := callee.pickUp()
	require.Equal(n.t, body, m.body())
	require.Contains(n.t, m.header("Via"), "SIP/2.0/"+callee.over+" "+n.addr.String()+";")
	caller.expect("180 INVITE")
	d.established()
	callee.expect("ACK")
	d.bye(callee)
}

func (n *node) large(over string) float64 {
	n.t.Helper()
	return n.metric(`^tandem_large_requests_total{over="` + over + `"}`)
}

// A host over UDP that takes TCP too gets large INVITEs over TCP once it was seen
// to, from callers over either; small ones go by UDP as before.
func TestE2E_LargeHostTakesBoth(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	datagrams := l.peer("127.0.0.11")
	stream, _ := l.streamPeer("127.0.0.11", nil)
	n := l.serveLarge("auto")
	caller := l.peer("127.0.0.2")
	overTCP, _ := l.streamPeer("127.0.0.3", nil)

	n.goodLarge(caller, datagrams, 6_000) // nobody knows yet
	require.Contains(t, n.logged("takes TCP")["host"], datagrams.addr.String())
	for _, size := range []int{6_000, 60_000} {
		for _, from := range []*peer{caller, overTCP} {
			n.goodLarge(from, stream, size)
		}
	}
	// A dialog over UDP, with a re-INVITE that is large.
	d := caller.call(n.addr, "+15550000001").start()
	datagrams.pickUp()
	caller.expect("180 INVITE")
	d.established()
	datagrams.expect("ACK")
	d.cseq++
	d.branch += "re"
	caller.send(d.next(), d.large(6_000).invite)
	m := stream.expect("INVITE")
	stream.answer(m, 200, "OK", datagrams.contact())
	d.expect("200 INVITE")
	caller.send(d.next(), d.request("ACK", d.branch+"ack"))
	require.Contains(t, datagrams.expect("ACK").header("CSeq"), "2 ACK")
	d.bye(datagrams)
	require.Equal(t, []float64{5, 1, 0}, []float64{n.large("tcp"), n.large("udp"), n.large("fallback")})
	require.Equal(t, 1, strings.Count(n.logs.String(), "takes TCP"))
	out, _ := run(t, "calls", "--admin", "http://"+n.admin, "--last", "2")
	require.Equal(t, 1, strings.Count(out, "sip:"+datagrams.addr.String()+" over tcp"), out)
	require.Contains(t, n.explained(), "large requests go over tcp")
}

// A host that takes UDP alone gets its large INVITEs by UDP: without being asked
// to take anything else, or at once after it has refused.
func TestE2E_LargeHostTakesUDP(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"udp", "auto", "tcp"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			host := l.peer("127.0.0.11")
			n := l.serveLarge(mode)
			caller := l.peer("127.0.0.2")
			for range 2 {
				n.goodLarge(caller, host, 6_000)
				n.goodLarge(caller, host, 60_000)
			}
			want := []float64{0, 4, 0}
			if mode == "tcp" {
				want = []float64{1, 3, 1}
				n.logged("did not get through to the host over TCP")
			}
			require.Equal(t, want, []float64{n.large("tcp"), n.large("udp"), n.large("fallback")})
			require.Equal(t, 1.0, n.metric(`^tandem_host_state{connector="first".*state="up"`))
			require.Zero(t, n.metric(`^tandem_failovers_total`))
		})
	}
}

// A host that takes connections and leaves them alone: the next connector gets the
// call, and where there is none the same host, by UDP.
func TestE2E_LargeHostLeavesTCPAlone(t *testing.T) {
	t.Parallel()
	for _, second := range []bool{true, false} {
		l := newLab(t)
		first := l.peer("127.0.0.11")
		ln, err := net.Listen("tcp4", first.addr.String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = ln.Close() })
		rest := twoConnectors
		if !second {
			rest = "connectors: [{name: first, hosts: [\"sip:127.0.0.11\"], numbers: [\"+15550000001\"]}]\n"
		}
		n := l.serveLargeTo("tcp", rest)
		caller := l.peer("127.0.0.2")
		if second {
			n.goodLarge(caller, l.peer("127.0.0.12"), 6_000)
			first.quiet(settle)
			until(t, "OPTIONS say that it is well", func() bool { return n.metric(`^tandem_host_state{connector="first".*state="up"`) == 1 })
		} else {
			n.goodLarge(caller, first, 6_000)
		}
		n.goodLarge(caller, first, 6_000)
	}
}

// A large INVITE that is cancelled: CANCEL and ACK go over TCP as it did.
func TestE2E_LargeCancel(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.peer("127.0.0.11")
	stream, _ := l.streamPeer("127.0.0.11", nil)
	n := l.serveLarge("tcp")
	caller := l.peer("127.0.0.2")
	d := caller.call(n.addr, "+15550000001").large(60_000).start()
	m := stream.expect("INVITE")
	stream.answer(m, 180, "Ringing", stream.contact())
	caller.expect("180 INVITE")
	caller.send(n.addr, d.cancel())
	caller.expect("200 CANCEL")
	c := stream.expect("CANCEL")
	require.Equal(t, m.header("Via"), c.header("Via"))
	stream.answer(c, 200, "OK")
	stream.answer(m, 487, "Request Terminated")
	require.Equal(t, m.header("Via"), stream.expect("ACK").header("Via"))
	d.fails(487)
}

// A large INVITE that the first connector fails goes to the second one, each over
// what it takes.
func TestE2E_LargeFailover(t *testing.T) {
	t.Parallel()
	for _, takes := range []string{"UDP", "TCP"} {
		l := newLab(t)
		l.peer("127.0.0.11")
		first, _ := l.streamPeer("127.0.0.11", nil)
		second := l.peer("127.0.0.12")
		if takes == "TCP" {
			second, _ = l.streamPeer("127.0.0.12", nil)
		}
		n := l.serveLarge("tcp")
		caller := l.peer("127.0.0.2")
		d := caller.call(n.addr, "+15550000001").large(6_000).start()
		m := first.expect("INVITE")
		first.answer(m, 503, "Service Unavailable")
		first.expect("ACK")
		second.pickUp()
		caller.expect("180 INVITE")
		d.established()
		second.expect("ACK")
		d.bye(second)
	}
}
