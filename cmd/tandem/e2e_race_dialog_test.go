//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every message comes three times, from both sides, in all kinds of calls.
func TestE2E_RaceEverythingTwiceAgain(t *testing.T) {
	t.Parallel()
	const calls = 160
	l := newLab(t)
	n := l.serve(twoConnectors + "health: {probe: false}\n")
	s := l.stage("127.0.0.2", n.addr)
	first, second := s.connector(l.addr("127.0.0.11")), s.connector(l.addr("127.0.0.12"))
	s.copies = 2
	wants := []int{200, 486, 487, 200} // the last by the second connector
	want := map[*play]int{}
	pace(calls, 100, func(i int) {
		kind := i % len(wants)
		p := s.call("+15550000001", script{hold: 50 * time.Millisecond, invited: func(g *leg) {
			switch {
			case kind == 3 && g.host == first:
				g.respond(500)
				return
			case kind == 1:
				g.respond(486)
				return
			}
			g.respond(180)
			if kind == 2 {
				g.hangUp()
				return
			}
			g.after(20*time.Millisecond, func() { g.respond(200) })
		}})
		want[p] = wants[kind]
	})
	s.wait()
	require.Zero(t, s.judge(func(p *play) (wrong []string) {
		legs := 1
		if len(p.legs) > 0 && p.legs[0].status == 500 {
			legs = 2
		}
		if len(p.legs) != legs || p.legs[legs-1].host == second != (legs == 2) {
			wrong = append(wrong, fmt.Sprintf("%d attempts", len(p.legs)))
		}
		if p.finals[0].status != want[p] {
			wrong = append(wrong, fmt.Sprintf("%d, and not %d", p.finals[0].status, want[p]))
		}
		return wrong
	}))
	require.Equal(t, float64(calls), n.metric(`^tandem_calls_total`))
	require.Equal(t, float64(calls+calls/4), n.metric(`^tandem_attempts_total`), "an attempt for each INVITE that went out, no more")
}

// The node stands still while connectors ring and answer: it finds 180 and 200
// in one batch. Then callers acknowledge and hang up at once. The order stays.
func TestE2E_RaceRingingAnd200InOneBatch(t *testing.T) {
	t.Parallel()
	const calls, rounds = 20, 5
	l := newLab(t)
	n := l.serve(twoConnectors)
	s := l.stage("127.0.0.2", n.addr)
	s.connector(l.addr("127.0.0.11"))
	var plays []*play
	for range rounds {
		invited := make(chan *leg, calls)
		for range calls {
			plays = append(plays, s.call("+15550000001", script{invited: func(g *leg) { invited <- g }}))
		}
		legs := make([]*leg, calls)
		for i := range legs {
			legs[i] = <-invited
		}
		n.signal(syscall.SIGSTOP)
		time.Sleep(5 * time.Millisecond) // until it does stand still
		for _, g := range legs {
			g.mu.Lock()
			g.respond(180)
			g.respond(200)
			g.mu.Unlock()
		}
		n.signal(syscall.SIGCONT)
	}
	s.wait()
	require.Zero(t, s.judge(func(p *play) (wrong []string) {
		if !p.rang {
			wrong = append(wrong, "the caller did not hear it ring")
		}
		if len(p.legs) == 1 && p.legs[0].ended.Before(p.legs[0].acked) {
			wrong = append(wrong, "the BYE came before the ACK")
		}
		return wrong
	}))
	require.Len(t, plays, calls*rounds)
}

