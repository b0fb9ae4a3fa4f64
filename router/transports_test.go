package router

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/transport"
)

// A rig with a listener of each transport at one address, TLS at its own port.
// The caller's connections come from a port of the moment.
const (
	overUDP = iota
	overTCP
	overTLS
)

var connection = addr("192.0.2.10:40001")

type leaving struct {
	listener int
	to       netip.AddrPort
	text     string
}

func newMixedRig(t testing.TB, p Policy) *rig {
	return newRig(t, p, func(o *Options) {
		o.Listeners = []Listener{
			{Addr: ownAddr},
			{Addr: ownAddr, Transport: catalog.TCP},
			{Addr: netip.AddrPortFrom(ownAddr.Addr(), 5061), Transport: catalog.TLS},
		}
	})
}

// over hands the router a message that came by a listener.
func (g *rig) over(listener int, source netip.AddrPort, text string) (all []leaving) {
	g.r.Packets(g.now, []transport.Packet{{Data: []byte(text), Source: source, Listener: listener}}, &g.out)
	for i := range g.out.Len() {
		l, to, data := g.out.At(i)
		all = append(all, leaving{l, to, string(data)})
	}
	g.out.Reset()
	return all
}

// hostOver is a group with one host, reached over t.
func hostOver(t catalog.Transport) Policy {
	p := twoRegions()
	p.Catalog.Groups[0].Connectors = p.Catalog.Groups[0].Connectors[:1]
	p.Catalog.Connectors[0].Hosts[0].Transport = t
	return p
}

func viaOver(name string) string {
	return "Via: SIP/2.0/" + name + " 192.0.2.10:5060;branch=z9hG4bKcaller1"
}

// What a call looks like on each side is decided by that side's transport.
func TestRFC3261_18_CallBetweenTransports(t *testing.T) {
	names := []string{"UDP", "TCP", "TLS"}
	for in, inName := range names {
		for out, outName := range names {
			t.Run(inName+" to "+outName, func(t *testing.T) {
				g := newMixedRig(t, hostOver(catalog.Transport(out)))
				source := caller
				if in != overUDP {
					source = connection
				}
				all := g.over(in, source, invite(viaOver(inName)))
				require.Len(t, all, 2)
				require.Equal(t, leaving{in, source, all[0].text}, all[0], "100 goes back where the INVITE came from")
				inv := all[1]
				require.Equal(t, []any{out, east1}, []any{inv.listener, inv.to})
				own := "198.51.100.1:5060"
				if out == overTLS {
					own = "198.51.100.1:5061"
				}
				vias := header(inv.text, "Via")
				require.True(t, strings.HasPrefix(vias[0], "SIP/2.0/"+outName+" "+own+";branch="), vias[0])
				require.Equal(t, in != overUDP, strings.Contains(vias[1], ";rport=40001"), "the port of the connection: %s", vias[1])

				routes := header(inv.text, "Record-Route")
				if in == out {
					require.Len(t, routes, 1)
				} else {
					require.Len(t, routes, 2, "one for each side (RFC 5658)")
				}
				require.Contains(t, routes[0], "@"+own+catalog.Transport(out).Param()+";lr>")
				require.Contains(t, routes[len(routes)-1], catalog.Transport(in).Param()+";lr>")

				answer := respond(sent{inv.to, inv.text}, 200, "Contact: <sip:agent@203.0.113.1:5060"+catalog.Transport(out).Param()+">")
				back := g.over(out, east1, answer)
				require.Len(t, back, 1)
				require.Equal(t, []any{in, source}, []any{back[0].listener, back[0].to})

				// The ACK and the BYE of both sides follow the route set back.
				bye := request("BYE", "sip:agent@203.0.113.1:5060"+catalog.Transport(out).Param(), viaOver(inName),
					"Route: "+strings.Join(reversed(header(back[0].text, "Record-Route")), ", "),
					"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 BYE")
				got := g.over(in, source, bye)
				require.Len(t, got, 1)
				require.Equal(t, []any{out, east1}, []any{got[0].listener, got[0].to})
				require.Empty(t, header(got[0].text, "Route"))
				ended := g.over(out, east1, respond(sent{got[0].to, got[0].text}, 200))
				require.Len(t, ended, 1)
				require.Equal(t, []any{in, source}, []any{ended[0].listener, ended[0].to})
			})
		}
	}
}

