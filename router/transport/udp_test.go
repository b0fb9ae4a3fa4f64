package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEcho(t *testing.T) {
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s with %d workers", ip, workers), func(t *testing.T) {
				u := listenOn(t, workers, ip)
				serve(t, u, handler{packets: echo})
				for i := range 20 { // several flows, so that both workers have some
					conn, _ := peer(t, ip)
					write(t, conn, u.Addrs()[0], strconv.Itoa(i))
					require.Equal(t, strconv.Itoa(i), read(t, conn))
				}
				require.Eventually(t, func() bool { // the last reply is here before it is counted
					st := total(u)
					return st.Received == 20 && st.BytesIn == 30 && st.Sent == 20 && st.BytesOut == 30
				}, soon, time.Millisecond)
			})
		}
	}
}

// A packet names the listener it came to, and a batch leaves from the one it
// names.
func TestListeners(t *testing.T) {
	u := listenOn(t, 2, loopback4, loopback6)
	in, out := u.Addrs()[0], u.Addrs()[1]
	conn, addr := peer(t, loopback6)
	got := make(chan Packet, 1)
	serve(t, u, handler{packets: func(in []Packet, b *Batch) {
		p := in[0]
		p.Data = nil
		got <- p
		b.Send(1, addr, append(b.Buf(), "over"...))
	}})
	caller, callerAddr := peer(t, loopback4)
	write(t, caller, in, "hello")
	buf := make([]byte, 10)
	n, from, err := conn.ReadFromUDPAddrPort(buf) // has a deadline
	require.NoError(t, err)
	require.Equal(t, "over", string(buf[:n]))
	require.Equal(t, out, from)
	require.Equal(t, Packet{Source: callerAddr, Listener: 0}, <-got)
}

func TestFlowKeepsItsOrder(t *testing.T) {
	const count = 2000
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			u := listenOn(t, workers, loopback4)
			serve(t, u, handler{packets: echo})
			conn, _ := peer(t, loopback4)
			go func() {
				for i := range count {
					_, _ = conn.WriteToUDPAddrPort([]byte(strconv.Itoa(i)), u.Addrs()[0])
				}
			}()
			for i := range count {
				require.Equal(t, strconv.Itoa(i), read(t, conn))
			}
		})
	}
}

func TestLongestDatagramPasses(t *testing.T) {
	for ip, size := range map[netip.Addr]int{loopback4: 65507, loopback6: 65527} {
		u := listenOn(t, 1, ip)
		serve(t, u, handler{packets: echo})
		conn, _ := peer(t, ip)
		long := strings.Repeat("0123456789abcdef", 4096)[:size]
		write(t, conn, u.Addrs()[0], long)
		require.True(t, long == read(t, conn), "%s: the echo differs", ip)
		require.Zero(t, total(u).Truncated)
	}
}

// More datagrams than fit one system call, in runs of two listeners, leave in
// the order of the batch.
func TestBatchKeepsItsOrder(t *testing.T) {
	const count = 500
	u := listenOn(t, 2, loopback4, loopback4)
	conn, addr := peer(t, loopback4)
	var b Batch
	for i := range count {
		b.Send(i/100%2, addr, strconv.AppendInt(b.Buf(), int64(i), 10))
	}
	u.Sender(1).Flush(Now(), &b, handler{})
	require.Zero(t, b.Len())
	buf := make([]byte, 10)
	for i := range count {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), string(buf[:n]))
		require.Equal(t, u.Addrs()[i/100%2].Port(), from.Port())
	}
	require.EqualValues(t, count, total(u).Sent)
}

func TestEmptyDatagramIsCountedAndDropped(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	serve(t, u, handler{packets: echo})
	conn, _ := peer(t, loopback4)
	write(t, conn, u.Addrs()[0], "")
	write(t, conn, u.Addrs()[0], "x")
	require.Equal(t, "x", read(t, conn))
	require.EqualValues(t, 1, total(u).Empty)
	require.EqualValues(t, 1, total(u).Received)
}

