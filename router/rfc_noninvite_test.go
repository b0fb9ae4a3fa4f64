package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

func message(lines ...string) string { return request("MESSAGE", dialled, lines...) }

// message sends one and returns it as it reached the first connector.
func (g *rig) message() sent {
	return sends(g.t, g.from(caller, message()), "east1 MESSAGE")[0]
}

func TestRFC3261_17_1_2_NonInviteIsATransaction(t *testing.T) {
	for _, status := range []int{200, 202, 301, 404, 486, 603} {
		g := newRig(t, twoRegions())
		m := g.message()
		all := g.from(east1, respond(m, status))
		require.Len(t, all, 1, "and no ACK")
		require.Equal(t, status, parse(all[0].text).Status)
		require.Equal(t, all, g.from(caller, message()), "a retransmission gets it again (17.2.2)")
		require.Empty(t, g.from(east1, respond(m, status)), "and is answered once")
		require.Empty(t, g.pass(33*time.Second))
		require.Zero(t, g.r.Live(), "Timer J")
	}
}

func TestRFC3261_17_1_2_NonInviteFailsOver(t *testing.T) {
	for name, fail := range map[string]func(*rig, sent) []sent{
		"503":    func(g *rig, m sent) []sent { return g.from(east1, respond(m, 503)) },
		"408":    func(g *rig, m sent) []sent { return g.from(east1, respond(m, 408)) },
		"ICMP":   func(g *rig, m sent) []sent { return g.unreachable(m, transport.NoPort) },
		"silent": func(g *rig, _ sent) []sent { return g.pass(2100 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			all := fail(g, g.message())
			second := all[len(all)-1]
			require.Equal(t, "west1 MESSAGE", summary([]sent{second})[0])
			sends(t, g.from(west1, respond(second, 200)), "caller 200 MESSAGE")
			for _, m := range g.pass(40 * time.Second) {
				require.NotContains(t, startLine(m.text), "CANCEL")
			}
			require.Zero(t, g.r.Live())
		})
	}
}

func TestRFC3261_17_1_2_2_TimerE(t *testing.T) {
	p := twoRegions()
	p.Failover.FirstResponse = 30 * time.Second
	g := newRig(t, p)
	g.message()
	var at []time.Duration
	for i := 1; i <= 1600; i++ {
		for _, m := range g.pass(10 * time.Millisecond) {
			if m.to == east1 {
				at = append(at, time.Duration(i)*10*time.Millisecond)
			}
		}
	}
	ms := time.Millisecond
	require.Equal(t, []time.Duration{500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 11500 * ms, 15500 * ms}, at, "doubling up to T2")
}

func TestRFC3261_17_1_2_2_ProceedingRetransmitsAtT2(t *testing.T) {
	g := newRig(t, twoRegions())
	m := g.message()
	require.Empty(t, g.from(east1, respond(m, 100)))
	require.Equal(t, []string{"east1 MESSAGE"}, summary(g.pass(600*time.Millisecond)))
	require.Empty(t, g.pass(2*time.Second), "no failover: it is being worked on")
	for _, s := range g.pass(25 * time.Second) {
		require.NotEqual(t, west1, s.to)
	}
	sends(t, g.from(east1, respond(m, 200)), "caller 200 MESSAGE")
}

func TestRFC4320_4_1_100LateAndOnlyThen(t *testing.T) {
	g := newRig(t, twoRegions())
	m := g.message()
	g.from(east1, respond(m, 100))
	var all []string
	for range 34 {
		all = append(all, summary(g.pass(100*time.Millisecond))...)
	}
	require.NotContains(t, all, "caller 100 MESSAGE")
	require.Empty(t, g.from(caller, message()), "Trying: retransmissions are absorbed")
	require.Contains(t, summary(g.pass(200*time.Millisecond)), "caller 100 MESSAGE", "when Timer E reaches T2")
	sends(t, g.from(caller, message()), "caller 100 MESSAGE") // 17.2.2: the last provisional again
	require.NotContains(t, summary(g.pass(10*time.Second)), "caller 100 MESSAGE")
	sends(t, g.from(east1, respond(m, 200)), "caller 200 MESSAGE")
}

