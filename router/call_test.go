package router

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

func TestCallAnsweredByTheFirstConnector(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	require.Equal(t, "INVITE sip:+15550000001@203.0.113.1:5060 SIP/2.0", startLine(inv.text))
	require.Equal(t, []string{"69"}, header(inv.text, "Max-Forwards"))
	require.Len(t, header(inv.text, "Via"), 2)
	require.Len(t, header(inv.text, "Record-Route"), 1)

	all := g.from(east1, respond(inv, 180))
	require.Equal(t, []string{"caller 180 INVITE"}, summary(all))
	require.Len(t, header(all[0].text, "Via"), 1)
	all = g.from(east1, respond(inv, 200, "Contact: <sip:agent@203.0.113.99:5060>"))
	require.Equal(t, []string{"caller 200 INVITE"}, summary(all))

	route := header(all[0].text, "Record-Route")[0]
	inDialog := []string{"Route: " + route, "To: <sip:+15550000001@198.51.100.1>;tag=calleetag"}
	ack := request("ACK", "sip:agent@203.0.113.99:5060", append(inDialog, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack")...)
	all = g.from(caller, ack)
	require.Equal(t, []string{"callee ACK"}, summary(all))
	require.Empty(t, header(all[0].text, "Route"))

	bye := request("BYE", "sip:agent@203.0.113.99:5060", append(inDialog, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye", "CSeq: 2 BYE")...)
	all = g.from(caller, bye)
	require.Equal(t, []string{"callee BYE"}, summary(all))
	all = g.from(callee, respond(all[0], 200))
	require.Equal(t, []string{"caller 200 BYE"}, summary(all))

	require.Empty(t, g.pass(40*time.Second))
	require.Zero(t, g.r.Live())
	require.Zero(t, g.r.Setups())
}

func TestCalleeSendsByeFromAnUnknownSource(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	ok := g.from(east1, respond(inv, 200))
	route := header(ok[0].text, "Record-Route")[0]
	bye := request("BYE", "sip:caller@192.0.2.10:5060", "Route: "+route, "CSeq: 1 BYE",
		"Via: SIP/2.0/UDP 203.0.113.99:5060;branch=z9hG4bKcallee",
		"From: <sip:+15550000001@198.51.100.1>;tag=calleetag", "To: <sip:+15551230000@192.0.2.10>;tag=callertag")
	require.Equal(t, []string{"caller BYE"}, summary(g.from(callee, bye)))
	require.Equal(t, []string{"callee 403 BYE"}, summary(g.from(callee, strings.Replace(bye, "callertag", "othertag", 1))))
}

func TestCallFailsOver(t *testing.T) {
	for name, fail := range map[string]func(g *rig, inv sent) []sent{
		"503":    func(g *rig, inv sent) []sent { return g.from(east1, respond(inv, 503)) },
		"silent": func(g *rig, _ sent) []sent { return g.pass(2100 * time.Millisecond) },
		"icmp":   func(g *rig, inv sent) []sent { return g.unreachable(inv, transport.NoPort) },
		"100 only": func(g *rig, inv sent) []sent {
			g.from(east1, respond(inv, 100))
			return g.pass(12100 * time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			inv := g.call()
			all := fail(g, inv)
			require.Contains(t, summary(all), "west1 INVITE")
			second := all[len(all)-1]
			require.Equal(t, []string{"69"}, header(second.text, "Max-Forwards"))
			require.NotEqual(t, header(inv.text, "Via")[0], header(second.text, "Via")[0])
			require.Equal(t, header(inv.text, "Via")[1], header(second.text, "Via")[1])
			all = g.from(west1, respond(second, 200))
			require.Contains(t, summary(all), "caller 200 INVITE")
			g.pass(45 * time.Second)
			require.Zero(t, g.r.Live())
		})
	}
}

func TestCallExhausted(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	all := g.from(east1, respond(inv, 503))
	require.Equal(t, []string{"east1 ACK", "west1 INVITE"}, summary(all))
	all = g.from(west1, respond(all[1], 500))
	require.Equal(t, []string{"west1 ACK", "caller 503 INVITE"}, summary(all))
	require.Empty(t, header(all[1].text, "Retry-After"))
	final := all[1].text
	require.Equal(t, []string{"caller 503 INVITE"}, summary(g.pass(510*time.Millisecond)))
	tag := final[strings.Index(final, "To:"):]
	tag = tag[:strings.Index(tag, "\r\n")]
	g.from(caller, request("ACK", dialled, tag))
	require.Empty(t, g.pass(20*time.Second))
	g.pass(30 * time.Second)
	require.Zero(t, g.r.Live())
}

func TestCancelWhileRinging(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	all := g.from(caller, request("CANCEL", dialled))
	require.Equal(t, []string{"caller 200 CANCEL", "east1 CANCEL"}, summary(all))
	cancel := all[1]
	require.Equal(t, header(inv.text, "Via")[0], header(cancel.text, "Via")[0])
	require.Equal(t, strings.Fields(startLine(inv.text))[1], strings.Fields(startLine(cancel.text))[1])
	require.Empty(t, g.from(east1, respond(cancel, 200)))
	all = g.from(east1, respond(inv, 487))
	require.Equal(t, []string{"east1 ACK", "caller 487 INVITE"}, summary(all))
	require.Equal(t, []string{"caller 200 CANCEL"}, summary(g.from(caller, request("CANCEL", dialled))))
}

func TestCancelBetweenAttempts(t *testing.T) {
	g := newRig(t, twoRegions())
	g.call()
	require.Equal(t, []string{"caller 200 CANCEL"}, summary(g.from(caller, request("CANCEL", dialled))))
	all := summary(g.pass(2 * time.Second))
	require.Contains(t, all, "caller 487 INVITE")
	require.NotContains(t, all, "west1 INVITE")
}

func TestLateAnswerOfAnAbandonedAttempt(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	all := g.pass(2100 * time.Millisecond)
	second := all[len(all)-1]
	require.Equal(t, []string{"caller 180 INVITE"}, summary(g.from(west1, respond(second, 180))))
	all = g.from(east1, respond(inv, 200))
	require.Equal(t, []string{"caller 200 INVITE", "west1 CANCEL"}, summary(all))
	require.Contains(t, all[1].text, "Reason: SIP;cause=200")
	require.Equal(t, []string{"west1 ACK"}, summary(g.from(west1, respond(second, 487))))
}

func TestRestartKeepsDialogsAndTransactions(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	ok := g.from(east1, respond(inv, 200))
	fresh := newRig(t, twoRegions())
	all := fresh.from(caller, invite())
	require.Equal(t, inv.text, all[1].text)
	fresh = newRig(t, twoRegions())
	require.Equal(t, ok, fresh.from(east1, respond(inv, 200)))
	require.Equal(t, []string{"east1 ACK", "caller 486 INVITE"}, summary(fresh.from(east1, respond(inv, 486))))
	require.Equal(t, []string{"east1 CANCEL", "west1 CANCEL"}, summary(fresh.from(caller, request("CANCEL", dialled))))
}
