package stream

import (
	"bytes"
	"net/netip"
	"sync"
)

// The path of a message out: send writes it at once where nothing waits, in the
// caller's goroutine, without waiting and without a copy. What the peer does
// not take at once is copied to the queue, and a goroutine works it off that
// exists only as long as something is there.

// sealAhead is how many bytes of a queue are written in one call.
const sealAhead = 64 << 10

// writer is the sending side of a connection.
type writer struct {
	mu      sync.Mutex
	open    bool // dialled, shaken hands
	closed  bool // end was here
	writing bool // a goroutine works the queue off: the socket's writes are its own
	queue   []waiting
	queued  int    // bytes of it
	sealed  int    // messages of it, from the first, whose bytes were put into rest
	done    int    // bytes of the first that the system has
	rest    []byte // what it has not, of those sealed

	// Messages that the system has, on a connection of ours on which nothing has
	// come back yet. Over TLS 1.3 the peer judges our certificate when we take the
	// handshake for done; balancers accept, and close when nobody is behind them.
	// So these are delivered when something comes, and are reported when the
	// connection is closed or breaks before.
	unproven []waiting
	proven   bool
	unsure   int // bytes of unproven
}

// waiting is a message in a queue.
type waiting struct {
	data []byte // ours; nil: of TLS itself
	dest netip.AddrPort
	own  bool // a ping or a pong: not reported
	ours bool // it was for us that it could not be sent
	wire int  // bytes that it has in rest, from its sealing on
}

// outgoing is a message that somebody wants to be sent.
type outgoing struct {
	dest    netip.AddrPort
	data    []byte
	connect bool   // see Connect
	name    []byte // of who is there; with connect
	back    bool   // see transport.Batch.Back
}

// copied is m as it waits in a queue.
func (m *outgoing) copied() waiting { return waiting{data: bytes.Clone(m.data), dest: m.dest} }

// send sends messages or queues them, and never waits. It is false, and nothing
// happened, when c is at its end. own is true for a ping or a pong.
func (c *conn) send(now int64, own bool, run ...outgoing) bool {
	c.mu.Lock()
	if c.closed || c.ending.Load() != nil {
		c.mu.Unlock()
		return false
	}
	if !own {
		c.used.Store(now)
	}
	if !c.open || c.writing {
		left := c.enqueue(own, run)
		c.mu.Unlock()
		c.s.undelivered(c.listener, left, false) // it is there still
		return true
	}
	joined := c.s.join(run)
	wire, err := run[0].data, error(nil)
	if joined != nil {
		wire = *joined
	}
	if c.secure != nil {
		wire, err = c.secure.seal(wire)
	}
	n := 0
	if err == nil {
		n, err = c.sock.write(wire)
	}
	switch {
	case err != nil:
	case n == len(wire):
		for _, m := range run {
			c.listener.count(m.data, own)
			if !own && c.doubtful() {
				c.doubt(m.copied())
			}
		}
	default:
		for _, m := range run {
			c.keep(m, own)
		}
		c.startSealed(now, wire, n)
	}
	c.mu.Unlock()
	if joined != nil {
		c.s.joins.Put(joined)
	}
	if err != nil {
		c.fail(Reset, err)
	}
	return err == nil
}

// join returns the bytes of several messages, one behind the other, in memory of
// the pool.
func (s *Streams) join(run []outgoing) *[]byte {
	if len(run) == 1 {
		return nil
	}
	all := s.joins.Get().(*[]byte)
	*all = (*all)[:0]
	for _, m := range run {
		*all = append(*all, m.data...)
	}
	return all
}

// enqueue copies messages to the queue, and returns those that have no room.
func (c *conn) enqueue(own bool, run []outgoing) (left []waiting) {
	for _, m := range run {
		last := len(c.queue) - 1
		switch {
		case own && last >= c.sealed && c.queue[last].own && c.queued+len(m.data) <= c.s.limits.Queue:
			c.queue[last].data = append(c.queue[last].data, m.data...) // pongs for who does not read: not an entry for each
			c.queued += len(m.data)
		case c.queued == 0 || c.queued+len(m.data) <= c.s.limits.Queue:
			c.keep(m, own)
		case !own:
			c.listener.queueFull.Add(1)
			left = append(left, m.copied())
		}
	}
	return left
}

// answer sends what crypto/tls had to say while it read. It is Stalled when the
// peer takes nothing and has more of that to come than anybody needs: each update of
// keys may ask for one of ours (RFC 8446 4.6.3).
func (c *conn) answer(now int64) End {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return NotEnded
	case c.writing: // the writer takes it along
		if c.secure.waiting() > maxAnswers {
			return Stalled
		}
		return NotEnded
	}
	wire := c.secure.take()
	if len(wire) == 0 {
		return NotEnded
	}
	if n, err := c.sock.write(wire); err == nil && n < len(wire) { // an error is the reader's to find
		c.queue = append(c.queue, waiting{own: true})
		c.startSealed(now, wire, n)
	}
	return NotEnded
}

