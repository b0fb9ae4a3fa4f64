package router

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
)

// withBody gives a message without one a body of so many bytes.
func withBody(text string, size int) string {
	return strings.Replace(text, "Content-Length: 0", "Content-Length: "+strconv.Itoa(size), 1) + strings.Repeat("v", size)
}

// largeRig is a mixed rig whose questions are kept.
type largeRig struct {
	*rig
	questions []Question
	busy      bool // nobody takes one
	log       bytes.Buffer
}

func newLargeRig(t testing.TB, p Policy) *largeRig {
	g := &largeRig{}
	g.rig = newRig(t, p, func(o *Options) {
		o.Listeners = []Listener{{Addr: ownAddr}, {Addr: ownAddr, Transport: catalog.TCP}}
		o.Ask = func(q Question) bool { g.questions = append(g.questions, q); return !g.busy }
		o.Log = slog.New(slog.NewTextHandler(&g.log, nil))
		o.RecentCalls = 64
	})
	return g
}

// oneHost is a group with a single host, over UDP, and large requests as said.
func oneHost(mode catalog.LargeRequests) Policy {
	p := hostOver(catalog.UDP)
	p.Large.Requests = mode
	return p
}

// both are two regions, and large requests as said.
func both(mode catalog.LargeRequests) Policy {
	p := twoRegions()
	p.Large.Requests = mode
	return p
}

// calls has a call begin with a body of so many bytes, and returns its INVITE.
func (g *largeRig) calls(n, size int) leaving {
	g.t.Helper()
	all := g.over(overUDP, caller, withBody(invite("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlarge"+strconv.Itoa(n), "Call-ID: large-"+strconv.Itoa(n)), size))
	require.Len(g.t, all, 2, "100 and the INVITE")
	require.Contains(g.t, startLine(all[0].text), "100")
	return all[1]
}

// lost tells the router that what left over TCP could not be delivered.
func (g *largeRig) lost(m leaving, why transport.Cause) []leaving {
	var all []leaving
	g.r.Unreachable(g.now, transport.Unreachable{Dest: m.to, Code: why, Quote: []byte(m.text), Local: true, Listener: overTCP}, &g.out)
	for i := range g.out.Len() {
		l, to, data := g.out.At(i)
		all = append(all, leaving{l, to, string(data)})
	}
	g.out.Reset()
	return all
}

func (g *largeRig) large() (n [largeWays]uint64) {
	g.r.Counts(func(c Count) {
		for i, name := range largeNames {
			if c.Name == CountLarge && c.Labels[0] == name {
				n[i] = c.Value
			}
		}
	})
	return n
}

// firstVia is what the topmost Via of a message says before its branch.
func firstVia(text string) string {
	via, _, _ := strings.Cut(header(text, "Via")[0], ";")
	return via
}

// A host that was not seen to take TCP gets large requests by UDP, and is asked
// once; after that they go over TCP, and small ones as before.
func TestRFC3261_18_1_1_TCPIsLearned(t *testing.T) {
	g := newLargeRig(t, both(catalog.LargeAuto))
	small := g.calls(0, 100)
	require.Equal(t, overUDP, small.listener)
	require.Empty(t, g.questions)
	for n := range 3 {
		inv := g.calls(1+n, 6000)
		require.Equal(t, []any{overUDP, east1}, []any{inv.listener, inv.to})
		require.Equal(t, "SIP/2.0/UDP 198.51.100.1:5060", firstVia(inv.text))
	}
	require.Equal(t, []Question{{Listener: overTCP, Addr: east1, URI: "sip:" + east1.String()}}, g.questions, "once")
	require.Equal(t, [largeWays]uint64{largeUDP: 3}, g.large())

	g.r.TakesStream(east1)
	g.r.TakesStream(east1)
	require.Equal(t, 1, strings.Count(g.log.String(), "takes TCP"), "%s", &g.log)
	inv := g.calls(5, 6000)
	require.Equal(t, []any{overTCP, east1}, []any{inv.listener, inv.to})
	require.Equal(t, "SIP/2.0/TCP 198.51.100.1:5060", firstVia(inv.text))
	require.Equal(t, overUDP, g.calls(6, 100).listener)
	require.Equal(t, [largeWays]uint64{largeTCP: 1, largeUDP: 3}, g.large())
	require.Len(t, g.questions, 1)
}

