package router

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// to begins a call to a number with an identity of its own.
func (g *rig) to(number string, i int) []sent {
	return g.from(caller, request("INVITE", "sip:"+number+"@198.51.100.1", fmt.Sprintf("Call-ID: t%d", i),
		fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKt%d", i)))
}

// wide is twoRegions with a prefix of numbers and without slow start.
func wide() Policy {
	p := twoRegions()
	p.Catalog.Groups[0].Numbers = []catalog.Numbers{{Kind: catalog.Prefix, First: "+1555"}}
	p.Health.SlowStart = 0
	return p
}

// Each host answers OPTIONS and fails calls, in all ways that speak against it.
func TestGreyFailureEjects(t *testing.T) {
	for name, c := range map[string]struct {
		fail  func(g *rig, inv sent)
		calls int
	}{
		"503":                    {func(g *rig, inv sent) { g.from(inv.to, respond(inv, 503)) }, 5},
		"500 of several numbers": {func(g *rig, inv sent) { g.from(inv.to, respond(inv, 500)) }, 5},
		"only 100":               {func(g *rig, inv sent) { g.from(inv.to, respond(inv, 100)); g.pass(13 * time.Second) }, 5},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, wide())
			for i := range c.calls {
				require.Equal(t, health.Up, g.state("east"), "after %d calls", i)
				all := g.to(fmt.Sprintf("+1555000000%d", i), i)
				require.Equal(t, "east1 INVITE", summary(all)[1])
				c.fail(g, all[1])
			}
			require.Equal(t, health.Ejected, g.state("east"))
			g.r.Hosts()[0].Health.Observe(g.now, health.Observation{Event: health.ProbeOK, Code: 200})
			require.Equal(t, "west1 INVITE", summary(g.to("+15550000009", 100))[1])

			// When its time is over, one call tries it, and brings it back.
			g.now += int64(11 * time.Second)
			trial := g.to("+15550000009", 101)
			require.Equal(t, "east1 INVITE", summary(trial)[1])
			require.Equal(t, "west1 INVITE", summary(g.to("+15550000009", 102))[1])
			g.from(trial[1].to, respond(trial[1], 180))
			require.Equal(t, health.Up, g.state("east"))
			require.Equal(t, "east1 INVITE", summary(g.to("+15550000009", 103))[1])
		})
	}
}

func TestOneBadNumberEjectsNobody(t *testing.T) {
	g := newRig(t, wide())
	for i := range 50 {
		all := g.to("+15550000001", i)
		require.Equal(t, "east1 INVITE", summary(all)[1])
		g.from(east1, respond(all[1], 500))
	}
	require.Equal(t, health.Up, g.state("east"))
}

// What says nothing against a host: answers that are the caller's, responses
// that come again, an end that was asked for, a trunk that has no patience.
func TestNoGreyFailure(t *testing.T) {
	for name, c := range map[string]struct {
		policy func(*Policy)
		fail   func(g *rig, inv sent)
	}{
		"it rang": {nil, func(g *rig, inv sent) { g.from(inv.to, respond(inv, 180)); g.from(inv.to, respond(inv, 500)) }},
		"busy":    {nil, func(g *rig, inv sent) { g.from(inv.to, respond(inv, 486)) }},
		"a 503 again": {nil, func(g *rig, inv sent) {
			for range 9 {
				g.from(inv.to, respond(inv, 503))
			}
		}},
		"no budget": {func(p *Policy) {
			p.Trunks[0].Failover = catalog.FailoverPart{Set: catalog.FieldProgress, Values: catalog.Failover{Progress: time.Second}}
		}, func(g *rig, inv sent) { g.from(inv.to, respond(inv, 100)); g.pass(2 * time.Second) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := wide()
			if c.policy != nil {
				c.policy(&p)
			}
			g := newRig(t, p)
			for i := range 10 {
				all := g.to(fmt.Sprintf("+1555000000%d", i), i)
				require.Equal(t, "east1 INVITE", summary(all)[1])
				c.fail(g, all[1])
				if name == "a 503 again" {
					ok := g.to("+15550000000", 100+i)
					g.from(east1, respond(ok[1], 180))
				}
			}
			require.Equal(t, health.Up, g.state("east"))
		})
	}
}

