package router

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nth begins a call with an identity of its own.
func (g *rig) nth(i int) []sent {
	return g.from(caller, invite(fmt.Sprintf("Call-ID: c%d", i), fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx%d", i)))
}

func callIDs(calls []CallRecord) (ids []string) {
	for _, c := range calls {
		ids = append(ids, c.CallID)
	}
	return ids
}

func TestRecentTellsTheStory(t *testing.T) {
	g := newRig(t, threeHosts(), keeping(64))
	all := g.from(caller, invite())
	g.now += 10 * milli
	g.from(all[1].to, respond(all[1], 503))
	all = g.pass(2 * time.Second)
	third := all[len(all)-1]
	g.now += 20 * milli
	g.from(third.to, respond(third, 180))
	require.Empty(t, g.r.Recent(10, nil), "it is not over")
	g.now += 1500 * milli
	g.from(third.to, respond(third, 200))
	require.Equal(t, []CallRecord{{
		Began:  time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC),
		Number: "+15550000001", Method: "INVITE", CallID: "call-1@192.0.2.10", Trunk: "carrier", Source: "192.0.2.10:5060",
		Route: "support", Outcome: "answered", Status: 200, Progress: 2030, Took: 3530,
		Attempts: []AttemptRecord{
			{Connector: "east", Region: "us-east-1", Host: "sip:203.0.113.1:5060", Outcome: "failed", Status: 503, First: 10, End: 10},
			{Connector: "east", Region: "us-east-1", Host: "sip:203.0.113.2:5060", Outcome: "silent", Start: 10, End: 2010},
			{Connector: "west", Region: "us-west-2", Host: "sip:203.0.113.11:5060", Outcome: "answered", Status: 200, Start: 2010, First: 2030, Progress: 2030, End: 3530},
		},
	}}, g.r.Recent(10, nil))
}

func TestRecentIsBoundedAndNewestFirst(t *testing.T) {
	g := newRig(t, twoRegions(), keeping(stripes*2))
	for i := range 1000 {
		g.now += milli
		all := g.nth(i)
		g.from(all[1].to, respond(all[1], 486))
	}
	kept := g.r.Recent(10_000, nil)
	require.Len(t, kept, stripes*2)
	require.Equal(t, "c999", kept[0].CallID)
	for i := 1; i < len(kept); i++ {
		require.False(t, kept[i].Began.After(kept[i-1].Began))
	}
	require.Equal(t, callIDs(kept[:5]), callIDs(g.r.Recent(5, nil)))
	require.Equal(t, []string{"c998"}, callIDs(g.r.Recent(5, func(c *CallRecord) bool { return c.CallID == "c998" })))
	require.Equal(t, stripes*2, g.r.Usage().Kept)
}

// The room for calls that are kept grows with them, and not beyond.
func TestRecentTakesNoMoreRoomThanItNeeds(t *testing.T) {
	for _, most := range []int{1, 7, 157, 1000} {
		g := ring{most: most}
		for i := range 2 * most {
			g.slot()
			require.Len(t, g.slots, min(i+1, most))
			require.LessOrEqual(t, cap(g.slots), min(max(2*i, 8), most))
		}
	}
}

func TestRecentOff(t *testing.T) {
	g := newRig(t, twoRegions())
	g.from(east1, respond(g.call(), 200))
	g.from(caller, request("INVITE", "sip:+1999@198.51.100.1", "Call-ID: elsewhere"))
	require.Empty(t, g.r.Recent(10, nil))
	calls, missed := g.r.Follow().Next()
	require.Empty(t, calls)
	require.Zero(t, missed)
}

// A flood of calls to nowhere does not push the calls out.
func TestRecentKeepsRejectionsApart(t *testing.T) {
	g := newRig(t, twoRegions(), keeping(stripes))
	g.from(east1, respond(g.call(), 200))
	for i := range 5000 {
		g.from(caller, request("INVITE", "sip:+1999@198.51.100.1", fmt.Sprintf("Call-ID: n%d", i)))
	}
	require.Len(t, g.r.Recent(10, func(c *CallRecord) bool { return c.Outcome == "answered" }), 1)
	require.LessOrEqual(t, g.r.Usage().Kept, 2*stripes)
}

// What is kept holds on to no plan, and a shorter call to no host of a longer one.
func TestRecentHoldsOnToNothing(t *testing.T) {
	g := newRig(t, twoRegions(), keeping(1))
	all := g.from(east1, respond(g.call(), 503))
	g.from(west1, respond(all[1], 200))
	p := &g.r.stripeOf(parseKey(all[1])).ended.slots[0]
	require.NotNil(t, p.attempts[1].host)
	c := call{count: 1, route: g.r.plan.Load().routes[0], trunk: g.r.plan.Load().byTrunk["carrier"]}
	c.first[0].host = g.r.plan.Load().hosts[0]
	p.fill(&c, g.now, answered)
	require.Nil(t, p.attempts[1].host)
}

func parseKey(inv sent) uint64 {
	m := parse(inv.text)
	b, _ := parseBranch(m.Bytes(m.TopVia.Branch))
	return b.key
}

// A connector's late answer is its own, not that of the attempt after it.
func TestSetupTimesOfALateAnswer(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.pass(2050 * time.Millisecond)
	g.from(east1, respond(inv, 200))
	g.r.Histograms(func(h Histogram) {
		if h.Name == RouteFailover || h.Name == TrunkFailover {
			require.Zero(t, h.Count)
		}
	})
}

// The status of a given-up attempt is not that of the 487 that we asked for.
func TestRecentOfAnAttemptThatRangInVain(t *testing.T) {
	p := twoRegions()
	p.Failover.NoAnswer = 20 * time.Second
	g := newRig(t, p, keeping(10))
	inv := g.call()
	g.from(east1, respond(inv, 180))
	all := g.pass(20100 * time.Millisecond)
	g.from(east1, respond(inv, 487))
	g.from(west1, respond(all[1], 200))
	c := g.r.Recent(1, nil)[0]
	require.Equal(t, []any{"no_answer", 0}, []any{c.Attempts[0].Outcome, c.Attempts[0].Status})
}

func TestRecentOfADefectiveInvite(t *testing.T) {
	g := newRig(t, twoRegions(), keeping(10))
	g.from(caller, invite("CSeq: x INVITE"))
	c := g.r.Recent(1, nil)
	require.Len(t, c, 1)
	require.Equal(t, []any{"rejected", 400, "the request is not correct SIP", "call-1@192.0.2.10"}, []any{c[0].Outcome, c[0].Status, c[0].Reason, c[0].CallID})
}

func TestLedgerForgets(t *testing.T) {
	g := newRig(t, twoRegions())
	other := twoRegions()
	other.Catalog.Groups[0].Name = "renamed"
	routes := func() (names []string) {
		g.r.Histograms(func(h Histogram) {
			if h.Name == RouteAnswer {
				names = append(names, h.Label)
			}
		})
		return names
	}
	require.NoError(t, g.r.SetPolicy(g.now, other))
	require.ElementsMatch(t, []string{"support", "renamed"}, routes())
	g.now += int64(59 * time.Minute)
	require.NoError(t, g.r.SetPolicy(g.now, other))
	require.Len(t, routes(), 2)
	g.now += int64(2 * time.Minute)
	require.NoError(t, g.r.SetPolicy(g.now, other))
	require.Equal(t, []string{"renamed"}, routes())
}

// A wildcard listener is reached by each address of the machine, in a preloaded
// Route too.
func TestRouteToAnAddressOfAWildcard(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) {
		o.Listeners = []Listener{{Addr: addr("0.0.0.0:5060"), Advertise: "198.51.100.1:5060"}}
		o.Addresses = []netip.Addr{addr("10.0.0.5:1").Addr()}
	})
	require.Equal(t, []string{"caller 100 INVITE", "east1 INVITE"}, summary(g.from(caller, invite("Route: <sip:10.0.0.5:5060;lr>"))))
	require.Equal(t, []string{"caller 403 INVITE"}, summary(g.from(caller, invite("Route: <sip:10.0.0.6:5060;lr>", "Call-ID: 2"))))
}

