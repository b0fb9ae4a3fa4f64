package probe

import (
	"context"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// sends are the times at which sipgo sends one OPTIONS that is not answered
// within the default timeout (RFC 3261 17.1.2.2: after T1, then after twice as
// long, which is too late). The simulation below counts on them.
var sends = []time.Duration{0, 500 * time.Millisecond}

// inviteSends are the times at which the router sends one INVITE within the
// default first_response.
var inviteSends = []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond}

func TestSipgoSendsOptionsTwiceWithinTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var sent []time.Duration
		conn := NewConn(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5060}, func([]byte, netip.AddrPort) error {
			sent = append(sent, time.Since(began))
			return nil
		})
		now := func() int64 { return int64(time.Since(began)) + 1 }
		set := catalog.DefaultHealth()
		set.Interval, set.FastInterval = time.Hour, time.Hour // one probe
		registry := health.NewRegistry(health.Options{Settings: set})
		p, err := New(Options{Registry: registry, Now: now, Listeners: []Listener{{Conn: conn, Advertise: "a.example.com:5060"}}})
		require.NoError(t, err)
		addr := netip.MustParseAddrPort("192.0.2.1:5060")
		key := health.Key{URI: "sip:192.0.2.1", Addr: addr}
		require.NoError(t, p.SetTargets([]Target{{Key: key, Host: registry.Host(key), Addr: addr, URI: "sip:192.0.2.1"}}))
		ctx, cancel := context.WithTimeout(t.Context(), set.Timeout+50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, p.Run(ctx), context.DeadlineExceeded)
		synctest.Wait()
		require.Equal(t, sends, sent)
		status := registry.Host(key).Status()
		require.Equal(t, 1, status.Failures)
		require.Equal(t, int64(set.Timeout), status.LastProbe-1)
	})
}

// lossy is a host in good health behind a path that loses datagrams, in virtual
// time. Probes leave as the schedule says; calls come one a second and go to it
// while nothing is known against it.
type lossy struct {
	rnd  *rand.Rand
	loss float64 // of each datagram, there and back
	host *health.Host
	e    *entry

	now     int64
	down    int // times that it went down
	doubts  int // times that a call made it doubtful
	ejected int
}

// arrives says whether one of some sends gets there and its answer back.
func (l *lossy) arrives(sends []time.Duration) (at time.Duration, ok bool) {
	const trip = 20 * time.Millisecond
	for _, at := range sends {
		there, back := l.rnd.Float64() >= l.loss, l.rnd.Float64() >= l.loss
		if there && back {
			return at + trip, true
		}
	}
	return 0, false
}

func (l *lossy) observe(at int64, o health.Observation) {
	_, to, flipped := l.host.Observe(at, o)
	if !flipped {
		return
	}
	switch to {
	case health.Down:
		l.down++
	case health.Doubtful:
		l.doubts++
	case health.Ejected:
		l.ejected++
	}
}

// run plays for a time. Probes and calls are played in the order of their ends.
func (l *lossy) run(over time.Duration) {
	set := l.host.Settings()
	type call struct {
		ends int64
		seen health.Observation
	}
	var calls []call // that are under way; each ends after those before it, or nearly so
	nextCall := l.now
	for end := l.now + int64(over); l.now < end; {
		l.e.started, l.e.wanted = l.e.due, false
		took, ok := l.arrives(sends)
		o := health.Observation{Event: health.ProbeOK, Code: 200, RTT: took}
		if !ok {
			took, o = set.Timeout, health.Observation{Event: health.ProbeFailed}
		}
		lands := l.e.started + int64(took)
		for ; nextCall < lands; nextCall += int64(time.Second) {
			for len(calls) > 0 && calls[0].ends <= nextCall {
				l.observe(calls[0].ends, calls[0].seen)
				calls = calls[1:]
			}
			if v := l.host.View(nextCall); v.State > health.Recovering && !(v.Trial && l.host.Claim(nextCall)) {
				continue
			}
			c := call{nextCall + int64(2*time.Second), health.Observation{Event: health.CallSilent, Began: nextCall}}
			if took, ok := l.arrives(inviteSends); ok {
				c = call{nextCall + int64(took), health.Observation{Event: health.CallAnswered, Code: 180, Began: nextCall}}
			}
			calls = append(calls, c)
		}
		l.now = lands
		l.observe(l.now, o)
		l.e.due = max(l.e.next(l.rnd.Float64()), l.now)
	}
}

// lose plays half an hour for many hosts, each behind a path of its own.
func lose(loss float64, seeds uint64) (all lossy) {
	registry := health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()})
	for seed := range seeds {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(seed >> 16), byte(seed >> 8), byte(seed)}), 5060)
		key := health.Key{URI: "sip:" + addr.String(), Addr: addr}
		l := lossy{rnd: rand.New(rand.NewPCG(seed, 5)), loss: loss, host: registry.Host(key), now: int64(time.Second)}
		l.e = &entry{target: target{Target: Target{Key: key, Host: l.host}}, set: l.host.Settings(), due: l.now}
		l.run(30 * time.Minute)
		all.down += l.down
		all.doubts += l.doubts
		all.ejected += l.ejected
		registry.Retain(nil)
	}
	return all
}

// TestPacketLoss: a host behind a path that loses 5 % of the datagrams each way
// does not go down, nor is it ejected. Of 3 probes in a row each would have to
// lose both of its datagrams or their answers.
func TestPacketLoss(t *testing.T) {
	const seeds = 500
	five := lose(0.05, seeds)
	require.Zero(t, five.down)
	require.Zero(t, five.ejected)
	ten := lose(0.10, seeds)
	require.Zero(t, ten.ejected)
	for loss, got := range map[float64]lossy{0.05: five, 0.10: ten} {
		answered := (1 - loss) * (1 - loss)
		fails := math.Pow(1-answered, float64(len(sends)))
		t.Logf("%.0f %% lost each way: in %d half hours %d times down (%.2f expected), %d calls without an answer, %d ejections",
			100*loss, seeds, got.down, seeds*360*fails*fails*fails, got.doubts, got.ejected)
	}
}
