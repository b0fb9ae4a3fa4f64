//go:build linux

package main_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Network namespaces: the test runs itself again in a namespace of its own,
// which is the proxy's and the caller's machine; a veth pair leads to another
// one, the connectors' machine. There ICMP errors come from another kernel
// stack, rate-limited, as on a real path. Nothing is visible outside and
// nothing is left behind: a namespace ends with its last process. Without root
// it is done inside a user namespace.

const netnsEnv = "TANDEM_E2E_NETNS"

// inNetns reports whether the test runs in its own namespace. If not, it runs
// the test again in one, and the caller returns.
func inNetns(t *testing.T) bool {
	t.Helper()
	if os.Getenv(netnsEnv) == t.Name() {
		command(t, "ip", "link", "set", "lo", "up")
		return true
	}
	for _, program := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not installed. Run: apt-get install -y iproute2 nftables util-linux", program)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=170s")
	cmd.Env = append(os.Environ(), netnsEnv+"="+t.Name(), binaryEnv+"="+binary(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Fatalf("no right to make a network namespace (%v). Run the tests as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1", err)
	}
	if err != nil {
		t.Errorf("in its namespace: %v\n%s", err, out)
		return false
	}
	t.Logf("%s", out)
	return false
}

func command(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
}

// machine is the namespace behind the veth pair.
type machine struct {
	*lab
	pid int // of the process that holds it
}

// newMachine makes the second namespace. Addresses 127.0.0.N are 10.9.0.N in
// both: 1 and 2, the proxy's and the caller's, are on this side, the hosts
// given are on the other.
func newMachine(t testing.TB, hosts ...string) *machine {
	t.Helper()
	m := newNamespace(t, "10.9.0.")
	command(t, "ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", fmt.Sprint(m.pid))
	command(t, "ip", "addr", "add", m.place("127.0.0.1/24"), "dev", "near")
	command(t, "ip", "addr", "add", m.place("127.0.0.2/24"), "dev", "near")
	command(t, "ip", "link", "set", "near", "up")
	m.run("ip", "link", "set", "far", "up")
	for _, host := range hosts {
		m.run("ip", "addr", "add", m.place(host)+"/24", "dev", "far")
	}
	return m
}

// newNamespace makes a namespace with nothing in it. Addresses 127.0.0.N are
// within net there.
func newNamespace(t testing.TB, net string) *machine {
	t.Helper()
	hold := exec.Command("sleep", "600")
	hold.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET}
	require.NoError(t, hold.Start())
	t.Cleanup(func() {
		_ = hold.Process.Kill()
		_ = hold.Wait()
	})
	m := &machine{lab: &lab{t: t, net: net}, pid: hold.Process.Pid}
	m.run("ip", "link", "set", "lo", "up")
	return m
}

func (m *machine) enter() []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", m.pid)}
}

func (m *machine) run(args ...string) {
	m.t.Helper()
	all := append(m.enter(), args...)
	command(m.t, all[0], all[1:]...)
}

// listen opens a UDP socket on the machine. A socket stays in the namespace
// that it was made in, whoever uses it.
func (m *machine) listen(at netip.AddrPort) *net.UDPConn {
	m.t.Helper()
	type result struct {
		conn *net.UDPConn
		err  error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread()
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			made <- result{nil, err}
			return
		}
		defer func() { _ = here.Close() }()
		there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.pid))
		if err != nil {
			made <- result{nil, err}
			return
		}
		defer func() { _ = there.Close() }()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			made <- result{nil, err}
			return
		}
		family := "udp4"
		if at.Addr().Is6() {
			family = "udp6"
		}
		conn, err := net.ListenUDP(family, net.UDPAddrFromAddrPort(at))
		if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with this goroutine
		made <- result{conn, err}
	}()
	r := <-made
	require.NoError(m.t, r.err)
	return r.conn
}

// farPeer and farConnector are peer and sippConnector on that machine.
func (m *machine) farPeer(host string) *peer {
	m.t.Helper()
	return newPeer(m.t, m.listen(m.addr(host)))
}