func reversed(list []string) []string {
	all := make([]string, len(list))
	for i, v := range list {
		all[len(list)-1-i] = v
	}
	return all
}

// Nothing is sent again over a connection: INVITE (Timer A), CANCEL (Timer E),
// a refusal (Timer G).
func TestRFC3261_17_NothingIsSentAgainOverAConnection(t *testing.T) {
	p := hostOver(catalog.TCP)
	p.Failover.FirstResponse, p.Failover.Progress = 20*time.Second, time.Minute
	g := newMixedRig(t, p)
	inv := g.over(overTCP, connection, invite(viaOver("TCP")))[1]
	require.Empty(t, g.pass(10*time.Second))

	g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 180))
	all := g.over(overTCP, connection, cancelText(viaOver("TCP")))
	require.Len(t, all, 2, "200 and the CANCEL")
	require.Empty(t, g.pass(10*time.Second))

	all = g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 487))
	require.Len(t, all, 2, "the ACK, and 487 to the caller")
	require.Empty(t, g.pass(time.Minute))
	require.Zero(t, g.r.Live(), "and the call ends as any other")
}

// A connection that cannot be made fails over at once, and says something about
// the host.
func TestRFC3261_18_4_NoConnection(t *testing.T) {
	p := twoRegions()
	p.Catalog.Connectors[0].Hosts[0].Transport = catalog.TCP
	g := newMixedRig(t, p)
	inv := g.over(overUDP, caller, invite())[1]
	g.r.Unreachable(g.now, transport.Unreachable{Dest: inv.to, Code: transport.NoHost, Quote: []byte(inv.text), Local: true, Listener: overTCP}, &g.out)
	sends(t, g.taken(), "west1 INVITE")
	require.NotEqual(t, "up", g.r.Hosts()[0].Health.Status().State.String())
}

// A response whose connection has ended goes to where its receiver listens,
// once.
func TestRFC3261_18_2_2_ConnectionEnded(t *testing.T) {
	for name, c := range map[string]struct {
		via  string
		want []string
	}{
		"sent-by is the address":  {"Via: SIP/2.0/TCP 192.0.2.10:5062;branch=z9hG4bKcaller1", []string{"192.0.2.10:5062"}},
		"the default port":        {"Via: SIP/2.0/TCP 192.0.2.10;branch=z9hG4bKcaller1", []string{"192.0.2.10:5060"}},
		"received wins":           {"Via: SIP/2.0/TCP pbx.example.com:5062;branch=z9hG4bKcaller1", []string{"192.0.2.10:5062"}},
		"it connected from there": {"Via: SIP/2.0/TCP 192.0.2.10:40001;branch=z9hG4bKcaller1", []string{"192.0.2.10:40001"}},
		"to ourselves":            {"Via: SIP/2.0/TCP 198.51.100.1:5060;branch=z9hG4bKcaller1;received=198.51.100.1", []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := hostOver(catalog.UDP)
			p.Trunks = append(p.Trunks, Trunk{Name: "here", Sources: []netip.Prefix{netip.PrefixFrom(ownAddr.Addr(), 32)}})
			g := newMixedRig(t, p)
			source := connection
			if name == "to ourselves" {
				source = netip.AddrPortFrom(ownAddr.Addr(), 40001)
			}
			trying := g.over(overTCP, source, invite(c.via))[0]
			lost := transport.Unreachable{Dest: trying.to, Code: transport.Gone, Quote: []byte(trying.text), Local: true, Listener: overTCP}
			g.r.Unreachable(g.now, lost, &g.out)
			got := []string{}
			for i := range g.out.Len() {
				l, to, data := g.out.At(i)
				require.Equal(t, overTCP, l)
				require.Equal(t, trying.text, string(data))
				name, ok := g.out.Name(i)
				require.True(t, ok, "a connection may be opened")
				require.Contains(t, c.via, "TCP "+string(name), "to whom the Via names")
				got = append(got, to.String())
				lost.Dest = to
			}
			require.Equal(t, c.want, got)
			g.out.Reset()
			lost.Code = transport.SendError
			g.r.Unreachable(g.now, lost, &g.out)
			require.Empty(t, g.taken(), "nobody is there either")
		})
	}
}