func TestWriteTo(t *testing.T) {
	u := listenOn(t, 2, loopback4)
	conn, addr := peer(t, loopback4)
	require.NoError(t, u.WriteTo(0, []byte("probe"), addr))
	require.Equal(t, "probe", read(t, conn))

	require.Error(t, u.WriteTo(0, []byte("x"), netip.AddrPort{}))
	require.Error(t, u.WriteTo(0, []byte("x"), netip.AddrPortFrom(loopback6, 5060)))
	require.Error(t, u.WriteTo(0, make([]byte, 65508), addr))
	require.EqualValues(t, 3, total(u).SendErrors)

	require.NoError(t, u.Close())
	require.ErrorIs(t, u.WriteTo(0, []byte("x"), addr), net.ErrClosed)
}

// What a Handler answers to an error leaves in the same flush; one that never
// stops answering is stopped.
func TestAnswerToErrorIsSent(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	conn, addr := peer(t, loopback4)
	dead := netip.AddrPortFrom(loopback6, 5060)
	var b Batch
	b.Send(0, dead, append(b.Buf(), "call"...))
	u.Sender(0).Flush(Now(), &b, handler{unreachable: func(u Unreachable, out *Batch) {
		out.Send(0, addr, append(append(out.Buf(), "again: "...), u.Quote...))
	}})
	require.Equal(t, "again: call", read(t, conn))

	rounds := 0
	b.Send(0, dead, append(b.Buf(), "call"...))
	u.Sender(0).Flush(Now(), &b, handler{unreachable: func(u Unreachable, out *Batch) {
		rounds++
		out.Send(0, dead, append(out.Buf(), u.Quote...))
	}})
	require.Less(t, rounds, 100)
}

func TestSecondListenIsRefused(t *testing.T) {
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		for _, workers := range []int{1, 2} {
			u := listenOn(t, workers, ip)
			_, err := Listen(Config{Listen: u.Addrs(), Workers: 2})
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			require.ErrorContains(t, err, fmt.Sprintf("udp %s is in use by another process", u.Addrs()[0]))
		}
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	const variable = "TANDEM_TEST_LISTEN"
	if addr := os.Getenv(variable); addr != "" { // we are the second process
		_, err := Listen(Config{Listen: []netip.AddrPort{netip.MustParseAddrPort(addr)}, Workers: 2})
		fmt.Println(err)
		return
	}
	u := listenOn(t, 2, loopback4)
	serve(t, u, handler{packets: echo})
	second := exec.Command(os.Args[0], "-test.run=^TestSecondProcessIsRefused$")
	second.Env = append(os.Environ(), variable+"="+u.Addrs()[0].String())
	output, err := second.CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(output), fmt.Sprintf("udp %s is in use by another process", u.Addrs()[0]))
	for range 20 { // and it took no datagram away
		conn, _ := peer(t, loopback4)
		write(t, conn, u.Addrs()[0], "x")
		require.Equal(t, "x", read(t, conn))
	}
}

