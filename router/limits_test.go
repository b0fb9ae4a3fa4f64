package router

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
)

// limited is twoRegions with limits of connector east and of its host.
func limited(connector, host catalog.Limits) Policy {
	p := twoRegions()
	p.Catalog.Connectors[0].Limits = connector
	p.Catalog.Connectors[0].Hosts[0].Limits = host
	return p
}

// carries is how many calls connector east is held to have.
func (g *rig) carries() int {
	c := g.r.plan.Load().hosts[0].connector
	return int(c.limit.load.calls.Load())
}

// dialogOf is the Route of one dialog and what tells it from others.
type dialogOf struct{ route, id string }

// answered2 lets call i be answered by east and returns its dialog.
func (g *rig) answeredBy(from string, i int) dialogOf {
	g.t.Helper()
	all := g.nth(i)
	require.Equal(g.t, from+" INVITE", summary(all)[1])
	ok := g.from(all[1].to, respond(all[1], 200))
	require.Equal(g.t, []string{"caller 200 INVITE"}, summary(ok))
	return dialogOf{header(ok[0].text, "Record-Route")[0], header(all[1].text, "Call-ID")[0]}
}

// bye is the end of a dialog by the caller, or, from the other side, by the callee.
func (d dialogOf) bye(branch string, byCallee bool) string {
	lines := []string{"Route: " + d.route, "Call-ID: " + d.id, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK" + branch, "CSeq: 2 BYE"}
	if byCallee {
		return request("BYE", "sip:caller@192.0.2.10:5060", append(lines,
			"From: <sip:+15550000001@198.51.100.1>;tag=calleetag", "To: <sip:+15551230000@192.0.2.10>;tag=callertag")...)
	}
	return request("BYE", "sip:callee@203.0.113.1:5060", append(lines, "To: <sip:+15550000001@198.51.100.1>;tag=calleetag")...)
}

func TestMaxCalls(t *testing.T) {
	for name, p := range map[string]Policy{
		"connector": limited(catalog.Limits{MaxCalls: 2}, catalog.Limits{}),
		"host":      limited(catalog.Limits{MaxCalls: 100}, catalog.Limits{MaxCalls: 2}),
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, p)
			first := g.answeredBy("east1", 1)
			second := g.answeredBy("east1", 2)
			g.answeredBy("west1", 3)
			require.Equal(t, 2, g.carries())
			ex, err := g.r.Explain("+15550000001", "", g.now)
			require.NoError(t, err)
			require.Equal(t, "west", ex.Steps[0].Connector)
			require.Equal(t, name+" has 2 calls, its max_calls is 2", ex.Steps[1].Reason)
			require.EqualValues(t, 1, g.counts(CountPassedBy)["east"])

			require.Equal(t, []string{"east1 BYE"}, summary(g.from(caller, first.bye("a", false))))
			require.Equal(t, []string{"east1 BYE"}, summary(g.from(caller, first.bye("a", false))), "a retransmission")
			require.Equal(t, 1, g.carries(), "one BYE counts once")
			require.Equal(t, []string{"caller BYE"}, summary(g.from(east1, second.bye("b", true))))
			require.Equal(t, []string{"east1 BYE"}, summary(g.from(caller, second.bye("c", false))), "BYEs that cross")
			require.Zero(t, g.carries())
			g.answeredBy("east1", 4)
		})
	}
}

// A place is held from the INVITE on, and given back by whatever ends it.
func TestMaxCallsWhileSettingUp(t *testing.T) {
	ends := map[string]func(g *rig, inv sent){
		"refused":   func(g *rig, inv sent) { g.from(east1, respond(inv, 486)) },
		"failed":    func(g *rig, inv sent) { g.from(east1, respond(inv, 500)) },
		"silent":    func(g *rig, inv sent) { g.pass(3 * time.Second) },
		"refuses":   func(g *rig, inv sent) { g.unreachable(inv, transport.NoPort) },
		"no answer": func(g *rig, inv sent) { g.from(east1, respond(inv, 180)); g.pass(400 * time.Second) },
		"cancelled": func(g *rig, inv sent) {
			g.from(east1, respond(inv, 180))
			g.from(caller, strings.ReplaceAll(invite(), "INVITE", "CANCEL"))
			g.from(east1, respond(inv, 487))
		},
		"cancelled and silent": func(g *rig, inv sent) {
			g.from(caller, strings.ReplaceAll(invite(), "INVITE", "CANCEL"))
			g.pass(80 * time.Second)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{}))
			inv := g.call()
			require.Equal(t, 1, g.carries())
			end(g, inv)
			require.Zero(t, g.carries())
		})
	}
}

