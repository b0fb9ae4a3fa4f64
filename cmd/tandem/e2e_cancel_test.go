//go:build linux

package main_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 3261 9 and 16.10.
func TestE2E_CancelWhileRinging(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	first.answer(invite, 180, "Ringing", first.contact())
	caller.expect("180 INVITE")

	caller.send(n.addr, d.cancel())
	ok := caller.expect("200 CANCEL")
	cancel := first.expect("CANCEL")
	require.Equal(t, invite.branch(), cancel.branch())
	require.Equal(t, invite.uri(), cancel.uri())
	require.Equal(t, "1 CANCEL", cancel.header("CSeq"))
	require.Equal(t, invite.header("To"), cancel.header("To"))
	require.Equal(t, invite.header("From"), cancel.header("From"))
	require.Len(t, cancel.list("Via"), 1)

	caller.send(n.addr, d.cancel())
	caller.expectAgain(ok) // a retransmitted CANCEL gets the same 200
	caller.quiet(settle)   // the connector decides: no 487 yet

	first.answer(cancel, 200, "OK")
	first.answer(invite, 487, reasons[487])
	final := caller.expect("487 INVITE")
	ack := first.expect("ACK")
	require.Equal(t, invite.branch(), ack.branch())
	first.answer(invite, 487, reasons[487]) // again: the ACK was lost
	first.expectAgain(ack)
	d.ackFailure(final)
	time.Sleep(20 * time.Millisecond) // what is on its way arrives
	caller.drain()
	caller.quiet(700 * time.Millisecond) // one 487 only: its ACK stopped Timer G
	first.quiet(0)                       // the caller's ACK is not forwarded
	second.quiet(0)
}

// The connector answers although it is cancelled: the answer wins.
func TestE2E_CancelCrosses200(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	first.answer(invite, 180, "Ringing", first.contact())
	caller.expect("180 INVITE")
	caller.send(n.addr, d.cancel())
	caller.expect("200 CANCEL")
	cancel := first.expect("CANCEL")
	first.answer(invite, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	first.answer(cancel, 200, "OK")
	d.established()
	first.expect("ACK")
	d.bye(first)
}

// CANCEL before any answer: held (RFC 3261 9.1), and when the attempt is given
// up the call ends with 487; nobody else is tried.
func TestE2E_CancelBetweenAttempts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors + quick)
	first.mute.Store(true)
	d := caller.call(n.addr, "+15550000001").start()
	first.expect("INVITE")
	begin := time.Now()
	caller.send(n.addr, d.cancel())
	caller.expect("200 CANCEL")
	require.Less(t, time.Since(begin), 250*time.Millisecond, "200 at once")
	d.fails(487)
	require.Less(t, time.Since(begin), 1500*time.Millisecond)
	first.quiet(settle) // no CANCEL without a provisional
	second.quiet(time.Second)
}

// The same, but the connector fails with a failover code after the CANCEL.
func TestE2E_CancelThenFailoverCode(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	caller.send(n.addr, d.cancel())
	caller.expect("200 CANCEL")
	first.answer(invite, 503, reasons[503])
	first.expect("ACK")
	d.fails(487)
	second.quiet(settle)
}

// CANCEL before the first provisional: it follows when the connector rings.
func TestE2E_CancelHeldUntilProvisional(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	caller.send(n.addr, d.cancel())
	caller.expect("200 CANCEL")
	first.quiet(settle)
	first.answer(invite, 100, "Trying")
	cancel := first.expect("CANCEL")
	first.answer(cancel, 200, "OK")
	first.answer(invite, 487, reasons[487])
	first.expect("ACK")
	d.fails(487)
	second.quiet(settle)
}

// Only the INVITE's own source may cancel it.
func TestE2E_CancelFromElsewhereChangesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, stranger, first := l.peer("127.0.0.2"), l.peer("127.0.0.66"), l.peer("127.0.0.11")
	n := l.serve(onlyCaller + twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	first.answer(invite, 180, "Ringing", first.contact())
	caller.expect("180 INVITE")
	stranger.send(n.addr, d.cancel()) // the right values from the wrong address
	first.quiet(settle)
	caller.quiet(0)
	first.answer(invite, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	d.established()
	first.expect("ACK")
	d.bye(first)
}
