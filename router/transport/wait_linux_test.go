package transport

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// While one worker waits in the receive call, others are woken by the poller: by
// a thread that watches it, and not by the scheduler's monitor, which looks every
// 10 ms. The test does nothing that has a goroutine wait in the poller, because
// its thread would watch.
func TestWorkersThatWaitInThePollerHearAtOnce(t *testing.T) {
	if !blocking {
		t.Skip("for workers that wait in the receive call")
	}
	u := listenOn(t, 1, loopback4, loopback4)
	serve(t, u, handler{packets: echo})
	busy, quiet := rawPeer(t, u.Addrs()[0]), rawPeer(t, u.Addrs()[1])
	var buf [16]byte
	median := func() time.Duration {
		var late []time.Duration
		for range 40 {
			rest := unix.NsecToTimespec(int64(nearby + 3*blockTime)) // both workers are in the poller then
			_ = unix.Nanosleep(&rest, nil)
			ask := func() {
				_, _ = unix.Write(busy, buf[:1])
				_, _ = unix.Read(busy, buf[:])
			}
			for range 10 {
				ask()
			}
			began := Now()
			_, _ = unix.Write(quiet, buf[:1])
			for range 100_000 {
				if n, _, _ := unix.Recvfrom(quiet, buf[:], unix.MSG_DONTWAIT); n > 0 {
					break
				}
				ask()
			}
			late = append(late, time.Duration(Now()-began))
		}
		slices.Sort(late)
		return late[len(late)/2]
	}
	var all []time.Duration
	for range 5 { // on a machine with other things to do
		all = append(all, median())
		if all[len(all)-1] < 2*time.Millisecond {
			return
		}
	}
	require.Fail(t, "a worker in the poller is woken late", "medians: %v", all)
}

// A signal that ends the receive call brings no datagram: a worker that gets some
// does not stay in that call for them.
func TestASignalIsNoDatagram(t *testing.T) {
	u, err := Listen(Config{Listen: []netip.AddrPort{netip.AddrPortFrom(loopback4, 0)}, Workers: 1, Block: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = u.Close() })
	w, err := newWorker(u, 0, 0, 16)
	require.NoError(t, err)
	defer w.close()
	w.near, w.last = true, Now()
	thread, ended := make(chan int), make(chan unix.Errno, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		_, errno, _ := w.receive()
		ended <- errno
	}()
	conn, _ := peer(t, loopback4)
	id := <-thread
	for began := Now(); Now()-began < 2*int64(nearby); { // by then it waits in the poller
		require.NoError(t, unix.Tgkill(unix.Getpid(), id, unix.SIGURG)) // the runtime's own
		select {
		case errno := <-ended:
			require.Fail(t, "the worker came back", "%v", errno)
		case <-time.After(100 * time.Microsecond):
		}
	}
	write(t, conn, u.Addrs()[0], "a datagram")
	require.Zero(t, <-ended)
}

// rawPeer is a connected socket that Go's poller does not know.
func rawPeer(t *testing.T, dest netip.AddrPort) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	rest := unix.NsecToTimeval(int64(time.Second))
	require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &rest))
	require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Addr: dest.Addr().As4(), Port: int(dest.Port())}))
	return fd
}
