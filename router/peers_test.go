package router

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
)

// What users of other proxies complain about, by repository and issue.

// OpenSIPS#4257: a matching 200 was discarded 31 ms after the branch timed out.
func TestPeersOpenSIPS4257_200LateBy31ms(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	all := g.pass(2 * time.Second)
	second := all[len(all)-1]
	require.Equal(t, west1, second.to)
	g.pass(31 * time.Millisecond)
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	sends(t, g.from(west1, respond(second, 180)), "west1 CANCEL") // the other one stops ringing
	sends(t, g.from(west1, respond(second, 487)), "west1 ACK")
	require.Empty(t, g.pass(time.Minute))
	require.Zero(t, g.r.Live())
}

// kamailio#4881: the ACK of a 487 was never sent after a late reply.
func TestPeersKamailio4881_AckOfALate487(t *testing.T) {
	g := newRig(t, twoRegions())
	first, second := g.second()
	sends(t, g.from(east1, respond(first, 180)), "east1 CANCEL")
	for range 3 {
		sends(t, g.from(east1, respond(first, 487)), "east1 ACK")
	}
	sends(t, g.from(west1, respond(second, 200)), "caller 200 INVITE")
	sends(t, g.from(east1, respond(first, 487)), "east1 ACK")
	// And when the call is not known any more.
	g.pass(40 * time.Second)
	require.Zero(t, g.r.Live())
	require.Contains(t, summary(g.from(east1, respond(first, 487))), "east1 ACK")
}

// kamailio#2377: ICMP is ignored.
func TestPeersKamailio2377_ICMPFailsOverAndFeedsHealth(t *testing.T) {
	g := newRig(t, twoRegions())
	start := g.now
	sends(t, g.unreachable(g.call(), transport.NoPort), "west1 INVITE")
	require.Equal(t, start, g.now, "no time has passed")
	require.Equal(t, health.Doubtful, g.state("east"))
}

// kamailio#4330: one URI over two sockets shares state. asterisk#1927: the probe sticks to one address.
func TestPeersKamailio4330_HealthIsKeyedByHostAndListener(t *testing.T) {
	a := newRig(t, twoRegions())
	b, err := New(Options{
		Listeners: []Listener{{Addr: addr("198.51.100.1:5070")}},
		Secrets:   [][]byte{[]byte("0123456789abcdef")},
		Health:    a.reg, Now: a.now,
	}, twoRegions())
	require.NoError(t, err)
	a.unreachable(a.call(), transport.NoPort)
	require.Equal(t, health.Doubtful, a.state("east"))
	require.Equal(t, health.Up, b.Hosts()[0].Health.View(a.now).State)
}

// OpenSIPS#2363: a reload ignores or resets state. kamailio#4906: disabled targets vanish from metrics.
func TestPeersOpenSIPS2363_ReloadKeepsHealthCallsAndCounters(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	second := g.unreachable(first, transport.NoPort)[0]
	p := twoRegions()
	p.Catalog.Connectors[0].State = catalog.Disabled
	p.Catalog.Groups[0].Numbers = nil
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Equal(t, health.Doubtful, g.state("east"), "what did not change keeps its health")
	sends(t, g.from(west1, respond(second, 200)), "caller 200 INVITE") // a call keeps the plan it began with
	sends(t, g.from(caller, invite("Call-ID: next")), "caller 404 INVITE")
	counts := map[string]uint64{}
	g.r.Counts(func(c Count) { counts[c.Name+" "+c.Labels[0]+" "+c.Labels[1]] = c.Value })
	require.EqualValues(t, 1, counts["attempts east icmp"])
	require.EqualValues(t, 1, counts["attempts west answered"])
	require.Contains(t, counts, "attempts east answered", "every series exists from the start")

	bad := twoRegions()
	bad.Catalog.Connectors[0].Hosts = []catalog.Host{hostAt(addr("[2001:db8::7]:5060"))}
	require.Error(t, g.r.SetPolicy(g.now, bad), "no listener of its family")
	sends(t, g.from(caller, invite("Call-ID: next")), "caller 404 INVITE") // a failed reload changes nothing
}

// livekit/sip#764: OPTIONS says 200 while draining.
func TestPeersLivekit764_OptionsShowsDrain(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	d := newDialog(t, newRig(t, twoRegions()))
	g.r.Drain()
	sends(t, g.from(caller, request("OPTIONS", "sip:198.51.100.1")), "caller 503 OPTIONS")
	sends(t, g.from(east1, request("OPTIONS", "sip:198.51.100.1", "Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKp")), "east1 503 OPTIONS")
	sends(t, g.from(caller, invite("Call-ID: new")), "caller 503 INVITE")
	// Set-ups finish, and dialogs go on.
	sends(t, g.from(caller, invite()), "caller 100 INVITE")
	sends(t, g.from(east1, respond(inv, 503)), "east1 ACK", "west1 INVITE")
	sends(t, g.from(caller, cancelText()), "caller 200 CANCEL")
	sends(t, g.from(caller, d.byCaller("BYE")), "callee BYE")
}

// siphon#69: 503 counts as healthy, Retry-After is ignored.
func TestPeersSiphon69_RetryAfterIsHonoured(t *testing.T) {
	g := newRig(t, twoRegions())
	sends(t, g.from(east1, respond(g.call(), 503, "Retry-After: 30")), "east1 ACK", "west1 INVITE")
	require.Equal(t, health.Full, g.state("east"))
	sends(t, g.from(caller, invite("Call-ID: a")), "caller 100 INVITE", "west1 INVITE")
	g.now += int64(31 * time.Second)
	require.Equal(t, health.Up, g.state("east"))
}

