package router

import (
	"tandem/health"
	"tandem/router/wire"
)

// attempt sends the request of c to the host of e as a new client transaction.
// It has held a place there, and share until first progress if its settings do
// not say less.
func (r *Router) attempt(s *scratch, st *stripe, c *call, e *entry, held hold, share int64, m *wire.Message) {
	a := c.addAttempt(st)
	a.host = e.host
	a.hold = held
	a.hash = e.host.id
	a.failover = e.failover[c.trunk.class]
	a.started = s.now
	a.waitAt = s.now + min(int64(a.failover.FirstResponse), share)
	a.progressBy = s.now + min(int64(a.failover.Progress), share)
	a.evidence = min(int64(e.failover[0].FirstResponse), 2*t1)
	a.stuckAfter = int64(e.failover[0].Progress)
	if !c.invite() {
		a.waitAt = min(a.waitAt, c.started+timerB) // RFC 4320: 64·T1 in all
	}
	msg := r.appendRequest(s.out.Buf(), s, c, a, m)
	if len(msg) > a.host.large.mtu {
		fits := len(msg) <= largestMessage(a.host.addr, a.host.transport)
		msg = r.larger(s, c, a, m, msg)
		switch {
		case !a.stream && !fits:
			r.oversized(s, st, c, a)
			return
		case a.stream && fits && share == c.share(s.now, 1):
			a.waitAt = min(a.waitAt, s.now+share/2) // the other half is for UDP (lastResort)
		}
	}
	if !a.reliable() {
		a.interval = t1
		a.resendAt = s.now + t1 // Timer A, Timer E
	}
	s.out.Send(c.out(a), a.host.addr, msg)
	s.out.Alone()
}

// sendRequest sends the request of attempt a again.
func (r *Router) sendRequest(s *scratch, c *call, a *attempt, m *wire.Message) {
	s.out.Send(c.out(a), a.host.addr, r.appendRequest(s.out.Buf(), s, c, a, m))
	s.out.Alone()
}

// event tells call c what happened to attempt a: it decides and carries the
// verdict out. resp is the response, if it was one.
func (r *Router) event(s *scratch, st *stripe, c *call, a *attempt, e event, resp *wire.Message) {
	v := decide(c.situation(a), e, a.failover)
	why := r.note(s, c, a, e, v, resp)
	if v.relay {
		r.relay(s, st, c, a, resp)
	}
	if v.keep {
		r.keep(s, st, c, resp)
	}
	if v.stop {
		c.stopping = true
	}
	var orig *wire.Message
	others := v.cancelOthers && c.count > 1
	if (v.cancel || others || v.next || v.settle) && c.raw != nil {
		orig = r.original(s, c)
	}
	if v.cancel {
		r.revoke(s, c, a, orig)
	}
	if others {
		for i := range c.count {
			if o := c.at(i); o != a {
				r.revoke(s, c, o, orig)
			}
		}
	}
	if v.abandon {
		a.abandoned = true
		a.unwatch()
		a.resendAt = never
		if !a.cancelSent {
			a.waitAt = never
		}
	}
	switch {
	case v.next:
		if r.next(s, st, c, orig) {
			s.tally.failovers[why].Add(1)
		}
	case v.settle:
		r.settle(s, st, c, orig)
	}
	if c.answered && c.count == 1 {
		st.release(&c.raw) // nothing is rendered from it any more, not even an ACK
	}
}

// note keeps what became of the attempt for the record, and tells health and
// the counters. It returns why the call moves on, if it does.
func (r *Router) note(s *scratch, c *call, a *attempt, e event, v verdict, resp *wire.Message) (why failoverReason) {
	var how attemptOutcome
	var seen health.Event
	switch e.kind {
	case silence:
		how, why, seen = attemptSilent, failedSilent, health.CallSilent
		if s.now-a.started < a.evidence {
			seen = 0
			a.host.health.Wake() // too soon to say; a probe will
		}
		if a.phase != trying { // a non-INVITE that had its 100
			how, why, seen = attemptNoProgress, failedProgress, 0
		} else if a.stream {
			seen = 0 // the connection may not even be there; a probe tells of the host by UDP
			a.host.health.Wake()
			r.streamFailed(s.now, a.host)
		}
	case noProgress:
		how, why = attemptNoProgress, failedProgress
		if s.now-a.started >= a.stuckAfter {
			seen = health.CallStuck
		}
	case noAnswer:
		how, why = attemptNoAnswer, failedNoAnswer
		c.ringing = false // what the next one says is heard as if it were the first
	case timerC:
		how = attemptTimedOut
		if !c.settled() && !a.abandoned {
			c.timedOut = true
		}
	case cancelUnsure:
		how = attemptCancelled
	case unreachable:
		how, why, seen = attemptICMP, failedICMP, health.CallUnreachable
		if e.status != 0 {
			how, why, seen = attemptSendError, failedSend, 0
		}
	case final:
		how, why = attemptRefused, failedCode
		if a.outcome == attemptPending || e.status < 300 {
			a.status = int16(e.status)
		}
		switch {
		case e.status < 300:
			how = attemptAnswered
		case e.status == 487 && a.revoked:
			how = attemptCancelled
		case v.next:
			how = attemptFailed
		}
	default:
		return 0
	}
	if a.outcome == attemptPending { // counted once
		a.outcome, a.ended = how, s.now
		a.host.connector.stats.attempts[how].Add(1)
	} else if how == attemptAnswered {
		a.outcome, a.ended = how, s.now // late, but it is what the caller got
	}
	switch {
	case how != attemptAnswered:
		a.hold.give()
	case c.invite():
		r.answered2xx(s, a, resp)
	}
	if seen != 0 {
		a.host.health.Observe(s.now, health.Observation{Event: seen, Began: a.started, Besides: !c.invite()})
	}
	return why
}

