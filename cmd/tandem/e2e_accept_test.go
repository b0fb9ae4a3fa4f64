//go:build linux

package main_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// onlyCaller is a trunk of the caller's address alone: connectors and everyone
// else are strangers.
const onlyCaller = "trunks: [{name: carrier, sources: [127.0.0.2/32]}]\n"

func TestE2E_UnknownNumber404(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000002").start()
	d.fails(404)
	caller.quiet(settle) // the ACK ended it
	first.quiet(0)
	n.goodCall(caller, first, "+15550000001")
}

func TestE2E_UntrustedSource403(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, stranger, first := l.peer("127.0.0.2"), l.peer("127.0.0.66"), l.peer("127.0.0.11")
	n := l.serve(onlyCaller + twoConnectors)
	d := stranger.call(n.addr, "+15550000001").start()
	d.fails(403)
	line := n.logged(regexp.QuoteMeta(stranger.addr.String()))
	require.Contains(t, fmt.Sprint(line), "sources", "the log line shows the stanza that would admit the source")
	first.quiet(settle)
	n.goodCall(caller, first, "+15550000001")
}

func TestE2E_UntrustedDrop(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, stranger, first := l.peer("127.0.0.2"), l.peer("127.0.0.66"), l.peer("127.0.0.11")
	n := l.serve("untrusted: drop\n" + onlyCaller + twoConnectors)
	d := stranger.call(n.addr, "+15550000001").start()
	stranger.quiet(settle)
	stranger.send(n.addr, d.request("OPTIONS", d.branch+"o"))
	first.quiet(settle)
	n.goodCall(caller, first, "+15550000001")
}

// RFC 3261 16.3 step 3.
func TestE2E_MaxForwards0_483(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001")
	d.invite = strings.Replace(d.invite, "Max-Forwards: 70", "Max-Forwards: 0", 1)
	d.start().fails(483)

	d = caller.call(n.addr, "+15550000001") // 1 may be forwarded, as 0
	d.invite = strings.Replace(d.invite, "Max-Forwards: 70", "Max-Forwards: 1", 1)
	d.start()
	require.Equal(t, "0", first.pickUp().header("Max-Forwards"))
	caller.expect("180 INVITE")
	d.established()
	first.expect("ACK")
	d.bye(first)
}

// RFC 3261 16.3 step 5.
func TestE2E_UnknownProxyRequire420(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001", "Proxy-Require: teleportation, levitation").start()
	m := d.fails(420)
	require.ElementsMatch(t, []string{"teleportation", "levitation"}, m.list("Unsupported"))
	first.quiet(settle)
}

func TestE2E_ToTagWithoutToken481(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001")
	d.to += ";tag=unheard-of"
	caller.send(n.addr, d.request("BYE", d.branch))
	caller.expect("481 BYE")
	d.invite = d.request("INVITE", d.branch+"i", caller.contact())
	d.branch += "i"
	d.start().fails(481)
	first.quiet(settle)
}