// Who did not answer is asked again, not before some minutes; who wants no OPTIONS
// never is.
func TestLargeAskedAgain(t *testing.T) {
	g := newLargeRig(t, oneHost(catalog.LargeAuto))
	g.calls(1, 2000)
	g.now += int64(streamRest) - 1
	g.calls(2, 2000)
	require.Len(t, g.questions, 1)
	g.now++
	g.calls(3, 2000)
	require.Len(t, g.questions, 2)

	g = newLargeRig(t, oneHost(catalog.LargeAuto))
	g.busy = true
	g.calls(1, 2000)
	g.busy = false
	g.calls(2, 2000)
	require.Len(t, g.questions, 2, "nobody took the first")
	g.calls(3, 2000)
	require.Len(t, g.questions, 2)

	p := oneHost(catalog.LargeAuto)
	p.Health.Probe = false
	g = newLargeRig(t, p)
	require.Equal(t, overUDP, g.calls(1, 2000).listener)
	require.Empty(t, g.questions)
}

// Large is what is more than udp_mtu as it leaves; the connector's own word counts.
func TestLargeIsMoreThanTheMTU(t *testing.T) {
	p := both(catalog.LargeTCP)
	p.Large.MTU = 2000
	base := len(newLargeRig(t, p).calls(1, 100).text) - 100 // with a Content-Length of three digits
	for _, c := range []struct{ size, over int }{{2000, overUDP}, {2001, overTCP}} {
		g := newLargeRig(t, p)
		inv := g.calls(1, c.size-base-1) // of four
		if require.Equal(t, c.over, inv.listener, c.size); c.over == overUDP {
			require.Len(t, inv.text, c.size)
		}
	}
	p.Catalog.Connectors[0].Large = catalog.Large{MTU: 65535}
	require.Equal(t, overUDP, newLargeRig(t, p).calls(1, 60_000).listener)
	p.Catalog.Connectors[0].Large = catalog.Large{Requests: catalog.LargeUDP}
	g := newLargeRig(t, p)
	require.Equal(t, overUDP, g.calls(1, 60_000).listener)
	require.Empty(t, g.r.Hosts()[0].Large)
	require.Equal(t, []int{overTCP, overTCP}, g.r.Hosts()[1].Large, "of calls over UDP and of those over TCP")
	// Nothing that is over connections anyway is large.
	p = hostOver(catalog.TCP)
	p.Large.Requests = catalog.LargeTCP
	g = newLargeRig(t, p)
	require.Equal(t, overTCP, g.calls(1, 60_000).listener)
	require.Equal(t, [largeWays]uint64{}, g.large())
}

// What no TCP listener reaches stays with UDP, and nobody is asked.
func TestLargeWithoutAListener(t *testing.T) {
	for _, mode := range []catalog.LargeRequests{catalog.LargeAuto, catalog.LargeTCP} {
		g := &largeRig{}
		g.rig = newRig(t, oneHost(mode), func(o *Options) {
			o.Listeners = []Listener{{Addr: ownAddr}, {Addr: addr("127.0.0.1:5060"), Transport: catalog.TCP}}
			o.Ask = func(q Question) bool { g.questions = append(g.questions, q); return true }
		})
		require.Equal(t, overUDP, g.calls(1, 6000).listener)
		require.Empty(t, g.questions)
	}
}

// A connector that names a listener means its address, for large requests too, also
// within the dialog.
func TestLargeFromTheListenerThatIsNamed(t *testing.T) {
	for _, named := range []bool{false, true} {
		p := oneHost(catalog.LargeTCP)
		if named {
			p.Catalog.Connectors[0].Listener = "out"
		}
		g := &largeRig{}
		g.rig = newRig(t, p, func(o *Options) {
			o.Listeners = []Listener{{Addr: ownAddr, Name: "out"}, {Addr: addr("192.0.2.99:5060"), Transport: catalog.TCP}}
		})
		require.Equal(t, named, g.calls(1, 6000).listener == overUDP)
		within := g.up(overUDP)
		require.Equal(t, named, g.over(overUDP, caller, within("INVITE", 6000))[0].listener == overUDP)
	}
}

