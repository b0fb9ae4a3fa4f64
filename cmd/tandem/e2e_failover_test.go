//go:build linux

package main_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quick is for tests that wait for silence or for the health of a host.
const quick = `
failover: {first_response: 500ms}
health: {interval: 1s, fast_interval: 100ms, timeout: 100ms, down_after: 2, up_after: 2, doubt_hold: 1s}
`

var reasons = map[int]string{
	302: "Moved Temporarily", 404: "Not Found", 408: "Request Timeout", 486: "Busy Here", 487: "Request Terminated",
	500: "Server Internal Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 603: "Decline",
}

// RFC 3261 16.6 and 16.7: a failover code moves the call on, and the second
// attempt is rendered from the INVITE as it came.
func TestE2E_FailoverRendersTheOriginal(t *testing.T) {
	t.Parallel()
	for _, code := range []int{503, 500, 408, 502, 504} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
			n := l.serve(twoConnectors)
			d := caller.call(n.addr, "+15550000001")
			d.invite = strings.Replace(d.invite, "Max-Forwards: 70", "Max-Forwards: 23", 1)
			d.start()

			one := first.expect("INVITE")
			first.answer(one, 100, "Trying")
			first.answer(one, code, reasons[code])
			two := second.pickUp()
			ack := first.expect("ACK")
			require.Equal(t, one.branch(), ack.branch(), "the ACK of a failure has the INVITE's branch (17.1.1.3)")
			require.Equal(t, one.uri(), ack.uri())
			require.Equal(t, "1 ACK", ack.header("CSeq"))
			require.NotEmpty(t, tag(ack.header("To")))

			require.NotEqual(t, one.branch(), two.branch(), "a new branch for each attempt")
			asSent := message{raw: d.invite}
			for host, m := range map[string]message{l.place("127.0.0.11"): one, l.place("127.0.0.12"): two} {
				wantForwarded(t, asSent, m, n, host)
			}
			caller.expect("180 INVITE")
			d.established()
			second.expect("ACK")
			d.bye(second)
			first.quiet(settle)
		})
	}
}

// wantForwarded holds, line by line, that m is the INVITE sent with nothing
// changed but request-URI, our Via, Record-Route, Max-Forwards and what RFC
// 3581 puts into the caller's Via.
func wantForwarded(t *testing.T, sent, m message, n *node, host string) {
	t.Helper()
	require.Equal(t, "INVITE sip:+15550000001@"+host+":5060 SIP/2.0", m.start())
	vias := m.list("Via")
	require.Len(t, vias, 2, "one Via of ours on top of the caller's")
	require.True(t, strings.HasPrefix(vias[0], "SIP/2.0/UDP "+n.addr.String()+";"), vias[0])
	require.True(t, strings.HasPrefix(m.branch(), "z9hG4bK"), m.branch())
	require.Equal(t, sent.branch(), param(vias[1], "branch"))
	require.Len(t, m.list("Record-Route"), 1)
	require.Contains(t, m.header("Record-Route"), ";lr")
	var hops int
	_, err := fmt.Sscan(sent.header("Max-Forwards"), &hops)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(hops-1), m.header("Max-Forwards"), "one less than received")

	require.Equal(t, "60", m.header("Max-Breadth"), "RFC 5393 5.3.3")

	rest := func(m message) (lines []string) {
		for _, line := range strings.Split(m.head(), "\r\n")[1:] {
			name, _, _ := strings.Cut(line, ":")
			switch name {
			case "Via", "Record-Route", "Max-Forwards", "Max-Breadth":
			default:
				lines = append(lines, line)
			}
		}
		return lines
	}
	require.Equal(t, rest(sent), rest(m), "all other lines, in order and byte by byte")
	require.Equal(t, sent.body(), m.body())
}

// Answers that say something about the callee end the call; nobody else rings.
func TestE2E_FinalAnswersAreRelayed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{486, 603, 404, 302} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
			n := l.serve(twoConnectors)
			d := caller.call(n.addr, "+15550000001").start()
			m := first.expect("INVITE")
			first.answer(m, code, reasons[code], "Contact: <sip:elsewhere@192.0.2.7>", "X-Detail: as it is")
			final := caller.expect(fmt.Sprintf("%d INVITE", code))
			require.Equal(t, "as it is", final.header("X-Detail"))
			require.Len(t, final.list("Via"), 1)
			require.Equal(t, tag(message{raw: m.reply(code, "")}.header("To")), tag(final.header("To")), "the connector's To tag")
			first.expect("ACK")
			caller.expectAgain(final) // Timer G until the ACK
			d.ackFailure(final)
			time.Sleep(20 * time.Millisecond) // what is on its way arrives
			caller.drain()
			caller.quiet(700 * time.Millisecond) // past Timer G's next
			first.quiet(0)
			second.quiet(0)
		})
	}
}

