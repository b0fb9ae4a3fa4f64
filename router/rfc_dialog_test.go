package router

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// dialog is an answered call: what its two sides write into their requests.
type dialog struct {
	g     *rig
	route string // our Record-Route as the caller sees it, one value or two
}

func newDialog(t testing.TB, g *rig) dialog {
	inv := g.call()
	all := sends(t, g.from(east1, respond(inv, 200, "Contact: <sip:agent@203.0.113.99:5060>")), "caller 200 INVITE")
	return dialog{g, strings.Join(header(all[0].text, "Record-Route"), ", ")}
}

// byCaller is a request of the caller's within the dialog.
func (d dialog) byCaller(method string, lines ...string) string {
	return request(method, "sip:agent@203.0.113.99:5060", append([]string{
		"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKin" + method,
		"Route: " + d.route,
		"To: <sip:+15550000001@198.51.100.1>;tag=calleetag",
		"CSeq: 2 " + method,
	}, lines...)...)
}

// byCallee is a request of the callee's within the dialog.
func (d dialog) byCallee(method string, lines ...string) string {
	return request(method, "sip:caller@192.0.2.10:5060", append([]string{
		"Via: SIP/2.0/UDP 203.0.113.99:5060;branch=z9hG4bKback" + method,
		"Route: " + d.route,
		"From: <sip:+15550000001@198.51.100.1>;tag=calleetag",
		"To: <sip:+15551230000@192.0.2.10>;tag=callertag",
		"CSeq: 1 " + method,
	}, lines...)...)
}

func TestRFC3261_16_12_InDialogRequestsFollowTheRouteSet(t *testing.T) {
	for _, method := range []string{"INVITE", "BYE", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "MESSAGE", "OPTIONS", "FROBNICATE"} {
		t.Run(method, func(t *testing.T) {
			d := newDialog(t, newRig(t, twoRegions()))
			live := d.g.r.Live()
			all := sends(t, d.g.from(caller, d.byCaller(method)), "callee "+method)
			require.Equal(t, method+" sip:agent@203.0.113.99:5060 SIP/2.0", startLine(all[0].text))
			require.Equal(t, []string{"69"}, header(all[0].text, "Max-Forwards"))
			require.Empty(t, header(all[0].text, "Route"))
			sends(t, d.g.from(callee, respond(all[0], 200)), "caller 200 "+method)

			all = sends(t, d.g.from(callee, d.byCallee(method)), "caller "+method)
			require.Empty(t, header(all[0].text, "Route"))
			sends(t, d.g.from(caller, respond(all[0], 486)), "callee 486 "+method)
			require.Equal(t, live, d.g.r.Live(), "without state")
		})
	}
}

// The rest of the route set stays, and decides.
func TestRFC3261_16_4_OwnRouteIsRemoved(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	for name, c := range map[string]struct {
		route string
		left  []string
	}{
		"alone":            {d.route, nil},
		"one line":         {d.route + ", <sip:203.0.113.7:5070;lr>, <sip:p2.example.com;lr>", []string{"<sip:203.0.113.7:5070;lr>, <sip:p2.example.com;lr>"}},
		"two lines":        {d.route + "\r\nRoute: <sip:203.0.113.7:5070;lr>", []string{"<sip:203.0.113.7:5070;lr>"}},
		"doubled":          {d.route + ", " + d.route + ",<sip:203.0.113.7:5070;lr;x=1>;y=2", []string{"<sip:203.0.113.7:5070;lr;x=1>;y=2"}},
		"doubled, 2 lines": {d.route + "\r\nRoute: " + d.route, nil},
	} {
		t.Run(name, func(t *testing.T) {
			all := d.g.from(caller, strings.Replace(d.byCaller("BYE"), d.route, c.route, 1))
			require.Len(t, all, 1)
			want := callee
			if len(c.left) > 0 {
				want = addr("203.0.113.7:5070")
			}
			require.Equal(t, want, all[0].to)
			require.Equal(t, "BYE sip:agent@203.0.113.99:5060 SIP/2.0", startLine(all[0].text))
			require.Equal(t, c.left, header(all[0].text, "Route"))
		})
	}
}

