package load

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// stream is a connection, over TCP or TLS. The loop reads and writes it, without
// waiting; nobody else does.
type stream struct {
	fd     int
	local  netip.AddrPort
	whose  endpoint
	wire   *wire
	secure *tls.Conn // nil over TCP
	in     []byte    // what has come and is no whole message yet
	out    []byte    // what leaves at the next flush
	used   int       // the window in which a message last came
	gone   bool
}

// newStream takes a connection over from Go's runtime, which would wake up for
// all that comes. wire has to be below secure.
func newStream(conn *net.TCPConn, w *wire, secure *tls.Conn, whose endpoint) (*stream, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, dup := -1, error(nil)
	if err := raw.Control(func(of uintptr) { fd, dup = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || dup != nil {
		return nil, errors.Join(err, dup)
	}
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	_ = conn.Close() // the connection itself stays, by the other descriptor
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	w.Conn, w.loop = nil, true
	return &stream{fd: fd, local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), whose: whose, wire: w, secure: secure}, nil
}

func (c *stream) close() {
	if !c.gone {
		c.gone = true
		_ = unix.Close(c.fd)
	}
}

// put adds a message to what leaves at the next flush.
func (c *stream) put(msg []byte) { c.out = append(c.out, msg...) }

// flush writes what there is, as much as the kernel takes. It is false when the
// connection is gone.
func (c *stream) flush() bool {
	if c.gone {
		return false
	}
	if c.secure != nil && len(c.out) > 0 {
		if _, err := c.secure.Write(c.out); err != nil {
			return false
		}
		c.out = c.out[:0]
	}
	text := &c.out
	if c.secure != nil {
		text = &c.wire.out
	}
	for len(*text) > 0 {
		n, err := unix.Write(c.fd, *text)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return true
		case err != nil:
			return false
		default:
			*text = (*text)[:copy(*text, (*text)[n:])]
		}
	}
	return true
}

// stuck says whether something waits for the peer to read.
func (c *stream) stuck() bool { return len(c.out)+len(c.wire.out) > 0 }

const (
	readSize = 64 << 10
	longest  = 64 << 10 // bytes of a message; what is longer is none
)

// read takes what has come. It is false when the connection is gone.
func (c *stream) read(buf []byte) bool {
	n, err := unix.Read(c.fd, buf)
	switch {
	case err == unix.EINTR || err == unix.EAGAIN:
		return true
	case err != nil || n == 0:
		return false
	case c.secure == nil:
		c.in = append(c.in, buf[:n]...)
		return true
	}
	c.wire.in = buf[:n]
	for {
		if cap(c.in)-len(c.in) < 16<<10 { // the most that a TLS record has
			c.in = append(make([]byte, 0, 2*cap(c.in)+32<<10), c.in...)
		}
		n, err := c.secure.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+n]
		if err != nil {
			return errors.Is(err, errLater)
		}
	}
}

// next is the first whole message of those from a place on, and the place behind
// it; nil if there is none. It is not ok when what comes is no SIP.
func (c *stream) next(at int) (msg []byte, end int, ok bool) {
	for at < len(c.in) && (c.in[at] == '\r' || c.in[at] == '\n') { // keep-alives (RFC 5626 3.5.1)
		at++
	}
	text := c.in[at:]
	head := bytes.Index(text, []byte("\r\n\r\n"))
	if head < 0 {
		return nil, at, len(text) <= longest
	}
	length := 0
	for rest, line := text[:head], []byte(nil); len(rest) > 0; {
		line, rest, _ = cutLine(rest)
		name, value, _ := bytes.Cut(line, []byte(":"))
		if header(name) == "Content-Length" {
			if length, ok = decimal(bytes.TrimSpace(value)); !ok {
				return nil, at, false
			}
		}
	}
	whole := head + len("\r\n\r\n") + length
	if whole > len(text) {
		return nil, at, whole <= longest
	}
	return text[:whole], at + whole, true
}

// wire is what crypto/tls reads and writes: the connection itself during the
// handshake, then what the loop has read, and will write.
type wire struct {
	net.Conn
	loop    bool
	in, out []byte
}

// errLater is that nothing is there yet. crypto/tls goes on after a temporary
// error where it was.
var errLater net.Error = notYet{}

type notYet struct{}

func (notYet) Error() string   { return "nothing is there yet" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

func (w *wire) Read(b []byte) (int, error) {
	switch {
	case !w.loop:
		return w.Conn.Read(b)
	case len(w.in) == 0:
		return 0, errLater
	}
	n := copy(b, w.in)
	w.in = w.in[n:]
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	if !w.loop {
		return w.Conn.Write(b)
	}
	w.out = append(w.out, b...)
	return len(b), nil
}
