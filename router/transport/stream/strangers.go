package stream

import (
	"time"

	"golang.org/x/time/rate"
)

// strangers are the connections that we opened to whom Config.Known does not
// know. Streams.mu guards them.
type strangers struct {
	open, dialling int
	rate           *rate.Limiter
	failed         map[name]int64 // until when they are not dialled; no more than rate allows
}

func (s *strangers) init(perSecond int) {
	s.rate = rate.NewLimiter(rate.Limit(perSecond), perSecond)
	s.failed = make(map[name]int64)
}

// admit counts one more connection, unless there is no room for it.
func (s *strangers) admit(n name, now int64, limits *Limits) End {
	switch {
	case s.failed[n] > now:
		return FailedBefore
	case s.open >= limits.Strangers, s.dialling >= limits.StrangersDialling, !s.rate.AllowN(time.Unix(0, now), 1):
		return TooManyStrangers
	}
	s.open++
	s.dialling++
	return NotEnded
}

// left counts c no longer. If nobody was there, none is opened again for a while.
func (s *strangers) left(c *conn, until int64) {
	s.open--
	if !c.arrived {
		s.dialling--
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
}
