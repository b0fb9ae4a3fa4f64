package router

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/health"
	"tandem/router/transport"
)

// Design D5: ICMP is a signal, read correctly.

func (g *rig) state(connector string) health.State {
	for _, h := range g.r.Hosts() {
		if h.Connector == connector {
			return h.Health.View(g.now).State
		}
	}
	panic(connector)
}

// wanted says how many hosts asked for a probe.
func (g *rig) wanted() int { return len(g.reg.Wanted(nil)) }

func (g *rig) icmp(u transport.Unreachable) []sent {
	g.r.Unreachable(g.now, u, &g.out)
	return g.taken()
}

func TestDesignD5_UnreachableFailsOverAtOnce(t *testing.T) {
	for _, code := range []transport.Cause{transport.NoPort, transport.NoHost, transport.Prohibited} {
		g := newRig(t, twoRegions())
		inv := g.call()
		sends(t, g.unreachable(inv, code), "west1 INVITE")
		require.Equal(t, health.Doubtful, g.state("east"))
		require.Equal(t, 1, g.wanted(), "a doubt asks for a probe")
		require.Empty(t, g.unreachable(inv, code), "once")
		// One error serves many calls: the next one does not even try.
		all := g.from(caller, invite("Call-ID: next"))
		sends(t, all, "caller 100 INVITE", "west1 INVITE")
	}
}

func TestDesignD5_WhatDoesNotMoveACall(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*transport.Unreachable)
		want   []string
		probes int
	}{
		"TTL exceeded":         {func(u *transport.Unreachable) { u.Code = transport.Other }, nil, 0},
		"frag-needed resends":  {func(u *transport.Unreachable) { u.Code = transport.TooBig }, []string{"east1 INVITE"}, 0},
		"another destination":  {func(u *transport.Unreachable) { u.Dest = west1 }, nil, 0},
		"another port":         {func(u *transport.Unreachable) { u.Dest = addr("203.0.113.1:5061") }, nil, 0},
		"quote without branch": {func(u *transport.Unreachable) { u.Quote = u.Quote[:40] }, nil, 1},
		"quote cut in branch": {func(u *transport.Unreachable) {
			u.Quote = u.Quote[:strings.Index(string(u.Quote), "z9hG4bK")+branchLen-1]
		}, nil, 1},
		"no quote":             {func(u *transport.Unreachable) { u.Quote = nil }, nil, 1},
		"no quote, a stranger": {func(u *transport.Unreachable) { u.Quote, u.Dest = nil, callee }, nil, 0},
		"of our ACK":           {func(u *transport.Unreachable) { u.Quote = []byte(strings.ReplaceAll(string(u.Quote), "INVITE", "ACK")) }, nil, 0},
		"of our CANCEL": {func(u *transport.Unreachable) {
			u.Quote = []byte(strings.ReplaceAll(string(u.Quote), "INVITE", "CANCEL"))
		}, nil, 0},
		"of a response": {func(u *transport.Unreachable) { u.Quote = []byte(respond(sent{text: string(u.Quote)}, 200)) }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			inv := g.call()
			u := transport.Unreachable{Dest: east1, Code: transport.NoPort, Quote: []byte(inv.text)}
			c.change(&u)
			sends(t, g.icmp(u), c.want...)
			require.Equal(t, health.Up, g.state("east"))
			require.Equal(t, c.probes, g.wanted())
			sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
		})
	}
}

// A quote ends where a router cut it: enough is what carries the branch.
func TestDesignD5_ShortestUsefulQuote(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	end := strings.Index(inv.text, "z9hG4bK") + branchLen
	sends(t, g.unreachable(sent{east1, inv.text[:end]}, transport.NoPort), "west1 INVITE")
}

func TestDesignD5_ForgedQuote(t *testing.T) {
	inv := newRig(t, twoRegions()).call()
	at := strings.Index(inv.text, "z9hG4bK") + len(cookie)
	for i := range 2 + 2 + 16 + 8 + 8 { // marker to loop hash
		g := newRig(t, twoRegions())
		g.call()
		forged := []byte(inv.text)
		forged[at+i] = flipHex(forged[at+i])
		require.Empty(t, g.unreachable(sent{east1, string(forged)}, transport.NoPort), "digit %d", i)
		require.Equal(t, health.Up, g.state("east"))
	}
}

// The user part is the caller's: it may hold what looks like a parameter.
func TestDesignD5_BranchInTheRequestURI(t *testing.T) {
	g := newRig(t, twoRegions())
	all := sends(t, g.from(caller, request("INVITE", "sip:+15550000001;branch=z9hG4bK.x@198.51.100.1")), "caller 100 INVITE", "east1 INVITE")
	sends(t, g.unreachable(all[1], transport.NoPort), "west1 INVITE")
}

