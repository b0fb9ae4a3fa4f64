package router

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// Design D3: everything about a call is found by one key, and the branch
// carries it. What one node began, a restarted one or another with the same
// secret can go on with.

func longRunning(g *rig) *rig {
	g.now += int64(catalog.DefaultFailover().TimerC) + 1
	return g
}

func withSecrets(secrets ...string) func(*Options) {
	return func(o *Options) {
		o.Secrets = nil
		for _, s := range secrets {
			o.Secrets = append(o.Secrets, []byte(s))
		}
	}
}

func TestDesignD3_RestartAtEveryMoment(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	fresh := func() *rig { return newRig(t, twoRegions()) }

	require.Empty(t, fresh().from(east1, respond(inv, 100)))
	for _, status := range []int{180, 183, 200} {
		want := newRig(t, twoRegions())
		want.call()
		require.Equal(t, want.from(east1, respond(inv, status)), fresh().from(east1, respond(inv, status)), "as if nothing had happened")
	}
	for _, status := range []int{302, 486, 503, 603} {
		all := fresh().from(east1, respond(inv, status))
		require.Equal(t, []string{"east1 ACK", fmt.Sprintf("caller %d INVITE", status)}, summary(all))
		ack := all[0].text
		require.Equal(t, viaBranch(inv.text), viaBranch(ack))
		require.Equal(t, header(respond(inv, status), "To"), header(ack, "To"))
		require.Equal(t, []string{"1 ACK"}, header(ack, "CSeq"))
	}
	// The caller's ACK of a refusal that another process relayed ends with us.
	require.Empty(t, fresh().from(caller, request("ACK", dialled, "To: <sip:x@y>;tag=calleetag")))
	// The INVITE again: a retransmission for the connector.
	sends(t, fresh().from(caller, invite()), "caller 100 INVITE", "east1 INVITE")
	require.Equal(t, inv.text, fresh().from(caller, invite())[1].text)
}

func TestDesignD3_CancelAfterARestart(t *testing.T) {
	g := newRig(t, twoRegions())
	invites := g.attempts(invite(), 2)
	fresh := newRig(t, twoRegions())
	all := sends(t, fresh.from(caller, cancelText()), "east1 CANCEL", "west1 CANCEL")
	for i, m := range all {
		require.Equal(t, viaBranch(invites[i].text), viaBranch(m.text), "with the branch its INVITE had")
		require.Equal(t, strings.Fields(startLine(invites[i].text))[1], strings.Fields(startLine(m.text))[1])
		require.Len(t, header(m.text, "Via"), 2, "its answer finds the caller")
	}
	sends(t, fresh.from(east1, respond(all[0], 481))) // it never had the call
	sends(t, fresh.from(west1, respond(all[1], 200)), "caller 200 CANCEL")
	sends(t, longRunning(fresh).from(caller, cancelText()), "caller 481 CANCEL")
}

func TestDesignD3_ResponsesWithoutACallLongAfterAStart(t *testing.T) {
	inv := newRig(t, twoRegions()).call()
	for _, c := range []struct {
		status int
		want   []string
	}{
		{100, nil},
		{180, nil},
		{200, []string{"caller 200 INVITE"}}, // always
		{299, []string{"caller 299 INVITE"}},
		{302, []string{"east1 ACK"}}, // acknowledged and dropped
		{486, []string{"east1 ACK"}},
		{503, []string{"east1 ACK"}},
		{603, []string{"east1 ACK"}},
	} {
		g := longRunning(newRig(t, twoRegions()))
		sends(t, g.from(east1, respond(inv, c.status)), c.want...)
		require.Zero(t, g.r.Live())
	}
}

func TestDesignD3_NonInviteResponsesWithoutACall(t *testing.T) {
	m := newRig(t, twoRegions()).message()
	fresh := newRig(t, twoRegions())
	sends(t, fresh.from(east1, respond(m, 200)), "caller 200 MESSAGE")
	sends(t, fresh.from(east1, respond(m, 404)), "caller 404 MESSAGE") // and no ACK
	longRunning(fresh)
	for _, status := range []int{200, 404} {
		require.Empty(t, fresh.from(east1, respond(m, status)), "RFC 4320 4.2: nothing late to a non-INVITE")
	}
}

