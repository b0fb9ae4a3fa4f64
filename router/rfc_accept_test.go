package router

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// sends checks what was sent, in order, and returns it.
func sends(t testing.TB, got []sent, want ...string) []sent {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	require.Equal(t, want, summary(got))
	return got
}

// inject puts a header line in front of Content-Length, whatever is there already.
func inject(text, line string) string {
	return strings.Replace(text, "Content-Length: 0\r\n", line+"\r\nContent-Length: 0\r\n", 1)
}

func (g *rig) dropped(why dropReason) int {
	return int(g.r.total(func(t *tally) *atomic.Uint64 { return &t.drops[why] }))
}

func TestRFC3261_16_3_1_MalformedPartsAreForwardedUnchanged(t *testing.T) {
	lines := []string{
		"Contact: <<sip:not closed",
		"Date: yesterday, or so",
		"Expires: soon",
		"X-Empty:",
		"A line without a colon",
		"Subject: folded\r\n  over two lines",
		"Warning: 399 \"unterminated",
		"Record-Route: sip:a bad one",
		"Content-Type: ////",
	}
	text := invite("Contact:")
	for _, l := range lines {
		text = inject(text, l)
	}
	g := newRig(t, twoRegions())
	all := sends(t, g.from(caller, text), "caller 100 INVITE", "east1 INVITE")
	require.Contains(t, all[1].text, strings.Join(lines, "\r\n"))
}

func TestRFC3261_16_3_1_UnknownMethodIsForwarded(t *testing.T) {
	for _, method := range []string{"FROBNICATE", "invite", "x-1.%'~"} {
		g := newRig(t, twoRegions())
		all := sends(t, g.from(caller, request(method, dialled)), "east1 "+method)
		sends(t, g.from(east1, respond(all[0], 200)), "caller 200 "+method)
	}
}

func TestRFC3261_16_3_1_Defects(t *testing.T) {
	base := invite()
	for name, c := range map[string]struct {
		text   string
		status string
	}{
		"version 3.0":             {strings.Replace(base, "SIP/2.0", "SIP/3.0", 1), "505"},
		"version 1.0":             {strings.Replace(base, "SIP/2.0", "SIP/1.0", 1), "505"},
		"two From":                {inject(base, "From: <sip:a@b>;tag=2"), "400"},
		"two From, compact":       {inject(base, "f: <sip:a@b>;tag=2"), "400"},
		"two To":                  {inject(base, "To: <sip:a@b>"), "400"},
		"two Call-ID":             {inject(base, "i: other"), "400"},
		"two CSeq":                {inject(base, "CSeq: 1 INVITE"), "400"},
		"two Max-Forwards":        {inject(base, "Max-Forwards: 70"), "400"},
		"two Content-Length":      {inject(base, "l: 0"), "400"},
		"CSeq without a number":   {invite("CSeq: INVITE"), "400"},
		"CSeq without a method":   {invite("CSeq: 1"), "400"},
		"CSeq too large":          {invite("CSeq: 4294967296 INVITE"), "400"},
		"CSeq negative":           {invite("CSeq: -1 INVITE"), "400"},
		"method mismatch":         {invite("CSeq: 1 BYE"), "400"},
		"missing To":              {invite("To:"), "400"},
		"missing From":            {invite("From:"), "400"},
		"missing Call-ID":         {invite("Call-ID:"), "400"},
		"missing CSeq":            {invite("CSeq:"), "400"},
		"Max-Forwards 256":        {invite("Max-Forwards: 256"), "400"},
		"Max-Forwards a word":     {invite("Max-Forwards: many"), "400"},
		"space in request-URI":    {strings.Replace(base, dialled, "sip:a b@c", 1), "400"},
		"short body (18.3)":       {strings.Replace(base, "Content-Length: 0", "Content-Length: 10", 1), "400"},
		"negative Content-Length": {strings.Replace(base, "Content-Length: 0", "Content-Length: -1", 1), "400"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			all := g.from(caller, c.text)
			require.Len(t, all, 1)
			require.Equal(t, caller, all[0].to)
			require.Equal(t, c.status, strings.Fields(startLine(all[0].text))[1])
			require.Zero(t, g.r.Live(), "a refusal leaves no state")
			// An ACK with the same defect is never answered.
			ack := strings.ReplaceAll(c.text, "INVITE", "ACK")
			require.Empty(t, g.from(caller, ack))
		})
	}
}

