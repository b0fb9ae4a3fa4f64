package router

import (
	"bytes"
	"net/netip"

	"tandem/router/wire"
)

// dialog is what goes along a dialog: a request from one end to the other, or a
// response back. It comes from what was just received, and from nothing else.
func (k *simChecker) dialog(st *simStep, c *simCall, m *wire.Message, o sent) {
	w, in := k.w, st.in
	st.relayed++
	switch {
	case in != nil && m.Method == wire.ACK && k.strayAck(st, c, o):
		return
	case st.unsent != nil && !m.IsRequest:
		if q := st.unsent; m.Status != 503 || st.relayed != 1 || q.Method == wire.ACK || simMethod(q) != simMethod(m) || q.CSeq != m.CSeq {
			w.fail(c, "16.9: what could not be sent counts as answered with 503", "%s to %s", startLine(o.text), w.name(o.to))
		}
		return
	case in == nil, in.IsRequest != m.IsRequest, simMethod(in) != simMethod(m), in.CSeq != m.CSeq:
		w.fail(c, "16.11: what goes along a dialog came just now", "%s to %s", startLine(o.text), w.name(o.to))
	case !m.IsRequest && !bytes.Equal(withoutVia(st.data), []byte(o.text)):
		w.fail(c, "16.7 step 9: what is relayed is not changed", "%s", startLine(o.text))
	case m.IsRequest && o.to != nextHop(in):
		w.fail(c, "16.6 step 7: the next hop is the remote target", "%s to %s", startLine(o.text), w.name(o.to))
	}
	if m.IsRequest {
		k.oneWay(st, c, m)
	}
}

// strayAck is the ACK of a refusal that another node relayed, at a node whose
// call was answered by then: to it, this is the ACK of a 2xx with the INVITE's
// branch. Design D3 lets the nodes of one call answer it apart.
func (k *simChecker) strayAck(st *simStep, c *simCall, o sent) bool {
	if k.w.single() {
		return false
	}
	return st.view != nil && st.view.firstStatus/100 == 2 && st.view.attempt(o.to) != nil &&
		string(st.in.Bytes(st.in.TopVia.Branch)) == c.invite.branch
}

// nextHop is the address in the request-URI.
func nextHop(m *wire.Message) netip.AddrPort {
	u, _ := wire.ParseURI(m.Data, m.RequestURI)
	addr, _ := parseAddr(m.Bytes(u.Host))
	return netip.AddrPortFrom(addr, portOr(u.Port))
}

// oneWay holds the branches of what repeats against each other: a
// retransmission, an ACK of a refusal and a CANCEL have that of their request.
func (k *simChecker) oneWay(st *simStep, c *simCall, m *wire.Message) {
	method := simMethod(m)
	from := string(st.in.Bytes(st.in.TopVia.Branch))
	if method == "ACK" || method == "CANCEL" || method == "INVITE" {
		method = "INVITE"
	}
	from += " " + string(m.Bytes(m.To.Tag)) // of a fork, where the ACKs share the INVITE's branch
	branch := string(m.Bytes(m.TopVia.Branch))
	for _, s := range c.forwarded {
		if s.method == method && s.from == from {
			if s.branch != branch {
				k.w.fail(c, "16.11: the branch of a retransmission is the same", "%s", simMethod(m))
			}
			return
		}
	}
	c.forwarded = append(c.forwarded, simForwarded{method, from, branch})
}

// overRate counts a request of the call's dialogs and reports whether there were
// more in this second than one token allows.
func (c *simCall) overRate(now int64) bool {
	if now/second != c.second {
		c.second, c.requests = now/second, 0
	}
	c.requests++
	return c.requests > tokenRate
}

// simForwarded is a request that was forwarded without state.
type simForwarded struct{ method, from, branch string }