func TestListenRejects(t *testing.T) {
	_, err := Listen(Config{})
	require.EqualError(t, err, "udp: no address to listen on")

	_, err = Listen(Config{Listen: []netip.AddrPort{{}}})
	require.ErrorContains(t, err, "is not an address to listen on")

	_, err = Listen(Config{Listen: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5060")}})
	require.ErrorContains(t, err, "udp 192.0.2.1:5060: ")

	free := closedPort(t, loopback4)
	_, err = Listen(Config{Listen: []netip.AddrPort{free, netip.AddrPortFrom(netip.IPv4Unspecified(), free.Port())}})
	require.Error(t, err)
	u, err := Listen(Config{Listen: []netip.AddrPort{free}}) // a failed Listen holds nothing
	require.NoError(t, err)
	require.NoError(t, u.Close())
}

func TestCloseEndsServe(t *testing.T) {
	u := listenOn(t, 2, loopback4, loopback6)
	done := make(chan error, 1)
	go func() { done <- u.Serve(handler{packets: echo}) }()
	conn, _ := peer(t, loopback4)
	write(t, conn, u.Addrs()[0], "x")
	require.Equal(t, "x", read(t, conn)) // it serves

	require.NoError(t, u.Close())
	require.NoError(t, u.Close())
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(soon):
		t.Fatal("Serve did not return")
	}
	again, err := Listen(Config{Listen: u.Addrs()})
	require.NoError(t, err, "the addresses are free when Serve has returned")
	require.NoError(t, again.Close())
	require.Error(t, u.Serve(handler{}))
}

func TestServeAfterClose(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	require.NoError(t, u.Close())
	require.NoError(t, u.Serve(handler{}))
}

// Closing while others send neither races nor writes to a file that has got
// the descriptor since.
func TestCloseWhileSending(t *testing.T) {
	u := listenOn(t, 2, loopback4)
	serve(t, u, handler{packets: echo})
	_, addr := peer(t, loopback4)
	var wg sync.WaitGroup
	started := make(chan struct{}, 4)
	for worker := range 2 {
		wg.Go(func() {
			s := u.Sender(worker)
			var b Batch
			for i := 0; !u.closed.Load(); i++ {
				b.Send(0, addr, append(b.Buf(), "x"...))
				s.Flush(Now(), &b, handler{})
				if i == 10 {
					started <- struct{}{}
				}
			}
			b.Send(0, addr, append(b.Buf(), "x"...))
			s.Flush(Now(), &b, handler{})
		})
		wg.Go(func() {
			for i := 0; ; i++ {
				if err := u.WriteTo(0, []byte("x"), addr); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				if i == 10 {
					started <- struct{}{}
				}
			}
		})
	}
	deadline := time.After(soon)
	for range cap(started) {
		select {
		case <-started:
		case <-deadline:
			t.Fatal("the senders do not get on")
		}
	}
	require.NoError(t, u.Close())
	wg.Wait()
}

func TestNowIsMonotonic(t *testing.T) {
	a := Now()
	require.LessOrEqual(t, a, Now())
}

func TestBatch(t *testing.T) {
	dest := netip.MustParseAddrPort("127.0.0.1:5060")
	var b Batch
	var want [][]byte
	for i := range 100 {
		msg := bytes.Repeat([]byte{byte(i)}, i*7)
		want = append(want, msg)
		if i%3 == 0 {
			b.Send(i, dest, msg) // from elsewhere
		} else {
			b.SendFrom(i, loopback6, dest, append(b.Buf(), msg...)) // in place, or grown out of it
		}
	}
	require.Equal(t, len(want), b.Len())
	for i := range want {
		listener, d, data := b.At(i)
		require.Equal(t, i, listener)
		require.Equal(t, dest, d)
		require.Equal(t, string(want[i]), string(data))
		require.Equal(t, i%3 != 0, b.Local(i) == loopback6)
		require.Equal(t, i%3 == 0, !b.Local(i).IsValid())
	}
	b.Reset()
	require.Zero(t, b.Len())
}

// What is for listeners of another transport leaves in the order of the batch.
func TestBeyond(t *testing.T) {
	var beyond []string
	u, err := Listen(Config{
		Listen: []netip.AddrPort{netip.AddrPortFrom(loopback4, 0)}, Workers: 1,
		Beyond: func(b *Batch, i int) {
			listener, dest, data := b.At(i)
			name, ok := b.Name(i)
			beyond = append(beyond, fmt.Sprint(listener, dest, string(data), " ", string(name), ok))
		},
	})
	require.NoError(t, err)
	defer func() { _ = u.Close() }()
	conn, here := peer(t, loopback4)
	there := netip.MustParseAddrPort("192.0.2.1:5061")
	var b Batch
	b.Send(1, there, append(b.Buf(), "a"...))
	b.Send(0, here, append(b.Buf(), "b"...))
	b.Send(2, there, append(b.Buf(), "c"...))
	b.Connect([]byte("example.com"))
	b.Send(2, there, append(b.Buf(), "d"...))
	b.Connect(nil)
	u.Sender(0).Flush(Now(), &b, handler{})
	require.Equal(t, "b", read(t, conn))
	require.Equal(t, []string{"1 192.0.2.1:5061a false", "2 192.0.2.1:5061c example.comtrue", "2 192.0.2.1:5061d true"}, beyond)
	require.EqualValues(t, 1, total(u).Sent)
}

// A node may have no datagram socket at all.
func TestNothingButBeyond(t *testing.T) {
	sent := 0
	u, err := Listen(Config{Beyond: func(*Batch, int) { sent++ }})
	require.NoError(t, err)
	serve(t, u, handler{})
	var b Batch
	b.Send(0, netip.MustParseAddrPort("192.0.2.1:5060"), append(b.Buf(), "a"...))
	u.Sender(0).Flush(Now(), &b, handler{})
	require.Equal(t, 1, sent)
	require.Empty(t, u.Stats())
}
