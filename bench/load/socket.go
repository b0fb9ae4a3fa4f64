package load

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	bufferSize = 4 << 20 // of sockets, each way
	batch      = 64      // datagrams that one system call receives
	datagram   = 4096    // longer ones are cut off, and count as garbled
)

// now is the clock of everything here: the kernel's timestamps are of the same.
func now() int64 { return time.Now().UnixNano() }

type socket struct {
	udp   *net.UDPConn
	batch *ipv4.PacketConn
	addr  netip.AddrPort
	raw   syscall.RawConn
}

// listen opens a socket whose datagrams carry the moment of their arrival.
func listen(addr netip.AddrPort) (*socket, error) {
	options := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = setOptions(int(fd)) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := options.ListenPacket(context.Background(), "udp4", addr.String())
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		_ = udp.Close()
		return nil, err
	}
	return &socket{udp, ipv4.NewPacketConn(udp), udp.LocalAddr().(*net.UDPAddr).AddrPort(), raw}, nil
}

func setOptions(fd int) error {
	for force, plain := range map[int]int{unix.SO_RCVBUFFORCE: unix.SO_RCVBUF, unix.SO_SNDBUFFORCE: unix.SO_SNDBUF} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, bufferSize) != nil { // needs CAP_NET_ADMIN
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, bufferSize) // what it drops is reported
		}
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

func (s *socket) close() { _ = s.udp.Close() }

// drops is how many datagrams the kernel had no room for.
func (s *socket) drops() int {
	var info [9]uint32 // SK_MEMINFO_VARS of linux/sock_diag.h
	size := uint32(unsafe.Sizeof(info))
	_ = s.raw.Control(func(fd uintptr) {
		_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	return int(info[8]) // SK_MEMINFO_DROPS
}

// inbox is a batch of datagrams.
type inbox struct {
	sock *socket
	msgs []ipv4.Message
}

func newInbox(s *socket) *inbox {
	in := &inbox{sock: s, msgs: make([]ipv4.Message, batch)}
	for i := range in.msgs {
		in.msgs[i].Buffers = [][]byte{make([]byte, datagram)}
		in.msgs[i].OOB = make([]byte, 64)
	}
	return in
}

// receive waits for datagrams. They are valid until the next call.
func (in *inbox) receive() (int, error) { return in.sock.batch.ReadBatch(in.msgs, 0) }

func (in *inbox) data(i int) []byte { return in.msgs[i].Buffers[0][:in.msgs[i].N] }

// at is when the kernel received a datagram.
func (in *inbox) at(i int) int64 {
	m := &in.msgs[i]
	head, data, _, err := unix.ParseOneSocketControlMessage(m.OOB[:m.NN])
	if err != nil || head.Level != unix.SOL_SOCKET || head.Type != unix.SCM_TIMESTAMPNS || len(data) < int(unsafe.Sizeof(unix.Timespec{})) {
		return now()
	}
	return (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
}

// outbox is what one goroutine is about to send from one socket.
type outbox struct {
	g      *Generator
	sock   *socket
	msgs   []ipv4.Message
	stamps []*int64 // what of a call is set to the moment that the message leaves, nil for nothing
	timed  bool     // some message has one
	n      int
}

// next is an empty buffer, for put.
func (o *outbox) next() []byte {
	if o.n == len(o.msgs) {
		o.msgs = append(o.msgs, ipv4.Message{Buffers: [][]byte{make([]byte, 0, 2048)}})
		o.stamps = append(o.stamps, nil)
	}
	return o.msgs[o.n].Buffers[0][:0]
}

func (o *outbox) put(msg []byte, to net.Addr, stamp *int64) {
	m := &o.msgs[o.n]
	m.Buffers[0], m.Addr, o.stamps[o.n] = msg, to, stamp
	o.timed = o.timed || stamp != nil
	o.n++
}

// flush sends everything, in order. What the kernel refuses is counted.
func (o *outbox) flush() {
	for at := 0; at < o.n; {
		if o.timed {
			o.stamp(at)
		}
		n, err := o.sock.batch.WriteBatch(o.msgs[at:o.n], 0)
		if err != nil {
			o.g.mu.Lock()
			o.g.newest().Counts[SendFailed]++
			o.g.mu.Unlock()
			n = max(n, 0) + 1
		}
		at += n
	}
	o.n, o.timed = 0, false
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
