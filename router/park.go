package router

import (
	"net/netip"
	"slices"
	"sync"

	"tandem/router/names"
	"tandem/router/wire"
)

// An in-dialog request whose next hop is a name that nobody has asked for yet
// is parked: copied, and handled again from the start once its name is known
// or parkTime is over. Nothing else waits for it.

// named is where the name of a next hop leads; not valid when it leads nowhere.
// Of several addresses it is that of the host which answered the call, else the
// one that all requests of the dialog choose. A name that leads nowhere means
// something to whoever wrote it: the caller's requests then go to the host which
// answered. wait is true when a better answer may come in time.
func (r *Router) named(s *scratch, rt *routeSet, host wire.Span, port uint16) (dest netip.AddrPort, wait bool) {
	answered := s.plan.answered(rt)
	if answered != nil {
		dest = answered.addr
	}
	if r.names == nil {
		return dest, false
	}
	addrs, state := r.names.Get(s.m.Bytes(host))
	if answered != nil && slices.Contains(addrs, answered.addr.Addr()) {
		return netip.AddrPortFrom(answered.addr.Addr(), port), false
	}
	a, ok := names.Choose(addrs, rt.token.mac, func(a netip.Addr) bool {
		_, ok := r.listenerFor(a, rt.listener)
		return ok
	})
	if ok {
		dest = netip.AddrPortFrom(a, port)
	}
	return dest, state == names.Pending && !s.waited
}

// answered is the host that answered the call, for requests of the caller's.
func (pl *plan) answered(rt *routeSet) *host {
	if rt.from != fromCaller {
		return nil
	}
	for _, h := range pl.hosts {
		if h.id == rt.token.host && h.connector.id == rt.token.connector {
			return h
		}
	}
	return nil
}

// parked is a request that waits for a name.
type parked struct {
	data     []byte
	listener int
	source   netip.AddrPort
	local    netip.Addr
	host     []byte // in data
	until    int64
}

type park struct {
	mu      sync.Mutex
	waiting []parked
	bytes   int
}

// park keeps the request that came until host is known; false when there is no
// room. host lies in the request.
func (r *Router) park(s *scratch, host wire.Span) bool {
	p := &r.parking
	m := &s.m
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) >= parkRoom || p.bytes+len(m.Data) > parkBytes {
		return false
	}
	data := append([]byte(nil), m.Data...)
	p.waiting = append(p.waiting, parked{data, s.listener, s.source, s.local, data[host.Start:host.End], s.now + parkTime})
	p.bytes += len(data)
	s.tally.parked.Add(1)
	_, state := r.names.Get(data[host.Start:host.End])
	if state != names.Pending || s.now+parkTime < r.sleepUntil.Load() {
		r.wakeTimers() // the name has come meanwhile, or the timers would oversleep
	}
	return true
}

// Resolved has parked requests looked at again: some name is known now.
func (r *Router) Resolved() { r.wakeTimers() }

// unpark handles the parked requests that need not wait any more, and returns
// when the next one need not.
func (r *Router) unpark(s *scratch) (next int64) {
	p := &r.parking
	next = never
	var ready []parked
	p.mu.Lock()
	waiting := p.waiting[:0]
	for _, w := range p.waiting {
		if _, state := r.names.Get(w.host); state == names.Pending && w.until > s.now {
			waiting = append(waiting, w)
			next = min(next, w.until)
			continue
		}
		ready = append(ready, w)
		p.bytes -= len(w.data)
	}
	clear(p.waiting[len(waiting):])
	p.waiting = waiting
	p.mu.Unlock()
	s.waited = true
	for i := range ready {
		w := &ready[i]
		s.listener, s.source, s.local = w.listener, w.source, w.local
		r.handle(s, w.data)
	}
	s.waited = false
	return next
}