func TestFollow(t *testing.T) {
	g := newRig(t, twoRegions(), keeping(stripes*8))
	end := func(i int) {
		g.now += milli
		all := g.nth(i)
		g.from(all[1].to, respond(all[1], 200))
	}
	end(0)
	f := g.r.Follow()
	calls, missed := f.Next()
	require.Empty(t, calls, "from now on")
	require.Zero(t, missed)
	for i := 1; i <= 5; i++ {
		end(i)
	}
	calls, missed = f.Next()
	require.Equal(t, []string{"c1", "c2", "c3", "c4", "c5"}, callIDs(calls))
	require.Zero(t, missed)
	for i := range 2000 {
		end(100 + i)
	}
	calls, missed = f.Next()
	require.EqualValues(t, 2000, uint64(len(calls))+missed)
	require.NotZero(t, missed)
	require.Equal(t, "c2099", calls[len(calls)-1].CallID)
}

func TestSetupTimes(t *testing.T) {
	g := newRig(t, twoRegions())
	g.call()
	all := g.pass(2050 * time.Millisecond) // silent
	west := all[len(all)-1]
	g.now += 100 * milli
	g.from(west.to, respond(west, 180))
	g.now += 3 * second
	g.from(west.to, respond(west, 200))
	seen := map[string]Histogram{}
	g.r.Histograms(func(h Histogram) { seen[h.Name+" "+h.Label] = h })
	at := func(name string) float64 {
		h := seen[name]
		require.EqualValues(t, 1, h.Count, name)
		for i, n := range h.Upper {
			if n == 1 {
				require.LessOrEqual(t, h.Sum, HistogramBounds()[i])
				return h.Sum
			}
		}
		return -1
	}
	for _, whose := range []string{"route_%s support", "trunk_%s carrier"} {
		require.InDelta(t, 2.15, at(fmt.Sprintf(whose, "progress")), 0.01)
		require.InDelta(t, 5.15, at(fmt.Sprintf(whose, "answer")), 0.01)
		require.InDelta(t, 2.0, at(fmt.Sprintf(whose, "failover")), 0.02)
	}
	require.NotZero(t, seen["timer_late "].Count)
	require.Less(t, seen["timer_late "].Sum/float64(seen["timer_late "].Count), 0.02)
}

