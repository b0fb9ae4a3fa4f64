package router

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

// The transactions of RFC 3261 section 17 and RFC 6026, where the tests that
// are named after a step of section 16 do not hold them already.

func TestRFC3261_17_2_3_SentByTellsClientsApart(t *testing.T) {
	g := newRig(t, twoRegions())
	other := addr("192.0.2.11:5060")
	via := "Via: SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bKcaller1"
	inv := g.call()
	all := sends(t, g.from(other, invite(via)), "192.0.2.11:5060 100 INVITE", "east1 INVITE")
	require.NotEqual(t, viaBranch(inv.text), viaBranch(all[1].text))
	// Each has its own answer, and the CANCEL of one is not the other's.
	sends(t, g.from(east1, respond(inv, 180)), "caller 180 INVITE")
	sends(t, g.from(east1, respond(all[1], 180)), "192.0.2.11:5060 180 INVITE")
	sends(t, g.from(other, cancelText(via)), "192.0.2.11:5060 200 CANCEL", "east1 CANCEL")
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
}

// Clients of RFC 2543 have a branch without the magic cookie, or none.
func TestRFC3261_17_2_3_ClientsWithoutTheCookie(t *testing.T) {
	for _, via := range []string{"Via: SIP/2.0/UDP 192.0.2.10:5060", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=1"} {
		g := newRig(t, twoRegions())
		inv := sends(t, g.from(caller, invite(via)), "caller 100 INVITE", "east1 INVITE")[1]
		require.True(t, strings.HasPrefix(viaBranch(inv.text), cookie), "ours has it")
		sends(t, g.from(caller, invite(via)), "caller 100 INVITE")
		g.from(east1, respond(inv, 180))
		sends(t, g.from(caller, cancelText(via)), "caller 200 CANCEL", "east1 CANCEL")
		final := sends(t, g.from(east1, respond(inv, 487)), "east1 ACK", "caller 487 INVITE")[1]
		require.Empty(t, g.from(caller, request("ACK", dialled, via, "To: "+header(final.text, "To")[0])))
		require.Empty(t, g.pass(10*time.Second), "the ACK was found to be its own")
		sends(t, g.from(caller, invite(via, "Call-ID: 2")), "caller 100 INVITE", "east1 INVITE")
	}
}

func TestRFC3261_17_1_1_2_RefusalInCallingAndProceeding(t *testing.T) {
	for _, provisional := range []int{0, 100, 183} {
		for _, status := range []int{300, 404, 486, 603, 699} {
			g := newRig(t, twoRegions())
			inv := g.call()
			if provisional != 0 {
				g.from(east1, respond(inv, provisional))
			}
			all := g.from(callee, respond(inv, status)) // from wherever it comes
			require.Len(t, all, 2)
			require.Equal(t, inv.to, all[0].to, "the ACK goes where the INVITE went")
			require.True(t, strings.HasPrefix(all[0].text, "ACK "))
			require.Equal(t, status, parse(all[1].text).Status)
			for _, m := range g.pass(time.Minute) {
				require.NotEqual(t, east1, m.to, "nothing more to the host")
			}
		}
	}
}

func TestRFC3261_17_1_1_2_NoAckWithoutAFinal(t *testing.T) {
	g := newRig(t, twoRegions())
	g.call()
	for _, m := range g.pass(time.Minute) {
		require.False(t, strings.HasPrefix(m.text, "ACK "), "silence is not acknowledged")
	}
}

// Timer D: a host that did not hear our ACK repeats its refusal for 64·T1.
func TestRFC3261_17_1_1_2_TimerD(t *testing.T) {
	for _, status := range []int{486, 503} {
		g := newRig(t, twoRegions())
		inv := g.call()
		refusal := respond(inv, status)
		all := g.from(east1, refusal)
		g.from(caller, request("ACK", dialled, "To: <sip:+15550000001@198.51.100.1>;tag=calleetag"))
		second := all[1]
		if status == 503 {
			g.from(west1, respond(second, 180))
		}
		for range 31 {
			g.pass(time.Second)
			require.Equal(t, all[:1], g.from(east1, refusal), "the same ACK, and nothing upstream")
		}
	}
}