func TestRFC3261_16_3_1_MissingViaCannotBeAnswered(t *testing.T) {
	g := newRig(t, twoRegions())
	require.Empty(t, g.from(caller, invite("Via:")))
	require.Equal(t, 1, g.dropped(dropDefective))
}

func TestRFC3261_16_3_2_UnknownScheme(t *testing.T) {
	for _, uri := range []string{"http://example.com/", "im:bob@example.com", "urn:service:sos", "nobodyKnowsThisScheme:totallyopaquecontent", "sips:+15550000001@198.51.100.1"} {
		g := newRig(t, twoRegions())
		sends(t, g.from(caller, request("INVITE", uri)), "caller 416 INVITE")
	}
}

func TestRFC3261_16_3_3_MaxForwardsZero(t *testing.T) {
	for _, c := range []struct{ method, uri, want string }{
		{"INVITE", dialled, "483"},
		{"MESSAGE", dialled, "483"},
		{"FROBNICATE", dialled, "483"},
		{"OPTIONS", dialled, "200"}, // may be answered as if it were for us
		{"OPTIONS", "sip:198.51.100.1", "200"},
	} {
		g := newRig(t, twoRegions())
		sends(t, g.from(caller, request(c.method, c.uri, "Max-Forwards: 0")), "caller "+c.want+" "+c.method)
	}
}

func TestRFC3261_16_3_5_ProxyRequire(t *testing.T) {
	g := newRig(t, twoRegions())
	all := sends(t, g.from(caller, inject(invite("Proxy-Require: foo, bar"), "proxy-require: baz")), "caller 420 INVITE")
	require.Equal(t, []string{"foo, bar, baz"}, header(all[0].text, "Unsupported"))
	require.Zero(t, g.r.Live())
}

func TestRFC3261_16_3_5_ProxyRequireInDialog(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	all := sends(t, d.g.from(caller, d.byCaller("INVITE", "Proxy-Require: foo")), "caller 420 INVITE")
	require.Equal(t, []string{"foo"}, header(all[0].text, "Unsupported"))
	sends(t, d.g.from(callee, d.byCallee("BYE", "Proxy-Require: foo")), "callee 420 BYE")
}

func TestRFC3261_16_3_5_ProxyRequireInAckAndCancelIsIgnored(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	sends(t, g.from(caller, request("CANCEL", dialled, "Proxy-Require: foo")), "caller 200 CANCEL", "east1 CANCEL")

	d := newDialog(t, newRig(t, twoRegions()))
	sends(t, d.g.from(caller, d.byCaller("ACK", "Proxy-Require: foo")), "callee ACK")
	sends(t, d.g.from(caller, d.byCaller("CANCEL", "Proxy-Require: foo")), "callee CANCEL")
}

func TestRFC5393_5_3_3_MaxBreadth(t *testing.T) {
	for _, c := range []struct{ received, forwarded string }{
		{"Max-Breadth:", "60"},
		{"Max-Breadth: 60", "60"},
		{"Max-Breadth: 1", "1"},
		{"Max-Breadth: 61", "60"},
		{"Max-Breadth: 2147483647", "60"},
	} {
		g := newRig(t, twoRegions())
		all := sends(t, g.from(caller, invite(c.received)), "caller 100 INVITE", "east1 INVITE")
		require.Equal(t, []string{c.forwarded}, header(all[1].text, "Max-Breadth"))
	}
	for _, method := range []string{"INVITE", "MESSAGE"} {
		g := newRig(t, twoRegions())
		sends(t, g.from(caller, request(method, dialled, "Max-Breadth: 0")), "caller 440 "+method)
	}
	d := newDialog(t, newRig(t, twoRegions()))
	sends(t, d.g.from(caller, d.byCaller("INVITE", "Max-Breadth: 0")), "caller 440 INVITE")
	sends(t, d.g.from(caller, d.byCaller("ACK", "Max-Breadth: 0")), "callee ACK")
}

func TestRFC5393_5_3_3_EachAttemptHasAllOfIt(t *testing.T) {
	g := newRig(t, twoRegions())
	all := sends(t, g.from(caller, invite("Max-Breadth: 1")), "caller 100 INVITE", "east1 INVITE")
	require.Equal(t, []string{"1"}, header(all[1].text, "Max-Breadth"))
	all = sends(t, g.from(east1, respond(all[1], 503)), "east1 ACK", "west1 INVITE")
	require.Equal(t, []string{"1"}, header(all[1].text, "Max-Breadth")) // 5.3.3.1: it is free again
}

