package stream

import (
	"math/rand/v2"
	"time"
)

// sweepEvery is how late a time may be noticed.
const sweepEvery = 250 * time.Millisecond

// watch ends what takes too long, and pings, until Close. All connections have
// one watch: a timer for each would weigh more than the connection.
func (s *Streams) watch() {
	defer s.wg.Done()
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	var due []verdict
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			due = s.sweep(s.now(), due)
			s.mu.Lock()
			s.strangers.forget(s.now())
			s.mu.Unlock()
		}
	}
}

// verdict is what is to be done with a connection: end it, or ping it.
type verdict struct {
	c   *conn
	why End // NotEnded: ping
}

// sweep looks at all connections once. due is memory for it to use.
func (s *Streams) sweep(now int64, due []verdict) []verdict {
	due = due[:0]
	s.mu.RLock()
	for c := range s.all {
		if why, ping := c.overdue(now); why != NotEnded || ping {
			due = append(due, verdict{c, why})
		}
	}
	s.mu.RUnlock()
	for i, v := range due {
		if v.why == NotEnded {
			v.c.ping(now)
		} else {
			v.c.fail(v.why, nil)
		}
		due[i] = verdict{}
	}
	return due
}

// overdue says why c has to end at now, or that it is to be pinged.
func (c *conn) overdue(now int64) (why End, ping bool) {
	limits := &c.s.limits
	past := func(since int64, most time.Duration) bool { return since != 0 && now-since > int64(most) }
	if deadline := c.deadline.Load(); deadline != 0 {
		switch {
		case now <= deadline:
			return NotEnded, false
		case c.tcp.Load() == nil:
			return ConnectSlow, false
		}
		return HandshakeSlow, false
	}
	switch {
	case past(c.begun.Load(), limits.Complete):
		return SlowMessage, false
	case past(c.stuck.Load(), limits.Write):
		return Stalled, false
	case past(c.pinged.Load(), limits.Pong):
		if c.ponged.Load() {
			return NoPong, false
		}
		c.pinged.Store(0)
		c.listener.pingsIgnored.Add(1)
	case past(c.used.Load(), limits.Idle):
		return Idle, false
	}
	next := c.nextPing.Load()
	return NotEnded, next != 0 && now >= next && c.pinged.Load() == 0
}

// ping sends one (RFC 5626 3.5.1).
func (c *conn) ping(now int64) {
	c.nextPing.Store(c.s.pingAfter(now))
	c.pinged.Store(now) // before it is sent: the answer may be quick
	c.listener.pingsOut.Add(1)
	c.send(now, true, outgoing{dest: c.remote, data: crlfs[:4]})
}

// pingAfter is when a connection that is pinged at now is pinged again: peers
// that were connected to at once are not pinged at once (RFC 5626 4.4.1).
func (s *Streams) pingAfter(now int64) int64 {
	every := int64(s.limits.Keepalive)
	return now + every - rand.Int64N(every/5+1)
}
