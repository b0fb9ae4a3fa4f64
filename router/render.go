package router

import (
	"net/netip"
	"strconv"

	"tandem/router/wire"
)

// What is rendered here is always made from the request as it was received:
// every attempt has its own request-URI and branch, and Max-Forwards is one
// less than received, however many attempts there were.

// appendRequest appends the request of c as attempt a sends it (RFC 3261 16.6).
func (r *Router) appendRequest(dst []byte, s *scratch, c *call, a *attempt, m *wire.Message) []byte {
	target, ours := r.target(m)
	e := &s.edits
	e.Reset(m.Data)

	start := len(s.text)
	s.text = appendRequestURI(s.text, m, &target, ours, a.host, c.number[:c.numberLen])
	e.Replace(m.RequestURI, s.text[start:])

	start = len(s.text)
	s.text = append(s.text, "Via: "...)
	s.text = r.appendVia(s.text, s, c, a, m)
	s.text = append(s.text, "\r\n"...)
	if r.recordRoute && (m.Method == wire.INVITE || m.Method == wire.SUBSCRIBE || m.Method == wire.REFER) {
		s.text = r.appendRecordRoute(s.text, s, c, a, m)
	}
	s.text = appendHops(s.text, m)
	s.text = r.appendLength(s.text, m, c.out(a))
	e.Insert(m.Headers[0].Line.Start, s.text[start:])

	r.completeVia(s, m, c.source, r.symmetric(c.trunk, c.listener))
	editHops(s, m)
	// The Routes of a request that begins a call are all ours: accept saw to it.
	r.deleteOwnRoutes(s, m)
	return e.Apply(dst, wire.Span{End: m.Body.End})
}

// target is the request-URI taken apart; ours when a maddr in it led to us.
func (r *Router) target(m *wire.Message) (u wire.URI, ours bool) {
	u, _ = wire.ParseURI(m.Data, m.RequestURI)
	_, ours = r.ownMaddr(m, &u)
	return u, ours
}

// appendVia appends our Via value for attempt a.
func (r *Router) appendVia(dst []byte, s *scratch, c *call, a *attempt, m *wire.Message) []byte {
	b := branch{marker: markCall, listener: c.listener, key: c.key, host: a.hash, loop: c.loop}
	b.seal(s, &r.keys[0], m, &m.TopVia, c.replyTo)
	return r.appendViaOf(dst, c.out(a), &b)
}

func (r *Router) appendViaOf(dst []byte, listener int, b *branch) []byte {
	return b.appendTo(append(dst, r.listeners[listener].sent...))
}

// appendRecordRoute appends our Record-Route, doubled when the call leaves by
// another listener than it came to (RFC 5658): each side then sees an address
// that it can reach. A large request over TCP has what a small one has: the dialog
// goes on over UDP.
func (r *Router) appendRecordRoute(dst []byte, s *scratch, c *call, a *attempt, m *wire.Message) []byte {
	t := token{day: r.day(s.now) + tokenLifeDays, connector: a.host.connector.id, host: a.host.id}
	var room [tokenLen + flowLen6]byte
	flow := room[tokenLen:tokenLen]
	if c.trunk.Symmetric {
		flow = appendFlow(flow, c.source)
	}
	t.mac = t.sum(s, &r.keys[0], m.Bytes(m.CallID), m.Bytes(m.From.Tag), flow)
	user := room[:len(t.appendTo(room[:0]))+len(flow)]
	out := a.host.listeners[c.listener]
	dst = r.appendOwnRoute(dst, out, user, c.secure)
	if out != c.listener {
		dst = r.appendOwnRoute(dst, c.listener, user, c.secure)
	}
	return dst
}

// appendOwnRoute appends a Record-Route of ours, user a token with its flow: a sips
// URI in a request to one (RFC 3261 16.6 step 4).
func (r *Router) appendOwnRoute(dst []byte, listener int, user []byte, secure bool) []byte {
	dst = append(dst, "Record-Route: <sip"...)
	if secure {
		dst = append(dst, 's')
	}
	dst = append(append(dst, ':'), user...)
	return append(dst, r.listeners[listener].route...)
}

