package router

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/transport"
)

func viaBranch(text string) string {
	_, b, _ := strings.Cut(header(text, "Via")[0], "branch=")
	b, _, _ = strings.Cut(b, ";")
	return b
}

// attempts fails one candidate after the other and returns the INVITEs.
func (g *rig) attempts(text string, n int) (invites []sent) {
	all := g.from(caller, text)
	for len(invites) < n {
		last := all[len(all)-1]
		require.True(g.t, strings.HasPrefix(last.text, "INVITE "), startLine(last.text))
		invites = append(invites, last)
		all = g.from(last.to, respond(last, 503))
	}
	return invites
}

func TestRFC3261_16_6_1_EverythingElseIsCopied(t *testing.T) {
	body := "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\n\r\n\x00\xff--boundary--\r\n"
	lines := []string{
		"v: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKolder, SIP / 2.0 / TCP 192.0.2.78 ; branch=z9hG4bKoldest",
		"Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>",
		"record-route : <sip:p3.example.com;lr>",
		"P-Asserted-Identity: \"A, B\" <sip:+15551230000@x>",
		"P-Asserted-Identity: <tel:+15551230000>",
		"Identity: eyJhbGciOiJFUzI1NiJ9..x;info=<https://cert>;alg=ES256;ppt=shaken",
		"Diversion: <sip:+15557654321@x>;reason=unconditional",
		"History-Info: <sip:a@b>;index=1, <sip:c@d>;index=1.1",
		"Path: <sip:edge;lr>",
		"Session-Expires: 1800;refresher=uac",
		"Min-SE: 90",
		"Supported: 100rel, timer, replaces",
		"Require: 100rel",
		"X-Twice: 1",
		"X-Other:   spaces kept   ",
		"x-twice: 2",
		"Subject: folded",
		" and\tcontinued",
		"Content-Type: multipart/mixed;boundary=\"boundary\"",
	}
	text := invite()
	for _, l := range lines {
		text = inject(text, l)
	}
	text = strings.Replace(text, "Content-Length: 0\r\n\r\n", "l:"+strconv.Itoa(len(body))+"\r\n\r\n"+body, 1)
	g := newRig(t, twoRegions())
	for _, inv := range g.attempts(text, 2) {
		// What comes before the received Via is ours; of the rest only the request
		// line and Max-Forwards have changed.
		_, rest, _ := strings.Cut(inv.text, "Max-Breadth: 60\r\n")
		_, received, _ := strings.Cut(text, "\r\n")
		require.Equal(t, strings.Replace(received, "Max-Forwards: 70", "Max-Forwards: 69", 1), rest)
		require.True(t, strings.HasSuffix(inv.text, "\r\n\r\n"+body))
	}
}

