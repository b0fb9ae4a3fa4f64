package router

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/transport"
)

// up is a dialog over UDP with a host, begun by a caller over the listener in; it
// makes requests of the caller within it, with a body of so many bytes.
func (g *largeRig) up(in int) (within func(method string, size int) string) {
	source, over := caller, "UDP"
	if in == overTCP {
		source, over = connection, "TCP"
	}
	inv := g.over(in, source, invite(viaOver(over)))[1]
	require.Equal(g.t, overUDP, inv.listener)
	back := g.over(overUDP, east1, respond(sent{inv.to, inv.text}, 200, "Contact: <sip:agent@203.0.113.1:5060>"))
	routes := strings.Join(reversed(header(back[0].text, "Record-Route")), ", ")
	return func(method string, size int) string {
		return withBody(request(method, "sip:agent@203.0.113.1:5060", viaOver(over)+method, "Route: "+routes,
			"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 "+method), size)
	}
}

// A large re-INVITE to the address of a host over UDP that takes TCP goes over TCP,
// and its answer finds back; a small one goes by UDP.
func TestRFC3261_18_1_1_LargeWithinADialog(t *testing.T) {
	for _, in := range []int{overUDP, overTCP} {
		g := newLargeRig(t, oneHost(catalog.LargeAuto))
		within := g.up(in)
		source := caller
		if in == overTCP {
			source = connection
		}
		first := g.over(in, source, within("UPDATE", 5000))
		require.Equal(t, []any{overUDP, east1}, []any{first[0].listener, first[0].to})
		require.Len(t, g.questions, 1)
		g.r.TakesStream(east1)
		for _, method := range []string{"INVITE", "ACK"} {
			all := g.over(in, source, within(method, 60_000))
			require.Len(t, all, 1)
			require.Equal(t, []any{overTCP, east1}, []any{all[0].listener, all[0].to})
			require.Equal(t, "SIP/2.0/TCP 198.51.100.1:5060", firstVia(all[0].text))
			require.Len(t, parse(all[0].text).Data[parse(all[0].text).Body.Start:], 60_000)
			if method == "INVITE" {
				back := g.over(overTCP, east1, respond(sent{all[0].to, all[0].text}, 200))
				require.Equal(t, []any{in, source}, []any{back[0].listener, back[0].to})
			}
		}
		require.Equal(t, overUDP, g.over(in, source, within("BYE", 0))[0].listener)
		require.Equal(t, [largeWays]uint64{largeTCP: 2, largeUDP: 1}, g.large())
		for _, m := range g.pass(40 * time.Second) {
			require.NotContains(t, startLine(m.text), "INVITE", "over TCP nothing is sent again")
		}
	}
}

// What cannot leave over TCP leaves by UDP, and is sent again where its sender came
// over a connection. For limits of ours the next does not do without TCP.
func TestRFC3261_18_1_1_WithinADialogBackToUDP(t *testing.T) {
	for _, in := range []int{overUDP, overTCP} {
		for _, method := range []string{"INVITE", "ACK"} {
			g := newLargeRig(t, oneHost(catalog.LargeTCP))
			within := g.up(in)
			source := caller
			if in == overTCP {
				source = connection
			}
			inv := g.over(in, source, within(method, 6000))[0]
			require.Equal(t, overTCP, inv.listener)
			again := g.lost(inv, transport.NoHost)
			require.Len(t, again, 1, "and no 503")
			require.Equal(t, []any{overUDP, east1}, []any{again[0].listener, again[0].to})
			require.Equal(t, strings.Replace(inv.text, "Via: SIP/2.0/TCP", "Via: SIP/2.0/UDP", 1), again[0].text)
			require.Equal(t, [largeWays]uint64{largeTCP: 1, largeFallback: 1}, g.large())
			copies := g.pass(1600 * time.Millisecond)
			if in == overTCP && method == "INVITE" {
				sends(t, copies, "east1 INVITE", "east1 INVITE")
			} else {
				require.Empty(t, copies)
			}
			require.Equal(t, overUDP, g.over(in, source, strings.Replace(within(method, 6000), "CSeq: 2", "CSeq: 3", 1))[0].listener)
		}
	}

	g := newLargeRig(t, oneHost(catalog.LargeTCP))
	within := g.up(overUDP)
	require.Len(t, g.lost(g.over(overUDP, caller, within("INVITE", 6000))[0], transport.SendError), 1)
	require.Equal(t, overTCP, g.over(overUDP, caller, within("UPDATE", 6000))[0].listener)
}