// A large INVITE over TCP is one client transaction: nothing is sent again, and
// CANCEL and the ACK of a refusal go where it went. The dialog goes on over UDP.
func TestRFC3261_18_1_1_TransactionOverTCP(t *testing.T) {
	g := newLargeRig(t, oneHost(catalog.LargeTCP))
	inv := g.calls(1, 60_000)
	require.Equal(t, overTCP, inv.listener)
	require.Equal(t, []string{"60000"}, header(inv.text, "Content-Length"))
	require.Len(t, header(inv.text, "Record-Route"), 1)
	require.NotContains(t, header(inv.text, "Record-Route")[0], "transport=")
	require.Empty(t, g.pass(1900*time.Millisecond), "no Timer A")
	ringing := g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 180))
	require.Equal(t, []any{overUDP, caller}, []any{ringing[0].listener, ringing[0].to})
	all := g.over(overUDP, caller, cancelText("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlarge1", "Call-ID: large-1"))
	require.Len(t, all, 2)
	cancel := all[1]
	require.Equal(t, "CANCEL", strings.Fields(cancel.text)[0])
	require.Equal(t, []any{overTCP, east1}, []any{cancel.listener, cancel.to})
	require.Equal(t, header(inv.text, "Via")[0], header(cancel.text, "Via")[0])
	require.Empty(t, g.pass(10*time.Second), "no Timer E")
	all = g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 487))
	require.Len(t, all, 2)
	require.Equal(t, "ACK", strings.Fields(all[0].text)[0])
	require.Equal(t, []any{overTCP, east1}, []any{all[0].listener, all[0].to})
	require.Equal(t, header(inv.text, "Via")[0], header(all[0].text, "Via")[0])

	call := g.r.Recent(1, nil)[0]
	require.Equal(t, "tcp", call.Attempts[0].Transport)
}

// A non-INVITE of that size goes the same way.
func TestLargeMessage(t *testing.T) {
	g := newLargeRig(t, oneHost(catalog.LargeTCP))
	all := g.over(overUDP, caller, withBody(request("MESSAGE", dialled), 5000))
	require.Len(t, all, 1)
	require.Equal(t, overTCP, all[0].listener)
	back := g.over(overTCP, east1, respond(sent{all[0].to, all[0].text}, 200))
	require.Equal(t, []any{overUDP, caller}, []any{back[0].listener, back[0].to})
}

// Without a connection the same attempt goes by UDP at once, the host is as
// healthy as before, and TCP is left alone for a while; not for limits of ours.
func TestRFC3261_18_1_1_BackToUDP(t *testing.T) {
	for _, why := range []transport.Cause{transport.NoHost, transport.SendError} {
		g := newLargeRig(t, both(catalog.LargeAuto))
		first := g.calls(0, 6000)
		g.over(overUDP, east1, respond(sent{first.to, first.text}, 200))
		g.r.TakesStream(east1)
		g.now += 2 * int64(streamRest)
		inv := g.calls(1, 6000)
		g.now += second
		again := g.lost(inv, why)
		require.Len(t, again, 1)
		require.Equal(t, []any{overUDP, east1}, []any{again[0].listener, again[0].to})
		require.Equal(t, "SIP/2.0/UDP 198.51.100.1:5060", firstVia(again[0].text))
		_, branch, _ := strings.Cut(header(inv.text, "Via")[0], "branch=")
		require.Contains(t, header(again[0].text, "Via")[0], branch, "the same transaction")
		require.Equal(t, health.Up, g.r.Hosts()[0].Health.Status().State)
		require.Equal(t, [largeWays]uint64{largeTCP: 1, largeUDP: 1, largeFallback: 1}, g.large())

		require.Empty(t, g.lost(inv, why), "once")
		sends(t, g.pass(1900*time.Millisecond), "east1 INVITE", "east1 INVITE") // Timer A, and the host has as long as any
		answer := g.over(overUDP, east1, respond(sent{again[0].to, again[0].text}, 200))
		require.Equal(t, caller, answer[0].to)
		require.Empty(t, g.r.Recent(1, nil)[0].Attempts[0].Transport)

		if why == transport.SendError {
			require.Equal(t, overTCP, g.calls(2, 6000).listener)
			continue
		}
		require.Equal(t, overUDP, g.calls(2, 6000).listener)
		require.Len(t, g.questions, 1, "not asked either")
		g.now += int64(streamRest)
		require.Equal(t, overUDP, g.calls(3, 6000).listener)
		require.Len(t, g.questions, 2)
		g.r.TakesStream(east1)
		require.Equal(t, overTCP, g.calls(4, 6000).listener)
	}
}

