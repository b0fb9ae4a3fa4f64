package router

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/names"
	"tandem/router/transport"
)

// Callers of a symmetric trunk, behind a NAT, whose Contact leads nowhere.

var natted = addr("192.0.2.10:41000")

const privateContact = "sip:caller@10.0.0.7:5060"

func symmetricRegions() Policy {
	p := twoRegions()
	p.Trunks[0].Symmetric = true
	p.Trunks[0].Sources = append(p.Trunks[0].Sources, netip.MustParsePrefix("2001:db8::/32"))
	return p
}

func callFromNAT(t testing.TB, g *rig, source netip.AddrPort) dialog {
	all := g.from(source, invite("Contact: <"+privateContact+">"))
	require.Len(t, all, 2)
	return newSymmetricDialog(t, g, all[1], source)
}

// toPrivate is a request of the callee's to the private Contact.
func (d dialog) toPrivate(method string, lines ...string) string {
	return strings.Replace(d.byCallee(method, lines...), "sip:caller@192.0.2.10:5060", privateContact, 1)
}

func TestRFC5626_5_3_RequestsOfTheCalleeTakeTheFlow(t *testing.T) {
	d := callFromNAT(t, newRig(t, symmetricRegions()), natted)
	plain := newDialog(t, newRig(t, twoRegions()))
	require.Len(t, d.route, len(plain.route)+flowLen4)
	for _, method := range []string{"INVITE", "ACK", "CANCEL", "BYE", "INFO"} {
		text := d.toPrivate(method)
		all := sends(t, d.g.from(callee, text), natted.String()+" "+method)
		require.Equal(t, method+" "+privateContact+" SIP/2.0", startLine(all[0].text), "as the caller wrote it")
		require.Empty(t, header(all[0].text, "Route"))
		if method == "INVITE" {
			require.Equal(t, []string{d.route}, header(all[0].text, "Record-Route"), "with the flow of its dialog")
		}
		// Another node with the secret knows as much, whatever its config says of the trunk.
		require.Equal(t, all, newRig(t, twoRegions()).from(callee, text))
		if method != "ACK" {
			sends(t, d.g.from(natted, respond(all[0], 200)), "callee 200 "+method)
		}
	}
	// The caller's requests go where they went, and come from wherever he is now.
	moved := addr("192.0.2.10:42000")
	all := sends(t, d.g.from(moved, d.byCaller("INVITE")), "callee INVITE")
	require.Equal(t, []string{d.route}, header(all[0].text, "Record-Route"), "a route set is for the life of a dialog")
	sends(t, d.g.from(moved, d.byCaller("ACK")), "callee ACK")
	sends(t, d.g.from(moved, d.byCaller("BYE")), "callee BYE")
}

func TestFlowRoundTrip(t *testing.T) {
	for flow, text := range map[string]string{
		"192.0.2.10:41000":      "c000020aa028",
		"[2001:db8::10]:41000":  "20010db8000000000000000000000010a028",
		"[fe80::10%eth0]:41000": "fe800000000000000000000000000010a028",
	} {
		from := addr(flow)
		require.Equal(t, text, string(appendFlow(nil, from)))
		for _, s := range []string{text, strings.ToUpper(text)} {
			require.Equal(t, netip.AddrPortFrom(from.Addr().WithZone(""), 41000), parseFlow([]byte(s)))
		}
	}
}

// What a trunk gets that is not symmetric is what it got before there were flows.
func TestNoFlowWithoutASymmetricTrunk(t *testing.T) {
	g := newRig(t, twoRegions())
	all := g.from(natted, invite("Via: SIP/2.0/UDP 192.0.2.10:41000;branch=z9hG4bKx", "Contact: <"+privateContact+">"))
	d := newSymmetricDialog(t, g, all[1], natted)
	h := g.r.plan.Load().byAddr[hostPlace{addr: east1}]
	f := fields(nil).u16(g.r.day(g.now) + tokenLifeDays).u32(h.connector.id).u32(h.id).bytes([]byte("call-1@192.0.2.10")).bytes([]byte("callertag"))
	want := token{day: g.r.day(g.now) + tokenLifeDays, connector: h.connector.id, host: h.id, mac: g.r.keys[0].token.sum(f)}
	require.Equal(t, "<sip:"+string(want.appendTo(nil))+"@198.51.100.1:5060;lr>", d.route)
	sends(t, g.from(callee, d.toPrivate("BYE")), "10.0.0.7:5060 BYE")
}