// Another host over TCP at the same address changes nothing, and what its URI sends
// over TCP did not go there for its size, whoever is configured.
func TestWithinADialogTheURISaysWhetherUDPWillDo(t *testing.T) {
	for _, alone := range []bool{true, false} {
		p := both(catalog.LargeTCP)
		if p.Catalog.Connectors[1].Hosts[0] = hostAt(east1); alone {
			p = oneHost(catalog.LargeTCP)
		} else {
			p.Catalog.Connectors[1].Hosts[0].Transport = catalog.TCP
		}
		for _, x := range []struct {
			uri, route string
			udp        bool
		}{
			{"sip:agent@203.0.113.1:5060", "", true},
			{"sip:agent@203.0.113.1:5060;transport=udp", "", true},
			{"sip:agent@203.0.113.1:5060;transport=tcp", "", false},
			{"sip:agent@10.0.0.1;transport=tcp", ", <sip:203.0.113.1:5060;lr>", true},
			{"sip:agent@10.0.0.1", ", <sip:203.0.113.1:5060;lr;transport=tcp>", false},
			{"sip:agent@10.0.0.1;transport=tcp", ", <sip:203.0.113.1:5060>", true},  // a strict router
			{"sip:agent@10.0.0.1", ", <sip:203.0.113.1:5060;transport=tcp>", false}, // another
		} {
			g := newLargeRig(t, p)
			text := strings.ReplaceAll(g.up(overUDP)("INVITE", 6000), "INVITE sip:agent@203.0.113.1:5060 ", "INVITE "+x.uri+" ")
			if x.route != "" {
				line := "Route: " + strings.Join(header(text, "Route"), ", ")
				text = strings.Replace(text, line, line+x.route, 1)
			}
			inv := g.over(overUDP, caller, text)[0]
			require.Equal(t, []any{overTCP, east1}, []any{inv.listener, inv.to}, x)
			all := g.lost(inv, transport.NoHost)
			require.Len(t, all, 1)
			if x.udp {
				require.Equal(t, []any{overUDP, east1}, []any{all[0].listener, all[0].to}, x)
				require.Equal(t, strings.Replace(inv.text, "Via: SIP/2.0/TCP", "Via: SIP/2.0/UDP", 1), all[0].text)
			} else {
				require.Contains(t, startLine(all[0].text), "503", x)
			}
		}
	}
}

// What takes a flow over UDP stays on it, however large: whole, also where the flow's
// address is that of a host which takes TCP. An error of the path's refuses nothing.
func TestRFC5626_5_3_LargeRequestsStayOnTheFlow(t *testing.T) {
	for _, out := range []catalog.Transport{catalog.UDP, catalog.TCP} {
		p := oneHost(catalog.LargeTCP)
		p.Trunks[0].Symmetric = true
		p.Catalog.Connectors[0].Hosts[0].Transport = out
		p.Catalog.Connectors[1].Hosts[0] = hostAt(natted)
		g := newLargeRig(t, p)
		inv := g.over(overUDP, natted, invite("Contact: <"+privateContact+">"))[1]
		g.over(int(out), east1, respond(sent{inv.to, inv.text}, 200))
		d := dialog{g.rig, strings.Join(header(inv.text, "Record-Route"), ", ")}
		for _, method := range []string{"INVITE", "ACK", "INFO"} {
			all := g.over(int(out), callee, withBody(d.toPrivate(method, "Via: SIP/2.0/"+strings.ToUpper(out.String())+" 203.0.113.99:5060;branch=z9hG4bKback"+method), 60_000))
			require.Len(t, all, 1)
			require.Equal(t, []any{overUDP, natted}, []any{all[0].listener, all[0].to})
			require.Equal(t, strings.Repeat("v", 60_000), string(parse(all[0].text).Data[parse(all[0].text).Body.Start:]))
			g.r.Unreachable(g.now, transport.Unreachable{Dest: natted, Code: transport.TooBig, Quote: []byte(all[0].text[:1200]), Listener: overUDP}, &g.out)
			require.Empty(t, g.taken())
			copies := g.pass(600 * time.Millisecond)
			if out == catalog.TCP && method != "ACK" { // its sender does not
				require.Equal(t, []sent{{natted, all[0].text}}, copies)
				back := g.over(overUDP, natted, respond(sent{natted, all[0].text}, 200))
				require.Equal(t, []any{overTCP, callee}, []any{back[0].listener, back[0].to})
			} else {
				require.Empty(t, copies)
			}
		}
		require.Equal(t, [largeWays]uint64{}, g.large())
	}
}

// What no datagram holds does not try to leave by UDP: its sender hears of it.
func TestWithinADialogTooLargeToFallBack(t *testing.T) {
	g := newLargeRig(t, oneHost(catalog.LargeTCP))
	all := g.lost(g.over(overTCP, connection, g.up(overTCP)("INVITE", 70_000))[0], transport.NoHost)
	require.Len(t, all, 1)
	require.Contains(t, all[0].text, "SIP/2.0 503 ")
	require.Zero(t, g.large()[largeFallback])
}

// What did not go over TCP for its size fails as it did: a small request, and one
// to a host over TCP.
func TestDialogOverTCPDoesNotFallBack(t *testing.T) {
	g := newLargeRig(t, hostOver(catalog.TCP))
	inv := g.over(overUDP, caller, invite())[1]
	back := g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 200, "Contact: <sip:agent@203.0.113.1:5060;transport=tcp>"))
	info := withBody(request("INFO", "sip:agent@203.0.113.1:5060;transport=tcp", viaOver("UDP")+"x",
		"Route: "+strings.Join(reversed(header(back[0].text, "Record-Route")), ", "),
		"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 INFO"), 6000)
	out := g.over(overUDP, caller, info)[0]
	require.Equal(t, overTCP, out.listener)
	all := g.lost(out, transport.NoHost)
	require.Len(t, all, 1)
	require.Contains(t, all[0].text, "SIP/2.0 503 ")
	require.Equal(t, [largeWays]uint64{}, g.large())
}