func TestDesignD5_NotAfterAResponse(t *testing.T) {
	for _, status := range []int{100, 180, 200, 486} {
		g := newRig(t, twoRegions())
		inv := g.call()
		g.from(east1, respond(inv, status))
		require.Empty(t, g.unreachable(inv, transport.NoPort))
		require.Equal(t, health.Up, g.state("east"))
	}
}

func TestDesignD5_LateErrorOfAnAbandonedAttempt(t *testing.T) {
	g := newRig(t, twoRegions())
	first, second := g.second()
	require.Empty(t, g.unreachable(first, transport.NoPort))
	sends(t, g.from(west1, respond(second, 200)), "caller 200 INVITE")
	require.Empty(t, g.unreachable(first, transport.NoPort))
}

func TestDesignD5_LastCandidate(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	second := g.unreachable(inv, transport.NoPort)[0]
	sends(t, g.unreachable(second, transport.NoHost), "caller 503 INVITE")
	require.Equal(t, health.Doubtful, g.state("west"))
}

func TestDesignD5_LocalSendErrorFailsOver(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	all := g.icmp(transport.Unreachable{Dest: east1, Code: transport.SendError, Quote: []byte(inv.text), Local: true})
	sends(t, all, "west1 INVITE")
	require.Equal(t, health.Up, g.state("east"), "it says nothing about the host")
}

func TestDesignD5_NonInvite(t *testing.T) {
	g := newRig(t, twoRegions())
	sends(t, g.unreachable(g.message(), transport.NoPort), "west1 MESSAGE")
}

func TestDesignD5_DialogsAndProbes(t *testing.T) {
	var failed []string
	d := newDialog(t, newRig(t, twoRegions(), func(o *Options) {
		o.ProbeFailed = func(a netip.AddrPort, branch []byte) bool {
			failed = append(failed, name(a)+" "+string(branch))
			return string(branch) == "z9hG4bK.abc"
		}
	}))
	bye := d.g.from(caller, d.byCaller("BYE"))[0]
	require.Empty(t, d.g.unreachable(bye, transport.NoPort), "in-dialog requests never touch health")

	probe := request("OPTIONS", "sip:203.0.113.1", "Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK.abc;rport")
	require.Empty(t, d.g.unreachable(sent{east1, probe}, transport.NoPort))
	require.Empty(t, d.g.unreachable(sent{west1, probe}, transport.TooBig))
	require.Empty(t, d.g.unreachable(sent{west1, probe}, transport.Other))
	require.Equal(t, []string{"east1 z9hG4bK.abc"}, failed, "for a probe it fails the probe")
	require.Zero(t, d.g.wanted())

	// Whoever does not know the branch of a probe can have it repeated, no more.
	for _, quote := range []string{
		"O a\nbranch=z9hG4bK.", "O a\nbranch=z9hG4bK.\r\n", "O a\nbranch=z9hG4bK.ab;", "O a\nbranch=z9hG4bK.abc",
		"O a\nbranch=z9hG4bK.abcd,", "O a\nbranch=z9hG4bK.abc\x00\n", "O a\nbranch=z9hG4bK.ab c",
	} {
		failed = nil
		require.Empty(t, d.g.icmp(transport.Unreachable{Dest: east1, Code: transport.NoPort, Quote: []byte(quote)}))
		require.NotContains(t, failed, "east1 z9hG4bK.abc", "%q", quote)
		require.Equal(t, 1, d.g.wanted(), "%q", quote)
	}
	for _, end := range []string{"\r", "\n", ";", ",", " "} { // cut short behind the branch
		failed = nil
		require.Empty(t, d.g.icmp(transport.Unreachable{Dest: east1, Code: transport.NoPort, Quote: []byte("O a\nbranch=z9hG4bK.abc" + end)}))
		require.Equal(t, []string{"east1 z9hG4bK.abc"}, failed, "%q", end)
	}
	require.Zero(t, d.g.wanted())
}

func TestDesignD5_AfterCancel(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(caller, cancelText())
	sends(t, g.unreachable(inv, transport.NoPort), "caller 487 INVITE")
}

func TestDesignD5_AnyQuote(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		q := []byte(inv.text[:rnd.IntN(len(inv.text))])
		at := strings.Index(inv.text, "z9hG4bK") + len(cookie)
		if at+34 < len(q) {
			q[at+18+rnd.IntN(16)] ^= 0x40 // never the branch itself
		}
		for range rnd.IntN(8) {
			if len(q) > 0 {
				q[rnd.IntN(len(q))] ^= byte(1 << rnd.IntN(8))
			}
		}
		for _, m := range g.icmp(transport.Unreachable{Dest: east1, Code: transport.Cause(rnd.IntN(7)), Quote: q, Local: rnd.IntN(2) == 0}) {
			require.Contains(t, []string{"west1", "east1", "caller"}, name(m.to))
		}
	}
	g.pass(time.Second)
}
