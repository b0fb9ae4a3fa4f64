package router

import (
	"net/netip"
	"time"

	"tandem/router/transport"
)

// simNet is the network: it loses, doubles, delays, reorders and cuts what is
// given to it. What happens to a call's datagrams is drawn from a source of the
// call's own, so that calls can be left out without a change to others.
type simNet struct{ w *simWorld }

// simWay is a way that a call's datagrams go, one after the other if the
// network does not reorder.
type simWay struct{ last int64 }

// carry brings data to arrive, perhaps.
func (n *simNet) carry(c *simCall, way *simWay, data []byte, arrive func(data []byte)) {
	w := n.w
	loss, delay := 0.0, w.delay
	if w.has(simLoss) {
		loss = w.loss
	}
	for i := range w.storms {
		if s := &w.storms[i]; s.from <= w.now && w.now < s.to {
			loss, delay = max(loss, s.loss), delay+s.delay
		}
	}
	copies := 1
	if c.net.Float64() < loss {
		copies--
	}
	if c.net.Float64() < w.dup && w.has(simDup) {
		copies++
	}
	cut := c.net.Float64() < w.cut
	if cut && w.has(simCut) {
		data = data[:c.net.IntN(len(data))]
		w.trace.note(w, c, "cut to %d bytes", len(data))
	}
	if copies == 0 {
		w.trace.note(w, c, "lost")
	}
	for range copies {
		d := delay
		if w.has(simReorder) {
			d += time.Duration(c.net.Int64N(int64(w.jitter)))
		} else {
			d += time.Duration(c.net.Int64N(int64(time.Millisecond)))
			way.last = max(way.last, w.now+int64(d))
			d = time.Duration(way.last - w.now)
		}
		w.after(d, func() { arrive(data) })
	}
}

// leave takes what a node sent of a call.
func (n *simNet) leave(node *simNode, c *simCall, o sent) {
	w := n.w
	data := []byte(o.text)
	if h := w.byAddr[o.to]; h != nil {
		if h.mode == simNoRoute {
			node.w.after(0, func() {
				h.refuse(node, transport.Unreachable{Dest: o.to, Code: transport.SendError, Quote: data, Local: true})
			})
			return
		}
		n.carry(c, &h.way, data, func(data []byte) { h.arrive(c, data) })
		return
	}
	if o.to != c.from {
		w.fail(c, "18.2.2: where it has to go", "to %s, where nobody is: %s", o.to, startLine(o.text))
	}
	n.carry(c, &c.down, data, c.caller.receive)
}

// quote is what an ICMP error says of a datagram: all of it, or its beginning.
func (n *simNet) quote(c *simCall, data []byte) []byte {
	return data[:min(len(data), pick(c.net, 20, 160, 520, 1400))]
}

// icmp answers a datagram, if it is not one too many.
func (n *simNet) icmp(c *simCall, h *simHost, data []byte) {
	w := n.w
	if !w.has(simICMP) || !h.errors.allow(w.now) {
		return
	}
	u := transport.Unreachable{Dest: h.addr, Code: pick(c.net, transport.NoPort, transport.NoPort, transport.NoHost, transport.Prohibited, transport.Other, transport.TooBig), Quote: n.quote(c, data)}
	n.carry(c, &simWay{}, u.Quote, func(quote []byte) {
		u.Quote = quote
		if node := w.nodeFor(c, netip.AddrPort(h.addr)); node != nil {
			h.refuse(node, u)
		}
	})
}

// simLimit is the rate limit of a kernel's ICMP: some at once, then one a second.
type simLimit struct {
	left int
	at   int64
}

func (l *simLimit) allow(now int64) bool {
	const burst = 6
	if gained := (now - l.at) / second; gained > 0 {
		l.left, l.at = min(burst, l.left+int(gained)), now
	}
	if l.left == 0 {
		return false
	}
	l.left--
	return true
}
