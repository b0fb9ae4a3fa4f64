package router

import "sync"

// stripe is a share of the calls, found by the call key. It owns their memory
// and their timers; all of it is under one lock, which is taken once for a
// message and never held across a system call.
type stripe struct {
	mu     sync.Mutex
	heads  []*call // hash chains, a power of two
	count  int
	setups int // calls without a final response upstream
	wheel  wheel

	accepted acceptances // calls that were answered, as long as their transactions last
	ended    ring        // calls whose set-up is over
	rejected ring        // what was not let in, apart so that a flood of it leaves the calls

	idle    shelf[*call]                  // to be used again
	made    int                           // calls that there is memory for
	spares  shelf[*[moreAttempts]attempt] // room for long searches, to be used again
	buffers                               // of messages
	held    int                           // bytes of buffers in use

	most int // calls
	room int // bytes of buffers, in use or not
}

// store and release are those of its buffers, and keep count.
func (st *stripe) store(dst *[]byte, b []byte) {
	if cap(*dst) < len(b) {
		st.release(dst)
	}
	before := cap(*dst)
	st.buffers.store(dst, b)
	st.held += cap(*dst) - before
}

// release keeps no buffer for which there is no room: calls of one size after
// those of another would take as much again.
func (st *stripe) release(b *[]byte) {
	st.held -= cap(*b)
	if st.held+st.free+cap(*b) > st.room {
		*b = nil
	}
	st.buffers.release(b)
}

// full reports whether the stripe has its share of what most calls may take, of
// which each has room for messages of callRoom bytes: few calls with large bodies
// take as much as many others.
func (st *stripe) full() bool { return st.weight() >= st.most || st.held >= st.room }

// weight is how many calls it counts as having.
func (st *stripe) weight() int { return st.count + int(st.accepted.count)/acceptedWeight }

// newStripe returns a stripe for its share of most calls, which keeps its share
// of recent ones.
func newStripe(recent, most int) *stripe {
	most /= stripes
	st := &stripe{heads: make([]*call, 16), most: most, room: most * callRoom}
	share := (recent + stripes - 1) / stripes
	st.ended.most, st.rejected.most = share, (share+3)/4
	return st
}

func (r *Router) stripeOf(key uint64) *stripe { return r.stripes[key%stripes] }

func (st *stripe) find(key uint64) *call {
	for c := st.heads[st.home(key)]; c != nil; c = c.next {
		if c.key == key {
			return c
		}
	}
	return nil
}

// home uses bits of the key that do not choose the stripe.
func (st *stripe) home(key uint64) uint64 { return key / stripes & uint64(len(st.heads)-1) }

// add makes a call with that key.
func (st *stripe) add(key uint64) *call {
	if st.count >= len(st.heads) {
		st.grow()
	}
	c, ok := st.idle.take()
	if !ok {
		c = new(call)
		st.made++
	}
	home := st.home(key)
	*c = call{key: key, next: st.heads[home], deadline: never, resendAt: never, tryingAt: never, endAt: never}
	st.heads[home] = c
	st.count++
	return c
}

func (st *stripe) grow() {
	old := st.heads
	st.heads = make([]*call, 2*len(old))
	for _, c := range old {
		for c != nil {
			next := c.next
			home := st.home(c.key)
			c.next, st.heads[home] = st.heads[home], c
			c = next
		}
	}
}

// remove ends a call; its memory is used again.
func (st *stripe) remove(c *call) {
	st.wheel.remove(c)
	link := &st.heads[st.home(c.key)]
	for *link != c {
		link = &(*link).next
	}
	*link = c.next
	st.release(&c.raw)
	st.release(&c.answer)
	st.release(&c.best)
	st.release(&c.reason)
	for i := range c.count {
		c.at(i).hold.give()
		c.at(i).unwatch()
	}
	if c.more != nil {
		*c.more = [moreAttempts]attempt{} // it must not hold on to hosts
		st.spares.put(c.more)
	}
	*c = call{} // and neither must an idle call
	st.idle.put(c)
	st.count--
}
