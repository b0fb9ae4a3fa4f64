package transport

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var (
	wildcard4 = netip.IPv4Unspecified()
	wildcard6 = netip.IPv6Unspecified()
	other4    = netip.MustParseAddr("127.0.0.2")
	bogus4    = netip.MustParseAddr("192.0.2.1") // documentation prefixes: nobody has them
	bogus6    = netip.MustParseAddr("2001:db8::1")
)

// dial returns a connected socket: it hears nobody but dest.
func dial(from netip.Addr, dest netip.AddrPort) (*net.UDPConn, error) {
	return net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(dest))
}

// readFrom reads one datagram and the address it came from.
func readFrom(t testing.TB, conn *net.UDPConn) (string, netip.Addr) {
	t.Helper()
	buf := make([]byte, 2000)
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	return string(buf[:n]), from.Addr().Unmap()
}

// locals makes a handler that echoes and tells the local addresses.
func locals(got chan<- netip.Addr) handler {
	return handler{packets: func(in []Packet, out *Batch) {
		for _, p := range in {
			got <- p.Local
		}
		echo(in, out)
	}}
}

func TestWildcardAnswersFromTheAddressAsked(t *testing.T) {
	for _, workers := range []int{1, 2} {
		for _, c := range []struct{ listen, from, asked netip.Addr }{
			{wildcard4, loopback4, loopback4},
			{wildcard4, loopback4, other4}, // by itself the kernel would answer from 127.0.0.1
			{wildcard4, other4, netip.MustParseAddr("127.9.9.9")},
			{wildcard6, loopback6, loopback6},
		} {
			t.Run(fmt.Sprintf("%s on %s with %d workers", c.asked, c.listen, workers), func(t *testing.T) {
				u := listenOn(t, workers, c.listen)
				got := make(chan netip.Addr, 1)
				serve(t, u, locals(got))
				for i := range 20 { // several flows, so that both workers have some
					conn, err := dial(c.from, netip.AddrPortFrom(c.asked, u.Addrs()[0].Port()))
					require.NoError(t, err)
					defer func() { _ = conn.Close() }()
					require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
					_, err = conn.Write([]byte(strconv.Itoa(i)))
					require.NoError(t, err)
					require.Equal(t, strconv.Itoa(i), read(t, conn))
					require.Equal(t, c.asked, <-got)
				}
				require.Zero(t, total(u).LocalRefused)
			})
		}
	}
}

// Each datagram of one received batch has its own address.
func TestReceivedBatchToSeveralAddresses(t *testing.T) {
	const count = 20
	u := listenOn(t, 1, wildcard4)
	conn, _ := peer(t, loopback4)
	asked := []netip.Addr{loopback4, other4, netip.MustParseAddr("127.9.9.9")}
	for i := range count {
		write(t, conn, netip.AddrPortFrom(asked[i%3], u.Addrs()[0].Port()), strconv.Itoa(i)) // they wait for Serve
	}
	got := make(chan netip.Addr, count)
	serve(t, u, locals(got))
	for i := range count {
		data, from := readFrom(t, conn)
		require.Equal(t, strconv.Itoa(i), data)
		require.Equal(t, asked[i%3], from)
		require.Equal(t, asked[i%3], <-got)
	}
	require.EqualValues(t, 1, total(u).ReceiveBatches)
}

// A socket on one address has no need to be told, and is not asked about it.
func TestBoundListenerHasNoLocal(t *testing.T) {
	for _, c := range []struct{ listen, elsewhere netip.Addr }{
		{loopback4, other4},
		{loopback6, bogus6},
	} {
		u := listenOn(t, 1, c.listen)
		got := make(chan netip.Addr, 1)
		serve(t, u, locals(got))
		conn, addr := peer(t, c.listen)
		write(t, conn, u.Addrs()[0], "x")
		require.Equal(t, "x", read(t, conn))
		require.Equal(t, netip.Addr{}, <-got)

		var b Batch
		b.SendFrom(0, c.elsewhere, addr, append(b.Buf(), "y"...)) // passed over
		s := u.Sender(0)
		s.Flush(Now(), &b, handler{})
		data, from := readFrom(t, conn)
		require.Equal(t, "y", data)
		require.Equal(t, c.listen, from)
		for _, opt := range []struct{ level, opt int }{
			{unix.IPPROTO_IP, unix.IP_PKTINFO}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO},
		} {
			if on, err := unix.GetsockoptInt(u.socks[0][0].fd, opt.level, opt.opt); err == nil {
				require.Zero(t, on)
			}
		}
	}
}

