package stream

import (
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// strangers are the connections that we opened to whom Config.Known does not
// know. Streams.mu guards them.
type strangers struct {
	open, dialling int
	rate           *rate.Limiter
	shares         map[netip.Addr]*share // by sourceOf; those that are not whole
	failed         map[name]int64        // until when they are not dialled; no more than rate allows
}

// share is what one address has of Limits.Strangers, StrangersDialling and
// StrangersRate: a part, or who names many ports of one address leaves nothing to
// others.
type share struct {
	open, dialling int
	rate           *rate.Limiter
	holding        atomic.Int64 // of Streams.holding
}

const shareOf = 10

func (s *strangers) init(perSecond int) {
	s.rate = rate.NewLimiter(rate.Limit(perSecond), perSecond)
	s.shares = make(map[netip.Addr]*share)
	s.failed = make(map[name]int64)
}

// admit counts one more connection with its address's share, unless there is no
// room for it.
func (s *strangers) admit(n name, now int64, limits *Limits) (*share, End) {
	at, source := time.Unix(0, now), sourceOf(n.addr.Addr())
	of := s.shares[source]
	if of == nil {
		perSecond := max(1, limits.StrangersRate/shareOf)
		of = &share{rate: rate.NewLimiter(rate.Limit(perSecond), perSecond)}
	}
	switch {
	case s.failed[n] > now:
		return nil, FailedBefore
	case s.open >= limits.Strangers, s.dialling >= limits.StrangersDialling,
		of.open >= max(1, limits.Strangers/shareOf), of.dialling >= max(1, limits.StrangersDialling/shareOf),
		!of.rate.AllowN(at, 1), !s.rate.AllowN(at, 1):
		return nil, TooManyStrangers
	}
	s.shares[source] = of
	of.open++
	of.dialling++
	s.open++
	s.dialling++
	return of, NotEnded
}

// arrived counts a connection as dialled.
func (s *strangers) arrived(of *share) {
	of.dialling--
	s.dialling--
}

// left counts c no longer, which ended for why. If nobody was there, none is opened
// again until then; not so if we had no socket, which says nothing of who is there.
func (s *strangers) left(c *conn, why End, until int64) {
	s.open--
	c.stranger.open--
	if !c.arrived {
		s.arrived(c.stranger)
	}
	if !c.arrived && why != NoSocket {
		s.failed[name{c.listener, c.remote, dialled, c.who}] = until
	}
}

// forget drops what is over.
func (s *strangers) forget(now int64) {
	for n, until := range s.failed {
		if until <= now {
			delete(s.failed, n)
		}
	}
	for source, of := range s.shares {
		if of.open == 0 && of.rate.TokensAt(time.Unix(0, now)) >= float64(of.rate.Burst()) {
			delete(s.shares, source)
		}
	}
}
