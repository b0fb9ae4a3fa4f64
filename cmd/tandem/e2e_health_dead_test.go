//go:build linux && soak

package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Hosts that die, so that OPTIONS find them out.

// alone runs a test beside others, in a namespace of its own.
func alone(t *testing.T) bool {
	t.Parallel()
	return inNetns(t)
}

// wall drops what goes to hosts, where they are.
func (m *machine) wall(hosts ...string) {
	m.t.Helper()
	rules := "add table ip wall; add chain ip wall in { type filter hook input priority 0; }; "
	for _, host := range hosts {
		rules += "add rule ip wall in ip daddr " + m.place(host) + " drop; "
	}
	m.run("nft", rules)
}

func (m *machine) unwall() {
	m.t.Helper()
	m.run("nft", "delete", "table", "ip", "wall")
}

// dies has a host fall ill for a time and holds the goals of one that is dead:
// down within the computed time, up again within one probe interval and the slow
// start.
func (x *experiment) dies(host string, ill, well func()) {
	x.t.Helper()
	x.hangUp()
	x.begin(healthRate)
	time.Sleep(warmUp)
	before := x.asked(host)
	x.fell = time.Now()
	ill()
	time.Sleep(illness)
	x.rose = time.Now()
	during := x.asked(host) - before
	well()
	x.recovered(host, time.Minute)
	time.Sleep(time.Second) // calls that go there again
	x.row.probes = fmt.Sprintf("%d in all, %d in the %.0f s of illness", x.asked(host), during, illness.Seconds())
	x.detectedBy(host)
	x.backAgain(host, 5500*time.Millisecond, 30*time.Second)
	x.end()
}

// hangUp has callers hang up after 10 s, and excuses calls that rang at the host
// when it fell ill: they ring on, since nothing tells the proxy that the callee is
// gone (README, Limits).
func (x *experiment) hangUp() {
	x.gives = 10 * time.Second
	x.alibi = "calls rang there when it died; their callers hung up after 10 s and got 200 and 487"
	x.excuse = func(p *play) bool {
		return p.rang && p.began.Before(x.fell) && x.fell.Sub(p.began) < 4*time.Second &&
			len(p.finals) == 1 && p.finals[0].status == 487 && p.cancelOK == 200
	}
}

// detectedBy holds that a dead host was found down in time.
func (x *experiment) detectedBy(host string) {
	x.t.Helper()
	computed := time.Duration(x.n.metric(`^tandem_health_detection_seconds`) * float64(time.Second))
	x.row.detected = x.after(host, x.fell, "doubtful", "ejected", "down")
	f, ok := x.first(host, "down", x.fell)
	x.goal(ok && f.Time.Sub(x.fell) <= computed+grace, "%s was not down within the computed %.1f s", host, computed.Seconds())
	x.row.note("computed %.1f s", computed.Seconds())
}

// backAgain holds that a host is up a wait and its slow start after it got well.
func (x *experiment) backAgain(host string, wait, slowStart time.Duration) {
	x.t.Helper()
	x.row.back = x.after(host, x.rose, "recovering", "up")
	f, ok := x.first(host, "up", x.rose)
	x.goal(ok && f.Time.Sub(x.rose) <= wait+slowStart+grace, "%s was not up within %v and the slow start of %v", host, wait, slowStart)
}

// after says when a host came into states first after a time.
func (x *experiment) after(host string, since time.Time, states ...string) string {
	var parts []string
	for _, state := range states {
		if f, ok := x.first(host, state, since); ok {
			parts = append(parts, fmt.Sprintf("%s %.2f s", state, f.Time.Sub(since).Seconds()))
		}
	}
	return strings.Join(parts, ", ")
}

func TestSoakHealthDeadClosed(t *testing.T) {
	if alone(t) {
		x := newExperiment(t, "dead: port closed", oneEach, "127.0.0.11", "127.0.0.12")
		a := x.actor("127.0.0.11")
		x.dies("127.0.0.11", a.close, a.open)
	}
}

func TestSoakHealthDeadSilent(t *testing.T) {
	if alone(t) {
		x := newExperiment(t, "dead: silent (packets dropped)", oneEach, "127.0.0.11", "127.0.0.12")
		x.dies("127.0.0.11", func() { x.wall("127.0.0.11") }, x.unwall)
	}
}

