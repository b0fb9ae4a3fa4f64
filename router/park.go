package router

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"tandem/config/catalog"
	"tandem/router/names"
	"tandem/router/transport"
	"tandem/router/wire"
)

// An in-dialog request whose next hop is a name that nobody has asked for yet
// is parked: copied, and handled again from the start once its name is known
// or parkTime is over. What comes after it in its dialog waits behind it, so
// that a BYE does not overtake an ACK. Nothing else waits.

// parked is a request that waits.
type parked struct {
	data     []byte
	listener int
	source   netip.AddrPort
	local    netip.Addr
	peer     *transport.Peer
	dialog   uint64 // mac of its token
	host     []byte // in data: the name that it waits for; empty behind another
	until    int64
}

// park holds the parked requests in the order of their arrival.
type park struct {
	count atomic.Int32 // of waiting: most requests look at nothing else
	look  atomic.Bool  // a name may have come

	mu      sync.Mutex
	waiting []parked
	bytes   int
}

// park keeps the request that came until the name at host is known; false when
// there is no room.
func (r *Router) park(s *scratch, dialog uint64, host wire.Span) bool {
	p := &r.parking
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.parkLocked(s, dialog, host)
}

// parkBehind keeps the request that came if another of its dialog waits.
func (r *Router) parkBehind(s *scratch, dialog uint64) bool {
	p := &r.parking
	if p.count.Load() == 0 || s.waited {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	behind := slices.ContainsFunc(p.waiting, func(w parked) bool { return w.dialog == dialog })
	return behind && r.parkLocked(s, dialog, wire.Span{})
}

func (r *Router) parkLocked(s *scratch, dialog uint64, host wire.Span) bool {
	p := &r.parking
	m := &s.m
	if len(p.waiting) >= parkRoom || p.bytes+len(m.Data) > parkBytes {
		return false
	}
	data := append([]byte(nil), m.Data...)
	p.waiting = append(p.waiting, parked{data, s.listener, s.source, s.local, s.peer, dialog, data[host.Start:host.End], s.now + parkTime})
	p.bytes += len(data)
	p.count.Add(1)
	p.look.Store(true) // the name may have come meanwhile
	s.tally.parked.Add(1)
	r.wakeTimers()
	return true
}

// Resolved has parked requests looked at again: some name is known now.
func (r *Router) Resolved() {
	r.parking.look.Store(true)
	r.wakeTimers()
}

// unpark handles the parked requests that need not wait any more, and returns
// when the next one need not. They count as parked until they are sent: what
// comes meanwhile stays behind them.
func (r *Router) unpark(s *scratch, flush func(now int64, out *transport.Batch)) (next int64) {
	p := &r.parking
	for {
		ready, next := r.ready(s.now)
		if len(ready) == 0 {
			return next
		}
		s.waited = true
		for i := range ready {
			w := &ready[i]
			s.listener, s.source, s.local, s.peer = w.listener, w.source, w.local, w.peer
			r.handle(s, w.data)
		}
		s.waited = false
		if s.out.Len() > 0 {
			flush(s.now, s.out)
		}
		p.mu.Lock()
		p.waiting = slices.DeleteFunc(p.waiting, func(w parked) bool {
			left := slices.ContainsFunc(ready, func(r parked) bool { return &r.data[0] == &w.data[0] })
			if left {
				p.bytes -= len(w.data)
				p.count.Add(-1)
			}
			return left
		})
		p.mu.Unlock()
		p.look.Store(true) // who waited behind one of them
	}
}

// ready copies those that need not wait any more, in the order of their
// arrival, and tells when the first of the others need not.
func (r *Router) ready(now int64) (ready []parked, next int64) {
	p := &r.parking
	p.mu.Lock()
	defer p.mu.Unlock()
	next = never
	looked := p.look.Swap(false)
	var held []uint64 // dialogs
	for _, w := range p.waiting {
		wait := w.until > now && (slices.Contains(held, w.dialog) || len(w.host) > 0 && (!looked || r.unknown(w.host)))
		if wait {
			held = append(held, w.dialog)
			next = min(next, w.until)
			continue
		}
		ready = append(ready, w)
	}
	return ready, next
}

func (r *Router) unknown(host []byte) bool {
	_, state := r.names.Get(host)
	return state == names.Pending
}

// named is where the name of a next hop leads, and over what, t unless it is the
// host which answered; not valid when it leads nowhere.
// Of several addresses it is that of the host which answered the call, else the
// one that all requests of the dialog choose. A name that leads nowhere means
// something to whoever wrote it: the caller's requests then go to the host which
// answered. wait is true when a better answer may come in time.
func (r *Router) named(s *scratch, rt *routeSet, host wire.Span, port uint16, t catalog.Transport) (dest netip.AddrPort, by catalog.Transport, wait bool) {
	answered, by, known := netip.AddrPort{}, t, false
	if rt.from == fromCaller {
		if answered, by, known = s.plan.known.at(rt.far.token.connector, rt.far.token.host); !known {
			by = t
		}
	}
	if r.names == nil {
		return answered, by, false
	}
	addrs, state := r.names.Get(s.m.Bytes(host))
	if known && slices.Contains(addrs, answered.Addr()) {
		return netip.AddrPortFrom(answered.Addr(), port), t, false
	}
	dest = answered
	a, ok := names.Choose(addrs, rt.far.token.mac, func(a netip.Addr) bool {
		_, ok := r.listenerFor(a, t, rt.listener)
		return ok && r.allowed(s, netip.AddrPortFrom(a, port))
	})
	switch {
	case ok:
		dest, by = netip.AddrPortFrom(a, port), t
	case !known && len(addrs) > 0:
		dest = netip.AddrPortFrom(addrs[0], port) // where it may not go
	}
	return dest, by, state == names.Pending && !s.waited
}
