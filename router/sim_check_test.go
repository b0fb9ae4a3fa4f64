package router

import (
	"bytes"
	"net/netip"
	"time"

	"tandem/health"
	"tandem/router/transport"
	"tandem/router/wire"
)

// simChecker holds what nodes do against what they must and must never do. Each
// violation names the clause; section numbers without a document are RFC 3261's.
type simChecker struct {
	w     *simWorld
	step  simStep
	in, m wire.Message
	nodes int // ever

	messages int // that nodes sent
}

// judge looks at all that a step sent, then at what it had to send.
func (k *simChecker) judge(st *simStep) {
	st.sent = len(st.out)
	k.messages += st.sent
	k.letIn(st)
	for _, o := range st.out {
		m := &k.m
		if m.Parse([]byte(o.text)) != nil {
			k.w.fail(st.call, "7: what is sent is SIP", "to %s: %q", o.to, o.text)
		}
		c := k.w.byID[string(m.Bytes(m.CallID))]
		st.calls = append(st.calls, c)
		k.w.trace.sent(k.w, c, st.node, o.to, m)
		switch {
		case c == nil:
			if !st.garbage {
				k.w.fail(nil, "16.6", "a message of no call: %s", startLine(o.text))
			}
		case k.w.byAddr[o.to] != nil:
			k.downstream(st, c, m, o)
		default:
			k.upstream(st, c, m, o)
		}
	}
	k.after(st)
}

// letIn finds out whether a request made a call.
func (k *simChecker) letIn(st *simStep) {
	if st.view != nil || st.in == nil || !st.in.IsRequest || st.in.CSeq != 1 || simMethod(st.in) != st.call.method {
		return
	}
	if key := st.node.keyOf(st.in); st.node.holds(key) {
		st.view = st.call.newView(st.node, key)
	}
}

// viewOf is the view that an output of a step belongs to.
func (k *simChecker) viewOf(st *simStep, c *simCall) *simView {
	if c == st.call {
		return st.view
	}
	return c.view(st.node)
}

// upstream is what goes to a caller.
func (k *simChecker) upstream(st *simStep, c *simCall, m *wire.Message, o sent) {
	w := k.w
	switch {
	case o.to != c.from:
		w.fail(c, "18.2.2: responses go where the request came from", "%s to %s", startLine(o.text), o.to)
	case m.IsRequest, m.CSeq != 1:
		k.dialog(st, c, m, o)
		return
	case string(m.Bytes(m.TopVia.Branch)) != c.invite.branch:
		w.fail(c, "18.1.2: the top Via is the caller's", "%s", startLine(o.text))
	case m.Method == wire.CANCEL:
		if m.Status != 200 && m.Status != 481 {
			w.fail(c, "9.2: a CANCEL is answered 200 or 481", "%d", m.Status)
		}
		st.answers++
		return
	}
	relay := st.in != nil && !st.in.IsRequest
	if relay {
		if bytes.Equal(withoutVia(st.data), []byte(o.text)) {
			st.relayed++
		}
		if st.in.Status == 100 && m.Status == 100 {
			w.fail(c, "16.7 step 5: a 100 is never relayed", "")
		}
	}
	if m.Status == 408 && c.method != "INVITE" {
		w.fail(c, "RFC 4320 4.2: never a 408 to a non-INVITE", "")
	}
	v := k.viewOf(st, c)
	switch {
	case v == nil || relay && st.attempt == nil:
		k.stateless(st, c, m, relay)
	case st.garbage && m.Status == 400: // 18.3: what came is cut, and is told so without state
	case m.Status < 200:
		k.provisional(st, v, m, o, relay)
	case m.Status < 300 && v.invite():
		k.answered(st, v, m, o, relay)
	default:
		k.final(st, v, m, o)
	}
}

// stateless is a response of a call that the node does not hold. Design D3: a
// 2xx to an INVITE always goes on, others as long as the call may be one of
// before the node's start. A request that is not let in has its answer at once.
func (k *simChecker) stateless(st *simStep, c *simCall, m *wire.Message, relay bool) {
	switch {
	case relay && st.relayed == 0:
		k.w.fail(c, "D3: what is relayed is not changed", "%d", m.Status)
	case relay && !st.node.fresh() && (m.Status >= 300 || m.Status < 200 || c.method != "INVITE"):
		k.w.fail(c, "D3: only a 2xx is relayed when its call is over", "%d", m.Status)
	case !relay && st.garbage && m.Status == 400:
	case !relay && m.Status == 503 && k.w.has(simRate):
	case !relay:
		k.w.fail(c, "17.2: a response of a call that is not there", "%d", m.Status)
	}
}