// Each datagram of a batch leaves from its own address, in the order of the
// batch: one of ours, another, the kernel's choice, a stranger's, one of the
// other family, and from a listener that has only one.
func TestBatchFromSeveralAddresses(t *testing.T) {
	const rounds = 40 // more than one system call takes
	u := listenOn(t, 1, wildcard4, loopback4)
	conn, addr := peer(t, loopback4)
	steps := []struct {
		listener    int
		local, from netip.Addr
		refused     bool
	}{
		{local: loopback4, from: loopback4},
		{local: other4, from: other4},
		{from: loopback4},
		{local: bogus4, from: loopback4, refused: true},
		{local: other4, from: other4},
		{local: netip.AddrFrom16(other4.As16()), from: other4}, // IPv4-mapped
		{local: loopback6, from: loopback4},
		{local: bogus4, from: loopback4, refused: true},
		{listener: 1, local: other4, from: loopback4},
	}
	var b Batch
	for i := range rounds * len(steps) {
		step := steps[i%len(steps)]
		b.SendFrom(step.listener, step.local, addr, strconv.AppendInt(b.Buf(), int64(i), 10))
	}
	var v victims
	u.Sender(0).Flush(Now(), &b, handler{unreachable: v.add})
	var refused uint64
	for i := range rounds * len(steps) {
		data, from := readFrom(t, conn)
		require.Equal(t, strconv.Itoa(i), data)
		require.Equal(t, steps[i%len(steps)].from, from, "step %d", i%len(steps))
		if steps[i%len(steps)].refused {
			refused++
		}
	}
	require.Empty(t, v.all())
	st := total(u)
	require.Equal(t, refused, st.LocalRefused)
	require.EqualValues(t, rounds*len(steps), st.Sent)
	require.Zero(t, st.SendErrors+st.SendDropped)
}

// An address that the machine has no longer costs the answer nothing, and the
// destination is not blamed.
func TestRefusedLocalCostsNothing(t *testing.T) {
	for _, c := range []struct {
		listen, ip netip.Addr
		bogus      []netip.Addr
	}{
		{wildcard4, loopback4, []netip.Addr{bogus4, netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("255.255.255.255")}},
		{wildcard6, loopback6, []netip.Addr{
			bogus6,
			netip.MustParseAddr("ff02::1"),
			netip.MustParseAddr("fe80::99"),          // a zone is missing
			netip.MustParseAddr("fe80::99%1"),        // not on this interface
			netip.MustParseAddr("fe80::99%99999"),    // no such interface
			netip.MustParseAddr("fe80::99%nowhere0"), // nor by name
		}},
	} {
		u := listenOn(t, 1, c.listen)
		conn, addr := peer(t, c.ip)
		for _, bogus := range c.bogus {
			var b Batch
			var v victims
			b.SendFrom(0, bogus, addr, append(b.Buf(), "x"...))
			u.Sender(0).Flush(Now(), &b, handler{unreachable: v.add})
			data, from := readFrom(t, conn)
			require.Equal(t, "x", data, "from %s", bogus)
			require.Equal(t, c.ip, from)
			require.Empty(t, v.all())
		}
		st := total(u)
		require.EqualValues(t, len(c.bogus), st.LocalRefused)
		require.Zero(t, st.SendErrors)
	}
}

// What cannot be sent from any address is reported, once.
func TestDestinationIsBlamedWithoutTheLocal(t *testing.T) {
	u := listenOn(t, 1, wildcard4)
	conn, addr := peer(t, loopback4)
	nowhere := netip.AddrPortFrom(loopback6, 5060) // the wrong family
	var b Batch
	var v victims
	for _, local := range []netip.Addr{loopback4, bogus4} {
		b.SendFrom(0, local, nowhere, append(b.Buf(), "dead"...))
		b.SendFrom(0, other4, addr, append(b.Buf(), "live"...))
	}
	u.Sender(0).Flush(Now(), &b, handler{unreachable: v.add})
	for range 2 {
		data, from := readFrom(t, conn)
		require.Equal(t, "live", data)
		require.Equal(t, other4, from)
	}
	dead := victim{nowhere, SendError, "dead", true}
	require.Equal(t, []victim{dead, dead}, v.all())
	require.EqualValues(t, 2, total(u).SendErrors)
}

