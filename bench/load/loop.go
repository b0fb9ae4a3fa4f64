package load

import (
	"context"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// look is how often calls that wait are looked at.
const look = 10 * time.Millisecond

// endpoint is a socket and what is done with datagrams that come to it.
type endpoint interface {
	socket() *socket
	receive(data []byte, at int64, from *address) // with the lock held
	flush()                                       // without
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
	g         *Generator
	endpoints []endpoint
	poll      int // an epoll descriptor
	bell      int // an eventfd that wakes it
	events    [batch]unix.EpollEvent
	in        *inbox
	sending   []endpoint // have something to send, perhaps
	job       *job       // under the generator's lock
	closing   bool       // too
}

func newLoop(g *Generator) (*loop, error) {
	l := &loop{g: g, in: newInbox(), bell: -1}
	var err error
	if l.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = l.watch(l.bell, -1)
	}
	for _, s := range g.sources {
		l.endpoints = append(l.endpoints, s)
	}
	for _, k := range g.connectors {
		l.endpoints = append(l.endpoints, k)
	}
	for i, e := range l.endpoints {
		if err == nil {
			err = l.watch(e.socket().fd, i)
		}
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) watch(fd, index int) error {
	return unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)})
}

func (l *loop) close() {
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
		rest, closing := l.turn(now())
		if closing {
			return
		}
		for _, e := range l.sending {
			e.flush()
		}
		l.sending = l.sending[:0]
		n := l.wait(rest)
		for i := range n {
			index := int(l.events[i].Fd)
			if index < 0 {
				var count [8]byte
				_, _ = unix.Read(l.bell, count[:])
				continue
			}
			if err := l.take(l.endpoints[index]); err != nil {
				l.end(err)
				return
			}
		}
	}
}

// turn begins what is due and gives up what has waited too long. It returns how
// long nothing else will be due.
func (l *loop) turn(t int64) (rest time.Duration, closing bool) {
	g := l.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.closing {
		return 0, true
	}
	wake := t + int64(look)
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
	return time.Duration(wake - t), false
}

// wait sleeps until something comes, but not too long, and says how many
// sockets have something. First it only looks: to sleep costs more.
func (l *loop) wait(rest time.Duration) int {
	if n := l.epoll(unix.RawSyscall6, 0); n > 0 || rest <= 0 {
		return n
	}
	return l.epoll(unix.Syscall6, rest)
}

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
func (l *loop) take(e endpoint) error {
	n, err := l.in.receive(e.socket().fd)
	if err != nil {
		return err
	}
	l.g.mu.Lock()
	for i := range n {
		e.receive(l.in.data(i), l.in.at(i), &l.in.from[i])
	}
	l.g.mu.Unlock()
	e.flush()
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