// Other requests than INVITE eject nobody, decide no trial and end no ejection.
func TestOtherRequestsAreNoCalls(t *testing.T) {
	g := newRig(t, wide())
	message := func(i, status int, want string) {
		all := g.from(caller, request("MESSAGE", fmt.Sprintf("sip:+155500000%02d@198.51.100.1", i), fmt.Sprintf("Call-ID: m%d", g.now),
			fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKm%d", g.now)))
		require.Equal(t, []string{want}, summary(all))
		g.from(all[0].to, respond(all[0], status))
		g.now += milli
	}
	for i := range 10 {
		message(i, 500, "east1 MESSAGE")
	}
	require.Equal(t, health.Up, g.state("east"))
	for i := range 5 {
		all := g.to(fmt.Sprintf("+1555000000%d", i), i)
		g.from(all[1].to, respond(all[1], 503))
	}
	require.Equal(t, health.Ejected, g.state("east"))
	g.now += int64(11 * time.Second)
	message(1, 200, "west1 MESSAGE")
	require.Equal(t, health.Ejected, g.state("east"))
	trial := g.to("+15550000009", 101)
	require.Equal(t, "east1 INVITE", summary(trial)[1])
}

// A host that comes back takes a share of calls that grows, and all of them
// when there is no other.
func TestSlowStart(t *testing.T) {
	p := wide()
	p.Health.SlowStart = 30 * time.Second
	g := newRig(t, p)
	h := g.r.Hosts()[0].Health
	for range 3 {
		h.Observe(g.now, health.Observation{Event: health.ProbeFailed})
	}
	require.Equal(t, health.Down, g.state("east"))
	back := g.now + int64(time.Minute)
	for i := range 2 {
		h.Observe(back+int64(i), health.Observation{Event: health.ProbeOK, Code: 200})
	}
	share := func(after time.Duration) float64 {
		g.now = back + int64(after)
		first := 0
		for seed := range uint64(4000) {
			if candidates(nil, g.r.plan.Load().routes[0], seed*0x9e3779b97f4a7c15, g.now, true, false)[0].entry.host.addr == east1 {
				first++
			}
		}
		return float64(first) / 4000
	}
	require.InDelta(t, 0.05, share(time.Millisecond), 0.02)
	require.InDelta(t, 0.5, share(15*time.Second), 0.04)
	require.InDelta(t, 0.9, share(27*time.Second), 0.03)
	ex, err := g.r.Explain("+15550000001", "", g.now)
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(ex.Steps), "recovering (answer to OPTIONS (200)): takes 90 % of its calls so far")
	require.Equal(t, 1.0, share(31*time.Second))

	p.Catalog.Groups[0].Connectors = p.Catalog.Groups[0].Connectors[:1]
	p.Catalog = &catalog.Catalog{Connectors: p.Catalog.Connectors, Groups: p.Catalog.Groups}
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Equal(t, 1.0, share(time.Millisecond), "the only one")
}

// Most hosts of a region are down: the one that is up is tried after those of
// healthy regions, and before those in doubt.
func TestUnhealthyRegionFallsBehind(t *testing.T) {
	p := wide()
	hosts := []netip.AddrPort{east1, east2, addr("203.0.113.3:5060")}
	p.Catalog.Connectors[0].Hosts = nil
	for i, a := range hosts {
		h := hostAt(a)
		h.Priority = i + 1
		p.Catalog.Connectors[0].Hosts = append(p.Catalog.Connectors[0].Hosts, h)
	}
	g := newRig(t, p)
	down := func(i int) {
		for range 3 {
			g.r.Hosts()[i].Health.Observe(g.now, health.Observation{Event: health.ProbeFailed})
		}
	}
	down(0)
	require.Equal(t, "east2 INVITE", summary(g.to("+15550000001", 1))[1], "one of three")
	down(1)
	require.Equal(t, "west1 INVITE", summary(g.to("+15550000001", 2))[1], "two of three")
	ex, err := g.r.Explain("+15550000001", "", g.now)
	require.NoError(t, err)
	require.Equal(t, "sip:"+hosts[2].String(), ex.Steps[1].Host)
	require.True(t, strings.HasSuffix(ex.Steps[1].Reason, "; 2 of 3 hosts of region us-east-1 are down or ejected: behind every healthier region"), ex.Steps[1].Reason)

	disabled := p
	disabled.Catalog = &catalog.Catalog{Connectors: append([]catalog.Connector(nil), p.Catalog.Connectors...), Groups: p.Catalog.Groups}
	disabled.Catalog.Connectors[0].Hosts = append([]catalog.Host(nil), p.Catalog.Connectors[0].Hosts...)
	disabled.Catalog.Connectors[0].Hosts[0].State = catalog.Disabled
	require.NoError(t, g.r.SetPolicy(g.now, disabled))
	require.Equal(t, "sip:"+hosts[2].String()+" INVITE", "sip:"+summary(g.to("+15550000001", 3))[1], "one of two: who is disabled does not count")
}

// Requests that are no calls and get no answer, or a 503 that asks for rest: the
// host is in doubt, or full, and not ejected; nor do they decide a trial.
func TestOtherRequestsThatFail(t *testing.T) {
	alone := wide()
	alone.Catalog.Groups[0].Connectors = alone.Catalog.Groups[0].Connectors[:1]
	message := func(g *rig, i int) sent {
		g.now += milli
		return g.from(caller, request("MESSAGE", fmt.Sprintf("sip:+155500000%02d@198.51.100.1", i), fmt.Sprintf("Call-ID: m%d", g.now),
			fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKm%d", g.now)))[0]
	}
	g := newRig(t, alone)
	for i := range 8 {
		m := message(g, i)
		g.from(m.to, respond(m, 503, "Retry-After: 1"))
	}
	require.Equal(t, health.Full, g.state("east"))
	g = newRig(t, alone)
	for i := range 8 {
		message(g, i)
		g.pass(40 * time.Second)
	}
	require.Equal(t, health.Doubtful, g.state("east"))

	g = newRig(t, alone)
	for i := range 5 {
		all := g.to(fmt.Sprintf("+1555000000%d", i), i)
		g.from(all[1].to, respond(all[1], 503))
	}
	g.now += int64(11 * time.Second)
	before := g.r.Hosts()[0].Health.Status().EjectedUntil
	message(g, 1)
	g.pass(40 * time.Second)
	require.Equal(t, before, g.r.Hosts()[0].Health.Status().EjectedUntil)
}

// A host that always rings too late is ejected for it: a response to a call that
// has moved on is no success.
func TestAnswersThatComeTooLate(t *testing.T) {
	g := newRig(t, wide())
	waited := 0
	for i := range 20 {
		all := g.to(fmt.Sprintf("+155500000%02d", i), i)
		if summary(all)[1] == "east1 INVITE" {
			waited++
			g.pass(2500 * time.Millisecond)
			g.from(all[1].to, respond(all[1], 180))
			g.from(all[1].to, respond(all[1], 487))
		}
		g.now += second
	}
	require.LessOrEqual(t, waited, 10)
	require.Equal(t, health.Ejected, g.state("east"))
}

// Hosts that are out of service do not make a region of those that are left.
func TestDrainedHostsAreNotOfTheirRegion(t *testing.T) {
	p := wide()
	p.Catalog.Connectors[0].Hosts = nil
	for i, a := range []string{"203.0.113.1:5060", "203.0.113.2:5060", "203.0.113.3:5060"} {
		h := hostAt(addr(a))
		h.Priority = i + 1
		p.Catalog.Connectors[0].Hosts = append(p.Catalog.Connectors[0].Hosts, h)
	}
	g := newRig(t, p)
	for k := range 2 {
		for range 5 {
			g.r.Hosts()[k].Health.Observe(g.now, health.Observation{Event: health.CallFull})
		}
	}
	orders := catalog.Orders{}
	for _, a := range []string{"203.0.113.1:5060", "203.0.113.2:5060"} {
		orders = orders.With(catalog.Order{Subject: catalog.HostSubject(addr(a), catalog.UDP), State: catalog.Draining, At: time.Unix(1, 0)})
	}
	require.NoError(t, g.r.SetOrders(g.now, orders))
	g.now += int64(24 * time.Hour)
	require.Equal(t, "203.0.113.3:5060 INVITE", summary(g.to("+15550000001", 1))[1], "%+v", g.r.Regions())
}