// What is heard of the connection too late sends nothing again: the host has rung,
// or the call has moved on.
func TestLargeConnectionLostTooLate(t *testing.T) {
	g := newLargeRig(t, both(catalog.LargeTCP))
	inv := g.calls(1, 6000)
	g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 180))
	require.Empty(t, g.lost(inv, transport.NoHost))

	g = newLargeRig(t, both(catalog.LargeTCP))
	inv = g.calls(1, 6000)
	sends(t, g.pass(2100*time.Millisecond), "west1 INVITE")
	require.Empty(t, g.lost(inv, transport.NoHost))
	require.Zero(t, g.large()[largeFallback])
}

// A request that the call has no use or no time for does not go by UDP, and who
// called hears at once how it ended.
func TestLargeConnectionLostWhenTheCallIsOver(t *testing.T) {
	hears := func(g *largeRig, inv leaving, status string) {
		t.Helper()
		all := g.lost(inv, transport.NoHost)
		require.Len(t, all, 1)
		require.Equal(t, caller, all[0].to)
		require.Contains(t, startLine(all[0].text), status)
		require.Zero(t, g.large()[largeFallback])
	}
	g := newLargeRig(t, both(catalog.LargeTCP))
	inv := g.calls(1, 6000)
	sends(t, g.from(caller, cancelText("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlarge1", "Call-ID: large-1")), "caller 200 CANCEL")
	hears(g, inv, "487")

	p := both(catalog.LargeTCP)
	p.Failover.SetupBudget = 1200 * time.Millisecond
	g = newLargeRig(t, p)
	inv = g.calls(1, 6000)
	g.now += 1200 * milli
	hears(g, inv, "503")

	for _, status := range []int{200, 603} { // late, of the one before
		g = newLargeRig(t, both(catalog.LargeTCP))
		inv = g.calls(1, 6000)
		next := sends(t, g.pass(2100*time.Millisecond), "west1 INVITE")[0]
		late := g.over(overTCP, east1, respond(sent{inv.to, inv.text}, status))
		west := leaving{overTCP, next.to, next.text}
		if status == 603 {
			hears(g, west, "603")
			continue
		}
		require.Contains(t, startLine(late[0].text), "200")
		require.Empty(t, g.lost(west, transport.NoHost))
		require.Empty(t, g.pass(4*time.Second))
	}
}

// A CANCEL whose connection has ended goes by UDP, as often as any there, and
// nothing more once the call has its end.
func TestLargeCancelGoesByUDPWithoutAConnection(t *testing.T) {
	g := newLargeRig(t, oneHost(catalog.LargeTCP))
	inv := g.calls(1, 6000)
	g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 180))
	all := g.over(overUDP, caller, cancelText("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlarge1", "Call-ID: large-1"))
	cancel := all[1]
	require.Equal(t, overTCP, cancel.listener)
	again := g.lost(cancel, transport.NoHost)
	require.Len(t, again, 1)
	require.Equal(t, []any{overUDP, east1}, []any{again[0].listener, again[0].to})
	require.Equal(t, strings.Replace(cancel.text, "SIP/2.0/TCP", "SIP/2.0/UDP", 1), again[0].text)
	require.Empty(t, g.lost(cancel, transport.NoHost), "once")
	sends(t, g.pass(1600*time.Millisecond), "east1 CANCEL", "east1 CANCEL")
	sends(t, g.from(east1, respond(sent{again[0].to, inv.text}, 487)), "east1 ACK", "caller 487 INVITE")

	g = newLargeRig(t, oneHost(catalog.LargeTCP))
	inv = g.calls(1, 6000)
	g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 180))
	cancel = g.over(overUDP, caller, cancelText("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlarge1", "Call-ID: large-1"))[1]
	g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 487))
	require.Empty(t, g.lost(cancel, transport.NoHost))
}

