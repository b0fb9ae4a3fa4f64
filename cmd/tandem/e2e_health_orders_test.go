//go:build linux && soak

package main_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What operators order under load, restarts, and a path that loses datagrams.

// twoRegions are two groups; each has a connector in both regions.
const twoRegions = `
connectors:
  - {name: east-1, region: east, hosts: ["sip:127.0.0.11:5060"]}
  - {name: east-2, region: east, hosts: ["sip:127.0.0.13:5060"]}
  - {name: west-1, region: west, hosts: ["sip:127.0.0.12:5060"]}
  - {name: west-2, region: west, hosts: ["sip:127.0.0.14:5060"]}
groups:
  - name: support
    connectors: [{connector: east-1, priority: 1}, {connector: west-1, priority: 2}]
    numbers: ["+1555000*"]
  - name: sales
    connectors: [{connector: east-2, priority: 1}, {connector: west-2, priority: 2}]
    numbers: ["+1555001*"]
`

// A region is evacuated and restored under 500 calls a second. The curve of the
// shift goes to a file beside the table.
func TestSoakHealthEvacuation(t *testing.T) {
	if !inNetns(t) {
		return
	}
	const rate, phase = 500, 6 * time.Second
	hosts := map[string]string{"east-1": "127.0.0.11", "east-2": "127.0.0.13", "west-1": "127.0.0.12", "west-2": "127.0.0.14"}
	x := newExperiment(t, "region evacuated and restored under 500 calls/s", twoRegions, "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14")
	x.number = func(i int) string { return fmt.Sprintf("+155500%d%04d", i%2, i%1000) }
	x.begin(rate)
	began := time.Now()
	time.Sleep(phase)
	x.fell = time.Now()
	x.n.order("region", "evacuate", "east", "--note", "fire drill")
	evacuated := time.Now()
	time.Sleep(phase)
	x.rose = time.Now()
	x.n.order("region", "restore", "east")
	restored := time.Now()
	time.Sleep(phase)
	x.row.detected = fmt.Sprintf("ordered in %.2f s", evacuated.Sub(x.fell).Seconds())
	x.row.back = fmt.Sprintf("ordered in %.2f s", restored.Sub(x.rose).Seconds())
	x.row.probes = fmt.Sprint(x.asked("127.0.0.11"))
	x.end()

	name := map[string]string{}
	for connector, host := range hosts {
		name[x.addr(host).String()] = connector
	}
	curve := make([]map[string]int, int((restored.Sub(began)+phase)/time.Second)+1)
	wrong := 0
	for _, p := range x.s.all() {
		require.Len(t, p.legs, 1)
		connector := name[p.legs[0].host.addr.String()]
		second := int(p.began.Sub(began) / time.Second)
		if curve[second] == nil {
			curve[second] = map[string]int{}
		}
		curve[second][connector]++
		out := p.began.After(evacuated) && p.began.Before(x.rose)
		in := p.began.Before(x.fell) || p.began.After(restored)
		if out && strings.HasPrefix(connector, "east") || in && strings.HasPrefix(connector, "west") {
			wrong++
		}
	}
	require.Zero(t, wrong, "calls to the other region, after the order and before the next")
	text := "second,east-1,east-2,west-1,west-2\n"
	for second, calls := range curve {
		text += fmt.Sprintf("%d,%d,%d,%d,%d\n", second, calls["east-1"], calls["east-2"], calls["west-1"], calls["west-2"])
	}
	t.Logf("evacuated at %.2f s, restored at %.2f s; calls that began in each second, by connector:\n%s",
		evacuated.Sub(began).Seconds(), restored.Sub(began).Seconds(), text)
	if table := os.Getenv(healthTableEnv); table != "" {
		require.NoError(t, os.WriteFile(strings.TrimSuffix(table, ".md")+"-evacuation.csv", []byte(text), 0o644))
	}
}

// threeInARow is oneEach with a third connector.
const threeInARow = `
connectors:
  - {name: first, region: east, hosts: ["sip:127.0.0.11:5060"]}
  - {name: second, region: west, hosts: ["sip:127.0.0.12:5060"]}
  - {name: third, region: south, hosts: ["sip:127.0.0.13:5060"]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}, {connector: third, priority: 3}]
    numbers: ["+1555000*"]
`

func TestSoakHealthRestartClosed(t *testing.T) {
	if alone(t) {
		restarts(t, "killed and started: a host down (port closed), a connector drained", func(x *experiment) { x.actor(sick).close() })
	}
}

func TestSoakHealthRestartSilent(t *testing.T) {
	if alone(t) {
		restarts(t, "killed and started: a host down (silent), a connector drained", func(x *experiment) { x.wall(sick) })
	}
}

