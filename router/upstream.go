package router

import (
	"tandem/config/catalog"
	"tandem/config/number"
	"tandem/router/wire"
)

// request handles a request outside of the dialogs that pass through us: it
// belongs to a call by its key, or begins one.
func (r *Router) request(s *scratch, rt *routeSet) {
	m := &s.m
	key := s.callKey(&r.keys[0], m)
	if m.Method == wire.CANCEL && !r.has(key) {
		r.cancelOther(s, key, rt)
		return
	}
	st := r.stripeOf(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	c := st.find(key)
	if c == nil {
		if e := st.accepted.find(key); e != nil {
			r.acceptedRequest(s, e)
			return
		}
	}
	switch {
	case m.Method == wire.ACK:
		r.ack(s, st, c, key)
	case m.Method == wire.CANCEL && c != nil:
		r.cancel(s, st, c, key)
	case m.Method == wire.CANCEL:
		r.reply(s, key, reply{status: 481}) // it has ended just now
	case c != nil:
		r.repeat(s, c)
	default:
		r.admit(s, st, key, rt)
	}
}

// admit lets a request in, or answers it without state. Who is no trunk of ours
// is told so before any work is done for him.
func (r *Router) admit(s *scratch, st *stripe, key uint64, set *routeSet) {
	if a := r.accept(s, facts{}); a.untrusted {
		r.reject(s, key, a)
		return
	}
	rt := r.lookup(s, &set.target)
	_, own := r.ownURI(&s.m, &set.target)
	a := r.accept(s, facts{
		full:       st.full(),
		looped:     r.looped(s),
		foreign:    set.foreign,
		forOurself: rt == nil && (own || set.target.User.Len() == 0),
		routed:     rt != nil,
		scheme:     set.target.Scheme,
		badURI:     set.badURI,
		tooLarge:   rt != nil && r.tooLarge(s, key, rt),
		noTLS:      rt != nil && set.secure() && !rt.secure(),
	})
	loop := s.loopHash(&r.keys[0], &s.m)
	again := key ^ uint64(loop)<<32 // the same request, and not only its transaction
	if a == (admission{}) {
		if before := r.refusals.of(again, s.now); before.status != 0 {
			r.reject(s, key, before)
			return
		}
		if s.trunk.admits(s.now) > 0 {
			a = admission{status: 503, why: rejectRate}
			s.trunk.stats.overRate.Add(1)
		}
	}
	if a != (admission{}) {
		r.reject(s, key, a)
		if a.why != notRejected && s.m.Method == wire.INVITE {
			r.refusals.note(again, a, s.now)
			r.keepRejected(s, st, a, rt)
		}
		return
	}
	r.begin(s, st, key, loop, rt, set.secure())
}

// lookup finds the route of the number in the request-URI, after the trunk's
// strip and prepend; nil when it has none. The number stays in s.number.
func (r *Router) lookup(s *scratch, target *wire.URI) *route {
	for {
		s.number = wire.AppendNumber(s.number[:0], s.m.Data, *target)
		if s.trunk != nil {
			s.number = translate(s.number, s.trunk.Strip, s.trunk.Prepend)
		}
		if len(s.number) > maxNumber {
			return nil
		}
		k, ok := number.Parse(s.number)
		if !ok {
			return nil
		}
		match, ok := s.plan.numbers.table.Lookup(k)
		if !ok {
			return nil
		}
		if rt := s.plan.route(match.Route); rt != nil {
			return rt
		}
		// An owner that came while this batch was handled, or one that has gone.
		newer := r.plan.Load()
		if newer == s.plan {
			return nil
		}
		s.plan = newer
		s.identify() // a trunk and a route belong to one plan
	}
}

// begin makes the call, answers 100 and tries the first candidate: step 4.
func (r *Router) begin(s *scratch, st *stripe, key uint64, loop uint32, rt *route, secure bool) {
	m := &s.m
	c := st.add(key)
	r.describe(s, c, loop)
	c.route, c.secure = rt, secure
	c.started = s.now
	st.store(&c.raw, m.Data[:m.Body.End])
	c.callID = m.CallID
	st.setups++
	switch wait := s.plan.policy.TryingAfter; {
	case !c.invite():
		c.tryingAt = s.now + nonInvite100
	case wait > 0:
		c.tryingAt = s.now + int64(wait)
	default:
		r.trying(s, c, m)
	}
	r.next(s, st, c, m)
	r.arm(st, c, s.now)
}

// describe notes what the request that came says and where it came from: all
// that attempts are rendered from besides its text.
func (r *Router) describe(s *scratch, c *call, loop uint32) {
	c.method = s.m.Method
	c.listener, c.local, c.source, c.trunk = s.listener, s.local, s.source, s.trunk
	c.replyTo = replyTarget(&s.m.TopVia, s.source, r.symmetric(s.trunk, s.listener))
	c.loop = loop
	c.numberLen = uint8(copy(c.number[:], s.number))
}

// trying answers 100 to m, the request of c.
func (r *Router) trying(s *scratch, c *call, m *wire.Message) {
	s.tally.replies[1].Add(1)
	s.out.SendFrom(c.listener, c.local, c.replyTo, wire.AppendResponse(s.out.Buf(), m, wire.Response{Status: 100, Source: c.source}))
}

// repeat answers a retransmission with what was answered last (RFC 3261
// 17.2.1, 17.2.2). After a 2xx an INVITE is absorbed (RFC 6026 7.1).
func (r *Router) repeat(s *scratch, c *call) {
	switch {
	case c.answer != nil:
		s.out.SendFrom(c.listener, c.local, c.replyTo, append(s.out.Buf(), c.answer...))
	case !c.settled() && (c.invite() || c.tryingAt == never):
		c.tryingAt = never
		r.trying(s, c, &s.m) // once a non-INVITE had its 100, it has it again
	default:
		s.tally.drop(dropDuplicate)
	}
}

// ack ends the retransmission of a refusal (RFC 3261 17.2.1). The ACK of a 2xx
// has a branch of its own and comes along the route set; but clients exist
// that use the INVITE's again, and theirs goes where the INVITE was answered.
func (r *Router) ack(s *scratch, st *stripe, c *call, key uint64) {
	switch {
	case c == nil && r.ownTag(s, key):
		s.tally.drop(dropAckOwn)
	case c == nil || !c.settled():
		s.tally.drop(dropAck)
	case c.answered && r.ownTag(s, key):
		s.tally.drop(dropAckOwn) // of a refusal without state, before the call was let in
	case c.answered:
		r.ackAnswered(s, c)
	case !c.acked:
		c.acked = true
		c.resendAt = never
		st.release(&c.answer)
		r.arm(st, c, s.now)
	}
}

// ackAnswered hands the ACK of a 2xx to the host that it is for.
func (r *Router) ackAnswered(s *scratch, c *call) {
	for i := range c.count {
		if a := c.at(i); a.outcome == attemptAnswered {
			r.forwardAck(s, a.host.listeners[c.listener], a.host.addr)
			return
		}
	}
	s.tally.drop(dropAck)
}

// has reports whether there is a call with that key.
func (r *Router) has(key uint64) bool {
	st := r.stripeOf(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.find(key) != nil || st.accepted.find(key) != nil
}

// cancelOther handles a CANCEL that matches no INVITE. Of another request it
// ends nothing and is answered all the same (RFC 3261 9.2).
func (r *Router) cancelOther(s *scratch, key uint64, rt *routeSet) {
	for _, method := range cancellable {
		if r.has(s.keyAs(&r.keys[0], &s.m, method, methodBytes[method])) {
			r.reply(s, key, reply{status: 200})
			return
		}
	}
	r.cancelUnknown(s, key, rt)
}

// cancellable are the methods whose requests live as calls.
var cancellable = [...]wire.Method{wire.MESSAGE, wire.SUBSCRIBE, wire.OPTIONS, wire.PUBLISH, wire.REFER, wire.NOTIFY, wire.INFO}

// methodBytes are the names of all methods.
var methodBytes = func() (names [16][]byte) {
	for i := range names {
		names[i] = []byte(wire.Method(i).String())
	}
	return names
}()

// cancel is RFC 3261 16.10: 200 at once, whatever comes of it.
func (r *Router) cancel(s *scratch, st *stripe, c *call, key uint64) {
	if c.source.Addr() != s.source.Addr() {
		r.reply(s, key, reply{status: 481}) // whoever did not send the INVITE cannot cancel it
		return
	}
	r.reply(s, key, reply{status: 200})
	if c.settled() || c.cancelled {
		return
	}
	c.cancelled, c.stopping = true, true
	start := len(s.text)
	for _, h := range s.m.Headers {
		if h.ID == wire.HeaderReason { // RFC 3326 2: one for each protocol
			s.text = append(s.text, s.m.Bytes(h.Line)...)
		}
	}
	if start < len(s.text) {
		st.store(&c.reason, s.text[start:])
	}
	orig := r.original(s, c)
	for i := range c.count {
		r.revoke(s, c, c.at(i), orig)
	}
	if !c.pending() {
		r.settle(s, st, c, orig)
	}
	r.arm(st, c, s.now)
}

// original parses the request of c again.
func (r *Router) original(s *scratch, c *call) *wire.Message {
	_ = s.orig.Parse(c.raw) // it was parsed before
	return &s.orig
}

// next tries the next candidate, or answers that there is none: step 5 and 6.
// m is the request of c.
func (r *Router) next(s *scratch, st *stripe, c *call, m *wire.Message) (tried bool) {
	s.tried = c.tried(s.tried[:0])
	silent := c.count > 0 && c.at(c.count-1).outcome == attemptSilent
	if c.count > 0 && c.budget() > 0 && s.now-c.started >= c.budget() {
		r.settle(s, st, c, m)
		return false
	}
	if c.count == 0 && c.invite() {
		c.route.passBy(s.now)
	}
	for races := 2 * len(c.route.entries); ; races-- {
		s.cands = c.candidates(s.cands[:0], s.now)
		all := s.cands
		if c.failover().WhenAllDown == catalog.RejectDown {
			s.cands = hopeful(all)
		}
		pick := choose(s.cands, s.tried, c.mostAttempts(), silent)
		if pick == nil {
			c.spared = choose(all, s.tried, c.mostAttempts(), silent) != nil
			break
		}
		if c.count > 0 && c.late(s.now, pick.entry) {
			break
		}
		h := pick.entry.host
		if pick.view.Trial && races > len(c.route.entries) && !h.health.Claim(s.now) {
			continue // another call has the trial: the host is in doubt again
		}
		var held hold
		if c.invite() {
			var room bool
			if held, room = h.take(s.now); !room {
				if races > 0 {
					continue // other calls have just taken it: it is no candidate any more
				}
				break
			}
		}
		share := c.share(s.now, contenders(s.cands, s.tried, c.mostAttempts()))
		r.attempt(s, st, c, pick.entry, held, share, m)
		return true
	}
	r.settle(s, st, c, m)
	return false
}

// late reports whether an attempt on e could not end in time: a non-INVITE has
// 64·T1 in all (RFC 4320).
func (c *call) late(now int64, e *entry) bool {
	return !c.invite() && now-c.started > timerB-int64(e.failover[c.trunk.class].FirstResponse)
}

// budget is what the caller gives us until first progress; 0 when there is no
// limit, or progress was made.
func (c *call) budget() int64 {
	if c.rang != 0 || !c.invite() {
		return 0
	}
	return int64(c.failover().SetupBudget)
}

// share is how long the next attempt may take until first progress, when as
// many contenders are left, itself one of them.
func (c *call) share(now int64, contenders int) int64 {
	if c.budget() == 0 {
		return never
	}
	left := c.budget() - (now - c.started)
	return max(left/int64(max(contenders, 1)), leastShare)
}

// settle sends the final response when no attempt is left: the best that came,
// or our own.
func (r *Router) settle(s *scratch, st *stripe, c *call, m *wire.Message) {
	f := c.failover()
	switch {
	case c.bestStatus == 503 && f.ExhaustedCode == 0 && !c.cancelled:
		r.answerOwn(s, st, c, m, 500, exhausted) // RFC 3261 16.7 step 6: a lone 503 speaks for one host only
	case c.bestStatus != 0 && (c.invite() || c.bestStatus != 408): // never 408 to a non-INVITE (RFC 4320 4.2)
		how := refused
		if c.cancelled {
			how = cancelledByCaller
		}
		best := c.best
		c.best = nil
		r.refuse(s, st, c, int(c.bestStatus), best, how)
	case c.cancelled:
		r.answerOwn(s, st, c, m, 487, cancelledByCaller)
	case c.timedOut && c.invite():
		r.answerOwn(s, st, c, m, 408, timedOut)
	case c.count > 0 && int(c.oversized) == c.count:
		r.answerOwn(s, st, c, m, 513, exhausted) // RFC 3261 21.5.7: no host has failed
	case f.ExhaustedCode != 0 && (c.invite() || f.ExhaustedCode != 408):
		r.answerOwn(s, st, c, m, f.ExhaustedCode, exhausted)
	default:
		r.answerOwn(s, st, c, m, r.exhaustedBest(c), exhausted)
	}
}

// exhaustedBest is what RFC 3261 16.7 makes of attempts that brought no
// response: a timeout counts as 408, a transport error as 503, which goes
// upstream as 500. With nothing to try it is 480.
func (r *Router) exhaustedBest(c *call) int {
	if c.count == 0 {
		return 480
	}
	for i := range c.count {
		if o := c.at(i).outcome; c.invite() && (o == attemptSilent || o == attemptNoProgress) {
			return 408
		}
	}
	return 500
}

// answerOwn sends a final response of our own.
func (r *Router) answerOwn(s *scratch, st *stripe, c *call, m *wire.Message, status int, how outcome) {
	s.tag = toTag(s.tag[:0], &r.keys[0], c.key)
	s.tally.replies[status/100].Add(1)
	start := len(s.text)
	s.text = wire.AppendResponse(s.text, m, wire.Response{Status: status, ToTag: s.tag, Source: c.source})
	var kept []byte
	st.store(&kept, s.text[start:])
	r.refuse(s, st, c, status, kept, how)
}

// refuse sends answer, a final response other than 2xx whose memory the call
// takes over, and starts its retransmission.
func (r *Router) refuse(s *scratch, st *stripe, c *call, status int, answer []byte, how outcome) {
	s.out.SendFrom(c.listener, c.local, c.replyTo, append(s.out.Buf(), answer...))
	st.release(&c.answer)
	c.answer = answer
	c.refused, c.stopping = true, true
	if c.invite() && !r.listeners[c.listener].Transport.Reliable() {
		c.interval = t1
		c.resendAt = s.now + t1
		c.resendEnd = s.now + timerB // Timer H
	}
	r.conclude(s, st, c, status, how)
}

// progressed counts the first 101-199 or 2xx, which attempt a brought.
func (c *call) progressed(a *attempt, now int64) {
	if c.rang != 0 {
		return
	}
	c.rang = now
	c.route.stats.progress.observe(now - c.started)
	c.trunk.stats.progress.observe(now - c.started)
	if a != c.at(0) {
		c.route.stats.failover.observe(a.started - c.started)
		c.trunk.stats.failover.observe(a.started - c.started)
	}
}

// conclude notes how the call ended for the caller. Its record stays until no
// retransmission of it can come any more: step 7.
func (r *Router) conclude(s *scratch, st *stripe, c *call, status int, how outcome) {
	c.status = int16(status)
	c.tryingAt = never
	c.endAt = s.now + timerB
	st.setups--
	if how == answered && c.invite() {
		c.route.stats.answer.observe(s.now - c.started)
		c.trunk.stats.answer.observe(s.now - c.started)
	}
	c.route.stats.calls[how].Add(1)
	if c.spared && how == exhausted {
		c.route.stats.spared.Add(1)
	}
	c.trunk.stats.calls[how].Add(1)
	st.release(&c.best)
	r.keepCall(s, st, c, how)
}
