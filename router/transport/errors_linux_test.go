package transport

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestClosedPortIsReported(t *testing.T) {
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s with %d workers", ip, workers), func(t *testing.T) {
				u := listenOn(t, workers, ip)
				heard := make(chan time.Time, 10)
				var v victims
				serve(t, u, handler{packets: echo, unreachable: func(u Unreachable, out *Batch) {
					v.add(u, out)
					heard <- time.Now()
				}})
				conn, _ := peer(t, ip)
				write(t, conn, u.Addrs()[0], "x")
				require.Equal(t, "x", read(t, conn)) // it serves
				dead := closedPort(t, ip)
				best := time.Hour // of several: the machine may be busy
				for i := range 5 {
					sent := time.Now()
					require.NoError(t, u.WriteTo(0, []byte("INVITE"), dead))
					select {
					case at := <-heard:
						best = min(best, at.Sub(sent))
					case <-time.After(soon):
						t.Fatal("nothing was reported")
					}
					require.Equal(t, victim{dead, NoPort, "INVITE", false}, v.all()[i])
				}
				require.Less(t, best, 50*time.Millisecond)
				require.EqualValues(t, 5, total(u).ICMP)
				require.Zero(t, total(u).SendErrors)
			})
		}
	}
}

// The kernel fails the next send on a socket, to whomever, after an ICMP error:
// no live destination pays for a dead one.
func TestLiveDestinationLosesNothing(t *testing.T) {
	const count = 200
	for _, workers := range []int{1, 2} {
		for _, perFlush := range []int{1, 2, 400} {
			t.Run(fmt.Sprintf("%d workers, %d a flush", workers, perFlush), func(t *testing.T) {
				u := listenOn(t, workers, loopback4)
				var v victims
				h := handler{unreachable: v.add}
				serve(t, u, h)
				conn, live := peer(t, loopback4)
				dead := closedPort(t, loopback4)
				s := u.Sender(0)
				var b Batch
				for i := range count {
					for _, dest := range []netip.AddrPort{dead, live} {
						b.Send(0, dest, strconv.AppendInt(b.Buf(), int64(i), 10))
						if b.Len() == perFlush {
							s.Flush(Now(), &b, h)
						}
					}
				}
				require.Zero(t, b.Len())
				for i := range count {
					require.Equal(t, strconv.Itoa(i), read(t, conn))
				}
				v.first(t)
				for _, got := range v.all() {
					require.Equal(t, NoPort, got.code)
					require.Equal(t, dead, got.dest)
				}
				st := total(u)
				require.EqualValues(t, 2*count, st.Sent)
				require.Zero(t, st.SendErrors)
				require.Zero(t, st.SendDropped)
			})
		}
	}
}

