package load

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tandem/bench/mmsg"
)

const (
	bufferSize = 4 << 20 // of sockets, each way
	batch      = 64      // datagrams that one system call receives
	datagram   = 4096    // longer ones are cut off, and count as garbled
)

// now is the clock of everything here: the kernel's timestamps are of the same.
func now() int64 { return time.Now().UnixNano() }

type address = unix.RawSockaddrInet4

// hop is where a message goes, or comes from.
type hop struct {
	addr address
	conn *stream // instead, over TCP and TLS
}

type socket struct {
	fd        int
	addr      netip.AddrPort
	segmented bool // the kernel cuts one send into datagrams of one size
}

// listen opens a socket whose datagrams carry the moment of their arrival.
func listen(addr netip.AddrPort) (*socket, error) {
	fd, at, err := mmsg.Socket(addr, bufferSize)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &socket{fd, at, unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 0) == nil}, nil
}

func (s *socket) close() { _ = unix.Close(s.fd) }

// drops is how many datagrams the kernel had no room for.
func (s *socket) drops() int {
	var info [9]uint32 // SK_MEMINFO_VARS of linux/sock_diag.h
	size := uint32(unsafe.Sizeof(info))
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return int(info[8]) // SK_MEMINFO_DROPS
}

// inbox is a batch of datagrams, of one socket after the other.
type inbox struct {
	headers []mmsg.Header
	iovs    []unix.Iovec
	from    []hop
	bufs    [batch][datagram]byte
	control [batch][32]byte // a timestamp each
}

func newInbox() *inbox {
	in := &inbox{headers: make([]mmsg.Header, batch), iovs: make([]unix.Iovec, batch), from: make([]hop, batch)}
	for i := range in.headers {
		in.iovs[i].Base = &in.bufs[i][0]
		in.iovs[i].SetLen(datagram)
		in.headers[i].Data(in.iovs[i : i+1])
		in.headers[i].Name(&in.from[i].addr)
		in.headers[i].Control = &in.control[i][0]
	}
	return in
}

// receive takes the datagrams that are there, 0 if none is. They are valid until
// the next call.
func (in *inbox) receive(fd int) (int, error) {
	for i := range in.headers {
		in.headers[i].Namelen = unix.SizeofSockaddrInet4
		in.headers[i].SetControllen(len(in.control[i]))
	}
	n, err := mmsg.Receive(fd, in.headers, unix.MSG_DONTWAIT)
	if err == unix.EAGAIN || err == unix.EINTR {
		return 0, nil
	}
	return n, err
}

func (in *inbox) data(i int) []byte { return in.bufs[i][:min(in.headers[i].Len, datagram)] }

// at is when the kernel received a datagram.
func (in *inbox) at(i int) int64 {
	head := (*unix.Cmsghdr)(unsafe.Pointer(&in.control[i]))
	size := unix.CmsgLen(int(unsafe.Sizeof(unix.Timespec{})))
	if int(in.headers[i].Controllen) < size || head.Level != unix.SOL_SOCKET || head.Type != unix.SCM_TIMESTAMPNS {
		return now()
	}
	return (*unix.Timespec)(unsafe.Pointer(&in.control[i][unix.CmsgLen(0)])).Nano()
}

// One send takes no more messages than that, and no more bytes: an IP packet
// has 65,535, and the kernel cuts it into 64 at most (UDP_MAX_SEGMENTS).
const (
	mostSegments = 60
	mostBytes    = 60_000
)

// outbox is what is about to leave one socket.
type outbox struct {
	g       *Generator
	sock    *socket // nil over connections
	bufs    [][]byte
	to      []hop
	stamps  []*int64 // what of a call is set to the moment that the message leaves, nil for nothing
	timed   bool     // some message has one
	n       int
	headers []mmsg.Header
	iovs    []unix.Iovec
	control [][24]byte // the size of segments, for messages that leave together
}

// next is an empty buffer, for put.
func (o *outbox) next() []byte {
	if o.n == len(o.bufs) {
		o.bufs = append(o.bufs, make([]byte, 0, 2048))
		o.to, o.stamps = append(o.to, hop{}), append(o.stamps, nil)
		o.headers, o.iovs, o.control = append(o.headers, mmsg.Header{}), append(o.iovs, unix.Iovec{}), append(o.control, [24]byte{})
	}
	return o.bufs[o.n][:0]
}

func (o *outbox) put(msg []byte, to *hop, stamp *int64) {
	o.bufs[o.n], o.to[o.n], o.stamps[o.n] = msg, *to, stamp
	o.timed = o.timed || stamp != nil
	o.n++
}

// flush sends everything, in order. What the kernel refuses is counted.
func (o *outbox) flush() {
	if o.sock == nil {
		o.flushStreams()
		return
	}
	for at := 0; at < o.n; {
		if o.timed {
			o.stamp(at)
		}
		headers := o.headers[:o.gather(at)]
		sent, err := mmsg.Send(o.sock.fd, headers, unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		for i := range sent {
			at += int(headers[i].Iovlen)
		}
		if err != nil {
			o.g.mu.Lock()
			o.g.newest().Counts[SendFailed] += int(headers[0].Iovlen)
			o.g.mu.Unlock()
			at += int(headers[0].Iovlen)
		}
	}
	o.n, o.timed = 0, false
}

// gather makes headers of the messages from one on, one for all of a size that
// go to the same place one after the other. It returns how many it made.
func (o *outbox) gather(at int) (n int) {
	for ; at < o.n; n++ {
		size, end := len(o.bufs[at]), at
		for end < o.n && (end == at || o.sock.segmented && len(o.bufs[end]) == size && o.to[end] == o.to[at] &&
			end-at < mostSegments && (end-at+1)*size <= mostBytes) {
			o.iovs[end].Base = &o.bufs[end][0]
			o.iovs[end].SetLen(size)
			end++
		}
		h := &o.headers[n]
		h.Data(o.iovs[at:end])
		h.Name(&o.to[at].addr)
		h.Control = nil
		h.SetControllen(0)
		if end-at > 1 {
			control := &o.control[n]
			head := (*unix.Cmsghdr)(unsafe.Pointer(control))
			head.Level, head.Type = unix.SOL_UDP, unix.UDP_SEGMENT
			head.SetLen(unix.CmsgLen(2))
			binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], uint16(size))
			h.Control = &control[0]
			h.SetControllen(unix.CmsgSpace(2))
		}
		at = end
	}
	return n
}

// stamp tells calls when their messages leave, which is now.
func (o *outbox) stamp(from int) {
	o.g.mu.Lock()
	defer o.g.mu.Unlock()
	t := now()
	for _, stamp := range o.stamps[from:o.n] {
		if stamp != nil {
			*stamp = t
		}
	}
}