func TestE2E_AllFail503(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	first.answer(first.expect("INVITE"), 500, reasons[500])
	second.answer(second.expect("INVITE"), 504, reasons[504])
	final := d.fails(503)
	require.Empty(t, final.headers("Retry-After"), "carriers reroute on a 503 without it")
	first.expect("ACK")
	second.expect("ACK")
	line := n.logged(regexp.QuoteMeta(d.id))
	for _, part := range []string{"first", "second", "500", "504"} {
		require.Contains(t, fmt.Sprint(line), part, "the log line of a failed call names every attempt")
	}
}

// RFC 3261 16.7 step 6 and 16.7 on 503.
func TestE2E_ExhaustedBest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second int
		want          []string // either is right where RFC 3261 leaves the choice
	}{
		"lowest class":               {503, 408, []string{"408 INVITE"}},
		"lowest class, though first": {408, 503, []string{"408 INVITE"}},
		"a lone 503 becomes 500":     {503, 503, []string{"500 INVITE"}},
		"one class":                  {503, 504, []string{"504 INVITE", "500 INVITE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
			n := l.serve(twoConnectors + "failover: {exhausted_code: best}\n")
			d := caller.call(n.addr, "+15550000001").start()
			first.answer(first.expect("INVITE"), c.first, reasons[c.first])
			second.answer(second.expect("INVITE"), c.second, reasons[c.second])
			d.ackFailure(caller.expectAny(c.want...))
		})
	}
}

func TestE2E_RingThen503IsRelayed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	m := first.expect("INVITE")
	first.answer(m, 180, "Ringing", first.contact())
	caller.expect("180 INVITE")
	first.answer(m, 503, reasons[503])
	final := caller.expectAny("503 INVITE", "500 INVITE")
	d.ackFailure(final)
	first.expect("ACK")
	second.quiet(settle)
}

func TestE2E_RingThen503AfterRinging(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors + "failover: {after_ringing: true}\n")
	d := caller.call(n.addr, "+15550000001").start()
	m := first.expect("INVITE")
	first.answer(m, 180, "Ringing", first.contact())
	caller.expect("180 INVITE")
	first.answer(m, 503, reasons[503])
	second.pickUp()
	first.expect("ACK")
	caller.expect("180 INVITE")
	d.established()
	second.expect("ACK")
	d.bye(second)
}

// A connector that says nothing costs one call first_response; the next ones
// do not wait, and when it is back it gets calls again.
func TestE2E_SilentFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors + quick)
	n.goodCall(caller, first, "+15550000001")

	first.mute.Store(true)
	begin := time.Now()
	d := caller.call(n.addr, "+15550000001").start()
	first.expect("INVITE")
	m := second.pickUp()
	require.InDelta(t, 500, m.at.Sub(begin).Milliseconds(), 250, "moves after first_response")
	caller.expect("180 INVITE")
	d.established()
	second.expect("ACK")
	d.bye(second)
	first.drain() // retransmissions of that INVITE, until first_response

	for range 5 {
		begin = time.Now()
		d := caller.call(n.addr, "+15550000001").start()
		m := second.pickUp()
		require.Less(t, m.at.Sub(begin), 250*time.Millisecond, "the next calls do not wait")
		caller.expect("180 INVITE")
		d.established()
		second.expect("ACK")
		d.bye(second)
	}
	first.quiet(0)

	first.mute.Store(false)
	n.returnsTo(first, second, caller)
}

// A connector that answers OPTIONS and no call: what probes say of it does not
// send the next calls into the wait. When it answers calls again it gets them,
// doubt_hold after the last one that it was silent to.
func TestE2E_SilentToCallsOnly(t *testing.T) {
	t.Parallel()
	const hold = 3 * time.Second
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors + "failover: {first_response: 500ms}\nhealth: {interval: 1s, fast_interval: 100ms, doubt_hold: 3s}\n")
	through := func(wait time.Duration) time.Time {
		begin := time.Now()
		d := caller.call(n.addr, "+15550000001").start()
		m := second.pickUp()
		require.InDelta(t, wait.Milliseconds(), m.at.Sub(begin).Milliseconds(), 250)
		caller.expect("180 INVITE")
		d.established()
		second.expect("ACK")
		d.bye(second)
		return m.at
	}
	silent := through(500 * time.Millisecond)
	first.expect("INVITE")
	first.drain() // retransmissions of that INVITE, until first_response
	asked := first.pings.Load()
	calls := 0
	for ; time.Since(silent) < hold-time.Second; calls++ {
		through(0)
		time.Sleep(50 * time.Millisecond) // between calls
	}
	require.Greater(t, calls, 4)
	require.Greater(t, first.pings.Load(), asked+2, "it was asked, and answered")
	first.quiet(0)

	n.returnsTo(first, second, caller)
	require.Greater(t, time.Since(silent), hold-50*time.Millisecond)
}