func TestRFC3261_16_6_2_RequestURI(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*catalog.Connector)
		uri    string
		want   string
	}{
		"host":              {nil, dialled, "sip:+15550000001@203.0.113.1:5060"},
		"URI parameters go": {nil, "sip:+15550000001@x:99;transport=tcp;foo?Subject=x", "sip:+15550000001@203.0.113.1:5060"},
		"user parameters":   {nil, "sip:+1-555-0000001;npdi;rn=+1@x", "sip:+1-555-0000001;npdi;rn=+1@203.0.113.1:5060"},
		"password":          {nil, "sip:+15550000001:secret@x", "sip:+15550000001:secret@203.0.113.1:5060"},
		"tel":               {nil, "tel:+1-555-0000001;phone-context=x", "sip:+1-555-0000001;phone-context=x@203.0.113.1:5060;user=phone"},
		"host's parameters": {func(c *catalog.Connector) { c.Hosts[0].HostPort, c.Hosts[0].Params = "sbc.example.com", ";x=1" }, dialled, "sip:+15550000001@sbc.example.com;x=1"},
		"keep":              {func(c *catalog.Connector) { c.RequestURI = catalog.KeepURI }, "sip:+15550000001@x:99;foo;method=INVITE;y?a=b", "sip:+15550000001@x:99;foo;y"},
		"keep tel":          {func(c *catalog.Connector) { c.RequestURI = catalog.KeepURI }, "tel:+15550000001", "tel:+15550000001"},
		"e164":              {func(c *catalog.Connector) { c.Number = catalog.E164 }, "sip:%2B1-5550000001;x@y", "sip:15550000001;x@203.0.113.1:5060"},
		"+e164":             {func(c *catalog.Connector) { c.Number = catalog.PlusE164 }, "sip:%2B1-5550000001@y", "sip:+15550000001@203.0.113.1:5060"},
		"strip, prepend":    {func(c *catalog.Connector) { c.Strip, c.Prepend = "+1", "9" }, dialled, "sip:95550000001@203.0.113.1:5060"},
		"prepend spares +":  {func(c *catalog.Connector) { c.Prepend = "9" }, dialled, "sip:+15550000001@203.0.113.1:5060"},
		"keep, strip":       {func(c *catalog.Connector) { c.RequestURI, c.Strip = catalog.KeepURI, "+" }, "sip:+15550000001;x@y;z", "sip:15550000001;x@y;z"},
	} {
		t.Run(name, func(t *testing.T) {
			p := twoRegions()
			if c.change != nil {
				c.change(&p.Catalog.Connectors[0])
			}
			g := newRig(t, p)
			all := sends(t, g.from(caller, request("INVITE", c.uri)), "caller 100 INVITE", "east1 INVITE")
			require.Equal(t, "INVITE "+c.want+" SIP/2.0", startLine(all[1].text))
			// CANCEL and the ACK of a refusal have the same (9.1, 17.1.1.3).
			g.from(east1, respond(all[1], 180))
			cancel := sends(t, g.from(caller, request("CANCEL", c.uri)), "caller 200 CANCEL", "east1 CANCEL")
			require.Equal(t, "CANCEL "+c.want+" SIP/2.0", startLine(cancel[1].text))
			ack := sends(t, g.from(east1, respond(all[1], 487)), "east1 ACK", "caller 487 INVITE")
			require.Equal(t, "ACK "+c.want+" SIP/2.0", startLine(ack[0].text))
		})
	}
}

func TestRFC3261_16_6_3_MaxForwards(t *testing.T) {
	for received, want := range map[string]string{"Max-Forwards: 70": "69", "Max-Forwards: 1": "0", "Max-Forwards: 255": "254", "Max-Forwards:": "70", "Max-Forwards:  08": "7"} {
		g := newRig(t, twoRegions())
		for _, inv := range g.attempts(invite(received), 2) {
			require.Equal(t, []string{want}, header(inv.text, "Max-Forwards"), "of every attempt: one less than received")
		}
	}
}

func TestRFC3261_16_6_4_RecordRouteFirstWithLr(t *testing.T) {
	g := newRig(t, twoRegions())
	all := g.from(caller, inject(invite(), "Record-Route: <sip:p1.example.com;lr>"))
	rr := header(all[1].text, "Record-Route")
	require.Len(t, rr, 2)
	require.Regexp(t, `^<sip:td[0-9a-f]{36}@198\.51\.100\.1:5060;lr>$`, rr[0])
	require.Equal(t, "<sip:p1.example.com;lr>", rr[1])
}

func TestRFC3261_16_6_8_ViaAndBranchOfEveryAttempt(t *testing.T) {
	g := newRig(t, twoRegions())
	invites := g.attempts(invite(), 2)
	require.NotEqual(t, viaBranch(invites[0].text), viaBranch(invites[1].text))
	for _, inv := range invites {
		vias := header(inv.text, "Via")
		require.Len(t, vias, 2)
		require.Regexp(t, `^SIP/2\.0/UDP 198\.51\.100\.1:5060;branch=z9hG4bKc[0-9a-f]{47}$`, vias[0])
		require.Equal(t, "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller1", vias[1])
		for _, name := range []string{"Call-ID", "CSeq", "From", "To"} {
			require.Equal(t, header(invite(), name), header(inv.text, name))
		}
	}
}

