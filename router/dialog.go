package router

import (
	"net/netip"

	"tandem/config/catalog"
	"tandem/router/wire"
)

// In-dialog requests never touch the table or health: they follow the route
// set that their INVITE left behind, from any source, as long as the token in
// our Route verifies (design D7). They are forwarded without state (RFC 3261
// 16.11): branch and next hop depend only on what a retransmission repeats.

// refuseDialog answers a request whose token is not good.
func (r *Router) refuseDialog(s *scratch, status int) {
	if s.m.Method == wire.ACK || s.trunk == nil && s.silent || !r.untrustedWire.AllowN(r.wall(s.now), 1) {
		s.tally.drop(dropForged)
		return
	}
	r.reply(s, s.callKey(&r.keys[0], &s.m), reply{status: status})
}

// forwardDialog sends an in-dialog request to its next hop.
func (r *Router) forwardDialog(s *scratch, rt *routeSet) {
	m := &s.m
	if m.Method == wire.ACK {
		r.acked(s)
	}
	if r.parkBehind(s, rt.far.token.mac) {
		return
	}
	if !s.waited && !r.dialogRate.allow(rt.far.token.mac, s.now) {
		r.refuseForward(s, 503, dropRate)
		return
	}
	if status, why := r.objection(s, rt); status != 0 {
		r.refuseForward(s, status, why)
		return
	}
	hop, strict, ok := r.nextHop(m, rt)
	if !ok {
		status := 400
		if !rt.hasHop && rt.target.Scheme == wire.OtherScheme {
			status = 416
		}
		r.refuseForward(s, status, dropDefective)
		return
	}
	var host wire.Span
	dest, over, flows := r.flow(m, &hop, rt)
	if !flows {
		dest, host, over, ok = r.destination(s, &hop, rt.listener, rt.secure())
	}
	if !ok {
		r.refuseForward(s, 503, dropUnresolved)
		return
	}
	if dest.Addr().Is6() {
		dest = r.zoned(s, dest, rt.listener, s.local)
	}
	if !dest.IsValid() {
		var wait bool
		if dest, over, wait = r.named(s, rt, host, portOf(&hop, over), over); wait && r.park(s, rt.far.token.mac, host) {
			return
		}
		if !dest.IsValid() {
			r.refuseForward(s, 503, dropUnresolved)
			return
		}
		if rt.secure() && over != catalog.TLS { // the host that answered, over what it has
			r.refuseForward(s, 503, dropUnresolved)
			return
		}
	}
	out, ok := r.listenerFor(dest.Addr(), over, rt.listener)
	if !ok || !r.allowed(s, dest) {
		r.refuseForward(s, 403, dropForbidden)
		return
	}
	e := &s.edits
	r.beginForward(s, out, dest, rt)
	switch {
	case strict:
		e.Replace(m.RequestURI, m.Bytes(hop.Whole))
	case rt.strict:
		e.Replace(m.RequestURI, m.Bytes(rt.target.Whole))
	default:
		e.Delete(rt.maddr)
		e.Delete(rt.port)
	}
	deleteRoutes(e, m, rt, strict)
	if strict && !rt.strict {
		// RFC 3261 16.6 step 6: the request-URI goes to the end of the route set.
		start := len(s.text)
		s.text = append(s.text, "Route: <"...)
		s.text = append(s.text, m.Bytes(rt.target.Whole)...)
		s.text = append(s.text, ">\r\n"...)
		e.Insert(m.Headers[rt.restored.Header].Line.End, s.text[start:])
	}
	msg := e.Apply(s.out.Buf(), wire.Span{End: m.Body.End})
	// A flow over UDP has no other transport, whoever is at its end: a NAT lets nothing
	// else in. What is large takes it in fragments.
	if over == catalog.UDP && !flows && len(msg) > s.plan.leastMTU {
		if out, msg = r.largerDialog(s, dest, out, msg); r.listeners[out].Transport == catalog.TCP {
			over = catalog.TCP
		}
	}
	if len(msg) > largestMessage(dest, over) {
		r.refuseForward(s, 513, dropTooLarge)
		return
	}
	s.tally.dialog.Add(1)
	r.follow(s, rt)
	s.out.Send(out, dest, msg)
	switch {
	case flows:
		s.out.Back() // nobody connects to who is behind a NAT
	case over == catalog.TLS:
		s.out.Connect(m.Bytes(host)) // who has to be there (RFC 5922 7.3)
	}
	r.repeatRelay(s, out, dest, msg)
}