// What fits no datagram once our Via is in it can go nowhere, and no host is to
// blame. Of an in-dialog request the same.
func TestRFC3261_21_5_7_MessageTooLarge(t *testing.T) {
	const v4, v6 = 65507, 65527
	sized := func(text string, size int) string {
		const name = "Subject: "
		return inject(text, name+strings.Repeat("s", size-len(text)-len(name)-len("\r\n")))
	}
	largest := func(g *rig, text string, size int) int { // that leaves with size bytes
		all := g.from(caller, sized(text, 60_000))
		return 60_000 + size - len(all[len(all)-1].text)
	}
	for _, method := range []string{"INVITE", "MESSAGE"} {
		fits := largest(newRig(t, twoRegions()), request(method, dialled), v4) // to east1; to west1 it is a byte more
		g := newRig(t, twoRegions())
		all := g.from(caller, sized(request(method, dialled), fits))
		require.Equal(t, "east1 "+method, summary(all)[len(all)-1])
		require.Len(t, all[len(all)-1].text, v4)

		g = newRig(t, twoRegions())
		text := sized(request(method, dialled), fits+1)
		all = sends(t, g.from(caller, text), "caller 513 "+method)
		require.EqualValues(t, 1, g.counts(CountRejected)["too_large"])
		require.Zero(t, g.r.Live(), "no call, no attempt")
		for _, h := range g.r.plan.Load().hosts {
			state := h.health.View(g.now).State
			require.Equal(t, health.Up, state)
		}
		sends(t, g.from(caller, text), "caller 513 "+method)
		if method == "INVITE" {
			require.Empty(t, g.from(caller, request("ACK", dialled, "To: "+header(all[0].text, "To")[0], "CSeq: 1 ACK")))
			require.Equal(t, 1, g.dropped(dropAckOwn))
		}
		g.nth(1) // and calls go on
		require.Equal(t, 1, g.r.Live())
	}

	// One host that it fits is enough: what IPv6 adds is longer.
	p := twoRegions()
	p.Catalog.Connectors[0].Hosts = []catalog.Host{hostAt(addr("[2001:db8::11]:5060"))}
	v6Too := func(o *Options) { o.Listeners = append(o.Listeners, Listener{Addr: addr("[2001:db8::1]:5060")}) }
	fits := largest(newRig(t, twoRegions()), invite(), v4) - 1
	require.Less(t, largest(newRig(t, p, v6Too), invite(), v6), fits)
	sends(t, newRig(t, p, v6Too).from(caller, sized(invite(), fits)), "caller 100 INVITE", "west1 INVITE")
	p.Catalog.Connectors = p.Catalog.Connectors[:1]
	p.Catalog.Groups[0].Connectors = p.Catalog.Groups[0].Connectors[:1]
	sends(t, newRig(t, p, v6Too).from(caller, sized(invite(), fits)), "caller 513 INVITE")

	d := newDialog(t, newRig(t, twoRegions()))
	fits = largest(d.g, d.byCaller("INFO"), v4)
	all := sends(t, d.g.from(caller, sized(d.byCaller("INFO"), fits)), "callee INFO")
	require.Len(t, all[0].text, v4)
	sends(t, d.g.from(caller, sized(d.byCaller("INFO"), fits+1)), "caller 513 INFO")
	require.Empty(t, d.g.from(caller, sized(d.byCaller("ACK"), fits+100)))
	require.Equal(t, 1, d.g.dropped(dropTooLarge))
}

func TestRFC3261_17_2_1_TryingAtOnceForInviteOnly(t *testing.T) {
	g := newRig(t, twoRegions())
	all := sends(t, g.from(caller, invite("Timestamp: 54.7")), "caller 100 INVITE", "east1 INVITE")
	require.Equal(t, []string{"54.7"}, header(all[0].text, "Timestamp")) // 8.2.6.1
	require.NotContains(t, header(all[0].text, "To")[0], "tag=")

	for _, method := range []string{"MESSAGE", "SUBSCRIBE", "OPTIONS", "FROBNICATE"} {
		g := newRig(t, twoRegions())
		sends(t, g.from(caller, request(method, dialled)), "east1 "+method)
	}
}

