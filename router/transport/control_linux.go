package transport

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket on a wildcard address receives for all addresses of the machine, and
// would answer from the one that the routing table prefers, which a peer that
// asked another takes for a stranger. So on these sockets, and only on these, a
// datagram has a control message beside it that carries our own address: on
// receipt the one it was sent to, on sending the one it is to leave from.

// control is room for the control messages of one datagram: a header and an
// in_pktinfo or in6_pktinfo, 40 bytes at most; on sending, a header and the size
// of segments after it, 24 bytes. It is aligned as the kernel's structs.
type control [8]uint64

const sizeofControl = int(unsafe.Sizeof(control{}))

func (c *control) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(c)), sizeofControl)
}

// local reads the address that a datagram was sent to from the first n bytes,
// which the kernel wrote. It is not valid where nothing can be sent from it,
// that is when the datagram was sent to many.
func (c *control) local(n int, zones *zoneCache) netip.Addr {
	buf := c.bytes()[:min(n, sizeofControl)]
	if info := find[unix.Inet4Pktinfo](buf, unix.IPPROTO_IP, unix.IP_PKTINFO); info != nil {
		// Addr is the destination in the header. Spec_dst is what an answer
		// leaves from: the same, unless that is a multicast or broadcast
		// address. (A network's broadcast address does not look like one.)
		if info.Addr != info.Spec_dst {
			return netip.Addr{}
		}
		return netip.AddrFrom4(info.Addr)
	}
	if info := find[unix.Inet6Pktinfo](buf, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO); info != nil {
		switch ip := netip.AddrFrom16(info.Addr); {
		case ip.IsMulticast():
			return netip.Addr{}
		case ip.IsLinkLocalUnicast():
			return zones.with(ip, info.Ifindex)
		default:
			return ip
		}
	}
	return netip.Addr{}
}

// put writes the control message that makes a datagram leave from local, and
// returns how many bytes of c count. A socket of the other family passes over
// it.
func (c *control) put(local netip.Addr, zones *zoneCache) int {
	head := (*unix.Cmsghdr)(unsafe.Pointer(c))
	body := unsafe.Pointer(&c.bytes()[unix.CmsgLen(0)])
	if local.Is4() || local.Is4In6() {
		head.Level, head.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		head.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(body) = unix.Inet4Pktinfo{Spec_dst: local.As4()}
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	head.Level, head.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	head.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	// The interface of a link-local address belongs to it: the same may stand on
	// several. For others it would overrule the routing table.
	*(*unix.Inet6Pktinfo)(body) = unix.Inet6Pktinfo{Addr: local.As16(), Ifindex: zones.id(local.Zone())}
	return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}

// find returns the body of the first control message of that level and type in
// buf; nil if there is none, or it was cut short.
func find[T any](buf []byte, level, typ int32) *T {
	var body T
	for len(buf) >= unix.CmsgLen(0) {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&buf[0]))
		size := int(c.Len)
		if size < unix.CmsgLen(0) || size > len(buf) {
			return nil
		}
		if c.Level == level && c.Type == typ {
			if size < unix.CmsgLen(int(unsafe.Sizeof(body))) {
				return nil
			}
			return (*T)(unsafe.Pointer(&buf[unix.CmsgLen(0)]))
		}
		buf = buf[min(len(buf), unix.CmsgSpace(size-unix.CmsgLen(0))):]
	}
	return nil
}