// A 2xx of an attempt that was given up is a call all the same.
func TestMaxCallsOfALateAnswer(t *testing.T) {
	g := newRig(t, limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{}))
	inv := g.call()
	g.pass(3 * time.Second)
	require.Zero(t, g.carries())
	g.from(east1, respond(inv, 200))
	require.Equal(t, 1, g.carries())
	g.from(east1, respond(inv, 200))
	require.Equal(t, 1, g.carries(), "and one, however often it says so")
}

func TestMaxCallsForgetsWhatEndsUnseen(t *testing.T) {
	g := newRig(t, limited(catalog.Limits{MaxCalls: 2}, catalog.Limits{}))
	g.answeredBy("east1", 1)
	kept := g.answeredBy("east1", 2)
	g.pass(time.Duration(callLife) - time.Minute)
	update := strings.ReplaceAll(kept.bye("u", false), "BYE", "UPDATE")
	require.Equal(t, []string{"east1 UPDATE"}, summary(g.from(caller, update)))
	require.Equal(t, 2, g.carries())
	g.pass(5 * time.Minute)
	require.Equal(t, 1, g.carries())
	g.pass(time.Duration(callLife))
	require.Zero(t, g.carries())
	require.Zero(t, g.r.dialogs.count.Load())
}

func TestMaxCPSOfAConnector(t *testing.T) {
	g := newRig(t, limited(catalog.Limits{MaxCPS: 3}, catalog.Limits{}))
	for i := range 3 {
		require.Equal(t, "east1 INVITE", summary(g.nth(i + 1))[1])
	}
	require.Equal(t, "west1 INVITE", summary(g.nth(4))[1])
	ex, err := g.r.Explain("+15550000001", "", g.now)
	require.NoError(t, err)
	require.Equal(t, "connector over its max_cps of 3", ex.Steps[1].Reason)
	g.now += second / 3
	require.Equal(t, "east1 INVITE", summary(g.nth(5))[1])
	require.Equal(t, "west1 INVITE", summary(g.nth(6))[1])
	message := request("MESSAGE", dialled, "Call-ID: m")
	require.Equal(t, []string{"east1 MESSAGE"}, summary(g.from(caller, message)), "is no call")
}

func TestNoRoomAnywhere(t *testing.T) {
	p := limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{})
	p.Catalog.Groups[0].Connectors = p.Catalog.Groups[0].Connectors[:1]
	g := newRig(t, p)
	g.answeredBy("east1", 1)
	require.Equal(t, "caller 503 INVITE", summary(g.nth(2))[1])
	ex, err := g.r.Explain("+15550000001", "", g.now)
	require.NoError(t, err)
	require.NotEmpty(t, ex.Verdict)
}

// A reload counts on, and one that takes a limit away and brings it back
// neither loses the calls that were counted nor counts them twice.
func TestMaxCallsOverAReload(t *testing.T) {
	p := limited(catalog.Limits{MaxCalls: 2}, catalog.Limits{})
	g := newRig(t, p)
	first := g.answeredBy("east1", 1)
	require.NoError(t, g.r.SetPolicy(g.now, limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{})))
	require.Equal(t, 1, g.carries())
	g.answeredBy("west1", 2)
	require.NoError(t, g.r.SetPolicy(g.now, twoRegions()))
	g.answeredBy("east1", 3)
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Equal(t, 1, g.carries())
	g.from(caller, first.bye("a", false))
	require.Zero(t, g.carries())
	require.Equal(t, []Load{{Connector: "east", Max: 2}}, g.r.Loads())
}