// sbc-outbound#198, dSIPRouter: busy or declined calls retried elsewhere.
func TestPeersSbcOutbound198_BusyIsAnAnswer(t *testing.T) {
	for _, status := range []int{404, 486, 600, 603} {
		g := newRig(t, twoRegions())
		all := g.from(east1, respond(g.call(), status))
		require.Equal(t, status, parse(all[1].text).Status)
		require.NotContains(t, summary(g.pass(time.Minute)), "west1 INVITE")
	}
}

// siphon#380: a ringing carrier was cancelled and the next dialled.
func TestPeersSiphon380_ALongRingIsLeftAlone(t *testing.T) {
	for _, status := range []int{180, 183} {
		g := newRig(t, twoRegions())
		inv := g.call()
		g.from(east1, respond(inv, status))
		require.Empty(t, g.pass(3*time.Minute))
		sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	}
}

// dSIPRouter#618: the second attempt loses its rewrite.
func TestPeersDSIPRouter618_EveryAttemptIsRenderedFromTheOriginal(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].Strip, p.Trunks[0].Prepend = "00", "+"
	p.Catalog.Connectors[0].Number, p.Catalog.Connectors[0].Strip = catalog.E164, "1"
	p.Catalog.Connectors[1].Number, p.Catalog.Connectors[1].Prepend = catalog.PlusE164, "9"
	g := newRig(t, p)
	invites := g.attempts(request("INVITE", "sip:0015550000001;x=1@host"), 2)
	require.Equal(t, "INVITE sip:5550000001;x=1@203.0.113.1:5060 SIP/2.0", startLine(invites[0].text))
	require.Equal(t, "INVITE sip:+15550000001;x=1@203.0.113.11:5060 SIP/2.0", startLine(invites[1].text))
}

// siphon#243: a retransmitted CANCEL is answered 481. sr-users: after a restart only CANCEL breaks.
func TestPeersSiphon243_CancelHasItsOwnTransaction(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	g.from(caller, cancelText())
	g.from(east1, respond(inv, 487))
	for range 6 {
		all := g.from(caller, cancelText())
		require.Equal(t, []string{"caller 200 CANCEL"}, summary(all))
		g.pass(4 * time.Second)
	}
	fresh := newRig(t, twoRegions())
	require.Equal(t, viaBranch(inv.text), viaBranch(fresh.from(caller, cancelText())[0].text))
}

// OpenSIPS#564: known-bad targets stay in the failover list of a call.
func TestPeersOpenSIPS564_HealthIsLookedAtBeforeEachAttempt(t *testing.T) {
	p := twoRegions()
	p.Catalog.Connectors = append(p.Catalog.Connectors, catalog.Connector{Name: "north", Region: "eu", Hosts: []catalog.Host{hostAt(east2)}})
	p.Catalog.Groups[0].Connectors = append(p.Catalog.Groups[0].Connectors, catalog.Member{Connector: "north", Priority: 3})
	g := newRig(t, p)
	inv := g.call()
	// While the first one works on it, the second one goes down.
	for _, h := range g.r.Hosts() {
		if h.Connector == "west" {
			for range 3 {
				h.Health.Observe(g.now, health.Observation{Event: health.ProbeFailed})
			}
		}
	}
	require.Equal(t, health.Down, g.state("west"))
	sends(t, g.from(east1, respond(inv, 503)), "east1 ACK", "east2 INVITE")
}

// freeswitch#2937: "full" is not "down". A host that says 503 to a probe is still tried, last.
func TestPeersFreeswitch2937_FullIsNotDown(t *testing.T) {
	g := newRig(t, twoRegions())
	for _, h := range g.r.Hosts() {
		h.Health.Observe(g.now, health.Observation{Event: health.ProbeOK, Code: 503})
	}
	require.Equal(t, health.Full, g.state("east"))
	sends(t, g.from(caller, invite()), "caller 100 INVITE", "east1 INVITE")
}

// kamailio's tm: with two children it reorders; one batch keeps its order here.
func TestPeersKamailioTm_OrderWithinABatchIsKept(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	in := packets(0, caller, d.byCaller("ACK", "CSeq: 1 ACK"), d.byCaller("INFO"), d.byCaller("BYE", "CSeq: 3 BYE"))
	d.g.r.Packets(d.g.now, in, &d.g.out)
	sends(t, d.g.taken(), "callee ACK", "callee INFO", "callee BYE")

	g := newRig(t, twoRegions())
	inv := g.call()
	g.r.Packets(g.now, packets(0, east1, respond(inv, 100), respond(inv, 180), respond(inv, 200)), &g.out)
	sends(t, g.taken(), "caller 180 INVITE", "caller 200 INVITE")
}

// Teams: no failover after a provisional other than 100.
func TestPeersTeams_NoFailoverAfterRinging(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 183))
	sends(t, g.from(east1, respond(inv, 500)), "east1 ACK", "caller 500 INVITE")
}

// The answers to probes go to the prober, from configured hosts only.
func TestProbeAnswersGoToTheProber(t *testing.T) {
	var got []string
	room := true
	g := newRig(t, twoRegions(), func(o *Options) {
		o.Probe = func(_ int, data []byte, source netip.AddrPort) bool {
			got = append(got, name(source))
			return room
		}
	})
	answer := strings.Replace(respond(sent{text: request("OPTIONS", "sip:203.0.113.1", "Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK.probe")}, 200), "x", "x", 1)
	require.Empty(t, g.from(east1, answer))
	require.Empty(t, g.from(callee, answer), "nobody's")
	require.Empty(t, g.from(addr("203.0.113.1:9"), answer))
	require.Equal(t, []string{"east1"}, got)
	room = false
	require.Empty(t, g.from(west1, answer))
	require.Equal(t, 1, g.dropped(dropProbe))
}
