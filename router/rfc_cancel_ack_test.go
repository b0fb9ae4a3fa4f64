package router

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/transport"
)

func cancelText(lines ...string) string { return request("CANCEL", dialled, lines...) }

func TestRFC3261_16_10_Cancel(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	ringing := g.from(east1, respond(inv, 180))
	all := sends(t, g.from(caller, cancelText()), "caller 200 CANCEL", "east1 CANCEL")
	final := sends(t, g.from(east1, respond(inv, 487)), "east1 ACK", "caller 487 INVITE")
	require.NotEmpty(t, header(all[0].text, "To")[0])
	require.Contains(t, header(final[1].text, "To")[0], "tag=calleetag", "relayed as it came")
	require.Contains(t, header(ringing[0].text, "To")[0], "tag=calleetag")
	require.NotContains(t, summary(g.pass(time.Minute)), "west1 INVITE")
	require.Zero(t, g.r.Live())
}

func TestRFC3261_9_1_CancelIsHopByHopAndLikeItsInvite(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	cancel := sends(t, g.from(caller, cancelText("X-Secret: 1", "Subject: x")), "caller 200 CANCEL", "east1 CANCEL")[1]
	require.Equal(t, header(inv.text, "Via")[:1], header(cancel.text, "Via"), "one Via: the INVITE's")
	for _, name := range []string{"Call-ID", "From", "To", "Route"} {
		require.Equal(t, header(inv.text, name), header(cancel.text, name), name)
	}
	require.Equal(t, []string{"1 CANCEL"}, header(cancel.text, "CSeq"))
	require.Equal(t, inv.to, cancel.to)
	for _, name := range []string{"X-Secret", "Proxy-Require", "Require", "Record-Route", "Max-Breadth"} {
		require.Empty(t, header(cancel.text, name), name)
	}
}

func TestRFC3261_9_1_NoCancelBeforeAProvisional(t *testing.T) {
	for _, status := range []int{100, 180} {
		g := newRig(t, twoRegions())
		inv := g.call()
		sends(t, g.from(caller, cancelText()), "caller 200 CANCEL")
		sends(t, g.pass(600*time.Millisecond), "east1 INVITE") // still retransmitted
		sends(t, g.from(east1, respond(inv, status)), "east1 CANCEL")
		require.Empty(t, g.from(east1, respond(inv, status)), "once")
		sends(t, g.from(east1, respond(inv, 487)), "east1 ACK", "caller 487 INVITE")
	}
}

func TestRFC3261_9_1_CancelIsRetransmitted(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	cancel := g.from(caller, cancelText())[1]
	for _, m := range g.pass(1600 * time.Millisecond) {
		require.Equal(t, cancel, m)
	}
	require.Empty(t, g.from(east1, respond(cancel, 100)))
	require.NotEmpty(t, g.pass(2*time.Second))
	// Its 200 has the INVITE's branch, and is not the INVITE's answer (17.1.3).
	require.Empty(t, g.from(east1, respond(cancel, 200)))
	require.Empty(t, g.pass(20*time.Second))
	sends(t, g.from(east1, respond(inv, 487)), "east1 ACK", "caller 487 INVITE")
}

func TestRFC3261_9_2_RetransmittedCancelGetsTheSame200(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	first := g.from(caller, cancelText())[0]
	require.Equal(t, []sent{first}, g.from(caller, cancelText()))
	own := g.from(east1, respond(inv, 487))
	require.Equal(t, []sent{first}, g.from(caller, cancelText()), "after the final response too")
	g.from(caller, request("ACK", dialled, "To: "+header(own[1].text, "To")[0]))
	require.Equal(t, []sent{first}, g.from(caller, cancelText()))
}

func TestRFC3261_9_2_ToTagOfCancelIsThatOfOur487(t *testing.T) {
	g := newRig(t, twoRegions())
	g.call()
	ok := g.from(caller, cancelText())[0]
	all := g.pass(2100 * time.Millisecond)
	final := all[len(all)-1]
	require.Equal(t, "caller 487 INVITE", summary([]sent{final})[0])
	require.Equal(t, header(ok.text, "To"), header(final.text, "To"))
}

func TestRFC3261_9_2_CancelAfterAFinalChangesNothing(t *testing.T) {
	for _, status := range []int{200, 486} {
		g := newRig(t, twoRegions())
		inv := g.call()
		g.from(east1, respond(inv, status))
		sends(t, g.from(caller, cancelText()), "caller 200 CANCEL")
	}
}

func TestRFC3261_16_10_CancelEndsEveryPendingAttempt(t *testing.T) {
	g := newRig(t, twoRegions())
	first, second := g.second()
	g.from(west1, respond(second, 180))
	sends(t, g.from(caller, cancelText()), "caller 200 CANCEL", "west1 CANCEL")
	sends(t, g.from(east1, respond(first, 100)), "east1 CANCEL") // held until now
	sends(t, g.from(east1, respond(first, 487)), "east1 ACK")
	sends(t, g.from(west1, respond(second, 487)), "west1 ACK", "caller 487 INVITE")
}