// relay sends a response of attempt a upstream (RFC 3261 16.7 steps 3, 5 and 9).
func (r *Router) relay(s *scratch, st *stripe, c *call, a *attempt, resp *wire.Message) {
	msg := r.appendRelayed(s.out.Buf(), s, resp, c.listener)
	s.out.SendFrom(c.listener, c.local, c.replyTo, msg)
	if c.invite() && !c.refused {
		c.progressed(a, s.now)
	}
	if resp.Status < 200 {
		if c.invite() {
			c.tryingAt = never
		}
		st.store(&c.answer, msg)
		c.ringing = c.ringing || c.invite()
		return
	}
	if c.refused {
		s.tally.late2xx.Add(1) // outside of the server transaction: it ended with our refusal
		return
	}
	if c.answered {
		return // a retransmission, or the answer of another attempt
	}
	c.answered, c.stopping = true, true
	if c.invite() {
		st.release(&c.answer) // RFC 6026 7.1: INVITEs are absorbed from now on
	} else {
		st.store(&c.answer, msg)
	}
	r.conclude(s, st, c, resp.Status, answered)
}

// appendRelayed appends resp without our Via, as it leaves by listener out.
func (r *Router) appendRelayed(dst []byte, s *scratch, resp *wire.Message, out int) []byte {
	s.edits.Reset(resp.Data)
	if start := len(s.text); resp.ContentLength < 0 {
		s.text = r.appendLength(s.text, resp, out)
		s.edits.Insert(resp.Headers[0].Line.Start, s.text[start:])
	}
	vias := resp.Values(wire.HeaderVia)
	if v, ok := vias.Next(); ok {
		resp.DeleteValue(&s.edits, v)
	}
	return s.edits.Apply(dst, wire.Span{End: resp.Body.End})
}

// keep lets a final response compete for the best (RFC 3261 16.7 step 6). The
// challenges of all 401 and 407 go upstream together (step 7, RFC 8760).
func (r *Router) keep(s *scratch, st *stripe, c *call, resp *wire.Message) {
	if !c.invite() && resp.Status == 408 {
		return // it is never relayed (RFC 4320 4.2), and must not stand for what could be
	}
	challenge := resp.Status == 401 || resp.Status == 407
	if challenge && (c.bestStatus == 401 || c.bestStatus == 407) {
		r.addChallenges(s, st, c, resp)
		return
	}
	if !better(int(c.bestStatus), resp.Status) {
		return
	}
	st.store(&c.best, r.appendRelayed(s.out.Buf(), s, resp, c.listener)) // it is not sent now
	c.bestStatus = int16(resp.Status)
}

// addChallenges puts the challenges of resp behind those of the best response.
func (r *Router) addChallenges(s *scratch, st *stripe, c *call, resp *wire.Message) {
	start := len(s.text)
	for _, h := range resp.Headers {
		if h.ID == wire.HeaderWWWAuthenticate || h.ID == wire.HeaderProxyAuthenticate {
			s.text = append(s.text, resp.Bytes(h.Line)...)
		}
	}
	best := &s.orig
	if best.Parse(c.best) != nil {
		return
	}
	at := best.Headers[0].Line.Start
	for _, h := range best.Headers {
		if h.ID == wire.HeaderWWWAuthenticate || h.ID == wire.HeaderProxyAuthenticate {
			at = h.Line.End
		}
	}
	s.edits.Reset(best.Data)
	s.edits.Insert(at, s.text[start:])
	start = len(s.text)
	s.text = s.edits.Apply(s.text, wire.Span{End: best.Body.End})
	st.store(&c.best, s.text[start:])
}

// revoke ends attempt a by CANCEL: now when it has had a provisional, else at
// its first one (RFC 3261 9.1). m is the request of c.
func (r *Router) revoke(s *scratch, c *call, a *attempt, m *wire.Message) {
	if a.phase == over || a.cancelSent || !c.invite() {
		return
	}
	a.revoked = true
	a.unwatch()
	if a.phase == trying {
		return
	}
	a.cancelSent = true
	if !a.reliable() {
		a.cancelIv = t1
		a.cancelAt = s.now + t1
	}
	a.waitAt = s.now + timerB
	c.outlive(s.now)
	r.sendCancel(s, c, a, m)
}

// lostReason is why a losing attempt is cancelled (RFC 3326 3.1).
var lostReason = []byte("Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n")

func (r *Router) sendCancel(s *scratch, c *call, a *attempt, m *wire.Message) {
	h := wire.Hop{Method: wire.CANCEL, Extra: c.reason}
	if c.answered {
		h.Extra = lostReason
	}
	s.out.Send(c.out(a), a.host.addr, r.appendHop(s.out.Buf(), s, c, a, m, h))
}

// sendAck acknowledges a refusal to the host that sent it, each time it comes.
func (r *Router) sendAck(s *scratch, c *call, a *attempt, m, resp *wire.Message) {
	h := wire.Hop{Method: wire.ACK, To: resp.Bytes(resp.To.Value)}
	s.out.Send(c.out(a), a.host.addr, r.appendHop(s.out.Buf(), s, c, a, m, h))
}
