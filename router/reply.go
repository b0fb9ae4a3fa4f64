package router

import (
	"net/netip"

	"tandem/router/wire"
)

// reply is a response of our own.
type reply struct {
	status int
	phrase string // "" for the usual one
	extra  []byte // header lines
}

// reply answers the request that came, without state. Its To tag is made from
// the call key, so that its ACK is known when it comes.
func (r *Router) reply(s *scratch, key uint64, p reply) {
	m := &s.m
	if m.TopVia.Host.Len() == 0 {
		s.tally.drop(dropDefective)
		return
	}
	s.tag = toTag(s.tag[:0], &r.keys[0], key)
	msg := wire.AppendResponse(s.out.Buf(), m, wire.Response{
		Status: p.status, Phrase: p.phrase, ToTag: s.tag, Source: s.source, Extra: p.extra,
	})
	if s.trunk == nil && len(msg) > mostAmplified*len(m.Data) {
		s.tally.drop(dropUntrusted) // whoever it pretends to be is not sent more than that
		return
	}
	s.tally.replies[p.status/100].Add(1)
	s.out.SendFrom(s.listener, s.local, r.replyDest(s), msg)
}

// replyDest is where responses to the request that came go.
func (r *Router) replyDest(s *scratch) netip.AddrPort {
	return replyTarget(&s.m.TopVia, s.source, r.symmetric(s.trunk, s.listener))
}

// symmetric reports whether answers go to the port that a request came from,
// asked or not: of a symmetric trunk's, and over the connection that it came by
// (RFC 3261 18.2.2).
func (r *Router) symmetric(t *trunk, listener int) bool {
	return t != nil && t.Symmetric || r.listeners[listener].Transport.Reliable()
}

// ownTag reports whether the To tag of an ACK is one that reply made.
func (r *Router) ownTag(s *scratch, key uint64) bool {
	tag := s.m.Bytes(s.m.To.Tag)
	s.tag = toTag(s.tag[:0], &r.keys[0], key)
	return string(tag) == string(s.tag)
}
