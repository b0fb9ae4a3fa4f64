package router

import (
	"bytes"

	"tandem/health"
	"tandem/router/transport"
	"tandem/router/wire"
)

// Unreachable handles a datagram of ours that did not arrive (design D5). An
// error whose quoted branch is one of a call's attempts proves that we sent it
// there: the host becomes doubtful, and if it was the request itself and
// nothing was heard of it, the call moves on at once.
func (r *Router) Unreachable(now int64, u transport.Unreachable, out *transport.Batch) {
	r.tally.icmp.Add(1)
	if u.Code == transport.Other {
		return
	}
	stream := r.listeners[u.Listener].Transport.Reliable()
	if stream && bytes.HasPrefix(u.Quote, []byte("SIP/2.0 ")) {
		if u.Code == transport.Gone {
			r.reconnect(now, u, out)
		}
		return
	}
	// A connection fails for what is at its other end, if not for limits of ours.
	local := u.Local && (!stream || u.Code == transport.SendError)
	method, quoted, ok := quotedBranch(u.Quote)
	if !ok {
		r.hint(u) // too short to prove anything
		return
	}
	if bytes.HasPrefix(quoted, probeBranch) {
		if r.probeFailed != nil && u.Code != transport.TooBig && !r.probeFailed(u.Dest, quoted) {
			r.hint(u)
		}
		return
	}
	b, ok := parseBranch(quoted)
	if ok && b.marker == markDialog && u.Local {
		if !r.dialogFallBack(now, u, &b, method, out) && (stream || r.over(b.listener).Reliable() && !r.relays.repeats(b.key)) {
			r.undelivered(now, u, b.key, out)
		}
		return
	}
	if !ok || b.marker != markCall {
		return
	}
	st := r.stripeOf(b.key)
	st.mu.Lock()
	defer st.mu.Unlock()
	c := st.find(b.key)
	if c == nil || c.loop != b.loop || c.listener != b.listener || b.local != 0 {
		return
	}
	a := c.byHost(b.host)
	if a == nil || a.host.addr != u.Dest {
		return
	}
	large := stream && !a.host.transport.Reliable()
	if !c.sent(method) && !(large && string(method) == "CANCEL") {
		return // a CANCEL or an ACK that did not arrive changes nothing
	}
	s := r.acquire(now, out)
	defer r.release(s)
	s.text = s.text[:0]
	if large {
		r.streamLost(s, st, c, a, method, u.Code)
		return
	}
	if u.Code == transport.TooBig {
		if a.phase == trying && !a.abandoned && !u.Local {
			r.sendRequest(s, c, a, r.original(s, c)) // the path's size is known now
		}
		return
	}
	if a.phase != trying || a.abandoned {
		if a.phase == trying && !local {
			a.host.health.Observe(now, health.Observation{Event: health.CallUnreachable, Began: a.started, Besides: true})
		}
		return
	}
	e := event{kind: unreachable}
	if local {
		e.status = 1
	}
	r.event(s, st, c, a, e, nil)
	r.arm(st, c, now)
}

// hint has the host looked at that an error without proof names, no more.
func (r *Router) hint(u transport.Unreachable) {
	if h := r.plan.Load().byAddr[hostPlace{u.Dest, r.listeners[u.Listener].Transport}]; h != nil {
		h.health.Wake()
	}
}

// sent reports whether method is that of the call's own request.
func (c *call) sent(method []byte) bool {
	if c.method == wire.Other {
		return string(method) != "CANCEL" && string(method) != "ACK"
	}
	return string(method) == c.method.String()
}

// quotedBranch finds the method and our branch in a quoted request, which may
// be cut short anywhere. Our Via is the first header that we write, and we
// write it in one way only. A probe's branch ends where the quote shows that it
// does. The request line is not looked at: its user part is the caller's.
func quotedBranch(q []byte) (method, branch []byte, ok bool) {
	i := bytes.IndexByte(q, ' ')
	if i <= 0 || bytes.HasPrefix(q, []byte("SIP/2.0")) {
		return nil, nil, false
	}
	method = q[:i]
	line := max(bytes.IndexByte(q, '\n'), 0)
	at := bytes.Index(q[line:], []byte("branch="))
	if at < 0 {
		return nil, nil, false
	}
	branch = q[line+at+len("branch="):]
	if bytes.HasPrefix(branch, probeBranch) {
		end := bytes.IndexAny(branch, "\r\n\t ,;")
		if end < 0 {
			return nil, nil, false
		}
		return method, branch[:end], true
	}
	if len(branch) < branchLen {
		return nil, nil, false
	}
	return method, branch[:branchLen], true
}