func TestRFC3261_16_6_8_Advertise(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) {
		o.Listeners = []Listener{{Addr: addr("0.0.0.0:5070"), Advertise: "proxy.example.com:5080"}}
	})
	inv := g.call()
	require.Contains(t, header(inv.text, "Via")[0], "SIP/2.0/UDP proxy.example.com:5080;branch=")
	require.Contains(t, header(inv.text, "Record-Route")[0], "@proxy.example.com:5080;lr>")
	d := newDialogOf(t, g, inv)
	require.Len(t, sends(t, g.from(caller, d.byCaller("BYE")), "callee BYE"), 1)
}

// newDialogOf answers inv.
func newDialogOf(t testing.TB, g *rig, inv sent) dialog {
	all := sends(t, g.from(inv.to, respond(inv, 200)), "caller 200 INVITE")
	return dialog{g, strings.Join(header(all[0].text, "Record-Route"), ", ")}
}

func TestRFC3261_17_1_1_2_TimerA(t *testing.T) {
	p := twoRegions()
	p.Failover.FirstResponse, p.Failover.Progress = 20*time.Second, time.Minute
	g := newRig(t, p)
	inv := g.call()
	var at []time.Duration
	for i := 1; i <= 1700; i++ {
		for _, m := range g.pass(10 * time.Millisecond) {
			require.Equal(t, inv, m, "byte for byte, to the same place")
			at = append(at, time.Duration(i)*10*time.Millisecond)
		}
	}
	ms := time.Millisecond
	require.Equal(t, []time.Duration{500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 15500 * ms}, at)
	g.from(east1, respond(inv, 100))
	require.Empty(t, g.pass(15*time.Second), "a provisional ends retransmission")
}

func TestRFC3261_16_6_11_TimerC(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	require.Empty(t, g.pass(184900*time.Millisecond), "Timer C is longer than 3 minutes")
	sends(t, g.pass(200*time.Millisecond), "east1 CANCEL")
	sends(t, g.from(east1, respond(inv, 487)), "east1 ACK", "caller 408 INVITE")
	require.NotContains(t, summary(g.pass(time.Minute)), "west1 INVITE", "no failover")
}

func TestRFC3261_16_8_TimerCWithoutAFinal(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	all := summary(g.pass(185100 * time.Millisecond))
	require.Equal(t, []string{"east1 CANCEL"}, all)
	all = summary(g.pass(31500 * time.Millisecond))
	require.NotContains(t, all, "caller 408 INVITE")
	require.Contains(t, all, "east1 CANCEL", "retransmitted: nobody answered it")
	require.Contains(t, summary(g.pass(time.Second)), "caller 408 INVITE", "64·T1 after our CANCEL")
}