func (m *machine) farConnector(host string) *sipp {
	m.t.Helper()
	return connectorSIPp(m.t, m.enter(), "connector", m.addr(host))
}

// behindVeth is the config of a proxy with two groups: the first connector of
// the one can be closed, the other is well all the time.
const behindVeth = `
trunks: [{name: near, sources: [127.0.0.2/32]}]
health: {probe: false}
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:127.0.0.11:5060"}]}
  - {name: second, region: west, hosts: [{uri: "sip:127.0.0.12:5060"}]}
  - {name: live-a, region: east, hosts: [{uri: "sip:127.0.0.21:5060"}]}
  - {name: live-b, region: west, hosts: [{uri: "sip:127.0.0.22:5060"}]}
MORE
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
  - name: live
    connectors: [{connector: live-a, priority: 1}, {connector: live-b, priority: 2}]
    numbers: ["+15550000002"]
`

var farHosts = []string{"127.0.0.11", "127.0.0.12", "127.0.0.21", "127.0.0.22"}

// neighbours are calls of the live group that must not notice anything.
type neighbours struct {
	calls            int
	caller           *sipp
	answers, standby *sipp
}

func (m *machine) neighbours() *neighbours {
	m.t.Helper()
	return &neighbours{answers: m.farConnector("127.0.0.21"), standby: m.farConnector("127.0.0.22")}
}

func (g *neighbours) start(m *machine, n *node, calls, rate int) {
	m.t.Helper()
	g.calls = calls
	g.caller = callerSIPp(m.t, nil, "caller", m.addr("127.0.0.2:5062"), n.addr, "+15550000002", calls, rate, "-d", "20")
}

// unharmed waits for the end of the calls: none failed, was retransmitted or
// failed over.
func (g *neighbours) unharmed() {
	t := g.caller.t
	t.Helper()
	g.caller.finish().allSucceeded(g.calls)
	require.Equal(t, g.calls, g.answers.stop().count("INVITE_Recv"))
	g.caller.notResent(g.answers)
	require.Equal(t, 0, g.standby.stop().count("INVITE_Recv"), "calls of the live group that failed over")
}

// closedPort: the first connector's port is closed, the ICMP errors are
// rate-limited by the far kernel as they are anywhere. No call fails.
func closedPort(t *testing.T, calls, rate, liveCalls, liveRate int) {
	m := newMachine(t, farHosts...)
	second, live := m.farConnector("127.0.0.12"), m.neighbours()
	n := m.serve(strings.Replace(behindVeth, "MORE\n", "", 1))
	live.start(m, n, liveCalls, liveRate)
	dead := callerSIPp(t, nil, "caller", m.addr("127.0.0.2:5061"), n.addr, "+15550000001", calls, rate)
	dead.finish().allSucceeded(calls)
	n.logFailovers(calls)
	require.Equal(t, calls, second.stop().count("INVITE_Recv"))
	live.unharmed()
}

// logFailovers says which calls paid for the dead connector.
func (n *node) logFailovers(calls int) {
	n.t.Helper()
	moved, waited := n.metric(`^tandem_failovers_total{reason="icmp"}`), n.metric(`^tandem_failovers_total{reason="silent"}`)
	n.t.Logf("of %d calls of the dead connector's group %v moved on by ICMP, %v waited for first_response, none failed", calls, moved, waited)
}

// portCloses is the same, but the port closes while calls run.
func portCloses(t *testing.T, calls, rate, liveCalls, liveRate int) {
	m := newMachine(t, farHosts...)
	first, second, live := m.farConnector("127.0.0.11"), m.farConnector("127.0.0.12"), m.neighbours()
	n := m.serve(strings.Replace(behindVeth, "MORE\n", "", 1))
	live.start(m, n, liveCalls, liveRate)
	dead := callerSIPp(t, nil, "caller", m.addr("127.0.0.2:5061"), n.addr, "+15550000001", calls, rate)
	time.Sleep(time.Duration(calls/rate) * time.Second / 3) // calls run, and then
	first.retire()
	dead.finish().allSucceeded(calls)
	n.logFailovers(calls)
	answered := first.count("INVITE_Recv")
	require.Greater(t, answered, 0)
	require.Equal(t, calls-answered, second.stop().count("INVITE_Recv"))
	live.unharmed()
}

