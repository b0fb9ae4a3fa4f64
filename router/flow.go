package router

import (
	"encoding/hex"
	"net/netip"

	"tandem/config/catalog"
	"tandem/router/wire"
)

// flow is where a request of the callee's goes whose token names the flow that its
// dialog began by, as that of a symmetric trunk does: its callers are behind a NAT,
// and the Contacts that they write may lead nowhere. ok is false when the token
// names none, or one that what is for a sips URI may not take (RFC 3261 26.2.2).
//
// As in RFC 5626 5.3 the flow replaces the next hop, whatever that is, and nothing
// in the request: the request-URI and the other Routes are for who is at its end.
// That is the element before us on the way from the caller, so every request in
// that direction takes it. With a Route of another proxy left, that proxy is the
// one behind the NAT, and its Route says no more of where to reach it than a
// Contact would. A name in either is not asked for. But a public address that is
// not the one the INVITE came from is no mistake of somebody behind a NAT: it is
// where a larger installation wants its requests. Over connections that one may be
// too: who opens them from any port listens at the one that he writes, and can be
// connected to when the connection has ended.
//
// Over TCP and TLS the flow is the connection that the caller opened: when that has
// ended no other is opened, and the callee hears 503. It is found by its address
// alone, as over UDP, so no certificate is asked for again. A name in the Contact
// is not looked up then: that the connection has ended is heard of when the request
// has left, and what is quoted of it is not what came and cannot be parked.
//
// The listener is that of our last Route, where the INVITE came to, and so is the
// flow: of a dialog that passed through us twice it is that of the first time, which
// came from the caller. Another node with the same secret finds its own by it.
func (r *Router) flow(m *wire.Message, hop *wire.URI, rt *routeSet) (dest netip.AddrPort, over catalog.Transport, ok bool) {
	over = r.listeners[rt.listener].Transport
	flow := rt.far.flow()
	if rt.from != fromCallee || flow.Len() == 0 || over != catalog.TLS && rt.secure() {
		return dest, over, false
	}
	dest = parseFlow(m.Bytes(flow))
	host := hop.Host
	if maddr, said := wire.Param(m.Data, hop.Params, "maddr"); said && maddr.Len() > 0 {
		host = maddr
	}
	if at, ok := parseAddr(m.Bytes(host)); ok && public(at) && (at != dest.Addr() || over.Reliable()) {
		return netip.AddrPort{}, over, false
	}
	return dest, over, true
}

// shared is the address space between carriers and their customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether a can be reached from anywhere, but for a firewall.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// appendFlow appends an address and port as they stand in a token.
func appendFlow(dst []byte, a netip.AddrPort) []byte {
	raw := a.Addr().As16()
	addr := raw[:]
	if a.Addr().Is4() {
		addr = raw[12:]
	}
	return appendHex(hex.AppendEncode(dst, addr), uint64(a.Port()), 4)
}

// parseFlow reads what appendFlow wrote: its token has verified.
func parseFlow(p []byte) netip.AddrPort {
	var raw [16]byte
	n, _ := hex.Decode(raw[:], p[:len(p)-4])
	port, _ := parseHex(p[len(p)-4:])
	addr := netip.AddrFrom16(raw)
	if n == 4 {
		addr = netip.AddrFrom4([4]byte(raw[:4]))
	}
	return netip.AddrPortFrom(addr, uint16(port))
}
