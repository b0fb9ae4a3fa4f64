package router

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a stranger sends costs him more than whoever he pretends to be: at most
// three bytes go out for one that comes in.
func TestAbuseAmplification(t *testing.T) {
	stranger := addr("203.0.113.66:5060")
	via := "Via: SIP/2.0/UDP v;branch=z9hG4bKx\r\n"
	for name, text := range map[string]string{
		"less than that":             "A SIP/2.0\nv:S/2/U h\n\n",
		"the least that has a Via":   "A sip:a SIP/2.0\r\nv:SIP/2.0/UDP v\r\n\r\n",
		"the least OPTIONS":          "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP v\r\nf:<sip:a>;tag=1\r\nt:<sip:a>\r\ni:1\r\nCSeq:1 OPTIONS\r\n\r\n",
		"OPTIONS for us":             request("OPTIONS", "sip:198.51.100.1"),
		"INVITE":                     invite(),
		"another version":            "INVITE sip:a SIP/9.0\r\n" + via + "\r\n",
		"a defect":                   "INVITE sip:a SIP/2.0\r\n" + via + "CSeq: x\r\n\r\n",
		"many Vias":                  invite("Via: " + strings.Repeat("SIP/2.0/UDP v;branch=z9hG4bKx,", 200) + "SIP/2.0/UDP v;branch=z9hG4bKx"),
		"a token that is not good":   request("BYE", "sip:a", "Route: <sip:td"+strings.Repeat("0", tokenLen-2)+"@198.51.100.1:5060;lr>", "To: <sip:a>;tag=1"),
		"Proxy-Require in a dialog":  request("BYE", "sip:a", "To: <sip:a>;tag=1", "Proxy-Require: a,b,c"),
		"REGISTER":                   request("REGISTER", "sip:198.51.100.1"),
		"a scheme that is not known": request("OPTIONS", "x:y"),
	} {
		g := newRig(t, twoRegions())
		out := 0
		for _, m := range g.from(stranger, text) {
			require.Equal(t, stranger, m.to, "%s: an answer goes to its source", name)
			out += len(m.text)
		}
		for _, m := range g.pass(40 * time.Second) {
			out += len(m.text)
		}
		require.LessOrEqual(t, out, 3*len(text), name)
		require.Zero(t, g.r.Live(), name)
	}
}

// Answers to strangers are bounded in all, however many there are.
func TestAbuseFloodOfStrangers(t *testing.T) {
	g := newRig(t, twoRegions(), keeping(100))
	answers := 0
	for i := range 20_000 {
		source := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 5060)
		answers += len(g.from(source, invite(fmt.Sprintf("Call-ID: %d", i))))
	}
	require.LessOrEqual(t, answers, 2*untrustedReplyRate)
	u := g.r.Usage()
	require.Zero(t, u.Calls)
	require.Zero(t, u.Kept, "nor do they push the calls of others out")
	require.Zero(t, u.CallBytes)
}

// A trunk over its rate costs bounded state, and its calls that are let in are
// not touched.
func TestAbuseTrunkOverItsRate(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].MaxCPS, p.Trunks[0].Burst = 10, 10
	g := newRig(t, p)
	for i := range 10_000 {
		all := g.nth(i)
		if i < 10 {
			require.Equal(t, "east1 INVITE", summary(all)[1])
		}
		g.now += milli / 10
	}
	require.LessOrEqual(t, g.r.Live(), 21, "a burst of 10 and one second")
}

// A token is good for its dialog alone and for as many requests as a phone
// sends; who has seen one cannot flood the callee through us.
func TestAbuseReplayedToken(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	stranger := addr("203.0.113.66:5060")
	through := 0
	for i := range 1000 {
		for _, m := range d.g.from(stranger, strings.Replace(d.byCaller("BYE"), "CSeq: 2", fmt.Sprintf("CSeq: %d", i+2), 1)) {
			if m.to != stranger {
				through++
			}
		}
	}
	require.LessOrEqual(t, through, tokenRate)
	d.g.now += (tokenLifeDays + 2) * day
	require.NotContains(t, summary(d.g.from(stranger, d.byCaller("BYE"))), "callee BYE", "it has an end")
}

// Via, Contact and Route name addresses; nothing goes to one because of what a
// stranger writes.
func TestAbuseReflection(t *testing.T) {
	stranger, victim := addr("203.0.113.66:5060"), "203.0.113.77"
	g := newRig(t, twoRegions())
	for _, text := range []string{
		invite("Via: SIP/2.0/UDP " + victim + ";branch=z9hG4bKx"),
		invite("Via: SIP/2.0/UDP 203.0.113.66;received=" + victim + ";rport=5060;branch=z9hG4bKx"),
		invite("Via: SIP/2.0/UDP 203.0.113.66;maddr=" + victim + ";branch=z9hG4bKx"),
		invite("Route: <sip:" + victim + ";lr>"),
		request("OPTIONS", "sip:"+victim),
		request("BYE", "sip:"+victim, "To: <sip:a>;tag=1"),
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=" + string((&branch{marker: markDialog}).appendTo(nil)) +
			"\r\nVia: SIP/2.0/UDP " + victim + ";branch=z9hG4bKx\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:a>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n\r\n",
	} {
		for _, m := range g.from(stranger, text) {
			require.Equal(t, stranger.Addr(), m.to.Addr(), text)
		}
	}
}