// Who is no trunk's and no host's has nobody dial, whatever port his Via says; a
// certificate is not asked for again.
func TestRFC3261_18_2_2_ConnectionOfAStrangerEnded(t *testing.T) {
	prefixes := func(text ...string) (p []netip.Prefix) {
		for _, s := range text {
			p = append(p, netip.MustParsePrefix(s))
		}
		return p
	}
	stranger, linked := addr("198.18.0.99:40001"), addr("[fe80::7%eth1]:40001")
	for name, c := range map[string]struct {
		trunks []Trunk
		source netip.AddrPort
		want   string
	}{
		"no trunk's":              {nil, stranger, ""},
		"a refused trunk's":       {[]Trunk{{Sources: prefixes("198.18.0.99/32"), Refused: true}}, stranger, ""},
		"a trunk's":               {[]Trunk{{Sources: prefixes("198.18.0.99/32")}}, stranger, "198.18.0.99:5062"},
		"a host's":                {nil, netip.AddrPortFrom(east1.Addr(), 40001), "203.0.113.1:5062"},
		"a certificate's sources": {[]Trunk{{Identities: []string{"a.example"}, Sources: prefixes("198.18.0.99/32")}}, stranger, "198.18.0.99:5062"},
		"not these sources":       {[]Trunk{{Identities: []string{"a.example"}, Sources: prefixes("198.18.0.98/32")}}, stranger, ""},
		"any certificate's":       {[]Trunk{{Identities: []string{"a.example"}}}, stranger, "198.18.0.99:5062"},
		"a refused certificate's": {[]Trunk{{Identities: []string{"a.example"}, Refused: true}}, stranger, ""},
		"on a link":               {[]Trunk{{Sources: prefixes("fe80::/10")}}, linked, "[fe80::7%eth1]:5062"},
	} {
		t.Run(name, func(t *testing.T) {
			p := hostOver(catalog.UDP)
			for i := range c.trunks {
				c.trunks[i].Name = "t"
			}
			p.Trunks = append(p.Trunks, c.trunks...)
			g := newMixedRig(t, p)
			answer := "SIP/2.0 403 Forbidden\r\nVia: SIP/2.0/TCP pbx.example.com:5062;branch=z9hG4bKx;received=192.0.2.10\r\n" +
				"From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
			g.r.Unreachable(g.now, transport.Unreachable{Dest: c.source, Code: transport.Gone, Quote: []byte(answer), Local: true, Listener: overTCP}, &g.out)
			got := ""
			for _, m := range g.taken() {
				got += m.to.String()
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == "", g.dropped(dropUntrusted) == 1)
		})
	}
}

