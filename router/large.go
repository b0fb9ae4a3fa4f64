package router

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem/config/catalog"
	"tandem/router/transport"
	"tandem/router/wire"
)

// A request of more than udp_mtu to a host over UDP goes over TCP where the host
// takes it (RFC 3261 18.1.1): a datagram of that size leaves in fragments, and
// those are lost where firewalls and NATs drop them. That a host takes TCP at the
// same address is learned from an OPTIONS that is sent when the first such request
// comes: a call does not wait for a handshake with a host that was never seen to
// take one. What cannot leave over TCP leaves by UDP at once.
//
// It is the request alone that changes its transport, with its CANCEL and the ACK
// of a refusal. Record-Route says what it says for small ones: what follows in the
// dialog is small as a rule, and plain Contacts mean UDP. A large request within
// the dialog, to the address of such a host, goes the same way in its turn.

// streamRest is how long a host gets nothing over TCP after that has failed, and
// how long it is not asked again.
const streamRest = 5 * time.Minute

// large is what becomes of large requests to a host.
type large struct {
	mtu     int // bytes of what is not large; a host over connections has no limit
	mode    catalog.LargeRequests
	named   bool  // the connector names the listener to send from
	streams []int // the one over TCP, by the listener a call came to; -1 is none
	taker   *taker
}

// taker is what is known of an address over UDP: whether it takes TCP as well. All
// hosts there share it, and it outlives a change of policy.
type taker struct {
	takes atomic.Bool  // it was seen to
	rests atomic.Int64 // it gets nothing over TCP until then
	asked atomic.Int64 // it is not asked until then
}

// takers are those of all hosts of the policy in force.
type takers struct {
	mu     sync.Mutex
	byAddr map[netip.AddrPort]*taker
}

func (t *takers) of(at netip.AddrPort) *taker {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byAddr == nil {
		t.byAddr = make(map[netip.AddrPort]*taker)
	}
	if t.byAddr[at] == nil {
		t.byAddr[at] = new(taker)
	}
	return t.byAddr[at]
}

// retain forgets what is no host of pl any more.
func (t *takers) retain(pl *plan) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.byAddr, func(at netip.AddrPort, _ *taker) bool { return pl.byAddr[hostPlace{addr: at}] == nil })
}

// largeOf is what becomes of large requests to h, which has its listeners.
func (r *Router) largeOf(h *host, cc *catalog.Connector, says catalog.Large) large {
	l := large{mtu: math.MaxInt, mode: says.Requests, named: cc.Listener != ""}
	if h.transport != catalog.UDP {
		return l
	}
	l.mtu, l.taker = says.MTU, r.takers.of(h.addr)
	for _, udp := range h.listeners {
		l.streams = append(l.streams, r.streamFor(h.addr.Addr(), udp, l.named))
	}
	return l
}

// streamFor is the TCP listener that reaches dest, at best one at the address of
// the listener of UDP that is used for it, and only there when that is named; -1
// when there is none.
func (r *Router) streamFor(dest netip.Addr, udp int, named bool) int {
	found := -1
	for i := range r.listeners {
		l := &r.listeners[i]
		if l.Transport != catalog.TCP || !l.reaches(dest) {
			continue
		}
		if l.Addr.Addr() == r.listeners[udp].Addr.Addr() {
			return i
		}
		if found < 0 && !named {
			found = i
		}
	}
	return found
}

// out is the listener that attempt a leaves from.
func (c *call) out(a *attempt) int {
	if a.stream {
		return a.host.large.streams[c.listener]
	}
	return a.host.listeners[c.listener]
}

// reliable reports whether nothing of the attempt is sent again.
func (a *attempt) reliable() bool { return a.stream || a.host.transport.Reliable() }

// What large requests leave over.
const (
	largeTCP = iota
	largeUDP
	largeFallback // by UDP, after TCP had failed
	largeWays
)

var largeNames = [largeWays]string{"tcp", "udp", "fallback"}

// larger decides what attempt a travels over, whose request as it would leave by
// UDP is msg and is large, and returns it as it leaves.
func (r *Router) larger(s *scratch, c *call, a *attempt, m *wire.Message, msg []byte) []byte {
	if !r.takesStream(s.now, a.host, a.host.large.streams[c.listener]) {
		if len(msg) <= largestMessage(a.host.addr, a.host.transport) {
			s.tally.large[largeUDP].Add(1)
		}
		return msg
	}
	a.stream = true
	s.tally.large[largeTCP].Add(1)
	return r.appendRequest(s.out.Buf(), s, c, a, m)
}

// takesStream reports whether large requests go to h over TCP now, from the
// listener out, -1 for none. While that is not known it has somebody find out.
func (r *Router) takesStream(now int64, h *host, out int) bool {
	l := &h.large
	if l.mode == catalog.LargeUDP || out < 0 {
		return false
	}
	if l.overStream(now) {
		return true
	}
	t := l.taker
	if l.mode == catalog.LargeTCP {
		return false
	}
	// Probes that are switched off say that the host does not want OPTIONS.
	next, until := t.asked.Load(), now+int64(streamRest)
	if r.ask != nil && h.settings.Probe && now >= next && t.asked.CompareAndSwap(next, until) &&
		!r.ask(Question{Listener: out, Addr: h.addr, URI: h.configured, Says: h.connector.probe}) {
		t.asked.CompareAndSwap(until, next) // nobody had the time: the next request asks
	}
	return false
}

