package transport

import (
	"os"
	"runtime"
	"time"
	_ "unsafe" // for go:linkname

	"golang.org/x/sys/unix"
)

// A worker waits for datagrams in one of two ways.
//
// In the runtime's poller, which costs nothing while nothing comes. But a
// datagram wakes the poller's thread, which looks for a thread to run the
// worker, which receives: four system calls and the scheduler, where one call
// would do.
//
// In the receive call itself (Config.Block), while datagrams come closely. The
// scheduler's monitor takes the P from a thread that stays in a call for 10 ms,
// or from a goroutine that runs so long, calls included, without going through
// the scheduler; and it looks every 20 us for a while after that, which costs
// more than what it is after. So the call ends before (blockTime), the worker
// goes through the scheduler before it waits (yieldAfter), and after a pause (nearby) it
// waits in the poller again. Both together are less than 10 ms, also where the
// kernel's clock ticks every 4 ms. This holds while some P is idle: hence
// Config.Block's condition.
//
// The thread that watched the poller is the one that runs the worker then. It
// waits in the receive call, and nobody would hear of other sockets, connections
// and timers until the monitor looks, every 10 ms: so a worker that comes from the
// poller goes through runtime.Gosched before, which wakes a thread to run one of
// the two, the worker or the poller.
const (
	nearby     = 20 * time.Millisecond // datagrams that are no further apart come closely
	blockTime  = 4 * time.Millisecond  // the kernel rounds it up to a tick of its clock, and may add one
	yieldAfter = 1 * time.Millisecond
)

// goyield lets the scheduler see a goroutine, which goes behind those that wait
// for the same P. runtime.Gosched does so too, but gives the goroutine to
// whichever P comes first, and wakes a thread to be that: a worker would move
// from thread to thread, a wake-up each time. The runtime keeps this name for
// those who link to it (go.dev/issue/67401).
//
//go:linkname goyield runtime.goyield
func goyield()

// waiter is how a worker waits. While a socket's bell is not asked for, it does
// not ring: a poller that hears of each datagram is woken by it.
type waiter struct {
	take    func(fd uintptr) bool // receives, for the poller; false to wait
	taken   int                   // what the last take returned
	errno   unix.Errno
	asked   bool  // the bell is to ring
	last    int64 // when the last datagrams came
	near    bool  // they came closely after those before
	polled  bool  // this thread may be the one that watched the poller
	yielded int64 // when the worker was last seen by the scheduler
	events  [1]unix.EpollEvent
}

func (t *waiter) init(w *worker) {
	t.take = func(uintptr) bool {
		if t.asked {
			t.asked = false
			_, _ = unix.EpollWait(w.sock.bell, t.events[:], 0)
		}
		t.taken, t.errno = recvmmsg(w.sock.fd, w.heads[:])
		if t.errno != unix.EAGAIN {
			return true
		}
		if w.sock.bell >= 0 {
			if errno := w.sock.ask(&t.events[0]); errno != 0 {
				t.errno = errno
				return true
			}
			t.asked = true
		}
		return false
	}
}

// wait waits for datagrams and takes those that are there. An error is the
// poller's: it was closed, or cannot watch the socket.
func (t *waiter) wait(w *worker) (int, unix.Errno, error) {
	if t.near && w.sock.bell >= 0 {
		if t.polled {
			t.polled = false
			runtime.Gosched()
		}
		for { // bursts with pauses between them are worth a few waits for nothing
			n, errno := await(w.sock.fd, w.heads[:])
			if errno != unix.EAGAIN && errno != unix.EINTR || w.udp.closed.Load() {
				return n, errno, nil
			}
			now := Now()
			if now-t.last >= int64(nearby) {
				break
			}
			t.yielded = now
			goyield()
		}
	}
	t.taken, t.errno = 0, 0
	err := w.sock.poll.Read(t.take)
	t.polled, t.yielded = true, 0
	return t.taken, t.errno, err
}

// woke takes note of when datagrams came.
func (t *waiter) woke(now int64) {
	t.near = now-t.last < int64(nearby)
	t.last = now
	if t.yielded == 0 {
		t.yielded = now
	}
}

// yield lets the scheduler see the worker.
func (t *waiter) yield(now int64) {
	if now-t.yielded > int64(yieldAfter) {
		t.yielded = now
		goyield()
	}
}

// block makes the socket one that can be waited for in the receive call, and
// gives it a bell.
func (s *socket) block() error {
	rest := unix.NsecToTimeval(int64(blockTime))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &rest); err != nil {
		return os.NewSyscallError("setsockopt SO_RCVTIMEO", err)
	}
	if err := unix.SetNonblock(s.fd, false); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	bell, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	silent := unix.EpollEvent{Events: unix.EPOLLONESHOT}
	err = unix.EpollCtl(bell, unix.EPOLL_CTL_ADD, s.fd, &silent)
	if err == nil {
		err = unix.SetNonblock(bell, true) // a file that blocks is not for the poller
	}
	if err != nil {
		_ = unix.Close(bell)
		return os.NewSyscallError("epoll", err)
	}
	s.bell, s.file = bell, os.NewFile(uintptr(bell), "udp")
	return nil
}

// ask has the bell ring once, now if there is something already.
func (s *socket) ask(event *unix.EpollEvent) unix.Errno {
	*event = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
	if err := unix.EpollCtl(s.bell, unix.EPOLL_CTL_MOD, s.fd, event); err != nil {
		errno, _ := err.(unix.Errno)
		return errno
	}
	return 0
}
