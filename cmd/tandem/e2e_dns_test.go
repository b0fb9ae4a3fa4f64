//go:build linux

package main_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/dns/dnstest"
)

// Addresses come and go, hosts die, and DNS fails in every way, while calls are
// placed: none fails.
func TestE2E_NamesUnderLoad(t *testing.T) {
	t.Parallel()
	namesUnderLoad(t, 2*time.Second)
}

// loaded is a node with a name, its DNS server, and SIPp at its addresses.
type loaded struct {
	*node
	server *dnstest.Server
	single *peer
	hosts  map[int]*sipp
	placed int // calls of single
	calls  int // of SIPp
}

// mostRest is longer than a lookup may rest after one that failed.
const mostRest = 45 * time.Second

// namesUnderLoad runs each trouble for as long as hold, at 100 calls a second.
func namesUnderLoad(t *testing.T, hold time.Duration) {
	l := newLab(t)
	// Nobody is at 10, which stands first. With one more than the second and the
	// third the region stays well when two of its hosts are dead: calls keep to it.
	server := dnstest.Start(t, l.place("127.0.0.53:5353"), l.zoneOf(10, 11, 12, 15)...)
	n := &loaded{server: server, hosts: map[int]*sipp{}}
	for _, h := range []int{11, 12, 13, 14, 15} {
		n.hosts[h] = l.sippConnector("connector", fmt.Sprintf("127.0.0.%d", h), "-d", "20")
	}
	n.node = l.serve(namedConnector)
	n.single = l.peer("127.0.0.4")

	n.during(hold, "SRV: the first is dead, then the second dies", func(end time.Time) {
		n.goes(11)
		time.Sleep(time.Until(end) / 2)
		n.hosts[11].retire()
		n.goes(12)
	})
	received := n.hosts[11].count("INVITE_Recv")
	require.Greater(t, received, int(hold.Seconds()*100)/4, "calls of the second")
	n.hosts[11] = l.sippConnector("connector", "127.0.0.11", "-d", "20")

	server.Set(t, l.zoneOf(12)...)
	goesSoon(t, n.node, l, 12)
	n.during(hold, "addresses are added and removed by TTL", func(end time.Time) {
		for rounds := 0; rounds < 1 || time.Now().Before(end); rounds++ {
			for _, zone := range [][]int{{13, 11, 12}, {12}, {11, 12}} {
				changes := n.metric(`^tandem_dns_changes_total`)
				server.Set(t, l.zoneOf(zone...)...)
				until(t, "another answer", func() bool { return n.metric(`^tandem_dns_changes_total`) == changes+1 })
				goesSoon(t, n.node, l, zone[0])
				n.goes(zone[0])
			}
		}
	})

	for _, trouble := range []struct {
		name string
		mood dnstest.Mood
	}{
		{"SERVFAIL", dnstest.Failing},
		{"REFUSED", dnstest.Refusing},
		{"no answer within the timeout", dnstest.Silent},
		{"NXDOMAIN", dnstest.Empty},
		{"NOERROR without data", dnstest.Bare},
		{"replies that are no DNS", dnstest.Garbled},
	} {
		n.during(hold, trouble.name, func(end time.Time) {
			failed := n.metric(`^tandem_dns_lookups_total{result="failed"}`)
			server.Feel(trouble.mood)
			within(t, mostRest, "a lookup that fails", func() bool { return n.metric(`^tandem_dns_lookups_total{result="failed"}`) > failed })
			for once := true; once || time.Now().Before(end); once = false {
				n.goes(11)
				require.Equal(t, 1.0, n.metric(`^tandem_dns_names{state="kept"}`))
				time.Sleep(min(time.Second, max(time.Until(end), 0)))
			}
			server.Feel(dnstest.Good)
			within(t, mostRest, "a lookup that does not", func() bool { return n.metric(`^tandem_dns_names{state="known"}`) == 1 })
		})
	}
	n.logged("DNS: a name cannot be looked up: its last good answer stays")
	n.logged("DNS: a name can be looked up again")
	server.Set(t, l.zoneOf(13)...)
	goesSoon(t, n.node, l, 13)
	n.goes(13)

	for h, s := range n.hosts {
		got := s.stop().count("INVITE_Recv")
		require.Equal(t, h == 11 || h == 12 || h == 13, got > 0, "127.0.0.%d got %d INVITEs", h, got)
		received += got
	}
	t.Logf("%d calls, none of which failed", n.calls)
	require.Equal(t, n.calls+n.placed, received, "each call reached one host, once")
}

// goes places one call, which has to be answered by a host.
func (n *loaded) goes(host int) {
	n.t.Helper()
	n.placed++
	require.Contains(n.t, n.whole(n.single, "+15550000001"), n.lab.place(fmt.Sprintf("127.0.0.%d:5060", host)))
}

// during places calls for as long as hold at least, while trouble happens: all are
// good.
func (n *loaded) during(hold time.Duration, name string, trouble func(end time.Time)) {
	n.t.Helper()
	end := time.Now().Add(hold)
	load := n.lab.endless("caller", "127.0.0.2", n.node, "+15550000001", 100, "-d", "300")
	trouble(end)
	time.Sleep(time.Until(end))
	calls := load.wind()
	n.calls += calls
	n.t.Logf("%s: %d calls, %d failed, %d requests sent again", name, calls, load.stat("FailedCall"), load.stat("Retransmissions"))
}