func TestE2E_NetnsClosedPort(t *testing.T) {
	if inNetns(t) {
		closedPort(t, 150, 50, 1500, 500)
	}
}

func TestE2E_NetnsPortCloses(t *testing.T) {
	if inNetns(t) {
		portCloses(t, 150, 50, 1500, 500)
	}
}

// INVITE in to INVITE at the second connector, where the ICMP error came.
func TestE2E_NetnsICMPLatency(t *testing.T) {
	if inNetns(t) {
		measureICMP(t, 60, 0)
	}
}

// measureICMP makes calls one after the other, each to a group whose first
// connector has a closed port that no call has met before, liveRate calls a
// second of the live group beside them.
func measureICMP(t *testing.T, samples, liveRate int) {
	const every = 25 * time.Millisecond
	m := newMachine(t, farHosts...)
	// A host sends a few errors a second: enough for calls, too few for a figure.
	m.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit")
	var connectors, groups strings.Builder
	for i := range samples {
		fmt.Fprintf(&connectors, "  - {name: closed-%d, region: east, hosts: [{uri: \"sip:127.0.0.11:%d\"}]}\n", i, 20000+i)
		fmt.Fprintf(&groups, "  - name: dead-%d\n    connectors: [{connector: closed-%d, priority: 1}, {connector: second, priority: 2}]\n", i, i)
		fmt.Fprintf(&groups, "    numbers: [\"+1555100%04d\"]\n", i)
	}
	second, caller, live := m.farPeer("127.0.0.12"), m.peer("127.0.0.2:5061"), m.neighbours()
	n := m.serve(strings.Replace(behindVeth, "MORE\n", connectors.String(), 1) + groups.String())
	if liveRate > 0 {
		live.start(m, n, liveRate*(int(every.Milliseconds())*samples/1000+1), liveRate)
	}
	var waits []time.Duration
	next := time.NewTicker(every)
	defer next.Stop()
	for i := range samples {
		<-next.C
		d := caller.call(n.addr, fmt.Sprintf("+1555100%04d", i))
		begin := time.Now()
		d.start()
		waits = append(waits, second.pickUp().at.Sub(begin))
		caller.expect("180 INVITE")
		d.established()
		second.expect("ACK")
		d.bye(second)
	}
	slices.Sort(waits)
	at := func(percent int) time.Duration { return waits[len(waits)*percent/100] }
	t.Logf("INVITE sent by the caller to INVITE at the second connector: p50 %v, p99 %v, max %v (%d calls, %d calls/s of another group beside)",
		at(50), at(99), waits[len(waits)-1], samples, liveRate)
	require.Less(t, at(50), 100*time.Millisecond, "failover waits for a timer instead of the ICMP error")
	if liveRate > 0 {
		live.unharmed()
	}
}

// Packets to the first connector vanish in a firewall: no ICMP. Calls move
// after first_response; when packets pass again, calls return.
func TestE2E_NetnsDroppedPackets(t *testing.T) {
	if !inNetns(t) {
		return
	}
	m := newMachine(t, farHosts...)
	first, second, caller := m.farPeer("127.0.0.11"), m.farPeer("127.0.0.12"), m.peer("127.0.0.2")
	n := m.serve(twoConnectors + quick + "trunks: [{name: near, sources: [127.0.0.2/32]}]\n")
	n.goodCall(caller, first, "+15550000001")

	m.run("nft", "add table ip wall; add chain ip wall in { type filter hook input priority 0; }; add rule ip wall in ip daddr "+first.addr.Addr().String()+" drop")
	for i := range 6 {
		begin := time.Now()
		d := caller.call(n.addr, "+15550000001").start()
		waited := second.pickUp().at.Sub(begin)
		if i == 0 {
			require.Less(t, waited, time.Second, "moves after first_response, or at once when a probe has failed already")
		} else {
			require.Less(t, waited, 250*time.Millisecond, "only the first call waits")
		}
		caller.expect("180 INVITE")
		d.established()
		second.expect("ACK")
		d.bye(second)
	}
	m.run("nft", "delete", "table", "ip", "wall")
	n.returnsTo(first, second, caller)
}

