package admin

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many requests are taken: of a key, or of a source where there are none;
// and of a source without a key where there are some.
const (
	callerRate, callerBurst     = 500, 1000
	strangerRate, strangerBurst = 2, 20

	mostSources = 1024 // that are remembered
)

// limits counts the requests of many, each with a limit of its own, in a bounded
// place: those for whom there is no room share one.
type limits struct {
	rate  rate.Limit
	burst int
	now   func() time.Time

	mu     sync.Mutex
	of     map[string]*rate.Limiter
	others *rate.Limiter
}

func newLimits(each rate.Limit, burst int) *limits {
	return &limits{rate: each, burst: burst, now: time.Now, of: make(map[string]*rate.Limiter), others: rate.NewLimiter(each, burst)}
}

// take counts a request, or says when the next is taken.
func (l *limits) take(who string) *Failure {
	now := l.now()
	limiter := l.limiter(who, now)
	next := limiter.ReserveN(now, 1)
	delay := next.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	next.CancelAt(now)
	f := fail(http.StatusTooManyRequests, "too many requests; the next one is taken in %s", delay.Round(time.Millisecond))
	f.after = delay
	return f
}

func (l *limits) limiter(who string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limiter, ok := l.of[who]; ok {
		return limiter
	}
	if len(l.of) >= mostSources {
		for who, limiter := range l.of {
			if limiter.TokensAt(now) >= float64(l.burst) { // as new: nothing to remember
				delete(l.of, who)
			}
		}
	}
	if len(l.of) >= mostSources {
		return l.others
	}
	limiter := rate.NewLimiter(l.rate, l.burst)
	l.of[who] = limiter
	return limiter
}

// limitKey is who has a limit: a key, or a source; of IPv6 a source is a /64, of
// which anybody has all addresses.
func limitKey(who, remote string) string {
	if who != "" {
		return "key " + who
	}
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().Is4() {
		return host
	}
	prefix, _ := ip.WithZone("").Prefix(64) // of an IPv6 address there is one
	return prefix.String()
}
