//go:build linux && soak

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Experiments on health, for `make health-soak`: the binary on one machine of a
// netns, connectors on the other. Calls run all the time, a host falls ill and
// gets well, and one row of a table says what that cost (see row). The goals are
// those of the design; one that is missed fails the test. Health has its default
// settings unless the row says so.

const (
	healthRate = 20 // calls a second
	warmUp     = 6 * time.Second
	illness    = 15 * time.Second

	// grace is what a machine that has other work may add to a time.
	grace = time.Second
)

// oneEach is a group of two connectors of one host each, as twoConnectors, and
// of many numbers.
const oneEach = `
connectors:
  - {name: first, region: east, hosts: ["sip:127.0.0.11:5060"]}
  - {name: second, region: west, hosts: ["sip:127.0.0.12:5060"]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+1555000*"]
`

// experiment is a node under calls, and hosts that do as they are told.
type experiment struct {
	t *testing.T
	*machine
	n      *node
	s      *stage
	row    row
	number func(i int) string // that the call i is to
	gives  time.Duration      // up: callers hang up then; 0: they wait
	excuse func(*play) bool   // calls whose loss is no fault of the proxy; may be nil
	alibi  string             // what they are

	excused int

	fell, rose time.Time // when the illness began and ended

	mu     sync.Mutex
	actors map[netip.AddrPort]*actor

	stopping, stopped chan struct{}
}

// actor is a host. What it does may change at any time.
type actor struct {
	x    *experiment
	addr netip.AddrPort
	how  atomic.Pointer[manner]
	sock *peer // the latest
}

// manner is what a host does.
type manner struct {
	options int           // the answer to OPTIONS; 0: none
	invite  func(*leg)    // what it does with an INVITE; nil: nothing
	late    time.Duration // before it does anything
}

// healthy hosts ring and answer.
var healthy = manner{options: 200, invite: func(g *leg) {
	g.after(20*time.Millisecond, func() { g.respond(180) })
	g.after(60*time.Millisecond, func() { g.respond(200) })
}}

// says is a manner of refusing calls: OPTIONS are answered.
func says(code int, extra ...string) manner {
	return manner{options: 200, invite: func(g *leg) { g.refuse(code, extra...) }}
}

// refuse is respond with header lines.
func (g *leg) refuse(code int, extra ...string) {
	g.status, g.answered = code, time.Now()
	g.last = g.invite.reply(code, reasons[code], extra...)
	g.repeat("final "+g.invite.branch(), g.host, g.invite.from, g.last, timerT2)
}

// newExperiment starts hosts, all healthy, and a node with the config, which
// must know them.
func newExperiment(t *testing.T, scenario, config string, hosts ...string) *experiment {
	t.Helper()
	x := &experiment{
		t: t, machine: newMachine(t, hosts...), row: row{scenario: scenario}, actors: map[netip.AddrPort]*actor{},
		number: func(i int) string { return fmt.Sprintf("+1555000%04d", i%50) },
	}
	x.watch(hosts)
	x.s = x.stage("127.0.0.2", x.addr("127.0.0.1"))
	for _, host := range hosts {
		a := &actor{x: x, addr: x.addr(host)}
		a.how.Store(&healthy)
		a.open()
		x.mu.Lock()
		x.actors[a.addr] = a
		x.mu.Unlock()
	}
	x.n = x.serve("trunks: [{name: near, sources: [127.0.0.2/32]}]\n" + config)
	return x
}

func (x *experiment) actor(host string) *actor {
	x.mu.Lock()
	defer x.mu.Unlock()
	a := x.actors[x.addr(host)]
	require.NotNil(x.t, a, host)
	return a
}

func (a *actor) does(m manner) { a.how.Store(&m) }

// open opens the host's port: at first, or again after close.
func (a *actor) open() {
	conn := a.x.listen(a.addr)
	_ = conn.SetReadBuffer(4 << 20)
	p := &peer{t: a.x.t, conn: conn, addr: a.addr}
	a.sock = p
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return // closed
			}
			a.take(p, message{raw: string(buf[:n]), from: from, at: time.Now()})
		}
	}()
	a.x.t.Cleanup(func() {
		p.close()
		<-done
	})
}

func (a *actor) close() { a.sock.close() }

func (a *actor) take(p *peer, m message) {
	if m.what() != "OPTIONS" {
		a.x.s.deal(p, m, (*play).atConnector)
		return
	}
	how := a.how.Load()
	if how.options != 0 {
		time.AfterFunc(how.late, func() { a.x.s.tell(p, m.from, m.reply(how.options, reasons[how.options])) })
	}
}

// invited is script.invited for all calls.
func (x *experiment) invited(g *leg) {
	x.mu.Lock()
	how := x.actors[g.host.addr].how.Load()
	x.mu.Unlock()
	switch {
	case how.invite == nil:
	case how.late == 0:
		how.invite(g)
	default:
		g.after(how.late, func() { how.invite(g) })
	}
}

// begin places calls, so many a second, until end.
func (x *experiment) begin(rate int) {
	x.stopping, x.stopped = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(x.stopped)
		start := time.Now()
		for i := 0; ; i++ {
			select {
			case <-x.stopping:
				return
			case <-time.After(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate)))):
			}
			p := x.s.call(x.number(i), script{hold: 200 * time.Millisecond, patience: 40 * time.Second, invited: x.invited})
			if x.gives > 0 {
				p.after(x.gives, func() {
					if len(p.finals) == 0 {
						p.hangUp()
					}
				})
			}
		}
	}()
}

