package router

import (
	"bytes"
	"net/netip"

	"tandem/config/catalog"
	"tandem/router/transport"
	"tandem/router/wire"
)

// largerDialog decides what an in-dialog request to dest travels over that would
// leave by UDP, from the listener out, as msg: over TCP when it is large and goes
// to a host that takes it. It returns the listener and the request as it leaves.
func (r *Router) largerDialog(s *scratch, dest netip.AddrPort, out int, msg []byte) (int, []byte) {
	h := s.plan.byAddr[hostPlace{addr: dest}]
	if h == nil || len(msg) <= h.large.mtu {
		return out, msg
	}
	over := r.streamFor(dest.Addr(), out, h.large.named)
	start := len(s.text)
	if s.m.ContentLength >= 0 && r.takesStream(s.now, h, over) {
		if text, ok := r.appendFrom(s.text, msg, out, over); ok {
			s.text = text
			s.tally.large[largeTCP].Add(1)
			return over, text[start:]
		}
	}
	s.tally.large[largeUDP].Add(1)
	return out, msg
}

// appendFrom appends a request that was rendered to leave from the listener was as
// it leaves from another one, is: its first header is our Via. ok is false when
// that is not so.
func (r *Router) appendFrom(dst, msg []byte, was, is int) (text []byte, ok bool) {
	const via = "Via: "
	at := bytes.IndexByte(msg, '\n') + 1 + len(via)
	sent := r.listeners[was].sent
	if at >= len(msg) || string(msg[at-len(via):at]) != via || !bytes.HasPrefix(msg[at:], sent) {
		return dst, false
	}
	dst = append(dst, msg[:at]...)
	dst = append(dst, r.listeners[is].sent...)
	return append(dst, msg[at+len(sent):]...), true
}

// dialogFallBack sends a large in-dialog request by UDP that could not leave over
// TCP, until it is answered where its sender will not (RFC 3261 16.11). It is
// false for what did not go over TCP for its size. A URI without a transport means
// UDP (RFC 3263 4.1): where a host over UDP and one over TCP have one address, the
// request may have been for either, and goes on.
func (r *Router) dialogFallBack(now int64, u transport.Unreachable, b *branch, method []byte, out *transport.Batch) bool {
	pl := r.plan.Load()
	h := pl.byAddr[hostPlace{addr: u.Dest}]
	if r.listeners[u.Listener].Transport != catalog.TCP || h == nil || len(u.Quote) <= h.large.mtu || b.listener >= len(r.listeners) {
		return false
	}
	s := r.acquire(now, out)
	defer r.release(s)
	if s.m.Parse(u.Quote) != nil || !r.leadsByUDP(&s.m) {
		return false
	}
	udp := h.listeners[b.listener]
	msg, ok := r.appendFrom(out.Buf(), u.Quote, u.Listener, udp)
	if !ok || len(msg) > largestMessage(u.Dest, h.transport) {
		return false
	}
	if u.Code != transport.SendError {
		r.streamFailed(now, h)
	}
	r.tally.large[largeFallback].Add(1)
	out.Send(udp, u.Dest, msg)
	if string(method) != "ACK" && r.listeners[b.listener].Transport.Reliable() {
		r.relays.add(now, relay{key: b.key, invite: string(method) == "INVITE", listener: udp, dest: u.Dest, msg: msg}, r.tally)
		r.wakeTimers()
	}
	return true
}

// leadsByUDP reports whether the URI that a request went to says no transport, or UDP.
func (r *Router) leadsByUDP(m *wire.Message) bool {
	var rt routeSet
	rt.target, _ = wire.ParseURI(m.Data, m.RequestURI)
	routes := m.Values(wire.HeaderRoute)
	rt.hop, rt.hasHop = routes.Next()
	hop, strict, ok := r.nextHop(m, &rt)
	if strict {
		hop = rt.target // a strict router is there, and not in the Route (16.6 step 6)
	}
	over, known := r.transportOf(m, &hop)
	return ok && known && over == catalog.UDP
}
