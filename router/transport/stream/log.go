package stream

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	logRate  = 1 // lines a second, of each End
	logBurst = 10
)

// failureLog logs why connections fail, so much of each kind: who floods us with
// one does not hide another.
type failureLog struct {
	log *slog.Logger
	now func() int64

	mu      sync.Mutex
	limits  [ends]*rate.Limiter
	skipped [ends]int
}

func newFailureLog(log *slog.Logger, now func() int64) *failureLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &failureLog{log: log, now: now}
	for e := range f.limits {
		f.limits[e] = rate.NewLimiter(logRate, logBurst)
	}
	return f
}

// failed logs one failure.
func (f *failureLog) failed(l *listener, remote netip.AddrPort, dialled bool, why End, err error) {
	skipped, ok := f.admit(why)
	if !ok {
		return
	}
	what := "a peer's connection failed"
	if dialled {
		what = "a connection of ours failed"
	}
	args := []any{"peer", remote, "listener", l.what(), "why", why.String()}
	if err != nil {
		args = append(args, "error", err)
	}
	if skipped > 0 {
		args = append(args, "not_logged", skipped)
	}
	f.log.Warn(what, args...)
}

// accept logs that the system gave no connection.
func (f *failureLog) accept(l *listener, err error) {
	if skipped, ok := f.admit(NotEnded); ok {
		f.log.Error("no connection can be accepted", "listener", l.what(), "error", err, "not_logged", skipped)
	}
}

func (f *failureLog) admit(why End) (skipped int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.limits[why].AllowN(time.Unix(0, f.now()), 1) {
		f.skipped[why]++
		return 0, false
	}
	skipped, f.skipped[why] = f.skipped[why], 0
	return skipped, true
}