// ICMP errors are told apart from the addresses that stand beside them, and the
// send that fails for one, of an earlier datagram, keeps its address.
func TestWildcardHearsOfClosedPorts(t *testing.T) {
	for _, c := range []struct{ listen, ip, local netip.Addr }{
		{wildcard4, loopback4, other4},
		{wildcard6, loopback6, loopback6},
	} {
		const count = 100
		u := listenOn(t, 2, c.listen)
		var v victims
		h := handler{packets: echo, unreachable: v.add}
		serve(t, u, h)
		conn, live := peer(t, c.ip)
		dead := closedPort(t, c.ip)
		s := u.Sender(0)
		var b Batch
		for i := range count {
			b.SendFrom(0, c.local, dead, append(b.Buf(), "dead"...))
			b.SendFrom(0, c.local, live, strconv.AppendInt(b.Buf(), int64(i), 10))
			if i%3 == 0 {
				s.Flush(Now(), &b, h)
			}
		}
		s.Flush(Now(), &b, h)
		for i := range count {
			data, from := readFrom(t, conn)
			require.Equal(t, strconv.Itoa(i), data)
			require.Equal(t, c.local, from)
		}
		v.first(t)
		for _, got := range v.all() {
			require.Equal(t, victim{dead, NoPort, "dead", false}, got)
		}
		st := total(u)
		require.Zero(t, st.SendErrors+st.SendDropped+st.LocalRefused)
		require.NotZero(t, st.ICMP)
	}
}

// The peer asked the address of an interface that the route to it does not lead
// over.
func TestAnswerLeavesFromTheInterfaceAsked(t *testing.T) {
	n := newNetwork(t)
	for _, c := range []struct{ listen, peer, chosen, asked string }{
		{"0.0.0.0", "10.77.0.2", "10.77.0.1", "10.79.0.1"},
		{"::", "fd77::2", "fd77::1", "fd79::1"},
	} {
		asked, chosen := netip.MustParseAddr(c.asked), netip.MustParseAddr(c.chosen)
		got := make(chan netip.Addr, 2)
		u := n.udp(t, c.listen, Config{}, handler{packets: func(in []Packet, out *Batch) {
			for _, p := range in {
				got <- p.Local
				out.Send(p.Listener, p.Source, append(out.Buf(), "from the kernel's choice"...))
				out.SendFrom(p.Listener, p.Local, p.Source, append(out.Buf(), p.Data...))
			}
		}})
		dest := netip.AddrPortFrom(asked, u.Addrs()[0].Port())

		open, _ := n.peer(t, n.them, c.peer) // hears anybody
		write(t, open, dest, "hello")
		for _, want := range []struct {
			data string
			from netip.Addr
		}{{"from the kernel's choice", chosen}, {"hello", asked}} {
			data, from := readFrom(t, open)
			require.Equal(t, want.data, data)
			require.Equal(t, want.from, from)
		}
		require.Equal(t, asked, <-got)

		var strict *net.UDPConn // hears the address asked alone
		var err error
		in(t, n.them, func() { strict, err = dial(netip.MustParseAddr(c.peer), dest) })
		require.NoError(t, err)
		defer func() { _ = strict.Close() }()
		require.NoError(t, strict.SetDeadline(time.Now().Add(soon)))
		_, err = strict.Write([]byte("hello"))
		require.NoError(t, err)
		require.Equal(t, "hello", read(t, strict))
		require.Equal(t, asked, <-got)
	}
}

// Of a datagram to many nobody in particular was asked.
func TestDatagramToManyHasNoLocal(t *testing.T) {
	n := newNetwork(t)
	for _, c := range []struct{ listen, peer, many, from string }{
		{"0.0.0.0", "10.77.0.2", "10.77.0.255", "10.77.0.1"},
		{"0.0.0.0", "10.77.0.2", "255.255.255.255", "10.77.0.1"},
		{"0.0.0.0", "10.77.0.2", "224.0.0.1", "10.77.0.1"}, // all hosts
		{"::", "fe80::2%v1", "ff02::1%v1", "fe80::1"},      // all nodes
	} {
		t.Run(c.many, func(t *testing.T) {
			got := make(chan netip.Addr, 1)
			u := n.udp(t, c.listen, Config{}, locals(got))
			conn, _ := n.peer(t, n.them, c.peer)
			many := netip.MustParseAddr(c.many)
			if many.Is4() { // it has no zone to choose an interface by
				raw, err := conn.SyscallConn()
				require.NoError(t, err)
				require.NoError(t, raw.Control(func(fd uintptr) {
					err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "v1")
				}))
				require.NoError(t, err)
			}
			var err error
			in(t, n.them, func() {
				_, err = conn.WriteToUDPAddrPort([]byte("hello"), netip.AddrPortFrom(many, u.Addrs()[0].Port()))
			})
			require.NoError(t, err)
			require.Equal(t, netip.Addr{}, <-got)
			data, from := readFrom(t, conn)
			require.Equal(t, "hello", data)
			require.Equal(t, c.from, from.WithZone("").String())
		})
	}
}

