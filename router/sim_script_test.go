package router

import (
	"time"

	"tandem/router/wire"
)

// behave is what a host does with a new request: at once, late, never, or just
// when a timer of the router ends.
func (t *simServer) behave() {
	e := t.e
	t.deaf = e.chance(0.05)
	t.cross = e.chance(0.05)
	if t.m.Method != wire.INVITE {
		t.behaveNonInvite()
		return
	}
	if e.chance(0.7) {
		e.after(t.when(), func() { t.provisional(100) })
	}
	good := e.chance(e.w.ok)
	if e.chance(0.6) || good {
		t.ring()
	}
	status := pick(e.random, 200, 200, 302, 401, 404, 407, 408, 480, 482, 486, 487, 500, 503, 503, 603, 604, 0, 0)
	if good {
		status = 200
	}
	if status == 0 {
		return // silence, or a 100 and no more, or it rings for ever
	}
	e.after(t.when(), func() { t.final(status) })
	if e.chance(0.3) && e.w.has(simForks) && status == 200 {
		e.after(t.when(), func() { t.fork() })
	}
}

// ring says 180 or 183, once, some times, or for ever.
func (t *simServer) ring() {
	e := t.e
	for range 1 + e.random.IntN(3) {
		status := pick(e.random, 180, 181, 183)
		e.after(t.when(), func() { t.provisional(status) })
	}
	if e.chance(0.1) {
		every := pick(e.random, 20*time.Second, 170*time.Second)
		until := e.w.now + int64(40*time.Minute)
		var again func()
		again = func() {
			if t.status == 0 && e.w.now < until {
				t.provisional(183)
				e.after(every, again)
			}
		}
		e.after(every, again)
	}
}

// fork is another phone behind the host that answers as well.
func (t *simServer) fork() {
	if t.status == 200 {
		last := t.last
		t.answer(200, t.tag+"f")
		t.last = last
	}
}

// when is how long something takes.
func (t *simServer) when() time.Duration {
	e := t.e
	f := &e.host.failover
	switch e.random.IntN(8) {
	case 0, 1, 2, 3:
		return e.upTo(200 * time.Millisecond)
	case 4:
		return e.upTo(8 * time.Second)
	case 5:
		return e.upTo(60 * time.Second)
	}
	edge := pick(e.random, f.FirstResponse, f.Progress, f.NoAnswer, f.SetupBudget, f.FirstResponse+f.Progress, time.Duration(timerB))
	return max(0, edge-50*time.Millisecond+e.upTo(100*time.Millisecond))
}

func (t *simServer) behaveNonInvite() {
	e := t.e
	status := pick(e.random, 200, 200, 200, 202, 404, 408, 480, 500, 503, 603, 0)
	if e.chance(0.2) {
		e.after(t.when(), func() { t.provisional(100) })
	}
	if status == 0 {
		return
	}
	e.after(t.when(), func() {
		if t.m.Method == wire.SUBSCRIBE && status < 300 {
			// The first NOTIFY may come before the 2xx (RFC 6665 4.4.1).
			d := e.dialogOf(&t.m, t.tag)
			e.after(e.upTo(20*time.Millisecond), func() { d.ask("NOTIFY") })
		}
		t.final(status)
	})
}
