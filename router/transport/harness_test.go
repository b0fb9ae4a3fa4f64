package transport

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// soon is how long a test waits for what must happen.
const soon = 5 * time.Second

// blocking is whether workers wait in the receive call.
var blocking = os.Getenv("TANDEM_TEST_BLOCKING") != ""

// All tests run with each way of waiting: the second in a process of its own, which
// has more Ps from the start, since every Run sets as many as the one before.
func TestMain(m *testing.M) {
	if blocking {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 8)
		os.Exit(m.Run())
	}
	code := m.Run()
	again := exec.Command(os.Args[0], os.Args[1:]...)
	again.Env = append(os.Environ(), "TANDEM_TEST_BLOCKING=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	if err := again.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "with workers that wait in the receive call:", err)
		code = 1
	}
	os.Exit(code)
}

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// handler is a Handler made of functions; nil ones do nothing.
type handler struct {
	packets     func(in []Packet, out *Batch)
	unreachable func(u Unreachable, out *Batch)
}

func (h handler) Packets(_ int64, in []Packet, out *Batch) {
	if h.packets != nil {
		h.packets(in, out)
	}
}

func (h handler) Unreachable(_ int64, u Unreachable, out *Batch) {
	if h.unreachable != nil {
		h.unreachable(u, out)
	}
}

// echo sends each packet back, from the address it was sent to.
func echo(in []Packet, out *Batch) {
	for _, p := range in {
		out.SendFrom(p.Listener, p.Local, p.Source, append(out.Buf(), p.Data...))
	}
}

// victims gathers what a Handler hears about undeliverable datagrams.
type victims struct {
	mu   sync.Mutex
	list []victim
}

type victim struct {
	dest  netip.AddrPort
	code  Cause
	quote string
	local bool
}

func (v *victims) add(u Unreachable, _ *Batch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list = append(v.list, victim{u.Dest, u.Code, string(u.Quote), u.Local})
}

func (v *victims) all() []victim {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]victim(nil), v.list...)
}

// first waits for a victim.
func (v *victims) first(t testing.TB) victim {
	t.Helper()
	require.Eventually(t, func() bool { return len(v.all()) > 0 }, soon, time.Millisecond)
	return v.all()[0]
}

func listenOn(t testing.TB, workers int, addrs ...netip.Addr) *UDP {
	t.Helper()
	cfg := Config{Workers: workers, Block: blocking}
	for _, a := range addrs {
		cfg.Listen = append(cfg.Listen, netip.AddrPortFrom(a, 0))
	}
	u, err := Listen(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = u.Close() })
	return u
}

// serve runs u until the end of the test and checks that it ends well.
func serve(t testing.TB, u *UDP, h Handler) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- u.Serve(h) }()
	t.Cleanup(func() {
		require.NoError(t, u.Close())
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(soon):
			t.Error("Serve did not return after Close")
		}
	})
}

// peer is a plain socket with a deadline.
func peer(t testing.TB, ip netip.Addr) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetReadBuffer(4<<20))
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*soon)))
	return conn, localAddr(conn)
}

func localAddr(conn *net.UDPConn) netip.AddrPort {
	a := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// closedPort returns an address on which nobody listens.
func closedPort(t testing.TB, ip netip.Addr) netip.AddrPort {
	t.Helper()
	conn, addr := peer(t, ip)
	require.NoError(t, conn.Close())
	return addr
}

func write(t testing.TB, conn *net.UDPConn, dest netip.AddrPort, data string) {
	t.Helper()
	_, err := conn.WriteToUDPAddrPort([]byte(data), dest)
	require.NoError(t, err)
}

func read(t testing.TB, conn *net.UDPConn) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	require.NoError(t, err)
	return string(buf[:n])
}

// total adds up the figures of all sockets.
func total(u *UDP) (sum WorkerStats) {
	for _, s := range u.Stats() {
		sum.Received += s.Received
		sum.BytesIn += s.BytesIn
		sum.ReceiveBatches += s.ReceiveBatches
		sum.Truncated += s.Truncated
		sum.Empty += s.Empty
		sum.KernelDrops += s.KernelDrops
		sum.Sent += s.Sent
		sum.BytesOut += s.BytesOut
		sum.SendBatches += s.SendBatches
		sum.Segments += s.Segments
		sum.SendErrors += s.SendErrors
		sum.SendDropped += s.SendDropped
		sum.LocalRefused += s.LocalRefused
		sum.ICMP += s.ICMP
		for i := range s.ReceiveSizes {
			sum.ReceiveSizes[i] += s.ReceiveSizes[i]
			sum.SendSizes[i] += s.SendSizes[i]
		}
	}
	return sum
}

// unmet is for what a test needs and the machine lacks: where CI is set it
// fails, so that nothing is left out unseen.
func unmet(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("this test must run in CI, but needs " + what)
	}
	t.Skip("needs " + what)
}