// What came over a connection within a dialog and leaves by UDP is sent again
// until it is answered (RFC 3261 16.11: not without state).
func TestRFC3261_16_11_FromAConnectionToUDP(t *testing.T) {
	for _, method := range []string{"BYE", "INVITE", "ACK"} {
		t.Run(method, func(t *testing.T) {
			g := newMixedRig(t, hostOver(catalog.UDP))
			inv := g.over(overTCP, connection, invite(viaOver("TCP")))[1]
			back := g.over(overUDP, east1, respond(sent{inv.to, inv.text}, 200, "Contact: <sip:agent@203.0.113.1:5060>"))
			again := request(method, "sip:agent@203.0.113.1:5060", viaOver("TCP")+"x",
				"Route: "+strings.Join(reversed(header(back[0].text, "Record-Route")), ", "),
				"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 "+method)
			first := g.over(overTCP, connection, again)
			require.Len(t, first, 1)
			copies := g.pass(7400 * time.Millisecond)
			if method == "ACK" {
				require.Empty(t, copies)
				return
			}
			require.Len(t, copies, 3, "after 0.5, 1.5 and 3.5 s")
			for _, m := range copies {
				require.Equal(t, sent{first[0].to, first[0].text}, m)
			}
			status := 200
			if method == "INVITE" {
				status = 180 // Timer A ends with a provisional
			}
			got := g.over(overUDP, east1, respond(sent{first[0].to, first[0].text}, status))
			require.Len(t, got, 1)
			require.Equal(t, []any{overTCP, connection}, []any{got[0].listener, got[0].to})
			require.Empty(t, g.pass(time.Minute))
		})
	}
	// Nobody answers: it ends after 64*T1.
	g := newMixedRig(t, hostOver(catalog.UDP))
	g.r.relays.add(g.now, relay{key: 1, listener: overUDP, dest: east1, msg: []byte("BYE")}, g.r.tally)
	g.r.relays.add(g.now, relay{key: 2, invite: true, listener: overUDP, dest: east1, msg: []byte("INVITE")}, g.r.tally)
	count := map[string]int{}
	for _, m := range g.pass(time.Minute) {
		count[m.text]++
	}
	require.Equal(t, map[string]int{"BYE": 10, "INVITE": 6}, count) // Timers E and A
	require.Empty(t, g.r.relays.byKey)
	require.Zero(t, g.r.relays.bytes)
	require.Zero(t, g.dropped(dropRepeat))
}

// What there is no room for, in number or in bytes, leaves once, and is counted.
func TestTooManyToRepeat(t *testing.T) {
	for _, size := range []int{1, 1 << 20} {
		g := newMixedRig(t, hostOver(catalog.UDP))
		byCaller := g.answeredOver(overTCP, catalog.UDP)
		msg := make([]byte, size)
		room := min(maxRelays, relayBytes/size)
		for key := range uint64(room) {
			require.True(t, g.r.relays.add(g.now, relay{key: key, listener: overUDP, dest: west1, msg: msg}, g.r.tally))
		}
		require.False(t, g.r.relays.add(g.now, relay{key: 0, msg: msg}, g.r.tally), "it is there")
		require.Zero(t, g.dropped(dropRepeat))
		bye := g.over(overTCP, connection, byCaller("BYE"))
		require.Len(t, bye, 1)
		require.Equal(t, map[string]uint64{"repeat_overflow": 1}, g.counts(CountDrops))
	}
}

// The refusal of a re-INVITE is not sent again over a connection, and not asked
// for again over UDP once something rang: we send it again, until its ACK comes.
func TestRFC3261_17_2_1_RefusalFromAConnectionToUDP(t *testing.T) {
	g := newMixedRig(t, hostOver(catalog.TCP))
	byCaller := g.answeredOver(overUDP, catalog.TCP)
	out := g.over(overUDP, caller, byCaller("INVITE"))[0]
	require.Len(t, g.over(overTCP, east1, respond(sent{out.to, out.text}, 180)), 1)
	require.Empty(t, g.pass(time.Minute))
	refusal := g.over(overTCP, east1, respond(sent{out.to, out.text}, 488))
	require.Len(t, refusal, 1)
	again := g.pass(3600 * time.Millisecond)
	require.Len(t, again, 3, "after 0.5, 1.5 and 3.5 s")
	for _, m := range again {
		require.Equal(t, sent{caller, refusal[0].text}, m)
	}
	ack := strings.Replace(byCaller("INVITE"), "INVITE sip", "ACK sip", 1)
	ack = strings.Replace(ack, "CSeq: 2 INVITE", "CSeq: 2 ACK", 1)
	require.Len(t, g.over(overUDP, caller, ack), 1, "it goes on to who waits for it")
	require.Empty(t, g.pass(time.Minute))

	// Nobody acknowledges: it ends after 64*T1 (Timer H).
	g.over(overTCP, east1, respond(sent{out.to, out.text}, 488))
	require.Len(t, g.pass(time.Minute), 10)
	require.Empty(t, g.r.relays.byKey)

	// What is no refusal of an INVITE is asked for again, or sent again by who sent it.
	for method, status := range map[string]int{"INVITE": 200, "BYE": 481} {
		out = g.over(overUDP, caller, byCaller(method, "CSeq: 3 "+method))[0]
		require.Len(t, g.over(overTCP, east1, respond(sent{out.to, out.text}, status)), 1)
		require.Empty(t, g.pass(time.Minute), method)
	}
}