// end stops placing calls, waits for the last of them, counts, and writes the row.
func (x *experiment) end() {
	x.t.Helper()
	close(x.stopping)
	<-x.stopped
	x.s.run.Wait()
	time.Sleep(settle)
	x.count()
	x.goal(x.row.lost == 0, "%d calls lost", x.row.lost)
	x.row.write(x.t)
	for _, f := range x.flips("") {
		x.t.Logf("%8.3f s after the beginning of the illness: %s %s: from %s to %s: %s",
			f.Time.Sub(x.fell).Seconds(), f.Msg, f.Host+f.Region, f.From, f.To, f.Reason)
	}
}

// count says what became of the calls: by their callers whether they were
// answered, by the node how long those waited that it tried more than once.
func (x *experiment) count() {
	x.t.Helper()
	told := 0
	var slowest time.Duration
	for _, p := range x.s.all() {
		p.mu.Lock()
		x.row.made++
		i := slices.IndexFunc(p.finals, func(h heard) bool { return h.status/100 == 2 })
		switch {
		case i >= 0:
			slowest = max(slowest, p.finals[i].at.Sub(p.began))
		case x.excuse != nil && x.excuse(p):
			x.excused++
		default:
			if x.row.lost++; told < 5 {
				told++
				x.t.Logf("lost: %v\n%s", p.finals, p.story())
			}
		}
		p.mu.Unlock()
	}
	for _, c := range x.calls() {
		if c.Outcome == "answered" && len(c.Attempts) > 1 {
			last := c.Attempts[len(c.Attempts)-1]
			x.row.waits = append(x.row.waits, time.Duration(last.Start*float64(time.Millisecond)))
		}
	}
	x.row.note("slowest answer %.2f s", slowest.Seconds())
	if x.excused > 0 {
		x.row.note("%d %s", x.excused, x.alibi)
	}
}

// calls are all that the node has in memory, the latest first.
func (x *experiment) calls() []callRecord {
	x.t.Helper()
	resp, err := http.Get("http://" + x.n.admin + "/calls?last=10000")
	require.NoError(x.t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(x.t, http.StatusOK, resp.StatusCode)
	var all []callRecord
	require.NoError(x.t, json.NewDecoder(resp.Body).Decode(&all))
	return all
}

// watch counts the OPTIONS to each host where they leave: what a dead host would
// have to count does not reach it. The pattern is the first word of the payload.
func (x *experiment) watch(hosts []string) {
	rules := "add table ip watch; add chain ip watch out { type filter hook output priority 0; }; "
	for _, host := range hosts {
		rules += fmt.Sprintf("add counter ip watch %s; add rule ip watch out ip daddr %s @th,64,32 0x4f505449 counter name %s; ",
			counterOf(host), x.place(host), counterOf(host))
	}
	command(x.t, "nft", rules)
}

func counterOf(host string) string { return "h" + host[strings.LastIndexByte(host, '.')+1:] }

// asked is how many OPTIONS have left to a host. One that is not answered is
// sent again after 500 ms.
func (x *experiment) asked(host string) (packets int) {
	x.t.Helper()
	out, err := exec.Command("nft", "list", "counter", "ip", "watch", counterOf(host)).Output()
	require.NoError(x.t, err)
	_, after, _ := strings.Cut(string(out), "packets ")
	_, err = fmt.Sscan(after, &packets)
	require.NoError(x.t, err, string(out))
	return packets
}

// flipped is a log line about a host or a region that changed.
type flipped struct {
	Time                                time.Time
	Msg, Host, Region, From, To, Reason string
}

// flips are those of a host, or of all.
func (x *experiment) flips(host string) (all []flipped) {
	for _, line := range strings.Split(x.n.logs.String(), "\n") {
		var f flipped
		if !strings.Contains(line, `"msg":"host is `) && !strings.Contains(line, `"msg":"region is `) || json.Unmarshal([]byte(line), &f) != nil {
			continue
		}
		if host == "" || f.Host == x.uri(host) {
			all = append(all, f)
		}
	}
	return all
}

func (x *experiment) uri(host string) string { return "sip:" + x.addr(host).String() }

// first is the first change of a host to a state after a time.
func (x *experiment) first(host, state string, since time.Time) (f flipped, ok bool) {
	all := x.flips(host)
	i := slices.IndexFunc(all, func(f flipped) bool { return f.To == state && f.Time.After(since) })
	if i < 0 {
		return f, false
	}
	return all[i], true
}

// recovered waits until a host that got well is up.
func (x *experiment) recovered(host string, limit time.Duration) {
	x.t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		all := x.flips(host)
		if len(all) == 0 || all[len(all)-1].To == "up" {
			return
		}
	}
	x.goal(false, "%s is not up %v after it got well", host, limit)
}

// goal takes note of a goal that is missed.
func (x *experiment) goal(reached bool, format string, args ...any) {
	x.t.Helper()
	if !reached {
		x.row.note("**missed: "+format+"**", args...)
		x.t.Errorf("missed: "+format, args...)
	}
}
