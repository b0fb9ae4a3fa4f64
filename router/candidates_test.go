package router

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// cat makes catalogs in few words: regions by connector, then hosts.
func connectorOf(name, region string, hosts ...catalog.Host) catalog.Connector {
	return catalog.Connector{Name: name, Region: region, Hosts: hosts}
}

// hostN is host n of connector c: 203.0.<c>.<n>.
func hostN(c, n, priority, weight int) catalog.Host {
	h := hostAt(netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(c), byte(n)}), 5060))
	h.Priority, h.Weight = priority, weight
	return h
}

// groupRig routes +15550000001 to a group of the connectors, with priorities
// in their order unless some are given.
func groupRig(t testing.TB, connectors []catalog.Connector, priorities ...int) *rig {
	p := twoRegions()
	g := catalog.Group{Name: "support", Numbers: p.Catalog.Groups[0].Numbers}
	for i, c := range connectors {
		priority := i + 1
		if len(priorities) > 0 {
			priority = priorities[i]
		}
		g.Connectors = append(g.Connectors, catalog.Member{Connector: c.Name, Priority: priority})
	}
	p.Catalog = &catalog.Catalog{Connectors: connectors, Groups: []catalog.Group{g}}
	return newRig(t, p)
}

// order is the try order of the first route for a seed, as host addresses.
func (g *rig) order(seed uint64) (order []string) {
	for _, c := range candidates(nil, g.r.plan.Load().routes[0], seed, g.now, true, false) {
		order = append(order, c.entry.host.addr.Addr().String())
	}
	return order
}

func (g *rig) observe(c, n int, o health.Observation) {
	a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(c), byte(n)}), 5060)
	g.r.plan.Load().byAddr[hostPlace{addr: a}].health.Observe(g.now, o)
}

var (
	silentCall = health.Observation{Event: health.CallSilent}
	fullProbe  = health.Observation{Event: health.ProbeOK, Code: 503}
	failed     = health.Observation{Event: health.ProbeFailed}
)

func TestCandidatesByRankThenPriority(t *testing.T) {
	g := groupRig(t, []catalog.Connector{
		connectorOf("b", "r1", hostN(2, 1, 2, 100), hostN(2, 2, 1, 1)),
		connectorOf("a", "r2", hostN(1, 1, 1, 100)),
	}, 2, 1)
	for seed := range uint64(100) {
		require.Equal(t, []string{"203.0.1.1", "203.0.2.2", "203.0.2.1"}, g.order(seed))
	}
}

func TestCandidatesOfAConnectorsOwnNumber(t *testing.T) {
	p := twoRegions()
	own := catalog.Numbers{Kind: catalog.Exact, First: "+15550009999"}
	p.Catalog.Connectors[1].Numbers = []catalog.Numbers{own}
	p.Catalog.Connectors = append(p.Catalog.Connectors, catalog.Connector{
		Name: "alone", Hosts: []catalog.Host{hostN(9, 1, 1, 1)}, Numbers: []catalog.Numbers{{Kind: catalog.Exact, First: "911"}},
	})
	g := newRig(t, p)
	all := g.from(caller, request("INVITE", "sip:+15550009999@198.51.100.1"))
	require.Equal(t, []string{"caller 100 INVITE", "west1 INVITE"}, summary(all))
	require.Equal(t, []string{"west1 ACK", "east1 INVITE"}, summary(g.from(west1, respond(all[1], 503))))
	all = g.from(caller, request("INVITE", "sip:911@198.51.100.1", "Call-ID: other"))
	require.Equal(t, []string{"caller 100 INVITE", "203.0.9.1:5060 INVITE"}, summary(all))
	require.Contains(t, summary(g.from(all[1].to, respond(all[1], 503))), "caller 503 INVITE")
}

