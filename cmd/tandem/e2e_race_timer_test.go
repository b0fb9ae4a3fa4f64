//go:build linux

package main_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A final response comes at the moment at which its attempt is given up. Every
// call has a first connector of its own, whose port nobody has been silent on.
func TestE2E_RaceFinalAgainstFirstResponse(t *testing.T) {
	t.Parallel()
	finalAgainstTimer(t, firstResponseTimer, 360, 200)
}

func TestE2E_RaceFinalAgainstProgress(t *testing.T) {
	t.Parallel()
	finalAgainstTimer(t, progressTimer, 360, 200)
}

// abandonment is a timer that gives an attempt up.
type abandonment struct {
	config string
	after  time.Duration
	says   int // what the connector says at once
}

var (
	firstResponseTimer = abandonment{"failover: {first_response: 200ms, progress: 2s}\n", 200 * time.Millisecond, 0}
	progressTimer      = abandonment{"failover: {first_response: 200ms, progress: 300ms}\n", 300 * time.Millisecond, 100}
)

// What the first connector sends around the timer, and what the second one does
// if the call comes to it.
var meetings = []struct {
	final int           // of the first
	deaf  bool          // the first answers though it is cancelled
	rings time.Duration // at the second
	both  bool          // the second is deaf too
}{
	{200, true, 150 * time.Millisecond, false}, // the late 200 comes while the second rings
	{200, false, 150 * time.Millisecond, false},
	{200, true, 0, true}, // the second answers at once: two 2xx
	{200, true, 25 * time.Millisecond, true},
	{503, true, 100 * time.Millisecond, false},
	{486, true, 100 * time.Millisecond, false},
	{503, true, 0, false},
}

// ownFirsts is a config in which each of some numbers has a first connector of
// its own, at a port of 127.0.0.11; the second is the same for all, and is given
// time.
func ownFirsts(numbers int) string {
	var connectors, groups strings.Builder
	for i := range numbers {
		fmt.Fprintf(&connectors, "  - {name: own-%d, hosts: [{uri: \"sip:127.0.0.11:%d\"}]}\n", i, 20000+i)
		fmt.Fprintf(&groups, "  - name: group-%d\n    connectors: [{connector: own-%d, priority: 1}, {connector: second, priority: 2}]\n", i, i)
		fmt.Fprintf(&groups, "    numbers: [\"%s\"]\n", ownNumber(i))
	}
	return "health: {probe: false}\nconnectors:\n" + connectors.String() +
		"  - {name: second, hosts: [{uri: \"sip:127.0.0.12:5060\"}], failover: {first_response: 3s, progress: 9s}}\ngroups:\n" + groups.String()
}

func ownNumber(i int) string { return fmt.Sprintf("+1555100%04d", i) }

func (s *stage) ownFirsts(l *lab, numbers int) {
	for i := range numbers {
		s.connector(l.addr(fmt.Sprintf("127.0.0.11:%d", 20000+i)))
	}
}

func finalAgainstTimer(t *testing.T, timer abandonment, calls, rate int) {
	const reach = 20 * time.Millisecond
	l := newLab(t)
	n := l.serve(timer.config + ownFirsts(calls))
	s := l.stage("127.0.0.2", n.addr)
	second := s.connector(l.addr("127.0.0.12"))
	s.ownFirsts(l, calls)
	finals := map[*play]int{} // of the first connector
	pace(calls, rate, func(i int) {
		part := 2*float64(i)/float64(calls-1) - 1
		shift, meeting := time.Duration(math.Round(part*float64(reach))), meetings[i%len(meetings)]
		p := s.call(ownNumber(i), script{
			hold: 300 * time.Millisecond,
			invited: func(g *leg) {
				if g.host == second {
					g.deaf = meeting.both
					g.respond(180)
					g.after(meeting.rings, func() { g.respond(200) })
					return
				}
				g.deaf = meeting.deaf
				if timer.says != 0 {
					g.respond(timer.says)
				}
				g.after(timer.after+shift, func() { g.respond(meeting.final) })
			},
		})
		finals[p] = meeting.final
	})
	s.wait()
	late, refusedLate, two, cancelled := 0, 0, 0, 0
	wrong := s.judge(func(p *play) (wrong []string) {
		answers := map[*peer]bool{} // who answered with a 2xx
		for _, g := range p.legs {
			answers[g.host] = g.status == 200
		}
		if len(p.legs) > 2 || len(p.legs) == 2 && p.legs[1].host != second {
			return []string{"not one INVITE at each connector"}
		}
		one := p.legs[0]
		if len(p.legs) == 1 {
			if one.status != finals[p] || one.status != p.finals[0].status {
				wrong = append(wrong, fmt.Sprintf("%d in time became %d", one.status, p.finals[0].status))
			}
			if one.status == 503 {
				wrong = append(wrong, "no second attempt")
			}
			return wrong
		}
		other := p.legs[1]
		if one.answered.After(other.invite.at) { // it had been given up
			switch one.status {
			case 200:
				late++
			case 486, 503:
				refusedLate++
			}
		}
		if answers[one.host] && answers[second] {
			two++
		}
		if other.status == 487 {
			cancelled++
		}
		if other.status == 487 && one.status != 200 {
			wrong = append(wrong, "the second was cancelled for nothing")
		}
		if one.status >= 300 && one.status != 487 && p.finals[0].status != 200 {
			wrong = append(wrong, fmt.Sprintf("the %d of an attempt that was given up ended the call", one.status))
		}
		return wrong
	})
	t.Logf("%d calls, finals %v around %v: %d with a 2xx after its attempt was given up, %d with a refusal then, %d with two 2xx, in %d the second was cancelled, %d wrong",
		calls, reach, timer.after, late, refusedLate, two, cancelled, wrong)
	require.Zero(t, wrong)
	require.Positive(t, late)
	require.Positive(t, refusedLate)
	require.Positive(t, two)
	require.Positive(t, cancelled)
	require.Zero(t, n.metric(dropMetric+`.*forged`))
}
