package stream

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"

	"tandem/router/transport"
)

// A connection has one goroutine at a time that it belongs to: that dials or
// shakes hands, then another that reads, because waiting does not need the deep
// stack that the first steps grew. end is the last step, and the only place
// where a connection leaves the tables. Whoever else finds that it has to end
// says so with fail, which closes the socket, and that ends the goroutine.
type conn struct {
	s        *Streams
	listener *listener
	remote   netip.AddrPort
	local    netip.Addr         // what it was accepted on, where the listener has many addresses
	aliases  []netip.AddrPort   // guarded by Streams.mu
	arrived  bool               // dialled, and there; guarded by Streams.mu
	cancel   context.CancelFunc // of the dial; nil when accepted
	who      *ClientTLS         // dialled over TLS: who has to be there
	stranger *share             // dialled, and not known to Config.Known
	peer     *transport.Peer    // from begin on
	holds    *atomic.Int64      // of Streams.holding: what its address has; nil: a host's, which may have all

	tcp    atomic.Pointer[net.TCPConn]
	sock   socket  // from begin on
	secure *secure // from begin on; nil: TCP
	ending atomic.Pointer[ending]

	// Times that watch looks at, on the clock Config.Now. 0: does not apply.
	deadline atomic.Int64 // of the connect or the handshake
	used     atomic.Int64 // last message either way, or ping of the peer's
	begun    atomic.Int64 // first byte of the message that is not whole
	stuck    atomic.Int64 // since when the peer takes nothing
	pinged   atomic.Int64 // our ping that is not answered
	nextPing atomic.Int64
	ponged   atomic.Bool // the peer has answered a ping

	reader
	writer
}

// ending is why a connection ends.
type ending struct {
	why End
	err error
}

func (c *conn) dialled() bool { return c.cancel != nil }

// connected takes a socket over. It is false when c was failed meanwhile.
func (c *conn) connected(tcp *net.TCPConn) bool {
	c.tcp.Store(tcp)
	if c.ending.Load() != nil { // fail may have come too early to see it
		_ = tcp.Close()
		return false
	}
	return true
}

// begin opens c for messages, what waits for it first, and starts to read.
func (c *conn) begin(sec *secure) {
	if err := c.sock.init(c.tcp.Load(), c.try); err != nil {
		c.fail(Reset, err)
		c.end()
		return
	}
	c.framer = framer{maxHeader: c.s.limits.Header, maxBody: c.s.limits.Body}
	now := c.s.now()
	if sec != nil {
		sec.sock, c.secure = &c.sock, sec
	}
	c.used.Store(now)
	if c.dialled() && c.s.limits.Keepalive > 0 {
		c.nextPing.Store(c.s.pingAfter(now))
	}
	c.deadline.Store(0)
	c.mu.Lock()
	c.open = true
	if len(c.queue) > 0 {
		c.startWriting(now)
	}
	c.mu.Unlock()
	if c.dialled() {
		c.s.arrive(c)
	} else {
		c.s.publish(c)
	}
	go c.read()
}

// fail ends c for the first reason that it is given. It may be called from any
// goroutine that holds no lock.
func (c *conn) fail(why End, err error) {
	if !c.ending.CompareAndSwap(nil, &ending{why, err}) {
		return
	}
	if c.dialled() {
		c.cancel()
	}
	if tcp := c.tcp.Load(); tcp != nil {
		c.farewell(why, tcp)
		_ = tcp.Close()
	}
}

// farewell tells a peer that may hear it that no more comes. What a peer does
// not take, the kernel need not keep for it.
func (c *conn) farewell(why End, tcp *net.TCPConn) {
	switch why {
	case Stalled, NoPong, NoMemory, SlowMessage, HandshakeSlow:
		_ = tcp.SetLinger(0)
	case ByPeer, CutShort, Reset, Broken:
	default:
		c.sayGoodbye()
	}
}

// end is the last step of c, which has failed: what it did not deliver is
// reported.
func (c *conn) end() {
	e := c.ending.Load()
	c.s.remove(c)
	c.forgetHeld()
	c.mu.Lock()
	c.open, c.closed = false, true
	var left []waiting
	if !c.writing { // else the writer does it, when it knows how far it came
		left = c.takeQueue()
	}
	c.mu.Unlock()
	c.s.ended(c.listener, c.remote, c.dialled(), e.why, e.err)
	c.s.undelivered(c.listener, left, !c.dialled())
	c.s.wg.Done()
}