// provisional is a 1xx upstream.
func (k *simChecker) provisional(st *simStep, v *simView, m *wire.Message, o sent, relay bool) {
	w, c := k.w, v.call
	switch {
	case v.first != nil:
		w.fail(c, "17.2.1: no provisional after the final response", "%d", m.Status)
	case m.Status == 100 && len(o.text) > 0 && v.invite() && st.in == nil:
		w.fail(c, "17.2.1: a 100 answers a request", "")
	case m.Status == 100:
		st.trying++
	case relay && st.relayed == 0:
		w.fail(c, "16.7 step 9: what is relayed is not changed", "%d", m.Status)
	case relay && st.attempt != v.latest():
		w.fail(c, "section 5: nothing of an attempt that was left is heard", "%d", m.Status)
	case relay:
		v.last = []byte(o.text)
		v.ringing = true
	case !bytes.Equal(v.last, []byte(o.text)):
		w.fail(c, "17.2.1: a repeated provisional is the last one", "%d", m.Status)
	}
}

// answered is a 2xx to an INVITE upstream: the connector's, and nothing else.
func (k *simChecker) answered(st *simStep, v *simView, m *wire.Message, o sent, relay bool) {
	if !relay || st.in.Status != m.Status || st.relayed == 0 {
		k.w.fail(v.call, "16.7 step 5: a 2xx goes upstream when it came, unchanged", "%d", m.Status)
	}
	if v.first == nil {
		k.settled(v, m, o)
	}
}

// final is any other final response upstream.
func (k *simChecker) final(st *simStep, v *simView, m *wire.Message, o sent) {
	if v.first != nil {
		if !bytes.Equal(v.first, []byte(o.text)) {
			k.w.fail(v.call, "16.7 step 5: one final response upstream, the same each time", "%d after %d", m.Status, v.firstStatus)
		}
		if st.in == nil && v.invite() {
			k.repeated(v)
		}
		return
	}
	k.verdict(v, m)
	k.settled(v, m, o)
}

func (k *simChecker) settled(v *simView, m *wire.Message, o sent) {
	k.inTime(v)
	v.first, v.firstStatus, v.firstAt = []byte(o.text), m.Status, k.w.now
	v.stop("final")
}

// slack is how late the node may be.
func (k *simChecker) slack() int64 { return int64(k.w.lateness() + 30*time.Millisecond) }

// inTime holds the end of the attempt that the call waited for against the
// settings.
func (k *simChecker) inTime(v *simView) {
	a := v.latest()
	if a == nil || a.final != 0 || a.icmp {
		return
	}
	if due := v.due(a); k.w.now > due+k.slack() {
		k.w.fail(v.call, "section 5: an attempt ends in time", "%s was given up %v late", k.w.name(a.host.addr), time.Duration(k.w.now-due))
	}
}

// downstream is what goes to a host.
func (k *simChecker) downstream(st *simStep, c *simCall, m *wire.Message, o sent) {
	b, ok := parseBranch(m.Bytes(m.TopVia.Branch))
	switch {
	case m.IsRequest && (!ok || b.marker == markDialog), !m.IsRequest:
		k.dialog(st, c, m, o)
	case m.Method == wire.ACK:
		k.acked(st, c, m, o)
	case m.Method == wire.CANCEL:
		k.cancelled(st, c, m, o)
	case simMethod(m) == c.method:
		k.attempted(st, c, m, o)
	default:
		k.w.fail(c, "16.6", "%s to %s", startLine(o.text), k.w.name(o.to))
	}
}