func TestRFC3261_17_2_1_TryingMayWait(t *testing.T) {
	p := twoRegions()
	p.TryingAfter = 150 * time.Millisecond
	begin := func() (*rig, sent) {
		g := newRig(t, p)
		return g, sends(t, g.from(caller, invite()), "east1 INVITE")[0]
	}

	g, inv := begin() // nothing comes in time
	require.Empty(t, g.from(east1, respond(inv, 100)))
	sends(t, g.pass(200*time.Millisecond), "caller 100 INVITE")

	g, inv = begin() // 180 says more
	sends(t, g.from(east1, respond(inv, 180)), "caller 180 INVITE")
	require.Empty(t, g.pass(time.Second))

	g, inv = begin() // so does an answer
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	require.Empty(t, g.pass(time.Second))

	g, inv = begin() // the call goes elsewhere meanwhile
	sends(t, g.from(east1, respond(inv, 503)), "east1 ACK", "west1 INVITE")
	sends(t, g.pass(200*time.Millisecond), "caller 100 INVITE")

	g, _ = begin() // the caller asks again: once is enough
	sends(t, g.from(caller, invite()), "caller 100 INVITE")
	require.Empty(t, g.pass(200*time.Millisecond))

	g, inv = begin() // the caller gives up
	sends(t, g.from(east1, respond(inv, 100)))
	sends(t, g.from(caller, cancelText()), "caller 200 CANCEL", "east1 CANCEL")
	sends(t, g.from(east1, respond(inv, 487)), "east1 ACK", "caller 487 INVITE")
	for _, m := range g.pass(time.Second) {
		require.Contains(t, m.text, "SIP/2.0 487 ", "no 100 after a final response")
	}
}

func TestRFC3261_17_1_1_3_AckIsNeverAnswered(t *testing.T) {
	stranger := addr("203.0.113.200:5060")
	d := newDialog(t, newRig(t, twoRegions()))
	for name, c := range map[string]struct {
		source netip.AddrPort
		text   string
	}{
		"of nothing":             {caller, request("ACK", dialled, "Call-ID: other")},
		"of an unknown number":   {caller, request("ACK", "sip:+19@198.51.100.1", "Call-ID: other")},
		"untrusted":              {stranger, request("ACK", dialled, "Call-ID: other")},
		"Max-Forwards spent":     {caller, request("ACK", dialled, "Call-ID: other", "Max-Forwards: 0")},
		"unknown scheme":         {caller, request("ACK", "http://x/", "Call-ID: other")},
		"forged token":           {caller, request("ACK", dialled, "Route: <sip:td"+strings.Repeat("0", tokenLen-2)+"@198.51.100.1;lr>")},
		"foreign Route":          {caller, request("ACK", dialled, "Call-ID: other", "Route: <sip:203.0.113.7;lr>")},
		"dialog, spent":          {caller, d.byCaller("ACK", "Max-Forwards: 0")},
		"dialog, to ourselves":   {caller, strings.Replace(d.byCaller("ACK"), "agent@203.0.113.99", "agent@198.51.100.1", 1)},
		"dialog, over TCP":       {caller, strings.Replace(d.byCaller("ACK"), "agent@203.0.113.99:5060", "agent@203.0.113.99;transport=tcp", 1)},
		"dialog, to a bad Route": {caller, strings.Replace(d.byCaller("ACK"), ";lr>", ";lr>, <sip:", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, d.g.from(c.source, c.text))
		})
	}
}

func TestRFC3261_16_3_RefusalsKeepNoStateAndSwallowTheirAck(t *testing.T) {
	g := newRig(t, twoRegions())
	unknown := "sip:+19995550000@198.51.100.1"
	first := sends(t, g.from(caller, request("INVITE", unknown)), "caller 404 INVITE")
	again := sends(t, g.from(caller, request("INVITE", unknown)), "caller 404 INVITE")
	require.Equal(t, first, again, "a retransmission gets the same answer, tag included")
	require.Empty(t, g.pass(2*time.Second), "and nothing retransmits it")
	require.Empty(t, g.from(caller, request("ACK", unknown, "To: "+header(first[0].text, "To")[0])))
	require.Equal(t, 1, g.dropped(dropAckOwn))
	require.Zero(t, g.r.Live())
}