// objection is what RFC 3261 16.3 has against forwarding an in-dialog request.
func (r *Router) objection(s *scratch, rt *routeSet) (status int, why dropReason) {
	m := &s.m
	begun := m.Method == wire.ACK || m.Method == wire.CANCEL // what their INVITE was not refused for
	switch {
	case m.MaxForwards == 0:
		return 483, dropMaxForwards
	case r.looped(s):
		return 482, dropForbidden
	case m.MaxBreadth == 0 && !begun:
		return 440, dropForbidden
	case m.Find(wire.HeaderProxyRequire) >= 0 && !begun:
		return 420, dropForbidden
	}
	return 0, 0
}

// deleteRoutes takes the Route values out that have been used: ours, a strict
// router that the request goes to, and what a strict router before us put last.
func deleteRoutes(e *wire.Edits, m *wire.Message, rt *routeSet, strict bool) {
	first, last := rt.first, rt.last
	n := rt.own
	switch {
	case strict:
		if last = rt.hop; n == 0 {
			first = rt.hop
		}
		n++
	case rt.strict && !rt.hasHop: // nothing is left between ours and the last
		if last = rt.restored; n == 0 {
			first = rt.restored
		}
		n++
	case rt.strict:
		m.DeleteValue(e, rt.restored)
	}
	if n > 0 {
		m.DeleteValues(e, first, last)
	}
}

// nextHop is the first Route that is not ours, or the request-URI. strict is
// true when the next hop is a strict router.
func (r *Router) nextHop(m *wire.Message, rt *routeSet) (hop wire.URI, strict, ok bool) {
	if !rt.hasHop {
		return rt.target, false, !rt.badURI && rt.target.Host.Len() > 0
	}
	a, ok := wire.ParseAddress(m.Data, rt.hop.Span)
	if !ok {
		return hop, false, false
	}
	hop, ok = wire.ParseURI(m.Data, a.URI)
	_, loose := wire.Param(m.Data, hop.Params, "lr")
	return hop, !loose, ok && hop.Host.Len() > 0
}

// destination is where a URI leads, and over what: maddr before host (RFC 3263
// 4). dest is not valid when that is a name. A URI that says nothing of the
// transport means that of the listener the dialog leaves by, when that is one of
// connections: many who use them write plain Contacts. What is secure goes over
// TLS, whatever a Route says (16.6 step 7).
func (r *Router) destination(s *scratch, u *wire.URI, listener int, secure bool) (dest netip.AddrPort, host wire.Span, over catalog.Transport, ok bool) {
	m := &s.m
	over, ok = r.transportOf(m, u)
	if !ok || u.Scheme != wire.SIP && u.Scheme != wire.SIPS {
		return dest, host, over, false
	}
	if l := &r.listeners[listener]; over == catalog.UDP && l.Transport.Reliable() {
		if _, said := wire.Param(m.Data, u.Params, "transport"); !said {
			over = l.Transport
		}
	}
	if secure && over != catalog.TLS {
		over, ok = catalog.TLS, r.mixed
	}
	host = u.Host
	if maddr, ok := wire.Param(m.Data, u.Params, "maddr"); ok && maddr.Len() > 0 {
		host = maddr
	}
	if addr, ok := parseAddr(m.Bytes(host)); ok {
		dest = netip.AddrPortFrom(addr, portOf(u, over))
	}
	return dest, host, over, ok
}

// portOf is the port of a URI, or the default one.
func portOf(u *wire.URI, t catalog.Transport) uint16 {
	if u.Port == 0 {
		return t.Port()
	}
	return u.Port
}

// allowed reports whether in-dialog requests may go to dest: not to ourselves,
// and to this machine or link only for those who are there themselves: hosts of
// connectors, a sender on this machine or that link, or when we listen there.
func (r *Router) allowed(s *scratch, dest netip.AddrPort) bool {
	a := dest.Addr()
	if r.ownDest(dest) || a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	if !a.IsLoopback() && !a.IsLinkLocalUnicast() || s.plan.known.addrs[a] || a.IsLoopback() && s.source.Addr().IsLoopback() {
		return true
	}
	if zone := s.source.Addr().Zone(); zone != "" && zone == a.Zone() {
		return true
	}
	for i := range r.listeners {
		own := r.listeners[i].Addr.Addr()
		if a.IsLoopback() && own.IsLoopback() || a.IsLinkLocalUnicast() && own.IsLinkLocalUnicast() {
			return true
		}
	}
	return false
}

// refuseForward answers a request that cannot be forwarded; an ACK is dropped.
func (r *Router) refuseForward(s *scratch, status int, why dropReason) {
	if s.m.Method == wire.ACK {
		s.tally.drop(why)
		return
	}
	key := s.callKey(&r.keys[0], &s.m)
	if status == 420 {
		r.replyUnsupported(s, key)
		return
	}
	r.reply(s, key, reply{status: status})
}

