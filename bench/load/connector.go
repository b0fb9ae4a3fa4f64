package load

import (
	"fmt"
	"net"
	"time"
)

// connector answers calls at one address.
type connector struct {
	g      *Generator
	sock   *socket
	index  int
	text   connectorText
	status string // the final answer's
	uri    string // what requests within dialogs are for
	in     *inbox
	out    outbox
	msg    message
	tag    []byte
	rung   []later // in order of time: all wait equally long
}

// later is an answer that waits while it rings.
type later struct {
	due int64
	msg []byte
	to  net.Addr
}

func newConnector(g *Generator, sock *socket, index int) *connector {
	status := fmt.Sprintf("%d Answer", g.cfg.Status)
	if g.cfg.Status == 200 {
		status = "200 OK"
	}
	return &connector{
		g: g, sock: sock, index: index, text: newConnectorText(sock.addr, g.cfg.Status), status: status,
		uri: fmt.Sprintf("sip:%s;transport=udp", sock.addr), in: newInbox(sock), out: outbox{g: g, sock: sock},
	}
}

// serve takes requests until the socket is closed.
func (k *connector) serve() {
	for {
		n, err := k.in.receive()
		if err != nil {
			k.g.broke(err)
			return
		}
		k.g.mu.Lock()
		for i := range n {
			if !k.msg.parse(k.in.data(i)) {
				k.g.newest().Counts[Garbled]++
				continue
			}
			k.request(&k.msg, k.in.at(i), k.in.msgs[i].Addr)
		}
		k.g.mu.Unlock()
		k.out.flush()
	}
}

func (k *connector) request(m *message, at int64, from net.Addr) {
	g := k.g
	id, ours := g.readID(m.callID)
	switch {
	case m.status != 0:
		g.newest().Counts[Unexpected]++
		return
	case string(m.method) == "OPTIONS":
		g.newest().Counts[Probes]++
		k.reply(m, 0, "200 OK", k.text.plain, from)
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
		if k.dialog(c, w, m) {
			k.ack(c, w)
		}
	case "BYE":
		if k.dialog(c, w, m) {
			k.bye(c, w, m, from)
		}
	default:
		w.Counts[Unexpected]++
	}
}

func (k *connector) invite(c *call, w *Report, m *message, at int64, from net.Addr) {
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
	if !g.cfg.NoRinging {
		k.out.put(k.answer(k.out.next(), m, c.id, "180 Ringing", k.text.ringing, true), from, nil)
	}
	if g.cfg.Ringing > 0 {
		final := k.answer(nil, m, c.id, k.status, k.text.final, true)
		k.rung = append(k.rung, later{now() + int64(g.cfg.Ringing), final, from})
		return
	}
	k.out.put(k.answer(k.out.next(), m, c.id, k.status, k.text.final, true), from, nil)
}

// dialog says whether a request within a dialog came as it should: without
// Route, for our Contact, with our tag. The ACK of an error is as the INVITE
// was (RFC 3261 17.1.1.3).
func (k *connector) dialog(c *call, w *Report, m *message) bool {
	k.tag = k.appendTag(k.tag[:0], c.id)
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

func (k *connector) bye(c *call, w *Report, m *message, from net.Addr) {
	if c.seen&seenBye != 0 {
		w.Counts[Retransmitted]++
	}
	c.seen |= seenBye
	k.reply(m, c.id, "200 OK", k.text.plain, from)
}

func (k *connector) reply(m *message, id int, status, end string, to net.Addr) {
	k.out.put(k.answer(k.out.next(), m, id, status, end, false), to, nil)
}

// answerRung sends the final answers of calls that have rung long enough.
func (k *connector) answerRung() {
	out := outbox{g: k.g, sock: k.sock}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-k.g.closing:
			return
		case <-tick.C:
		}
		k.g.mu.Lock()
		t, n := now(), 0
		for n < len(k.rung) && n < batch && k.rung[n].due <= t {
			out.put(append(out.next(), k.rung[n].msg...), k.rung[n].to, nil)
			n++
		}
		k.rung = k.rung[n:]
		k.g.mu.Unlock()
		out.flush()
	}
}