// What of the time went by over TCP says nothing about the host by UDP.
func TestLargeFallbackIsJudgedFromItsBeginning(t *testing.T) {
	p := oneHost(catalog.LargeTCP)
	p.Failover.SetupBudget = 1200 * time.Millisecond
	g := newLargeRig(t, p)
	inv := g.calls(1, 6000)
	g.now += 900 * milli
	require.Len(t, g.lost(inv, transport.NoHost), 1)
	sends(t, g.pass(499*time.Millisecond))
	sends(t, g.pass(20*time.Millisecond), "caller 503 INVITE")
	require.Equal(t, health.Up, g.r.Hosts()[0].Health.Status().State, "half a second by UDP")
}

// A host that the request went to by UDP has as long to go on as any other, and is
// stalled no sooner.
func TestLargeFallbackHasItsTimeToGoOn(t *testing.T) {
	p := oneHost(catalog.LargeTCP)
	p.Failover.Progress = 5 * time.Second
	g := newLargeRig(t, p)
	for n := range 5 { // as many as make a host stalled
		g.calls(n, 6000)
	}
	again := g.pass(2 * time.Second)
	require.Len(t, again, 5)
	g.pass(1900 * time.Millisecond)
	for _, inv := range again {
		g.from(east1, respond(inv, 100))
	}
	require.Empty(t, g.pass(2*time.Second))
	require.Equal(t, health.Up, g.r.Hosts()[0].Health.Status().State, "not 4 s by UDP")
	require.Empty(t, g.pass(time.Second))
	ended := g.pass(200 * time.Millisecond)
	require.Len(t, ended, 10)
	require.Equal(t, []string{"east1 CANCEL", "caller 503 INVITE"}, summary(ended)[:2])
	require.InDelta(t, 2000, g.r.Recent(1, nil)[0].Attempts[0].Start, 10, "by UDP")
}

// A host that takes neither is given up as any that cannot be reached.
func TestLargeReachesNobody(t *testing.T) {
	g := newLargeRig(t, both(catalog.LargeTCP))
	again := g.lost(g.calls(1, 6000), transport.NoHost)[0]
	all := g.unreachable(sent{again.to, again.text}, transport.NoPort)
	sends(t, all, "west1 INVITE")
	require.Contains(t, all[0].text, "SIP/2.0/TCP", "the next is tried over TCP in its turn")
	require.Equal(t, health.Doubtful, g.r.Hosts()[0].Health.Status().State)
}

// A connection that brings nothing back, or is still to be made: the next host is
// tried, and this one gets no more over TCP; but that says nothing of it by UDP, for
// which it is probed.
func TestLargeSilentOverTCP(t *testing.T) {
	p := both(catalog.LargeTCP)
	p.Health.EjectAfter = 3
	g := newLargeRig(t, p)
	var all []leaving
	for n := range 5 {
		all = append(all, g.calls(n, 6000))
	}
	for _, inv := range all {
		require.Equal(t, []any{overTCP, east1}, []any{inv.listener, inv.to})
	}
	next := g.pass(2100 * time.Millisecond)
	sends(t, next, "west1 INVITE", "west1 INVITE", "west1 INVITE", "west1 INVITE", "west1 INVITE")
	require.Equal(t, health.Up, g.r.Hosts()[0].Health.Status().State)
	require.Equal(t, []*health.Host{g.r.Hosts()[0].Health}, g.reg.Wanted(nil))
	require.Equal(t, uint64(0), g.large()[largeFallback])
	require.False(t, g.r.plan.Load().hosts[0].large.overStream(g.now))
	require.True(t, g.r.plan.Load().hosts[1].large.overStream(g.now))

	// The same silence by UDP ejects.
	p.Large.Requests = catalog.LargeUDP
	g = newLargeRig(t, p)
	for n := range 5 {
		g.calls(n, 6000)
	}
	g.pass(2100 * time.Millisecond)
	require.Equal(t, health.Ejected, g.r.Hosts()[0].Health.Status().State)
}