// Two nodes at one address: each message of a call comes to the other one.
func TestDesignD3_TwoNodesAlternate(t *testing.T) {
	nodes := [2]*rig{newRig(t, twoRegions()), newRig(t, twoRegions())}
	n := 0
	from := func(source netip.AddrPort, text string, want ...string) []sent {
		n++
		return sends(t, nodes[n%2].from(source, text), want...)
	}
	t.Run("answered", func(t *testing.T) {
		inv := from(caller, invite(), "caller 100 INVITE", "east1 INVITE")[1]
		from(east1, respond(inv, 180), "caller 180 INVITE")
		from(east1, respond(inv, 183), "caller 183 INVITE")
		ok := from(east1, respond(inv, 200), "caller 200 INVITE")[0]
		d := dialog{nil, header(ok.text, "Record-Route")[0]}
		from(caller, d.byCaller("ACK", "CSeq: 1 ACK"), "callee ACK")
		update := from(callee, d.byCallee("UPDATE"), "caller UPDATE")[0]
		from(caller, respond(update, 200), "callee 200 UPDATE")
		again := from(caller, d.byCaller("INVITE"), "callee INVITE")[0]
		from(callee, respond(again, 200), "caller 200 INVITE")
		from(caller, d.byCaller("ACK"), "callee ACK")
		bye := from(caller, d.byCaller("BYE", "CSeq: 3 BYE"), "callee BYE")[0]
		from(callee, respond(bye, 200), "caller 200 BYE")
	})
	t.Run("retransmitted INVITE", func(t *testing.T) {
		text := invite("Call-ID: 2")
		first := from(caller, text, "caller 100 INVITE", "east1 INVITE")
		require.Equal(t, first, from(caller, text, "caller 100 INVITE", "east1 INVITE"))
	})
	t.Run("re-INVITE refused", func(t *testing.T) {
		d := newDialog(t, newRig(t, twoRegions()))
		inv := from(caller, d.byCaller("INVITE"), "callee INVITE")[0]
		from(callee, respond(inv, 488), "caller 488 INVITE") // and no ACK of ours: it is the caller's own
		ack := from(caller, d.byCaller("ACK", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinINVITE"), "callee ACK")[0]
		require.Equal(t, viaBranch(inv.text), viaBranch(ack.text))
	})
}

func TestRFC3261_16_11_BranchDependsOnWhatARetransmissionRepeats(t *testing.T) {
	branch := func(text string) string {
		g := newRig(t, twoRegions())
		all := g.from(caller, text)
		return viaBranch(all[len(all)-1].text)
	}
	base := branch(invite())
	for name, text := range map[string]string{
		"another Max-Forwards": invite("Max-Forwards: 12"),
		"one more header":      inject(invite(), "X-Again: 1"),
		"another Contact":      invite("Contact: <sip:x@y>"),
		"spelling of the Via":  invite("Via: sip/2.0/udp 192.0.2.10;branch=z9hG4bKcaller1"),
	} {
		require.Equal(t, base, branch(text), name)
	}
	for name, text := range map[string]string{
		"branch":      invite("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller2"),
		"sent-by":     invite("Via: SIP/2.0/UDP 192.0.2.10:5061;branch=z9hG4bKcaller1"),
		"CSeq":        invite("CSeq: 2 INVITE"),
		"Call-ID":     invite("Call-ID: other"),
		"From tag":    invite("From: <sip:x@y>;tag=other"),
		"request-URI": request("INVITE", dialled+";x=1"),
	} {
		require.NotEqual(t, base, branch(text), name)
	}
}

// Many hosts of equal rank: every node draws the same first one for a call.
func TestDesignD3_SameDrawAtEveryNode(t *testing.T) {
	p := twoRegions()
	for i := range 8 {
		h := hostAt(netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(20 + i)}), 5060))
		h.Weight = i + 1
		p.Catalog.Connectors[0].Hosts = append(p.Catalog.Connectors[0].Hosts, h)
	}
	a, b := newRig(t, p), newRig(t, p)
	seen := map[netip.AddrPort]bool{}
	for i := range 100 {
		text := invite(fmt.Sprintf("Call-ID: draw-%d", i))
		all := a.from(caller, text)
		require.Equal(t, all, b.from(caller, text))
		seen[all[1].to] = true
	}
	require.Greater(t, len(seen), 4)
}

