//go:build linux

package main_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// crossings are the ways by which calls come and go in these tests: UDP and TCP,
// over IPv4 in the lab's network and over IPv6 at ::1.
var crossings = []struct{ name, scheme, sipp, listen, callee string }{
	{"UDP4", "udp", "u1", "127.0.0.1:5060", "127.0.0.11:5060"},
	{"TCP4", "tcp", "t1", "127.0.0.1:5060", "127.0.0.12:5060"},
	{"UDP6", "udp", "u1", "[::1]:NODE6", "[::1]:UDP6"},
	{"TCP6", "tcp", "t1", "[::1]:NODE6", "[::1]:TCP6"},
}

var ports6 atomic.Uint32

// freePort6 claims a port of ::1 that nobody has, below those that the system
// gives to connections.
func freePort6(t testing.TB) uint16 {
	t.Helper()
	for range 1000 {
		at := netip.AddrPortFrom(netip.IPv6Loopback(), uint16(12000+ports6.Add(1)))
		udp, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(at))
		if err != nil {
			continue
		}
		tcp, err := net.ListenTCP("tcp6", net.TCPAddrFromAddrPort(at))
		_ = udp.Close()
		if err == nil {
			_ = tcp.Close()
			return at.Port()
		}
	}
	t.Fatal("no free port at ::1")
	return 0
}

// pairs is a node with a listener for each crossing, and behind it a connector
// for each, whose number is +1555000000 and its place.
type pairs struct {
	*node
	listen, callee []netip.AddrPort
}

func newPairs(l *lab, rest string) *pairs {
	l.t.Helper()
	ports := strings.NewReplacer("NODE6", fmt.Sprint(freePort6(l.t)), "UDP6", fmt.Sprint(freePort6(l.t)), "TCP6", fmt.Sprint(freePort6(l.t)))
	p := &pairs{}
	var listen, connectors, groups strings.Builder
	for i, c := range crossings {
		p.listen = append(p.listen, l.addr(ports.Replace(c.listen)))
		p.callee = append(p.callee, l.addr(ports.Replace(c.callee)))
		fmt.Fprintf(&listen, "  - %s://%v\n", c.scheme, p.listen[i])
		fmt.Fprintf(&connectors, "  - {name: %s, region: here, hosts: [\"sip:%v;transport=%s\"]}\n", c.name, p.callee[i], c.scheme)
		fmt.Fprintf(&groups, "  - {name: to-%s, connectors: [{connector: %s, priority: 1}], numbers: [\"+1555000000%d\"]}\n", c.name, c.name, i)
	}
	p.node = l.serveFile(p.listen[0], l.admin(8080), fmt.Sprintf("listen:\n%sadmin: {listen: ADMIN}\nstate_dir: STATE\n"+
		"connectors:\n%sgroups:\n%s%s", &listen, &connectors, &groups, rest))
	return p
}

// Calls come over any transport and family and leave over any other.
func TestE2E_TransportsEveryPair(t *testing.T) {
	t.Parallel()
	everyPair(t, 50, 25)
}

func everyPair(t *testing.T, calls, rate int) {
	l := newLab(t)
	n := newPairs(l, "")
	var callees []*sipp
	for i, c := range crossings {
		callees = append(callees, connectorSIPp(t, nil, "connector", n.callee[i], "-t", c.sipp))
	}
	for to, callee := range crossings {
		t.Run("to "+callee.name, func(t *testing.T) {
			var callers []*sipp
			for from, caller := range crossings {
				at := l.addr("127.0.0.2:" + fmt.Sprint(5060+from))
				if n.listen[from].Addr().Is6() {
					at = netip.AddrPortFrom(netip.IPv6Loopback(), freePort6(t))
				}
				callers = append(callers, callerSIPp(t, nil, "caller", at, n.listen[from], fmt.Sprintf("+1555000000%d", to),
					calls, rate, "-t", caller.sipp, "-d", "20"))
			}
			for from, caller := range callers {
				caller.finish()
				t.Logf("%s to %s: %d calls, %d failed, %d requests sent again", crossings[from].name, callee.name,
					caller.stat("SuccessfulCall"), caller.stat("FailedCall"), caller.stat("Retransmissions"))
				caller.allSucceeded(calls)
			}
		})
	}
	for _, callee := range callees {
		callee.stop()
		require.Equal(t, len(crossings)*calls, callee.count("INVITE_Recv")-callee.count("INVITE_Retrans"))
	}
}