func TestRFC3581_4_ReceivedAndRport(t *testing.T) {
	odd := addr("192.0.2.20:41000")
	for name, c := range map[string]struct {
		source  netip.AddrPort
		via     string
		want    string
		replyTo string
	}{
		"same address":              {caller, "192.0.2.10:5060", "192.0.2.10:5060", "192.0.2.10:5060"},
		"same address, no port":     {caller, "192.0.2.10", "192.0.2.10", "192.0.2.10:5060"},
		"another port":              {addr("192.0.2.10:41000"), "192.0.2.10:5062", "192.0.2.10:5062", "192.0.2.10:5062"},
		"another address":           {odd, "192.0.2.10:5062", "192.0.2.10:5062;received=192.0.2.20", "192.0.2.20:5062"},
		"another, default port":     {odd, "192.0.2.10", "192.0.2.10;received=192.0.2.20", "192.0.2.20:5060"},
		"a name":                    {odd, "pbx.example.com:5062", "pbx.example.com:5062;received=192.0.2.20", "192.0.2.20:5062"},
		"rport":                     {odd, "192.0.2.10:5062;rport", "192.0.2.10:5062;rport=41000;received=192.0.2.20", "192.0.2.20:41000"},
		"rport, same address":       {caller, "192.0.2.10:5062;rport", "192.0.2.10:5062;rport=5060;received=192.0.2.10", "192.0.2.10:5060"},
		"lies about both":           {odd, "192.0.2.10:5062;received=203.0.113.66;rport=9", "192.0.2.10:5062;received=192.0.2.20;rport=41000", "192.0.2.20:41000"},
		"lies about received":       {odd, "192.0.2.10:5062;received=203.0.113.66", "192.0.2.10:5062;received=192.0.2.20", "192.0.2.20:5062"},
		"lies, sent-by is the same": {caller, "192.0.2.10;received=203.0.113.66", "192.0.2.10;received=192.0.2.10", "192.0.2.10:5060"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			all := g.from(c.source, invite("Via: SIP/2.0/UDP "+c.via+";branch=z9hG4bKx"))
			require.Len(t, all, 2)
			to := addr(c.replyTo)
			require.Equal(t, to, all[0].to)
			inv := all[1]
			// The branch stands where it stood; the order of the others is not fixed.
			want := strings.Split(c.want+";branch=z9hG4bKx", ";")
			got := strings.Split(strings.TrimPrefix(header(inv.text, "Via")[1], "SIP/2.0/UDP "), ";")
			require.ElementsMatch(t, want, got)
			require.Equal(t, want[0], got[0])
			got = strings.Split(strings.TrimPrefix(header(all[0].text, "Via")[0], "SIP/2.0/UDP "), ";")
			require.ElementsMatch(t, want, got)
			// Relayed and own responses go the same way.
			all = g.from(east1, respond(inv, 180))
			require.Len(t, all, 1)
			require.Equal(t, to, all[0].to)
			all = g.from(c.source, request("CANCEL", dialled, "Via: SIP/2.0/UDP "+c.via+";branch=z9hG4bKx"))
			require.Equal(t, to, all[0].to)
			all = g.from(c.source, request("INVITE", "sip:+19@x", "Call-ID: 2", "Via: SIP/2.0/UDP "+c.via+";branch=z9hG4bKy"))
			require.Equal(t, to, all[0].to, "so do stateless ones")
		})
	}
}

func TestSymmetricTrunk(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].Symmetric = true
	nat := addr("192.0.2.10:41000")
	g := newRig(t, p)
	all := g.from(nat, invite())
	require.Equal(t, []string{"192.0.2.10:41000 100 INVITE", "east1 INVITE"}, summary(all))
	d := newSymmetricDialog(t, g, all[1], nat)
	bye := sends(t, g.from(nat, d.byCaller("BYE")), "callee BYE")
	sends(t, g.from(callee, respond(bye[0], 200)), "192.0.2.10:41000 200 BYE")
	sends(t, g.from(nat, request("INVITE", "sip:+19@x", "Call-ID: 2")), "192.0.2.10:41000 404 INVITE")
}

func newSymmetricDialog(t testing.TB, g *rig, inv sent, nat netip.AddrPort) dialog {
	all := sends(t, g.from(east1, respond(inv, 200)), nat.String()+" 200 INVITE")
	return dialog{g, strings.Join(header(all[0].text, "Record-Route"), ", ")}
}

func packets(listener int, source netip.AddrPort, texts ...string) (in []transport.Packet) {
	for _, text := range texts {
		in = append(in, transport.Packet{Data: []byte(text), Source: source, Listener: listener})
	}
	return in
}

func TestRFC3581_IPv6Caller(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].Sources = append(p.Trunks[0].Sources, netip.MustParsePrefix("2001:db8::/32"))
	g := newRig(t, p, func(o *Options) { o.Listeners = append(o.Listeners, Listener{Addr: addr("[2001:db8::1]:5060")}) })
	six := addr("[2001:db8::10]:5060")
	for _, via := range []string{"[2001:db8::10]", "[2001:DB8:0::10]:5060", "[2001:db8::99]", "[2001:db8::10];rport"} {
		text := invite("Via: SIP/2.0/UDP "+via+";branch=z9hG4bK"+via[:12], "Call-ID: "+via)
		g.r.Packets(g.now, packets(1, six, text), &g.out)
		all := g.taken()
		require.Len(t, all, 2)
		require.Equal(t, six, all[0].to)
		require.Equal(t, six, g.from(east1, respond(all[1], 200))[0].to, via)
	}
}