func TestDesignD8_SecretRotation(t *testing.T) {
	const older, newer, other = "the-older-secret", "the-newer-secret", "somebody-else's!"
	old := newRig(t, twoRegions(), withSecrets(older))
	inv := old.call()
	d := newDialogOf(t, old, inv)
	rotated := func() *rig { return newRig(t, twoRegions(), withSecrets(newer, older)) }

	sends(t, rotated().from(east1, respond(inv, 180)), "caller 180 INVITE")
	sends(t, rotated().from(east1, respond(inv, 200)), "caller 200 INVITE")
	sends(t, rotated().from(east1, respond(inv, 486)), "east1 ACK", "caller 486 INVITE")
	sends(t, rotated().from(caller, d.byCaller("BYE")), "callee BYE")
	sends(t, rotated().from(callee, d.byCallee("BYE")), "caller BYE")

	// What is made anew is made with the newer one.
	g := rotated()
	all := g.from(caller, invite())
	require.NotEqual(t, viaBranch(inv.text), viaBranch(all[1].text))
	after := newDialogOf(t, g, all[1])
	only := newRig(t, twoRegions(), withSecrets(newer))
	sends(t, only.from(caller, after.byCaller("BYE")), "callee BYE")

	for _, g := range []*rig{only, newRig(t, twoRegions(), withSecrets(other))} {
		sends(t, g.from(caller, d.byCaller("BYE")), "caller 403 BYE")
		for _, status := range []int{180, 200, 486} {
			require.Empty(t, g.from(east1, respond(inv, status)))
		}
		require.Equal(t, 3, g.dropped(dropForged))
	}
}

// proxied is m as the proxy at addr passes it on, with a request-URI if one is given.
func proxied(m sent, at netip.AddrPort, uri, branch string) string {
	line := startLine(m.text)
	if uri != "" {
		f := strings.Fields(line)
		line = f[0] + " " + uri + " " + f[2]
	}
	return line + "\r\nVia: SIP/2.0/UDP " + at.String() + ";branch=" + branch + m.text[strings.Index(m.text, "\r\n"):]
}

// fromConnectorsToo lets the connectors call in, as a proxy among them would.
func fromConnectorsToo(p Policy) Policy {
	p.Trunks[0].Sources = append(p.Trunks[0].Sources, netip.MustParsePrefix("203.0.113.0/24"))
	return p
}

func TestRFC3261_16_3_4_LoopDetected(t *testing.T) {
	p := fromConnectorsToo(twoRegions())
	p.Catalog.Connectors[0].RequestURI = catalog.KeepURI
	for _, method := range []string{"INVITE", "MESSAGE"} {
		g := newRig(t, p)
		all := g.from(caller, request(method, dialled))
		m := all[len(all)-1]
		sends(t, g.from(east1, proxied(m, east1, "", "z9hG4bKp1")), "east1 482 "+method)
		require.Equal(t, 1, g.r.Live())
		// Any number of proxies in between, and another node of ours.
		far := newRig(t, p)
		twice := proxied(sent{text: proxied(m, callee, "", "z9hG4bKp1")}, east1, "", "z9hG4bKp2")
		sends(t, far.from(east1, twice), "east1 482 "+method)
	}
}

// With the request-URI rewritten the first return is a spiral, the second a loop.
func TestRFC5393_4_2_LoopThroughARewriteEnds(t *testing.T) {
	g := newRig(t, fromConnectorsToo(twoRegions()))
	m := g.call()
	all := sends(t, g.from(east1, proxied(m, east1, "", "z9hG4bKp1")), "east1 100 INVITE", "east1 INVITE")
	sends(t, g.from(east1, proxied(all[1], east1, "", "z9hG4bKp2")), "east1 482 INVITE")
}

