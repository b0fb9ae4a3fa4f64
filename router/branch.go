package router

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"unsafe"

	"tandem/router/wire"
)

// branch is what our Via carries. It depends on nothing but the request, where
// it goes and the secret: a restarted node, or another with the same secret,
// makes the same one for a retransmission.
//
//	z9hG4bK marker listener local  call key  host hash  loop hash  check
//	      7      1        1     2        16          8          8     12   characters
type branch struct {
	marker byte
	// listener is where the request came to, in one hexadecimal digit: a
	// response that is forwarded without state leaves from there.
	listener int
	// local is which address of a wildcard listener it was sent to, by its place in
	// machine: such a response leaves from there. A call remembers it itself: its
	// branch must be the same on another machine with the same secret.
	local uint8
	key   uint64
	host  uint32
	loop  uint32
	check uint64
}

// Markers of branches: of a call's attempt, and of an in-dialog request that
// was forwarded without state.
const (
	markCall   = 'c'
	markDialog = 'd'
)

const (
	cookie    = "z9hG4bK" // RFC 3261 8.1.1.7
	branchLen = len(cookie) + 1 + 1 + 2 + 16 + 8 + 8 + 12
	checkBits = 48
)

// appendTo appends the branch as it stands in a Via.
func (b *branch) appendTo(dst []byte) []byte {
	dst = append(dst, cookie...)
	dst = append(dst, b.marker, hexDigits[b.listener&15])
	var raw [1 + 8 + 4 + 4 + 8]byte
	f := fields(raw[:0]).u8(b.local).u64(b.key).u32(b.host).u32(b.loop).u64(b.check << (64 - checkBits))
	return hex.AppendEncode(dst, f[:1+8+4+4+checkBits/8])
}

// parseBranch reads a branch of ours, in any case (RFC 3261 7.3.1). That it
// looks like one proves nothing: verify does.
func parseBranch(p []byte) (b branch, ok bool) {
	if len(p) != branchLen || string(p[:len(cookie)]) != cookie && !bytes.EqualFold(p[:len(cookie)], []byte(cookie)) {
		return b, false
	}
	b.marker = p[len(cookie)] | 0x20 // in lower case
	if b.marker != markCall && b.marker != markDialog {
		return b, false
	}
	listener, ok := parseHex(p[len(cookie)+1 : len(cookie)+2])
	var raw [1 + 8 + 4 + 4 + checkBits/8]byte
	if _, err := hex.Decode(raw[:], p[len(cookie)+2:]); err != nil || !ok {
		return b, false
	}
	b.listener, b.local = int(listener), raw[0]
	b.key = binary.BigEndian.Uint64(raw[1:])
	b.host = binary.BigEndian.Uint32(raw[9:])
	b.loop = binary.BigEndian.Uint32(raw[13:])
	b.check = binary.BigEndian.Uint64(raw[15:]) & (1<<checkBits - 1)
	return b, true
}

// seal fills the check: over all of the branch and the Via below ours, so that
// nobody who does not have the secret can have a response sent anywhere.
func (b *branch) seal(s *scratch, k *keys, m *wire.Message, next *wire.ViaValue, target netip.AddrPort) {
	b.check = b.sum(s, k, m, next, target)
}

func (b *branch) sum(s *scratch, k *keys, m *wire.Message, next *wire.ViaValue, target netip.AddrPort) uint64 {
	f := s.fields[:0].u8(b.marker).u8(byte(b.listener & 15)).u8(b.local).u64(b.key).u32(b.host).u32(b.loop)
	f = f.viaTarget(m, next, target)
	s.fields = f
	return k.branch.sum(f) & (1<<checkBits - 1)
}

// verify reports whether the branch is ours for a message whose next Via is next.
func (r *Router) verify(s *scratch, b *branch, m *wire.Message, next *wire.ViaValue, target netip.AddrPort) bool {
	for i := range r.keys {
		if b.sum(s, &r.keys[i], m, next, target) == b.check {
			return true
		}
	}
	return false
}

// viaTarget is where a response goes that has v on top (RFC 3261 18.2.2,
// RFC 3581 4): received and rport when they are there, the sent-by otherwise.
// ok is false when the Via names a host instead of an address.
func viaTarget(m *wire.Message, v *wire.ViaValue) (target netip.AddrPort, ok bool) {
	host := m.Bytes(v.Received)
	if len(host) == 0 {
		host = m.Bytes(v.Host)
	}
	addr, ok := parseAddr(host)
	if !ok {
		return target, false
	}
	port := portOr(v.Port)
	if p, ok := parsePort(m.Bytes(v.RPort)); ok {
		port = p
	}
	return netip.AddrPortFrom(addr, port), true
}

// replyTarget is what viaTarget will give once the top Via of a request from
// source is completed.
func replyTarget(v *wire.ViaValue, source netip.AddrPort, symmetric bool) netip.AddrPort {
	if v.HasRPort || symmetric {
		return source
	}
	return netip.AddrPortFrom(source.Addr(), portOr(v.Port))
}

// parseAddr reads an IP address as it stands in a Via or URI, an IPv6
// reference with its brackets, without allocating.
func parseAddr(b []byte) (netip.Addr, bool) {
	if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' {
		b = b[1 : len(b)-1]
	}
	if a, ok := parseIPv4(b); ok {
		return a, true
	}
	if bytes.IndexByte(b, ':') < 0 || bytes.IndexByte(b, '%') >= 0 {
		return netip.Addr{}, false // a name, or a zone, which says nothing to others
	}
	// Of an address without a zone nothing refers to the text: no copy is needed.
	a, err := netip.ParseAddr(unsafe.String(&b[0], len(b)))
	return a.Unmap(), err == nil
}

func parseIPv4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	part, digits, value := 0, 0, 0
	for _, c := range b {
		if digit := int(c) - '0'; 0 <= digit && digit <= 9 {
			value = value*10 + digit
			if digits++; digits > 3 || value > 255 {
				return netip.Addr{}, false
			}
			continue
		}
		if c != '.' || digits == 0 || part == 3 {
			return netip.Addr{}, false
		}
		a[part] = byte(value)
		part, digits, value = part+1, 0, 0
	}
	if digits == 0 || part != 3 {
		return netip.Addr{}, false
	}
	a[part] = byte(value)
	return netip.AddrFrom4(a), true
}

func parsePort(b []byte) (uint16, bool) {
	if len(b) == 0 || len(b) > 5 {
		return 0, false
	}
	v := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return uint16(v), v > 0 && v < 65536
}
