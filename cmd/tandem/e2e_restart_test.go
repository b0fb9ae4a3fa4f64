//go:build linux

package main_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The process is killed while calls are set up, and started again at once. The
// phones retransmit as RFC 3261 asks, and nothing else: calls in set-up end as
// they would have, calls that are up pass their ACK and BYE, CANCEL works, and
// nobody's connector gets a second INVITE transaction (design D3). One thing is
// lost with the process: a 503 of the first connector that it did not see goes on
// to the caller, for nobody knows any more whether there was a second attempt.
func TestE2E_KilledUnderLoad(t *testing.T) {
	t.Parallel()
	killed(t, 100, 1500*time.Millisecond, 0)
}

// What calls are like when the process dies: how long until the connector
// answers, and what else happens.
var fates = []struct {
	answers time.Duration // after the INVITE
	busy    bool          // the first connector says 503
	thinks  time.Duration // before it does
	cancels time.Duration // the caller hangs up then; 0: it waits
}{
	{30 * time.Millisecond, false, 0, 0},
	{300 * time.Millisecond, false, 0, 0},
	{900 * time.Millisecond, false, 0, 0},
	{300 * time.Millisecond, true, 0, 0},
	{time.Second, false, 0, 0},
	{10 * time.Second, false, 0, 700 * time.Millisecond},
	{600 * time.Millisecond, false, 0, 0},
	{500 * time.Millisecond, true, 250 * time.Millisecond, 0},
	{10 * time.Second, true, 0, 400 * time.Millisecond},
	{100 * time.Millisecond, false, 0, 0},
}

// life is one process: from its start until it is killed.
type life struct{ start, ready, end time.Time }

// killed kills the process again and again; downs say how long each time nobody
// is there until it is started again.
func killed(t *testing.T, rate int, every time.Duration, downs ...time.Duration) {
	kills := len(downs)
	l := newLab(t)
	n := l.serve(twoConnectors)
	s := l.stage("127.0.0.2", n.addr)
	first, second := s.connector(l.addr("127.0.0.11")), s.connector(l.addr("127.0.0.12"))
	fateOf := map[*play]int{}
	calls := int(every*time.Duration(kills+1)/time.Second) * rate
	played := make(chan struct{})
	go func() {
		defer close(played)
		pace(calls, rate, func(i int) {
			fate := fates[i%len(fates)]
			p := s.call("+15550000001", script{
				hold:     time.Duration(500+i%1500) * time.Millisecond,
				patience: 20 * time.Second,
				invited: func(g *leg) {
					if fate.busy && g.host == first {
						g.after(fate.thinks, func() { g.respond(503) })
						return
					}
					g.after(20*time.Millisecond, func() { g.respond(180) })
					g.after(fate.answers, func() { g.respond(200) })
				},
			})
			fateOf[p] = i % len(fates)
			if fate.cancels != 0 {
				p.after(fate.cancels, p.hangUp)
			}
		})
	}()
	lives := []life{{}}
	for _, down := range downs {
		time.Sleep(every)
		n.crash()
		lives[len(lives)-1].end = time.Now()
		time.Sleep(down)
		lives = append(lives, life{start: time.Now()})
		n.start()
		lives[len(lives)-1].ready = time.Now()
	}
	<-played
	s.wait()
	require.Equal(t, calls, len(s.all()))

	type count struct{ setups, completed, told503, up, damaged, cancels, cancelled int }
	var sum count
	duplicates, lost, told := 0, 0, 0
	counts := make([]count, kills)
	for _, p := range s.all() {
		fate := fates[fateOf[p]]
		wrong := p.check()
		want, expected := 200, 1
		if fate.cancels != 0 {
			want = 487
		}
		if fate.busy {
			expected = 2
		}
		if len(p.legs) > expected || len(p.legs) == 2 && (p.legs[0].host != first || p.legs[1].host != second) {
			duplicates++
			wrong = append(wrong, fmt.Sprintf("%d INVITE transactions", len(p.legs)))
		}
		if len(p.finals) > 0 && p.finals[0].status != want {
			wrong = append(wrong, fmt.Sprintf("%d, and not %d", p.finals[0].status, want))
		}
		met := false // one of the ends of the process
		for i := range kills {
			end, c := lives[i].end, &counts[i]
			if p.began.After(end) || p.over.Before(end) {
				continue
			}
			met = true
			switch {
			case len(p.finals) == 0 || p.finals[0].at.After(end):
				c.setups++
				if len(wrong) == 0 {
					c.completed++
				}
				told503 := len(p.finals) == 1 && p.finals[0].status == 503
				if told503 && fate.busy && len(p.legs) == 1 && p.legs[0].acked.After(end) && len(wrong) == 1 {
					c.told503++
					wrong = nil
				}
				if fate.cancels != 0 && p.cancel.After(end) && !told503 {
					c.cancels++
					if p.cancelOK == 200 && len(wrong) == 0 {
						c.cancelled++
					}
				}
			case p.finals[0].status == 200:
				c.up++
				if len(wrong) > 0 {
					c.damaged++
				}
			}
		}
		if len(wrong) > 0 {
			if told++; told <= 5 {
				t.Logf("%q\n%s", wrong, p.story())
			}
			if !met {
				lost++
			}
		}
	}
	for i, c := range counts {
		next, letIn := lives[i+1], time.Duration(0)
		for _, p := range s.all() {
			if p.trying.After(next.start) && (letIn == 0 || p.trying.Sub(next.start) < letIn) {
				letIn = p.trying.Sub(next.start)
			}
		}
		t.Logf("kill %d of a process at %d calls/s, down for %v: %d of %d set-ups in flight completed (%.2f %%), %d got the 503 of a first connector, %d were cancelled later (%d well); %d of %d established calls damaged; from the start of the process: first call let in after %v, ready (looked at every %v) after %v",
			i+1, rate, next.start.Sub(lives[i].end).Round(time.Millisecond), c.completed, c.setups, 100*float64(c.completed)/float64(c.setups), c.told503, c.cancels, c.cancelled,
			c.damaged, c.up, letIn.Round(100*time.Microsecond), readyEvery, next.ready.Sub(next.start).Round(time.Millisecond))
		sum.setups += c.setups
		sum.completed += c.completed
		sum.told503 += c.told503
		sum.up += c.up
		sum.damaged += c.damaged
		sum.cancels += c.cancels
		sum.cancelled += c.cancelled
	}
	t.Logf("%d calls, %d kills: %d duplicates, %d calls went wrong that met no kill", calls, kills, duplicates, lost)
	require.Zero(t, duplicates)
	require.Zero(t, lost)
	require.Zero(t, sum.damaged)
	require.Positive(t, sum.up)
	require.Positive(t, sum.cancels)
	require.Equal(t, sum.cancels, sum.cancelled)
	require.GreaterOrEqual(t, float64(sum.completed), 0.95*float64(sum.setups-sum.told503))
}
