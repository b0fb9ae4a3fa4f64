package router

import (
	"net/netip"

	"tandem/router/transport"
	"tandem/router/wire"
)

// simStep is one thing that a node was told, and what it sent on it.
type simStep struct {
	node    *simNode
	in      *wire.Message // what came; nil: timers fired, an ICMP error, or what came is no SIP
	data    []byte
	source  netip.AddrPort
	garbage bool // it was cut
	call    *simCall
	view    *simView    // of the call, when this node holds it or does from now on
	attempt *simAttempt // that a response belongs to
	own     bool        // the branch of the response is of a call's attempt
	icmp    *simAttempt // that an error named
	whole   bool        // and quoted in full
	code    transport.Cause
	local   bool
	unsent  *wire.Message // the request that could not be sent at all

	out     []sent
	calls   []*simCall // that they are of; nil: of what was cut in its Call-ID
	acks    int        // that were sent for the response
	relayed int        // copies of the response that went on
	answers int        // to a CANCEL
	trying  int        // 100s
	held    bool       // the node had the call before
	sent    int        // messages in all
}

// begin notes a datagram before the node sees it.
func (k *simChecker) begin(n *simNode, source netip.AddrPort, data []byte) *simStep {
	st := k.reset(n)
	st.source, st.data = source, data
	m := &k.in
	if m.Parse(data) != nil || m.Defect != wire.NoDefect {
		st.garbage = true
		return st
	}
	c := k.w.byID[string(m.Bytes(m.CallID))]
	st.in, st.call = m, c
	k.w.trace.came(k.w, c, n, source, m)
	st.view = c.view(n)
	st.held = st.view != nil
	if m.IsRequest {
		if v := st.view; v != nil && m.Method == wire.ACK && v.first != nil && m.Find(wire.HeaderRoute) < 0 && m.CSeq == 1 {
			v.acked = true
		}
		if v := st.view; v != nil && m.Method == wire.CANCEL && m.CSeq == 1 && v.first == nil && !v.cancelled {
			v.cancelled = true
			v.stop("CANCEL")
		}
		return st
	}
	b, ok := parseBranch(m.Bytes(m.TopVia.Branch))
	st.own = ok && b.marker == markCall
	if st.own && st.view != nil && simMethod(m) == c.method {
		if st.attempt = st.view.attempt(source); st.attempt != nil {
			k.heard(st)
		}
	}
	return st
}

// beginICMP notes an undeliverable datagram before the node hears of it.
func (k *simChecker) beginICMP(n *simNode, u transport.Unreachable) *simStep {
	st := k.reset(n)
	st.code, st.local = u.Code, u.Local
	m := &k.in
	if m.Parse(u.Quote) != nil {
		// What is cut may still show its branch: any attempt at the host may be
		// what it names.
		k.w.trace.note(k.w, nil, "ICMP %d for %s, cut", u.Code, k.w.name(u.Dest))
		st.garbage = true
		st.source = u.Dest
		return st
	}
	st.call = k.w.byID[string(m.Bytes(m.CallID))]
	k.w.trace.note(k.w, st.call, "ICMP %d for %s %s", u.Code, k.w.name(u.Dest), describe(m))
	if u.Local && m.IsRequest {
		st.unsent = m
	}
	st.view = st.call.view(n)
	if st.view != nil && m.IsRequest && m.CSeq == 1 && simMethod(m) == st.call.method {
		st.icmp, st.whole = st.view.attempt(u.Dest), true
	}
	return st
}

// beginTimers notes nothing: what timers did is known by what is sent.
func (k *simChecker) beginTimers(n *simNode) *simStep { return k.reset(n) }

func (k *simChecker) reset(n *simNode) *simStep {
	k.step = simStep{node: n, out: k.step.out, calls: k.step.calls[:0]}
	return &k.step
}

// heard notes a response to an attempt.
func (k *simChecker) heard(st *simStep) {
	m, v, a := st.in, st.view, st.attempt
	now := k.w.now
	switch {
	case a.final != 0:
	case m.Status >= 300 && a.cancelAt != 0 && now > a.cancelAt+timerB-k.slack():
		a.final, a.provoked = m.Status, true // 9.1: it was given up, and changes nothing
	case m.Status < 200:
		a.heard = true
		// What rings once it was cancelled or left does not count any more.
		if m.Status > 100 && a.cancelAt == 0 && !a.left {
			if a.rang == 0 {
				a.rang = now
			}
			a.rangLast = now
		}
	default:
		a.heard = true
		a.final, a.provoked = m.Status, a.cancelAt != 0 && !v.cancelled
		switch {
		case m.Status < 300:
			v.stop("2xx")
		case m.Status >= 600:
			v.stop("6xx")
		}
	}
}

func (v *simView) stop(why string) {
	if v.stopped == "" {
		v.stopped = why
	}
}

// errorEnds reports whether an error is one that ends an attempt.
func (st *simStep) errorEnds() bool {
	return st.code != transport.Other && st.code != transport.TooBig
}