func TestCandidatesByHealth(t *testing.T) {
	g := groupRig(t, []catalog.Connector{
		connectorOf("a", "r1", hostN(1, 1, 1, 1)),
		connectorOf("b", "r1", hostN(2, 1, 1, 1)),
		connectorOf("c", "r2", hostN(3, 1, 1, 1)),
		connectorOf("d", "r2", hostN(4, 1, 1, 1)),
	})
	for range 3 {
		g.observe(1, 1, failed)
	}
	g.observe(2, 1, fullProbe)
	g.observe(3, 1, silentCall)
	require.Equal(t, []string{"203.0.4.1", "203.0.3.1", "203.0.2.1", "203.0.1.1"}, g.order(1), "up, doubtful, full, down")
	g.observe(3, 1, health.Observation{Event: health.CallAnswered, Code: 180})
	require.Equal(t, []string{"203.0.3.1", "203.0.4.1", "203.0.2.1", "203.0.1.1"}, g.order(1))
}

func TestCandidatesLeaveOutWhatTheOperatorWantsOut(t *testing.T) {
	for _, state := range []catalog.State{catalog.Draining, catalog.Disabled} {
		drained := hostN(1, 2, 1, 1)
		drained.State = state
		out := connectorOf("b", "r1", hostN(2, 1, 1, 1))
		out.State = state
		g := groupRig(t, []catalog.Connector{connectorOf("a", "r1", hostN(1, 1, 1, 1), drained), out})
		require.Equal(t, []string{"203.0.1.1"}, g.order(1))
	}
}

func TestCandidatesAreTheSameForTheSameSeed(t *testing.T) {
	var hosts []catalog.Host
	for n := range 20 {
		hosts = append(hosts, hostN(1, n+1, 1, n+1))
	}
	g := groupRig(t, []catalog.Connector{connectorOf("a", "r1", hosts...)})
	fresh := groupRig(t, []catalog.Connector{connectorOf("a", "r1", hosts...)})
	orders := map[string]bool{}
	for seed := range uint64(50) {
		order := g.order(seed)
		require.Equal(t, order, g.order(seed))
		require.Equal(t, order, fresh.order(seed), "after a restart too")
		orders[fmt.Sprint(order)] = true
	}
	require.Len(t, orders, 50)
}

// TestCandidatesByWeight: the share of first places is the weight's, and among
// those left the second places are too. Call keys are what a hash gives, so
// seeds are drawn at random, with a fixed source.
func TestCandidatesByWeight(t *testing.T) {
	weights := []int{1, 2, 3, 10}
	var hosts []catalog.Host
	for n, w := range weights {
		hosts = append(hosts, hostN(1, n+1, 1, w))
	}
	g := groupRig(t, []catalog.Connector{connectorOf("a", "r1", hosts...)})
	requireShares(t, g, weights)
}

// Connectors of equal priority pool their hosts.
func TestCandidatesOfEqualPriorityPool(t *testing.T) {
	g := groupRig(t, []catalog.Connector{
		connectorOf("a", "r1", hostN(1, 1, 1, 1), hostN(1, 2, 1, 2)),
		connectorOf("b", "r2", hostN(1, 3, 1, 3), hostN(1, 4, 1, 10)),
	}, 1, 1)
	requireShares(t, g, []int{1, 2, 3, 10})
}

func requireShares(t *testing.T, g *rig, weights []int) {
	const draws = 40000
	random := rand.New(rand.NewPCG(1, 2))
	first := make([]int, len(weights))
	second := make([]int, len(weights)) // when the heaviest is first
	rounds := 0
	place := func(addr string) int { return int(addr[len(addr)-1] - '1') }
	for range draws {
		order := g.order(random.Uint64())
		first[place(order[0])]++
		if place(order[0]) == 3 {
			second[place(order[1])]++
			rounds++
		}
	}
	for i, w := range weights {
		requireShare(t, float64(w)/16, first[i], draws)
		if i < 3 {
			requireShare(t, float64(w)/6, second[i], rounds)
		}
	}
}

// requireShare allows five standard deviations.
func requireShare(t *testing.T, want float64, got, of int) {
	sigma := math.Sqrt(want * (1 - want) / float64(of))
	require.InDelta(t, want, float64(got)/float64(of), 5*sigma)
}

