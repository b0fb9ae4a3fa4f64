package load

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	look = 10 * time.Millisecond // how often calls that wait are looked at
	idle = int64(time.Second)    // and the clock, when there are none
)

// endpoint is what is done with messages that come.
type endpoint interface {
	receive(data []byte, at int64, from *hop) // with the lock held
	flush()                                   // without
}

// arrival is a socket or a connection, and whose it is.
type arrival struct {
	sock *socket
	conn *stream
	endpoint
}

// job is a Run.
type job struct {
	ctx   context.Context
	rate  float64
	most  int // calls; 0 is without end
	begin int64
	begun int
	done  chan error
}

// due is when a call should begin.
func (j *job) due(call int) int64 { return j.begin + int64(float64(call)/j.rate*1e9) }

// loop does everything that is done with sockets, on a thread of its own: it
// begins calls that are due, takes what has come, sends, and sleeps until
// something comes or is due.
type loop struct {
	g        *Generator
	arrivals []arrival // by descriptor
	poll     int       // an epoll descriptor
	bell     int       // an eventfd that wakes it
	events   [batch]unix.EpollEvent
	in       *inbox
	sending  []endpoint // have something to send, perhaps
	stuck    []*stream  // connections whose peers do not take everything
	buf      [readSize]byte
	fresh    []*stream // connections that are not watched yet; under the generator's lock
	job      *job      // under the generator's lock
	closing  bool      // too
	procs    int32     // how many goroutines run at once
}

func newLoop(g *Generator) (*loop, error) {
	l := &loop{g: g, in: newInbox(), bell: -1, procs: int32(runtime.GOMAXPROCS(0))}
	var err error
	if l.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = l.watch(l.bell, arrival{})
	}
	for _, s := range g.sources {
		if err == nil && s.sock != nil {
			err = l.watch(s.sock.fd, arrival{sock: s.sock, endpoint: s})
		}
	}
	for _, k := range g.connectors {
		if err == nil && k.sock != nil {
			err = l.watch(k.sock.fd, arrival{sock: k.sock, endpoint: k})
		}
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) watch(fd int, a arrival) error {
	for fd >= len(l.arrivals) {
		l.arrivals = append(l.arrivals, arrival{})
	}
	l.arrivals[fd] = a
	return unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (l *loop) close() {
	for _, a := range l.arrivals {
		if a.conn != nil {
			a.conn.close()
		}
	}
	for _, c := range l.fresh {
		c.close()
	}
	_ = unix.Close(l.poll)
	_ = unix.Close(l.bell)
}

// ring wakes the loop.
func (l *loop) ring() {
	one := [8]byte{7: 1}
	_, _ = unix.Write(l.bell, one[:])
}

// run goes on until the generator is closed or a socket breaks.
func (l *loop) run() {
	runtime.LockOSThread() // never given back: its timer slack is not that of others
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for {
		rest, calling, closing := l.turn(now())
		if closing {
			return
		}
		for _, e := range l.sending {
			e.flush()
		}
		l.sending = l.sending[:0]
		l.unstick()
		n := l.wait(rest, calling)
		for i := range n {
			fd := int(l.events[i].Fd)
			var err error
			switch a := &l.arrivals[fd]; {
			case a.sock != nil:
				err = l.take(a)
			case a.conn != nil:
				l.read(a)
			case fd == l.bell:
				var count [8]byte
				_, _ = unix.Read(l.bell, count[:])
			}
			if err != nil {
				l.end(err)
				return
			}
		}
	}
}

// turn begins what is due and gives up what has waited too long. It returns how
// long nothing else will be due, and whether there are calls.
func (l *loop) turn(t int64) (rest time.Duration, calling, closing bool) {
	g := l.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.closing {
		return 0, false, true
	}
	l.welcome()
	wake := t + idle
	if calling = l.job != nil || g.calls.live > 0 || len(l.stuck) > 0; calling {
		wake = t + int64(look)
	}
	if t >= g.tended+int64(look) {
		g.tend(t)
		g.tended = t
	}
	for _, k := range g.connectors {
		if due := k.answerRung(t); due > 0 {
			wake = min(wake, due)
			l.sending = append(l.sending, k)
		}
	}
	if j := l.job; j != nil {
		enough := j.ctx.Err() != nil || j.most > 0 && j.begun >= j.most
		for n := 0; !enough && n < batch && j.due(j.begun) <= t; n++ {
			g.begin(j.due(j.begun))
			j.begun++
			enough = j.most > 0 && j.begun >= j.most
		}
		switch {
		case !enough:
			wake = min(wake, j.due(j.begun))
		case g.calls.live == 0:
			l.job = nil
			j.done <- nil
		}
	}
	return time.Duration(wake - t), calling, false
}

// wait sleeps until something comes, but not too long, and says how many
// sockets have something. While there are calls Go's scheduler is not told: its
// monitor would take the P away and give it back at each of thousands of waits a
// second. Signals, by which the collector stops the world, end a wait. One P is
// left to other goroutines, also where there are several generators.
func (l *loop) wait(rest time.Duration, calling bool) int {
	if calling {
		defer untold.Add(-1)
		if untold.Add(1) < l.procs {
			return l.epoll(unix.RawSyscall6, max(rest, 0))
		}
	}
	return l.epoll(unix.Syscall6, max(rest, 0))
}

// untold are the loops that wait while there are calls.
var untold atomic.Int32

func (l *loop) epoll(call func(trap, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, uintptr, unix.Errno), rest time.Duration) int {
	timeout := unix.NsecToTimespec(int64(rest))
	n, _, err := call(unix.SYS_EPOLL_PWAIT2, uintptr(l.poll), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if err != 0 { // a signal: there is another turn
		return 0
	}
	return int(n)
}

// take receives a batch from a socket.
func (l *loop) take(a *arrival) error {
	n, err := l.in.receive(a.sock.fd)
	if err != nil {
		return err
	}
	l.g.mu.Lock()
	for i := range n {
		a.receive(l.in.data(i), l.in.at(i), &l.in.from[i])
	}
	l.g.mu.Unlock()
	a.flush()
	return nil
}

// end keeps the error that broke a socket, for the Run there is and those to come.
func (l *loop) end(err error) {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	l.g.err = err
	if l.job != nil {
		l.job.done <- err
		l.job = nil
	}
}
