package stream

import (
	"errors"
	"io"
	"net"
	"syscall"

	"tandem/router/transport"
)

// The path of bytes in: try takes what is there into a buffer of the pool, when
// something is there; handle finds the messages in it, hands them to the Handler
// in one call and sends what that leaves; hold keeps what is not whole. So a
// connection that waits holds nothing, or a buffer of the size of what it has,
// and a peer that sends faster than its messages are handled is read no faster.

const (
	// readBuffer holds some 25 messages, or one record of TLS.
	readBuffer = 16 << 10
	// shortHeld is how much of a message is held in a buffer of its size: beyond
	// it, one that grows serves, and is counted.
	shortHeld = 2 << 10
	// memoryShare is what part of Limits.Memory one address has, or who begins many
	// messages and ends none would have the connections of all others closed.
	memoryShare = 4
	// maxPongs bounds what one read is answered with.
	maxPongs = 64
)

// batch is what reading takes while there is something to read.
type batch struct {
	buf     [readBuffer]byte
	packets []transport.Packet
	out     transport.Batch
}

// reader is the receiving side of a connection. It belongs to c's goroutine.
type reader struct {
	framer framer
	held   []byte // the beginning of a message
	long   int    // bytes of it that are counted in Streams.holding: its room, when it grows
	half   bool   // one CRLF of a ping was there
	proved bool   // something was read

	batch *batch // of the read at hand
	into  []byte // what it brought, behind what was held
	err   error  // why it is the last one
}

func (c *conn) read() {
	for {
		if err := c.sock.fill(); err != nil {
			c.fail(Reset, err) // somebody failed it already, or it would not be closed
			break
		}
		if !c.handle() {
			break
		}
	}
	c.end()
}

// try takes what is there; false when that is nothing. It runs while the
// poller's lock is held, and waits for nothing.
func (c *conn) try() bool {
	b := c.s.batches.Get().(*batch)
	into := c.held
	if c.long == 0 {
		into = append(b.buf[:0], c.held...)
	}
	n, err := c.take(into[len(into):cap(into)])
	if n == 0 && err == errWait {
		c.s.batches.Put(b)
		c.noteRecord()
		return false
	}
	if err == errWait {
		err = nil
	}
	c.batch, c.into, c.err = b, into[:len(into)+n], err
	return true
}

// noteRecord takes a record of TLS that is not whole for a message that is not:
// it may be one.
func (c *conn) noteRecord() {
	switch {
	case c.secure == nil || len(c.held) > 0:
	case !c.secure.within():
		c.begun.Store(0)
	case c.begun.Load() == 0:
		c.begun.Store(c.s.now())
	}
}

// take reads what there is room for.
func (c *conn) take(p []byte) (n int, err error) {
	if c.secure == nil {
		return c.sock.read(p)
	}
	for n < len(p) && err == nil {
		var more int
		more, err = c.secure.tls.Read(p[n:])
		n += more
	}
	return n, err
}

// handle works off what try took, and says whether to go on.
func (c *conn) handle() bool {
	b, now := c.batch, c.s.now()
	if !c.proved && len(c.into) > len(c.held) {
		c.proved = true
		c.prove()
	}
	used, pings, why := c.frame(now)
	if len(b.packets) > 0 {
		if c.s.config.Awake {
			c.s.awake.Saw(now)
		}
		c.used.Store(now)
		c.s.handler.Packets(now, b.packets, &b.out)
		c.s.flush(now, &b.out)
		b.out.Reset()
		clear(b.packets)
		b.packets = b.packets[:0]
	}
	if pings > 0 {
		c.used.Store(now)
		c.listener.pingsIn.Add(uint64(pings))
		c.send(now, true, outgoing{dest: c.remote, data: crlfs[:2*min(pings, maxPongs)]})
	}
	if c.secure != nil && why == NotEnded {
		why = c.answer(now)
	}
	if why == NotEnded && c.err == nil {
		why = c.hold(used)
	}
	left := len(c.into) - used
	c.s.batches.Put(b)
	err := c.err
	c.batch, c.into, c.err = nil, nil, nil
	switch {
	case why != NotEnded:
		c.fail(why, nil)
	case err != nil:
		c.fail(c.cause(err, left), err)
	default:
		return true
	}
	return false
}

