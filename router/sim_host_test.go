package router

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
)

// simHost is a host of a connector. What it does with a call is drawn for the
// call; whether it is there is its own matter.
type simHost struct {
	w        *simWorld
	addr     netip.AddrPort
	name     string
	con      *catalog.Connector
	failover catalog.Failover // of attempts at it
	random   *rand.Rand
	mode     simMode
	errors   simLimit
	way      simWay
	ends     map[*simCall]*simEnd // what it knows of calls
}

// simMode is whether a host is there.
type simMode uint8

const (
	simUp      simMode = iota
	simClosed          // nobody listens: ICMP says so, at its rate
	simGone            // nothing comes and nothing goes
	simNoRoute         // the node's own sending fails
)

// addHost makes the host at addr, once.
func (w *simWorld) addHost(addr netip.AddrPort, con *catalog.Connector) {
	if w.byAddr[addr] != nil {
		return
	}
	h := &simHost{
		w: w, addr: addr, name: "h" + addr.Addr().String(), con: con, failover: w.attempts(con),
		random: rand.New(rand.NewPCG(w.number, uint64(len(w.hosts))+1<<32)), ends: map[*simCall]*simEnd{},
		errors: simLimit{6, w.now},
	}
	w.hosts = append(w.hosts, h)
	w.byAddr[addr] = h
}

// begin has the host come and go, and be probed, until end.
func (h *simHost) begin(end int64) {
	if h.w.has(simCrash) {
		h.turn(end)
	}
	if h.w.has(simProbes) {
		h.probed(end)
	}
}

func (h *simHost) turn(end int64) {
	was := h.mode
	h.mode = pick(h.random, simUp, simUp, simUp, simClosed, simGone, simNoRoute)
	forgets := h.random.IntN(2) == 0
	if h.w.now >= end {
		h.mode = simUp // what is left gets a chance to end well
	}
	if h.mode != was {
		h.w.trace.note(h.w, nil, "%s is %s", h.w.name(h.addr), [...]string{"up", "closed", "gone", "unroutable"}[h.mode])
	}
	if h.mode != simUp && h.mode != simNoRoute && forgets && h.w.has(simForget) {
		h.forget()
	}
	if h.w.now < end {
		h.w.after(100*time.Millisecond+time.Duration(h.random.Int64N(int64(20*time.Second))), func() { h.turn(end) })
	}
}

// forget is a restart: of the calls of before nothing is known.
func (h *simHost) forget() {
	h.w.trace.note(h.w, nil, "%s forgets", h.w.name(h.addr))
	for _, e := range h.ends {
		e.gone = true
	}
	clear(h.ends)
}

func (h *simHost) probed(end int64) {
	o := health.Observation{Event: health.ProbeOK, Code: 200}
	if h.mode != simUp {
		o.Event = health.ProbeFailed
	}
	h.w.observe(h.addr, o)
	if h.w.now < end {
		h.w.after(time.Second+time.Duration(h.random.Int64N(int64(5*time.Second))), func() { h.probed(end) })
	}
}

// arrive is a datagram of call c.
func (h *simHost) arrive(c *simCall, data []byte) {
	switch h.mode {
	case simUp:
		e := h.ends[c]
		if e == nil {
			e = newSimEnd(c, h.addr, uint64(len(c.ends))+1)
			e.host = h
			h.ends[c] = e
			c.ends = append(c.ends, e)
		}
		e.receive(data)
	case simClosed, simNoRoute:
		h.w.net.icmp(c, h, data)
	}
}

// refuse is an error that node hears of.
func (h *simHost) refuse(node *simNode, u transport.Unreachable) {
	if !node.dead {
		node.unreachable(u)
	}
}