// The same with workers, timers and probes sending on the same sockets at once.
func TestLiveDestinationLosesNothingAmongMany(t *testing.T) {
	const count = 100
	u := listenOn(t, 2, loopback4)
	var v victims
	h := handler{unreachable: v.add}
	serve(t, u, h)
	dead := closedPort(t, loopback4)
	var conns []*net.UDPConn
	var wg sync.WaitGroup
	for i := range 4 {
		conn, live := peer(t, loopback4)
		conns = append(conns, conn)
		wg.Go(func() {
			s := u.Sender(i % 2)
			var b Batch
			for range count {
				b.Send(0, dead, append(b.Buf(), "dead"...))
				b.Send(0, live, append(b.Buf(), "live"...))
				s.Flush(Now(), &b, h)
			}
		})
		wg.Go(func() {
			for range count {
				if err := u.WriteTo(0, []byte("dead"), dead); err != nil {
					t.Error(err)
				}
				if err := u.WriteTo(0, []byte("live"), live); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, conn := range conns {
		for range 2 * count {
			require.Equal(t, "live", read(t, conn))
		}
	}
	for _, got := range v.all() {
		require.Equal(t, victim{dead, NoPort, "dead", false}, got)
	}
	require.Zero(t, total(u).SendErrors)
	require.Zero(t, total(u).SendDropped)
}

// Nobody can be told of an ICMP error before Serve, and nothing is lost of it.
func TestErrorBeforeServeIsKept(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	conn, live := peer(t, loopback4)
	dead := closedPort(t, loopback4)
	require.NoError(t, u.WriteTo(0, []byte("dead"), dead))
	require.NoError(t, u.WriteTo(0, []byte("live"), live))
	require.Equal(t, "live", read(t, conn))
	var v victims
	serve(t, u, handler{unreachable: v.add})
	require.Equal(t, victim{dead, NoPort, "dead", false}, v.first(t))
}

// What cannot be sent is reported whole, once, and holds up nothing.
func TestLocalSendErrorIsReported(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	conn, addr := peer(t, loopback4)
	wrongFamily := netip.AddrPortFrom(loopback6, 5060)
	broadcast := netip.MustParseAddrPort("255.255.255.255:5060") // EACCES without SO_BROADCAST
	long := string(make([]byte, 65508))
	var v victims
	var b Batch
	b.Send(0, addr, append(b.Buf(), "1"...))
	b.Send(0, wrongFamily, append(b.Buf(), "family"...))
	b.Send(0, addr, append(b.Buf(), "2"...))
	b.Send(0, broadcast, append(b.Buf(), "broadcast"...))
	b.Send(0, netip.AddrPort{}, append(b.Buf(), "nowhere"...))
	b.Send(0, addr, append(b.Buf(), long...))
	b.Send(0, addr, append(b.Buf(), "3"...))
	u.Sender(0).Flush(Now(), &b, handler{unreachable: v.add})
	got := v.all()
	require.Len(t, got, 4)
	require.Equal(t, []victim{
		{wrongFamily, SendError, "family", true},
		{broadcast, SendError, "broadcast", true},
		{netip.AddrPort{}, SendError, "nowhere", true},
	}, got[:3])
	require.Equal(t, addr, got[3].dest)
	require.True(t, long == got[3].quote, "the quote is cut short")
	require.EqualValues(t, 4, total(u).SendErrors)
	for _, want := range []string{"1", "2", "3"} {
		require.Equal(t, want, read(t, conn))
	}
}

func TestBatchTakesFewSystemCalls(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	conn, addr := peer(t, loopback4)
	var b Batch
	for range 10 * sendBatch {
		b.Send(0, addr, append(b.Buf(), "x"...))
	}
	u.Sender(0).Flush(Now(), &b, handler{})
	for range 10 * sendBatch {
		require.Equal(t, "x", read(t, conn))
	}
	st := total(u)
	require.EqualValues(t, 10, st.SendBatches)
	require.Equal(t, Sizes{6: 10}, st.SendSizes)
}

func TestTruncatedDatagramIsCountedAndDropped(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	w, err := newWorker(u, 0, 0, 16)
	require.NoError(t, err)
	defer w.close()
	ended := make(chan error, 1)
	go func() { ended <- w.run(handler{packets: echo}) }()
	conn, _ := peer(t, loopback4)
	write(t, conn, u.Addrs()[0], "seventeen bytes!!")
	write(t, conn, u.Addrs()[0], "sixteen bytes!!!")
	require.Equal(t, "sixteen bytes!!!", read(t, conn))
	require.EqualValues(t, 1, total(u).Truncated)
	require.NoError(t, u.Close())
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(soon):
		t.Fatal("the worker did not end")
	}
}

func TestSmallBufferIsWarnedAboutOnce(t *testing.T) {
	var text bytes.Buffer
	free := netip.AddrPortFrom(loopback4, 0)
	u, err := Listen(Config{
		Listen: []netip.AddrPort{free}, Workers: 2,
		ReceiveBuffer: 1 << 30, SendBuffer: 4096, // the kernel doubles it, which must not overflow
		Log: slog.New(slog.NewTextHandler(&text, nil)),
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, u.Close()) }()
	granted, err := unix.GetsockoptInt(u.socks[0][0].fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	require.NoError(t, err)
	if granted/2 < 1<<30 {
		require.Equal(t, 1, bytes.Count(text.Bytes(), []byte("net.core.rmem_max")), text.String())
	} else {
		require.Empty(t, text.String())
	}
}

func TestKernelDropsAreCounted(t *testing.T) {
	u, err := Listen(Config{Listen: []netip.AddrPort{netip.AddrPortFrom(loopback4, 0)}, Workers: 1, ReceiveBuffer: 4096})
	require.NoError(t, err)
	defer func() { require.NoError(t, u.Close()) }()
	conn, _ := peer(t, loopback4)
	for range 100 { // nobody serves
		write(t, conn, u.Addrs()[0], "0123456789")
	}
	require.Eventually(t, func() bool { return total(u).KernelDrops > 50 }, soon, time.Millisecond)
}

func TestCauses(t *testing.T) {
	for _, c := range []struct {
		origin, typ, code uint8
		want              Cause
	}{
		{unix.SO_EE_ORIGIN_ICMP, 3, 0, NoHost},
		{unix.SO_EE_ORIGIN_ICMP, 3, 1, NoHost},
		{unix.SO_EE_ORIGIN_ICMP, 3, 2, NoPort},
		{unix.SO_EE_ORIGIN_ICMP, 3, 3, NoPort},
		{unix.SO_EE_ORIGIN_ICMP, 3, 4, TooBig},
		{unix.SO_EE_ORIGIN_ICMP, 3, 5, Other},
		{unix.SO_EE_ORIGIN_ICMP, 3, 9, Prohibited},
		{unix.SO_EE_ORIGIN_ICMP, 3, 10, Prohibited},
		{unix.SO_EE_ORIGIN_ICMP, 3, 13, Prohibited},
		{unix.SO_EE_ORIGIN_ICMP, 4, 0, Other},  // source quench
		{unix.SO_EE_ORIGIN_ICMP, 11, 0, Other}, // TTL exceeded
		{unix.SO_EE_ORIGIN_ICMP6, 1, 0, NoHost},
		{unix.SO_EE_ORIGIN_ICMP6, 1, 1, Prohibited},
		{unix.SO_EE_ORIGIN_ICMP6, 1, 3, NoHost},
		{unix.SO_EE_ORIGIN_ICMP6, 1, 4, NoPort},
		{unix.SO_EE_ORIGIN_ICMP6, 2, 0, TooBig},
		{unix.SO_EE_ORIGIN_ICMP6, 3, 0, Other},
	} {
		require.Equal(t, c.want, cause(c.origin, c.typ, c.code), "%+v", c)
	}
}
