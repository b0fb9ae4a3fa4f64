package router

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"tandem/router/wire"
)

// simEnd is one end of a call: the caller, or what one host knows of the call.
// It has the transactions of RFC 3261 17 and the dialogs of 12.
type simEnd struct {
	w        *simWorld
	call     *simCall
	host     *simHost // nil: the caller
	addr     netip.AddrPort
	random   *rand.Rand
	number   uint64
	gone     bool // it does nothing any more
	twice    bool // it sends everything twice
	silent   bool // it acknowledges nothing
	clients  []*simClient
	servers  []*simServer
	dialogs  []*simDialog
	branches int
	m        wire.Message
}

func newSimEnd(c *simCall, addr netip.AddrPort, number uint64) *simEnd {
	return &simEnd{
		w: c.w, call: c, addr: addr, number: number,
		random: rand.New(rand.NewPCG(c.w.number<<20|uint64(c.index), number)),
	}
}

func (e *simEnd) after(d time.Duration, do func()) {
	e.w.after(d, func() {
		if !e.gone {
			do()
		}
	})
}

func (e *simEnd) upTo(d time.Duration) time.Duration {
	return time.Duration(e.random.Int64N(int64(d) + 1))
}

func (e *simEnd) chance(p float64) bool { return e.random.Float64() < p }

// send gives data to the network; it is not changed any more.
func (e *simEnd) send(data []byte) {
	way := &e.call.up
	if e.host != nil {
		if e.host.mode != simUp {
			return
		}
		way = &e.host.way
	}
	for range e.times() {
		e.w.net.carry(e.call, way, data, func(data []byte) { e.w.arrive(e.call, e.addr, data) })
	}
}

func (e *simEnd) times() int {
	if e.twice {
		return 2
	}
	return 1
}

// receive is a datagram from the network.
func (e *simEnd) receive(data []byte) {
	if e.gone {
		return
	}
	m := &e.m
	if m.Parse(data) != nil || m.Defect != wire.NoDefect {
		return // it was cut
	}
	if m.IsRequest {
		e.request(m)
		return
	}
	branch, method := m.Bytes(m.TopVia.Branch), simMethod(m)
	for _, t := range e.clients {
		if t.q.branch == string(branch) && t.q.method == method {
			t.response(m)
			return
		}
	}
}

// branch makes one that was never used.
func (e *simEnd) branch() string {
	e.branches++
	return "z9hG4bK" + strconv.Itoa(e.call.index) + "." + strconv.FormatUint(e.number, 10) + "." + strconv.Itoa(e.branches)
}

// simClient is a client transaction.
type simClient struct {
	e        *simEnd
	q        *simRequest
	raw      []byte
	interval time.Duration
	waited   time.Duration
	heard    bool // a provisional came
	done     bool // a final came, or none will
	lost     bool // none came
	on       func(m *wire.Message)
}

// ask begins a client transaction; on is given each response.
func (e *simEnd) ask(q *simRequest, on func(m *wire.Message)) *simClient {
	t := &simClient{e: e, q: q, raw: q.bytes(), interval: time.Duration(t1), on: on}
	e.clients = append(e.clients, t)
	t.again()
	return t
}

// again is Timer A or E, until Timer B or F.
func (t *simClient) again() {
	invite := t.q.method == "INVITE"
	if t.done || invite && t.heard {
		return
	}
	if t.waited >= time.Duration(timerB) {
		t.done, t.lost = true, true
		return
	}
	t.e.send(t.raw)
	t.waited += t.interval
	pause := t.interval
	if t.interval *= 2; !invite {
		t.interval = min(t.interval, time.Duration(t2))
	}
	t.e.after(min(pause, time.Duration(timerB)-(t.waited-pause)), t.again)
}

func (t *simClient) response(m *wire.Message) {
	if m.Status < 200 {
		t.heard = true
	} else {
		t.done = true
	}
	t.on(m)
}

// acknowledge sends the ACK of a final response other than 2xx (17.1.1.3).
func (t *simClient) acknowledge(m *wire.Message) {
	if t.e.silent {
		return
	}
	q := *t.q
	q.method, q.to, q.body, q.extra = "ACK", string(m.Bytes(m.To.Value)), "", ""
	t.e.send(q.bytes())
}