func TestRFC3261_16_5_TheNumberDecides(t *testing.T) {
	for _, c := range []struct{ uri, want string }{
		{"sip:+15550000001@198.51.100.1", "east1 INVITE"},
		{"sip:+15550000001@elsewhere.example.com:7777;user=phone", "east1 INVITE"},
		{"sip:+1-555-000.0001@x", "east1 INVITE"},
		{"sip:%2B15550000001@x", "east1 INVITE"},
		{"sip:+15550000001;npdi=yes:secret@x", "east1 INVITE"},
		{"tel:+1-555-000-0001", "east1 INVITE"},
		{"SIP:+15550000001@x", "east1 INVITE"},
		{"sip:+15550000002@198.51.100.1", "caller 404 INVITE"},
		{"sip:15550000001@198.51.100.1", "caller 404 INVITE"},
		{"sip:bob@198.51.100.1", "caller 404 INVITE"},
		{"sip:198.51.100.1", "caller 404 INVITE"},
		{"sip:+1555000000111111111111111111111111111111111111@x", "caller 404 INVITE"},
	} {
		t.Run(c.uri, func(t *testing.T) {
			g := newRig(t, twoRegions())
			all := summary(g.from(caller, request("INVITE", c.uri)))
			require.Equal(t, c.want, all[len(all)-1])
		})
	}
}

func TestRFC3261_16_5_EachTargetOnce(t *testing.T) {
	p := twoRegions()
	// The second connector lists the first one's host again.
	p.Catalog.Connectors[1].Hosts = []catalog.Host{hostAt(east1)}
	g := newRig(t, p)
	inv := g.call()
	sends(t, g.from(east1, respond(inv, 503)), "east1 ACK", "caller 503 INVITE")
}

func TestRFC3261_16_5_NothingToTry(t *testing.T) {
	for code, want := range map[int]string{503: "503", 480: "480", 0: "480"} {
		p := twoRegions()
		p.Failover.ExhaustedCode = code
		for i := range p.Catalog.Connectors {
			p.Catalog.Connectors[i].State = catalog.Draining
		}
		g := newRig(t, p)
		sends(t, g.from(caller, invite()), "caller 100 INVITE", "caller "+want+" INVITE")
	}
}

func TestRFC3261_10_RegisterIsRefused(t *testing.T) {
	g := newRig(t, twoRegions())
	all := sends(t, g.from(caller, request("REGISTER", "sip:198.51.100.1")), "caller 405 REGISTER")
	require.NotEmpty(t, header(all[0].text, "Allow"))
}

func TestRFC3261_11_OptionsForUs(t *testing.T) {
	g := newRig(t, twoRegions())
	for _, uri := range []string{"sip:198.51.100.1", "sip:198.51.100.1:5060", "sip:ping@198.51.100.1"} {
		all := sends(t, g.from(caller, request("OPTIONS", uri)), "caller 200 OPTIONS")
		require.NotEmpty(t, header(all[0].text, "Allow"))
		require.NotEmpty(t, header(all[0].text, "Accept"))
		require.Contains(t, header(all[0].text, "To")[0], ";tag=")
	}
	require.Zero(t, g.r.Live())
}

// A connector may ask whether we are alive, with any request-URI; it may not call.
func TestOptionsFromAConnectorIsAnswered(t *testing.T) {
	for _, uri := range []string{"sip:198.51.100.1", dialled, "sip:+19@198.51.100.1"} {
		g := newRig(t, twoRegions())
		sends(t, g.from(east1, request("OPTIONS", uri, "Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKping")), "east1 200 OPTIONS")
		require.Zero(t, g.r.Live())
	}
	g := newRig(t, twoRegions())
	sends(t, g.from(east1, invite("Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKcall")), "east1 403 INVITE")
}

func TestRFC3261_12_2_2_UnknownDialogIsNeverRoutedByNumber(t *testing.T) {
	for _, method := range []string{"INVITE", "BYE", "MESSAGE", "PRACK"} {
		g := newRig(t, twoRegions())
		sends(t, g.from(caller, request(method, dialled, "To: <sip:x@y>;tag=unknown")), "caller 481 "+method)
	}
}