func TestSetupTimesOfACallThatWentWell(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.now += 40 * milli
	g.from(east1, respond(inv, 200)) // without ringing
	counts := map[string]uint64{}
	g.r.Histograms(func(h Histogram) { counts[h.Name+" "+h.Label] = h.Count })
	require.Equal(t, map[string]uint64{
		"route_progress support": 1, "route_answer support": 1, "route_failover support": 0,
		"trunk_progress carrier": 1, "trunk_answer carrier": 1, "trunk_failover carrier": 0, "timer_late ": 0,
	}, counts)
}

// An answer to a wildcard listener leaves from the address that was asked.
func TestAnswersLeaveFromTheAddressAsked(t *testing.T) {
	asked := addr("198.51.100.7:5060").Addr()
	g := newRig(t, twoRegions(), func(o *Options) {
		o.Listeners = []Listener{{Addr: addr("0.0.0.0:5060"), Advertise: "198.51.100.1:5060"}}
		o.Addresses = append(o.Addresses, addr("198.51.100.1:5060").Addr(), asked)
	})
	locals := func() (l []string) {
		for i := range g.out.Len() {
			_, to, _ := g.out.At(i)
			l = append(l, name(to)+" "+g.out.Local(i).String())
		}
		return l
	}
	packet := func(source string, text string) {
		g.out.Reset()
		g.r.Packets(g.now, packetsTo(asked, source, text), &g.out)
	}
	packet(caller.String(), invite())
	require.Equal(t, []string{"caller 198.51.100.7", "east1 invalid IP"}, locals())
	inv := g.taken()[1]
	g.from(east1, respond(inv, 180))
	g.r.Packets(g.now, packetsTo(asked, east1.String(), respond(inv, 200)), &g.out)
	require.Equal(t, []string{"caller 198.51.100.7"}, locals())
	ok := g.taken()[0]

	// Within the dialog, without state.
	bye := request("BYE", "sip:callee@203.0.113.1", "To: <sip:+15550000001@198.51.100.1>;tag=calleetag",
		"Route: "+header(ok.text, "Record-Route")[0], "CSeq: 2 BYE", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye")
	packet(caller.String(), bye)
	forwarded := g.taken()
	require.Equal(t, []string{"203.0.113.1:5060 BYE"}, []string{forwarded[0].to.String() + " BYE"})
	g.r.Packets(g.now, packetsTo(addr("198.51.100.1:1").Addr(), east1.String(), respond(forwarded[0], 200)), &g.out)
	require.Equal(t, []string{"caller 198.51.100.7"}, locals())
	g.out.Reset()

	packet(caller.String(), request("INVITE", "sip:+1999@198.51.100.1", "Call-ID: none"))
	require.Equal(t, []string{"caller 198.51.100.7"}, locals())
}