func TestRFC3261_16_10_CancelStartsNothingNew(t *testing.T) {
	for name, c := range map[string]struct {
		then func(*rig, sent) []sent
		want []string
	}{
		"503":    {func(g *rig, inv sent) []sent { return g.from(east1, respond(inv, 503)) }, []string{"east1 ACK", "caller 487 INVITE"}},
		"486":    {func(g *rig, inv sent) []sent { return g.from(east1, respond(inv, 486)) }, []string{"east1 ACK", "caller 486 INVITE"}},
		"200":    {func(g *rig, inv sent) []sent { return g.from(east1, respond(inv, 200)) }, []string{"caller 200 INVITE"}},
		"ICMP":   {func(g *rig, inv sent) []sent { return g.unreachable(inv, transport.NoPort) }, []string{"caller 487 INVITE"}},
		"silent": {func(g *rig, inv sent) []sent { return g.pass(2 * time.Second) }, []string{"east1 INVITE", "east1 INVITE", "caller 487 INVITE"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			inv := g.call()
			sends(t, g.from(caller, cancelText()), "caller 200 CANCEL")
			sends(t, c.then(g, inv), c.want...)
			require.NotContains(t, summary(g.pass(time.Minute)), "west1 INVITE")
			require.Zero(t, g.r.Live())
		})
	}
}

func TestDesign5_CancelWithoutAFinal(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	cancel := g.from(caller, cancelText())[1]
	g.from(east1, respond(cancel, 200))
	require.Empty(t, g.pass(31900*time.Millisecond))
	require.Contains(t, summary(g.pass(200*time.Millisecond)), "caller 487 INVITE", "64·T1 after our CANCEL")
}

func TestRFC3261_9_2_CancelFromAnotherSource(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	other := addr("192.0.2.66:5060")
	all := g.from(other, cancelText())
	require.Equal(t, []string{"192.0.2.66:5060 481 CANCEL"}, summary(all))
	stranger := addr("203.0.113.200:5060")
	for _, m := range g.from(stranger, cancelText()) {
		require.Equal(t, stranger, m.to)
		require.NotContains(t, startLine(m.text), "200")
	}
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	// Another port of the same address is the same caller.
	g = newRig(t, twoRegions())
	inv = g.call()
	g.from(east1, respond(inv, 180))
	sends(t, g.from(addr("192.0.2.10:9999"), cancelText()), "caller 200 CANCEL", "east1 CANCEL")
}

func TestRFC3261_9_2_UnmatchedCancel(t *testing.T) {
	g := newRig(t, twoRegions())
	g.now += int64(catalog.DefaultFailover().TimerC) + 1
	sends(t, g.from(caller, cancelText()), "caller 481 CANCEL")
	g = newRig(t, twoRegions())
	sends(t, g.from(caller, request("CANCEL", "sip:+19@x")), "caller 481 CANCEL")
}

func TestRFC3326_ReasonIsCopiedIntoOurCancel(t *testing.T) {
	lines := []string{"Reason: SIP;cause=200;text=\"Call completed elsewhere\"", "reason : Q.850;cause=16,\r\n preemption;cause=1"}
	text := cancelText()
	for _, l := range lines {
		text = inject(text, l)
	}
	for _, early := range []bool{true, false} {
		g := newRig(t, twoRegions())
		inv := g.call()
		var cancel sent
		if early {
			g.from(east1, respond(inv, 180))
			cancel = g.from(caller, text)[1]
		} else {
			g.from(caller, text)
			cancel = g.from(east1, respond(inv, 180))[0]
		}
		require.Contains(t, cancel.text, strings.Join(lines, "\r\n")+"\r\n")
	}
}

func TestRFC3326_LosingAttemptsAreToldWhy(t *testing.T) {
	g := newRig(t, twoRegions())
	first, second := g.second()
	g.from(west1, respond(second, 180))
	all := sends(t, g.from(east1, respond(first, 200)), "caller 200 INVITE", "west1 CANCEL")
	require.Contains(t, header(all[1].text, "Reason")[0], "SIP;cause=200")

	g = newRig(t, twoRegions())
	first, second = g.second()
	sends(t, g.from(west1, respond(second, 200)), "caller 200 INVITE") // the first has had no provisional
	all = sends(t, g.from(east1, respond(first, 180)), "east1 CANCEL")
	require.Contains(t, header(all[0].text, "Reason")[0], "SIP;cause=200")
}