// returnsTo makes calls until one reaches the first connector again.
func (n *node) returnsTo(first, second, caller *peer) {
	n.t.Helper()
	first.drain()
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		d := caller.call(n.addr, "+15550000001").start()
		var callee *peer
		var m message
		select {
		case m = <-first.inbox:
			callee = first
		case m = <-second.inbox:
			callee = second
		case <-time.After(patience):
			n.t.Fatal("a call reached nobody")
		}
		require.Equal(n.t, "INVITE", m.what())
		callee.seen[m.raw] = true
		callee.answer(m, 200, "OK", callee.contact())
		d.established()
		callee.expect("ACK")
		d.bye(callee)
		if callee == first {
			return
		}
		time.Sleep(50 * time.Millisecond) // between calls
	}
	n.t.Fatal("calls do not return to the first connector")
}

// The late 200 of a connector that was given up reaches the caller (RFC 3261
// 16.7 step 10) and the other attempt is cancelled.
func TestE2E_LateAnswerIsRelayed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors + quick)
	d := caller.call(n.addr, "+15550000001").start()
	late := first.expect("INVITE")
	ringing := second.expect("INVITE") // after first_response
	second.answer(ringing, 180, "Ringing", second.contact())
	caller.expect("180 INVITE")
	first.answer(late, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	d.established()
	first.expect("ACK")
	cancel := second.expect("CANCEL")
	require.Equal(t, ringing.branch(), cancel.branch())
	second.answer(cancel, 200, "OK")
	second.answer(ringing, 487, reasons[487])
	second.expect("ACK")
	d.bye(first)
}

// fourHosts is a group whose first connector has four hosts.
const fourHosts = `
connectors:
  - {name: first, region: east, hosts: ["sip:127.0.0.21", "sip:127.0.0.22", "sip:127.0.0.23", "sip:127.0.0.24"]}
  - {name: second, region: west, hosts: ["sip:127.0.0.12"]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
failover: {first_response: 300ms}
`

// A dead connector of four hosts before a live one loses no call: hosts of one
// connector do not use up the attempts.
func TestE2E_DeadConnectorOfFourHosts(t *testing.T) {
	t.Parallel()
	const calls = 60
	for name, probing := range map[string]string{"probed": "", "not probed": "health: {probe: false}\n"} {
		t.Run("closed, "+name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			second := l.sippConnector("connector", "127.0.0.12")
			n := l.serve(fourHosts + probing)
			l.sippCaller("caller", "127.0.0.2", n, "+15550000001", calls, 30).allSucceeded(calls)
			require.Equal(t, calls, second.stop().count("INVITE_Recv"))
		})
		t.Run("silent, "+name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			for host := range 4 {
				l.peer(fmt.Sprintf("127.0.0.2%d", host+1)).mute.Store(true)
			}
			second := l.sippConnector("connector", "127.0.0.12")
			n := l.serve(fourHosts + probing)
			l.sippCaller("caller", "127.0.0.2", n, "+15550000001", calls, 30).allSucceeded(calls)
			require.Equal(t, calls, second.stop().count("INVITE_Recv"))
		})
	}
}

// A closed port on loopback: ICMP moves the call on at once.
func TestE2E_ClosedPortMovesAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, second := l.peer("127.0.0.2"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors + "health: {probe: false}\n")
	for range 20 {
		begin := time.Now()
		d := caller.call(n.addr, "+15550000001").start()
		m := second.pickUp()
		require.Less(t, m.at.Sub(begin), 250*time.Millisecond)
		caller.expect("180 INVITE")
		d.established()
		second.expect("ACK")
		d.bye(second)
	}
}

// Non-INVITE requests of a number fail over too.
func TestE2E_MessageFailsOver(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001")
	caller.send(n.addr, d.request("MESSAGE", d.branch, "Content-Type: text/plain", "\r\nhello"))
	first.answer(first.expect("MESSAGE"), 503, reasons[503])
	m := second.expect("MESSAGE")
	require.Equal(t, "hello", m.body())
	second.answer(m, 200, "OK")
	caller.expect("200 MESSAGE")
	first.quiet(settle)
}
