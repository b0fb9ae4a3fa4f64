package router

import (
	"net/netip"

	"tandem/config/catalog"
)

// largestMessage is how many bytes go to dest over t: UDP carries 65,535 less
// its own header and that of IPv4, which the limit of IPv6 does not include. A
// stream has no limit of its own: what came by one was within ours.
func largestMessage(dest netip.AddrPort, t catalog.Transport) int {
	if t != catalog.UDP {
		return 1 << 30
	}
	if dest.Addr().Unmap().Is4() {
		return 65535 - 20 - 8
	}
	return 65535 - 8
}

// tooLarge reports whether the request that came, with what is added to it,
// can leave for no host of rt. To try it would only make it look as if all of
// them failed (RFC 3261 21.5.7).
func (r *Router) tooLarge(s *scratch, key uint64, rt *route) bool {
	m := &s.m
	if m.Body.End < longRequest {
		return false
	}
	c := call{key: key}
	r.describe(s, &c, s.loopHash(&r.keys[0], m))
	for i := range rt.entries {
		h := rt.entries[i].host
		if h.large.mtu < int(m.Body.End) && r.takesStream(s.now, h, h.large.streams[s.listener]) {
			return false
		}
		a := attempt{host: h, hash: h.id}
		if len(r.appendRequest(s.out.Buf(), s, &c, &a, m)) <= largestMessage(h.addr, h.transport) {
			return false
		}
	}
	return len(rt.entries) > 0
}

// oversized ends attempt a, which was to go by UDP: no datagram holds its request.
func (r *Router) oversized(s *scratch, st *stripe, c *call, a *attempt) {
	c.oversized++
	r.event(s, st, c, a, event{kind: unreachable, status: 1}, nil)
}
