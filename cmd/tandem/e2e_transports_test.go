//go:build linux

package main_test

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// crossings are the ways by which calls come and go in these tests: UDP, TCP and
// TLS, over IPv4 in the lab's network and over IPv6 at ::1. SIPp plays the peers
// over UDP and TCP; Debian's has no TLS, so sipgo plays those.
var crossings = []struct{ name, scheme, sipp, listen, callee string }{
	{"UDP4", "udp", "u1", "127.0.0.1:5060", "127.0.0.11:5060"},
	{"TCP4", "tcp", "t1", "127.0.0.1:5060", "127.0.0.12:5060"},
	{"TLS4", "tls", "", "127.0.0.1:5061", "127.0.0.13:5061"},
	{"UDP6", "udp", "u1", "[::1]:NODE6", "[::1]:UDP6"},
	{"TCP6", "tcp", "t1", "[::1]:NODE6", "[::1]:TCP6"},
	{"TLS6", "tls", "", "[::1]:NODETLS6", "[::1]:TLS6"},
}

var ports6 atomic.Uint32

// freePort6 claims a port of ::1 that nobody has, below those that the system
// gives to connections. It is claimed until the test ends by a socket that has its
// number as a name, so that tests in other processes leave it alone.
func freePort6(t testing.TB) uint16 {
	t.Helper()
	for range 1000 {
		at := netip.AddrPortFrom(netip.IPv6Loopback(), uint16(12000+ports6.Add(1)))
		claim, err := net.Listen("unix", fmt.Sprintf("@tandem-port6-%d", at.Port()))
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = claim.Close() })
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

// A port is claimed while nobody has bound it yet, too.
func TestFreePort6(t *testing.T) {
	was := freePort6(t)
	ports6.Store(uint32(was) - 12000 - 1) // where another process begins
	require.NotEqual(t, was, freePort6(t))
}

// pairs is a node with a listener for each crossing, and behind it a connector
// for each, whose number is +1555000000 and its place. Over TLS both sides show
// certificates and look at the other's.
type pairs struct {
	*node
	listen, callee []netip.AddrPort
	caller, called *endTLS // who callers and connectors over TLS are
}

func newPairs(l *lab, rest string) *pairs {
	l.t.Helper()
	var ports []string
	for _, name := range []string{"NODETLS6", "NODE6", "UDP6", "TCP6", "TLS6"} {
		ports = append(ports, name, fmt.Sprint(freePort6(l.t)))
	}
	place, a := strings.NewReplacer(ports...), newAuthority(l.t)
	a.sign(nodeName)
	ours := fmt.Sprintf("certificate: %s, key: %s", a.file(nodeName+".pem"), a.file(nodeName+".key"))
	p := &pairs{caller: a.end("carrier.example.com", nodeName), called: a.end("callee.example.com", nodeName)}
	var listen, connectors, groups strings.Builder
	for i, c := range crossings {
		p.listen = append(p.listen, l.addr(place.Replace(c.listen)))
		p.callee = append(p.callee, l.addr(place.Replace(c.callee)))
		server, client := "", ""
		if c.scheme == "tls" {
			server = fmt.Sprintf(", tls: {%s, clients: required, client_ca: %s}", ours, a.ca)
			client = fmt.Sprintf(", tls: {name: callee.example.com, ca: %s, %s}", a.ca, ours)
		}
		fmt.Fprintf(&listen, "  - {address: \"%s://%v\"%s}\n", c.scheme, p.listen[i], server)
		fmt.Fprintf(&connectors, "  - {name: %s, region: here, hosts: [\"sip:%v;transport=%s\"]%s}\n", c.name, p.callee[i], c.scheme, client)
		fmt.Fprintf(&groups, "  - {name: to-%s, connectors: [{connector: %s, priority: 1}], numbers: [\"%s\"]}\n", c.name, c.name, numberTo(i))
	}
	p.node = l.serveFile(p.listen[0], l.admin(8080), fmt.Sprintf("listen:\n%sadmin: {listen: ADMIN}\nstate_dir: STATE\n"+
		"connectors:\n%sgroups:\n%s%s", &listen, &connectors, &groups, rest))
	return p
}

func numberTo(callee int) string { return fmt.Sprintf("+1555000000%d", callee) }

// from is where a caller of a crossing is.
func (p *pairs) from(t testing.TB, crossing int) netip.AddrPort {
	if at := p.listen[crossing].Addr(); at.Is6() {
		return netip.AddrPortFrom(at, freePort6(t))
	}
	return p.lab.addr(fmt.Sprint("127.0.0.2:", 5060+crossing))
}

