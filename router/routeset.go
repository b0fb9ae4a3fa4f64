package router

import (
	"bytes"

	"tandem/router/wire"
)

// routeSet is what the Route fields and the request-URI say (RFC 3261 16.4).
type routeSet struct {
	target  wire.URI  // the request-URI, or what belongs in its place
	badURI  bool      // the request-URI is none
	dialog  bool      // a token of ours verifies
	foreign bool      // there is a Route that is not ours
	from    direction // who of the dialog sent the request

	// The dialog's tokens in the Routes that are ours. There are two when the request
	// that began it came through us twice, by way of a proxy that keeps out of the
	// route set: near, where this request comes to, and far, which names where it
	// leaves. Else they are the same.
	near, far passage

	own         int // leading Route values that are ours
	first, last wire.Value
	listener    int // that the last of them names, or the request-URI when there is none
	hop         wire.Value
	hasHop      bool // hop is the first Route that is not ours

	maddr, port wire.Span // in the request-URI, when its maddr names us

	strict   bool       // a strict router before us put our URI into the request line
	restored wire.Value // the last Route: what was there before
}

// passage is one time that the request which began a dialog came through us.
type passage struct {
	token token
	user  wire.Span // the token as it came, with its flow
}

// flow is empty when the token has none.
func (p *passage) flow() wire.Span {
	return wire.Span{Start: p.user.Start + tokenLen, End: p.user.End}
}

// routeSet reads the Route fields of the request that came. Of all that are ours
// the last decides where the request goes: they stand in the order in which it would
// have passed (RFC 3261 12.1.1, 12.1.2), and nobody needs it in between. status is
// not 0 when a token is there and is not good, whichever it is.
func (r *Router) routeSet(s *scratch) (rt routeSet, status int) {
	m := &s.m
	var good bool
	rt.target, good = wire.ParseURI(m.Data, m.RequestURI)
	rt.badURI = !good
	rt.listener = s.listener
	if l, own := r.ownURI(m, &rt.target); own && looksLikeToken(m.Bytes(rt.target.User)) {
		rt.strict, rt.listener = true, l
		if !r.passed(s, &rt, rt.target.User) {
			return rt, 403
		}
	}
	r.stripMaddr(m, &rt)
	routes := m.Values(wire.HeaderRoute)
	for v, ok := routes.Next(); ok; v, ok = routes.Next() {
		rt.restored = v
		if rt.foreign {
			continue // the last one is wanted only
		}
		a, ok := wire.ParseAddress(m.Data, v.Span)
		u, ok2 := wire.ParseURI(m.Data, a.URI)
		l, own := 0, false
		if ok && ok2 {
			l, own = r.ownURI(m, &u)
		}
		if !own {
			rt.foreign, rt.hasHop, rt.hop = true, true, v
			continue
		}
		if rt.own == 0 {
			rt.first = v
		}
		rt.own++
		rt.last, rt.listener = v, l
		if looksLikeToken(m.Bytes(u.User)) && !r.passed(s, &rt, u.User) {
			return rt, 403
		}
	}
	if rt.strict && !r.restore(m, &rt) {
		return rt, 400
	}
	return rt, 0
}

// passed takes down the next token of ours; false when it is not good. What is
// doubled (RFC 5658) has it twice.
func (r *Router) passed(s *scratch, rt *routeSet, user wire.Span) bool {
	m := &s.m
	if rt.dialog && bytes.Equal(m.Bytes(user), m.Bytes(rt.far.user)) {
		return true
	}
	p := passage{user: user}
	flow := p.flow()
	t, ok := parseToken(m.Bytes(wire.Span{Start: user.Start, End: flow.Start}))
	if ok {
		rt.from, ok = r.verifyToken(s, &t, m.Bytes(flow), m, r.day(s.now))
	}
	if !ok {
		return false
	}
	p.token = t
	if rt.far = p; !rt.dialog {
		rt.dialog, rt.near = true, p
	}
	return true
}

// secure reports whether the request may go over TLS only (RFC 3261 26.2.2).
func (rt *routeSet) secure() bool { return rt.target.Scheme == wire.SIPS }

// stripMaddr takes a maddr out of the target that names us, with the port that
// belonged to it: they told the sender how to reach us and no more.
func (r *Router) stripMaddr(m *wire.Message, rt *routeSet) {
	u := &rt.target
	maddr, ours := r.ownMaddr(m, u)
	if !ours {
		return
	}
	rt.maddr = wire.Span{Start: maddr.Start - uint32(len(";maddr=")), End: maddr.End}
	u.Params = wire.Span{}
	if u.Port != 0 && u.Port != defaultPort {
		rt.port = wire.Span{Start: u.Host.End, End: u.HostPort.End}
		u.Port = 0
	}
}

// ownMaddr finds the maddr of a URI, if it names us.
func (r *Router) ownMaddr(m *wire.Message, u *wire.URI) (maddr wire.Span, ours bool) {
	maddr, ok := wire.Param(m.Data, u.Params, "maddr")
	if !ok {
		return maddr, false
	}
	t, ok := r.transportOf(m, u)
	if !ok {
		return maddr, false
	}
	_, ours = r.own(m.Bytes(maddr), u.Port, t)
	return maddr, ours
}

// restore puts the last Route back as the target.
func (r *Router) restore(m *wire.Message, rt *routeSet) bool {
	a, ok := wire.ParseAddress(m.Data, rt.restored.Span)
	if !ok || rt.restored.Len() == 0 {
		return false
	}
	rt.target, ok = wire.ParseURI(m.Data, a.URI)
	rt.badURI = !ok
	if rt.hasHop && rt.hop == rt.restored {
		rt.hasHop = false
	}
	return ok
}