func TestFlowThatWasTamperedWith(t *testing.T) {
	d := callFromNAT(t, newRig(t, symmetricRegions()), natted)
	user := strings.TrimPrefix(d.route[:strings.IndexByte(d.route, '@')], "<sip:")
	require.Len(t, user, tokenLen+flowLen4)
	refused := func(changed string) {
		t.Helper()
		text := strings.Replace(d.toPrivate("BYE"), user, changed, 1)
		sends(t, d.g.from(callee, text), "callee 403 BYE")
		require.Empty(t, d.g.from(callee, strings.Replace(d.toPrivate("ACK"), user, changed, 1)))
		d.g.pass(100 * time.Millisecond)
	}
	for i := 2; i < len(user); i++ {
		changed := []byte(user)
		changed[i] = flipHex(changed[i])
		refused(string(changed))
	}
	refused(user[:tokenLen])                                                // its flow cut off
	refused(user[:tokenLen] + "00000000000000000000ffff" + user[tokenLen:]) // the same address, written otherwise
	refused(user[:tokenLen] + "20010db8000000000000000000000010a028")       // another's
	sends(t, d.g.from(callee, strings.Replace(d.toPrivate("BYE"), user, "td"+strings.ToUpper(user[2:]), 1)), natted.String()+" BYE")

	plain := newDialog(t, newRig(t, twoRegions()))
	given := strings.Replace(plain.route, "@", user[tokenLen:]+"@", 1) // one given to a dialog that has none
	sends(t, plain.g.from(callee, strings.Replace(plain.byCallee("BYE"), plain.route, given, 1)), "callee 403 BYE")
}

// The listener is the one that the INVITE came to, whichever the callee's requests
// come to, and the callee's is left as it is.
func TestRFC5658_FlowBetweenAddressFamilies(t *testing.T) {
	own6, natted6, east6 := addr("[2001:db8::1]:5060"), addr("[2001:db8::10]:41000"), addr("[2001:db8:1::11]:5060")
	for name, c := range map[string]struct {
		in, out      int
		source, host netip.AddrPort
		routes       int
	}{
		"6 to 4": {1, 0, natted6, east1, 2},
		"4 to 6": {0, 1, natted, east6, 2},
		"6 to 6": {1, 1, natted6, east6, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := symmetricRegions()
			p.Catalog.Connectors[0].Hosts = []catalog.Host{hostAt(c.host)}
			g := newRig(t, p, func(o *Options) { o.Listeners = append(o.Listeners, Listener{Addr: own6}) })
			inv := g.over(c.in, c.source, invite("Contact: <"+privateContact+">"))[1]
			routes := header(inv.text, "Record-Route")
			require.Len(t, routes, c.routes)
			d := dialog{g, strings.Join(routes, ", ")}
			got := g.over(c.out, c.host, d.toPrivate("INVITE"))
			require.Len(t, got, 1)
			require.Equal(t, []any{c.in, c.source}, []any{got[0].listener, got[0].to})
			require.Empty(t, header(got[0].text, "Route"))
			require.Equal(t, reversed(routes), header(got[0].text, "Record-Route"), "each side sees what it can reach")
			back := g.over(c.in, c.source, respond(sent{got[0].to, got[0].text}, 200))
			require.Len(t, back, 1)
			require.Equal(t, c.out, back[0].listener)
		})
	}
}

