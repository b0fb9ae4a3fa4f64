package load

import (
	"context"
	"errors"
	"time"
)

// Run begins calls, so many a second, until it has begun that many (0: without
// end) or ctx is done; then it waits until each has ended or failed. It is an
// error only when a socket breaks. There is one Run at a time.
func (g *Generator) Run(ctx context.Context, rate float64, most int) error {
	if rate <= 0 {
		return errors.New("load: a rate above 0 is needed")
	}
	if err := g.reach(); err != nil {
		return err
	}
	room := int(rate * (2*g.cfg.Timeout + g.cfg.Ringing + time.Second).Seconds())
	if most > 0 {
		room = min(room, most)
	}
	g.mu.Lock()
	if g.err != nil {
		defer g.mu.Unlock()
		return g.err
	}
	g.calls.grow(room)
	j := &job{ctx: ctx, rate: rate, most: most, begin: now(), done: make(chan error, 1)}
	g.loop.job = j
	g.mu.Unlock()
	g.loop.ring()
	return <-j.done
}

// begin places a call.
func (g *Generator) begin(due int64) {
	id := g.calls.next
	c := g.calls.at(id)
	if c.state == inviting || c.state == answered {
		g.fail(c, g.lost(c)) // the ring is too short: the machine stood still
	}
	g.calls.next++
	g.calls.live++
	*c = call{id: id, scheduled: due, sent: now(), window: int32(g.forgotten + len(g.windows) - 1), state: inviting}
	g.newest().Counts[Begun]++
	s := g.sources[id%len(g.sources)]
	msg := s.invite(s.invites.next(), id, g.cfg.Number(id))
	s.invites.put(msg, s.proxy(), &c.sent)
	g.loop.sending = append(g.loop.sending, s)
	g.keep(c, msg, *s.proxy(), 0)
}

// tend gives up what has waited too long, and sends again what is due.
func (g *Generator) tend(t int64) {
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
	to  hop
}

// repeat is when that is, unless an answer comes.
type repeat struct {
	id  int
	due int64
}

// keep arms the timer of a call's request, 0 for INVITE and 1 for BYE.
func (g *Generator) keep(c *call, msg []byte, to hop, request int) {
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
				s.invites.put(append(s.invites.next(), what.msg...), &what.to, nil)
				g.loop.sending = append(g.loop.sending, s)
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