func TestRFC3261_17_1_1_3_AckOfARefusalIsHopByHop(t *testing.T) {
	for _, status := range []int{300, 404, 486, 503, 603} {
		g := newRig(t, twoRegions())
		inv := g.call()
		refusal := respond(inv, status)
		all := g.from(east1, refusal)
		ack := all[0]
		require.Equal(t, "east1 ACK", summary(all[:1])[0])
		require.Equal(t, strings.Fields(startLine(inv.text))[1], strings.Fields(startLine(ack.text))[1])
		require.Equal(t, header(inv.text, "Via")[:1], header(ack.text, "Via"))
		require.Equal(t, header(refusal, "To"), header(ack.text, "To"), "To as in the response")
		require.Equal(t, header(inv.text, "From"), header(ack.text, "From"))
		require.Equal(t, header(inv.text, "Call-ID"), header(ack.text, "Call-ID"))
		require.Equal(t, []string{"1 ACK"}, header(ack.text, "CSeq"))
		require.Equal(t, header(inv.text, "Route"), header(ack.text, "Route"))
		// For each retransmission of the final, to the same place, wherever that came from.
		for range 3 {
			g.pass(5 * time.Second)
			require.Contains(t, g.from(callee, refusal), ack)
		}
	}
}

func TestRFC3261_17_1_1_3_AckAfterAnotherAttemptAnswered(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	refusal := respond(inv, 503)
	ack := g.from(east1, refusal)
	sends(t, g.from(west1, respond(ack[1], 200)), "caller 200 INVITE")
	require.Equal(t, ack[:1], g.from(east1, refusal), "our first ACK may be lost")
}

func TestRFC3261_13_2_2_4_AckOf2xxIsRouted(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	all := sends(t, d.g.from(caller, d.byCaller("ACK", "CSeq: 1 ACK")), "callee ACK")
	require.Len(t, header(all[0].text, "Via"), 2)
	require.Empty(t, header(all[0].text, "Route"))
	// A delayed offer: the answer is in the ACK.
	body := strings.Replace(d.byCaller("ACK", "CSeq: 1 ACK"), "Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\nv=0", 1)
	require.True(t, strings.HasSuffix(d.g.from(caller, body)[0].text, "\r\n\r\nv=0"))
}

// Clients exist that use the INVITE's branch again in the ACK of a 2xx.
func TestDesign3_AckOf2xxWithTheBranchOfTheInvite(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) { o.RecordRoute = false })
	inv := g.call()
	g.from(east1, respond(inv, 200))
	sends(t, g.from(caller, request("ACK", "sip:agent@203.0.113.1", "To: <sip:x@y>;tag=calleetag")), "east1 ACK")
	// After a refusal it ends with us.
	g = newRig(t, twoRegions())
	inv = g.call()
	g.from(east1, respond(inv, 486))
	require.Empty(t, g.from(caller, request("ACK", dialled, "To: <sip:x@y>;tag=calleetag")))
}

// A late 2xx is the caller's to acknowledge even after we refused.
func TestDesign5_Late2xxAfterARefusal(t *testing.T) {
	g := newRig(t, twoRegions())
	first, second := g.second()
	sends(t, g.from(west1, respond(second, 404)), "west1 ACK", "caller 404 INVITE")
	for n := 1; n <= 2; n++ {
		all := sends(t, g.from(east1, respond(first, 200)), "caller 200 INVITE") // once per arrival
		require.EqualValues(t, n, g.r.total(func(t *tally) *atomic.Uint64 { return &t.late2xx }))
		d := dialog{g, header(all[0].text, "Record-Route")[0]}
		sends(t, g.from(caller, d.byCaller("ACK", "CSeq: 1 ACK")), "callee ACK")
		sends(t, g.pass(510*time.Millisecond), []string{"caller 404 INVITE"}[:min(1, 2-n)]...)
	}
}

func TestRFC3261_17_1_1_NoFinalAfterCancelFromNobody(t *testing.T) {
	for _, source := range []netip.AddrPort{caller, east1, callee} {
		g := newRig(t, twoRegions())
		inv := g.call()
		g.from(east1, respond(inv, 180))
		g.from(source, request("CANCEL", dialled, "Call-ID: other"))
		require.Equal(t, 1, g.r.Setups(), "a CANCEL for another call")
		sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	}
}

func TestRFC3261_16_10_CancelOfANonInviteIsAnswered(t *testing.T) {
	g := newRig(t, twoRegions())
	g.now += int64(catalog.DefaultFailover().TimerC) + 1
	g.message()
	sends(t, g.from(caller, request("CANCEL", dialled)), "caller 200 CANCEL")
}

func TestRFC3261_17_1_1_2_TimerDOfALateRefusal(t *testing.T) {
	g := newRig(t, twoRegions())
	first, second := g.second()
	sends(t, g.from(west1, respond(second, 404)), "west1 ACK", "caller 404 INVITE")
	g.pass(20 * time.Second)
	sends(t, g.from(east1, respond(first, 180)), "east1 CANCEL")
	g.pass(8 * time.Second)
	ack := g.from(east1, respond(first, 487))
	sends(t, ack, "east1 ACK")
	g.pass(10 * time.Second)
	require.Equal(t, ack, g.from(east1, respond(first, 487)))
}
