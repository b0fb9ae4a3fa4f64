package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is one UDP socket of one worker. It is shared by that worker, timers
// and probes, so the file descriptor is closed by the last of its users:
// a closed number is soon another file's.
type socket struct {
	fd       int
	bell     int             // an epoll of fd alone, where workers block; else -1
	file     *os.File        // of bell, else of fd: what the runtime's poller watches
	poll     syscall.RawConn // of file
	refs     atomic.Int32    // the owner's reference and one per use under way
	wildcard bool
	whole    atomic.Bool // datagrams do not leave together
	counters
}

// acquire is false when the socket is closed. Each use ends with release.
func (s *socket) acquire() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *socket) release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	if s.bell >= 0 {
		_ = unix.Close(s.fd)
	}
	_ = s.file.Close()
}

// wake ends a wait for datagrams.
func (s *socket) wake() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

// openSockets opens one socket per worker on addr and returns the address they
// are bound to.
func openSockets(addr netip.AddrPort, cfg Config) ([]*socket, netip.AddrPort, error) {
	var socks []*socket
	for len(socks) < cfg.workers() {
		fd, err := openSocket(addr, cfg, len(socks) == 0)
		if err == nil && len(socks) == 0 {
			addr, err = boundAddr(fd)
		}
		if err != nil {
			if fd >= 0 {
				_ = unix.Close(fd)
			}
			releaseAll(socks)
			return nil, addr, err
		}
		s, err := newSocket(fd, addr, cfg)
		if err != nil {
			releaseAll(socks)
			return nil, addr, err
		}
		socks = append(socks, s)
	}
	warnBuffer(cfg.log(), socks[0].fd, addr, "receive", unix.SO_RCVBUF, cfg.receiveBuffer(), "net.core.rmem_max")
	warnBuffer(cfg.log(), socks[0].fd, addr, "send", unix.SO_SNDBUF, cfg.sendBuffer(), "net.core.wmem_max")
	return socks, addr, nil
}

// newSocket takes fd over, also when it fails.
func newSocket(fd int, addr netip.AddrPort, cfg Config) (*socket, error) {
	s := &socket{fd: fd, bell: -1, wildcard: addr.Addr().IsUnspecified()}
	s.refs.Store(1)
	s.whole.Store(cfg.Whole || !segments(fd))
	if !cfg.Block {
		s.file = os.NewFile(uintptr(fd), "udp")
	} else if err := s.block(); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	var err error
	if s.poll, err = s.file.SyscallConn(); err != nil {
		s.release()
	}
	return s, err
}

// segments says whether the kernel has UDP_SEGMENT, which Linux 4.18 brought.
func segments(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	return err == nil
}

func releaseAll(socks []*socket) {
	for _, s := range socks {
		s.release()
	}
}

// openSocket binds one socket. The first of an address is bound without
// SO_REUSEPORT, which fails while anybody else holds the address, and is opened
// to its siblings only after that: two processes that both bind this way never
// share a port, whoever is first and however close they are. (A process of the
// same user that binds with SO_REUSEPORT at once can still join; nothing but
// another user id prevents that.)
func openSocket(addr netip.AddrPort, cfg Config, first bool) (int, error) {
	family := unix.AF_INET6
	if addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := setOptions(fd, family, addr.Addr().IsUnspecified(), cfg); err != nil {
		return fd, err
	}
	sa, err := bindAddr(addr)
	if err != nil {
		return fd, err
	}
	if !first {
		if err := setReusePort(fd); err != nil {
			return fd, err
		}
	}
	switch err := unix.Bind(fd, sa); {
	case errors.Is(err, unix.EADDRINUSE):
		return fd, fmt.Errorf("udp %s is in use by another process: %w", addr, err)
	case err != nil:
		return fd, fmt.Errorf("udp %s: %w", addr, os.NewSyscallError("bind", err))
	}
	if first && cfg.workers() > 1 {
		return fd, setReusePort(fd)
	}
	return fd, nil
}

func setReusePort(fd int) error {
	return os.NewSyscallError("setsockopt SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

func setOptions(fd, family int, wildcard bool, cfg Config) error {
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, cfg.receiveBuffer())
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, cfg.sendBuffer())
	type option struct {
		name              string
		level, opt, value int
	}
	// Without path MTU discovery the don't-fragment bit stays clear and a
	// datagram longer than the path's MTU leaves in fragments. With it the
	// kernel, once a router had asked for smaller ones, would refuse long
	// datagrams with EMSGSIZE, and nobody here could make an INVITE shorter.
	options := []option{
		{"IP_RECVERR", unix.IPPROTO_IP, unix.IP_RECVERR, 1},
		{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
	}
	if family == unix.AF_INET6 {
		options = []option{
			{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			{"IPV6_RECVERR", unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1},
			{"IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT},
		}
	}
	if wildcard {
		pktinfo := option{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1}
		if family == unix.AF_INET6 {
			pktinfo = option{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}
		}
		options = append(options, pktinfo)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	return nil
}

// setBuffer passes the system's limit where we may (CAP_NET_ADMIN) and goes up
// to it where we may not; warnBuffer tells the operator.
func setBuffer(fd, force, plain, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
}

func warnBuffer(log *slog.Logger, fd int, addr netip.AddrPort, what string, opt, asked int, sysctl string) {
	granted, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	granted /= 2 // the kernel doubles it for its own book-keeping (socket(7))
	if err == nil && granted < asked {
		log.Warn("the kernel granted a smaller "+what+" buffer than asked; bursts may be lost",
			"listen", addr, "asked", asked, "granted", granted, "raise", sysctl)
	}
}

// kernelDrops reads how many datagrams the kernel dropped for want of room.
func (s *socket) kernelDrops() uint64 {
	if !s.acquire() {
		return 0
	}
	defer s.release()
	var info [9]uint32 // SK_MEMINFO_VARS of linux/sock_diag.h
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(info[8]) // SK_MEMINFO_DROPS
}