// The other way a refusal comes as often as its ACK is lost, and over a connection
// only one ACK comes back: each is acknowledged by us.
func TestRFC3261_17_1_1_2_RefusalFromUDPToAConnection(t *testing.T) {
	g := newMixedRig(t, hostOver(catalog.UDP))
	byCaller := g.answeredOver(overTCP, catalog.UDP)
	out := g.over(overTCP, connection, byCaller("INVITE"))[0]
	for range 3 {
		all := g.over(overUDP, east1, respond(sent{out.to, out.text}, 488))
		require.Len(t, all, 2)
		require.Equal(t, []any{overTCP, connection}, []any{all[0].listener, all[0].to})
		ack := all[1]
		require.Equal(t, []any{overUDP, east1}, []any{ack.listener, ack.to})
		require.True(t, strings.HasPrefix(ack.text, "ACK "), ack.text)
		require.Equal(t, header(out.text, "Via")[0], header(ack.text, "Via")[0], "with the branch of the INVITE")
		require.Equal(t, []string{"2 ACK"}, header(ack.text, "CSeq"))
	}
	require.Len(t, g.over(overUDP, east1, respond(sent{out.to, out.text}, 200)), 1, "who called acknowledges that")
	require.Empty(t, g.pass(time.Minute))
}

// A sips URI, and transport=tls, lead to TLS and nowhere else.
func TestRFC3261_26_2_TransportOfAURI(t *testing.T) {
	for uri, want := range map[string]int{
		"sip:agent@203.0.113.99:5070":                overUDP,
		"sip:agent@203.0.113.99:5070;transport=UDP":  overUDP,
		"sip:agent@203.0.113.99:5070;transport=tcp":  overTCP,
		"sip:agent@203.0.113.99:5070;transport=TLS":  overTLS,
		"sips:agent@203.0.113.99:5070":               overTLS,
		"sips:agent@203.0.113.99:5070;transport=tcp": overTLS,
		"sips:agent@203.0.113.99:5070;transport=udp": -1,
		"sip:agent@203.0.113.99:5070;transport=sctp": -1,
	} {
		t.Run(uri, func(t *testing.T) {
			g := newMixedRig(t, hostOver(catalog.UDP))
			inv := g.over(overUDP, caller, invite())[1]
			back := g.over(overUDP, east1, respond(sent{inv.to, inv.text}, 200, "Contact: <"+uri+">"))
			got := g.over(overUDP, caller, request("BYE", uri, viaOver("UDP")+"x",
				"Route: "+header(back[0].text, "Record-Route")[0],
				"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 BYE"))
			require.Len(t, got, 1)
			if want < 0 {
				require.Contains(t, got[0].text, "SIP/2.0 503 ")
				return
			}
			require.Equal(t, []any{want, "203.0.113.99:5070"}, []any{got[0].listener, got[0].to.String()})
		})
	}
}

