package router

import (
	"net/netip"
	"time"

	"tandem/health"
	"tandem/router/transport"
	"tandem/router/wire"
)

// simNode is one process: a Router from its start to its end.
type simNode struct {
	w        *simWorld
	number   int
	r        *Router
	started  int64
	dead     bool
	dueAt    int64 // when its timer goroutine gets to run
	out      transport.Batch
	buf      []byte
	scratch  scratch
	follower *Follower
}

func newSimNode(w *simWorld) *simNode {
	w.check.nodes++
	n := &simNode{w: w, number: w.check.nodes, started: w.now, dueAt: never}
	p := w.policy(w.changed)
	p.Orders = w.orders // they outlive a node
	r, err := New(Options{
		Listeners:   []Listener{{Addr: ownAddr}},
		Secrets:     [][]byte{[]byte("0123456789abcdef")},
		RecordRoute: true,
		Health:      health.NewRegistry(health.Options{Settings: p.Health}),
		RecentCalls: 1 << 20, // all of them
		Now:         w.now,
		Epoch:       time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(),
	}, p)
	if err != nil {
		panic(err)
	}
	n.r, n.follower = r, r.Follow()
	w.trace.note(w, nil, "node %d starts", n.number)
	return n
}

// fresh reports whether calls of before its start may still be in set-up
// (design D3).
func (n *simNode) fresh() bool { return n.w.now-n.started < int64(n.w.failover.TimerC) }

// holds reports whether the node has a call with that key.
func (n *simNode) holds(key uint64) bool {
	return key != 0 && n.r.has(key)
}

// keyOf is the call key of a request.
func (n *simNode) keyOf(m *wire.Message) uint64 { return n.scratch.callKey(&n.r.keys[0], m) }

// packet hands the node a datagram. The memory is not the node's afterwards.
func (n *simNode) packet(source netip.AddrPort, data []byte) {
	n.w.last = n.w.now
	n.buf = append(n.buf[:0], data...)
	st := n.w.check.begin(n, source, data)
	n.r.Packets(n.w.now, []transport.Packet{{Data: n.buf, Source: source}}, &n.out)
	n.leave(st, &n.out)
	n.forget()
}

// unreachable tells the node of a datagram that did not arrive.
func (n *simNode) unreachable(u transport.Unreachable) {
	n.w.last = n.w.now
	n.buf = append(n.buf[:0], u.Quote...)
	u.Quote = n.buf
	st := n.w.check.beginICMP(n, u)
	n.r.Unreachable(n.w.now, u, &n.out)
	n.leave(st, &n.out)
	n.forget()
}

// forget makes memory useless that the node must not keep, and lets its timer
// goroutine run if it was woken.
func (n *simNode) forget() {
	for i := range n.buf {
		n.buf[i] = 0xff
	}
	n.woken()
}

func (n *simNode) woken() {
	if len(n.r.wake) > 0 {
		<-n.r.wake
		n.dueAt = min(n.dueAt, n.w.now)
	}
}

func (n *simNode) tick() {
	n.w.ticked = n.w.now
	if n.w.tamper == nil && n.w.random.IntN(16) == 0 {
		n.r.Trim() // whenever: no call notices, nor does it hide what a test has broken
	}
	at := n.r.Tick(n.w.now, &n.out, func(_ int64, out *transport.Batch) {
		n.leave(n.w.check.beginTimers(n), out)
	})
	n.dueAt = at
	if at != never {
		n.dueAt += n.w.random.Int64N(int64(n.w.lateness()))
	}
	n.woken()
}

// lateness is how late timers may fire.
func (s *simSettings) lateness() time.Duration {
	if s.has(simLate) {
		return s.late
	}
	return 100 * time.Microsecond
}

// leave has what the node sent checked, and puts it on its way.
func (n *simNode) leave(st *simStep, b *transport.Batch) {
	w := n.w
	out := st.out[:0]
	for i := range b.Len() {
		_, to, data := b.At(i)
		out = append(out, sent{to, string(data)})
	}
	b.Reset()
	if w.tamper != nil {
		out = w.tamper(st, out)
	}
	st.out = out
	w.check.judge(st)
	for i, o := range out {
		if c := st.calls[i]; c != nil {
			w.net.leave(n, c, o)
		}
	}
}
