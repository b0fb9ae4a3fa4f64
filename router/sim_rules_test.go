package router

import (
	"bytes"
	"time"

	"tandem/router/wire"
)

// mayTry holds a new attempt against the rules that say when there is one, and
// where.
func (k *simChecker) mayTry(st *simStep, v *simView, h *simHost) {
	w, c := k.w, v.call
	most, n := w.failover.MaxAttempts, len(v.attempts)
	switch {
	case v.stopped != "":
		w.fail(c, "16.7 step 5, 16.10: no new attempt after "+v.stopped, "at %s", w.name(h.addr))
	case n >= most:
		w.fail(c, "section 5: max_attempts", "attempt %d of %d", n+1, most)
	}
	// Two of a connector at most while others remain, and one attempt kept for
	// each connector that remains.
	tried := v.tried(h.con.Name)
	fresh, open := v.claims(h.con.Name)
	switch {
	case tried >= 2 && open > 0:
		w.fail(c, "section 5: two hosts of a connector while others remain", "a third at %s", w.name(h.addr))
	case tried >= 1 && fresh >= most-n:
		w.fail(c, "section 5: one attempt is kept for each remaining connector", "%s, with %d connectors and %d attempts left", w.name(h.addr), fresh, most-n)
	}
	switch {
	case v.allows(h):
	case v.ordered(h):
		w.fail(c, "section 6: what was out of service when the call began is not tried", "%s", w.name(h.addr))
	default:
		w.fail(c, "16.5", "%s is no target of this call", w.name(h.addr))
	}
	if n > 0 {
		k.mayLeave(st, v, v.latest())
		k.inTime(v)
		v.ringing = v.ringing && v.latest().rang == 0
	}
}

func (v *simView) allows(h *simHost) bool {
	for _, allowed := range v.hosts {
		if allowed == h {
			return true
		}
	}
	return false
}

// mayLeave holds the reason for the next attempt against section 5.
func (k *simChecker) mayLeave(st *simStep, v *simView, a *simAttempt) {
	w, c := k.w, v.call
	if a.final != 0 {
		if a.final < 300 || a.final >= 600 {
			w.fail(c, "16.7 step 5: the call ends with a 2xx or 6xx", "%d", a.final)
		}
		if !a.host.failover.Codes.Has(a.final) && a.final != 482 {
			w.fail(c, "section 5: failover.codes", "%d led to the next attempt", a.final)
		}
		if a.rang != 0 && v.ringing && !a.host.failover.AfterRinging {
			w.fail(c, "section 5: after_ringing", "%d after ringing led to the next attempt", a.final)
		}
		return
	}
	if a.icmp || st.named(a) {
		a.icmp = true
		return
	}
	k.asked(v, a)
	switch {
	case v.timedOut:
		w.fail(c, "section 5: timer_c and max_ring end the call", "%s rang until then", w.name(a.host.addr))
	case a.cancelAt == w.now: // its CANCEL was held against its time
	case w.now < v.earliest(a):
		w.fail(c, "section 5: an attempt has its time", "%s was left after %v, %v too early", w.name(a.host.addr), time.Duration(w.now-a.started), time.Duration(v.earliest(a)-w.now))
	}
}

// named reports whether the step is an ICMP error that may be of attempt a.
func (st *simStep) named(a *simAttempt) bool {
	return st.icmp == a || st.in == nil && st.garbage && st.source == a.host.addr
}