// A connector that is managed keeps its calls under another name.
func TestMaxCallsOverARename(t *testing.T) {
	p := limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{})
	p.Catalog.Connectors[0].ID = "id"
	g := newRig(t, p)
	first := g.answeredBy("east1", 1)
	p = limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{})
	p.Catalog.Connectors[0].ID, p.Catalog.Connectors[0].Name = "id", "renamed"
	p.Catalog.Groups[0].Connectors[0].Connector = "renamed"
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Equal(t, []Load{{Connector: "renamed", Calls: 1, Max: 1}}, g.r.Loads())
	require.Equal(t, "west1 INVITE", summary(g.nth(2))[1])
	g.from(caller, first.bye("a", false))
	require.Equal(t, []Load{{Connector: "renamed", Max: 1}}, g.r.Loads())
}

// Whatever happens to calls, and in which order: no limit is ever passed but by
// a late answer, and in the end all places are given back.
func TestMaxCallsWhateverHappens(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p := limited(catalog.Limits{MaxCalls: 3}, catalog.Limits{MaxCalls: 2, MaxCPS: 50})
		p.Catalog.Connectors[1].Hosts[0].Limits.MaxCalls = 2
		g := newRig(t, p)
		var sentTo []sent
		late := false
		for i := range 200 {
			var out []sent
			pick := func() (m sent, ok bool) {
				if len(sentTo) == 0 {
					return m, false
				}
				return sentTo[rnd.IntN(len(sentTo))], true
			}
			switch rnd.IntN(8) {
			case 0, 1, 2:
				out = g.nth(i)
			case 3, 4:
				if m, ok := pick(); ok {
					status := []int{100, 180, 200, 200, 200, 486, 487, 503}[rnd.IntN(8)]
					late = late || status == 200
					out = g.from(m.to, respond(m, status))
				}
			case 5:
				if m, ok := pick(); ok {
					g.unreachable(m, transport.NoPort)
				}
			case 6:
				out = g.pass(time.Duration(rnd.IntN(5000)) * time.Millisecond)
			case 7:
				for _, h := range g.r.plan.Load().hosts {
					h.health.Observe(g.now, health.Observation{Event: health.CallAnswered, Code: 200})
				}
			}
			for _, m := range out {
				switch {
				case strings.HasPrefix(m.text, "INVITE "):
					sentTo = append(sentTo, m)
				case strings.HasPrefix(m.text, "SIP/2.0 200") && len(header(m.text, "Record-Route")) > 0 && rnd.IntN(2) == 0:
					d := dialogOf{header(m.text, "Record-Route")[0], header(m.text, "Call-ID")[0]}
					g.from(caller, d.bye(fmt.Sprint(i), false))
				}
			}
			if !late {
				require.LessOrEqual(t, g.carries(), 2, "seed %d", seed)
			}
			require.GreaterOrEqual(t, g.carries(), 0, "seed %d", seed)
		}
		g.pass(time.Duration(callLife) + 10*time.Minute)
		for _, h := range g.r.plan.Load().hosts {
			require.Zero(t, h.limit.load.calls.Load(), "seed %d", seed)
			require.Zero(t, h.connector.limit.load.calls.Load(), "seed %d", seed)
		}
	}
}