// An address that nobody has: the kernel queues datagrams while it asks for the
// neighbour. Calls to others must not wait behind them.
func TestE2E_NetnsAbsentHost(t *testing.T) {
	if !inNetns(t) {
		return
	}
	const calls, rate = 45, 15
	m := newMachine(t, farHosts...)
	second, live := m.farConnector("127.0.0.12"), m.neighbours()
	config := strings.Replace(behindVeth, "sip:127.0.0.11:5060", "sip:127.0.0.99:5060", 1)
	n := m.serve(strings.Replace(config, "MORE\n", "", 1) + "failover: {first_response: 500ms}\n")
	live.start(m, n, 1500, 500)
	callerSIPp(t, nil, "caller", m.addr("127.0.0.2:5061"), n.addr, "+15550000001", calls, rate).finish().allSucceeded(calls)
	n.logFailovers(calls)
	require.Equal(t, calls, second.stop().count("INVITE_Recv"))
	live.unharmed()
}

// Each way in which the path to the first connector says no: the call moves on
// at once.
func TestE2E_NetnsRefusals(t *testing.T) {
	if !inNetns(t) {
		return
	}
	m := newMachine(t, farHosts...)
	second, caller := m.farPeer("127.0.0.12"), m.peer("127.0.0.2")
	m.farPeer("127.0.0.11")
	m.run("nft", "add table ip wall; add chain ip wall in { type filter hook input priority 0; }; "+
		"add rule ip wall in udp dport 6001 reject with icmp type admin-prohibited; "+
		"add rule ip wall in udp dport 6002 reject with icmp type host-unreachable; "+
		"add rule ip wall in udp dport 6003 reject with icmp type net-unreachable; "+
		"add rule ip wall in udp dport 6004 reject with icmp type port-unreachable")
	var connectors, groups strings.Builder
	uris := []string{"127.0.0.11:6001", "127.0.0.11:6002", "127.0.0.11:6003", "127.0.0.11:6004", "192.0.2.1:5060"} // the last has no route
	for i, uri := range uris {
		fmt.Fprintf(&connectors, "  - {name: refusing-%d, hosts: [{uri: \"sip:%s\"}]}\n", i, uri)
		fmt.Fprintf(&groups, "  - name: refused-%d\n    connectors: [{connector: refusing-%d, priority: 1}, {connector: second, priority: 2}]\n", i, i)
		fmt.Fprintf(&groups, "    numbers: [\"+1555100%04d\"]\n", i)
	}
	n := m.serve(strings.Replace(behindVeth, "MORE\n", connectors.String(), 1) + groups.String())
	for i, uri := range uris {
		begin := time.Now()
		d := caller.call(n.addr, fmt.Sprintf("+1555100%04d", i)).start()
		require.Less(t, second.pickUp().at.Sub(begin), 500*time.Millisecond, uri)
		caller.expect("180 INVITE")
		d.established()
		second.expect("ACK")
		d.bye(second)
	}
}

// Without trunks only loopback may call.
func TestE2E_NetnsNoTrunksMeansLoopback(t *testing.T) {
	if !inNetns(t) {
		return
	}
	m := newMachine(t, farHosts...)
	first, caller := m.farPeer("127.0.0.11"), m.peer("127.0.0.2")
	n := m.serve(twoConnectors)
	caller.call(n.addr, "+15550000001").start().fails(403)
	first.quiet(settle)
}
