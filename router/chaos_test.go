package router

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
	"tandem/router/wire"
)

// chaosSeed replays one seed: CHAOS_SEED=17 go test -run Chaos ./router
const chaosSeed = "CHAOS_SEED"

// TestChaos lets callers and connectors that behave in all ways talk through a
// network that loses, doubles, delays and reorders, and holds what the router
// does against what it must never do (design section 10).
func TestChaos(t *testing.T) {
	first, last := uint64(0), uint64(60)
	if s := os.Getenv(chaosSeed); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		first, last = seed, seed+1
	}
	for seed := first; seed < last; seed++ {
		newChaos(t, seed).run()
	}
}

// chaos is a router between callers and hosts, on one queue of events.
type chaos struct {
	*rig
	seed   uint64
	random *rand.Rand
	queue  chaosQueue
	order  int
	tickAt int64

	loss, double float64
	delay        time.Duration
	hosts        map[netip.AddrPort]*chaosHost
	calls        map[string]*chaosCall // by Call-ID
}

type chaosEvent struct {
	at    int64
	order int
	do    func()
}

type chaosQueue []chaosEvent

func (q chaosQueue) Len() int { return len(q) }
func (q chaosQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q chaosQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *chaosQueue) Push(x any)   { *q = append(*q, x.(chaosEvent)) }
func (q *chaosQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func newChaos(t *testing.T, seed uint64) *chaos {
	random := rand.New(rand.NewPCG(seed, 0))
	x := &chaos{
		seed: seed, random: random, tickAt: never,
		loss: []float64{0, 0.02, 0.2}[random.IntN(3)], double: []float64{0, 0.1}[random.IntN(2)],
		delay: []time.Duration{time.Millisecond, 50 * time.Millisecond, 700 * time.Millisecond}[random.IntN(3)],
		hosts: map[netip.AddrPort]*chaosHost{}, calls: map[string]*chaosCall{},
	}
	var connectors []catalog.Connector
	p := twoRegions()
	p.Catalog.Groups[0].Connectors = nil
	for i := range 1 + random.IntN(4) {
		c := connectorOf(fmt.Sprint("c", i), fmt.Sprint("r", random.IntN(2)), ranked(i+1, 1+random.IntN(3))...)
		for _, h := range c.Hosts {
			x.hosts[h.Addr] = &chaosHost{x: x, addr: h.Addr, served: map[string]*served{}}
		}
		connectors = append(connectors, c)
		p.Catalog.Groups[0].Connectors = append(p.Catalog.Groups[0].Connectors, catalog.Member{Connector: c.Name, Priority: i + 1})
	}
	p.Catalog.Connectors = connectors
	p.Failover.AfterRinging = random.IntN(2) == 0
	if random.IntN(2) == 0 {
		p.Failover.ExhaustedCode = 0
	}
	x.rig = newRig(t, p)
	if random.IntN(3) == 0 {
		x.judge(catalog.Health{UpAfter: 1, DownAfter: 1}) // without probes: trials
	}
	x.now += int64(10 * time.Minute) // nothing can be of a call of before the start
	return x
}

func (x *chaos) run() {
	for i := range 30 {
		call := &chaosCall{
			x: x, id: fmt.Sprintf("%d@chaos", i), method: "INVITE",
			asked: map[netip.AddrPort]string{}, begun: map[string]bool{},
		}
		if x.random.IntN(6) == 0 {
			call.method = "MESSAGE"
		}
		x.calls[call.id] = call
		x.after(x.upTo(2*time.Minute), call.start)
	}
	for _, addr := range x.addrs() {
		x.hosts[addr].turn()
	}
	x.until(func() bool { return x.now > int64(time.Hour+13*time.Minute) && x.r.Setups() == 0 })
	end := x.now + timerB + int64(5*time.Second)
	x.until(func() bool { return x.now >= end })
	for _, call := range x.calls {
		if call.reached && call.final == "" {
			x.fail(call, "no final response")
		}
	}
	require.Zero(x.t, x.r.Live(), "seed %d", x.seed)
	for _, st := range x.r.stripes {
		require.Zero(x.t, st.count, "seed %d", x.seed)
		require.Zero(x.t, st.wheel.count, "seed %d", x.seed)
	}
}

func (x *chaos) addrs() (addrs []netip.AddrPort) {
	for _, h := range x.r.Hosts() {
		addrs = append(addrs, h.Addr)
	}
	return addrs
}

// until runs the queue until done, with the router's timers in between; its
// timer goroutine is sometimes a little late.
func (x *chaos) until(done func() bool) {
	limit := x.now + int64(40*time.Minute)
	for !done() {
		if x.now > limit {
			x.t.Fatalf("seed %d (%s=%d replays it): %d calls never end", x.seed, chaosSeed, x.seed, x.r.Setups())
		}
		late := x.tickAt
		if late != never {
			late += x.random.Int64N(int64(3 * time.Millisecond))
		}
		if len(x.queue) > 0 && x.queue[0].at <= late {
			e := heap.Pop(&x.queue).(chaosEvent)
			x.now = max(x.now, e.at)
			e.do()
		} else if late != never {
			x.now = max(x.now, late)
			x.tick()
		} else {
			x.now += int64(time.Second)
		}
	}
}

func (x *chaos) tick() {
	for again := true; again; {
		var sent []sent
		var out transport.Batch
		x.tickAt = x.r.Tick(x.now, &out, func(_ int64, b *transport.Batch) {
			sent = append(sent, taken(b)...)
		})
		x.leave(sent)
		again = len(x.r.wake) > 0
		if again {
			<-x.r.wake
		}
	}
}

func taken(b *transport.Batch) (all []sent) {
	for i := range b.Len() {
		_, to, data := b.At(i)
		all = append(all, sent{to, string(data)})
	}
	b.Reset()
	return all
}

func (x *chaos) after(d time.Duration, do func()) {
	x.order++
	heap.Push(&x.queue, chaosEvent{x.now + int64(d), x.order, do})
}

func (x *chaos) upTo(d time.Duration) time.Duration { return time.Duration(x.random.Int64N(int64(d))) }

func (x *chaos) chance(p float64) bool { return x.random.Float64() < p }

// carry is the network: it loses, doubles and delays.
func (x *chaos) carry(arrive func()) {
	if x.chance(x.loss) {
		return
	}
	x.after(x.upTo(x.delay), arrive)
	if x.chance(x.double) {
		x.after(x.upTo(x.delay), arrive)
	}
}

// send is a datagram to the router.
func (x *chaos) send(from netip.AddrPort, text string) {
	x.carry(func() { x.deliver(from, text) })
}

// deliver hands a datagram to the router and checks what must follow at once.
func (x *chaos) deliver(from netip.AddrPort, text string) {
	m := parse(text)
	call := x.calls[string(m.Bytes(m.CallID))]
	call.note("in  %s %s", name(from), startLine(text))
	switch {
	case m.IsRequest && m.Method.String() == call.method:
		call.reached = true
	case m.IsRequest && m.Method == wire.CANCEL:
		call.stopped = call.stopped || call.reached
	case !m.IsRequest && m.Method.String() == call.method && (m.Status/100 == 2 || m.Status/100 == 6):
		call.stopped = true
	}
	branch := string(m.Bytes(m.TopVia.Branch))
	if !m.IsRequest && m.Method == wire.INVITE {
		call.begun[branch] = true
	}
	all := x.from(from, text)
	x.leave(all)
	if !m.IsRequest && m.Method == wire.INVITE && m.Status >= 300 && !has(all, from, "ACK", branch) {
		x.fail(call, "no ACK to %s for %d", from, m.Status)
	}
	if !m.IsRequest && m.Method == wire.INVITE && m.Status/100 == 2 && !has(all, caller, "200", "") {
		x.fail(call, "a 2xx did not go upstream")
	}
	if len(x.r.wake) > 0 {
		<-x.r.wake
		x.tick()
	}
}

func has(all []sent, to netip.AddrPort, what, branch string) bool {
	for _, o := range all {
		if o.to == to && strings.Contains(startLine(o.text), what) && strings.Contains(o.text, branch) {
			return true
		}
	}
	return false
}

// leave checks what the router sent and puts it on its way.
func (x *chaos) leave(all []sent) {
	for _, o := range all {
		m := parse(o.text)
		call := x.calls[string(m.Bytes(m.CallID))]
		call.note("out %s %s", name(o.to), startLine(o.text))
		if o.to == caller {
			call.checkUpstream(m)
			x.carry(func() { call.receive(m) })
			continue
		}
		call.checkDownstream(m, o.to)
		h := x.hosts[o.to]
		x.carry(func() { h.arrive(o) })
	}
}

func (x *chaos) fail(call *chaosCall, format string, args ...any) {
	x.t.Fatalf("seed %d (%s=%d replays it): call %s: %s\n%s", x.seed, chaosSeed, x.seed, call.id, fmt.Sprintf(format, args...), strings.Join(call.trace, "\n"))
}

// chaosCall is a caller with one call, and what was seen of it.
type chaosCall struct {
	x          *chaos
	id, method string
	trace      []string

	// Of the caller:
	heard, done, cancelling bool
	interval                time.Duration
	waited                  time.Duration

	// Of the router:
	reached bool                      // the request reached it
	stopped bool                      // a CANCEL, 2xx or 6xx did
	final   string                    // the last final response that went upstream
	asked   map[netip.AddrPort]string // the branch of each host
	begun   map[string]bool           // branches that had a response
}

func (c *chaosCall) note(format string, args ...any) {
	at := time.Duration(c.x.now) - time.Hour
	c.trace = append(c.trace, fmt.Sprintf("%12v ", at.Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

func (c *chaosCall) checkUpstream(m *wire.Message) {
	if m.IsRequest || m.Method.String() != c.method {
		return
	}
	text := string(m.Data)
	switch {
	case m.Status < 200:
		if c.final != "" {
			c.x.fail(c, "%d after the final response", m.Status)
		}
	case c.final == "":
		c.final = text
	case m.Status < 300 && c.method == "INVITE": // each of them, whatever went before
	case c.final != text:
		c.x.fail(c, "%d after another final response", m.Status)
	}
}

func (c *chaosCall) checkDownstream(m *wire.Message, to netip.AddrPort) {
	branch := string(m.Bytes(m.TopVia.Branch))
	switch {
	case !m.IsRequest:
		c.x.fail(c, "a response went downstream")
	case m.Method == wire.CANCEL:
		if c.reached && c.asked[to] != "" && !c.begun[branch] {
			c.x.fail(c, "CANCEL to %s before a response (9.1)", to)
		}
	case m.Method.String() != c.method:
	case c.asked[to] == "":
		if c.stopped {
			c.x.fail(c, "a new attempt at %s after the end", to)
		}
		c.asked[to] = branch
	case c.asked[to] != branch:
		c.x.fail(c, "a second transaction at %s", to)
	}
}

func (c *chaosCall) request(method string, lines ...string) string {
	return request(method, dialled, append([]string{"Call-ID: " + c.id, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK" + c.id[:strings.IndexByte(c.id, '@')]}, lines...)...)
}

func (c *chaosCall) start() {
	c.interval = time.Duration(t1)
	c.again()
}

// again is Timer A or E, until Timer B or F.
func (c *chaosCall) again() {
	if c.done || c.method == "INVITE" && c.heard || c.waited >= time.Duration(timerB) {
		return
	}
	c.x.send(caller, c.request(c.method))
	c.x.after(c.interval, c.again)
	c.waited += c.interval
	if c.interval *= 2; c.method != "INVITE" {
		c.interval = min(c.interval, time.Duration(t2))
	}
}

func (c *chaosCall) receive(m *wire.Message) {
	if m.IsRequest {
		return
	}
	if m.Method == wire.CANCEL {
		c.cancelling = false
		return
	}
	if m.Status < 200 {
		if !c.heard && c.method == "INVITE" && c.x.chance(0.3) {
			c.x.after(c.x.upTo(20*time.Second), func() {
				c.cancelling = !c.done
				c.cancel(time.Duration(t1))
			})
		}
		c.heard = true
		return
	}
	c.heard, c.done = true, true
	if c.method != "INVITE" {
		return
	}
	to := "To: " + string(m.Bytes(m.To.Value))
	if m.Status >= 300 {
		c.x.send(caller, c.request("ACK", to))
		return
	}
	contact := strings.Trim(header(string(m.Data), "Contact")[0], "<>")
	c.x.send(caller, request("ACK", contact, to, "Call-ID: "+c.id, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack"+c.id,
		"Route: "+strings.Join(header(string(m.Data), "Record-Route"), ", ")))
}

func (c *chaosCall) cancel(interval time.Duration) {
	if !c.cancelling || interval > time.Duration(timerB) {
		return
	}
	c.x.send(caller, c.request("CANCEL"))
	c.x.after(min(interval, time.Duration(t2)), func() { c.cancel(2 * interval) })
}

// chaosHost is a user agent server that behaves differently to each call, and
// is at times not there.
type chaosHost struct {
	x      *chaos
	addr   netip.AddrPort
	mode   int // 0: there; 1: its port is closed; 2: nothing comes or goes
	served map[string]*served
}

// served is a server transaction of a host.
type served struct {
	h      *chaosHost
	req    sent
	last   string
	status int
	acked  bool
	deaf   bool // to CANCEL
}

// turn changes what the host is, every now and then.
func (h *chaosHost) turn() {
	h.mode = []int{0, 0, 0, 1, 2}[h.x.random.IntN(5)]
	if h.mode == 0 && h.x.chance(0.5) {
		h.x.r.plan.Load().byAddr[h.addr].health.Observe(h.x.now, health.Observation{Event: health.ProbeOK, Code: 200})
	}
	if h.x.now < int64(time.Hour+15*time.Minute) {
		h.x.after(time.Second+h.x.upTo(20*time.Second), h.turn)
	}
}

func (h *chaosHost) arrive(o sent) {
	switch h.mode {
	case 1:
		quote := []byte(o.text)
		quote = quote[:min(len(quote), []int{20, 160, 1400}[h.x.random.IntN(3)])]
		h.x.carry(func() {
			h.x.r.Unreachable(h.x.now, transport.Unreachable{Dest: o.to, Code: transport.NoPort, Quote: quote}, &h.x.out)
			h.x.leave(h.x.taken())
		})
	case 0:
		h.receive(o)
	}
}

func (h *chaosHost) receive(o sent) {
	m := parse(o.text)
	branch := string(m.Bytes(m.TopVia.Branch))
	t := h.served[branch]
	switch m.Method {
	case wire.ACK:
		for _, s := range h.served { // of a 2xx it has a branch of its own
			if s == t || s.status/100 == 2 && string(m.Bytes(m.CallID)) == header(s.req.text, "Call-ID")[0] {
				s.acked = true
			}
		}
	case wire.CANCEL:
		if t == nil {
			h.x.send(h.addr, respond(o, 481))
			return
		}
		if t.deaf {
			return
		}
		h.x.send(h.addr, respond(o, 200))
		t.final(487)
	default:
		if t != nil {
			t.repeat()
			return
		}
		t = &served{h: h, req: o, deaf: h.x.chance(0.1)}
		h.served[branch] = t
		t.behave(m.Method == wire.INVITE)
	}
}

func (t *served) repeat() {
	if t.last != "" {
		t.h.x.send(t.h.addr, t.last)
	}
}

// behave is what the host does with a request, soon or late.
func (t *served) behave(invite bool) {
	x := t.h.x
	if invite && x.chance(0.7) {
		x.after(x.upTo(300*time.Millisecond), func() { t.provisional(100) })
	}
	if invite && x.chance(0.5) {
		late := []time.Duration{time.Second, 6 * time.Second}[x.random.IntN(2)]
		for range 1 + x.random.IntN(3) {
			x.after(x.upTo(late), func() { t.provisional(180 + 3*x.random.IntN(2)) })
		}
	}
	statuses := []int{200, 200, 200, 302, 401, 404, 408, 482, 486, 500, 503, 503, 603, 0}
	if status := statuses[x.random.IntN(len(statuses))]; status != 0 {
		late := []time.Duration{100 * time.Millisecond, 4 * time.Second, 40 * time.Second}[x.random.IntN(3)]
		x.after(x.upTo(late), func() { t.final(status) })
	}
}

func (t *served) provisional(status int) {
	if t.status == 0 && t.h.mode != 2 {
		t.last = respond(t.req, status)
		t.repeat()
	}
}

func (t *served) final(status int) {
	if t.status != 0 {
		return
	}
	t.status = status
	t.last = respond(t.req, status, "Contact: <sip:agent@"+t.h.addr.String()+">")
	t.again(time.Duration(t1), 0)
	if status == 200 && t.h.x.chance(0.1) && strings.HasPrefix(t.req.text, "INVITE") {
		t.h.x.send(t.h.addr, strings.Replace(t.last, "calleetag", "forked", 1)) // another phone behind it
	}
}

// again is Timer G, until ACK or Timer H.
func (t *served) again(interval, waited time.Duration) {
	if t.acked || waited > time.Duration(timerB) {
		return
	}
	if t.h.mode != 2 {
		t.repeat()
	}
	if !strings.HasPrefix(t.req.text, "INVITE") {
		return
	}
	t.h.x.after(interval, func() { t.again(min(2*interval, time.Duration(t2)), waited+interval) })
}
