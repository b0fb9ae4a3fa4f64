package router

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"tandem/router/transport"
	"tandem/router/wire"
)

// relays are what came over a connection within a dialog and left by UDP. Who
// sent it sends nothing again, so we do: a request as a client transaction would
// (RFC 3261 17.1.1.2, 17.1.2.2), until a response comes back, and the refusal of
// an INVITE as a server transaction would (17.2.1, Timer G), until its ACK does.
// What comes by UDP and leaves over a connection is sent again by its sender, and
// lost by nobody else.
type relays struct {
	count atomic.Int64 // of byKey, to look at without mu
	mu    sync.Mutex
	byKey map[uint64]*relay
	bytes int
	// Those that wait equally long stand in order of time: INVITEs and others, by
	// how often they were sent.
	queues [2][relayStages][]*relay
}

type relay struct {
	key      uint64
	invite   bool
	stage    int
	due, end int64
	listener int
	local    netip.Addr // of a response: what it leaves from
	dest     netip.AddrPort
	msg      []byte
	settled  bool // it needs nothing more, and is taken out of its queue when its turn comes
}

const (
	relayStages = 7 // 500 ms, doubled, until 64*T1 is over
	maxRelays   = 20_000
	relayBytes  = 32 << 20
	relayBatch  = 256 // that are sent again at once
)

// wait is how long a relay waits after it was sent so often.
func (p *relay) wait() int64 {
	wait := t1 << p.stage
	if !p.invite {
		wait = min(wait, t2)
	}
	return wait
}

// add keeps what was just sent; false when it is kept already. When there are too
// many it is left to its fate, false too, and that is counted.
func (l *relays) add(now int64, p relay, t *tally) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey == nil {
		l.byKey = make(map[uint64]*relay)
	}
	switch {
	case l.byKey[p.key] != nil:
		return false
	case len(l.byKey) >= maxRelays, l.bytes+len(p.msg) > relayBytes:
		t.drop(dropRepeat)
		return false
	}
	p.due, p.end = now+t1, now+timerB
	p.msg = append([]byte(nil), p.msg...)
	l.byKey[p.key] = &p
	l.count.Add(1)
	l.bytes += len(p.msg)
	q := l.queue(&p)
	*q = append(*q, &p)
	return true
}

// queue is where p waits.
func (l *relays) queue(p *relay) *[]*relay {
	if p.invite {
		return &l.queues[0][p.stage]
	}
	return &l.queues[1][p.stage]
}

// heard ends the retransmission of a request that a response came for: an INVITE's
// with any, another's with a final one.
func (l *relays) heard(key uint64, status int) {
	if l.count.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.byKey[key]; p != nil && (status >= 200 || p.invite) {
		l.forget(p)
	}
}

// repeats reports whether a request was sent again.
func (l *relays) repeats(key uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.byKey[key]
	return p != nil && p.stage > 0
}

func (l *relays) forget(p *relay) {
	delete(l.byKey, p.key)
	l.count.Add(-1)
	l.bytes -= len(p.msg)
	p.settled, p.msg = true, nil
}

// fire sends again some of what is due, and returns when to come again.
func (l *relays) fire(now int64, out *transport.Batch) (next int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = never
	sent := 0
	for kind := range l.queues {
		for stage := range l.queues[kind] {
			q := &l.queues[kind][stage]
			for len(*q) > 0 && ((*q)[0].settled || (*q)[0].due <= now) {
				if sent++; sent > relayBatch {
					return now
				}
				p := (*q)[0]
				(*q)[0] = nil
				*q = (*q)[1:]
				switch {
				case p.settled:
				case now >= p.end:
					l.forget(p) // its sender knows by a timer of its own
				default:
					out.SendFrom(p.listener, p.local, p.dest, append(out.Buf(), p.msg...))
					p.stage = min(p.stage+1, relayStages-1)
					p.due = min(now+p.wait(), p.end)
					again := l.queue(p)
					*again = append(*again, p)
				}
			}
			if len(*q) > 0 {
				next = min(next, (*q)[0].due)
			} else {
				*q = nil
			}
		}
	}
	return next
}

// repeatRelay has the request that was just forwarded by UDP sent again until it
// is answered, when it came over a connection. An ACK has no answer.
func (r *Router) repeatRelay(s *scratch, out int, dest netip.AddrPort, msg []byte) {
	if !r.mixed || s.m.Method == wire.ACK || !r.listeners[s.listener].Transport.Reliable() || r.listeners[out].Transport.Reliable() {
		return
	}
	r.repeatLater(s, relay{key: s.callKey(&r.keys[0], &s.m), invite: s.m.Method == wire.INVITE, listener: out, dest: dest, msg: msg})
}

// repeatFinal does the same for the refusal of an INVITE, until acked.
func (r *Router) repeatFinal(s *scratch, b *branch, out int, dest netip.AddrPort, msg []byte) {
	if r.listeners[s.listener].Transport.Reliable() && !r.listeners[out].Transport.Reliable() {
		r.repeatLater(s, relay{key: ^b.key, listener: out, local: r.machine.at(b.local), dest: dest, msg: msg})
	}
}

// acked ends the retransmission of the refusal that the ACK which came is for.
func (r *Router) acked(s *scratch) {
	if r.relays.count.Load() > 0 {
		r.relays.heard(^s.callKey(&r.keys[0], &s.m), 200)
	}
}

func (r *Router) repeatLater(s *scratch, p relay) {
	if r.relays.add(s.now, p, s.tally) && s.now+t1 < r.sleepUntil.Load() {
		r.wakeTimers()
	}
}