// reach is the listeners that large requests may leave from over TCP.
func (l *large) reach() (listeners []int) {
	for _, i := range l.streams {
		if i >= 0 && l.mode != catalog.LargeUDP {
			listeners = append(listeners, i)
		}
	}
	return listeners
}

// overStream reports whether TCP is what is known to do.
func (l *large) overStream(now int64) bool {
	return (l.mode == catalog.LargeTCP || l.taker.takes.Load()) && now >= l.taker.rests.Load()
}

// largeOver is what large requests to h would go over now, where that is not what
// others go over; else "".
func (h *host) largeOver(now int64) string {
	l := &h.large
	if l.taker == nil || l.mode == catalog.LargeUDP || slices.Max(l.streams) < 0 || !l.overStream(now) {
		return ""
	}
	return catalog.TCP.String()
}

// probes reports whether a host is asked there: over what it is reached over, or
// one over UDP whether it takes TCP.
func (pl *plan) probes(at hostPlace) bool {
	return pl.byAddr[at] != nil || at.over == catalog.TCP && pl.byAddr[hostPlace{addr: at.addr}] != nil
}

// Question is whether a host over UDP answers OPTIONS over TCP.
type Question struct {
	Listener int // to ask from
	Addr     netip.AddrPort
	URI      string        // the host's
	Says     catalog.Probe // what OPTIONS say
}

// TakesStream tells the router that the host over UDP at an address was seen to
// take SIP over TCP.
func (r *Router) TakesStream(at netip.AddrPort) {
	r.takers.mu.Lock()
	t := r.takers.byAddr[at]
	r.takers.mu.Unlock()
	if t == nil {
		return // no host any more
	}
	t.rests.Store(0)
	if !t.takes.Swap(true) {
		r.log.Info("a host over UDP takes TCP: large requests go that way", "host", at.String())
	}
}

// streamFailed has large requests to h leave by UDP for a while.
func (r *Router) streamFailed(now int64, h *host) {
	t := h.large.taker
	until := now + int64(streamRest)
	t.asked.Store(until)
	took, rested := t.takes.Swap(false), t.rests.Swap(until)
	if took || rested <= now { // else it was said before
		r.offer(record{kind: recordNoStream, source: h.addr})
	}
}

// streamLost handles a request of an attempt to a host over UDP, method, that could
// not be delivered over TCP for why. That says nothing about the host, and where it
// was for limits of ours nothing about the connection either. A CANCEL goes by UDP
// then, and the request itself unless the call has no time or no use for it.
func (r *Router) streamLost(s *scratch, st *stripe, c *call, a *attempt, method []byte, why transport.Cause) {
	if why != transport.SendError {
		r.streamFailed(s.now, a.host)
	}
	switch {
	case !a.stream:
		return
	case string(method) == "CANCEL":
		if !a.cancelSent || a.phase == over {
			return
		}
		a.stream = false
		a.cancelIv = t1
		a.cancelAt = s.now + t1
		r.sendCancel(s, c, a, r.original(s, c))
	case a.phase != trying || a.abandoned:
		return
	case c.ends(s.now):
		r.event(s, st, c, a, event{kind: unreachable, status: 1}, nil)
	case !r.fallBack(s, c, a):
		r.oversized(s, st, c, a)
	}
	r.arm(st, c, s.now)
}

// fallBack sends the request of attempt a by UDP, after TCP. The host has as long
// to answer it and to go on as any other. It is false when no datagram holds the
// request.
func (r *Router) fallBack(s *scratch, c *call, a *attempt) bool {
	a.stream = false
	msg := r.appendRequest(s.out.Buf(), s, c, a, r.original(s, c))
	if len(msg) > largestMessage(a.host.addr, a.host.transport) {
		a.stream = true
		return false
	}
	s.tally.large[largeFallback].Add(1)
	a.interval = t1
	a.resendAt = s.now + t1
	share := c.share(s.now, 1)
	a.started = s.now // of what went by before, nothing is the host's
	a.waitAt = s.now + min(int64(a.failover.FirstResponse), share)
	a.progressBy = s.now + min(int64(a.failover.Progress), share)
	if !c.invite() {
		a.waitAt = min(a.waitAt, c.started+timerB)
	}
	s.out.Send(c.out(a), a.host.addr, msg)
	s.out.Alone()
	return true
}

// ends reports whether c has no time or no use for another request.
func (c *call) ends(now int64) bool {
	return c.stopping || c.budget() > 0 && now-c.started >= c.budget()
}

// lastResort makes attempt a of c, over TCP and without an answer, by UDP: when
// there is nothing else to try. A host that has the request then gets it twice,
// under one branch, and has said nothing to it for as long as hosts are waited for.
func (r *Router) lastResort(s *scratch, c *call, a *attempt) bool {
	if a.phase != trying || a.abandoned || c.ends(s.now) {
		return false
	}
	s.tried = c.tried(s.tried[:0])
	s.cands = c.candidates(s.cands[:0], s.now)
	if c.failover().WhenAllDown == catalog.RejectDown {
		s.cands = hopeful(s.cands)
	}
	if choose(s.cands, s.tried, c.mostAttempts(), true) != nil || !r.fallBack(s, c, a) {
		return false
	}
	r.streamFailed(s.now, a.host)
	return true
}
