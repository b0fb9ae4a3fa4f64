package transport

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// calls queues what so many calls send to dest: three datagrams each, told
// apart by their beginning.
func calls(b *Batch, count int, local netip.Addr, dest netip.AddrPort) {
	for call := range count {
		b.Flow(uint32(call + 1))
		for part, size := range []int{380, 400, 650} {
			text := fmt.Sprintf("%d of call %d ", part, call)
			b.SendFrom(0, local, dest, append(b.Buf(), text+strings.Repeat("x", size-len(text))...))
		}
	}
}

// arrive reads what calls has queued: all of it, whole, each call in order.
func arrive(t testing.TB, count int, read func() string) {
	t.Helper()
	next := make([]int, count)
	for range 3 * count {
		data := read()
		var part, call int
		_, err := fmt.Sscanf(data, "%d of call %d ", &part, &call)
		require.NoError(t, err)
		require.Equal(t, next[call], part, "of call %d", call)
		require.Len(t, data, []int{380, 400, 650}[part])
		next[call]++
	}
}

func TestSegmentsArrive(t *testing.T) {
	for _, c := range []struct{ listen, ip netip.Addr }{
		{loopback4, loopback4}, {loopback6, loopback6}, {wildcard4, loopback4}, {wildcard6, loopback6},
	} {
		const count = 50
		u := listenOn(t, 1, c.listen)
		conn, dest := peer(t, c.ip)
		var b Batch
		var local netip.Addr
		if c.listen != c.ip {
			local = c.ip
		}
		calls(&b, count, local, dest)
		u.Sender(0).Flush(Now(), &b, handler{})
		arrive(t, count, func() string { return read(t, conn) })
		st := total(u)
		require.EqualValues(t, 3*count, st.Sent)
		require.Greater(t, st.Segments, uint64(3*count-10)) // a part ends in the middle of a call
		require.EqualValues(t, count*(380+400+650), st.BytesOut)
	}
}

func TestWholeLeaveByThemselves(t *testing.T) {
	u, err := Listen(Config{Listen: []netip.AddrPort{netip.AddrPortFrom(loopback4, 0)}, Workers: 1, Whole: true})
	require.NoError(t, err)
	defer func() { _ = u.Close() }()
	conn, dest := peer(t, loopback4)
	var b Batch
	calls(&b, 10, netip.Addr{}, dest)
	u.Sender(0).Flush(Now(), &b, handler{})
	arrive(t, 10, func() string { return read(t, conn) })
	require.Zero(t, total(u).Segments)
}

// A link that cannot carry a segment whole gets each datagram in fragments, and
// is not asked again.
func TestSegmentsTooLongForTheLink(t *testing.T) {
	n := newNetwork(t)
	sh(t, "ip", "-n", n.us, "link", "set", "v0", "mtu", "600")
	u := n.udp(t, "10.77.0.1", Config{}, handler{})
	conn, dest := n.peer(t, n.them, "10.77.0.2")
	for range 2 {
		const count = 10
		var b Batch
		calls(&b, count, netip.Addr{}, dest)
		u.Sender(0).Flush(Now(), &b, handler{})
		arrive(t, count, func() string { return read(t, conn) })
	}
	st := total(u)
	require.Zero(t, st.SendErrors+st.SendDropped)
	require.EqualValues(t, 60, st.Sent)
	require.Less(t, st.Segments, uint64(30))
	require.True(t, u.socks[0][0].whole.Load())
}

// Nobody listens at one of two peers: each datagram to the other arrives, and
// those that leave alone are reported each.
func TestSegmentsBesideAClosedPort(t *testing.T) {
	const count = 20
	u := listenOn(t, 1, loopback4)
	var v victims
	h := handler{unreachable: v.add}
	serve(t, u, h)
	conn, live := peer(t, loopback4)
	dead := closedPort(t, loopback4)
	var b Batch
	for call := range count {
		b.Flow(uint32(call + 1))
		b.Send(0, dead, append(b.Buf(), fmt.Sprintf("INVITE %2d", call)...))
		b.Alone()
		b.Send(0, dead, append(b.Buf(), "ACK"...))
	}
	calls(&b, count, netip.Addr{}, live)
	u.Sender(0).Flush(Now(), &b, h)
	arrive(t, count, func() string { return read(t, conn) })
	require.Eventually(t, func() bool {
		seen := make(map[string]bool)
		for _, victim := range v.all() {
			require.Equal(t, dead, victim.dest)
			require.Equal(t, NoPort, victim.code)
			seen[victim.quote] = true
		}
		for call := range count {
			if !seen[fmt.Sprintf("INVITE %2d", call)] {
				return false
			}
		}
		return true
	}, soon, 1e6)
	require.Zero(t, total(u).SendErrors)
}

// What the kernel refuses of a run is blamed datagram by datagram.
func TestRefusedRunIsReported(t *testing.T) {
	n := newNetwork(t)
	n.nft(t, n.us, `
		table inet test {
			chain output {
				type filter hook output priority 0;
				ip daddr 10.77.0.2 drop;
			}
		}`)
	var v victims
	h := handler{unreachable: v.add}
	u := n.udp(t, "10.77.0.1", Config{}, h)
	dest := netip.MustParseAddrPort("10.77.0.2:5060")
	var b Batch
	for range 3 {
		b.Send(0, dest, append(b.Buf(), "forbidden"...))
	}
	u.Sender(0).Flush(Now(), &b, h)
	one := victim{dest, SendError, "forbidden", true}
	require.Equal(t, []victim{one, one, one}, v.all())
	require.False(t, u.socks[0][0].whole.Load())
}
