package router

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/health"
)

// A host that says 100 to all calls, and then nothing, is found out by the first
// few that wait: those that begin after that do not go there. It is back with the
// first call that goes on.
func TestStalledHost(t *testing.T) {
	g := newRig(t, wide())
	const every = 50 * time.Millisecond
	var calls []sent
	for i := 0; g.state("east") == health.Up; i++ {
		require.Less(t, i, 100)
		all := g.to(fmt.Sprintf("+1555000%04d", i), i)
		require.Equal(t, "east1 INVITE", summary(all)[1])
		g.from(east1, respond(all[1], 100))
		calls = append(calls, all[1])
		g.pass(every)
	}
	require.Equal(t, health.Doubtful, g.state("east"))
	require.InDelta(t, 85, len(calls), 2, "4 s, and 5 calls of 20 a second")
	h := g.r.Hosts()[0].Health
	status := h.Status()
	require.Equal(t, "5 calls wait with nothing but 100, and none got more", status.Reason.String())
	require.Equal(t, "west1 INVITE", summary(g.to("+15550009999", 1000))[1])
	g.from(east1, respond(calls[3], 100))
	h.Observe(g.now, health.Observation{Event: health.ProbeOK, Code: 200})
	require.Equal(t, health.Doubtful, g.state("east"), "both were so all the time")

	g.from(east1, respond(calls[3], 180))
	require.Equal(t, health.Up, g.state("east"))
	require.Equal(t, "east1 INVITE", summary(g.to("+15550009999", 1001))[1])
}

// What ends by itself, or is ended, waits no more.
func TestStalledHost_CountsWhatIsOpen(t *testing.T) {
	for name, end := range map[string]func(g *rig, i int, inv sent){
		"refused":   func(g *rig, _ int, inv sent) { g.from(east1, respond(inv, 486)) },
		"rang":      func(g *rig, _ int, inv sent) { g.from(east1, respond(inv, 180)) },
		"answered":  func(g *rig, _ int, inv sent) { g.from(east1, respond(inv, 200)) },
		"cancelled": func(g *rig, i int, inv sent) { g.from(caller, cancelOf(i)) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, wide())
			for i := range 40 {
				all := g.to(fmt.Sprintf("+1555000%04d", i), i)
				g.from(east1, respond(all[1], 100))
				g.pass(5 * time.Second)
				end(g, i, all[1])
			}
			g.pass(time.Minute)
			all := g.to("+15550000040", 40)
			g.from(east1, respond(all[1], 100))
			g.pass(11 * time.Second)
			require.Equal(t, health.Up, g.state("east"))
		})
	}
}

// The 487 that our CANCEL brings is no progress.
func TestStalledHost_GoesOnWith487(t *testing.T) {
	p := wide()
	p.Health.EjectAfter = 0
	g := newRig(t, p)
	var calls []sent
	for i := range 5 {
		all := g.to(fmt.Sprintf("+1555000%04d", i), i)
		g.from(east1, respond(all[1], 100))
		calls = append(calls, all[1])
	}
	g.pass(4100 * time.Millisecond)
	require.Equal(t, health.Doubtful, g.state("east"))
	g.pass(8 * time.Second) // all move on
	for _, inv := range calls {
		g.from(east1, respond(inv, 487))
	}
	require.Equal(t, health.Doubtful, g.state("east"))
}

// With stall off nothing is found out sooner.
func TestStalledHost_Off(t *testing.T) {
	p := wide()
	p.Health.Stall = 0
	g := newRig(t, p)
	for i := range 20 {
		all := g.to(fmt.Sprintf("+1555000%04d", i), i)
		g.from(east1, respond(all[1], 100))
	}
	g.pass(11 * time.Second)
	require.Equal(t, health.Up, g.state("east"))
	g.pass(2 * time.Second)
	require.Equal(t, health.Ejected, g.state("east"))
}

// cancelOf is the caller's CANCEL of a call of rig.to.
func cancelOf(i int) string {
	return request("CANCEL", fmt.Sprintf("sip:+1555000%04d@198.51.100.1", i), fmt.Sprintf("Call-ID: t%d", i),
		fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKt%d", i))
}
