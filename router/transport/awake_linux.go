package transport

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Awake spares goroutines that the runtime's poller wakes what a scheduler costs
// that has nothing else to do. When no P is in use its monitor sleeps; the next
// message wakes it, it looks every 20 us for something to do, finds no P in use
// again and sleeps: a wake-up, two waits and four changes of thread for each
// message. So while messages come closely one goroutine waits in a system call
// that keeps its P. As with the workers' waits it ends before the monitor minds,
// and there have to be more Ps than those that wait so.
//
// The zero value is ready. It must not be copied.
type Awake struct {
	last    atomic.Int64
	waiting atomic.Bool
}

// awakeFor is how far apart messages are at most that come closely.
const awakeFor = 2 * time.Millisecond

// Saw says that a message came, at now on the clock Now. It does not wait.
func (a *Awake) Saw(now int64) {
	if before := a.last.Swap(now); now-before < int64(awakeFor) && !a.waiting.Load() && a.waiting.CompareAndSwap(false, true) {
		go a.wait()
	}
}

// wait goes on until nothing has come for blockTime.
func (a *Awake) wait() {
	rest := unix.NsecToTimespec(int64(blockTime))
	for last := int64(0); last != a.last.Load(); {
		last = a.last.Load()
		goyield()
		_ = unix.Nanosleep(&rest, nil) // a signal may end it, and another turn follows
	}
	a.waiting.Store(false)
}