// One of two hosts that share a connector's calls.
func TestSoakHealthOneOfTwoHosts(t *testing.T) {
	if alone(t) {
		config := strings.Replace(oneEach, `["sip:127.0.0.11:5060"]`, `["sip:127.0.0.11:5060", "sip:127.0.0.13:5060"]`, 1)
		x := newExperiment(t, "one of two hosts of a connector dead (silent)", config, "127.0.0.11", "127.0.0.12", "127.0.0.13")
		x.dies("127.0.0.11", func() { x.wall("127.0.0.11") }, x.unwall)
		require.Empty(t, x.flips("127.0.0.13"))
	}
}

// fourInARow is a group of two regions of two connectors each.
const fourInARow = `
connectors:
  - {name: east-1, region: east, hosts: ["sip:127.0.0.11:5060"]}
  - {name: east-2, region: east, hosts: ["sip:127.0.0.13:5060"]}
  - {name: west-1, region: west, hosts: ["sip:127.0.0.12:5060"]}
  - {name: west-2, region: west, hosts: ["sip:127.0.0.14:5060"]}
groups:
  - name: support
    connectors: [{connector: east-1, priority: 1}, {connector: east-2, priority: 2}, {connector: west-1, priority: 3}, {connector: west-2, priority: 4}]
    numbers: ["+1555000*"]
`

func TestSoakHealthRegionDead(t *testing.T) {
	if alone(t) {
		x := newExperiment(t, "a region of two connectors dead (silent)", fourInARow, "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14")
		x.dies("127.0.0.11", func() { x.wall("127.0.0.11", "127.0.0.13") }, x.unwall)
		f, ok := x.first("127.0.0.13", "down", x.fell)
		computed := x.n.metric(`^tandem_health_detection_seconds`)
		require.True(t, ok && f.Time.Sub(x.fell).Seconds() <= computed+grace.Seconds(), "the second connector")
		require.Contains(t, x.n.logs.String(), "region is unhealthy")
	}
}

// A process that is killed while calls ring there. Those ring on until their
// callers hang up (README, Limits); new ones are answered elsewhere.
func TestSoakHealthCrashMidRing(t *testing.T) {
	if !alone(t) {
		return
	}
	x := newExperiment(t, "crash while calls ring (SIPp killed)", oneEach, "127.0.0.12", "127.0.0.11")
	x.actor("127.0.0.11").close()
	ring := func() *sipp { return connectorSIPp(t, x.enter(), "connector", x.addr("127.0.0.11"), "-d", "3000") }
	first := ring()
	until(t, "SIPp is up", func() bool {
		f := x.flips("127.0.0.11")
		return len(f) == 0 || f[len(f)-1].To == "up" || f[len(f)-1].To == "recovering"
	})
	x.dies("127.0.0.11", func() {
		require.NoError(t, first.cmd.Process.Kill())
		<-first.exited
	}, func() { ring() })
	require.Positive(t, x.excused)
}

// A host that is silent for 5 s, well for 5 s, and so on.
func TestSoakHealthFlapping(t *testing.T) {
	if !alone(t) {
		return
	}
	const host, times, phase, slowStart = "127.0.0.11", 4, 5 * time.Second, 5 * time.Second
	x := newExperiment(t, "flapping: 5 s silent, 5 s well, 4 times", oneEach+"health: {slow_start: 5s}\n", host, "127.0.0.12")
	x.row.note("slow_start 5 s")
	x.hangUp()
	x.begin(healthRate)
	time.Sleep(warmUp)
	x.fell = time.Now()
	for range times {
		x.wall(host)
		time.Sleep(phase)
		x.unwall()
		x.rose = time.Now()
		time.Sleep(phase)
	}
	x.recovered(host, 2*time.Minute)
	time.Sleep(time.Second)
	x.row.probes = fmt.Sprintf("%d in all", x.asked(host))
	x.detectedBy(host)
	downs, kept := 0, time.Duration(0)
	for _, f := range x.flips(host) {
		if f.To == "down" {
			downs++
		}
		if _, hold, ok := strings.Cut(f.Reason, "kept down for "); ok {
			hold, _, _ = strings.Cut(hold, ":")
			d, err := time.ParseDuration(hold)
			require.NoError(t, err, f.Reason)
			kept = d
		}
	}
	x.row.note("down %d times, the last time for %v at least", downs, kept)
	x.goal(downs <= times, "down more often than it was silent")
	x.backAgain(host, max(kept, 5500*time.Millisecond), slowStart)
	x.end()
}
