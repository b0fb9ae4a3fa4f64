package router

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
)

// What a node does not let others do with it, and what it does not do to itself.

// dialog sets a call up and returns the Route of its requests.
func (g *rig) dialog() (route string) {
	g.t.Helper()
	inv := g.call()
	ok := g.from(east1, respond(inv, 200))
	require.Equal(g.t, []string{"caller 200 INVITE"}, summary(ok))
	return "Route: " + header(ok[0].text, "Record-Route")[0]
}

func TestTokenIsNoPassForNewCalls(t *testing.T) {
	g := newRig(t, twoRegions())
	route := g.dialog()
	fresh := request("INVITE", "sip:+19005550000@203.0.113.99", route, "CSeq: 7 INVITE",
		"Via: SIP/2.0/UDP 203.0.113.99:5060;branch=z9hG4bKfresh")
	require.Equal(t, []string{"callee 403 INVITE"}, summary(g.from(callee, fresh)))
	require.Empty(t, g.from(callee, strings.ReplaceAll(fresh, "INVITE", "ACK")))
}

func TestCallerWithoutATagIsStillADialog(t *testing.T) {
	g := newRig(t, twoRegions())
	old := "From: <sip:+15551230000@192.0.2.10>" // RFC 2543
	all := g.from(caller, invite(old))
	ok := g.from(east1, respond(all[1], 200))
	bye := request("BYE", "sip:caller@192.0.2.10:5060", "Route: "+header(ok[0].text, "Record-Route")[0],
		"Via: SIP/2.0/UDP 203.0.113.99:5060;branch=z9hG4bKbye",
		"From: <sip:+15550000001@198.51.100.1>;tag=calleetag", "To: <sip:+15551230000@192.0.2.10>")
	require.Equal(t, []string{"caller BYE"}, summary(g.from(callee, bye)))
}

func TestOwnRouteWithAUserPart(t *testing.T) {
	g := newRig(t, twoRegions())
	all := g.from(caller, invite("Route: <sip:proxy@198.51.100.1;lr>"))
	require.Equal(t, []string{"caller 100 INVITE", "east1 INVITE"}, summary(all))
	require.Empty(t, header(all[1].text, "Route"))
}

// A wildcard listener and a host on the same machine: an Asterisk beside us.
func TestConnectorOnThisMachineBehindAWildcardListener(t *testing.T) {
	local := addr("127.0.0.1:5081")
	p := twoRegions()
	p.Catalog.Connectors[0].Hosts = []catalog.Host{hostAt(local)}
	g := newRig(t, p, func(o *Options) {
		o.Listeners = []Listener{{Addr: addr("0.0.0.0:5060"), Advertise: "198.51.100.1:5060"}}
		o.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.5")}
	})
	inv := g.from(caller, invite())[1]
	require.Equal(t, local, inv.to)
	ok := g.from(local, respond(inv, 200))
	route := "Route: " + header(ok[0].text, "Record-Route")[0]
	to := "To: <sip:+15550000001@198.51.100.1>;tag=calleetag"
	for _, method := range []string{"ACK", "BYE"} {
		all := g.from(caller, request(method, "sip:agent@127.0.0.1:5081", route, to, "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK"+method))
		require.Equal(t, []string{"127.0.0.1:5081 " + method}, summary(all))
	}
	for _, us := range []string{"10.0.0.5:5060", "127.0.0.1:5060", "198.51.100.1:5060"} {
		all := g.from(caller, request("BYE", "sip:x@"+us, route, to, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKself"))
		require.Equal(t, []string{"caller 403 BYE"}, summary(all), us)
	}
	for _, other := range []string{"127.0.0.2:5081", "169.254.169.254"} {
		all := g.from(caller, request("BYE", "sip:x@"+other, route, to, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlocal"))
		require.Equal(t, []string{"caller 403 BYE"}, summary(all), other)
	}
}

func TestContactByName(t *testing.T) {
	g := newRig(t, twoRegions())
	route := g.dialog()
	to := "To: <sip:+15550000001@198.51.100.1>;tag=calleetag"
	all := g.from(caller, request("BYE", "sip:agent@sbc.example.net", route, to, "CSeq: 2 BYE"))
	require.Equal(t, []string{"east1 BYE"}, summary(all), "the host that answered knows whom it meant")
	for _, uri := range []string{"sip:agent@203.0.113.99;transport=tcp", "sips:agent@203.0.113.99"} {
		all = g.from(caller, request("BYE", uri, route, to, "CSeq: 3 BYE"))
		require.Equal(t, []string{"caller 503 BYE"}, summary(all), uri)
	}
	bye := request("BYE", "sip:caller@pbx.example.org", route, "CSeq: 1 BYE",
		"Via: SIP/2.0/UDP 203.0.113.99:5060;branch=z9hG4bKbye",
		"From: <sip:+15550000001@198.51.100.1>;tag=calleetag", "To: <sip:+15551230000@192.0.2.10>;tag=callertag")
	require.Equal(t, []string{"callee 503 BYE"}, summary(g.from(callee, bye)))
}

func TestOneDialogCannotUseUpTheRateOfAnother(t *testing.T) {
	w := new(rateWords)
	a, b := uint64(1)<<40|7, uint64(2)<<40|7 // the same word
	for range tokenRate {
		require.True(t, w.allow(a, 0))
	}
	require.False(t, w.allow(a, 0))
	require.True(t, w.allow(b, 0))
	require.True(t, w.allow(a, int64(time.Second)))
}

func TestAsManyCallsAsThereMayBe(t *testing.T) {
	g := newRig(t, twoRegions())
	require.Equal(t, maxCalls, g.r.mostCalls)
	for _, st := range g.r.stripes {
		st.count = maxCalls / stripes
	}
	require.Equal(t, []string{"caller 503 INVITE"}, summary(g.from(caller, invite())))
}

// Few calls with large bodies take the memory of many.
func TestAsManyMessagesAsThereMayBe(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) { o.MostCalls = 10 * stripes }) // 20 KiB a stripe
	large := func(i int) string {
		text := invite(fmt.Sprintf("Call-ID: large-%d", i), "Content-Length: 60000") + strings.Repeat("x", 60_000)
		return strings.Replace(text, "Content-Length: 0\r\n", "", 1)
	}
	let := 0
	for i := range 10 * stripes {
		if got := summary(g.from(caller, large(i))); got[0] == "caller 100 INVITE" {
			let++
		} else {
			require.Equal(t, []string{"caller 503 INVITE"}, got)
		}
	}
	require.InDelta(t, stripes, let, 2, "one for each stripe")
	g.pass(5 * time.Minute) // all of them are over
	for _, st := range g.r.stripes {
		require.Zero(t, st.count)
		require.Zero(t, st.held)
	}
	require.Equal(t, "caller 100 INVITE", summary(g.from(caller, large(0)))[0])
}

// What calls leave for others of their size counts too: those of another size take
// no more beside it.
func TestMessagesThatAreOverTakeNoMore(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) { o.MostCalls = 100 * stripes })
	const room = 100 * callRoom
	most := 0
	for size := 2000; size < 20_000; size += 1000 {
		for i := range 20 * stripes {
			g.from(caller, withBody(invite(fmt.Sprintf("Call-ID: %d-of-%d", i, size)), size))
		}
		g.pass(5 * time.Minute) // all of them are over
		for _, st := range g.r.stripes {
			most = max(most, st.buffers.free)
		}
	}
	require.LessOrEqual(t, most, room)
	require.Greater(t, most, room/2, "or there was nothing to see")
}