// ACKs get lost: the connector sends its final response again, the caller gets
// each copy of a 2xx, and acknowledges again. Of a refusal the proxy takes care.
func TestE2E_RaceACKLost(t *testing.T) {
	t.Parallel()
	const calls = 60
	l := newLab(t)
	n := l.serve(twoConnectors + "health: {probe: false}\n")
	s := l.stage("127.0.0.2", n.addr)
	s.connector(l.addr("127.0.0.11"))
	pace(calls, 100, func(i int) {
		s.call("+15550000001", script{lost: 1 + i%2, hold: 2200 * time.Millisecond, invited: func(g *leg) {
			g.respond(180)
			g.respond([]int{200, 486}[i/2%2])
		}})
	})
	s.wait()
	time.Sleep(1800 * time.Millisecond) // the refusal again, twice, until its ACK
	require.Zero(t, s.judge(func(p *play) (wrong []string) {
		g := p.legs[0]
		waited := g.acked.Sub(g.answered)
		switch {
		case g.status == 486 && waited > 400*time.Millisecond:
			wrong = append(wrong, "the ACK of a refusal waited for the caller's")
		case g.status == 200 && waited < 400*time.Millisecond:
			wrong = append(wrong, "somebody made an ACK of the 2xx")
		case p.lost >= 0:
			wrong = append(wrong, fmt.Sprintf("the %d did not come again, %d ACKs are left", g.status, p.lost+1))
		}
		return wrong
	}))
}

// established sets a call up between two peers.
func established(l *lab) (n *node, d *dialog, callee *peer, invite message) {
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n = l.serve(twoConnectors)
	d = caller.call(n.addr, "+15550000001").start()
	invite = first.pickUp()
	caller.expect("180 INVITE")
	d.established()
	first.expect("ACK")
	return n, d, first, invite
}

// Both hang up: each BYE is answered by the other side.
func TestE2E_RaceByeCrossesBye(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n, d, callee, invite := established(l)
	d.cseq++
	d.send(d.next(), d.request("BYE", d.branch+"bye"))
	callee.send(n.addr, d.fromCallee(callee, invite, "BYE", 1))
	callee.answer(callee.expect("BYE"), 200, "OK")
	d.answer(d.expect("BYE"), 200, "OK")
	d.expect("200 BYE")
	callee.expect("200 BYE")
	d.quiet(settle)
	callee.quiet(0)
}

// Both send a re-INVITE: both are told 491 (RFC 3261 14.1), acknowledge it, and
// the one that tries again gets through.
func TestE2E_RaceReInviteGlare(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n, d, callee, invite := established(l)
	d.cseq++
	d.send(d.next(), d.request("INVITE", d.branch+"re", d.contact(), "\r\n"+sdp))
	theirs := d.fromCallee(callee, invite, "INVITE", 1)
	callee.send(n.addr, theirs)
	atCallee, atCaller := callee.expect("INVITE"), d.expect("INVITE")
	callee.answer(atCallee, 491, "Request Pending")
	d.answer(atCaller, 491, "Request Pending")
	d.expect("491 INVITE")
	callee.expect("491 INVITE")

	// Each ACK has its INVITE's branch, and goes the INVITE's way.
	d.send(d.next(), d.request("ACK", d.branch+"re"))
	callee.send(n.addr, strings.ReplaceAll(strings.Replace(theirs, "INVITE ", "ACK ", 1), "1 INVITE", "1 ACK"))
	require.Equal(t, atCallee.branch(), callee.expect("ACK").branch())
	require.Equal(t, atCaller.branch(), d.expect("ACK").branch())

	d.cseq++
	d.send(d.next(), d.request("INVITE", d.branch+"again", d.contact(), "\r\n"+sdp))
	again := callee.expect("INVITE")
	require.NotEqual(t, atCallee.branch(), again.branch())
	callee.answer(again, 200, "OK", callee.contact(), "\r\n"+sdp)
	d.expect("200 INVITE")
	d.send(d.next(), d.request("ACK", d.branch+"againack"))
	callee.expect("ACK")
	d.bye(callee)
	require.Zero(t, n.metric(`^tandem_rejected_total`))
}

