package transport

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// These tests need errors that loopback does not make. They build networks of
// their own, in namespaces that vanish with the test:
//
//	us 10.77.0.1, fd77::1, fe80::1 ── 10.77.0.2, fd77::2, fe80::2 them
//	   10.79.0.1, fd79::1              10.78.0.1, fd78::1 ── 10.78.0.2, fd78::2 beyond (MTU 1280)
//
// 10.79.0.1 and fd79::1 stand on an interface of their own, so the kernel sends
// from them only where it is told to.
type network struct{ us, them, beyond string }

func newNetwork(t *testing.T) network {
	t.Helper()
	if os.Geteuid() != 0 {
		unmet(t, "root, to make network namespaces")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			unmet(t, "the command "+tool)
		}
	}
	name := func(side string) string {
		ns := fmt.Sprintf("tandem-%d-%d-%s", os.Getpid(), time.Now().UnixNano()%1e6, side)
		sh(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { sh(t, "ip", "netns", "del", ns) })
		sh(t, "ip", "-n", ns, "link", "set", "lo", "up") // our kernel's own ICMP errors come by it
		return ns
	}
	n := network{name("us"), name("them"), name("beyond")}
	sh(t, "ip", "-n", n.us, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", n.them)
	sh(t, "ip", "-n", n.us, "link", "add", "v4", "type", "veth", "peer", "name", "v5")
	sh(t, "ip", "-n", n.them, "link", "add", "v2", "mtu", "1280", "type", "veth", "peer", "name", "v3", "mtu", "1280", "netns", n.beyond)
	for _, s := range []struct{ ns, dev, v4, v6, local string }{
		{n.us, "v0", "10.77.0.1/24", "fd77::1/64", "fe80::1/64"},
		{n.us, "v4", "10.79.0.1/24", "fd79::1/64", "fe80::9/64"},
		{n.them, "v1", "10.77.0.2/24", "fd77::2/64", "fe80::2/64"},
		{n.them, "v2", "10.78.0.1/24", "fd78::1/64", "fe80::1/64"},
		{n.beyond, "v3", "10.78.0.2/24", "fd78::2/64", "fe80::2/64"},
	} {
		sh(t, "ip", "-n", s.ns, "link", "set", s.dev, "addrgenmode", "none", "up")
		sh(t, "ip", "-n", s.ns, "addr", "add", s.v4, "dev", s.dev)
		sh(t, "ip", "-n", s.ns, "addr", "add", s.v6, "dev", s.dev, "nodad")
		sh(t, "ip", "-n", s.ns, "addr", "add", s.local, "dev", s.dev, "nodad")
	}
	for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		n.sysctl(t, n.them, key, "1")
	}
	for _, family := range []string{"ipv4", "ipv6"} { // give a neighbour up after 0.3 s instead of 3
		n.sysctl(t, n.us, "net/"+family+"/neigh/v0/retrans_time_ms", "100")
	}
	for _, r := range []struct{ ns, to, via string }{
		{n.us, "10.78.0.0/24", "10.77.0.2"},
		{n.us, "fd78::/64", "fd77::2"},
		{n.them, "10.79.0.0/24", "10.77.0.1"},
		{n.them, "fd79::/64", "fd77::1"},
		{n.beyond, "default", "10.78.0.1"},
		{n.beyond, "default", "fd78::1"},
	} {
		sh(t, "ip", "-n", r.ns, "route", "add", r.to, "via", r.via)
	}
	return n
}

func sh(t *testing.T, command ...string) {
	t.Helper()
	output, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	require.NoError(t, err, "%s: %s", strings.Join(command, " "), output)
}

func (n network) sysctl(t *testing.T, ns, key, value string) {
	t.Helper()
	sh(t, "ip", "netns", "exec", ns, "sh", "-c", fmt.Sprintf("echo %s > /proc/sys/%s", value, key))
}

func (n network) nft(t *testing.T, ns, rules string) {
	t.Helper()
	sh(t, "ip", "netns", "exec", ns, "nft", rules)
}

// in runs f in a namespace. Sockets opened there stay there.
func in(t *testing.T, ns string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { // the locked thread ends with its goroutine, and so never serves another
		defer close(done)
		runtime.LockOSThread()
		fd, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err != nil {
			t.Errorf("enter namespace %s: %v", ns, err)
			return
		}
		f()
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}

// udp serves on an address of ours with two workers.
func (n network) udp(t *testing.T, ip string, cfg Config, h Handler) *UDP {
	t.Helper()
	var u *UDP
	var err error
	in(t, n.us, func() {
		cfg.Workers, cfg.Block = 2, blocking
		cfg.Listen = []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(ip), 0)}
		u, err = Listen(cfg)
	})
	require.NoError(t, err)
	serve(t, u, h)
	return u
}

func (n network) peer(t *testing.T, ns, ip string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	var conn *net.UDPConn
	var err error
	in(t, ns, func() {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*soon)))
	return conn, localAddr(conn)
}