// appendHops appends what limits a request's way and is missing from m. Only a
// CANCEL, which is not proxied, has no breadth (RFC 5393 5.3.3, 5.4.1).
func appendHops(dst []byte, m *wire.Message) []byte {
	if m.MaxForwards < 0 {
		dst = append(dst, "Max-Forwards: 70\r\n"...)
	}
	if m.MaxBreadth < 0 && m.Method != wire.CANCEL {
		dst = append(dst, "Max-Breadth: 60\r\n"...)
	}
	return dst
}

// appendLength appends the Content-Length that a message needs on a stream and a
// datagram may lack (RFC 3261 18.3, 20.14).
func (r *Router) appendLength(dst []byte, m *wire.Message, out int) []byte {
	if m.ContentLength >= 0 || !r.listeners[out].Transport.Reliable() {
		return dst
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(m.Body.Len()), 10)
	return append(dst, "\r\n"...)
}

// editHops counts one hop, and takes back a breadth above ours (RFC 5393 5.3.3).
func editHops(s *scratch, m *wire.Message) {
	if m.MaxForwards >= 0 {
		editNumber(s, m, wire.HeaderMaxForwards, max(m.MaxForwards-1, 0))
	}
	if m.MaxBreadth > defaultMaxBreadth {
		editNumber(s, m, wire.HeaderMaxBreadth, defaultMaxBreadth)
	}
}

func editNumber(s *scratch, m *wire.Message, id wire.HeaderID, n int) {
	start := len(s.text)
	s.text = strconv.AppendInt(s.text, int64(n), 10)
	s.edits.Replace(m.Headers[m.Find(id)].Value, s.text[start:])
}

// completeVia notes where the request came from. A symmetric trunk is treated
// as if it had asked for rport: what comes back must find the source port.
func (r *Router) completeVia(s *scratch, m *wire.Message, source netip.AddrPort, symmetric bool) {
	if symmetric && !m.TopVia.HasRPort {
		start := len(s.text)
		s.text = append(s.text, ";rport="...)
		s.text = strconv.AppendUint(s.text, uint64(source.Port()), 10)
		s.edits.Insert(m.TopVia.Value.End, s.text[start:])
	}
	s.text = m.CompleteVia(&s.edits, source, s.text)
}

// deleteOwnRoutes takes the leading Route values out that are ours.
func (r *Router) deleteOwnRoutes(s *scratch, m *wire.Message) {
	var first, last wire.Value
	n := 0
	values := m.Values(wire.HeaderRoute)
	for v, ok := values.Next(); ok; v, ok = values.Next() {
		if _, own := r.ownValue(m, v.Span); !own {
			break
		}
		if n == 0 {
			first = v
		}
		last = v
		n++
	}
	if n > 0 {
		m.DeleteValues(&s.edits, first, last)
	}
}

// ownValue takes a Route value apart and reports which listener it names.
func (r *Router) ownValue(m *wire.Message, v wire.Span) (listener int, own bool) {
	a, ok := wire.ParseAddress(m.Data, v)
	if !ok {
		return 0, false
	}
	u, ok := wire.ParseURI(m.Data, a.URI)
	if !ok {
		return 0, false
	}
	return r.ownURI(m, &u)
}

// appendHop appends the ACK of a refusal or the CANCEL of attempt a: same
// request-URI and branch as its INVITE (RFC 3261 17.1.1.3, 9.1).
func (r *Router) appendHop(dst []byte, s *scratch, c *call, a *attempt, m *wire.Message, h wire.Hop) []byte {
	target, ours := r.target(m)
	start := len(s.text)
	s.text = appendRequestURI(s.text, m, &target, ours, a.host, c.number[:c.numberLen])
	h.RequestURI = s.text[start:]
	start = len(s.text)
	s.text = r.appendVia(s.text, s, c, a, m)
	h.Via = s.text[start:]
	return wire.AppendHop(dst, m, h)
}