func TestRFC5393_4_2_SpiralPasses(t *testing.T) {
	p := fromConnectorsToo(twoRegions())
	p.Catalog.Connectors[0].RequestURI = catalog.KeepURI
	p.Catalog.Groups[0].Numbers = append(p.Catalog.Groups[0].Numbers, catalog.Numbers{Kind: catalog.Exact, First: "+15550000002"})
	g := newRig(t, p)
	m := g.call()
	forwarded := "sip:+15550000002@198.51.100.1"
	all := sends(t, g.from(east1, proxied(m, east1, forwarded, "z9hG4bKp1")), "east1 100 INVITE", "east1 INVITE")
	require.Len(t, header(all[1].text, "Via"), 4)
	require.Equal(t, 2, g.r.Live())
	// Each response finds its own pass.
	sends(t, g.from(east1, respond(all[1], 180)), "east1 180 INVITE")
	sends(t, g.from(east1, respond(m, 180)), "caller 180 INVITE")
}

func TestRFC5393_4_2_SpiralWithinADialog(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	hop := addr("203.0.113.7:5070")
	text := strings.Replace(d.byCaller("BYE"), d.route, d.route+", <sip:203.0.113.7:5070;lr>, "+d.route, 1)
	all := d.g.from(caller, text)
	require.Equal(t, hop, all[0].to)
	// The hop takes its own Route out, and it comes to us a second time.
	back := strings.Replace(all[0].text, "<sip:203.0.113.7:5070;lr>, ", "", 1)
	all = sends(t, d.g.from(hop, proxied(sent{text: back}, hop, "", "z9hG4bKp1")), "callee BYE")
	resp := d.g.from(callee, respond(all[0], 200))
	require.Equal(t, hop, resp[0].to)
	// Had it sent it back as we got it, that would be a loop.
	unchanged := strings.Replace(all[0].text, "\r\n", "\r\nRoute: "+d.route+"\r\n", 1)
	sends(t, d.g.from(hop, proxied(sent{text: unchanged}, hop, "", "z9hG4bKp2")), "203.0.113.7:5070 482 BYE")
}

// Nobody can have a stranger's request refused by writing a Via that looks like ours.
func TestRFC3261_16_3_4_ForgedViaIsNoLoop(t *testing.T) {
	p := fromConnectorsToo(twoRegions())
	p.Catalog.Connectors[0].RequestURI = catalog.KeepURI
	g := newRig(t, p)
	m := g.call()
	at := strings.Index(m.text, ";branch=") + len(";branch=z9hG4bK")
	for i := range branchLen - len(cookie) {
		if i == 18 {
			break // up to the host hash, which says nothing about the loop
		}
		forged := []byte(m.text)
		forged[at+i] = flipHex(forged[at+i])
		fresh := newRig(t, p)
		all := fresh.from(east1, proxied(sent{text: string(forged)}, east1, "", fmt.Sprintf("z9hG4bKp%d", i)))
		require.Equal(t, []string{"east1 100 INVITE", "east1 INVITE"}, summary(all), "digit %d", i)
	}
}

// flipHex changes one bit of a hexadecimal digit, or of a letter.
func flipHex(c byte) byte {
	if v, ok := parseHex([]byte{c}); ok {
		return hexDigits[v^1]
	}
	return c ^ 1
}

func TestDesignD3_OrphanIsNeverSentToOurselves(t *testing.T) {
	text := invite("Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKself")
	p := fromConnectorsToo(twoRegions())
	p.Trunks[0].Sources = append(p.Trunks[0].Sources, netip.MustParsePrefix("198.51.100.0/24"))
	inv := newRig(t, p).from(ownAddr, text)[1]
	require.Empty(t, newRig(t, p).from(east1, respond(inv, 200)))
}

func TestDesignD3_OrphanAfterTheCallIsForgotten(t *testing.T) {
	g := newRig(t, twoRegions())
	first, second := g.second()
	sends(t, g.from(west1, respond(second, 486)), "west1 ACK", "caller 486 INVITE")
	g.pass(33 * time.Second)
	require.Zero(t, g.r.Live())
	sends(t, g.from(east1, respond(first, 200)), "caller 200 INVITE")
	sends(t, longRunning(g).from(east1, respond(first, 486)), "east1 ACK")
}