// verdict holds the first final response that is no 2xx to an INVITE against
// what is known of the attempts.
func (k *simChecker) verdict(v *simView, m *wire.Message) {
	w, c := k.w, v.call
	status := m.Status
	for _, a := range v.attempts {
		if a.final >= 600 && v.stopped == "6xx" && status >= 300 && status < 600 && !(v.cancelled && status == 487) {
			w.fail(c, "16.7 step 6: a 6xx wins", "%d although %s said %d", status, w.name(a.host.addr), a.final)
		}
	}
	if status < 300 {
		return // of a non-INVITE: the first wins
	}
	k.outranks(v, status)
	own := bytes.HasPrefix(m.Bytes(m.To.Tag), []byte("td"))
	if a := v.latest(); a != nil && a.host.failover.Codes.Has(a.final) && (!v.ringing || a.host.failover.AfterRinging) {
		k.exhausted(v)
	}
	if !own {
		switch {
		case !v.said(status):
			w.fail(c, "16.7 step 6: the best response is one that came", "%d", status)
		case status == 487 && !v.cancelled && v.provoked():
			w.fail(c, "section 5: a 487 that we provoked never competes", "")
		}
		return
	}
	best := w.failover.ExhaustedCode == 0
	switch {
	case status == 487 && v.cancelled:
		return
	case v.cancelled:
		w.fail(c, "9.2: a cancelled call ends with 487 or the connector's final", "%d", status)
	case v.timedOut && status == 408:
		return
	case best && status == 500 && v.said(503): // it speaks for one host only
		return
	case !v.invite() && v.said(408): // it is never relayed (RFC 4320 4.2)
		return
	case !best && v.invite() && status != w.failover.ExhaustedCode:
		w.fail(c, "section 5: exhausted_code", "%d", status)
	case best && status != 480 && status != 500 && status != 408:
		w.fail(c, "16.7 step 6", "%d of our own", status)
	case best && (status == 480) != (len(v.attempts) == 0):
		w.fail(c, "16.5: 480 when nothing can be tried", "%d after %d attempts", status, len(v.attempts))
	}
	k.exhausted(v)
}

// outranks holds the final response against those that came and were not such
// that the call moves on: the lowest class wins.
func (k *simChecker) outranks(v *simView, status int) {
	w := k.w
	for _, a := range v.attempts {
		moves := a.host.failover.Codes.Has(a.final) || a.final == 482
		if a.final == 0 || a.provoked || moves || a.final/100 >= status/100 || status >= 600 {
			continue
		}
		if v.invite() || a.final != 408 {
			w.fail(v.call, "16.7 step 6: the lowest class wins", "%d although %s said %d", status, w.name(a.host.addr), a.final)
		}
	}
}

// asked holds how often the request was sent to a host that was silent against
// Timers A and E.
func (k *simChecker) asked(v *simView, a *simAttempt) {
	if a.heard {
		return
	}
	most := v.sends(k.w.now - a.started)
	least := v.sends(k.w.now - a.started - int64(most)*k.slack()) // each time may be late, and the next counts from there
	if a.sends < least || a.sends > most {
		k.w.fail(v.call, "17.1.1.2: Timer A", "%d times to %s in %v", a.sends, k.w.name(a.host.addr), time.Duration(k.w.now-a.started))
	}
}

// sends is how often a request is sent in that time without a response.
func (v *simView) sends(in int64) (n int) {
	interval := t1
	for at := int64(0); at <= in; n++ {
		at += interval
		if interval *= 2; !v.invite() {
			interval = min(interval, t2)
		}
	}
	return max(n, 1)
}

// repeated is a final response that Timer G sends again.
func (k *simChecker) repeated(v *simView) {
	if v.repeats++; v.acked {
		k.w.fail(v.call, "17.2.1: no retransmission after the ACK", "%d", v.firstStatus)
	}
}

// exhausted holds the end of the search against the candidates that are left.
func (k *simChecker) exhausted(v *simView) {
	w := k.w
	spent := w.now - v.began
	late := v.invite() && w.failover.SetupBudget > 0 && v.last == nil && spent >= int64(w.failover.SetupBudget)
	for _, h := range v.hosts { // what begins must have time to end (RFC 4320)
		late = late || !v.invite() && spent > timerB-int64(h.failover.FirstResponse)
	}
	if v.stopped != "" || v.timedOut || late || len(v.attempts) >= w.failover.MaxAttempts || len(v.attempts) >= len(v.hosts) {
		return
	}
	w.fail(v.call, "section 5: the search ends when nothing is left to try", "%d attempts of %d, %d hosts", len(v.attempts), w.failover.MaxAttempts, len(v.hosts))
}

// said reports whether that status came.
func (v *simView) said(status int) bool {
	for _, a := range v.attempts {
		if a.final == status {
			return true
		}
	}
	return false
}

// provoked reports whether each 487 that came was of an attempt that we
// cancelled.
func (v *simView) provoked() bool {
	for _, a := range v.attempts {
		if a.final == 487 && a.cancelAt == 0 {
			return false
		}
	}
	return true
}