func TestUntrustedSources(t *testing.T) {
	stranger := addr("203.0.113.200:5060")
	text := func(method string) string {
		return request(method, dialled, "Via: SIP/2.0/UDP 203.0.113.200:5060;branch=z9hG4bKx")
	}
	g := newRig(t, twoRegions())
	for _, method := range []string{"INVITE", "MESSAGE", "CANCEL", "OPTIONS", "BYE"} {
		sends(t, g.from(stranger, text(method)), "203.0.113.200:5060 403 "+method)
	}
	require.Empty(t, g.from(stranger, text("ACK")))
	for range 10 * untrustedReplyRate {
		g.from(stranger, text("INVITE"))
	}
	require.Empty(t, g.from(stranger, text("INVITE")), "403s are bounded")
	require.Zero(t, g.r.Live())

	p := twoRegions()
	p.Untrusted = Drop
	g = newRig(t, p)
	for _, method := range []string{"INVITE", "MESSAGE", "CANCEL", "OPTIONS", "BYE", "ACK"} {
		require.Empty(t, g.from(stranger, text(method)), method)
	}
	require.Empty(t, g.from(stranger, strings.Replace(text("INVITE"), "SIP/2.0", "SIP/3.0", 1)))
}

// A trunk that asks for a Route of its own gets its 403 and is not taken for a stranger.
func TestForeignRouteIsForbidden(t *testing.T) {
	g := newRig(t, twoRegions())
	sends(t, g.from(caller, invite("Route: <sip:203.0.113.7;lr>")), "caller 403 INVITE")
	sends(t, g.from(caller, invite("Route: <sip:198.51.100.1;lr>, <sip:203.0.113.7;lr>")), "caller 403 INVITE")
	require.Empty(t, g.r.records, "nothing about an untrusted source in the log")
	for range 2 * untrustedReplyRate {
		sends(t, g.from(caller, invite("Route: <sip:203.0.113.7;lr>")), "caller 403 INVITE")
	}
}

// The same request by two ways is for the endpoints to merge (8.2.2.2).
func TestRFC3261_16_3_MergedRequestsAreNoError(t *testing.T) {
	for _, method := range []string{"INVITE", "MESSAGE"} {
		g := newRig(t, twoRegions())
		branches := map[string]bool{}
		for _, branch := range []string{"z9hG4bKone", "z9hG4bKtwo"} {
			all := g.from(caller, request(method, dialled, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch="+branch))
			last := all[len(all)-1]
			require.Equal(t, "east1 "+method, summary(all)[len(all)-1])
			branches[viaBranch(last.text)] = true
		}
		require.Len(t, branches, 2)
		require.Equal(t, 2, g.r.Live())
	}
}

// What a proxy answers itself it answers as a UAS (16.1, 16.3).
func TestRFC3261_8_2_6_2_OwnResponsesMirrorTheRequest(t *testing.T) {
	older := "Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKolder, SIP/2.0/TCP 192.0.2.78;branch=z9hG4bKoldest"
	for want, uri := range map[string]string{"404": "sip:+19@x", "416": "http://x/", "100": dialled} {
		g := newRig(t, twoRegions())
		text := inject(request("INVITE", uri, "From: \"A, B\" <sip:a@b>;tag=callertag;x=1"), older)
		all := g.from(caller, text)
		require.Equal(t, want, strings.Fields(startLine(all[0].text))[1])
		for _, name := range []string{"Via", "From", "Call-ID", "CSeq"} {
			require.Equal(t, header(text, name), header(all[0].text, name), name)
		}
		to := header(all[0].text, "To")
		require.Len(t, to, 1)
		require.True(t, strings.HasPrefix(to[0], header(text, "To")[0]))
		require.Equal(t, want != "100", strings.Contains(to[0], ";tag="), "a tag in all but the 100")
		// A tag that is there stays the only one.
		all = g.from(caller, request("BYE", dialled, "To: <sip:x@y>;tag=theirs"))
		require.Equal(t, []string{"<sip:x@y>;tag=theirs"}, header(all[0].text, "To"))
	}
}

func TestRFC5393_5_3_3_MaxBreadthWithinADialog(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	for received, forwarded := range map[string]string{"Max-Breadth: 7": "7", "Max-Breadth: 1000": "60", "Max-Breadth:": "60"} {
		all := sends(t, d.g.from(caller, d.byCaller("INFO", received)), "callee INFO")
		require.Equal(t, []string{forwarded}, header(all[0].text, "Max-Breadth"))
	}
	ack := sends(t, d.g.from(caller, d.byCaller("ACK")), "callee ACK")[0]
	require.Equal(t, []string{"60"}, header(ack.text, "Max-Breadth"), "every request that is proxied has one")
}