func TestRFC3261_18_3_ExtraBytesAreCut(t *testing.T) {
	g := newRig(t, twoRegions())
	all := sends(t, g.from(caller, invite()+"padding"), "caller 100 INVITE", "east1 INVITE")
	require.True(t, strings.HasSuffix(all[1].text, "\r\n\r\n"))
	all = sends(t, g.from(east1, respond(all[1], 200)+"padding"), "caller 200 INVITE")
	require.True(t, strings.HasSuffix(all[0].text, "\r\n\r\n"))
}

func TestRFC3261_18_1_1_LargestDatagram(t *testing.T) {
	text := inject(invite(), "X-Large: "+strings.Repeat("x", 64000))
	g := newRig(t, twoRegions())
	all := sends(t, g.from(caller, text), "caller 100 INVITE", "east1 INVITE")
	require.Contains(t, all[1].text, strings.Repeat("x", 64000))
	require.Equal(t, []string{"east1 INVITE"}, summary(g.pass(510*time.Millisecond)))
}

// Replies leave from the address that the request came to, whatever else could
// reach the caller.
func TestRFC3581_4_RepliesLeaveFromWhereTheRequestCame(t *testing.T) {
	two := func(o *Options) {
		o.Listeners = append([]Listener{{Addr: addr("198.51.100.2:5060")}}, o.Listeners...)
	}
	g := newRig(t, twoRegions(), two)
	from := func(g *rig, listener int, source netip.AddrPort, text string) (leftFrom []int, all []sent) {
		g.r.Packets(g.now, packets(listener, source, text), &g.out)
		for i := range g.out.Len() {
			l, _, _ := g.out.At(i)
			leftFrom = append(leftFrom, l)
		}
		return leftFrom, g.taken()
	}
	left, all := from(g, 1, caller, invite())
	require.Equal(t, []int{1, 1}, left)
	inv := all[1]
	require.Contains(t, header(inv.text, "Via")[0], "198.51.100.1:5060")
	for _, status := range []int{180, 200} {
		left, _ = from(g, 0, east1, respond(inv, status)) // it answers to the other one
		require.Equal(t, []int{1}, left)
		left, _ = from(newRig(t, twoRegions(), two), 0, east1, respond(inv, status)) // and without the call
		require.Equal(t, []int{1}, left)
	}
	left, _ = from(g, 1, caller, request("INVITE", "sip:+19@x", "Call-ID: 2"))
	require.Equal(t, []int{1}, left)
}

// Globally unique, and with the magic cookie: for every call, attempt and CSeq.
func TestRFC3261_8_1_1_7_BranchesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	g := newRig(t, bestResponse())
	for i := range 500 {
		id := strconv.Itoa(i)
		for _, text := range []string{invite("Call-ID: " + id), invite("Call-ID: same", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK"+id)} {
			for _, inv := range g.attempts(text, 2) {
				b := viaBranch(inv.text)
				require.True(t, strings.HasPrefix(b, cookie))
				require.False(t, seen[b])
				seen[b] = true
			}
		}
	}
}

func TestRFC3261_16_4_OwnMaddrOfACall(t *testing.T) {
	p := twoRegions()
	p.Catalog.Connectors[0].RequestURI = catalog.KeepURI
	g := newRig(t, p)
	all := g.from(caller, request("INVITE", dialled+";x=1;maddr=198.51.100.1;y"))
	require.Equal(t, "INVITE "+dialled+";x=1;y SIP/2.0", startLine(all[1].text))
}

func TestRFC3261_16_6_2_ParametersNotAllowedInARequestURI(t *testing.T) {
	p := twoRegions()
	p.Catalog.Connectors[0].RequestURI = catalog.KeepURI
	g := newRig(t, p)
	all := g.from(caller, request("INVITE", dialled+";x=1;method=INVITE?Subject=x"))
	require.Equal(t, "INVITE "+dialled+";x=1 SIP/2.0", startLine(all[1].text))
}
