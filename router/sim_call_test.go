package router

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"tandem/router/wire"
)

// simCall is a call: its caller, its hosts' ends, and what the checker saw.
type simCall struct {
	w      *simWorld
	index  int
	id     string
	method string
	from   netip.AddrPort // the caller
	random *rand.Rand     // of the caller
	net    *rand.Rand     // of the network
	caller *simEnd
	invite *simRequest
	ask    *simClient
	ends   []*simEnd // of hosts
	tags   int
	up     simWay
	down   simWay

	sameBranch bool // the ACK of a 2xx has the INVITE's branch
	hasty      bool // the caller gives up at some time
	cancelled  bool
	final      int // what the caller heard first
	byes       []*simClient

	// What the checker saw.
	views     []*simView
	branches  []simBranch
	forwarded []simForwarded
	second    int64 // in which so many requests of dialogs came
	requests  int
}

// simBranch is the one branch that a host may see.
type simBranch struct {
	host   netip.AddrPort
	branch string
}

func newSimCall(w *simWorld, index int) *simCall {
	c := &simCall{
		w: w, index: index, id: "c" + strconv.Itoa(index) + "@sim", method: "INVITE",
		from: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + index%5)}), 5060),
		net:  rand.New(rand.NewPCG(w.number<<20|uint64(index), 1<<40)),
	}
	e := newSimEnd(c, c.from, 0)
	c.caller, c.random = e, e.random
	if e.chance(0.2) && w.has(simNonInvite) {
		c.method = pick(e.random, "MESSAGE", "OPTIONS", "SUBSCRIBE")
	}
	c.sameBranch = e.chance(0.1)
	c.hasty = e.chance(0.3) && w.has(simCancel)
	number := simGroupNumber
	if e.chance(0.2) {
		number = simOwnNumber
	}
	c.invite = &simRequest{
		method: c.method, uri: "sip:" + number + "@198.51.100.1", sentBy: c.from.String(), branch: e.branch(), rport: e.chance(0.5),
		from: "<sip:+15551230000@192.0.2.10>;tag=f" + strconv.Itoa(index), to: "<sip:" + number + "@198.51.100.1>",
		callID: c.id, cseq: 1, contact: e.contact(), body: "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\n",
	}
	bad := e.random.IntN(4)
	when := e.upTo(30 * time.Second)
	if w.has(simBadCallers) {
		switch bad {
		case 0:
			w.after(time.Duration(e.random.Int64N(int64(w.over)))+when, func() { e.gone = true })
		case 1:
			e.silent = true
		case 2:
			e.twice = true
		}
	}
	return c
}

// good reports whether the caller does what the RFC asks for.
func (c *simCall) good() bool { return !c.caller.gone && !c.caller.silent }

func (c *simCall) start() {
	if !c.caller.gone {
		c.ask = c.caller.ask(c.invite, c.heard)
	}
}

// heard is a response to the first request.
func (c *simCall) heard(m *wire.Message) {
	e := c.caller
	first := c.final == 0
	if m.Status >= 200 && first {
		c.final = m.Status
	}
	switch {
	case c.method != "INVITE":
		if m.Status >= 200 && m.Status < 300 && c.method == "SUBSCRIBE" {
			e.dialogFrom(m)
		}
	case m.Status < 200:
		c.progress(m)
	case m.Status < 300:
		known := len(e.dialogs)
		d := e.dialogFrom(m)
		answered := len(e.dialogs) > known || !d.over && len(d.acks) == 0
		d.ack(1)
		switch {
		case !answered: // it came again
		case !first || c.cancelled: // the other of a fork, or too late
			d.bye()
		default:
			d.talk()
			if h := c.endOf(d); h != nil && h.chance(0.4) { // whoever hangs up first
				if back := h.dialogWith(d.tag, d.own); back != nil {
					back.talk()
				}
			}
		}
	default:
		c.ask.acknowledge(m)
	}
}

// endOf is the host's end of a dialog.
func (c *simCall) endOf(d *simDialog) *simEnd {
	for _, e := range c.ends {
		if !e.gone && e.dialogWith(d.tag, d.own) != nil {
			return e
		}
	}
	return nil
}

// progress is a 1xx: the caller may have enough of it, and may acknowledge it.
func (c *simCall) progress(m *wire.Message) {
	e := c.caller
	if c.hasty {
		c.hasty = false
		f := &c.w.failover
		wait := e.upTo(pick(e.random, 0, 100*time.Millisecond, 5*time.Second, 90*time.Second))
		if e.chance(0.3) {
			edge := pick(e.random, f.FirstResponse, f.Progress, f.NoAnswer)
			wait = max(0, edge-50*time.Millisecond+e.upTo(100*time.Millisecond))
		}
		e.after(wait, c.cancel)
	}
	if m.Status > 100 && m.To.Tag.Len() > 0 && c.w.has(simDialogs) && e.chance(0.3) {
		if d := e.dialogFrom(m); d.cseq == 1 {
			d.ask(pick(e.random, "PRACK", "UPDATE", "INFO"))
		}
	}
}

func (c *simCall) cancel() {
	if c.ask.done || c.cancelled {
		return
	}
	c.cancelled = true
	q := *c.invite
	q.method, q.body = "CANCEL", ""
	if c.caller.chance(0.5) {
		q.extra = "Reason: Q.850;cause=16\r\n"
	}
	c.caller.ask(&q, func(*wire.Message) {})
}