// restarts kills the node while one host is down and another's connector is
// drained, and starts it again: no call goes to the one or the other, both are
// probed.
func restarts(t *testing.T, scenario string, ill func(*experiment)) {
	const drained, third = "127.0.0.12", "127.0.0.13"
	x := newExperiment(t, scenario, threeInARow, sick, drained, third)
	x.alibi = "calls rang at the dead host when the node was killed: nobody knows of them"
	x.excuse = func(p *play) bool { return p.rang && p.began.Before(x.fell) && x.fell.Sub(p.began) < time.Second }
	x.begin(healthRate)
	time.Sleep(warmUp)
	x.fell = time.Now()
	ill(x)
	until(t, "down", func() bool { _, ok := x.first(sick, "down", x.fell); return ok })
	x.n.order("connector", "drain", "second", "--note", "maintenance")
	order := time.Now()
	time.Sleep(5 * time.Second)
	x.n.crash()
	killed := time.Now()
	x.n.start()
	started := time.Now()
	asked, askedDrained := x.asked(sick), x.asked(drained)
	require.Contains(t, x.n.order("orders"), "second")
	time.Sleep(20 * time.Second)
	x.row.detected = "still down at the start"
	x.row.note("started again in %.2f s", started.Sub(killed).Seconds())
	x.n.logged(`"msg":"still down after the restart`)
	x.goal(len(x.flips(sick)) == 0, "it was something else than down")
	waited := 0
	for _, c := range x.calls() { // those since the start
		for _, a := range c.Attempts {
			if a.Connector == "first" {
				waited++
			}
		}
	}
	x.row.note("%d calls tried the dead host after the start", waited)
	x.goal(waited == 0, "%d calls tried it", waited)
	x.row.probes = fmt.Sprintf("%d to the dead one, %d to the drained one in the 20 s after", x.asked(sick)-asked, x.asked(drained)-askedDrained)
	x.goal(x.asked(sick) > asked+10 && x.asked(drained) >= askedDrained+3, "probing did not go on")
	require.Contains(t, x.n.order("explain", "+15550000001"), "draining")
	x.end()
	for _, p := range x.s.all() {
		late := p.began.After(order) && slices.ContainsFunc(p.legs, func(g *leg) bool { return g.host.addr == x.addr(drained) })
		require.False(t, late, p.story())
	}
}

// 24 healthy hosts behind a path that loses 5 % of the datagrams each way: none
// is found down. Calls run beside; the path to their caller loses nothing.
func TestSoakHealthLoss(t *testing.T) {
	if !inNetns(t) {
		return
	}
	const pairs, over = 12, 140 * time.Second // what runs in a namespace has 170 s
	var hosts []string
	var connectors, groups strings.Builder
	for i := range pairs {
		a, b := fmt.Sprintf("127.0.0.%d", 11+i), fmt.Sprintf("127.0.0.%d", 101+i)
		hosts = append(hosts, a, b)
		fmt.Fprintf(&connectors, "  - {name: a%d, region: east, hosts: [\"sip:%s:5060\"]}\n  - {name: b%d, region: west, hosts: [\"sip:%s:5060\"]}\n", i, a, i, b)
		fmt.Fprintf(&groups, "  - {name: g%d, connectors: [{connector: a%d, priority: 1}, {connector: b%d, priority: 2}], numbers: [\"+1555%04d*\"]}\n", i, i, i, i)
	}
	x := newExperiment(t, "5 % packet loss each way, 24 hosts", "connectors:\n"+connectors.String()+"groups:\n"+groups.String(), hosts...)
	x.number = func(i int) string { return fmt.Sprintf("+1555%04d%03d", i%pairs, i%1000) }
	rules := "add table ip lossy; add chain ip lossy in { type filter hook input priority 0; }; add rule ip lossy in iifname %s numgen random mod 100 < 5 counter drop"
	x.run("nft", fmt.Sprintf(rules, "far"))
	command(t, "nft", fmt.Sprintf(rules, "near"))
	x.fell = time.Now()
	x.begin(healthRate)
	time.Sleep(over)
	asked, states := 0, map[string]int{}
	for _, host := range hosts {
		asked += x.asked(host)
	}
	for _, f := range x.flips("") {
		states[f.To]++
	}
	x.row.probes = fmt.Sprint(asked)
	x.row.detected = fmt.Sprintf("%d false downs in %.0f host-minutes", states["down"], over.Minutes()*2*pairs)
	x.row.note("%d doubts, %d ejections", states["doubtful"], states["ejected"])
	x.goal(states["down"] == 0, "%d false downs", states["down"])
	x.end()
}
