package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// quoteSize is more than an ICMP error brings: 576 bytes over IPv4
	// (RFC 1812 4.3.2.3), 1,280 over IPv6 (RFC 4443 2.4).
	quoteSize = 2048
	// controlSize holds a sock_extended_err and the address of who complained
	// (64 bytes), and on a wildcard's socket, before them, an in6_pktinfo (40).
	controlSize = 128
	// drainLimit bounds one visit to the error queue. What is left makes the
	// next system call on the socket fail, and so is found soon.
	drainLimit = 256
)

// errQueue reads the error queue of sockets. Its memory is used again for each
// entry.
type errQueue struct {
	head    unix.Msghdr
	env     envelope
	control [controlSize / 8]uint64 // aligned as the kernel's structs
	quote   [quoteSize]byte
}

// drain takes all entries from the socket's error queue and tells h about each.
// The queue alone says whom an error is about: the errno that led here belongs
// to a datagram sent earlier, perhaps by another thread. Without h, before
// Serve, it leaves the entries to the workers to come.
func (q *errQueue) drain(now int64, sock *socket, zones *zoneCache, h Handler, out *Batch) {
	if h == nil {
		return
	}
	for range drainLimit {
		u, ok := q.next(sock, zones)
		if !ok {
			return
		}
		if u.Dest.IsValid() {
			sock.icmp.Add(1)
			h.Unreachable(now, u, out)
		}
	}
}

// next takes one entry; its Dest is invalid when it is not an ICMP error. That
// leaves the kernel's own complaints about a datagram too big to send: the
// sender has that from the errno.
func (q *errQueue) next(sock *socket, zones *zoneCache) (Unreachable, bool) {
	q.env.name.Family = noFamily
	q.env.iov.Base = &q.quote[0]
	q.env.iov.SetLen(len(q.quote))
	q.head = unix.Msghdr{
		Name:    (*byte)(unsafe.Pointer(&q.env.name)),
		Namelen: sizeofInet6,
		Iov:     &q.env.iov,
		Control: (*byte)(unsafe.Pointer(&q.control)),
	}
	q.head.SetIovlen(1)
	q.head.SetControllen(controlSize)
	n, errno := recvmsg(sock.fd, &q.head, unix.MSG_ERRQUEUE)
	if errno != 0 {
		return Unreachable{}, false
	}
	u := Unreachable{Quote: q.quote[:n:n]}
	if e := q.extended(); e != nil && (e.Origin == unix.SO_EE_ORIGIN_ICMP || e.Origin == unix.SO_EE_ORIGIN_ICMP6) {
		u.Dest, u.Code = q.env.name.get(zones), cause(e.Origin, e.Type, e.Code)
	}
	return u, true
}

// extended finds the sock_extended_err among the control messages.
func (q *errQueue) extended() *unix.SockExtendedErr {
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&q.control)), controlSize)[:min(controlSize, int(q.head.Controllen))]
	if e := find[unix.SockExtendedErr](buf, unix.IPPROTO_IP, unix.IP_RECVERR); e != nil {
		return e
	}
	return find[unix.SockExtendedErr](buf, unix.IPPROTO_IPV6, unix.IPV6_RECVERR)
}

// cause translates an ICMP error (RFC 792, RFC 1812 5.2.7.1; RFC 4443 3).
func cause(origin, typ, code uint8) Cause {
	const (
		unreachable4 = 3
		unreachable6 = 1
		tooBig6      = 2
	)
	switch {
	case origin == unix.SO_EE_ORIGIN_ICMP && typ == unreachable4:
		return cause4(code)
	case origin == unix.SO_EE_ORIGIN_ICMP6 && typ == unreachable6:
		return cause6(code)
	case origin == unix.SO_EE_ORIGIN_ICMP6 && typ == tooBig6:
		return TooBig
	}
	return Other
}

func cause4(code uint8) Cause {
	switch code {
	case 0, 1, 6, 7, 8, 11, 12: // net, host; unknown; isolated; for this type of service
		return NoHost
	case 2, 3: // protocol (it has no UDP at all), port
		return NoPort
	case 4:
		return TooBig
	case 9, 10, 13: // net, host, communication administratively prohibited
		return Prohibited
	}
	return Other
}

func cause6(code uint8) Cause {
	switch code {
	case 0, 2, 3: // no route, beyond scope of the source address, address
		return NoHost
	case 4:
		return NoPort
	case 1, 5, 6: // prohibited, and its two special cases: source policy, reject route
		return Prohibited
	}
	return Other
}

const (
	never    = 0
	minTries = 2
	maxTries = 4
)

// gone says that a source address, or its interface, may be missing. No ICMP
// error comes as one of these errnos.
func gone(errno unix.Errno) bool {
	return errno == unix.EINVAL || errno == unix.EADDRNOTAVAIL || errno == unix.ENODEV
}

// noRoute says that nothing may lead from a source address to the destination,
// where routes depend on the source.
func noRoute(errno unix.Errno) bool {
	return errno == unix.ENETUNREACH || errno == unix.EHOSTUNREACH
}

// unable says that the kernel or the device cannot segment: no UDP_SEGMENT, no
// checksums in hardware, or a link too narrow. (Port 0 and a source address that
// is gone are EINVAL too.)
func unable(errno unix.Errno) bool {
	return errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE
}

// blame returns how many times a send must fail with errno, and nothing in the
// error queue to explain it, before the datagram itself is at fault.
//
// ICMP errors come as the errnos of icmp_err_convert and icmpv6_err_convert in
// the kernel's sources. Those of them that nothing else causes never blame the
// datagram: the kernel queues an entry first and sets the errno after, and in
// between another thread may have taken the entry. Those that a missing route
// causes as well get a few more tries for the same reason.
func blame(errno unix.Errno) int {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.EPROTO:
		return never
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EMSGSIZE, unix.EACCES:
		return maxTries
	}
	return minTries
}
