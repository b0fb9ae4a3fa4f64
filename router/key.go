package router

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/dchest/siphash"

	"tandem/router/wire"
)

// keys are the keyed hashes made from one secret, one per use, so that a value
// made for one purpose is worth nothing for another.
type keys struct {
	call, branch, loop, host, tag, token, dialog sipKey
}

type sipKey struct{ k0, k1 uint64 }

func (k sipKey) sum(p []byte) uint64 { return siphash.Hash(k.k0, k.k1, p) }

func newKeys(secret []byte) keys {
	derive := func(use string) sipKey {
		sum := sha256.Sum256(append([]byte("tandem "+use+"\x00"), secret...))
		return sipKey{binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16])}
	}
	return keys{
		call:   derive("call"),
		branch: derive("branch"),
		loop:   derive("loop"),
		host:   derive("host"),
		tag:    derive("tag"),
		token:  derive("token"),
		dialog: derive("dialog"),
	}
}

// fields gathers what is hashed. Every variable field is length-prefixed, so
// that no two lists of fields give the same bytes.
type fields []byte

func (f fields) bytes(b []byte) fields {
	f = binary.BigEndian.AppendUint32(f, uint32(len(b)))
	return append(f, b...)
}

// lower adds b in lower case: host names and methods of hashing do not differ by case.
func (f fields) lower(b []byte) fields {
	f = f.bytes(b)
	added := f[len(f)-len(b):]
	for i, c := range added {
		if 'A' <= c && c <= 'Z' {
			added[i] = c + 'a' - 'A'
		}
	}
	return f
}

func (f fields) u8(v byte) fields    { return append(f, v) }
func (f fields) u16(v uint16) fields { return binary.BigEndian.AppendUint16(f, v) }
func (f fields) u32(v uint32) fields { return binary.BigEndian.AppendUint32(f, v) }
func (f fields) u64(v uint64) fields { return binary.BigEndian.AppendUint64(f, v) }

func (f fields) addr(a netip.AddrPort) fields {
	b := a.Addr().As16()
	return append(f, b[:]...).u16(a.Port())
}

// viaTarget adds the next Via by what it means: who it names, and where a
// response to it goes (RFC 3261 18.2.2). How it is spelled does not matter,
// since a peer may write a Via anew when it copies it.
func (f fields) viaTarget(m *wire.Message, v *wire.ViaValue, target netip.AddrPort) fields {
	host := m.Bytes(v.Host)
	if len(host) > 0 && host[0] == '[' { // an address of IPv6 can be written in many ways
		f = f.reference(host)
	} else {
		f = f.lower(host)
	}
	f = f.u16(portOr(v.Port))
	f = f.lower(m.Bytes(v.Branch))
	return f.addr(target)
}

// reference adds an IPv6 reference by the address that it is.
func (f fields) reference(host []byte) fields {
	a, ok := parseAddr(host)
	if !ok {
		return f.lower(host)
	}
	b := a.As16()
	return f.bytes(b[:])
}

func portOr(p uint16) uint16 {
	if p == 0 {
		return defaultPort
	}
	return p
}

// callKey names the server transaction that request m belongs to. A
// retransmission, a CANCEL and the ACK of a failure give the same key as their
// INVITE (RFC 3261 17.2.3, 9.1).
func (s *scratch) callKey(k *keys, m *wire.Message) uint64 {
	return s.keyAs(k, m, m.Method, m.Bytes(m.MethodName))
}

// keyAs is callKey as if m had another method.
func (s *scratch) keyAs(k *keys, m *wire.Message, method wire.Method, name []byte) uint64 {
	f := s.fields[:0]
	switch method {
	case wire.INVITE, wire.ACK, wire.CANCEL:
		f = f.u8(1)
	default:
		f = f.u8(2).bytes(name)
	}
	f = f.bytes(m.Bytes(m.TopVia.Branch))
	f = f.lower(m.Bytes(m.TopVia.Host)).u16(portOr(m.TopVia.Port))
	f = f.bytes(m.Bytes(m.CallID)).u32(m.CSeq).bytes(m.Bytes(m.From.Tag))
	s.fields = f
	return k.call.sum(f)
}

// loopHash is over all that decides where a request goes, without the Vias:
// a request that comes back unchanged gives the same (RFC 5393 4.2).
func (s *scratch) loopHash(k *keys, m *wire.Message) uint32 {
	f := s.fields[:0]
	f = f.bytes(m.Bytes(m.RequestURI))
	routes := m.Values(wire.HeaderRoute)
	for v, ok := routes.Next(); ok; v, ok = routes.Next() {
		f = f.bytes(m.Bytes(v.Span))
	}
	f = f.u8(0).bytes(m.Bytes(m.From.Tag)).bytes(m.Bytes(m.To.Tag))
	f = f.bytes(m.Bytes(m.CallID)).u32(m.CSeq)
	if m.Method != wire.ACK && m.Method != wire.CANCEL {
		requires := m.Values(wire.HeaderProxyRequire)
		for v, ok := requires.Next(); ok; v, ok = requires.Next() {
			f = f.lower(m.Bytes(v.Span))
		}
	}
	s.fields = f
	return uint32(k.loop.sum(f))
}

// hostHash is the part of a branch that says where the request was sent.
func hostHash(k *keys, dest netip.AddrPort) uint32 {
	var b [18]byte
	f := fields(b[:0]).addr(dest)
	if dest.Addr().Is6() {
		f = append(f, dest.Addr().Zone()...)
	}
	return uint32(k.host.sum(f))
}

// toTag is the To tag of every response of our own to the request with this
// key. The ACK of such a response is known by it without any state.
func toTag(dst []byte, k *keys, key uint64) []byte {
	var b [8]byte
	return appendHex(append(dst, 't', 'd'), k.tag.sum(fields(b[:0]).u64(key)), 16)
}

const hexDigits = "0123456789abcdef"

// appendHex appends the low digits hexadecimal digits of v.
func appendHex(dst []byte, v uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		dst = append(dst, hexDigits[v>>(4*i)&15])
	}
	return dst
}

// parseHex reads hexadecimal digits of either case: branches and tags are
// tokens, and tokens are compared without regard to case (RFC 3261 7.3.1).
func parseHex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}

// fnv32 tells names, numbers and tags apart, the same way everywhere and without
// a secret (FNV-1a).
func fnv32[T string | []byte](text T) uint32 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h
}