func TestRFC4320_4_2_Never408(t *testing.T) {
	for _, exhausted := range []int{503, 0, 408} {
		for name, fail := range map[string]func(*rig, sent) []sent{
			"408s":    func(g *rig, m sent) []sent { return g.from(m.to, respond(m, 408)) },
			"silence": func(g *rig, _ sent) []sent { return g.pass(2100 * time.Millisecond) },
		} {
			p := twoRegions()
			p.Failover.ExhaustedCode = exhausted
			g := newRig(t, p)
			all := fail(g, g.message())
			all = fail(g, all[len(all)-1])
			last := all[len(all)-1]
			require.Equal(t, caller, last.to)
			require.NotEqual(t, 408, parse(last.text).Status, name)
			for _, m := range g.pass(40 * time.Second) {
				require.NotEqual(t, caller, m.to)
			}
		}
	}
	p := twoRegions()
	p.Failover.Codes = [10]uint64{} // 408 is no failover code: it would be relayed
	g := newRig(t, p)
	all := g.from(east1, respond(g.message(), 408))
	require.NotEqual(t, 408, parse(all[0].text).Status)
}

func TestRFC4320_NothingStartsTooLate(t *testing.T) {
	g := newRig(t, twoRegions())
	m := g.message()
	g.from(east1, respond(m, 100))
	g.pass(30100 * time.Millisecond)
	sends(t, g.from(east1, respond(m, 503)), "caller 503 MESSAGE") // what starts must have time to end

	g = newRig(t, twoRegions())
	m = g.message()
	g.from(east1, respond(m, 100))
	for _, s := range g.pass(33 * time.Second) {
		require.NotEqual(t, west1, s.to)
	}
	g.pass(33 * time.Second)
	require.Zero(t, g.r.Live())
}

// Every 2xx goes upstream to an INVITE; to anything else, one final response does.
func TestRFC3261_16_7_5_OneFinalToANonInvite(t *testing.T) {
	for _, first := range []int{200, 404} {
		for _, late := range []int{180, 200, 404, 503, 603} {
			g := newRig(t, twoRegions())
			m := g.message()
			all := g.pass(2100 * time.Millisecond)
			second := all[len(all)-1]
			require.Equal(t, west1, second.to)
			require.Len(t, g.from(west1, respond(second, first)), 1)
			require.Empty(t, g.from(east1, respond(m, late)), "%d then %d", first, late)
			require.Empty(t, g.from(west1, respond(second, 200)))
		}
	}
}

func TestNonInviteLateAnswerOfAnAbandonedAttempt(t *testing.T) {
	g := newRig(t, twoRegions())
	m := g.message()
	all := g.pass(2100 * time.Millisecond)
	sends(t, g.from(east1, respond(m, 200)), "caller 200 MESSAGE")
	require.Empty(t, g.from(west1, respond(all[len(all)-1], 200)))
	require.Empty(t, g.from(west1, respond(all[len(all)-1], 200)))
}

func TestRFC3261_9_1_CancelOfANonInviteHasNoEffect(t *testing.T) {
	g := newRig(t, twoRegions())
	m := g.message()
	g.now += int64(time.Second)
	g.from(caller, request("CANCEL", dialled))
	sends(t, g.from(east1, respond(m, 200)), "caller 200 MESSAGE")
}

func TestRFC3261_17_2_3_MethodTellsTransactionsApart(t *testing.T) {
	g := newRig(t, twoRegions())
	for _, method := range []string{"MESSAGE", "SUBSCRIBE", "PUBLISH", "FOO", "BAR"} {
		sends(t, g.from(caller, request(method, dialled)), "east1 "+method)
	}
	require.Equal(t, 5, g.r.Live())
}

func TestRFC4320_4_1_100IsTheOnlyProvisional(t *testing.T) {
	for _, status := range []int{180, 183, 199} {
		g := newRig(t, twoRegions())
		m := g.message()
		require.Empty(t, g.from(east1, respond(m, status)))
	}
}
