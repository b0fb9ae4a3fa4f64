package router

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/transport"
)

// answeredOver is a call that came by listener in and was answered over t; byCaller
// makes requests of its caller's.
func (g *rig) answeredOver(in int, t catalog.Transport) (byCaller func(method string, lines ...string) string) {
	names := []string{"UDP", "TCP", "TLS"}
	source := connection
	if in == overUDP {
		source = caller
	}
	inv := g.over(in, source, invite(viaOver(names[in])))[1]
	uri := "sip:agent@203.0.113.1:5060" + t.Param()
	back := g.over(int(t), east1, respond(sent{inv.to, inv.text}, 200, "Contact: <"+uri+">"))
	route := strings.Join(reversed(header(back[0].text, "Record-Route")), ", ")
	return func(method string, lines ...string) string {
		return request(method, uri, append([]string{viaOver(names[in]) + method, "Route: " + route,
			"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 " + method}, lines...)...)
	}
}

// lost tells the router that nothing could be sent of what it left.
func (g *rig) lost(l leaving) (all []leaving) {
	g.r.Unreachable(g.now, transport.Unreachable{Dest: l.to, Code: transport.SendError, Quote: []byte(l.text), Local: true, Listener: l.listener}, &g.out)
	for i := range g.out.Len() {
		listener, to, data := g.out.At(i)
		all = append(all, leaving{listener, to, string(data)})
	}
	g.out.Reset()
	return all
}

// A transport error counts as a 503: whoever sent the request hears of it at
// once, by the way that a response of the next hop would take.
func TestRFC3261_16_9_InDialogRequestThatCannotBeSent(t *testing.T) {
	for in, inName := range []string{"UDP", "TCP", "TLS"} {
		for _, over := range []catalog.Transport{catalog.UDP, catalog.TCP, catalog.TLS} {
			for _, method := range []string{"BYE", "INVITE", "INFO", "FROBNICATE"} {
				t.Run(inName+" to "+over.String()+" "+method, func(t *testing.T) {
					g := newMixedRig(t, hostOver(over))
					byCaller := g.answeredOver(in, over)
					source := connection
					if in == overUDP {
						source = caller
					}
					text := byCaller(method, "Via: SIP/2.0/"+inName+" 192.0.2.10:5060;branch=z9hG4bKx,SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKphone")
					out := g.over(in, source, text)
					require.Len(t, out, 1)
					require.EqualValues(t, over, out[0].listener)
					back := g.lost(out[0])
					if in == overUDP && over == catalog.UDP {
						require.Empty(t, back, "its sender sends it again, and this machine may send it by then")
						return
					}
					require.Len(t, back, 1)
					require.Equal(t, []any{in, source}, []any{back[0].listener, back[0].to})
					top := "SIP/2.0/" + inName + " 192.0.2.10:5060;branch=z9hG4bKx"
					if in != overUDP {
						top += ";rport=40001"
					}
					require.Equal(t, "SIP/2.0 503 Service Unavailable\r\n"+
						"Via: "+top+",SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKphone\r\n"+
						"From: <sip:+15551230000@192.0.2.10>;tag=callertag\r\n"+
						"To: <sip:+15550000001@198.51.100.1>;tag=calleetag\r\n"+
						"Call-ID: call-1@192.0.2.10\r\n"+
						"CSeq: 2 "+method+"\r\n"+
						"Content-Length: 0\r\n\r\n", back[0].text)
					again := g.pass(time.Minute)
					if method == "INVITE" && in == overUDP && over.Reliable() {
						require.Len(t, again, 10, "until it is acknowledged, Timer G")
						again = slices.DeleteFunc(again, func(m sent) bool { return m == sent{source, back[0].text} })
					}
					require.Empty(t, again, "nothing is sent again to where it cannot be sent")
				})
			}
		}
	}
}

// A request that was sent before, and only not again, may be answered yet.
func TestInDialogRequestThatCannotBeSentAgain(t *testing.T) {
	for _, method := range []string{"INVITE", "BYE"} {
		g := newMixedRig(t, hostOver(catalog.UDP))
		first := g.over(overTCP, connection, g.answeredOver(overTCP, catalog.UDP)(method))[0]
		again := g.pass(600 * time.Millisecond)
		require.Equal(t, []sent{{first.to, first.text}}, again)
		require.Empty(t, g.lost(leaving{overUDP, again[0].to, again[0].text}))
		require.Equal(t, again, g.pass(time.Second), "it goes on")
		back := g.over(overUDP, east1, respond(again[0], 200))
		require.Equal(t, []any{overTCP, connection}, []any{back[0].listener, back[0].to})
		require.Empty(t, g.pass(time.Minute))
	}
}

func TestRFC3261_16_9_WhatGetsNo503(t *testing.T) {
	g := newMixedRig(t, hostOver(catalog.TCP))
	byCaller := g.answeredOver(overTCP, catalog.TCP)
	ack := g.over(overTCP, connection, byCaller("ACK"))[0]
	require.Empty(t, g.lost(ack), "an ACK has no answer")
	bye := g.over(overTCP, connection, byCaller("BYE"))[0]
	for name, text := range map[string]string{
		"no Via below":            strings.Replace(bye.text, "\r\nVia: SIP/2.0/TCP 192.0.2.10", "\r\nX: SIP/2.0/TCP 192.0.2.10", 1),
		"another Via below":       strings.Replace(bye.text, "Via: SIP/2.0/TCP 192.0.2.10", "Via: SIP/2.0/TCP 192.0.2.11", 1),
		"another port of rport's": strings.Replace(bye.text, "rport=40001", "rport=40002", 1),
		"cut short":               bye.text[:strings.Index(bye.text, "Call-ID")],
	} {
		require.NotEqual(t, bye.text, text, name)
		require.Empty(t, g.lost(leaving{bye.listener, bye.to, text}), name)
	}
	require.Len(t, g.lost(bye), 1)

	// A quote of ICMP's may be cut short, and its sender sends it again.
	g = newMixedRig(t, hostOver(catalog.UDP))
	byCaller = g.answeredOver(overUDP, catalog.UDP)
	bye = g.over(overUDP, caller, byCaller("BYE"))[0]
	require.Empty(t, g.unreachable(sent{bye.to, bye.text}, transport.NoPort))
}