// A route token is bound to its dialog and cannot be made up.
func TestE2E_ForgedRouteToken403(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, stranger, first := l.peer("127.0.0.2"), l.peer("127.0.0.66"), l.peer("127.0.0.11")
	n := l.serve(onlyCaller + twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	first.pickUp()
	caller.expect("180 INVITE")
	d.established()
	first.expect("ACK")
	require.Len(t, d.routes, 1, "one Record-Route")
	good := d.routes[0]

	forge := func(from *peer, name string, change func(d *dialog)) {
		copied := *d
		copied.peer = from
		change(&copied)
		from.send(n.addr, copied.request("BYE", d.branch+name))
		from.expect("403 BYE")
	}
	for i, r := range good { // each character of the URI's variable part, one at a time would be slow: every third
		if strings.Contains(good[:i+1], "<sip:") && i%3 == 0 && (unicode.IsLetter(r) || unicode.IsDigit(r)) && i < tokenEnd(good) && i >= tokenStart(good) {
			forged := good[:i] + otherThan(r) + good[i+1:]
			forge(stranger, fmt.Sprintf("forged%d", i), func(d *dialog) { d.routes = []string{forged} })
		}
	}
	forge(stranger, "callid", func(d *dialog) { d.id = "another-" + d.id })
	forge(stranger, "tags", func(d *dialog) {
		d.from = strings.Replace(d.from, ";tag=", ";tag=x", 1)
		d.to = strings.Replace(d.to, ";tag=", ";tag=x", 1)
	})
	forge(caller, "trunk", func(d *dialog) { d.id = "another-" + d.id }) // a trunk may not either
	first.quiet(settle)
	d.bye(first)
}

// tokenStart and tokenEnd bound the part of our Record-Route value in which a
// token can stand: the user part if there is one, else the URI parameters.
func tokenStart(route string) int {
	if strings.Contains(route, "@") {
		return strings.Index(route, "<sip:") + len("<sip:")
	}
	return strings.Index(route, ";") + 1
}

func tokenEnd(route string) int {
	if at := strings.Index(route, "@"); at >= 0 {
		return at
	}
	return strings.LastIndex(route, ">")
}

func otherThan(r rune) string {
	if r == 'a' {
		return "b"
	}
	return "a"
}

// The callee's requests inside the dialog pass though it is no trunk.
func TestE2E_CalleeRequestsFromNoTrunkPass(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(onlyCaller + twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	invite := first.pickUp()
	caller.expect("180 INVITE")
	final := d.established()
	first.expect("ACK")

	// The callee's side of the dialog.
	routes := invite.list("Record-Route")
	require.Len(t, routes, 1)
	back := func(method, branch string, cseq int, extra ...string) string {
		return render([]string{
			fmt.Sprintf("%s sip:caller@%v SIP/2.0", method, caller.addr),
			fmt.Sprintf("Via: SIP/2.0/UDP %v;branch=z9hG4bK%s", first.addr, branch),
			"Route: " + routes[0], "Max-Forwards: 70",
			"From: " + final.header("To"), "To: " + final.header("From"), "Call-ID: " + d.id,
			fmt.Sprintf("CSeq: %d %s", cseq, method),
		}, extra, "")
	}
	first.send(n.addr, back("INVITE", "re", 7, first.contact(), "Content-Type: application/sdp", "\r\n"+sdp))
	again := caller.expect("INVITE")
	require.Equal(t, sdp, again.body())
	require.Equal(t, "69", again.header("Max-Forwards"))
	require.Equal(t, "sip:caller@"+caller.addr.String(), again.uri())
	require.Empty(t, again.headers("Route"))
	caller.answer(again, 200, "OK", caller.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	first.expect("200 INVITE")
	first.send(n.addr, back("ACK", "re-ack", 7))
	caller.expect("ACK")
	first.send(n.addr, back("BYE", "bye", 8))
	caller.answer(caller.expect("BYE"), 200, "OK")
	first.expect("200 BYE")
}

// OPTIONS for the node itself: from trunks and from connectors' hosts.
func TestE2E_OptionsAnswered(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, stranger, first := l.peer("127.0.0.2"), l.peer("127.0.0.66"), l.peer("127.0.0.11")
	n := l.serve(onlyCaller + twoConnectors)
	for _, p := range []*peer{caller, first} {
		p.send(n.addr, p.ping(n.addr, "ping"))
		m := p.expect("200 OPTIONS")
		require.NotEmpty(t, tag(m.header("To")))
		require.Contains(t, m.header("Via"), "z9hG4bKping")
	}
	stranger.send(n.addr, stranger.ping(n.addr, "ping"))
	stranger.expect("403 OPTIONS")
}

// What is no SIP is counted, not answered, and harms no call.
func TestE2E_GarbageCountedNotAnswered(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, noise, first := l.peer("127.0.0.2"), l.peer("127.0.0.3"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	before := n.metric(dropMetric)
	rnd := rand.New(rand.NewPCG(1, 2))
	garbage := []string{"", "\x00", "\r\n\r\n", "\xff\xfe\xfd", "INVITE", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n", strings.Repeat("A", 60000)}
	for range 50 {
		raw := make([]byte, 1+rnd.IntN(1400))
		for i := range raw {
			raw[i] = byte(rnd.Uint32())
		}
		garbage = append(garbage, string(raw))
	}
	for _, g := range garbage {
		noise.send(n.addr, g)
	}
	n.goodCall(caller, first, "+15550000001")
	noise.quiet(settle)
	// An empty datagram and CRLFs are keep-alives (RFC 5626 3.5.1) rather than garbage.
	require.GreaterOrEqual(t, n.metric(dropMetric)-before, float64(len(garbage)-3))
	require.True(t, n.alive())
}

// A response that has no Via of ours with a sound branch is dropped (RFC 3261 18.1.2).
func TestE2E_ForgedResponsesDropped(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, forger, first := l.peer("127.0.0.2"), l.peer("127.0.0.66"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	m := first.expect("INVITE")
	forged := m
	forged.raw = strings.Replace(m.raw, m.branch(), m.branch()[:len(m.branch())-2]+"00", 1)
	if forged.raw == m.raw {
		forged.raw = strings.Replace(m.raw, m.branch(), m.branch()[:len(m.branch())-2]+"11", 1)
	}
	before := n.metric(dropMetric)
	forger.send(n.addr, forged.reply(486, "Busy Here"))
	forger.send(n.addr, forged.reply(200, "OK"))
	caller.quiet(settle)
	require.GreaterOrEqual(t, n.metric(dropMetric)-before, 2.0)
	first.answer(m, 180, "Ringing", first.contact())
	first.answer(m, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	caller.expect("180 INVITE")
	d.established()
	first.expect("ACK")
	d.bye(first)
}