// What is for a sips URI stays on TLS from one end to the other, and its
// Record-Route keeps the dialog there.
func TestRFC3261_26_2_SipsCall(t *testing.T) {
	p := twoRegions() // east1 by UDP, the second host over TLS
	p.Catalog.Connectors[1].Hosts[0].Transport = catalog.TLS
	second := p.Catalog.Connectors[1].Hosts[0].Addr
	g := newMixedRig(t, p)
	secured := strings.Replace(invite(viaOver("TLS")), "INVITE sip:", "INVITE sips:", 1)
	all := g.over(overTLS, connection, secured)
	require.Len(t, all, 2)
	inv := all[1]
	require.Equal(t, []any{overTLS, second}, []any{inv.listener, inv.to}, "hosts that are not over TLS are passed by")
	require.True(t, strings.HasPrefix(inv.text, "INVITE sips:+15550000001@"+second.String()+" "), inv.text)
	routes := header(inv.text, "Record-Route")
	require.Len(t, routes, 1)
	require.True(t, strings.HasPrefix(routes[0], "<sips:td"), routes[0])

	back := g.over(overTLS, second, respond(sent{inv.to, inv.text}, 200, "Contact: <sips:agent@203.0.113.99:5070>"))
	require.Equal(t, []any{overTLS, connection}, []any{back[0].listener, back[0].to})
	update := func(method, uri string, fields ...string) []leaving {
		return g.over(overTLS, connection, request(method, uri, append([]string{viaOver("TLS") + "x",
			"To: <sips:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 " + method}, fields...)...))
	}
	got := update("INVITE", "sips:agent@203.0.113.99:5070", "Route: "+routes[0])
	require.Equal(t, []any{overTLS, "203.0.113.99:5070"}, []any{got[0].listener, got[0].to.String()})
	require.True(t, strings.HasPrefix(header(got[0].text, "Record-Route")[0], "<sips:td"))
	got = update("BYE", "sips:agent@203.0.113.99:5070", "Route: "+routes[0]+", <sip:203.0.113.98;lr>")
	require.Equal(t, []any{overTLS, "203.0.113.98:5061"}, []any{got[0].listener, got[0].to.String()}, "whatever Route says")

	// A refusal leaves no other candidate: the one over UDP is none.
	g = newMixedRig(t, p)
	inv = g.over(overTLS, connection, secured)[1]
	refused := g.over(overTLS, second, respond(sent{inv.to, inv.text}, 503))
	require.Len(t, refused, 2)
	require.Contains(t, refused[0].text, "ACK sips:")
	require.Contains(t, refused[1].text, "SIP/2.0 503 ")
	// Nor is it one for a CANCEL of a call that is not here.
	g = newMixedRig(t, p)
	cancels := g.over(overTLS, connection, strings.NewReplacer("INVITE sip:", "CANCEL sips:", "1 INVITE", "1 CANCEL").Replace(invite(viaOver("TLS"))))
	require.Len(t, cancels, 1)
	require.Equal(t, []any{overTLS, second}, []any{cancels[0].listener, cancels[0].to})
}

func TestRFC5630_SipsWithoutTLS(t *testing.T) {
	secured := func(via string) string {
		return strings.Replace(invite(viaOver(via)), "INVITE sip:", "INVITE sips:", 1)
	}
	g := newMixedRig(t, hostOver(catalog.TCP))
	for range 2 { // a retransmission is told the same
		got := g.over(overTLS, connection, secured("TLS"))
		require.Len(t, got, 1)
		require.True(t, strings.HasPrefix(got[0].text, "SIP/2.0 480 "), got[0].text)
		require.Equal(t, []string{`380 198.51.100.1:5061 "SIPS Not Allowed"`}, header(got[0].text, "Warning"))
	}
	got := g.over(overTCP, connection, secured("TCP"))
	require.Len(t, got, 1)
	require.True(t, strings.HasPrefix(got[0].text, "SIP/2.0 416 "), "whoever sent it in the clear has broken what it says")
}