// beginForward starts the edits that every statelessly forwarded request has:
// our Via, Max-Forwards, and the note of where it came from.
// rt is nil for what belongs to no dialog that is known.
func (r *Router) beginForward(s *scratch, out int, dest netip.AddrPort, rt *routeSet) {
	m := &s.m
	k := &r.keys[0]
	symmetric := r.symmetric(s.trunk, s.listener)
	b := branch{marker: markDialog, listener: s.listener, local: r.machine.place(s.local), key: s.callKey(k, m), host: hostHash(k, dest), loop: s.loopHash(k, m)}
	b.seal(s, k, m, &m.TopVia, replyTarget(&m.TopVia, s.source, symmetric))
	s.edits.Reset(m.Data)
	start := len(s.text)
	s.text = append(s.text, "Via: "...)
	s.text = r.appendViaOf(s.text, out, &b)
	s.text = append(s.text, "\r\n"...)
	if rt != nil && m.Method == wire.INVITE { // RFC 3261 16.6 step 4: for who has lost the route set
		s.text = r.appendOwnRoute(s.text, out, m.Bytes(rt.far.user), rt.secure())
		if out != s.listener || rt.near.user != rt.far.user {
			s.text = r.appendOwnRoute(s.text, s.listener, m.Bytes(rt.near.user), rt.secure())
		}
	}
	s.text = appendHops(s.text, m)
	s.text = r.appendLength(s.text, m, out)
	s.edits.Insert(m.Headers[0].Line.Start, s.text[start:])
	r.completeVia(s, m, s.source, symmetric)
	editHops(s, m)
}

// forwardAck sends the ACK of a 2xx that came with the INVITE's branch and
// without our token to the host that answered.
func (r *Router) forwardAck(s *scratch, out int, host netip.AddrPort) {
	r.beginForward(s, out, host, nil)
	r.deleteOwnRoutes(s, &s.m)
	s.out.Send(out, host, s.edits.Apply(s.out.Buf(), wire.Span{End: s.m.Body.End}))
}

// looped reports whether the request went out from here before and came back
// unchanged: a Via whose check verifies and that carries the same loop hash
// (RFC 3261 16.3 step 4, RFC 5393 4.2). A spiral differs and passes.
func (r *Router) looped(s *scratch) bool {
	m := &s.m
	vias := m.Values(wire.HeaderVia)
	v, ok := vias.Next()
	loop := uint32(0) // of this request; not known yet
	for n := 0; ok && n < defaultMaxForwards; n++ {
		next, more := vias.Next()
		if !more {
			return false // there is one below ours, always
		}
		if b, own := ownBranchOf(m, v); own {
			if loop == 0 {
				loop = s.loopHash(&r.keys[0], m) // once, however many Vias pretend to be ours
			}
			if b.loop == loop && r.verifyAbove(s, &b, next) {
				return true
			}
		}
		v = next
	}
	return false
}

// ownBranchOf reads the branch of a Via, if it looks like one of ours.
func ownBranchOf(m *wire.Message, v wire.Value) (branch, bool) {
	via, ok := wire.ParseVia(m.Data, v.Span)
	if !ok {
		return branch{}, false
	}
	return parseBranch(m.Bytes(via.Branch))
}

// verifyAbove reports whether b is ours above the Via below.
func (r *Router) verifyAbove(s *scratch, b *branch, below wire.Value) bool {
	m := &s.m
	var ok bool
	if s.next, ok = wire.ParseVia(m.Data, below.Span); !ok {
		return false
	}
	target, ok := viaTarget(m, &s.next)
	return ok && r.verify(s, b, m, &s.next, target)
}

// cancelUnknown handles a CANCEL whose call is not here. Soon after a start it
// may belong to a call of before: every candidate gets it with the branch that
// its INVITE would have had, and their answers are relayed (design D3).
func (r *Router) cancelUnknown(s *scratch, key uint64, set *routeSet) {
	m := &s.m
	if s.trunk == nil {
		r.reject(s, key, r.accept(s, facts{}))
		return
	}
	rt := r.lookup(s, &set.target)
	if rt == nil || s.trunk == nil || set.badURI || s.now-r.started > int64(s.plan.longest) || m.MaxForwards == 0 {
		r.reply(s, key, reply{status: 481})
		return
	}
	c := call{key: key}
	r.describe(s, &c, s.loopHash(&r.keys[0], m))
	c.secure = set.secure()
	s.cands = candidates(s.cands[:0], rt, key, s.now, false, c.secure)
	if len(s.cands) == 0 {
		r.reply(s, key, reply{status: 481})
		return
	}
	for i := range s.cands[:min(len(s.cands), rt.failover[s.trunk.class].MaxAttempts)] {
		h := s.cands[i].entry.host
		a := attempt{host: h, hash: h.id}
		s.out.Send(h.listeners[s.listener], h.addr, r.appendRequest(s.out.Buf(), s, &c, &a, m))
	}
}
