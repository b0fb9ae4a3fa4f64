package router

import (
	"net/netip"

	"tandem/config/catalog"
	"tandem/router/transport"
	"tandem/router/wire"
)

// undelivered handles an in-dialog request that could not be sent and that came or
// was to leave over a connection. Its sender hears what it would if the next hop had
// answered 503 (RFC 3261 16.9): nobody else knows of the request, and a sender that
// came over a connection would wait for its Timer B or F. Between UDP and UDP it is
// lost without a word, as on a network: its sender sends it again, and an error of
// this machine's may be over by then. So is what we send again ourselves (relays):
// the next hop may have what was sent before, and answer it. All that is needed
// stands in the request, which is quoted whole. An ACK has no answer.
func (r *Router) undelivered(now int64, u transport.Unreachable, key uint64, out *transport.Batch) {
	s := r.acquire(now, out)
	defer r.release(s)
	m := &s.orig
	if m.Parse(u.Quote) != nil || !m.IsRequest || m.Defect != wire.NoDefect || m.Method == wire.ACK {
		return
	}
	s.tag = toTag(s.tag[:0], &r.keys[0], key)
	answer := wire.AppendResponse(nil, m, wire.Response{Status: 503, ToTag: s.tag})
	if s.m.Parse(answer) != nil {
		return
	}
	s.tally.replies[5].Add(1)
	s.listener, s.source, s.text = u.Listener, netip.AddrPort{}, s.text[:0] // it comes from nobody
	r.response(s)
}

// over is the transport of a listener as a branch names it.
func (r *Router) over(listener int) catalog.Transport {
	if listener >= len(r.listeners) {
		return catalog.UDP
	}
	return r.listeners[listener].Transport
}

// reconnect sends a response whose connection has ended to where its receiver
// listens: the address that the request came from, and the port of the sent-by
// (RFC 3261 18.2.2). A connection is opened for it, over TLS to who proves to be
// the sent-by. It is tried once: for who does not listen there either, nobody is
// looked for in the DNS, since the host of a Via is the sender's to choose. So is
// its port, and what we open to strangers is bounded: who may not call does not
// have us dial.
func (r *Router) reconnect(now int64, u transport.Unreachable, out *transport.Batch) {
	s := r.acquire(now, out)
	defer r.release(s)
	m := &s.m
	if m.Parse(u.Quote) != nil || m.IsRequest {
		return
	}
	addr := u.Dest.Addr()
	if !s.plan.mayCall(addr) && !s.plan.known.addrs[addr] {
		s.tally.drop(dropUntrusted)
		return
	}
	v := &m.TopVia
	port := v.Port
	if port == 0 {
		port = r.listeners[u.Listener].Transport.Port()
	}
	if dest := netip.AddrPortFrom(addr, port); !r.ownDest(dest) {
		out.Send(u.Listener, dest, append(out.Buf(), u.Quote...))
		out.Connect(m.Bytes(v.Host))
	}
}