// search is the whole try order of a call whose attempts all end alike.
func search(g *rig, most int, silent bool) (order []string) {
	cs := candidates(nil, g.r.plan.Load().routes[0], 1, g.now, true, false)
	var tried []*host
	for {
		pick := choose(cs, tried, most, silent && len(tried) > 0)
		if pick == nil {
			return order
		}
		tried = append(tried, pick.entry.host)
		order = append(order, pick.entry.host.addr.Addr().String())
	}
}

func ranked(c, n int) (hosts []catalog.Host) {
	for i := range n {
		hosts = append(hosts, hostN(c, i+1, i+1, 1))
	}
	return hosts
}

func TestChooseTwoOfAConnectorWhileOthersRemain(t *testing.T) {
	g := groupRig(t, []catalog.Connector{connectorOf("a", "r1", ranked(1, 4)...), connectorOf("b", "r1", ranked(2, 3)...)})
	require.Equal(t, []string{
		"203.0.1.1", "203.0.1.2", "203.0.2.1", "203.0.2.2", "203.0.1.3", "203.0.1.4", "203.0.2.3",
	}, search(g, 8, false))
}

func TestChooseKeepsAnAttemptForEachConnector(t *testing.T) {
	g := groupRig(t, []catalog.Connector{
		connectorOf("a", "r1", ranked(1, 4)...), connectorOf("b", "r1", ranked(2, 4)...), connectorOf("c", "r1", ranked(3, 4)...),
	})
	require.Equal(t, []string{"203.0.1.1", "203.0.2.1", "203.0.3.1"}, search(g, 3, false))
	require.Equal(t, []string{"203.0.1.1", "203.0.1.2", "203.0.2.1", "203.0.3.1"}, search(g, 4, false))
	require.Equal(t, []string{"203.0.1.1", "203.0.1.2", "203.0.2.1", "203.0.2.2", "203.0.3.1", "203.0.3.2"}, search(g, 6, false))
	require.Equal(t, []string{"203.0.1.1"}, search(g, 1, false))
}

// A connector that is down as a whole waits behind all that is up.
func TestChooseSparesNothingForWhatIsDown(t *testing.T) {
	g := groupRig(t, []catalog.Connector{connectorOf("a", "r1", ranked(1, 2)...), connectorOf("b", "r1", ranked(2, 3)...)})
	for range 3 {
		g.observe(1, 1, failed)
		g.observe(1, 2, failed)
	}
	require.Equal(t, []string{"203.0.2.1", "203.0.2.2"}, search(g, 2, false))
	require.Equal(t, []string{"203.0.2.1", "203.0.2.2", "203.0.2.3", "203.0.1.1", "203.0.1.2"}, search(g, 6, false))
}

// A dead connector of four hosts in a group of two: the other one is reached
// at the third attempt at the latest.
func TestChooseLeavesADeadConnector(t *testing.T) {
	g := groupRig(t, []catalog.Connector{connectorOf("a", "r1", ranked(1, 4)...), connectorOf("b", "r1", ranked(2, 1)...)})
	require.Equal(t, "203.0.2.1", search(g, 6, false)[2])
	require.Equal(t, "203.0.2.1", search(g, 2, false)[1])
}

func TestChooseAnotherRegionAfterSilence(t *testing.T) {
	regions := func() []catalog.Connector {
		return []catalog.Connector{
			connectorOf("a", "r1", ranked(1, 2)...), connectorOf("b", "r1", ranked(2, 1)...), connectorOf("c", "r2", ranked(3, 1)...),
		}
	}
	require.Equal(t, []string{"203.0.1.1", "203.0.3.1", "203.0.1.2", "203.0.2.1"}, search(groupRig(t, regions()), 6, true))
	require.Equal(t, []string{"203.0.1.1", "203.0.1.2", "203.0.2.1", "203.0.3.1"}, search(groupRig(t, regions()), 6, false))
	g := groupRig(t, regions())
	for range 3 {
		g.observe(3, 1, failed)
	}
	require.Equal(t, []string{"203.0.1.1", "203.0.1.2", "203.0.2.1", "203.0.3.1"}, search(g, 6, true), "not one that is down")
}