// uriOf is the URI between the angle brackets.
func uriOf(route string) string {
	return route[strings.IndexByte(route, '<')+1 : strings.IndexByte(route, '>')]
}

// A strict router before us put our URI into the request line, and what was
// there to the end of Route.
func TestRFC3261_16_4_StrictRouterBeforeUs(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	own := uriOf(d.route)
	target := "<sip:agent@203.0.113.99:5060>"
	for name, c := range map[string]struct {
		route string
		to    netip.AddrPort
		left  []string
	}{
		"target only":                {target, callee, nil},
		"one more hop":               {"<sip:203.0.113.7:5070;lr>, " + target, addr("203.0.113.7:5070"), []string{"<sip:203.0.113.7:5070;lr>"}},
		"one more hop, two lines":    {"<sip:203.0.113.7:5070;lr>\r\nRoute: " + target, addr("203.0.113.7:5070"), []string{"<sip:203.0.113.7:5070;lr>"}},
		"our second Record-Route":    {d.route + ", " + target, callee, nil},
		"our second, two lines":      {d.route + "\r\nRoute: " + target, callee, nil},
		"our second and another hop": {d.route + ", <sip:203.0.113.7:5070;lr>, " + target, addr("203.0.113.7:5070"), []string{"<sip:203.0.113.7:5070;lr>"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(d.byCaller("BYE"), "sip:agent@203.0.113.99:5060", own, 1)
			all := d.g.from(caller, strings.Replace(text, "Route: "+d.route, "Route: "+c.route, 1))
			require.Len(t, all, 1)
			require.Equal(t, c.to, all[0].to)
			require.Equal(t, "BYE sip:agent@203.0.113.99:5060 SIP/2.0", startLine(all[0].text))
			require.Equal(t, c.left, header(all[0].text, "Route"))
		})
	}
	t.Run("nothing to restore", func(t *testing.T) {
		text := strings.Replace(d.byCaller("BYE", "Route:"), "sip:agent@203.0.113.99:5060", own, 1)
		sends(t, d.g.from(caller, text), "caller 400 BYE")
	})
}

func TestRFC3261_16_6_6_NextHopIsAStrictRouter(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	for name, c := range map[string]struct {
		route string
		left  []string
	}{
		"one":              {d.route + ", <sip:203.0.113.7:5070>", []string{"<sip:agent@203.0.113.99:5060>"}},
		"one, second line": {d.route + "\r\nRoute: <sip:203.0.113.7:5070>", []string{"<sip:agent@203.0.113.99:5060>"}},
		"more":             {d.route + ", <sip:203.0.113.7:5070>, <sip:p2.example.com;lr>", []string{"<sip:p2.example.com;lr>", "<sip:agent@203.0.113.99:5060>"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := d.g.from(caller, strings.Replace(d.byCaller("BYE"), d.route, c.route, 1))
			require.Len(t, all, 1)
			require.Equal(t, addr("203.0.113.7:5070"), all[0].to)
			require.Equal(t, "BYE sip:203.0.113.7:5070 SIP/2.0", startLine(all[0].text))
			require.Equal(t, c.left, header(all[0].text, "Route"))
		})
	}
	t.Run("strict on both sides", func(t *testing.T) {
		for _, first := range []string{"", d.route + ", "} {
			text := strings.Replace(d.byCaller("BYE"), "sip:agent@203.0.113.99:5060", uriOf(d.route), 1)
			text = strings.Replace(text, "Route: "+d.route, "Route: "+first+"<sip:203.0.113.7:5070>, <sip:agent@203.0.113.99:5060>", 1)
			all := d.g.from(caller, text)
			require.Len(t, all, 1)
			require.Equal(t, "BYE sip:203.0.113.7:5070 SIP/2.0", startLine(all[0].text))
			require.Equal(t, []string{"<sip:agent@203.0.113.99:5060>"}, header(all[0].text, "Route"))
		}
	})
}