// after is what a step must have led to.
func (k *simChecker) after(st *simStep) {
	w, c, m, v := k.w, st.call, st.in, st.view
	switch {
	case m == nil:
	case m.IsRequest:
		k.afterRequest(st)
	case st.own && m.Method == wire.INVITE && m.CSeq == 1:
		// RFC 6026 7.2: behind a 2xx of the same host nothing else is expected, and
		// the request that an ACK is made from may be gone.
		answered := st.attempt != nil && st.attempt.final/100 == 2
		if m.Status >= 300 && st.acks != 1 && !(answered && st.acks == 0) {
			w.fail(c, "17.1.1.3: each refusal is acknowledged each time it comes", "%d from %s: %d ACKs", m.Status, w.name(st.source), st.acks)
		}
		heard := v != nil && v.stopped == "" && st.attempt != nil && st.attempt == v.latest() && st.attempt.final == 0 && st.attempt.cancelAt == 0
		if m.Status/100 == 1 && m.Status > 100 && heard && st.relayed != 1 {
			w.fail(c, "16.7 step 5: provisionals go upstream", "%d from %s", m.Status, w.name(st.source))
		}
		if m.Status/100 == 2 && st.relayed != 1 {
			w.fail(c, "16.7 step 5: every 2xx goes upstream", "from %s: %d times", w.name(st.source), st.relayed)
		}
	case !st.own && m.Method != wire.CANCEL && (st.sent != 1 || st.relayed != 1):
		w.fail(c, "16.11: the response to a request of a dialog goes on", "%d from %s: %d messages", m.Status, w.name(st.source), st.sent)
	}
	if v != nil {
		k.afterView(st, v)
	}
}

// afterRequest is what must follow a request at once.
func (k *simChecker) afterRequest(st *simStep) {
	w, c, m := k.w, st.call, st.in
	switch {
	case m.Method == wire.CANCEL:
		if st.answers != 1 && (st.view != nil || !st.node.fresh()) { // D3: else the hosts answer
			w.fail(c, "9.2: a CANCEL is answered at once", "%d answers", st.answers)
		}
	case m.CSeq == 1 && simMethod(m) == c.method:
		if st.view == nil && st.sent != 1 {
			w.fail(c, "16.3: a request that is not let in has one answer", "%d", st.sent)
		}
		if v := st.view; v != nil && v.invite() {
			if !st.held && st.trying != 1 {
				w.fail(c, "17.2.1: an INVITE has its 100 at once", "%d", st.trying)
			}
			if st.held && v.first == nil && st.sent != 1 {
				w.fail(c, "17.2.1: a retransmission has the last response again", "%d messages", st.sent)
			}
		}
	case m.Find(wire.HeaderRoute) < 0:
	case c.overRate(w.now): // design D7: it may be refused, or dropped
	case st.relayed != 1:
		w.fail(c, "16.11: a request of a dialog goes to its next hop", "%s from %s: %d", simMethod(m), w.name(st.source), st.relayed)
	}
}

// afterView holds what is left of a call after a step.
func (k *simChecker) afterView(st *simStep, v *simView) {
	w, c := k.w, v.call
	a := v.latest()
	if a == nil {
		if v.first == nil {
			w.fail(c, "16.5: nothing to try ends the call at once", "")
		}
		return
	}
	if v.first == nil && a.final != 0 {
		w.fail(c, "16.7 step 6: when the last attempt is over, so is the call", "%s said %d", w.name(a.host.addr), a.final)
	}
	if st.icmp == a && st.whole && v.first == nil && !a.heard && st.errorEnds() {
		w.fail(c, "D5: an ICMP error for the request moves the call on at once", "%s", w.name(a.host.addr))
	}
	if !v.invite() {
		return
	}
	for _, b := range v.attempts {
		unwanted := b != a || v.first != nil || v.stopped != ""
		if unwanted && b.heard && b.final == 0 && b.cancelAt == 0 {
			w.fail(c, "16.7 step 10, 16.10: what is not wanted any more is cancelled", "%s", w.name(b.host.addr))
		}
	}
}