// Silence prefers a region within what each connector may have.
func TestChooseAfterSilenceSparesTheOthers(t *testing.T) {
	g := groupRig(t, []catalog.Connector{connectorOf("b", "r2", ranked(1, 3)...), connectorOf("a", "r1", ranked(2, 2)...)})
	g.observe(1, 3, silentCall)
	cs := candidates(nil, g.r.plan.Load().routes[0], 1, g.now, true, false)
	tried := []*host{cs[0].entry.host, cs[1].entry.host, cs[2].entry.host}
	require.Equal(t, "203.0.2.2", choose(cs, tried, 6, true).entry.host.addr.Addr().String(), "b had two")
}

// And among those that are spared for others it prefers the region too.
func TestChooseAfterSilenceAmongTheSpared(t *testing.T) {
	g := groupRig(t, []catalog.Connector{
		connectorOf("a", "r1", ranked(1, 3)...), connectorOf("b", "r2", ranked(2, 3)...), connectorOf("c", "r1", ranked(3, 1)...),
	})
	cs := candidates(nil, g.r.plan.Load().routes[0], 1, g.now, true, false)
	tried := []*host{cs[0].entry.host, cs[1].entry.host, cs[3].entry.host, cs[4].entry.host, cs[6].entry.host}
	require.Equal(t, "203.0.2.3", choose(cs, tried, 8, true).entry.host.addr.Addr().String())
	require.Equal(t, "203.0.1.3", choose(cs, tried, 8, false).entry.host.addr.Addr().String())
}

// RFC 3261 16.5: no target twice.
func TestChooseEachAddressOnce(t *testing.T) {
	g := groupRig(t, []catalog.Connector{
		connectorOf("a", "r1", hostN(1, 1, 1, 1), hostN(1, 2, 2, 1)), connectorOf("b", "r2", hostN(1, 1, 1, 1), hostN(1, 3, 2, 1)),
	})
	require.Equal(t, []string{"203.0.1.1", "203.0.1.2", "203.0.1.3"}, search(g, 8, false))
	require.Equal(t, []string{"203.0.1.1", "203.0.1.3", "203.0.1.2"}, search(g, 8, true))
}

// TestChooseAgainstItsRules holds random searches against the rules, each
// stated on its own.
func TestChooseAgainstItsRules(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var cs []catalog.Connector
		for c := range 1 + random.IntN(4) {
			cs = append(cs, connectorOf(fmt.Sprint("c", c), fmt.Sprint("r", random.IntN(3)), ranked(c+1, 1+random.IntN(4))...))
		}
		g := groupRig(t, cs)
		most := 1 + random.IntN(8)
		list := candidates(nil, g.r.plan.Load().routes[0], 1, g.now, true, false)
		order := search(g, most, random.IntN(2) == 0)
		require.Len(t, order, min(most, len(list)))
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(order))), len(order), "each once")
		used := map[byte]int{}
		for i, host := range order {
			c := host[6]
			if used[c] >= 2 {
				for o := range cs {
					key := byte('1' + o)
					require.False(t, used[key] < 2 && used[key] < len(cs[o].Hosts), "%v: third of a connector at %d though another has one", order, i)
				}
			}
			used[c]++
		}
		require.GreaterOrEqual(t, len(used), min(most, len(cs)), "%v: an attempt for each connector", order)
	}
}

// Without probes a doubtful host is tried again by single calls.
func TestTrialIsForOneCall(t *testing.T) {
	p := twoRegions()
	g := newRig(t, p)
	g.judge(catalog.Health{Probe: false, UpAfter: 1, DownAfter: 1})
	east := g.r.plan.Load().byAddr[hostPlace{addr: east1}].health
	east.Observe(g.now, silentCall)
	next := func(id string) string { return summary(g.from(caller, invite("Call-ID: "+id)))[1] }
	require.Equal(t, "west1 INVITE", next("a"), "in doubt")
	g.now += int64(health.DoubtHold + time.Millisecond)
	require.Equal(t, "east1 INVITE", next("b"), "one may try")
	require.Equal(t, "west1 INVITE", next("c"), "the others wait for what becomes of it")
}
