package load

import (
	"bytes"
	"hash/maphash"
	"net/netip"

	"tandem/bench/mmsg"
)

// source is one port or connection that calls come from. ACKs leave before BYEs:
// those of a size leave together.
type source struct {
	g       *Generator
	sock    *socket
	to      hop                        // the proxy
	conns   map[netip.AddrPort]*stream // to each proxy, over TCP and TLS; under the generator's lock
	text    callerText
	invites outbox
	acks    outbox
	byes    outbox
}

func newSource(g *Generator, sock *socket) *source {
	out := outbox{g: g, sock: sock}
	s := &source{g: g, sock: sock, conns: make(map[netip.AddrPort]*stream), invites: out, acks: out, byes: out}
	if sock != nil {
		s.text = newCallerText(UDP, sock.addr, g.cfg.Proxy)
	}
	return s
}

func (s *source) flush() {
	s.invites.flush()
	s.acks.flush()
	s.byes.flush()
}

// receive takes a response.
func (s *source) receive(data []byte, at int64, _ *hop) {
	m := &s.g.msg
	if !m.parse(data) {
		s.g.newest().Counts[Garbled]++
		return
	}
	s.response(m, at)
}

var seed = maphash.MakeSeed()

// response checks what came and does what it asks for.
func (s *source) response(m *message, at int64) {
	g := s.g
	id, ours := g.readID(m.callID)
	switch {
	case m.status == 0:
		g.newest().Counts[Unexpected]++ // a request: none comes to callers here
		return
	case !ours || id >= g.calls.next:
		g.newest().Counts[Stranger]++
		return
	}
	c := g.calls.find(id)
	if c == nil {
		g.newest().Counts[Late]++
		return
	}
	w := g.of(c)
	kind := byte('i')
	switch string(m.cseq) {
	case "1 INVITE":
	case "2 BYE":
		kind = 'b'
	default:
		w.Counts[WrongCSeq]++
		return
	}
	if !s.own(m, id, kind) {
		w.Counts[WrongVia]++
		return
	}
	tag := tag(m.to)
	if tag == nil && m.status != 100 {
		w.Counts[WrongTag]++
		return
	}
	switch {
	case kind == 'b':
		s.byeAnswer(c, w, m, tag, at)
	case m.status < 200:
		s.provisional(c, w, m)
	default:
		s.final(c, w, m, tag, at)
	}
}

// own says whether the only Via of a response is ours (RFC 3261 8.1.3.3), and
// this the socket of the call.
func (s *source) own(m *message, id int, kind byte) bool {
	const cookie = "z9hG4bK"
	b := branch(m.vias[0])
	return len(m.vias) == 1 && len(b) == len(cookie)+1+idLength && b[len(cookie)] == kind &&
		bytes.Equal(b[len(cookie)+1:], m.callID[:idLength]) && s.g.sources[id%len(s.g.sources)] == s
}

func (s *source) provisional(c *call, w *Report, m *message) {
	bit, kind, overtaken := seenTrying, Trying, TryingLate
	if m.status > 100 {
		bit, kind, overtaken = seenRinging, Ringing, RingingLate
	}
	before := c.seen
	c.seen |= bit
	switch {
	case c.state == givenUp:
		w.Counts[Late]++
	case before&bit != 0:
		w.Counts[Duplicate]++
	case c.state != inviting || bit < before&(seenTrying|seenRinging):
		w.Counts[overtaken]++
	default:
		w.Counts[kind]++
	}
}

func (s *source) final(c *call, w *Report, m *message, tag []byte, at int64) {
	switch {
	case c.state == givenUp:
		w.Counts[Late]++
		return
	case c.state != inviting:
		w.Counts[Duplicate]++
		if c.state != refused || m.status < 300 {
			return
		}
	}
	if m.status >= 300 {
		s.acks.put(s.ackRefusal(s.acks.next(), m), s.proxy(), nil)
		if c.state == inviting {
			w.Statuses[m.status]++
			s.g.fail(c, Refused)
			c.state = refused
		}
		return
	}
	to, ok := s.nextHop(m)
	if !ok {
		w.Counts[WrongRoute]++
		return
	}
	record(w.Answer, at-c.sent)
	record(w.ScheduledAnswer, at-c.scheduled)
	c.state, c.tag, c.bye = answered, maphash.Bytes(seed, tag), now()
	s.acks.put(s.within(s.acks.next(), "ACK", "1 ACK", 'a', m), &to, nil)
	bye := s.within(s.byes.next(), "BYE", "2 BYE", 'b', m)
	s.byes.put(bye, &to, &c.bye)
	s.g.keep(c, bye, to, 1)
}

// proxy is where INVITEs go.
func (s *source) proxy() *hop {
	if s.to.conn == nil {
		s.to.addr = s.g.proxy
	}
	return &s.to
}

// nextHop is where requests within a dialog go. There is none without a Contact,
// and over a connection only the proxy.
func (s *source) nextHop(m *message) (to hop, ok bool) {
	if m.contact == nil {
		return to, false
	}
	addr := s.g.nextHop(m)
	if s.to.conn != nil {
		return s.to, addr == s.g.proxy
	}
	return hop{addr: addr}, true
}

// nextHop is the first of the route set, or the Contact. Names in them are
// beyond us: they go to the proxy.
func (g *Generator) nextHop(m *message) address {
	target := m.contact
	if n := len(m.records); n > 0 {
		_, target = lastRoute(m.records[n-1])
	}
	text := host(uri(target))
	addr, known := g.routes[string(text)]
	if !known {
		addr = g.proxy
		if parsed, err := netip.ParseAddrPort(string(text)); err == nil {
			addr = mmsg.Address(parsed)
		} else if ip, err := netip.ParseAddr(string(text)); err == nil {
			addr = mmsg.Address(netip.AddrPortFrom(ip, 5060))
		}
		if len(g.routes) < 1000 { // a proxy may invent a new one each time
			g.routes[string(text)] = addr
		}
	}
	return addr
}

func (s *source) byeAnswer(c *call, w *Report, m *message, tag []byte, at int64) {
	switch {
	case c.state == givenUp:
		w.Counts[Late]++
	case c.state != answered && c.state != ended:
		w.Counts[Unexpected]++
	case c.seen&seenByeAnswer != 0:
		w.Counts[Duplicate]++
	case m.status < 200:
		w.Counts[Trying]++ // 100 to a BYE
	case maphash.Bytes(seed, tag) != c.tag:
		w.Counts[WrongTag]++
	case m.status >= 300:
		w.Statuses[m.status]++
		s.g.fail(c, ByeRefused)
		c.state = refused
	default:
		record(w.Bye, at-c.bye)
		c.seen |= seenByeAnswer
		s.g.complete(c)
	}
}

// complete ends a call that has all it needs: an ACK that BYE overtook may be
// on its way yet.
func (g *Generator) complete(c *call) {
	if c.state != answered || c.seen&seenByeAnswer == 0 || (c.seen&seenAck == 0 && len(g.connectors) > 0) {
		return
	}
	w := g.of(c)
	w.Counts[Good]++
	if c.seen&seenRinging == 0 && !g.cfg.NoRinging {
		w.Counts[LostRinging]++
	}
	c.state = ended
	g.calls.live--
	delete(g.kept, c.id)
}

// fail gives a call up.
func (g *Generator) fail(c *call, why Kind) {
	w := g.of(c)
	w.Counts[Failed]++
	w.Counts[why]++
	c.state = givenUp
	g.calls.live--
	delete(g.kept, c.id)
}