// Over connections the flow is the one that the caller opened, and no other.
func TestFlowOverConnections(t *testing.T) {
	for _, in := range []int{overTCP, overTLS} {
		p := hostOver(catalog.UDP)
		p.Trunks[0].Symmetric = true
		g := newMixedRig(t, p)
		inv := g.over(in, connection, invite(viaOver(strings.ToUpper(catalog.Transport(in).String()))))[1]
		d := dialog{g, strings.Join(header(inv.text, "Record-Route"), ", ")}
		g.r.Packets(g.now, packets(overUDP, callee, d.toPrivate("BYE")), &g.out)
		require.Equal(t, 1, g.out.Len())
		listener, to, data := g.out.At(0)
		_, connects := g.out.Name(0)
		require.Equal(t, []any{in, connection, false, true}, []any{listener, to, connects, g.out.IsBack(0)})
		require.Equal(t, "BYE "+privateContact+" SIP/2.0", startLine(string(data)))
		lost := transport.Unreachable{Dest: to, Code: transport.SendError, Quote: []byte(string(data)), Local: true, Listener: listener}
		g.out.Reset()
		g.r.Unreachable(g.now, lost, &g.out)
		sends(t, g.taken(), "callee 503 BYE")
	}
}

// A sips URI is for TLS only: a flow that is not over TLS does not carry it.
func TestSipsTakesNoFlowInTheClear(t *testing.T) {
	p := hostOver(catalog.UDP)
	p.Trunks[0].Symmetric = true
	for in, want := range map[int]leaving{overUDP: {listener: overTLS, to: addr("10.0.0.7:5061")}, overTLS: {listener: overTLS, to: connection}} {
		g := newMixedRig(t, p)
		inv := g.over(in, connection, invite(viaOver(strings.ToUpper(catalog.Transport(in).String()))))[1]
		d := dialog{g, strings.Join(header(inv.text, "Record-Route"), ", ")}
		got := g.over(overUDP, callee, strings.Replace(d.toPrivate("BYE"), privateContact, "sips:caller@10.0.0.7:5061", 1))
		require.Len(t, got, 1)
		require.Equal(t, want, leaving{listener: got[0].listener, to: got[0].to})
	}
}

// The flow replaces the next hop, not the Routes (RFC 5626 5.3): with a proxy's
// Route left, that proxy is who is behind the NAT.
func TestRFC5626_5_3_FlowWithRoutesLeft(t *testing.T) {
	d := callFromNAT(t, newRig(t, symmetricRegions()), natted)
	own := uriOf(d.route)
	for name, c := range map[string]struct {
		uri, route, line string
		left             []string
	}{
		"a proxy's":            {privateContact, d.route + ", <sip:10.0.0.1;lr>", privateContact, []string{"<sip:10.0.0.1;lr>"}},
		"a proxy's, by a name": {privateContact, d.route + ", <sip:pbx.lan;lr>", privateContact, []string{"<sip:pbx.lan;lr>"}},
		"a strict router's":    {privateContact, d.route + ", <sip:10.0.0.1>", "sip:10.0.0.1", []string{"<" + privateContact + ">"}},
		"of one before us":     {own, "<" + privateContact + ">", privateContact, nil},
		"before and behind us": {own, "<sip:10.0.0.1;lr>, <" + privateContact + ">", privateContact, []string{"<sip:10.0.0.1;lr>"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(d.toPrivate("BYE"), "BYE "+privateContact, "BYE "+c.uri, 1)
			all := sends(t, d.g.from(callee, strings.Replace(text, "Route: "+d.route, "Route: "+c.route, 1)), natted.String()+" BYE")
			require.Equal(t, "BYE "+c.line+" SIP/2.0", startLine(all[0].text))
			require.Equal(t, c.left, header(all[0].text, "Route"))
		})
	}
}

// A Contact that says another public address is meant so.
func TestFlowGivesWayToAPublicContact(t *testing.T) {
	d := callFromNAT(t, newRig(t, symmetricRegions()), natted)
	for contact, want := range map[string]string{
		"203.0.113.9:5070":   "203.0.113.9:5070",
		"203.0.113.9":        "203.0.113.9:5060",
		"192.0.2.10:5060":    natted.String(),
		"192.168.1.9:5060":   natted.String(),
		"100.64.0.9:5060":    natted.String(),
		"[fd00::9]:5060":     natted.String(),
		"pbx.lan":            natted.String(),
		"198.51.100.77:5060": "198.51.100.77:5060",
	} {
		bye := strings.Replace(d.toPrivate("BYE"), privateContact, "sip:caller@"+contact, 1)
		sends(t, d.g.from(callee, bye), want+" BYE")
	}
}