// acked is the ACK of a refusal: for a response that came just now, to whom it
// came from.
func (k *simChecker) acked(st *simStep, c *simCall, m *wire.Message, o sent) {
	in := st.in
	if in == nil || in.IsRequest || in.Status < 300 || in.Method != wire.INVITE || st.source != o.to ||
		!bytes.Equal(m.Bytes(m.TopVia.Branch), in.Bytes(in.TopVia.Branch)) ||
		!bytes.Equal(m.Bytes(m.To.Value), in.Bytes(in.To.Value)) || m.CSeq != in.CSeq {
		k.w.fail(c, "17.1.1.3: an ACK belongs to a refusal and goes where that came from", "%s to %s", startLine(o.text), k.w.name(o.to))
	}
	st.acks++
}

func (k *simChecker) cancelled(st *simStep, c *simCall, m *wire.Message, o sent) {
	w := k.w
	branch := string(m.Bytes(m.TopVia.Branch))
	k.oneBranch(c, o.to, branch)
	v := k.viewOf(st, c)
	if v == nil {
		// Design D3: a CANCEL of a call that may be of before goes to all candidates.
		if st.in == nil || !st.in.IsRequest || st.in.Method != wire.CANCEL || !st.node.fresh() {
			w.fail(c, "D3: a CANCEL without a call", "to %s", w.name(o.to))
		}
		return
	}
	a := v.attempt(o.to)
	switch {
	case a == nil:
		w.fail(c, "9.1: CANCEL goes where the INVITE went", "to %s", w.name(o.to))
	case !v.invite():
		w.fail(c, "9.1: only an INVITE is cancelled", "%s", c.method)
	case !a.heard:
		w.fail(c, "9.1: no CANCEL before a provisional", "to %s", w.name(o.to))
	case a.final != 0:
		w.fail(c, "17.1.1.2: nothing but ACK after the final response", "CANCEL to %s", w.name(o.to))
	case a.cancelAt != 0:
	case v.stopped == "" && !a.left && k.w.now < v.earliest(a):
		w.fail(c, "section 5: an attempt has its time", "CANCEL to %s after %v, %v too early", w.name(o.to), time.Duration(w.now-a.started), time.Duration(v.earliest(a)-w.now))
	default:
		if a == v.latest() && v.first == nil {
			k.inTime(v)
		}
		if a == v.latest() && a.rang != 0 && w.now >= v.due(a) {
			v.timedOut = true
		}
		a.cancelAt = w.now
	}
}

// oneBranch holds for all nodes and their lives together.
func (k *simChecker) oneBranch(c *simCall, host netip.AddrPort, branch string) {
	for _, b := range c.branches {
		if b.host != host {
			continue
		}
		if b.branch != branch {
			k.w.fail(c, "16.6 step 8, D3: one transaction at a host for one of the caller's", "%s saw a second branch", k.w.name(host))
		}
		return
	}
	c.branches = append(c.branches, simBranch{host, branch})
}

// attempted is the request at a host: an attempt, or a retransmission of one.
func (k *simChecker) attempted(st *simStep, c *simCall, m *wire.Message, o sent) {
	w := k.w
	branch := string(m.Bytes(m.TopVia.Branch))
	k.oneBranch(c, o.to, branch)
	v := k.viewOf(st, c)
	if v == nil {
		w.fail(c, "16.6", "an attempt of a call that is not there")
	}
	a := v.attempt(o.to)
	if a == nil {
		k.mayTry(st, v, w.byAddr[o.to])
		for _, b := range v.attempts {
			b.left = true
		}
		v.attempts = append(v.attempts, &simAttempt{host: w.byAddr[o.to], branch: branch, raw: o.text, started: w.now, sends: 1})
		return
	}
	if st.code != transport.TooBig { // that has it sent again besides (design D5)
		a.sends++
	}
	switch {
	case a.raw != o.text:
		w.fail(c, "17.1.1.2: a retransmission is the same request", "to %s", w.name(o.to))
	case a.final != 0:
		w.fail(c, "17.1.1.2: nothing but ACK after the final response", "%s to %s", c.method, w.name(o.to))
	case a.heard && v.invite():
		w.fail(c, "17.1.1.2: no retransmission after a provisional", "to %s", w.name(o.to))
	case a.left:
		w.fail(c, "section 5: what was given up is not sent again", "to %s", w.name(o.to))
	}
}

// isBad reports whether health has little hope in a host now; calls may be let
// through on trial, other requests not.
func isBad(h *host, call bool, now int64) bool {
	v := h.health.View(now)
	return v.State >= health.Ejected && !(v.Trial && call)
}