// An answer over TCP says nothing of the way by UDP, which a small call had none by:
// probes end that doubt.
func TestLargeAnsweredOverTCPIsNoAnswerByUDP(t *testing.T) {
	for _, status := range []int{100, 180, 200, 404, 500, 503} {
		g := newLargeRig(t, oneHost(catalog.LargeTCP))
		east := g.r.Hosts()[0].Health
		g.calls(0, 100)
		g.pass(2100 * time.Millisecond)
		inv := g.calls(1, 6000)
		g.over(overTCP, east1, respond(sent{inv.to, inv.text}, status))
		require.Equal(t, health.Doubtful, east.Status().State, status)
		g.now += int64(health.DoubtHold)
		east.Observe(g.now, health.Observation{Event: health.ProbeOK, Code: 200})
		require.Equal(t, health.Up, east.Status().State)
	}

	// By which way an answer came counts, not by which the request was last sent.
	g := newLargeRig(t, oneHost(catalog.LargeTCP))
	inv := g.calls(0, 6000)
	again := g.pass(2100 * time.Millisecond)[0]
	g.unreachable(again, transport.NoPort)
	require.Equal(t, health.Doubtful, g.r.Hosts()[0].Health.Status().State)
	g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 180))
	require.Equal(t, health.Doubtful, g.r.Hosts()[0].Health.Status().State)
	g.from(east1, respond(again, 180))
	require.Equal(t, health.Up, g.r.Hosts()[0].Health.Status().State)
}

// A trial call that goes over TCP ends a doubt without probes, which nothing else
// would where all calls are large, and an ejection. So calls over TCP eject, too.
func TestLargeTrialOverTCP(t *testing.T) {
	p := both(catalog.LargeTCP)
	p.Health.Probe = false
	g := newLargeRig(t, p)
	east := g.r.Hosts()[0].Health
	g.calls(0, 100)
	g.pass(2100 * time.Millisecond)
	require.Equal(t, health.Doubtful, east.Status().State)
	require.Equal(t, west1, g.calls(1, 6000).to)
	g.now += int64(health.DoubtHold)
	trial := g.calls(2, 6000)
	require.Equal(t, []any{overTCP, east1}, []any{trial.listener, trial.to})
	require.Equal(t, west1, g.calls(3, 6000).to)
	g.over(overTCP, east1, respond(sent{trial.to, trial.text}, 180))
	require.Equal(t, health.Up, east.Status().State)

	p = both(catalog.LargeTCP)
	p.Health.EjectAfter = 2
	for _, stuck := range []bool{false, true} {
		g = newLargeRig(t, p)
		east = g.r.Hosts()[0].Health
		for n := range 2 {
			inv := g.calls(n, 6000)
			if stuck {
				g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 100))
				g.pass(p.Failover.Progress + 100*time.Millisecond)
			} else {
				g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 503))
			}
		}
		require.Equal(t, health.Ejected, east.Status().State)
		g.now += int64(p.Health.EjectTime)
		trial = g.calls(9, 6000)
		require.Equal(t, []any{overTCP, east1}, []any{trial.listener, trial.to})
		g.over(overTCP, east1, respond(sent{trial.to, trial.text}, 200))
		require.Equal(t, health.Recovering, east.Status().State)
	}
}

