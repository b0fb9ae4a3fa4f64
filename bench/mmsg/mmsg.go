// Package mmsg receives and sends batches of datagrams by recvmmsg(2) and
// sendmmsg(2), without memory of its own and without telling Go's scheduler: a
// call that blocks keeps its thread and its P. It is for IPv4, and for
// goroutines that have a thread to themselves.
package mmsg

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Header is a struct mmsghdr: where a datagram is or goes to, and its length.
// What it points to has to be kept alive, and where it is, by its owner.
type Header struct {
	unix.Msghdr
	Len uint32
}

// Receive waits for a datagram, unless flags has MSG_DONTWAIT, and takes what
// there is. A signal makes it EINTR, as nothing to take makes it EAGAIN.
func Receive(fd int, into []Header, flags int) (int, error) {
	return call(unix.SYS_RECVMMSG, fd, into, flags)
}

// Send sends all, or says how many it sent before the kernel took no more.
func Send(fd int, all []Header, flags int) (int, error) {
	return call(unix.SYS_SENDMMSG, fd, all, flags)
}

func call(number uintptr, fd int, headers []Header, flags int) (int, error) {
	if len(headers) == 0 {
		return 0, nil
	}
	n, _, err := unix.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), uintptr(flags), 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

// Name makes an address the one that a header is from or for.
func (h *Header) Name(addr *unix.RawSockaddrInet4) {
	h.Msghdr.Name, h.Namelen = (*byte)(unsafe.Pointer(addr)), unix.SizeofSockaddrInet4
}

// Data makes iovecs what a header is filled into or made of.
func (h *Header) Data(all []unix.Iovec) {
	h.Iov = &all[0]
	h.SetIovlen(len(all))
}

// Address is an address as the kernel writes it.
func Address(addr netip.AddrPort) unix.RawSockaddrInet4 {
	raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.Addr().As4()}
	SetPort(&raw, addr.Port())
	return raw
}

// SetPort sets a port, which is in the network's order.
func SetPort(addr *unix.RawSockaddrInet4, port uint16) {
	bytes := (*[2]byte)(unsafe.Pointer(&addr.Port))
	bytes[0], bytes[1] = byte(port>>8), byte(port)
}

// AddrPort is the address as Go writes it.
func AddrPort(raw *unix.RawSockaddrInet4) netip.AddrPort {
	bytes := (*[2]byte)(unsafe.Pointer(&raw.Port))
	return netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), uint16(bytes[0])<<8|uint16(bytes[1]))
}

// Socket opens a UDP socket at an address, with buffers of so many bytes each
// way: it asks twice, as more than the system's limit needs CAP_NET_ADMIN. It
// returns the address that it got.
func Socket(addr netip.AddrPort, buffer int) (fd int, at netip.AddrPort, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, at, err
	}
	for force, plain := range map[int]int{unix.SO_RCVBUFFORCE: unix.SO_RCVBUF, unix.SO_SNDBUFFORCE: unix.SO_SNDBUF} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, buffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, buffer)
		}
	}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err == nil {
		var name unix.Sockaddr
		if name, err = unix.Getsockname(fd); err == nil {
			in := name.(*unix.SockaddrInet4)
			return fd, netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), nil
		}
	}
	_ = unix.Close(fd)
	return -1, at, err
}
