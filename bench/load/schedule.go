package load

import (
	"context"
	"errors"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// look is how often calls that wait are looked at.
const look = 10 * time.Millisecond

// Run begins calls, so many a second, until it has begun that many (0: without
// end) or ctx is done; then it waits until each has ended or failed. It is an
// error only when a socket breaks. There is one Run at a time.
func (g *Generator) Run(ctx context.Context, rate float64, most int) error {
	if rate <= 0 {
		return errors.New("load: a rate above 0 is needed")
	}
	runtime.LockOSThread() // Go's own sleep is to the millisecond, the kernel's is better
	defer runtime.UnlockOSThread()
	room := int(rate * (2*g.cfg.Timeout + g.cfg.Ringing + time.Second).Seconds())
	if most > 0 {
		room = min(room, most)
	}
	g.mu.Lock()
	g.calls.grow(room)
	g.mu.Unlock()

	begin := now()
	due := func(call int) int64 { return begin + int64(float64(call)/rate*1e9) }
	for begun := 0; ; {
		t := now()
		enough := ctx.Err() != nil || most > 0 && begun >= most
		n := 0
		for !enough && n < batch && due(begun+n) <= t && (most == 0 || begun+n < most) {
			n++
		}
		live, err := g.tend(t)
		switch {
		case err != nil:
			return err
		case n > 0:
			g.begin(n, func(i int) int64 { return due(begun + i) })
			begun += n
		case enough && live == 0:
			return nil
		default:
			wake := t + int64(look)
			if !enough {
				wake = min(wake, due(begun))
			}
			rest := unix.NsecToTimespec(wake - t)
			_ = unix.Nanosleep(&rest, nil)
		}
	}
}

// begin places n calls, those of one source in one batch.
func (g *Generator) begin(n int, due func(int) int64) {
	g.mu.Lock()
	first := g.calls.next
	for i := range n {
		id := g.calls.next
		c := g.calls.at(id)
		if c.state == inviting || c.state == answered {
			g.fail(c, g.lost(c)) // the ring is too short: the machine stood still
		}
		g.calls.next++
		g.calls.live++
		*c = call{id: id, scheduled: due(i), sent: now(), window: int32(len(g.windows) - 1), state: inviting}
		g.newest().Counts[Begun]++
		s := g.sources[id%len(g.sources)]
		msg := s.invite(s.out.next(), id, g.cfg.Number(id))
		s.out.put(msg, g.proxy, &c.sent)
		g.keep(c, msg, g.proxy, 0)
	}
	g.mu.Unlock()
	for i := range min(n, len(g.sources)) {
		g.sources[(first+i)%len(g.sources)].out.flush()
	}
}

// tend gives up what has waited too long, and sends again what is due.
func (g *Generator) tend(t int64) (live int, err error) {
	g.mu.Lock()
	most := int64(g.cfg.Timeout)
	g.calls.setup = max(g.calls.setup, g.calls.next-len(g.calls.ring))
	for ; g.calls.setup < g.calls.next; g.calls.setup++ {
		c := g.calls.at(g.calls.setup)
		if c.state == inviting {
			if t-c.sent < most+int64(g.cfg.Ringing) {
				break
			}
			g.fail(c, g.lost(c))
		}
	}
	g.calls.finish = max(g.calls.finish, g.calls.next-len(g.calls.ring))
	for ; g.calls.finish < g.calls.setup; g.calls.finish++ {
		c := g.calls.at(g.calls.finish)
		if c.state == answered {
			if t-c.bye < most {
				break
			}
			g.fail(c, g.lost(c))
		}
	}
	g.repeat(t)
	live, err = g.calls.live, g.err
	g.mu.Unlock()
	if g.cfg.Retransmit {
		for _, s := range g.sources {
			s.out.flush()
		}
	}
	return live, err
}

// lost says what a call waits for in vain.
func (g *Generator) lost(c *call) Kind {
	here := len(g.connectors) > 0
	switch {
	case c.state == inviting && here && c.connector == 0:
		return LostInvite
	case c.state == inviting:
		return LostAnswer
	case c.seen&seenByeAnswer != 0:
		return LostAck
	case here && c.seen&seenBye == 0:
		return LostBye
	}
	return LostByeAnswer
}

// kept is a request that may have to be sent again.
type kept struct {
	msg []byte
	to  *net.UDPAddr
}

// repeat is when that is, unless an answer comes.
type repeat struct {
	id  int
	due int64
}

// keep arms the timer of a call's request, 0 for INVITE and 1 for BYE.
func (g *Generator) keep(c *call, msg []byte, to *net.UDPAddr, request int) {
	if !g.cfg.Retransmit {
		return
	}
	g.kept[c.id] = kept{append([]byte(nil), msg...), to}
	g.repeats[request][0] = append(g.repeats[request][0], repeat{c.id, now() + int64(t1)})
}

// repeat sends again: INVITE until any answer, each wait twice the one before
// (timer A), BYE until a final one, no wait longer than T2 (timer E). All that
// wait equally long are in one queue, so each queue is in order of time.
func (g *Generator) repeat(t int64) {
	for request := range g.repeats {
		for stage := range g.repeats[request] {
			queue := &g.repeats[request][stage]
			for len(*queue) > 0 && (*queue)[0].due <= t {
				again := (*queue)[0]
				*queue = (*queue)[1:]
				c := g.calls.find(again.id)
				waits := c != nil && (request == 0 && c.state == inviting && c.seen == 0 || request == 1 && c.state == answered && c.seen&seenByeAnswer == 0)
				if !waits {
					continue
				}
				what := g.kept[again.id]
				s := g.sources[again.id%len(g.sources)]
				s.out.put(append(s.out.next(), what.msg...), what.to, nil)
				g.of(c).Counts[Repeated]++
				wait := t1 << (stage + 1)
				if request == 1 {
					wait = min(wait, t2)
				}
				if stage+1 < len(g.repeats[request]) {
					g.repeats[request][stage+1] = append(g.repeats[request][stage+1], repeat{again.id, t + int64(wait)})
				}
			}
		}
	}
}

// firstTimeout is how long a call waits whose proxy may not be there yet.
const firstTimeout = 500 * time.Millisecond

// FirstCall starts a proxy and places calls, 100 a second, until the first one
// gets through. It returns how long that took. Meanwhile a call without an answer
// has failed after half a second.
func (g *Generator) FirstCall(ctx context.Context, start func() error) (time.Duration, error) {
	began := time.Now()
	if err := start(); err != nil {
		return 0, err
	}
	calling, enough := context.WithCancel(ctx)
	defer enough()
	defer g.setTimeout(g.setTimeout(firstTimeout))
	ran := make(chan error, 1)
	w := g.Window("first call")
	go func() { ran <- g.Run(calling, 100, 0) }()
	for w.Count(Good) == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	enough()
	err := <-ran
	if w.Count(Good) == 0 {
		err = errors.Join(errors.New("no call was answered"), err)
	}
	return took, errors.Join(err, ctx.Err())
}

// setTimeout sets it for the Run to come, and returns the one before.
func (g *Generator) setTimeout(d time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.cfg.Timeout
	g.cfg.Timeout = d
	return before
}