// PRACK, UPDATE and INFO pass before the call is answered, both ways (RFC 3262,
// 3311, 6086).
func TestE2E_RaceRequestsInEarlyDialogs(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(onlyCaller + twoConnectors)
	d := caller.call(n.addr, "+15550000001", "Supported: 100rel").start()
	invite := first.expect("INVITE")
	require.Equal(t, "100rel", invite.header("Supported"))
	first.answer(invite, 183, "Session Progress", first.contact(), "Require: 100rel", "RSeq: 4711", "\r\n"+sdp)
	progress := caller.expect("183 INVITE")
	require.Equal(t, "4711", progress.header("RSeq"))
	require.NotEmpty(t, progress.list("Record-Route"), "12.1.1: the early dialog has its route set")

	early := *d // as its caller sees it before the answer
	early.to, early.target = progress.header("To"), "sip:"+first.addr.String()
	for _, rr := range progress.list("Record-Route") {
		early.routes = append([]string{rr}, early.routes...)
	}
	for i, method := range []string{"PRACK", "UPDATE", "INFO"} {
		early.cseq++
		extra := ""
		if method == "PRACK" {
			extra = "RAck: 4711 1 INVITE"
		}
		caller.send(early.next(), early.request(method, fmt.Sprintf("%searly%d", d.branch, i), extra))
		m := first.expect(method)
		require.Equal(t, extra, strings.TrimSuffix("RAck: "+m.header("RAck"), "RAck: "))
		require.Empty(t, m.headers("Route"))
		first.answer(m, 200, "OK")
		caller.expect("200 " + method)
	}
	for i, method := range []string{"UPDATE", "INFO"} {
		first.send(n.addr, early.fromCallee(first, invite, method, 1+i))
		m := caller.expect(method)
		caller.answer(m, 200, "OK")
		first.expect("200 " + method)
	}
	// A PRACK crosses the answer.
	early.cseq++
	caller.send(early.next(), early.request("PRACK", d.branch+"cross", "RAck: 4712 1 INVITE"))
	first.answer(invite, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	first.answer(first.expect("PRACK"), 200, "OK")
	d.established()
	caller.expect("200 PRACK")
	first.expect("ACK")
	d.cseq = early.cseq
	d.bye(first)
}

// The first NOTIFY overtakes the 2xx of its SUBSCRIBE (RFC 6665 4.1.2.4). The
// node has not seen that dialog yet, and lets it pass.
func TestE2E_RaceNotifyBeforeThe2xxOfSubscribe(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(onlyCaller + twoConnectors)
	d := caller.call(n.addr, "+15550000001")
	caller.send(n.addr, d.request("SUBSCRIBE", d.branch, caller.contact(), "Event: presence", "Expires: 60"))
	subscribe := first.expect("SUBSCRIBE")
	require.NotEmpty(t, subscribe.list("Record-Route"))

	ok := message{raw: subscribe.reply(200, "OK", first.contact(), "Expires: 60")}
	d.to = ok.header("To")
	first.send(n.addr, d.fromCallee(first, subscribe, "NOTIFY", 1))
	notify := caller.expect("NOTIFY")
	require.Equal(t, tag(d.to), tag(notify.header("From")))
	require.Empty(t, notify.headers("Route"))
	caller.answer(notify, 200, "OK")
	first.expect("200 NOTIFY")
	first.send(subscribe.from, ok.raw)
	caller.expect("200 SUBSCRIBE")

	// And the same with both in one batch, the NOTIFY first.
	other := caller.call(n.addr, "+15550000001")
	caller.send(n.addr, other.request("SUBSCRIBE", other.branch, caller.contact(), "Event: presence", "Expires: 60"))
	subscribe = first.expect("SUBSCRIBE")
	ok = message{raw: subscribe.reply(200, "OK", first.contact(), "Expires: 60")}
	other.to = ok.header("To")
	n.signal(syscall.SIGSTOP)
	first.send(n.addr, other.fromCallee(first, subscribe, "NOTIFY", 1))
	first.send(subscribe.from, ok.raw)
	n.signal(syscall.SIGCONT)
	caller.expect("NOTIFY")
	caller.expect("200 SUBSCRIBE")
}