func TestUnreachableOnARealPath(t *testing.T) {
	n := newNetwork(t)
	n.nft(t, n.them, `
		table inet test {
			chain input {
				type filter hook input priority 0;
				ip daddr 10.77.0.2 udp dport 9 reject with icmp type admin-prohibited
				ip6 daddr fd77::2 udp dport 9 reject with icmpv6 type admin-prohibited
			}
			chain forward {
				type filter hook forward priority 0;
				ip daddr 10.78.0.9 reject with icmp type net-unreachable
				ip6 daddr fd78::9 reject with icmpv6 type no-route
			}
		}`)
	n.nft(t, n.us, `
		table inet test {
			chain output {
				type filter hook output priority 0;
				udp dport 7 drop
			}
		}`)
	dead4 := map[string]Cause{
		"10.77.0.2:5999": NoPort,
		"10.77.0.9:5060": NoHost, // answers no ARP
		"10.78.0.9:5060": NoHost,
		"10.77.0.2:9":    Prohibited,
		"10.77.0.2:7":    SendError,
		"192.0.2.1:5060": SendError, // no route
	}
	dead6 := map[string]Cause{
		"[fd77::2]:5999":     NoPort,
		"[fd77::9]:5060":     NoHost, // answers no neighbour solicitation
		"[fd78::9]:5060":     NoHost,
		"[fd77::2]:9":        Prohibited,
		"[fd77::2]:7":        SendError,
		"[2001:db8::1]:5060": SendError, // no route
	}
	for _, family := range []struct {
		listen, us, them string
		dead             map[string]Cause
	}{
		{"10.77.0.1", "10.77.0.1", "10.77.0.2", dead4},
		{"fd77::1", "fd77::1", "fd77::2", dead6},
		{"0.0.0.0", "10.79.0.1", "10.77.0.2", dead4},
		{"::", "fd79::1", "fd77::2", dead6},
	} {
		for dest, want := range family.dead {
			t.Run(family.listen+" "+dest, func(t *testing.T) {
				var v victims
				h := handler{unreachable: v.add}
				u := n.udp(t, family.listen, Config{}, h)
				conn, live := n.peer(t, n.them, family.them)
				dead, us := netip.MustParseAddrPort(dest), netip.MustParseAddr(family.us)
				s := u.Sender(0)
				var b Batch
				for deadline := time.Now().Add(soon); len(v.all()) == 0 && time.Now().Before(deadline); {
					b.SendFrom(0, us, dead, append(b.Buf(), "dead"...))
					b.SendFrom(0, us, live, append(b.Buf(), "live"...))
					s.Flush(Now(), &b, h)
					data, from := readFrom(t, conn) // paces the loop
					require.Equal(t, "live", data)
					require.Equal(t, us, from)
				}
				require.Equal(t, victim{dead, want, "dead", want == SendError}, v.first(t))
			})
		}
	}
}

// A firewall of our own that rejects fails the send and makes an ICMP error of
// it as well, for every try. That ends, and costs nobody else a datagram.
func TestOwnFirewallRejects(t *testing.T) {
	n := newNetwork(t)
	n.nft(t, n.us, `
		table inet test {
			chain output {
				type filter hook output priority 0;
				udp dport 6 reject
			}
		}`)
	for _, ips := range [][2]string{{"10.77.0.1", "10.77.0.2"}, {"fd77::1", "fd77::2"}} {
		var v victims
		h := handler{unreachable: v.add}
		u := n.udp(t, ips[0], Config{}, h)
		conn, live := n.peer(t, n.them, ips[1])
		dead := netip.AddrPortFrom(live.Addr(), 6)
		s := u.Sender(0)
		var b Batch
		for range 20 {
			b.Send(0, dead, append(b.Buf(), "dead"...))
			b.Send(0, live, append(b.Buf(), "live"...))
			s.Flush(Now(), &b, h)
			require.Equal(t, "live", read(t, conn))
		}
		require.Contains(t, v.all(), victim{dead, SendError, "dead", true})
		for _, got := range v.all() {
			require.Equal(t, dead, got.dest)
			require.Contains(t, []Cause{SendError, NoPort}, got.code)
		}
		require.EqualValues(t, 20, total(u).Sent)
		require.EqualValues(t, 20, total(u).SendErrors)
	}
}

// A dead neighbour's datagrams wait in the socket's buffer. They cost others
// datagrams, counted, but no time.
func TestDeadNeighbourDoesNotBlock(t *testing.T) {
	n := newNetwork(t)
	u := n.udp(t, "10.77.0.1", Config{SendBuffer: 4096}, handler{})
	dead := netip.MustParseAddrPort("10.77.0.9:5060")
	var b Batch
	for range 1000 {
		b.Send(0, dead, append(b.Buf(), "dead"...))
	}
	began := time.Now()
	u.Sender(0).Flush(Now(), &b, handler{})
	require.Less(t, time.Since(began), 500*time.Millisecond) // at 1 ms each it would take 1 s
	require.NotZero(t, total(u).SendDropped)
	require.Zero(t, total(u).SendErrors)
}