// A maddr that names us, with our port and transport, is as good as absent.
func TestRFC3261_16_4_OwnMaddrIsStripped(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	for name, c := range map[string]struct{ uri, forwarded string }{
		"default port": {"sip:agent@203.0.113.99;maddr=198.51.100.1", "sip:agent@203.0.113.99"},
		"our port":     {"sip:agent@203.0.113.99:5060;x=1;maddr=198.51.100.1;transport=udp;y", "sip:agent@203.0.113.99:5060;x=1;transport=udp;y"},
		"somebody's":   {"sip:agent@example.com;maddr=203.0.113.99", "sip:agent@example.com;maddr=203.0.113.99"},
	} {
		t.Run(name, func(t *testing.T) {
			all := sends(t, d.g.from(caller, strings.Replace(d.byCaller("BYE"), "sip:agent@203.0.113.99:5060", c.uri, 1)), "callee BYE")
			require.Equal(t, "BYE "+c.forwarded+" SIP/2.0", startLine(all[0].text))
		})
	}
}

// Initial requests with nothing but our own Route are routed by number.
func TestRFC3261_16_4_PreloadedOwnRoute(t *testing.T) {
	for _, route := range []string{"<sip:198.51.100.1;lr>", "<sip:198.51.100.1:5060>", "<sip:198.51.100.1;lr>, <sip:198.51.100.1;lr>"} {
		g := newRig(t, twoRegions())
		all := sends(t, g.from(caller, invite("Route: "+route)), "caller 100 INVITE", "east1 INVITE")
		require.Empty(t, header(all[1].text, "Route"))
	}
}

// RFC 5658: doubled when the address family changes, each side with an address it can reach.
func TestRFC5658_RecordRouteDoubledBetweenAddressFamilies(t *testing.T) {
	own6, east6 := addr("[2001:db8::1]:5060"), addr("[2001:db8::11]:5060")
	p := twoRegions()
	p.Catalog.Connectors[0].Hosts = []catalog.Host{hostAt(east6)}
	g := newRig(t, p, func(o *Options) { o.Listeners = append(o.Listeners, Listener{Addr: own6}) })
	all := g.from(caller, invite())
	require.Equal(t, east6, all[1].to)
	inv := all[1]
	require.Contains(t, header(inv.text, "Via")[0], "[2001:db8::1]:5060")
	rr := header(inv.text, "Record-Route")
	require.Len(t, rr, 2)
	require.Contains(t, rr[0], "@[2001:db8::1]:5060;lr>")
	require.Contains(t, rr[1], "@198.51.100.1:5060;lr>")
	ok := sends(t, g.from(east6, respond(inv, 200, "Contact: <sip:agent@[2001:db8::11]:5060>")), "caller 200 INVITE")

	// The caller's route set is the reverse of what it sees.
	seen := header(ok[0].text, "Record-Route")
	d := dialog{g, seen[1] + ", " + seen[0]}
	bye := strings.Replace(d.byCaller("BYE"), "sip:agent@203.0.113.99:5060", "sip:agent@[2001:db8::11]:5060", 1)
	all = g.from(caller, bye)
	require.Len(t, all, 1)
	require.Equal(t, east6, all[0].to)
	require.Empty(t, header(all[0].text, "Route"))
	require.Contains(t, header(all[0].text, "Via")[0], "[2001:db8::1]:5060")
	sends(t, g.from(east6, respond(all[0], 200)), "caller 200 BYE")
}

func TestRFC3261_16_6_4_RecordRouteOnlyWhereADialogBegins(t *testing.T) {
	for method, n := range map[string]int{"INVITE": 1, "SUBSCRIBE": 1, "REFER": 1, "MESSAGE": 0, "OPTIONS": 0, "PUBLISH": 0} {
		g := newRig(t, twoRegions())
		all := g.from(caller, request(method, dialled))
		require.Len(t, header(all[len(all)-1].text, "Record-Route"), n, method)
	}
	g := newRig(t, twoRegions(), func(o *Options) { o.RecordRoute = false })
	require.Empty(t, header(g.call().text, "Record-Route"))
}

