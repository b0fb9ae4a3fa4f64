package health

import (
	"sync/atomic"
	"time"

	"tandem/config/catalog"
)

// stalls is how a Host sees that calls stall there: it says 100 to each, and
// nothing more. Attempts that have waited for too long are counted by whoever
// made them, so that a call which gets an answer in time costs two words that
// are written, and no lock.
type stalls struct {
	waiting    atomic.Int64 // attempts that have waited for longer than stallAfter
	progressed atomic.Int64 // when the last one went beyond 100; 0: none did
	slowest    atomic.Int64 // how long the slowest took to, of late
}

const (
	// slowDecay is the part of the way to a faster attempt's time that slowest
	// goes: one in 64.
	slowDecay = 64

	// slowMargin is what an attempt may take longer than the slowest, as a part
	// of that: a quarter.
	slowMargin = 4
)

// stallAfter is how long an attempt waits beyond 100 before that is remarkable:
// as long as the settings say, and longer than the slowest of the last ones
// took. So what is always slow is not remarkable, even when calls come in a
// burst after a time without any. 0: it never is.
func stallAfter(slowest time.Duration, set *catalog.Health) time.Duration {
	if set.Stall <= 0 {
		return 0
	}
	return max(set.Stall, slowest+slowest/slowMargin)
}

// slower is the new slowest after an attempt that took a time: a peak that is
// forgotten little by little.
func slower(slowest, took time.Duration) time.Duration {
	if took >= slowest {
		return took
	}
	return slowest - (slowest-took)/slowDecay
}

// stalled says whether calls stall at a host: as many wait as would eject it if
// they had failed, each for longer than after, and none went beyond 100 in that
// time.
func stalled(waiting int64, progressed, now int64, after time.Duration, set *catalog.Health) bool {
	most := set.EjectAfter
	if most <= 0 {
		most = catalog.DefaultHealth().EjectAfter
	}
	return after > 0 && waiting >= int64(most) && (progressed == 0 || now-progressed >= int64(after))
}

// StallAfter is how long an attempt may wait, from its beginning, with nothing
// but 100 until Waits is to be called; 0: that is not looked at. It takes no lock.
func (h *Host) StallAfter() time.Duration {
	return stallAfter(time.Duration(h.stalls.slowest.Load()), h.Settings())
}

// Waits takes note, at the time now, that an attempt that began then has had
// nothing but 100 for as long as StallAfter says. Resumes is to follow when it
// goes on or ends. When all do so, the host is doubtful.
func (h *Host) Waits(began, now int64) {
	n := h.stalls.waiting.Add(1)
	if stalled(n, h.stalls.progressed.Load(), now, h.StallAfter(), h.Settings()) {
		h.Observe(now, Observation{Event: CallsStall, Count: int(n), Began: began})
	}
}

// Resumes takes note that an attempt that Waits was told of waits no more.
func (h *Host) Resumes() { h.stalls.waiting.Add(-1) }

// Progressed takes note, at the time now, that an attempt which began then went
// beyond 100. One that began now, as far as is said, teaches nothing about how
// long that takes. It takes no lock.
func (h *Host) Progressed(began, now int64) {
	h.stalls.progressed.Store(now)
	if began >= now {
		return
	}
	was := time.Duration(h.stalls.slowest.Load())
	// Of two at a time one may be lost: it is a rough measure.
	if is := slower(was, time.Duration(now-began)); is != was {
		h.stalls.slowest.Store(int64(is))
	}
}

// stall takes note that calls stall: a doubt like that of silence, which no 100
// ends, since that is all there is.
func (s *Status) stall(o Observation, now int64, set *catalog.Health) {
	if o.began(now) < s.JudgedFrom {
		return // older news than its return
	}
	s.silent(now, set)
	s.Stalled = s.Doubt
}