// Timer J: the final response to a non-INVITE again, for each retransmission.
func TestRFC3261_17_2_2_TimerJ(t *testing.T) {
	g := newRig(t, twoRegions())
	final := g.from(east1, respond(g.message(), 404))
	for range 31 {
		g.pass(time.Second)
		require.Equal(t, final, g.from(caller, message()))
	}
	g.pass(2 * time.Second)
	require.Zero(t, g.r.Live())
	sends(t, g.from(caller, message()), "east1 MESSAGE") // a new one, by then
}

func TestRFC3261_17_1_2_2_FinalInTryingAndProceeding(t *testing.T) {
	for _, provisional := range []int{0, 100} {
		g := newRig(t, twoRegions())
		m := g.message()
		if provisional != 0 {
			g.from(east1, respond(m, provisional))
		}
		sends(t, g.from(east1, respond(m, 200)), "caller 200 MESSAGE")
		for range 5 { // Timer K
			require.Empty(t, g.pass(time.Second), "no further request")
			require.Empty(t, g.from(east1, respond(m, 200)), "absorbed")
		}
	}
}

// In the Accepted state nothing but a 2xx passes.
func TestRFC6026_7_2_OnlyA2xxPassesOnceAccepted(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	ok := sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	for range 3 {
		for _, status := range []int{100, 180, 199, 302, 486, 603} {
			for _, m := range g.from(east1, respond(inv, status)) {
				require.NotEqual(t, caller, m.to, status)
			}
		}
		require.Equal(t, ok, g.from(east1, respond(inv, 200)))
		require.Empty(t, g.pass(9*time.Second))
	}
}

func TestRFC6026_7_2_NoAckOfA2xx(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	for range 3 {
		sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE") // the caller's to acknowledge
		require.Empty(t, g.pass(5*time.Second))
	}
}

// A 2xx that could not be delivered does not end the transaction.
func TestRFC6026_7_1_TransportErrorsDoNotEndTheAcceptedState(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	ok := g.from(east1, respond(inv, 200))
	require.Empty(t, g.unreachable(ok[0], transport.NoPort))
	require.Equal(t, 1, g.r.Live())
	require.Empty(t, g.from(caller, invite()), "still absorbed")
	require.Equal(t, ok, g.from(east1, respond(inv, 200)), "still relayed")
}

// An ACK of a 2xx that has the INVITE's branch, because the client's branches
// mean nothing, passes; one of a refusal ends here.
func TestRFC6026_7_1_AckWithoutTheCookie(t *testing.T) {
	for _, via := range []string{"Via: SIP/2.0/UDP 192.0.2.10:5060", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=1"} {
		ack := func(route string) string {
			return request("ACK", "sip:agent@203.0.113.99:5060", via, "To: <sip:+15550000001@198.51.100.1>;tag=calleetag", route)
		}
		g := newRig(t, twoRegions())
		inv := g.from(caller, invite(via))[1]
		d := newDialogOf(t, g, inv)
		sends(t, g.from(caller, ack("Route: "+d.route)), "callee ACK")

		g = newRig(t, twoRegions(), func(o *Options) { o.RecordRoute = false })
		g.from(east1, respond(g.from(caller, invite(via))[1], 200))
		sends(t, g.from(caller, ack("")), "east1 ACK")

		g = newRig(t, twoRegions())
		g.from(east1, respond(g.from(caller, invite(via))[1], 486))
		require.Empty(t, g.from(caller, ack("")))
	}
}

// What matches no transaction and did not go out from here is not forwarded.
func TestRFC6026_7_3_StrayResponses(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	branch := viaBranch(inv.text)
	for name, stray := range map[string]string{
		"a branch of nobody's": "z9hG4bKnobody",
		"no cookie":            "1",
		"another check":        branch[:len(branch)-1] + string(flipHex(branch[len(branch)-1])),
		"another call":         branch[:len(cookie)+4] + string(flipHex(branch[len(cookie)+4])) + branch[len(cookie)+5:],
	} {
		for _, status := range []int{100, 180, 200, 404, 603} {
			require.Empty(t, g.from(east1, strings.Replace(respond(inv, status), branch, stray, 1)), "%s, %d", name, status)
		}
	}
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
}