// Where routes depend on the source, an address that nothing leads from is given
// up for one that something does.
func TestLocalWithoutRoute(t *testing.T) {
	n := newNetwork(t)
	sh(t, "ip", "-n", n.us, "rule", "add", "from", "10.79.0.1", "unreachable")
	sh(t, "ip", "-n", n.us, "-6", "rule", "add", "from", "fd79::1", "unreachable")
	for _, c := range []struct{ listen, peer, local, chosen, nowhere string }{
		{"0.0.0.0", "10.77.0.2", "10.79.0.1", "10.77.0.1", "192.0.2.1:5060"},
		{"::", "fd77::2", "fd79::1", "fd77::1", "[2001:db8::1]:5060"},
	} {
		var v victims
		h := handler{unreachable: v.add}
		u := n.udp(t, c.listen, Config{}, h)
		conn, live := n.peer(t, n.them, c.peer)
		nowhere := netip.MustParseAddrPort(c.nowhere)
		local := netip.MustParseAddr(c.local)
		var b Batch
		for range 3 {
			b.SendFrom(0, local, nowhere, append(b.Buf(), "dead"...))
			b.SendFrom(0, local, live, append(b.Buf(), "live"...))
		}
		u.Sender(0).Flush(Now(), &b, h)
		for range 3 {
			data, from := readFrom(t, conn)
			require.Equal(t, "live", data)
			require.Equal(t, c.chosen, from.String())
		}
		dead := victim{nowhere, SendError, "dead", true}
		require.Equal(t, []victim{dead, dead, dead}, v.all())
		st := total(u)
		require.EqualValues(t, 3, st.SendErrors)
		require.EqualValues(t, 6, st.LocalRefused)
	}
}

// A firewall of ours that forbids the address is not gone round by another.
func TestForbiddenLocalIsNotReplaced(t *testing.T) {
	n := newNetwork(t)
	n.nft(t, n.us, `
		table inet test {
			chain output {
				type filter hook output priority 0;
				ip saddr 10.79.0.1 drop
				ip6 saddr fd79::1 drop
			}
		}`)
	for _, c := range []struct{ listen, peer, forbidden, chosen string }{
		{"0.0.0.0", "10.77.0.2", "10.79.0.1", "10.77.0.1"},
		{"::", "fd77::2", "fd79::1", "fd77::1"},
	} {
		var v victims
		h := handler{unreachable: v.add}
		u := n.udp(t, c.listen, Config{}, h)
		conn, dest := n.peer(t, n.them, c.peer)
		var b Batch
		b.SendFrom(0, netip.MustParseAddr(c.forbidden), dest, append(b.Buf(), "forbidden"...))
		b.SendFrom(0, netip.MustParseAddr(c.chosen), dest, append(b.Buf(), "allowed"...))
		u.Sender(0).Flush(Now(), &b, h)
		data, from := readFrom(t, conn)
		require.Equal(t, "allowed", data)
		require.Equal(t, c.chosen, from.String())
		require.Equal(t, []victim{{dest, SendError, "forbidden", true}}, v.all())
		require.Zero(t, total(u).LocalRefused)
	}
}