// sayGoodbye sends the TLS alert that ends a connection, where there is room for
// it.
func (c *conn) sayGoodbye() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open && !c.writing && c.secure != nil && c.secure.tls.CloseWrite() == nil {
		_, _ = c.sock.write(c.secure.take())
	}
}

// keep copies a message to the queue.
func (c *conn) keep(m outgoing, own bool) {
	c.queue = append(c.queue, waiting{data: bytes.Clone(m.data), dest: m.dest, own: own})
	c.queued += len(m.data)
	if !own {
		c.listener.queued.Add(1)
	}
}

// startSealed starts to work off the messages that are queued, which are wire,
// with n bytes of it gone.
func (c *conn) startSealed(now int64, wire []byte, n int) {
	for i := range c.queue {
		c.queue[i].wire = len(c.queue[i].data)
	}
	if c.secure != nil { // in records that they share: all are gone when these are
		for i := range c.queue {
			c.queue[i].wire = 0
		}
		c.queue[0].wire = len(wire)
	}
	c.sealed, c.done = len(c.queue), n
	c.rest = append(c.rest, wire[n:]...)
	c.startWriting(now)
	c.wrote(0) // some may be gone
}

func (c *conn) startWriting(now int64) {
	c.writing = true
	c.stuck.Store(now)
	c.s.wg.Add(1) // c's own goroutine is among those waited for still
	go c.write()
}

// write works the queue off.
func (c *conn) write() {
	defer c.s.wg.Done()
	c.mu.Lock()
	var err error
	for err == nil && !c.closed {
		if err = c.seal(); err != nil || len(c.rest) == 0 {
			break
		}
		rest, n := c.rest, 0
		c.mu.Unlock()
		n, err = c.sock.writeSome(rest)
		now := c.s.now()
		c.mu.Lock()
		c.wrote(n)
		c.stuck.Store(now)
	}
	if err != nil { // first, or somebody would write behind what is queued
		c.mu.Unlock()
		c.fail(Reset, err)
		c.mu.Lock()
	}
	c.writing = false
	c.stuck.Store(0)
	var left []waiting
	if c.closed {
		left = c.takeQueue()
	} else if err == nil {
		c.queue, c.rest = nil, nil // an idle connection holds nothing
	}
	c.mu.Unlock()
	c.s.undelivered(c.listener, left, !c.dialled())
}

// seal puts messages of the queue into rest, when that is empty.
func (c *conn) seal() error {
	if len(c.rest) > 0 {
		return nil
	}
	rest := c.rest[:0]
	if c.secure != nil {
		if wire := c.secure.take(); len(wire) > 0 { // answers of TLS, before what follows
			c.queue = append([]waiting{{own: true, wire: len(wire)}}, c.queue...)
			c.sealed, rest = 1, wire
		}
	}
	for c.sealed < len(c.queue) && len(rest) < sealAhead {
		m, before := &c.queue[c.sealed], len(rest)
		if c.secure == nil {
			rest = append(rest, m.data...)
		} else {
			wire, err := c.secure.seal(m.data)
			if err != nil {
				return err
			}
			rest = append(rest, wire...)
		}
		m.wire = len(rest) - before
		c.sealed++
	}
	c.rest = rest
	return nil
}

// wrote counts n bytes of rest as gone.
func (c *conn) wrote(n int) {
	c.rest = c.rest[n:]
	c.done += n
	for c.sealed > 0 && c.done >= c.queue[0].wire {
		m := &c.queue[0]
		c.done -= m.wire
		c.queued -= len(m.data)
		c.listener.count(m.data, m.own)
		if !m.own && c.doubtful() {
			c.doubt(*m)
		}
		*m = waiting{}
		c.queue = c.queue[1:]
		c.sealed--
	}
}

// doubtful is whether what is sent may not be delivered, see unproven.
func (c *conn) doubtful() bool { return !c.proven && c.dialled() }

// doubt keeps a message that was sent until something comes back.
func (c *conn) doubt(m waiting) {
	if c.unsure+len(m.data) <= c.s.limits.Queue {
		c.unproven = append(c.unproven, m)
		c.unsure += len(m.data)
	}
}

// prove takes what was sent for delivered.
func (c *conn) prove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proven, c.unproven, c.unsure = true, nil, 0
}

// takeQueue empties the queue for good, and returns what was not delivered.
func (c *conn) takeQueue() []waiting {
	left := c.queue
	switch c.ending.Load().why {
	case ByPeer, CutShort, Reset, HandshakeFailed, Broken:
		left = append(c.unproven, left...)
	case NoSocket:
		for i := range left {
			left[i].ours = true
		}
	}
	c.queue, c.rest, c.queued, c.sealed = nil, nil, 0, 0
	c.unproven = nil
	return left
}
