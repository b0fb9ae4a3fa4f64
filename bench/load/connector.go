package load

import (
	"fmt"
	"net/netip"
)

// connector answers calls at one address.
type connector struct {
	g      *Generator
	sock   *socket // nil over connections
	addr   netip.AddrPort
	index  int
	text   connectorText
	status string // the final answer's
	uri    string // what requests within dialogs are for
	tag    []byte
	rung   []later // in order of time: all wait equally long

	// Ringing leaves before answers and both before what answers BYE: those of a
	// size leave together.
	ringing outbox
	finals  outbox
	plain   outbox
}

// later is an answer that waits while it rings.
type later struct {
	due int64
	msg []byte
	to  hop
}

func newConnector(g *Generator, sock *socket, addr netip.AddrPort, index int) *connector {
	status := fmt.Sprintf("%d Answer", g.cfg.Status)
	if g.cfg.Status == 200 {
		status = "200 OK"
	}
	out := outbox{g: g, sock: sock}
	return &connector{
		g: g, sock: sock, addr: addr, index: index, text: newConnectorText(g.cfg.Transport, addr, g.cfg.Status), status: status,
		uri: fmt.Sprintf("sip:%s;transport=%s", addr, g.cfg.Transport), ringing: out, finals: out, plain: out,
	}
}

func (k *connector) flush() {
	k.ringing.flush()
	k.finals.flush()
	k.plain.flush()
}

// receive takes a request.
func (k *connector) receive(data []byte, at int64, from *hop) {
	m := &k.g.msg
	if !m.parse(data) {
		k.g.newest().Counts[Garbled]++
		return
	}
	k.request(m, at, from)
}

func (k *connector) request(m *message, at int64, from *hop) {
	g := k.g
	id, ours := g.readID(m.callID)
	switch {
	case m.status != 0:
		g.newest().Counts[Unexpected]++
		return
	case string(m.method) == "OPTIONS":
		g.newest().Counts[Probes]++
		k.reply(m, nil, "200 OK", from)
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
	switch string(m.method) {
	case "INVITE":
		k.invite(c, w, m, at, from)
	case "ACK":
		if k.dialog(w, m) {
			k.ack(c, w)
		}
	case "BYE":
		if k.dialog(w, m) {
			k.bye(c, w, m, from)
		}
	default:
		w.Counts[Unexpected]++
	}
}

func (k *connector) invite(c *call, w *Report, m *message, at int64, from *hop) {
	g := k.g
	switch {
	case string(m.cseq) != "1 INVITE":
		w.Counts[WrongCSeq]++
		return
	case tag(m.to) != nil:
		w.Counts[WrongTag]++
		return
	case c.connector == int16(k.index+1):
		w.Counts[Retransmitted]++
	case c.connector != 0:
		w.Counts[Elsewhere]++
	case c.state == givenUp:
		w.Counts[Late]++
	default:
		c.connector = int16(k.index + 1)
		w.Counts[Forwarded]++
		w.Reached[k.index]++
		record(w.Forward, at-c.sent)
		record(w.ScheduledForward, at-c.scheduled)
		if g.cfg.Reached != nil {
			g.cfg.Reached(c.id, k.index)
		}
	}
	identity := m.callID[:idLength]
	if !g.cfg.NoRinging {
		k.ringing.put(k.answer(k.ringing.next(), m, identity, "180 Ringing", k.text.ringing, true), from, nil)
	}
	if g.cfg.Ringing > 0 {
		final := k.answer(nil, m, identity, k.status, k.text.final, true)
		k.rung = append(k.rung, later{now() + int64(g.cfg.Ringing), final, *from})
		return
	}
	k.finals.put(k.answer(k.finals.next(), m, identity, k.status, k.text.final, true), from, nil)
}

// dialog says whether a request within a dialog came as it should: without
// Route, for our Contact, with our tag. The ACK of an error is as the INVITE
// was (RFC 3261 17.1.1.3).
func (k *connector) dialog(w *Report, m *message) bool {
	k.tag = k.appendTag(k.tag[:0], m.callID[:idLength])
	switch {
	case string(tag(m.to)) != string(k.tag):
		w.Counts[WrongTag]++
	case k.g.cfg.Status >= 300:
		return true
	case len(m.routes) > 0 || string(m.uri) != k.uri:
		w.Counts[WrongRoute]++
	default:
		return true
	}
	return false
}

func (k *connector) ack(c *call, w *Report) {
	if c.seen&seenAck != 0 {
		w.Counts[Retransmitted]++
		return
	}
	c.seen |= seenAck
	if c.seen&seenBye != 0 {
		w.Counts[AckLate]++
	}
	k.g.complete(c)
}

func (k *connector) bye(c *call, w *Report, m *message, from *hop) {
	if c.seen&seenBye != 0 {
		w.Counts[Retransmitted]++
	}
	c.seen |= seenBye
	k.reply(m, m.callID[:idLength], "200 OK", from)
}

func (k *connector) reply(m *message, identity []byte, status string, to *hop) {
	k.plain.put(k.answer(k.plain.next(), m, identity, status, k.text.plain, false), to, nil)
}

// answerRung puts out the final answers of calls that have rung long enough. It
// returns when the first of them was or will be due, 0 if none waits.
func (k *connector) answerRung(t int64) (due int64) {
	if len(k.rung) > 0 {
		due = k.rung[0].due
	}
	for n := 0; n < batch && len(k.rung) > 0 && k.rung[0].due <= t; n++ {
		k.finals.put(append(k.finals.next(), k.rung[0].msg...), &k.rung[0].to, nil)
		k.rung = k.rung[1:]
	}
	if len(k.rung) > 0 {
		due = k.rung[0].due
	}
	return due
}
