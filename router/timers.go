package router

import (
	"context"
	"time"

	"tandem/router/transport"
)

// RunTimers fires the timers of all calls until ctx ends. now reads the
// monotonic clock; flush sends what a stripe left in the batch.
func (r *Router) RunTimers(ctx context.Context, now func() int64, flush func(now int64, out *transport.Batch)) {
	var out transport.Batch
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		at := r.Tick(now(), &out, flush)
		began := now()
		pause := time.Hour
		if at != never {
			pause = time.Duration(max(at-began, 0))
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.wake:
		}
		// A process that stood still (a machine that is moved or has too much to
		// do) hears first what came meanwhile: what a host has said long ago is no
		// silence, whatever the clock says now. Timers that are late because there
		// are many of them do not wait: that would make it more.
		if late := now() - max(at, began); at != never && late > stoodStill {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(min(late, catchUp))):
			}
		}
	}
}

// Tick fires what is due at now, stripe by stripe, and returns when to call it
// again. It is for one goroutine.
func (r *Router) Tick(now int64, out *transport.Batch, flush func(now int64, out *transport.Batch)) int64 {
	// A deadline that is set from here on and is earlier than what we are about
	// to find wakes us again.
	r.sleepUntil.Store(never)
	s := r.acquire(now, out)
	defer r.release(s)
	next := never
	for _, st := range r.stripes {
		st.mu.Lock()
		for c := st.wheel.pop(now); c != nil; c = st.wheel.pop(now) {
			r.fire(s, st, c)
		}
		st.accepted.end(now)
		next = min(next, st.wheel.next(), st.accepted.next())
		st.mu.Unlock()
		if out.Len() > 0 {
			flush(now, out)
		}
	}
	if r.names != nil {
		next = min(next, r.unpark(s, flush))
	}
	if r.mixed {
		out.Flow(0)
		if next = min(next, r.relays.fire(now, out)); out.Len() > 0 {
			flush(now, out)
		}
	}
	next = min(next, r.dialogs.sweep(now))
	r.sleepUntil.Store(next)
	r.ticks.Add(1)
	return next
}

// Alive has the timers look at everything, and comes back when they have, with
// each lock that calls take free in the meantime; or when ctx ends, with false.
func (r *Router) Alive(ctx context.Context) bool {
	before := r.ticks.Load()
	for r.ticks.Load() == before {
		r.wakeTimers()
		select {
		case <-ctx.Done():
			return false
		case <-time.After(alivePoll):
		}
	}
	return true
}

// wakeTimers makes RunTimers look at the deadlines again.
func (r *Router) wakeTimers() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// fire does what is due for call c.
func (r *Router) fire(s *scratch, st *stripe, c *call) {
	now := s.now
	r.late.observe(now - c.deadline)
	s.text = s.text[:0]
	if c.endAt <= now {
		st.remove(c)
		return
	}
	for i := range c.count {
		r.fireAttempt(s, st, c, c.at(i))
	}
	if c.resendAt <= now { // Timer G
		s.out.SendFrom(c.listener, c.local, c.replyTo, append(s.out.Buf(), c.answer...))
		c.interval = min(2*c.interval, t2)
		if c.resendAt = now + c.interval; c.resendAt > c.resendEnd {
			c.resendAt = never
		}
	}
	if c.tryingAt <= now {
		c.tryingAt = never
		r.tryingLate(s, c)
	}
	at := c.due() // Tick is about to look at the wheel
	if at <= now {
		at = onTick(now + 1) // once in a round
	}
	st.wheel.set(c, at, now)
}

func (r *Router) fireAttempt(s *scratch, st *stripe, c *call, a *attempt) {
	now := s.now
	if a.stallAt <= now {
		a.stalls(now)
	}
	if a.waitAt <= now {
		a.waitAt = never
		kind := a.timeout(c, now)
		switch {
		case kind == noAnswer && !r.another(s, c):
			a.patient, a.waitAt = true, a.ringUntil
		case kind == silence && a.stream && r.lastResort(s, c, a): // and waits anew
		default:
			r.event(s, st, c, a, event{kind: kind}, nil)
		}
	}
	if a.resendAt <= now { // Timer A, Timer E
		if a.interval *= 2; !c.invite() {
			a.interval = min(a.interval, t2)
		}
		a.resendAt = now + a.interval
		r.sendRequest(s, c, a, r.original(s, c))
	}
	if a.cancelAt <= now {
		a.cancelIv = min(2*a.cancelIv, t2)
		a.cancelAt = now + a.cancelIv
		r.sendCancel(s, c, a, r.original(s, c))
	}
}

// timeout is what the end of the attempt's phase means.
func (a *attempt) timeout(c *call, now int64) eventKind {
	switch {
	case a.cancelSent:
		a.phase = over
		a.cancelAt = never
		return cancelUnsure
	case a.phase == trying || !c.invite():
		return silence
	case a.progress && now < a.ringUntil:
		return noAnswer
	case a.progress:
		return timerC
	}
	return noProgress
}

// another reports whether c has a candidate left that is worth giving up one
// for that rings: one that is not in doubt, full or down.
func (r *Router) another(s *scratch, c *call) bool {
	if c.stopping {
		return false
	}
	s.tried = c.tried(s.tried[:0])
	s.cands = c.candidates(s.cands[:0], s.now)
	if len(s.tried) >= c.mostAttempts() {
		return false
	}
	for i := range s.cands {
		if s.cands[i].tier <= tierRecovering && !wasTried(s.cands[i].entry.host, s.tried) {
			return true
		}
	}
	return false
}

// tryingLate answers 100 to what takes long: an INVITE (RFC 3261 17.2.1) or
// another request (RFC 4320 4.1).
func (r *Router) tryingLate(s *scratch, c *call) {
	if c.answer == nil {
		r.trying(s, c, r.original(s, c))
	}
}