// The address goes between the question and the answer.
func TestLocalIsRemoved(t *testing.T) {
	n := newNetwork(t)
	for _, c := range []struct{ listen, peer, asked, chosen, prefix string }{
		{"0.0.0.0", "10.77.0.2", "10.79.0.1", "10.77.0.1", "10.79.0.1/24"},
		{"::", "fd77::2", "fd79::1", "fd77::1", "fd79::1/64"},
	} {
		var v victims
		got := make(chan Packet, 1)
		h := handler{unreachable: v.add, packets: func(in []Packet, _ *Batch) { got <- in[0] }}
		u := n.udp(t, c.listen, Config{}, h)
		conn, _ := n.peer(t, n.them, c.peer)
		write(t, conn, netip.AddrPortFrom(netip.MustParseAddr(c.asked), u.Addrs()[0].Port()), "hello")
		p := <-got
		require.Equal(t, c.asked, p.Local.String())
		sh(t, "ip", "-n", n.us, "addr", "del", c.prefix, "dev", "v4")
		var b Batch
		b.SendFrom(p.Listener, p.Local, p.Source, append(b.Buf(), "hello"...))
		u.Sender(0).Flush(Now(), &b, h)
		data, from := readFrom(t, conn)
		require.Equal(t, "hello", data)
		require.Equal(t, c.chosen, from.String())
		require.Empty(t, v.all())
		require.EqualValues(t, 1, total(u).LocalRefused)
	}
}

// Control messages that are cut short, or none of ours, are passed over.
func TestFindControl(t *testing.T) {
	var c control
	var zones zoneCache
	for _, want := range []netip.Addr{other4, bogus6, netip.MustParseAddr("fe80::1%lo")} {
		n := c.put(want, &zones)
		if want.Is4() { // as the kernel fills it in on receipt
			info := find[unix.Inet4Pktinfo](c.bytes(), unix.IPPROTO_IP, unix.IP_PKTINFO)
			info.Addr = info.Spec_dst
		}
		require.LessOrEqual(t, n, sizeofControl)
		require.Equal(t, want, c.local(n, &zones))
		for size := range unix.CmsgLen(unix.SizeofInet4Pktinfo) {
			require.Equal(t, netip.Addr{}, c.local(size, &zones), "%d bytes", size)
		}
	}
	require.Nil(t, find[unix.SockExtendedErr](c.bytes(), unix.IPPROTO_IPV6, unix.IPV6_RECVERR))

	// Another's message before it is skipped; one that says it is longer than
	// the rest, or shorter than its own header, ends the search.
	var both [2 * len(c)]uint64
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&both)), int(unsafe.Sizeof(both)))
	n := c.put(other4, &zones)
	copy(buf, c.bytes()[:n])
	c.put(bogus6, &zones)
	copy(buf[n:], c.bytes())
	six := func() *unix.Inet6Pktinfo {
		return find[unix.Inet6Pktinfo](buf, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO)
	}
	require.Equal(t, bogus6.As16(), six().Addr)
	first := (*unix.Cmsghdr)(unsafe.Pointer(&both))
	for _, size := range []int{0, unix.CmsgLen(0) - 1, len(buf) + 1, 1 << 30} {
		first.SetLen(size)
		require.Nil(t, six(), "%d bytes", size)
	}
}

// An interface that is made again has another index.
func TestZoneMoved(t *testing.T) {
	var z zoneCache
	lo := z.id("lo")
	require.NotZero(t, lo)
	require.False(t, z.moved("lo", lo), "it is where it was")
	require.False(t, z.moved("", 0))
	z.out = 99999 // as if it had had that
	require.EqualValues(t, 99999, z.id("lo"))
	require.True(t, z.moved("lo", 99999))
	require.Equal(t, lo, z.id("lo"))
	require.False(t, z.moved("nowhere0", 99999), "it is gone")
	require.False(t, z.moved("7", 7))
}

func TestBatchSizes(t *testing.T) {
	var s sizes
	for n := 1; n <= 64; n++ {
		s.add(n)
	}
	all, sum := s.load()
	require.Equal(t, Sizes{1, 1, 2, 4, 8, 16, 32}, all)
	require.EqualValues(t, 64, sum)
}

func TestBatchSizesAreCounted(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	conn, _ := peer(t, loopback4)
	for range 3 {
		write(t, conn, u.Addrs()[0], "x") // they wait for Serve, and come at once
	}
	serve(t, u, handler{packets: echo})
	for range 3 {
		require.Equal(t, "x", read(t, conn))
	}
	want := WorkerStats{ // of what it counts, the batches
		ReceiveBatches: 1, ReceiveSizes: Sizes{2: 1},
		SendBatches: 1, SendSizes: Sizes{2: 1},
	}
	require.Eventually(t, func() bool {
		st := total(u)
		return st.ReceiveBatches == want.ReceiveBatches && st.ReceiveSizes == want.ReceiveSizes &&
			st.SendBatches == want.SendBatches && st.SendSizes == want.SendSizes
	}, soon, time.Millisecond)
}
