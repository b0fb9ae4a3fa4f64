package router

import (
	"fmt"
	"net/netip"
	"time"

	"tandem/config/catalog"
	"tandem/health"
)

// simWorld is one seed under way: nodes, the network, callers and hosts, on one
// queue of events and one clock. It goes in steps, and each step is judged by
// the checker before the next one begins.
type simWorld struct {
	*simSettings
	now      int64
	queue    simQueue
	nodes    []*simNode // that live
	changed  bool       // the other policy is in force
	policies int        // how often it changed
	orders   catalog.Orders
	net      simNet
	hosts    []*simHost
	byAddr   map[netip.AddrPort]*simHost
	calls    []*simCall // by index; nil: left out
	byID     map[string]*simCall
	check    simChecker
	begun    int64
	last     int64 // when a node was last told anything
	ticked   int64 // when timers last fired: when nothing is left, none do
	trace    *simTrace
	tamper   simTamper // nil: the router is left alone
}

// simTamper changes what a node sent before anybody sees it, to find out
// whether the checker notices.
type simTamper func(st *simStep, out []sent) []sent

// simViolation is an invariant that did not hold.
type simViolation struct {
	clause string
	text   string
	call   *simCall // nil: of the whole seed
}

func (v *simViolation) String() string {
	id := "the seed"
	if v.call != nil {
		id = v.call.id
	}
	return fmt.Sprintf("%s: %s (%s)", id, v.text, v.clause)
}

func newSimWorld(s *simSettings, trace *simTrace) *simWorld {
	w := &simWorld{
		simSettings: s, now: simStart, trace: trace,
		byAddr: map[netip.AddrPort]*simHost{}, byID: map[string]*simCall{},
	}
	w.net.w, w.check.w = w, w
	for _, c := range []*catalog.Catalog{s.catalog, s.second} {
		for i := range c.Connectors {
			for _, h := range c.Connectors[i].Hosts {
				w.addHost(h.Addr, &c.Connectors[i])
			}
		}
	}
	nodes := 1
	if s.has(simTwoNodes) {
		nodes = 2
	}
	for range nodes {
		w.nodes = append(w.nodes, newSimNode(w))
	}
	if !s.has(simFresh) { // nothing can be of a call of before the start
		w.now += int64(s.failover.TimerC) + int64(time.Minute)
	}
	return w
}

// run lets the seed take its course. What it panics with is a *simViolation.
func (w *simWorld) run() {
	w.begun = w.now
	w.begin()
	end := w.now + int64(w.over)
	limit := end + int64(2*time.Hour)
	for w.step() {
		if w.now > limit {
			w.fail(nil, "17: all transactions end", "%d calls are still there after two hours", w.nodes[0].r.Live())
		}
	}
	w.check.end()
}

// begin puts everything on the queue that happens by itself.
func (w *simWorld) begin() {
	end := w.now + int64(w.over)
	w.calls = make([]*simCall, w.many)
	for i := range w.calls {
		if w.only != nil && !contains(w.only, i) {
			continue
		}
		c := newSimCall(w, i)
		w.calls[i], w.byID[c.id] = c, c
		w.after(time.Duration(c.random.Int64N(int64(w.over))), c.start)
	}
	for _, h := range w.hosts {
		h.begin(end)
	}
	if w.has(simPolicy) {
		w.after(w.upTo(w.over), func() { w.setPolicy(true) })
		w.after(w.over, func() { w.setPolicy(false) })
	}
	for _, o := range w.simSettings.orders {
		w.after(o.after, func() { w.setOrders(w.orders.With(o.Order)) })
		w.after(o.back, func() { w.setOrders(w.orders.Without(o.Subject)) })
	}
	if w.has(simRestart) {
		w.after(w.upTo(w.over), w.kill)
	}
}

// step does the next thing; false when nothing is left to be done.
func (w *simWorld) step() bool {
	due := never
	var node *simNode
	for _, n := range w.nodes {
		if n.dueAt < due {
			due, node = n.dueAt, n
		}
	}
	switch next := w.queue.next(); {
	case next == never && due == never:
		return false
	case next <= due:
		w.now = max(w.now, next)
		e := w.queue.take()
		e.do()
	default:
		w.now = max(w.now, due)
		node.tick()
	}
	return true
}

func (w *simWorld) after(d time.Duration, do func()) { w.queue.put(w.now+int64(d), do) }

func (w *simWorld) upTo(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d) + 1))
}

func (w *simWorld) fail(c *simCall, clause, format string, args ...any) {
	panic(&simViolation{clause, fmt.Sprintf(format, args...), c})
}

// arrive brings a datagram to the address that the nodes share.
func (w *simWorld) arrive(c *simCall, from netip.AddrPort, data []byte) {
	if n := w.nodeFor(c, from); n != nil {
		n.packet(from, data)
	} else {
		w.trace.note(w, c, "lost: no node")
	}
}

// nodeFor is the node that a message comes to; nil when it is dead.
func (w *simWorld) nodeFor(c *simCall, from netip.AddrPort) *simNode {
	if len(w.nodes) == 0 {
		return nil
	}
	if len(w.nodes) == 1 {
		return w.nodes[0]
	}
	if w.sticky { // as balancers do, until their table changes
		period := uint64(w.now / int64(7*time.Second))
		return w.nodes[(uint64(from.Addr().As4()[3])+period*2654435761>>7)%2]
	}
	return w.nodes[c.net.IntN(len(w.nodes))]
}

// kill ends a node, and starts it anew a little later.
func (w *simWorld) kill() {
	i := w.random.IntN(len(w.nodes))
	pause := pick(w.random, 0, 100*time.Millisecond, 3*time.Second)
	dead := w.nodes[i]
	dead.dead = true
	w.nodes = append(w.nodes[:i:i], w.nodes[i+1:]...)
	w.trace.note(w, nil, "node %d killed", dead.number)
	w.after(pause, func() { w.nodes = append(w.nodes, newSimNode(w)) })
}

func (w *simWorld) setPolicy(changed bool) {
	w.changed = changed
	w.policies++
	w.trace.note(w, nil, "policy changed")
	for _, n := range w.nodes {
		p := w.policy(changed)
		p.Orders = w.orders
		if err := n.r.SetPolicy(w.now, p); err != nil {
			panic(err)
		}
	}
}

// observe tells all nodes what their prober saw of a host.
func (w *simWorld) observe(addr netip.AddrPort, e health.Observation) {
	for _, n := range w.nodes {
		if h := n.r.plan.Load().byAddr[hostPlace{addr: addr}]; h != nil {
			h.health.Observe(w.now, e)
		}
	}
}

func contains(list []int, x int) bool {
	for _, v := range list {
		if v == x {
			return true
		}
	}
	return false
}