// On a stream a message needs the length that a datagram may lack.
func TestRFC3261_20_14_ContentLengthOnStreams(t *testing.T) {
	bare := func(text string) string { return strings.Replace(text, "Content-Length: 0\r\n", "", 1) + "v=0\r\n" }
	g := newMixedRig(t, hostOver(catalog.TCP))
	inv := g.over(overUDP, caller, bare(invite()))[1]
	require.Equal(t, []string{"5"}, header(inv.text, "Content-Length"))
	back := g.over(overTCP, east1, respond(sent{inv.to, inv.text}, 200, "Contact: <sip:agent@203.0.113.1:5060;transport=tcp>"))
	info := g.over(overUDP, caller, bare(request("INFO", "sip:agent@203.0.113.1:5060;transport=tcp", viaOver("UDP")+"x",
		"Route: "+strings.Join(reversed(header(back[0].text, "Record-Route")), ", "),
		"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 INFO")))
	require.Equal(t, []string{"5"}, header(info[0].text, "Content-Length"))

	g = newMixedRig(t, hostOver(catalog.UDP))
	inv = g.over(overTCP, connection, invite(viaOver("TCP")))[1]
	require.Equal(t, []string{"0"}, header(inv.text, "Content-Length"), "as it came")
	for _, status := range []int{180, 404} {
		back = g.over(overUDP, east1, bare(respond(sent{inv.to, inv.text}, status)))
		last := back[len(back)-1]
		require.Equal(t, overTCP, last.listener)
		require.Equal(t, []string{"5"}, header(last.text, "Content-Length"))
		require.True(t, strings.HasSuffix(last.text, "\r\n\r\nv=0\r\n"))
	}
	g = newMixedRig(t, hostOver(catalog.UDP))
	inv = g.over(overUDP, caller, bare(invite()))[1]
	require.Empty(t, header(inv.text, "Content-Length"), "a datagram stays as it is")
}

// A Contact that says nothing of the transport means the dialog's own, where
// that is one of connections.
func TestPlainContactOverConnections(t *testing.T) {
	for _, over := range []int{overUDP, overTCP, overTLS} {
		g := newMixedRig(t, hostOver(catalog.Transport(over)))
		inv := g.over(overUDP, caller, invite())[1]
		back := g.over(over, east1, respond(sent{inv.to, inv.text}, 200, "Contact: <sip:agent@203.0.113.1>"))
		got := g.over(overUDP, caller, request("BYE", "sip:agent@203.0.113.1", viaOver("UDP")+"x",
			"Route: "+strings.Join(reversed(header(back[0].text, "Record-Route")), ", "),
			"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 BYE"))
		require.Len(t, got, 1)
		port := catalog.Transport(over).Port()
		require.Equal(t, []any{over, netip.AddrPortFrom(east1.Addr(), port)}, []any{got[0].listener, got[0].to})
	}
}

// What limits of ours kept from leaving says nothing about the host.
func TestNoConnectionForUs(t *testing.T) {
	p := twoRegions()
	p.Catalog.Connectors[0].Hosts[0].Transport = catalog.TCP
	for code, state := range map[transport.Cause]string{transport.SendError: "up", transport.NoHost: "doubtful"} {
		g := newMixedRig(t, p)
		inv := g.over(overUDP, caller, invite())[1]
		g.r.Unreachable(g.now, transport.Unreachable{Dest: inv.to, Code: code, Quote: []byte(inv.text), Local: true, Listener: overTCP}, &g.out)
		sends(t, g.taken(), "west1 INVITE")
		require.Equal(t, state, g.r.Hosts()[0].Health.Status().State.String())
	}
}

// A sips target whose name nobody knows is not made good by the host that
// answered, when that is reached over UDP.
func TestRFC3261_26_2_SipsNameThatIsNotKnown(t *testing.T) {
	for over, want := range map[catalog.Transport]string{catalog.UDP: "SIP/2.0 503 ", catalog.TLS: "BYE sips:agent@pbx.example.com "} {
		g := newMixedRig(t, hostOver(over)) // without names: no name is known
		inv := g.over(overTLS, connection, invite(viaOver("TLS")))[1]
		back := g.over(int(over), east1, respond(sent{inv.to, inv.text}, 200, "Contact: <sips:agent@pbx.example.com>"))
		got := g.over(overTLS, connection, request("BYE", "sips:agent@pbx.example.com", viaOver("TLS")+"x",
			"Route: "+strings.Join(reversed(header(back[0].text, "Record-Route")), ", "),
			"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 BYE"))
		require.Len(t, got, 1)
		require.True(t, strings.HasPrefix(got[0].text, want), got[0].text)
	}
}