func TestDesignD7_TokenThatDoesNotVerify(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	at := strings.Index(d.route, "sip:td") + len("sip:td")
	for i := range tokenLen - 2 {
		flipped := []byte(d.route)
		if flipped[at+i] ^= 1; !strings.ContainsRune(hexDigits, rune(flipped[at+i])) {
			flipped[at+i] = '0' // 'a' with its last bit flipped is no digit
		}
		text := strings.Replace(d.byCaller("BYE"), d.route, string(flipped), 1)
		sends(t, d.g.from(caller, text), "caller 403 BYE")
		d.g.pass(100 * time.Millisecond)
	}
	for name, text := range map[string]string{
		"another Call-ID":  d.byCaller("BYE", "Call-ID: other"),
		"another From tag": d.byCaller("BYE", "From: <sip:x@y>;tag=other"),
	} {
		sends(t, d.g.from(caller, text), "caller 403 BYE")
		require.NotEmpty(t, name)
	}
	require.Empty(t, d.g.from(caller, d.byCaller("ACK", "Call-ID: other")))
}

func TestDesignD7_TokenExpires(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	d.g.now += int64(tokenLifeDays * 24 * time.Hour)
	sends(t, d.g.from(caller, d.byCaller("BYE")), "callee BYE")
	d.g.now += int64(24 * time.Hour)
	sends(t, d.g.from(caller, d.byCaller("BYE")), "caller 403 BYE")
}

func TestDesignD7_ForbiddenTargets(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	for _, host := range []string{"198.51.100.1:5060", "127.0.0.1:5060", "[::1]", "169.254.1.1", "[fe80::1]", "0.0.0.0", "224.0.0.1", "239.1.2.3:5060", "203.0.113.99;maddr=127.0.0.1"} {
		text := strings.Replace(d.byCaller("BYE"), "203.0.113.99:5060", host, 1)
		sends(t, d.g.from(caller, text), "caller 403 BYE")
		d.g.now += int64(time.Second)
	}
}

func TestDesignD7_RateOfOneToken(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	for range tokenRate {
		sends(t, d.g.from(caller, d.byCaller("INFO")), "callee INFO")
	}
	sends(t, d.g.from(caller, d.byCaller("INFO")), "caller 503 INFO")
	d.g.now += int64(time.Second)
	sends(t, d.g.from(caller, d.byCaller("INFO")), "callee INFO")
}

func TestRFC3261_16_3_3_MaxForwardsInDialog(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	sends(t, d.g.from(caller, d.byCaller("BYE", "Max-Forwards: 0")), "caller 483 BYE")
	all := sends(t, d.g.from(caller, d.byCaller("BYE", "Max-Forwards:")), "callee BYE")
	require.Equal(t, []string{"70"}, header(all[0].text, "Max-Forwards"))
	all = sends(t, d.g.from(caller, d.byCaller("BYE", "Max-Forwards: 1")), "callee BYE")
	require.Equal(t, []string{"0"}, header(all[0].text, "Max-Forwards"))
}

func TestRFC3261_16_3_2_UnknownSchemeInDialog(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	sends(t, d.g.from(caller, strings.Replace(d.byCaller("INFO"), "sip:agent@203.0.113.99:5060", "im:agent@203.0.113.99", 1)), "caller 416 INFO")
}

// CANCEL and the ACK of a refusal have the branch of their re-INVITE, the ACK
// of a 2xx has its own (RFC 3261 16.11).
func TestRFC3261_16_11_BranchesOfStatelessForwarding(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	branch := func(text string) string {
		all := d.g.from(caller, text)
		require.Len(t, all, 1)
		require.Equal(t, callee, all[0].to)
		_, b, _ := strings.Cut(header(all[0].text, "Via")[0], "branch=")
		return b
	}
	same := "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinINVITE"
	inv := branch(d.byCaller("INVITE"))
	require.Equal(t, inv, branch(d.byCaller("INVITE")), "a retransmission")
	require.Equal(t, inv, branch(d.byCaller("CANCEL", same)))
	require.Equal(t, inv, branch(d.byCaller("ACK", same)))
	require.NotEqual(t, inv, branch(d.byCaller("ACK")))
	require.NotEqual(t, inv, branch(d.byCaller("INVITE", same+"2")))
}

