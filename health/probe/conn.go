package probe

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// queueLength is how many responses wait for sipgo. It holds one for each
	// probe that can be in flight.
	queueLength = DefaultMaxInFlight

	// maxResponse is the longest response that is passed on; with queueLength
	// it bounds the memory that a host can make us keep.
	maxResponse = 8 << 10
)

// statusLine is how each SIP response starts. sipgo must not see requests: it
// would answer them.
var statusLine = []byte("SIP/2.0 ")

// Conn is a net.PacketConn that shares a socket which is not its own. What is
// written to it is sent by a function; what is read from it is what Deliver was
// given. So probes leave from the address and port that calls leave from,
// without sipgo reading the socket that calls come in by.
type Conn struct {
	local *net.UDPAddr
	write func(data []byte, dest netip.AddrPort) error

	// Who may answer, by the address as sipgo has it, and the address itself: a
	// link-local one has a zone, which sipgo does not know.
	sources atomic.Pointer[map[netip.AddrPort]netip.AddrPort]
	asked   asked // and who besides
	queue   chan packet
	dropped atomic.Uint64

	readOnce  sync.Once
	reading   chan struct{} // closed when somebody reads
	closeOnce sync.Once
	closed    chan struct{}
}

type packet struct {
	data []byte
	src  *net.UDPAddr
}

// NewConn returns a connection whose local address is local, the shared
// socket's. write sends a datagram from that socket; it may be called by many
// goroutines at a time and must not keep data.
func NewConn(local net.Addr, write func(data []byte, dest netip.AddrPort) error) *Conn {
	c := &Conn{
		local:   &net.UDPAddr{},
		write:   write,
		queue:   make(chan packet, queueLength),
		reading: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	// sipgo finds the connection by its address as text, without a zone and
	// with mapped IPv4 addresses as IPv4.
	if addr, err := netip.ParseAddrPort(local.String()); err == nil {
		c.local = udpAddr(plain(addr))
	}
	c.sources.Store(&map[netip.AddrPort]netip.AddrPort{})
	return c
}

// Deliver passes on a response that came in on the shared socket. It copies
// data and never blocks. It reports false for what is not passed on: when src
// is no host that is being probed, when data is not a response or longer than
// any answer to OPTIONS has reason to be, when the queue is full, and after
// Close.
func (c *Conn) Deliver(data []byte, src netip.AddrPort) bool {
	src = plain(src)
	if _, known := c.whole(src); !known || !bytes.HasPrefix(data, statusLine) {
		return false
	}
	if len(data) > maxResponse || c.isClosed() {
		c.dropped.Add(1)
		return false
	}
	select {
	case c.queue <- packet{bytes.Clone(data), udpAddr(src)}:
		return true
	default:
		c.dropped.Add(1)
		return false
	}
}

// Dropped counts the responses of hosts that were not passed on because the
// queue was full, they were too long, or the connection was closed.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// ReadFrom waits for a response. After Close it returns net.ErrClosed, the one
// error that sipgo takes as the end.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.readOnce.Do(func() { close(c.reading) })
	if c.isClosed() {
		return 0, nil, c.err("read")
	}
	select {
	case p := <-c.queue:
		return copy(b, p.data), p.src, nil
	case <-c.closed:
		return 0, nil, c.err("read")
	}
}

// WriteTo sends b to addr from the shared socket.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if c.isClosed() {
		return 0, c.err("write")
	}
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: addr, Err: errors.New("not a UDP address")}
	}
	dest := plain(to.AddrPort())
	if whole, known := c.whole(dest); known {
		dest = whole
	}
	if err := c.write(b, dest); err != nil {
		return 0, err
	}
	return len(b), nil
}

// whole is who may answer from an address as sipgo has it.
func (c *Conn) whole(at netip.AddrPort) (netip.AddrPort, bool) {
	if whole, known := (*c.sources.Load())[at]; known {
		return whole, true
	}
	return c.asked.whole(at)
}

// Close ends all reads. The shared socket stays as it is.
func (c *Conn) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	return nil
}

// LocalAddr returns the shared socket's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// SetDeadline is not supported; sipgo sets none on UDP.
func (c *Conn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline is not supported.
func (c *Conn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline is not supported.
func (c *Conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func (c *Conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *Conn) err(op string) error {
	return &net.OpError{Op: op, Net: "udp", Addr: c.local, Err: net.ErrClosed}
}

// plain returns a without a zone, and an IPv4 address in IPv6 form as IPv4.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

func udpAddr(a netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(a) }
