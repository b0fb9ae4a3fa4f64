package router

import (
	"bytes"
	"net/netip"
	"time"

	"tandem/health"
	"tandem/router/wire"
)

// probeBranch is how the branches of our own OPTIONS probes begin. The dot
// tells them from those of calls.
var probeBranch = []byte("z9hG4bK.")

// response finds what a response belongs to: a probe, a call, a dialog.
func (r *Router) response(s *scratch) {
	m := &s.m
	if m.Defect != wire.NoDefect {
		s.tally.drop(dropDefective)
		return
	}
	if bytes.HasPrefix(m.Bytes(m.TopVia.Branch), probeBranch) {
		r.probed(s)
		return
	}
	b, ok := parseBranch(m.Bytes(m.TopVia.Branch))
	if _, own := r.own(m.Bytes(m.TopVia.Host), m.TopVia.Port, r.listeners[s.listener].Transport); !ok || !own {
		s.tally.drop(dropViaNotOurs) // RFC 3261 18.1.2
		return
	}
	vias := m.Values(wire.HeaderVia)
	vias.Next()
	v, ok := vias.Next()
	if !ok {
		r.answerHop(s, &b)
		return
	}
	s.next, ok = wire.ParseVia(m.Data, v.Span)
	target, known := viaTarget(m, &s.next)
	if !ok || !known || !r.verify(s, &b, m, &s.next, target) {
		s.tally.drop(dropForged)
		return
	}
	if b.marker == markDialog {
		r.relayStateless(s, &b, target)
		return
	}
	st := r.stripeOf(b.key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.find(b.key); c != nil {
		if a := c.byHost(b.host); a != nil && c.loop == b.loop {
			r.answer(s, st, c, a)
			return
		}
	} else if e := st.accepted.find(b.key); e != nil && e.host == b.host && e.loop == b.loop {
		r.acceptedResponse(s, e)
		return
	}
	r.orphan(s, &b, target)
}

// answerHop handles a response without a Via below ours: it can only be to a
// CANCEL that we made. What matches a call by its key, host and loop hash, 128
// bits that only the host was told, needs no further proof.
func (r *Router) answerHop(s *scratch, b *branch) {
	st := r.stripeOf(b.key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.find(b.key); c != nil && s.m.Method == wire.CANCEL {
		if a := c.byHost(b.host); a != nil && c.loop == b.loop {
			r.answer(s, st, c, a)
			return
		}
	} else if e := st.accepted.find(b.key); e != nil && s.m.Method == wire.CANCEL && e.host == b.host && e.loop == b.loop {
		r.acceptedResponse(s, e)
		return
	}
	s.tally.drop(dropLate)
}

// probed hands the answer to a probe on. Only hosts that we probe get that far.
func (r *Router) probed(s *scratch) {
	if r.probe == nil || !s.plan.probes(hostPlace{s.source, r.listeners[s.listener].Transport}) {
		s.tally.drop(dropViaNotOurs)
		return
	}
	if !r.probe(s.listener, s.m.Data, s.source) {
		s.tally.drop(dropProbe)
	}
}

// answer handles a response to attempt a. A response matches by branch and by
// the method in CSeq: the 200 of our CANCEL has the INVITE's branch (17.1.3).
func (r *Router) answer(s *scratch, st *stripe, c *call, a *attempt) {
	m := &s.m
	if c.invite() && m.Method == wire.CANCEL {
		if m.Status >= 200 {
			a.cancelAt = never // it arrived; the INVITE's final is what counts
			r.arm(st, c, s.now)
		}
		return
	}
	if m.Method != c.method {
		s.tally.drop(dropMethod)
		return
	}
	r.judge(s, c, a, m)
	if a.heard == 0 {
		a.heard = s.now
	}
	if m.Status < 200 {
		r.progress(s, st, c, a)
	} else {
		r.finish(s, st, c, a)
	}
	if !r.shrink(st, c) {
		r.arm(st, c, s.now)
	}
}

// judge tells health what a response says of the host that sent it. Of a call it
// says one thing: that it got through, by the first that rings or answers, or
// that it did not. All other responses say that the host is alive. A 503 may ask
// for rest besides (RFC 3261 21.5.4), whatever it answers.
func (r *Router) judge(s *scratch, c *call, a *attempt, m *wire.Message) {
	if a.phase == over {
		return // it has been said before
	}
	o := health.Observation{Event: health.CallTrying, Code: m.Status, Began: a.started}
	if m.Status > 100 && c.invite() && !a.praised {
		o.Beyond = a.goesOn(m.Status, s.now)
	}
	if m.Status == 503 {
		if i := m.Find(wire.HeaderRetryAfter); i >= 0 {
			o.RetryAfter, _ = retryAfter(m.Bytes(m.Headers[i].Value))
		}
	}
	// What comes from an attempt that was given up came too late for its call.
	late := a.abandoned && m.Status/100 != 2
	o.Detour = !a.host.transport.Reliable() && r.listeners[s.listener].Transport.Reliable() // a large one
	o.Besides = !c.invite() || a.praised || a.revoked || late
	switch {
	case o.RetryAfter > 0:
		o.Event = health.CallFull
	case m.Status == 100 || o.Besides:
	case m.Status == 503:
		o.Event = health.CallFull
	case m.Status >= 300 && a.failover.Codes.Has(m.Status):
		o.Event, o.Number = health.CallFailed, fnv32(c.number[:c.numberLen])
	default:
		o.Event, a.praised = health.CallAnswered, true
	}
	a.host.health.Observe(s.now, o)
}

// retryAfter reads the seconds at the start of a Retry-After value.
func retryAfter(b []byte) (time.Duration, bool) {
	n, i := 0, 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9' && n < 1e6; i++ {
		n = n*10 + int(b[i]-'0')
	}
	return time.Duration(n) * time.Second, i > 0
}

// progress handles a provisional response.
func (r *Router) progress(s *scratch, st *stripe, c *call, a *attempt) {
	m := &s.m
	if a.phase == over {
		s.tally.drop(dropLate)
		return
	}
	if a.phase == trying {
		a.phase = proceeding
		if c.invite() {
			a.resendAt = never
			if !a.abandoned {
				a.waitAt = a.progressBy
				a.watch(m.Status)
			}
		} else {
			a.interval = t2 // RFC 3261 17.1.2.2
			a.waitAt = c.started + timerB
		}
		if a.revoked && !a.cancelSent {
			r.revoke(s, c, a, r.original(s, c))
		}
	}
	if m.Status > 100 && c.invite() && !a.abandoned && !a.cancelSent {
		a.rings(s.now)
	}
	r.event(s, st, c, a, event{kind: provisional, status: m.Status}, m)
}

// rings notes a 101-199. Timer C begins anew with each (RFC 3261 16.7 step 2);
// how long it may ring in all and unanswered does not.
func (a *attempt) rings(now int64) {
	f := a.failover
	if !a.progress {
		a.progress, a.rang = true, now
	}
	a.ringUntil = min(now+int64(f.TimerC), a.rang+int64(f.MaxRing))
	a.waitAt = a.ringUntil
	if f.NoAnswer > 0 && !a.patient {
		a.waitAt = min(a.waitAt, a.rang+int64(f.NoAnswer))
	}
}

// finish handles a final response.
func (r *Router) finish(s *scratch, st *stripe, c *call, a *attempt) {
	m := &s.m
	if c.invite() && m.Status >= 300 && c.raw != nil {
		r.sendAck(s, c, a, r.original(s, c), m)
	}
	if a.phase == over {
		switch {
		case !c.invite() || m.Status >= 300:
			s.tally.drop(dropDuplicate) // it has had its effect
			return
		case c.settled():
			// A 2xx again, from this host or forked behind it: every one goes
			// upstream (RFC 3261 16.7 step 5).
			r.relay(s, st, c, a, m)
			if c.invite() && a.outcome != attemptAnswered {
				a.outcome, a.ended = attemptAnswered, s.now // after our CANCEL had had no answer
				r.answered2xx(s, a, m)
			}
			return
		}
		// It was given up 64·T1 after our CANCEL, and answers all the same.
	}
	a.phase = over
	a.resendAt, a.waitAt, a.cancelAt = never, never, never
	a.unwatch()
	c.outlive(s.now) // Timer D: its retransmissions are acknowledged as long
	r.event(s, st, c, a, event{kind: final, status: m.Status}, m)
}

// relayStateless sends a response on by its next Via (RFC 3261 16.11), from
// the listener, and its address, that the request came to.
func (r *Router) relayStateless(s *scratch, b *branch, target netip.AddrPort) {
	listener := b.listener
	if listener >= len(r.listeners) {
		listener = s.listener
	}
	if target.Addr().Is6() {
		target = r.zoned(s, target, listener, r.machine.at(b.local))
	}
	out, ok := r.listenerFor(target.Addr(), r.listeners[listener].Transport, listener)
	if !ok || r.ownDest(target) {
		s.tally.drop(dropForbidden)
		return
	}
	s.tally.stateless.Add(1)
	msg := r.appendRelayed(s.out.Buf(), s, &s.m, out)
	s.out.SendFrom(out, r.machine.at(b.local), target, msg)
	if !r.mixed {
		return
	}
	r.relays.heard(b.key, s.m.Status)
	if b.marker == markDialog && s.m.Method == wire.INVITE && s.m.Status >= 300 {
		r.repeatFinal(s, b, out, target, msg)
		if s.source.IsValid() && r.listeners[out].Transport.Reliable() && !r.listeners[s.listener].Transport.Reliable() {
			// Over a connection one ACK comes back, and none for what is sent again
			// because that was lost (17.1.1.2, Timer D).
			r.ackOrphan(s)
		}
	}
}

// orphan handles a response to an attempt of a call that is not here: this
// node was restarted, or the response is very late (design D3).
func (r *Router) orphan(s *scratch, b *branch, target netip.AddrPort) {
	m := &s.m
	fresh := s.now-r.started < int64(s.plan.longest)
	if m.Method == wire.INVITE && m.Status >= 300 {
		r.ackOrphan(s)
	}
	switch {
	case m.Status == 100, m.Method == wire.CANCEL && m.Status >= 300,
		m.Status == 408 && m.Method != wire.INVITE: // RFC 4320 4.2
		s.tally.drop(dropLate) // of the hosts that got a CANCEL, the one with the call says 200
	case m.Status/100 == 2 && m.Method == wire.INVITE, fresh: // late ones of others: RFC 4320 4.2
		r.relayStateless(s, b, target)
	default:
		s.tally.drop(dropLate)
	}
}

// ackOrphan acknowledges a refusal from nothing but itself. The host matches
// it by the branch; the request-URI of the INVITE is not known any more, and
// To is what it was made from.
func (r *Router) ackOrphan(s *scratch) {
	m := &s.m
	if _, ok := wire.ParseURI(m.Data, m.To.URI); !ok {
		s.tally.drop(dropDefective)
		return
	}
	s.out.Send(s.listener, s.source, wire.AppendHop(s.out.Buf(), m, wire.Hop{
		Method:     wire.ACK,
		RequestURI: m.Bytes(m.To.URI),
		Via:        m.Bytes(m.TopVia.Value),
	}))
}