// Over connections a public Contact is where the caller can be connected to, also
// when it is at the address that he came from.
func TestFlowOverConnectionsGivesWayToAPublicContact(t *testing.T) {
	for contact, want := range map[string]string{
		"192.0.2.10:5060;transport=tcp":                         "192.0.2.10:5060",
		"203.0.113.9:5070;transport=tcp":                        "203.0.113.9:5070",
		"10.0.0.7:5060;transport=tcp;maddr=203.0.113.9":         "203.0.113.9:5060",
		"10.0.0.7:5060;transport=tcp":                           natted.String(),
		"pbx.lan;transport=tcp":                                 natted.String(),
		"203.0.113.9:5070;transport=tcp;maddr=10.0.0.7;x=y":     natted.String(),
		"[2001:db8::7]:5060;transport=tcp;maddr=10.0.0.7;lr=on": natted.String(),
	} {
		p := hostOver(catalog.UDP)
		p.Trunks[0].Symmetric = true
		g := newMixedRig(t, p)
		inv := g.over(overTCP, natted, invite(viaOver("TCP")))[1]
		d := dialog{g, strings.Join(header(inv.text, "Record-Route"), ", ")}
		got := g.over(overUDP, callee, strings.Replace(d.toPrivate("BYE"), privateContact, "sip:caller@"+contact, 1))
		require.Len(t, got, 1, contact)
		require.Equal(t, want, got[0].to.String(), contact)
		require.Equal(t, overTCP, got[0].listener, contact)
	}
}

// Whom requests may go to is asked of a flow too.
func TestFlowToAForbiddenTarget(t *testing.T) {
	p := symmetricRegions()
	p.Trunks[0].Sources = append(p.Trunks[0].Sources, netip.MustParsePrefix("127.0.0.0/8"))
	here := addr("127.0.0.9:41000")
	d := callFromNAT(t, newRig(t, p), here)
	sends(t, d.g.from(callee, d.toPrivate("BYE")), "callee 403 BYE")
	sends(t, d.g.from(addr("127.0.0.8:5060"), d.toPrivate("BYE")), "127.0.0.9:41000 BYE")
}

func TestFlowOnALink(t *testing.T) {
	p := symmetricRegions()
	p.Trunks[0].Sources = append(p.Trunks[0].Sources, netip.MustParsePrefix("fe80::/10"))
	g := newRig(t, p, func(o *Options) {
		o.Listeners = append(o.Listeners, Listener{Addr: addr("[fe80::1%eth0]:5060"), Advertise: "[fe80::1]:5060"})
	})
	source := addr("[fe80::10%eth0]:41000")
	inv := g.over(1, source, invite())[1]
	require.NotContains(t, inv.text, "eth0")
	got := g.over(0, callee, dialog{g, strings.Join(header(inv.text, "Record-Route"), ", ")}.toPrivate("BYE"))
	require.Len(t, got, 1)
	require.Equal(t, []any{1, source}, []any{got[0].listener, got[0].to})
}

// The name in a Contact is not asked for when nothing goes there, and nothing waits.
func TestFlowIsNotParked(t *testing.T) {
	var known *names.Names
	g := newRig(t, symmetricRegions(), func(o *Options) {
		known = names.New(names.Options{Now: func() int64 { return o.Now }, Resolved: func() {}})
		o.Names = known
	})
	d := callFromNAT(t, g, natted)
	before := known.Stats()
	bye := strings.Replace(d.toPrivate("BYE"), privateContact, "sip:caller@phone.lan", 1)
	all := sends(t, g.from(callee, bye), natted.String()+" BYE")
	require.Equal(t, "BYE sip:caller@phone.lan SIP/2.0", startLine(all[0].text))
	require.Equal(t, before, known.Stats())
	require.Zero(t, g.r.parking.count.Load())
}
