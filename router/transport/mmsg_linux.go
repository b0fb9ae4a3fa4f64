package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sys/socket.h: Go pads it as C does.
type mmsghdr struct {
	unix.Msghdr
	received uint32 // bytes, written by recvmmsg and sendmmsg
}

// envelope is one received datagram's place in a batch: address and payload.
// Headers stand in an array of their own because the kernel wants them side by
// side. Both arrays live in one heap object and point into each other; the
// collector does not move heap objects.
type envelope struct {
	name sockaddr
	iov  unix.Iovec
}

func (m *mmsghdr) link(e *envelope) {
	m.Name = (*byte)(unsafe.Pointer(&e.name))
	m.Iov = &e.iov
	m.SetIovlen(1)
}

// offer lets the first n bytes of c stand beside the datagram.
func (m *mmsghdr) offer(c *control, n int) {
	m.Control = (*byte)(unsafe.Pointer(c))
	m.SetControllen(n)
}

// segment makes the kernel cut what m sends into datagrams of that size, by a
// control message after those that stand in c already.
func (m *mmsghdr) segment(c *control, size int) {
	at := int(m.Controllen)
	head := (*unix.Cmsghdr)(unsafe.Pointer(&c.bytes()[at]))
	head.Level, head.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	head.SetLen(unix.CmsgLen(sizeofSegment))
	*(*uint16)(unsafe.Pointer(&c.bytes()[at+unix.CmsgLen(0)])) = uint16(size)
	m.SetControllen(at + unix.CmsgSpace(sizeofSegment))
}

const sizeofSegment = 2 // a uint16, udp(7)

// The next two calls of the hot path never wait, so the scheduler need not know of
// them: a raw system call spares telling it.

// recvmmsg takes the datagrams that are there and returns how many.
func recvmmsg(fd int, heads []mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(heads))), uintptr(len(heads)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// sendmmsg sends some of heads, in order, and returns how many. It never waits:
// datagrams for a dead neighbour hold the socket's buffer for seconds.
func sendmmsg(fd int, heads []mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(heads))), uintptr(len(heads)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// await is recvmmsg that waits for the first datagram, as long as the socket's
// time-out says: then it is EAGAIN. A signal, which Go's runtime sends too, ends it
// with EINTR: no call goes on by itself on a socket with a time-out (signal(7)).
// The scheduler is told.
func await(fd int, heads []mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(heads))), uintptr(len(heads)), unix.MSG_WAITFORONE, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// recvmsg reads one message without waiting.
func recvmsg(fd int, head *unix.Msghdr, flags uintptr) (int, unix.Errno) {
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(head)), flags|unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