// With nothing else to try, the request goes by UDP before the call is given up;
// not when the caller has given up himself.
func TestLargeLastResort(t *testing.T) {
	g := newLargeRig(t, oneHost(catalog.LargeTCP))
	inv := g.calls(1, 6000)
	again := g.pass(2100 * time.Millisecond)
	sends(t, again, "east1 INVITE")
	require.Equal(t, "SIP/2.0/UDP 198.51.100.1:5060", firstVia(again[0].text))
	require.Equal(t, overUDP, g.calls(2, 6000).listener, "TCP rests")
	require.Empty(t, g.lost(inv, transport.NoHost), "what is heard of the connection comes too late")
	answer := g.from(east1, respond(again[0], 200))
	sends(t, answer, "caller 200 INVITE")

	g = newLargeRig(t, oneHost(catalog.LargeTCP))
	g.calls(1, 6000)
	sends(t, g.from(caller, cancelText("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlarge1", "Call-ID: large-1")), "caller 200 CANCEL")
	sends(t, g.pass(2100*time.Millisecond), "caller 487 INVITE")

	g = newLargeRig(t, oneHost(catalog.LargeTCP))
	g.calls(1, 6000)
	sends(t, g.pass(6 * time.Second)[:6], "east1 INVITE", "east1 INVITE", "east1 INVITE", "caller 503 INVITE", "caller 503 INVITE", "caller 503 INVITE")
	require.Equal(t, health.Doubtful, g.r.Hosts()[0].Health.Status().State)
}

// What a setup_budget leaves for the last host is half for TCP and half for UDP; all
// for TCP where UDP is no way.
func TestLargeLastResortWithinTheBudget(t *testing.T) {
	p := oneHost(catalog.LargeTCP)
	p.Failover.SetupBudget = 1200 * time.Millisecond
	g := newLargeRig(t, p)
	g.calls(1, 6000)
	require.Empty(t, g.pass(599*time.Millisecond))
	again := g.pass(10 * time.Millisecond)
	sends(t, again, "east1 INVITE")
	require.Equal(t, "SIP/2.0/UDP 198.51.100.1:5060", firstVia(again[0].text))
	sends(t, g.pass(580*time.Millisecond), "east1 INVITE")
	sends(t, g.pass(20*time.Millisecond), "caller 503 INVITE")

	g = newLargeRig(t, p)
	g.over(overTCP, connection, withBody(invite(viaOver("TCP")), 100_000))
	require.Empty(t, g.pass(1199*time.Millisecond))
	require.Contains(t, g.pass(10 * time.Millisecond)[0].text, "SIP/2.0 503 ")

	p = both(catalog.LargeTCP) // there is another host: its share is its own
	p.Failover.SetupBudget = 2400 * time.Millisecond
	g = newLargeRig(t, p)
	g.calls(1, 6000)
	require.Empty(t, g.pass(1199*time.Millisecond))
	sends(t, g.pass(10*time.Millisecond), "west1 INVITE")
	sends(t, g.pass(600*time.Millisecond), "west1 INVITE")
}

// What no datagram holds goes over TCP where the host takes it, else it is refused
// and the host is asked.
func TestLargerThanADatagram(t *testing.T) {
	g := newLargeRig(t, oneHost(catalog.LargeAuto))
	huge := withBody(invite(viaOver("TCP")), 100_000)
	require.Contains(t, g.over(overTCP, connection, huge)[0].text, "SIP/2.0 513 ")
	require.Len(t, g.questions, 1)
	g.r.TakesStream(east1)
	g.now += second
	all := g.over(overTCP, connection, strings.Replace(huge, "branch=z9hG4bKcaller1", "branch=z9hG4bKcaller2", 1))
	require.Len(t, all, 2)
	require.Equal(t, []any{overTCP, east1}, []any{all[1].listener, all[1].to})
	all = g.lost(all[1], transport.NoHost)
	require.Len(t, all, 1, "nothing by UDP")
	require.Contains(t, all[0].text, "SIP/2.0 513 ")

	for _, silent := range []bool{false, true} {
		g = newLargeRig(t, both(catalog.LargeAuto))
		g.r.TakesStream(east1)
		inv := g.over(overTCP, connection, huge)[1]
		want, got := "SIP/2.0 513 ", ""
		if silent {
			want, got = "SIP/2.0 503 ", g.pass(2100 * time.Millisecond)[0].text
		} else {
			got = g.lost(inv, transport.NoHost)[0].text
		}
		require.Contains(t, got, want, "west1 is passed by")
		for _, h := range g.r.Hosts() {
			require.Equal(t, health.Up, h.Health.Status().State)
		}
	}
	g = newLargeRig(t, oneHost(catalog.LargeAuto))
	g.r.TakesStream(east1)
	g.over(overTCP, connection, huge)
	require.Contains(t, g.pass(2100 * time.Millisecond)[0].text, "SIP/2.0 503 ", "no last resort")
}