// crlfs are pongs.
var crlfs = func() (b [2 * maxPongs]byte) {
	for i := 0; i < len(b); i += 2 {
		b[i], b[i+1] = '\r', '\n'
	}
	return b
}()

// frame makes packets of the whole messages and counts pings. What it says last
// is why the stream cannot be read on.
func (c *conn) frame(now int64) (used, pings int, why End) {
	b, bytes := c.batch, 0
	for {
		what, size, why := c.framer.next(c.into[used:])
		switch what {
		case more:
			c.listener.received.Add(uint64(len(b.packets)))
			c.listener.bytesIn.Add(uint64(bytes))
			return used, pings, why
		case message:
			b.packets = append(b.packets, transport.Packet{
				Data:     c.into[used : used+size : used+size],
				Source:   c.remote,
				Listener: c.listener.Index,
				Local:    c.local,
				Peer:     c.peer,
			})
			bytes += size
			c.half = false
			c.begun.Store(0) // now, and not after a Handler that takes its time
			if c.pinged.Load() != 0 {
				c.pinged.Store(now) // it lives, and still owes an answer
			}
		case crlf:
			if c.pong() {
				break
			}
			if c.half = !c.half; !c.half {
				pings++
			}
		}
		used += size
	}
}

// pong takes a CRLF for the answer to our ping, if there was one.
func (c *conn) pong() bool {
	if c.pinged.Load() == 0 {
		return false
	}
	c.pinged.Store(0)
	c.ponged.Store(true)
	c.half = false
	return true
}

// hold keeps what is behind the last whole message.
func (c *conn) hold(used int) End {
	left, need := c.into[used:], c.framer.total
	if len(left) == 0 {
		c.begun.Store(0)
		c.forgetHeld()
		return NotEnded
	}
	if used > 0 || c.begun.Load() == 0 {
		c.begun.Store(c.s.now()) // the Handler's time is not the peer's
	}
	switch {
	case c.long > 0 && used == 0 && cap(c.held) > len(left):
		c.held = left // it stands there
	case len(left) <= shortHeld:
		if c.long > 0 {
			c.forgetHeld() // left stands there still
		}
		c.held = append(c.held[:0], left...)
	default:
		if need == 0 { // a header: the framer lets none be longer
			need = c.framer.maxHeader + 1
		}
		need = min(need, 2*len(left)) // by what came, not by what the peer says will come
		c.forgetHeld()
		if !c.holdMore(need) {
			c.holdMore(-need)
			return NoMemory
		}
		c.held, c.long = append(make([]byte, 0, need), left...), need
	}
	return NotEnded
}

// holdMore counts bytes that are held, or are not any more. It is false when they
// are more than there may be.
func (c *conn) holdMore(n int) bool {
	all, most := c.s.holding.Add(int64(n)), int64(c.s.limits.Memory)
	if c.holds != nil && c.holds.Add(int64(n)) > most/memoryShare {
		return false
	}
	return all <= most
}

// forgetHeld drops what is held.
func (c *conn) forgetHeld() {
	c.holdMore(-c.long)
	c.held, c.long = nil, 0
}

// cause is why a read failed, with so many bytes of a message there.
func (c *conn) cause(err error, left int) End {
	var op *net.OpError
	var errno syscall.Errno
	switch {
	case err == io.EOF && left == 0:
		return ByPeer
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return CutShort
	case errors.As(err, &op) && op.Op == "remote error": // over TLS 1.3 the peer judges us when we are done
		return HandshakeFailed
	case c.secure == nil, errors.As(err, &errno), errors.Is(err, net.ErrClosed):
		return Reset
	}
	return Broken
}