func TestRFC3262_4028_8224_InDialogHeadersPassUntouched(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	lines := []string{
		"RAck: 776656 1 INVITE", "Session-Expires: 1800;refresher=uac", "Min-SE: 90", "Identity: \"abc\";info=<https://x>",
		"P-Asserted-Identity: \"Bob\" <sip:bob@x>, <tel:+1555>", "Path: <sip:p;lr>", "Diversion: <sip:a@b>;reason=no-answer",
		"History-Info: <sip:a@b>;index=1", "Supported: 100rel,timer", "Require: 100rel", "x-ODD :  spaced  ",
	}
	text := d.byCaller("PRACK")
	for _, l := range lines {
		text = inject(text, l)
	}
	all := sends(t, d.g.from(caller, text), "callee PRACK")
	require.Contains(t, all[0].text, strings.Join(lines, "\r\n"))
}

// maddr and port told the sender how to reach us; with a port or transport that
// is not ours the request is meant for somebody else there.
func TestRFC3261_16_4_OwnMaddrNeedsOurPortAndTransport(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) { o.Listeners = []Listener{{Addr: addr("198.51.100.1:5070")}} })
	d := newDialogOf(t, g, g.call())
	bye := func(uri string) []sent {
		return g.from(caller, strings.Replace(d.byCaller("BYE"), "sip:agent@203.0.113.99:5060", uri, 1))
	}
	all := sends(t, bye("sip:agent@203.0.113.99:5070;maddr=198.51.100.1"), "callee BYE")
	require.Equal(t, "BYE sip:agent@203.0.113.99 SIP/2.0", startLine(all[0].text), "the port goes with it")
	all = bye("sip:agent@203.0.113.99:5071;maddr=198.51.100.1")
	require.Equal(t, addr("198.51.100.1:5071"), all[0].to)
	require.Equal(t, "BYE sip:agent@203.0.113.99:5071;maddr=198.51.100.1 SIP/2.0", startLine(all[0].text))
	sends(t, bye("sip:agent@203.0.113.99:5070;transport=tcp;maddr=198.51.100.1"), "caller 503 BYE")
}

// Nobody keeps state: each retransmission is made into the same bytes.
func TestRFC3261_16_11_RetransmissionsGoTheSameWay(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	for _, method := range []string{"INVITE", "BYE", "INFO", "ACK", "CANCEL"} {
		first := sends(t, d.g.from(caller, d.byCaller(method)), "callee "+method)
		d.g.pass(40 * time.Second)
		require.Equal(t, first, d.g.from(caller, d.byCaller(method)))
		restarted := newRig(t, twoRegions())
		restarted.now = d.g.now
		require.Equal(t, first, restarted.from(caller, d.byCaller(method)))
		require.Empty(t, d.g.pass(40*time.Second), "no 100, and none is sent again by us")
	}
}

func TestRFC3261_16_11_ResponsesLoseOurViaAndNothingElse(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	odd := "Server: x\r\nX-Odd :  spaced  \r\nSubject: a\r\n folded\r\nRecord-Route: <sip:p;lr>, <sip:q>"
	for _, status := range []int{100, 183, 200, 401, 487, 603} {
		bye := sends(t, d.g.from(caller, d.byCaller("INVITE")), "callee INVITE")[0]
		text := strings.Replace(respond(bye, status, odd), "Content-Length: 0\r\n\r\n", "Content-Length: 6\r\n\r\nv=0\r\n\x00", 1)
		all := d.g.from(callee, text)
		require.Len(t, all, 1, "one for one, and no ACK of ours")
		require.Equal(t, caller, all[0].to)
		require.Equal(t, text, withOurVia(bye, all[0].text))
		require.Empty(t, d.g.from(callee, strings.Replace(text, "UDP 198.51.100.1:5060", "UDP 198.51.100.2:5060", 1)), "of another's Via")
	}
}

func TestRFC3261_16_6_4_RecordRouteWithinADialog(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	all := sends(t, d.g.from(caller, d.byCaller("INVITE")), "callee INVITE")
	require.Equal(t, []string{d.route}, header(all[0].text, "Record-Route"))
}