// A host that gets nothing since no datagram holds the request takes none of the
// attempts from others.
func TestLargerThanADatagramCostsNoAttempt(t *testing.T) {
	p := both(catalog.LargeUDP)
	p.Failover.MaxAttempts = 1
	p.Catalog.Connectors[1].Large.Requests = catalog.LargeTCP
	g := newLargeRig(t, p)
	all := g.over(overTCP, connection, withBody(invite(viaOver("TCP")), 100_000))
	require.Len(t, all, 2)
	require.Equal(t, []any{overTCP, west1}, []any{all[1].listener, all[1].to})
	require.Equal(t, [largeWays]uint64{largeTCP: 1}, g.large())
	end := g.pass(2100 * time.Millisecond)
	require.Len(t, end, 1, "one attempt was made")
	require.Contains(t, end[0].text, "SIP/2.0 503 ")
}

// The answer to a question over TCP reaches who asked.
func TestLargeQuestionIsAnswered(t *testing.T) {
	for source, want := range map[string]bool{east1.String(): true, callee.String(): false} {
		got := map[int]bool{}
		g := newRig(t, oneHost(catalog.LargeAuto), func(o *Options) {
			o.Listeners = []Listener{{Addr: ownAddr}, {Addr: ownAddr, Transport: catalog.TCP}, {Addr: addr("198.51.100.1:5061"), Transport: catalog.TLS}}
			o.Probe = func(listener int, _ []byte, _ netip.AddrPort) bool { got[listener] = true; return true }
		})
		for listener := range 3 {
			g.over(listener, addr(source), "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 198.51.100.1:5060;branch=z9hG4bK.1\r\n"+
				"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
		}
		require.Equal(t, []bool{want, want, false}, []bool{got[overUDP], got[overTCP], got[overTLS]}, source)
	}
}

// What is known of a host outlives a change of policy that keeps it.
func TestLargeKnowledgeOutlivesAPolicy(t *testing.T) {
	p := both(catalog.LargeAuto)
	g := newLargeRig(t, p)
	g.r.TakesStream(east1)
	g.r.TakesStream(callee)
	p.Catalog.Connectors[0].Region = "elsewhere"
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Equal(t, overTCP, g.calls(1, 6000).listener)
	p = both(catalog.LargeAuto)
	p.Catalog.Connectors[0].Hosts[0] = hostAt(east2)
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.NoError(t, g.r.SetPolicy(g.now, both(catalog.LargeAuto)))
	require.Equal(t, overUDP, g.calls(2, 6000).listener)
}

// explain says what large requests go by, and whose word that is.
func TestExplainLarge(t *testing.T) {
	p := both(catalog.LargeAuto)
	p.Catalog.Connectors[1].Large.MTU = 1400
	g := newLargeRig(t, p)
	g.r.TakesStream(east1)
	ex, err := g.r.Explain("+15550000001", "", g.now)
	require.NoError(t, err)
	require.Equal(t, []string{"tcp", ""}, []string{ex.Steps[0].Large, ex.Steps[1].Large})
	require.Contains(t, ex.Steps[0].Settings, Setting{"large_requests", "auto", "global"})
	require.Contains(t, ex.Steps[0].Settings, Setting{"udp_mtu", "1300", "default"})
	require.Contains(t, ex.Steps[1].Settings, Setting{"udp_mtu", "1400", "connector west"})
}
