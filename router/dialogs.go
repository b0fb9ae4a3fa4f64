package router

import (
	"sync"
	"sync/atomic"

	"tandem/router/wire"
)

// dialogs are the calls that are up at hosts or connectors with max_calls: the
// one thing that is known of a dialog here (design D7). There are no more of
// them than these limits allow, but for answers that came late. One that ends
// unseen, because its BYE took another way or both sides vanished, is
// forgotten callLife after the last request that set it up or refreshed it.
type dialogs struct {
	count  atomic.Int64
	sweeps int // the next share to look for forgotten ones in; the timers'
	swept  int64
	shares [dialogShares]struct {
		mu sync.Mutex
		up map[uint64]upCall
	}
}

type upCall struct {
	hold    hold
	tag     uint32 // hash of the callee's: the end of another fork is not its end
	expires int64
}

const (
	dialogShares = 64
	sweepEvery   = 2 * second // a share
)

// key is that of a dialog at a host, whoever of its two sides sends.
func (d *dialogs) key(s *scratch, k *keys, host uint32, callID, tag []byte) uint64 {
	f := s.fields[:0].u32(host).bytes(callID).bytes(tag)
	s.fields = f
	return k.dialog.sum(f)
}

// begin keeps the place of a call that is up now. The same call again, forked
// behind the host, needs no other.
func (d *dialogs) begin(key uint64, c upCall) {
	share := &d.shares[key%dialogShares]
	share.mu.Lock()
	defer share.mu.Unlock()
	if _, again := share.up[key]; again {
		c.hold.give()
		return
	}
	if share.up == nil {
		share.up = make(map[uint64]upCall)
	}
	share.up[key] = c
	d.count.Add(1)
}

// end gives the place of a call back, once.
func (d *dialogs) end(key uint64, tag uint32) {
	share := &d.shares[key%dialogShares]
	share.mu.Lock()
	defer share.mu.Unlock()
	if c, ok := share.up[key]; ok && c.tag == tag {
		delete(share.up, key)
		c.hold.give()
		d.count.Add(-1)
	}
}

// refresh keeps a call that is seen to be alive.
func (d *dialogs) refresh(key uint64, now int64) {
	share := &d.shares[key%dialogShares]
	share.mu.Lock()
	defer share.mu.Unlock()
	if c, ok := share.up[key]; ok {
		c.expires = now + callLife
		share.up[key] = c
	}
}

// sweep forgets what is long over, a share at a time. It is for one goroutine,
// and returns when to call it again.
func (d *dialogs) sweep(now int64) int64 {
	if d.count.Load() == 0 {
		return never
	}
	if next := d.swept + sweepEvery; now < next {
		return next
	}
	d.swept = now
	share := &d.shares[d.sweeps%dialogShares]
	d.sweeps++
	share.mu.Lock()
	defer share.mu.Unlock()
	for key, c := range share.up {
		if c.expires <= now {
			delete(share.up, key)
			c.hold.give()
			d.count.Add(-1)
		}
	}
	return now + sweepEvery
}

// answered2xx moves the place of attempt a from the set-up to the dialog that
// its 2xx has begun.
func (r *Router) answered2xx(s *scratch, a *attempt, resp *wire.Message) {
	if !a.host.limited || !r.recordRoute {
		a.hold.give()
		return
	}
	if a.hold.none() {
		a.hold = a.host.add() // it was given up before
	}
	if a.hold.none() {
		return // there is no max_calls
	}
	key := r.dialogs.key(s, &r.keys[0], a.hash, resp.Bytes(resp.CallID), resp.Bytes(resp.From.Tag))
	r.dialogs.begin(key, upCall{hold: a.hold, tag: fnv32(resp.Bytes(resp.To.Tag)), expires: s.now + callLife})
	a.hold = hold{}
}

// follow lets an in-dialog request end or refresh its call, at each of the hosts that
// it went to when it passed through us twice.
func (r *Router) follow(s *scratch, rt *routeSet) {
	m := &s.m
	if r.dialogs.count.Load() == 0 || m.Method != wire.BYE && m.Method != wire.INVITE && m.Method != wire.UPDATE {
		return
	}
	r.followAt(s, rt, rt.far.token.host)
	if rt.near.token.host != rt.far.token.host {
		r.followAt(s, rt, rt.near.token.host)
	}
}

func (r *Router) followAt(s *scratch, rt *routeSet, host uint32) {
	m := &s.m
	caller, callee := m.From.Tag, m.To.Tag
	if rt.from == fromCallee {
		caller, callee = callee, caller
	}
	key := r.dialogs.key(s, &r.keys[0], host, m.Bytes(m.CallID), m.Bytes(caller))
	if m.Method == wire.BYE {
		r.dialogs.end(key, fnv32(m.Bytes(callee)))
	} else {
		r.dialogs.refresh(key, s.now)
	}
}