func TestEndless183Ends(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	for range 10 { // half an hour, less 100 s
		g.from(east1, respond(inv, 183))
		require.Equal(t, []string{}, summary(g.pass(170*time.Second)))
	}
	g.from(east1, respond(inv, 183))
	require.Contains(t, summary(g.pass(110*time.Second)), "east1 CANCEL")
	require.Contains(t, summary(g.from(east1, respond(inv, 487))), "caller 408 INVITE")
	require.Zero(t, g.r.Setups())
}

func TestUnsupportedIsOneField(t *testing.T) {
	g := newRig(t, twoRegions())
	all := g.from(caller, invite("Proxy-Require: a, b", "Proxy-require : c"))
	require.Equal(t, []string{"caller 420 INVITE"}, summary(all))
	require.Equal(t, []string{"a, b, c"}, header(all[0].text, "Unsupported"))
}

func TestNonInviteStartsWhateverFirstResponseIs(t *testing.T) {
	p := twoRegions()
	p.Failover.FirstResponse = time.Minute
	g := newRig(t, p)
	require.Equal(t, []string{"east1 MESSAGE"}, summary(g.from(caller, request("MESSAGE", dialled))))
}

// A host that said 100 was not silent.
func TestNonInviteThatTakesLongIsNoDoubt(t *testing.T) {
	g := newRig(t, twoRegions())
	req := g.from(caller, request("MESSAGE", dialled))[0]
	g.from(east1, respond(req, 100))
	g.pass(33 * time.Second)
	require.Equal(t, health.Up, g.r.Hosts()[0].Health.View(g.now).State)
}

// After a restart every candidate gets the CANCEL; only the one that has the
// call says 200.
func TestCancelAfterARestartIsAnsweredByTheHostWithTheCall(t *testing.T) {
	g := newRig(t, twoRegions())
	all := g.from(caller, request("CANCEL", dialled))
	require.Equal(t, []string{"east1 CANCEL", "west1 CANCEL"}, summary(all))
	require.Empty(t, g.from(east1, respond(all[0], 481)))
	require.Equal(t, []string{"caller 200 CANCEL"}, summary(g.from(west1, respond(all[1], 200))))
}

func TestTimersDoNotWakeThemselves(t *testing.T) {
	g := newRig(t, twoRegions())
	g.call()
	select {
	case <-g.r.wake: // of the call's first timer
	default:
	}
	require.Contains(t, summary(g.pass(510*time.Millisecond)), "east1 INVITE")
	require.Empty(t, g.r.wake)
}

// A policy may change between any two packets; a message sees one.
func TestPolicyChangesBesideTraffic(t *testing.T) {
	with, without := twoRegions(), twoRegions()
	without.Trunks[0].Sources = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	g := newRig(t, with)
	var changes sync.WaitGroup
	changes.Go(func() {
		for range 200 {
			_ = g.r.SetPolicy(g.now, without)
			_ = g.r.SetPolicy(g.now, with)
		}
	})
	for i := range 5000 {
		text := invite("Call-ID: " + strings.Repeat("x", i%50) + time.Duration(i).String())
		g.r.Packets(g.now, []transport.Packet{{Data: []byte(text), Source: caller}}, &g.out)
		g.out.Reset()
	}
	changes.Wait()
}