// patient takes a peer that a busy machine lets wait for one that is there: what
// silence costs is tested elsewhere.
const patient = "failover: {first_response: 30s, progress: 30s}\n"

// Calls come over any transport and family and leave over any other.
func TestE2E_TransportsEveryPair(t *testing.T) {
	t.Parallel()
	everyPair(t, 50, 25, regexp.MustCompile(""))
}

// everyPair makes so many calls over each pair whose name, like "UDP4 to TLS6",
// matches. Those that lead to one callee run at once.
func everyPair(t *testing.T, calls, rate int, which *regexp.Regexp) {
	l := newLab(t)
	n := newPairs(l, patient)
	var callees []takesCalls
	for i := range crossings {
		callees = append(callees, n.takes(t, i))
	}
	made := make([]int, len(crossings))
	for to, callee := range crossings {
		t.Run("to "+callee.name, func(t *testing.T) {
			var wg sync.WaitGroup
			for from, caller := range crossings {
				name := caller.name + " to " + callee.name
				if !which.MatchString(name) {
					continue
				}
				made[to] += calls
				finish := n.calls(t, from, to, calls, rate)
				wg.Go(func() { t.Log(name+":", finish()) })
			}
			wg.Wait()
			if t.Failed() {
				told, _ := run(t, "calls", "--admin", "http://"+n.admin, "--last", "1000")
				for line := range strings.Lines(told) {
					if strings.Contains(line, "FAILED") {
						t.Log(strings.TrimSpace(line))
					}
				}
			}
		})
	}
	for to, callee := range callees {
		require.Equal(t, made[to], callee.calls(), "calls at %s", crossings[to].name)
	}
}

// takesCalls is the connector of a crossing. calls ends it, and says how many
// calls reached it.
type takesCalls interface{ calls() int }

func (p *pairs) takes(t testing.TB, crossing int) takesCalls {
	t.Helper()
	if c := crossings[crossing]; c.sipp != "" {
		return sippCallee{connectorSIPp(t, nil, "connector", p.callee[crossing], "-t", c.sipp)}
	}
	return newCalleePhone(t, p.callee[crossing], p.called)
}

type sippCallee struct{ *sipp }

func (s sippCallee) calls() int {
	s.stop()
	return s.count("INVITE_Recv") - s.count("INVITE_Retrans")
}

// calls starts callers of a crossing. What it returns waits for their end and
// says how they fared; a call that failed fails the test.
func (p *pairs) calls(t *testing.T, from, to, calls, rate int) func() string {
	t.Helper()
	c, at := crossings[from], p.from(t, from)
	if c.sipp == "" {
		phone := newCallerPhone(t, at, p.caller)
		return func() string {
			failed := phone.place(p.listen[from], numberTo(to), calls, rate)
			for _, err := range failed[:min(10, len(failed))] {
				t.Errorf("%s to %s: %v", c.name, crossings[to].name, err)
			}
			return fmt.Sprintf("%d calls, %d failed", calls-len(failed), len(failed))
		}
	}
	caller := callerSIPp(t, nil, "caller", at, p.listen[from], numberTo(to), calls, rate, "-t", c.sipp, "-d", "20")
	return func() string {
		caller.finish()
		told := fmt.Sprintf("%d calls, %d failed, %d requests sent again",
			caller.stat("SuccessfulCall"), caller.stat("FailedCall"), caller.stat("Retransmissions"))
		if caller.stat("FailedCall") > 0 || caller.stat("SuccessfulCall") != calls || caller.cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("%s to %s: %s, calm: %t\n%s", c.name, crossings[to].name, told, caller.calm(), caller.errors(4000))
		}
		return told
	}
}

// The phones look at certificates: one that is shown another name than it expects
// makes no call, and one that trusts nobody's takes none.
func TestE2E_PhonesLookAtCertificates(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := newPairs(l, "health: {probe: false}\n")
	const tls4 = 2
	misled := *n.caller
	misled.client = misled.client.Clone()
	misled.client.ServerName = "other.example.com"
	require.ErrorContains(t, newCallerPhone(t, n.from(t, tls4), &misled).call(n.listen[tls4], numberTo(tls4)), "certificate is valid for node.example.com, not other.example.com")

	wary := *n.called
	wary.server = wary.server.Clone()
	wary.server.ClientCAs = newAuthority(t).Pool()
	callee := newCalleePhone(t, n.callee[tls4], &wary)
	require.ErrorContains(t, newCallerPhone(t, n.from(t, tls4), n.caller).call(n.listen[tls4], numberTo(tls4)), "503")
	require.Zero(t, callee.calls())
}
