//go:build linux

package main_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 3261 9 and 16.10: CANCEL and the 200 meet. Whichever wins, the caller
// gets one final response that is true, and a 200 to its CANCEL.
func TestE2E_RaceCancelAgainst200(t *testing.T) {
	t.Parallel()
	cancelAgainst200(t, 2000, 500)
}

// What a connector says before the moment at which CANCEL and 200 are to meet.
var openings = []struct {
	status int  // said at once; 0 is nothing
	deaf   bool // it answers although it is cancelled
}{{180, false}, {100, false}, {0, false}, {180, true}}

// offset returns the i-th of n times, from -reach to +reach: every other one is
// within a fiftieth of that, where it matters. Neighbours are far apart in i.
func offset(i, n int, reach time.Duration) time.Duration {
	const stride = 7919 // a prime: all of them are passed
	part := 2*float64(i*stride%n)/float64(n-1) - 1
	if i%2 == 1 {
		part /= 50
	}
	return time.Duration(math.Round(part * float64(reach)))
}

func cancelAgainst200(t *testing.T, calls, rate int) {
	const reach, lead = 50 * time.Millisecond, 80 * time.Millisecond
	l := newLab(t)
	// A machine that stands still for seconds must not look like a connector that does.
	n := l.serve(twoConnectors + "health: {probe: false}\nfailover: {first_response: 25s, progress: 30s}\n")
	s := l.stage("127.0.0.2", n.addr)
	s.connector(l.addr("127.0.0.11"))
	second := s.connector(l.addr("127.0.0.12"))
	begin := time.Now()
	pace(calls, rate, func(i int) {
		shift, opening := offset(i, calls, reach), openings[i/2%len(openings)]
		s.call("+15550000001", script{
			hold:     150 * time.Millisecond, // the BYE comes after every CANCEL
			patience: 30 * time.Second,
			invited: func(g *leg) {
				g.deaf = opening.deaf
				if opening.status != 0 {
					g.respond(opening.status)
				}
				g.after(lead, func() { g.respond(200) })
				g.after(lead+shift, g.hangUp)
			},
		})
	})
	s.wait()
	answered, refused, crossed, both := 0, 0, 0, 0
	wrong := s.judge(func(p *play) (wrong []string) {
		if len(p.legs) != 1 || p.legs[0].host == second {
			return []string{"not one INVITE at the first connector"}
		}
		g := p.legs[0]
		has := map[int]bool{}
		for _, h := range p.finals {
			has[h.status] = true
			if h.status != 200 && h.status != 487 {
				wrong = append(wrong, "neither 200 nor 487")
			}
		}
		if has[200] {
			answered++
		}
		if has[487] {
			refused++
		}
		if has[200] && has[487] {
			both++ // check has listed it
		}
		if g.status == 200 && !g.cancelled.IsZero() && g.cancelled.After(g.answered) {
			crossed++ // the proxy had cancelled before it saw the answer
		}
		return wrong
	})
	t.Logf("%d calls in %v, CANCEL from %v to +%v of the 200: %d answered, %d refused with 487, %d where our CANCEL crossed the 200, %d with both finals, %d wrong",
		calls, time.Since(begin).Round(time.Millisecond), -reach, reach, answered, refused, crossed, both, wrong)
	require.Zero(t, wrong)
	require.Zero(t, both)
	require.Equal(t, calls, answered+refused)
	require.Positive(t, answered)
	require.Positive(t, refused)
	require.Positive(t, crossed)
	require.Zero(t, n.metric(`^tandem_late_2xx_total`))
	require.Zero(t, n.metric(dropMetric+`.*forged`))
}