// The memory that a call takes while it is up at a host with max_calls.
func TestMemoryOfACountedCall(t *testing.T) {
	const calls = 200_000
	var before, after runtime.MemStats
	d := new(dialogs)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range uint64(calls) {
		d.begin(i*0x9e3779b97f4a7c15, upCall{expires: 1})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / calls
	t.Logf("%.0f bytes", each)
	require.Less(t, each, 100.0)
	require.EqualValues(t, calls, d.count.Load())
	runtime.KeepAlive(d)
}

func TestLimitsAllocateNothing(t *testing.T) {
	g := newRig(t, limited(catalog.Limits{MaxCalls: 2}, catalog.Limits{MaxCPS: 1000}))
	h := g.r.plan.Load().hosts[0]
	require.Zero(t, testing.AllocsPerRun(100, func() {
		g.now += second
		held, ok := h.take(g.now)
		if !ok {
			t.Fatal("no room")
		}
		held.give()
	}))
	require.False(t, slices.ContainsFunc(g.r.Loads(), func(l Load) bool { return l.Calls != 0 }))
}

func TestMaxCPSAloneKeepsNoDialogs(t *testing.T) {
	g := newRig(t, limited(catalog.Limits{MaxCPS: 1000}, catalog.Limits{}))
	for i := range 50 {
		g.answeredBy("east1", i)
		g.now += second / 100
	}
	require.Zero(t, g.r.dialogs.count.Load())
}

// Forked behind the host: the caller ends the second dialog, the first is up.
func TestMaxCallsOfAFork(t *testing.T) {
	g := newRig(t, limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{}))
	all := g.nth(1)
	ok := g.from(all[1].to, respond(all[1], 200))
	fork := strings.ReplaceAll(respond(all[1], 200), "calleetag", "othertag")
	require.Equal(t, []string{"caller 200 INVITE"}, summary(g.from(all[1].to, fork)))
	d := dialogOf{header(ok[0].text, "Record-Route")[0], header(all[1].text, "Call-ID")[0]}
	bye := strings.ReplaceAll(d.bye("x", false), "calleetag", "othertag")
	require.Equal(t, []string{"east1 BYE"}, summary(g.from(caller, bye)))
	require.Equal(t, 1, g.carries(), "the first dialog is still up")
}

// A 2xx that comes when the caller was told 487 long ago.
func TestMaxCallsOfAnAnswerAfterCancel(t *testing.T) {
	g := newRig(t, limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{}))
	inv := g.call()
	g.from(east1, respond(inv, 180))
	g.from(caller, strings.ReplaceAll(invite(), "INVITE", "CANCEL"))
	g.pass(33 * time.Second)
	require.Zero(t, g.carries())
	for range 2 {
		require.Equal(t, []string{"caller 200 INVITE"}, summary(g.from(east1, respond(inv, 200))))
		require.Equal(t, 1, g.carries())
	}
}

func TestPassedByIsInService(t *testing.T) {
	p := limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{})
	p.Catalog.Connectors[0].State = catalog.Draining
	g := newRig(t, p)
	g.r.plan.Load().hosts[0].take(g.now)
	g.nth(1)
	require.Zero(t, g.counts(CountPassedBy)["east"])
}

// Many take and give at a time: never is more out than may be, and what was not
// given leaves nothing behind, whoever of the two refuses.
func TestTakeIsExact(t *testing.T) {
	for name, p := range map[string]Policy{
		"host":           limited(catalog.Limits{MaxCalls: 100}, catalog.Limits{MaxCalls: 3}),
		"connector":      limited(catalog.Limits{MaxCalls: 3}, catalog.Limits{MaxCalls: 100}),
		"host rate":      limited(catalog.Limits{MaxCalls: 3}, catalog.Limits{MaxCalls: 100, MaxCPS: 1}),
		"connector rate": limited(catalog.Limits{MaxCalls: 100, MaxCPS: 1}, catalog.Limits{MaxCalls: 3}),
	} {
		t.Run(name, func(t *testing.T) {
			h := newRig(t, p).r.plan.Load().hosts[0]
			var now, out, most atomic.Int64
			now.Store(second)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range 5000 {
						held, ok := h.take(now.Add(second / 3))
						if !ok {
							continue
						}
						if n := out.Add(1); n > most.Load() {
							most.Store(n)
						}
						runtime.Gosched()
						out.Add(-1)
						held.give()
					}
				})
			}
			wg.Wait()
			require.LessOrEqual(t, most.Load(), int64(3))
			require.Zero(t, h.limit.load.calls.Load())
			require.Zero(t, h.connector.limit.load.calls.Load())
		})
	}
}

// A call that is forgotten gives back what it still holds.
func TestForgottenCallGivesItsPlaceBack(t *testing.T) {
	g := newRig(t, limited(catalog.Limits{MaxCalls: 1}, catalog.Limits{}))
	g.call()
	for _, st := range g.r.stripes {
		for _, c := range st.heads {
			if c != nil {
				st.remove(c)
			}
		}
	}
	require.Zero(t, g.carries())
}