// Long datagrams leave in fragments; where only the sender may fragment (IPv6)
// the first is lost with a TooBig and its repetition passes.
func TestLongDatagramCrossesASmallMTU(t *testing.T) {
	n := newNetwork(t)
	long := strings.Repeat("x", 1400)

	var v victims
	u := n.udp(t, "10.77.0.1", Config{}, handler{unreachable: v.add})
	conn, dest := n.peer(t, n.beyond, "10.78.0.2")
	require.NoError(t, u.WriteTo(0, []byte(long), dest))
	require.Equal(t, long, read(t, conn))
	require.Empty(t, v.all())

	again := func(u Unreachable, out *Batch) {
		v.add(u, out)
		out.Send(0, u.Dest, append(out.Buf(), long...))
	}
	u = n.udp(t, "fd77::1", Config{}, handler{unreachable: again})
	conn, dest = n.peer(t, n.beyond, "fd78::2")
	require.NoError(t, u.WriteTo(0, []byte(long), dest))
	require.Equal(t, long, read(t, conn))
	got := v.first(t)
	require.Equal(t, dest, got.dest)
	require.Equal(t, TooBig, got.code)
	require.Greater(t, len(got.quote), 1000)
	require.True(t, strings.HasPrefix(long, got.quote))
}

// A link-local peer is answered through the interface it came by.
func TestLinkLocalPeer(t *testing.T) {
	n := newNetwork(t)
	var v victims
	sources := make(chan netip.AddrPort, 1)
	u := n.udp(t, "::", Config{}, handler{unreachable: v.add, packets: func(in []Packet, out *Batch) {
		sources <- in[0].Source
		echo(in, out)
	}})
	conn, addr := n.peer(t, n.them, "fe80::2%v1")
	dest := netip.AddrPortFrom(netip.MustParseAddr("fe80::1%v1"), u.Addrs()[0].Port())
	var err error
	in(t, n.them, func() { _, err = conn.WriteToUDPAddrPort([]byte("hello"), dest) })
	require.NoError(t, err)
	require.Equal(t, "hello", read(t, conn))
	source := <-sources
	require.Equal(t, addr.Addr().WithZone(""), source.Addr().WithZone(""))
	require.NotEmpty(t, source.Addr().Zone())
	require.Zero(t, total(u).LocalRefused)

	dead := netip.AddrPortFrom(source.Addr(), 5999)
	require.NoError(t, u.WriteTo(0, []byte("dead"), dead))
	require.Equal(t, victim{dead, NoPort, "dead", false}, v.first(t))
}

// A link-local peer is reached again when the interface was made again, whatever
// the datagrams leave as: one by one, several of one size, from an address or not.
func TestLinkLocalPeerOfAnInterfaceMadeAgain(t *testing.T) {
	n := newNetwork(t)
	var v victims
	u := n.udp(t, "::", Config{}, handler{unreachable: v.add})
	s := u.Sender(0)
	again := func() {
		sh(t, "ip", "-n", n.us, "link", "del", "v0")
		sh(t, "ip", "-n", n.us, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", n.them)
		for _, end := range []struct{ ns, dev, ip string }{{n.us, "v0", "fe80::1/64"}, {n.them, "v1", "fe80::2/64"}} {
			sh(t, "ip", "-n", end.ns, "link", "set", end.dev, "addrgenmode", "none", "up")
			sh(t, "ip", "-n", end.ns, "addr", "add", end.ip, "dev", end.dev, "nodad")
		}
	}
	for name, c := range map[string]struct {
		local netip.Addr
		count int
	}{
		"one": {netip.Addr{}, 1}, "one from an address": {netip.MustParseAddr("fe80::1%v0"), 1},
		"several": {netip.Addr{}, 3}, "several from an address": {netip.MustParseAddr("fe80::1%v0"), 3},
	} {
		for _, round := range []string{"before", "after"} {
			if round == "after" {
				again()
			}
			conn, to := n.peer(t, n.them, "::")
			dest := netip.AddrPortFrom(netip.MustParseAddr("fe80::2%v0"), to.Port())
			var b Batch
			for range c.count {
				b.SendFrom(0, c.local, dest, append(b.Buf(), "hello"...))
			}
			in(t, n.us, func() { s.Flush(Now(), &b, handler{unreachable: v.add}) }) // names are looked up there
			require.Empty(t, v.all(), "%s, %s", name, round)
			for range c.count {
				require.Equal(t, "hello", read(t, conn), "%s, %s", name, round)
			}
		}
	}
	again()
	conn, to := n.peer(t, n.them, "::")
	var err error
	in(t, n.us, func() {
		err = u.WriteTo(0, []byte("probe"), netip.AddrPortFrom(netip.MustParseAddr("fe80::2%v0"), to.Port()))
	})
	require.NoError(t, err)
	require.Equal(t, "probe", read(t, conn))
}
