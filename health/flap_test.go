package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// kill takes a host down at the time now.
func kill(s Status, now int64, set *catalog.Health) Status {
	for range set.DownAfter {
		s = Next(s, silent, now, set)
	}
	return s
}

func TestNext_Flapping(t *testing.T) {
	set := probing()
	var s Status
	now := second
	for i, want := range []time.Duration{0, 10, 20, 40, 80, 160, 300, 300} {
		s = kill(s, now, set)
		require.Equal(t, Down, s.State)
		hold := int64(want * time.Second)
		if want == 0 {
			require.Equal(t, "no answer to OPTIONS", s.Reason.String())
		} else {
			require.Equal(t, now+hold, s.KeptUntil)
		}
		if i == 3 {
			require.Equal(t, "no answer to OPTIONS; kept down for 40s: it went down 4 times, each within 5m of its return", s.Reason.String())
		}
		for range 5 {
			s = Next(s, ok200, now+hold-1, set)
		}
		if want > 0 {
			require.Equal(t, Down, s.State, "good probes do not bring it back before")
			s = Next(s, ok200, now+hold, set)
		}
		require.Equal(t, Recovering, s.State)
		require.Zero(t, s.KeptUntil)
		now = s.Since + int64(5*time.Minute) - 1
	}
	now++
	s = kill(s, now, set)
	require.Equal(t, 1, s.Downs, "it was up for long enough")
	require.Zero(t, s.KeptUntil)
	require.Equal(t, "no answer to OPTIONS", s.Reason.String())
}

// The hold is in addition to the answers in a row: it takes both.
func TestNext_FlapHoldNeedsGoodProbesToo(t *testing.T) {
	set := probing()
	s := kill(Status{}, second, set)
	s = Next(Next(s, ok200, 2*second, set), ok200, 3*second, set)
	s = kill(s, 4*second, set)
	require.Equal(t, 14*second, s.KeptUntil)
	s = Next(s, silent, 15*second, set)
	s = Next(s, ok200, 16*second, set)
	require.Equal(t, Down, s.State)
	s = Next(s, ok200, 17*second, set)
	require.Equal(t, Recovering, s.State)
}

func TestNext_FlapHoldOff(t *testing.T) {
	set := probing()
	set.FlapHold = 0
	var s Status
	for i := range int64(10) {
		s = kill(s, (3*i+1)*second, set)
		require.Equal(t, "no answer to OPTIONS", s.Reason.String())
		s = Next(Next(s, ok200, (3*i+2)*second, set), ok200, (3*i+3)*second, set)
		require.Equal(t, Recovering, s.State)
	}
	on := probing()
	s = kill(s, 40*second, on)
	require.NotZero(t, s.KeptUntil)
	s = Adopt(s, 41*second, set)
	s = Next(Next(s, ok200, 41*second, set), ok200, 41*second, set)
	require.Equal(t, Recovering, s.State, "switched off: nothing keeps it down")
}

func TestFlapHoldDoesNotOverflow(t *testing.T) {
	set := probing()
	set.FlapWindow = time.Hour
	require.Equal(t, time.Hour, flapHold(1<<30, set))
}

func TestNext_SlowStart(t *testing.T) {
	set := probing()
	back := Next(Next(kill(Status{}, second, set), ok200, 2*second, set), ok200, 3*second, set)
	require.Equal(t, Recovering, back.State)
	require.Equal(t, 33*second, back.RecoverUntil)
	require.Equal(t, Recovering, back.At(33*second-1).State)
	up := back.At(40 * second)
	require.Equal(t, Up, up.State)
	require.Equal(t, 33*second, up.Since, "by time alone")
	require.Equal(t, "slow start over", up.Reason.String())

	// What keeps calls away begins it anew.
	s := Next(back, callSilent, 10*second, set)
	require.Equal(t, Doubtful, s.State)
	s = Next(s, callOK, 12*second, set)
	require.Equal(t, Recovering, s.State)
	require.Equal(t, 42*second, s.RecoverUntil)

	s = Next(back, callFullFor(5*time.Second), 10*second, set)
	require.Equal(t, Full, s.State)
	s = s.At(20 * second)
	require.Equal(t, Recovering, s.State)
	require.Equal(t, []int64{15 * second, 45 * second}, []int64{s.Since, s.RecoverUntil})
	require.Equal(t, Up, Next(back, callFullFor(5*time.Second), 10*second, set).At(50*second).State, "both in one look")

	s = kill(Next(kill(Status{}, second, set), ok503, 2*second, set), 2*second, set)
	s = Next(Next(s, ok503, 3*second, set), ok503, 4*second, set)
	require.Equal(t, Full, s.State, "back, but full")
	s = Next(s, ok200, 5*second, set)
	require.Equal(t, Recovering, s.State)

	// New settings.
	longer := *set
	longer.SlowStart = time.Minute
	require.Equal(t, 63*second, Adopt(back, 4*second, &longer).RecoverUntil)
	longer.SlowStart = 0
	require.Equal(t, Up, Adopt(back, 4*second, &longer).State)
	require.Equal(t, back, Adopt(back, 4*second, set))
	require.Equal(t, Up, Next(Next(kill(Status{}, second, &longer), ok200, second, &longer), ok200, second, &longer).State)
	require.Equal(t, Up, Next(Status{}, ok200, second, set).State, "a new host has its whole share")
}

func TestHost_ShareGrows(t *testing.T) {
	r, h := newHost(probing())
	require.Equal(t, View{State: Up, Share: 1}, h.View(second))
	for _, o := range []Observation{silent, silent, silent, ok200, ok200} {
		h.Observe(second, o)
	}
	for at, want := range map[int64]float64{0: 0.05, 1: 0.05, 3: 0.1, 15: 0.5, 27: 0.9} {
		v := h.View((1 + at) * second)
		require.Equal(t, Recovering, v.State)
		require.InDelta(t, want, v.Share, 1e-6)
	}
	require.Equal(t, View{State: Up, Share: 1}, h.View(31*second))
	// The states of time are told when the next thing is seen.
	_, to, _ := h.Observe(40*second, callOK)
	require.Equal(t, Up, to)
	require.Equal(t, Change{From: Recovering, To: Up, Reason: Reason{Event: RampOver}, At: 31 * second}, h.History()[2])
	r.Retain(nil)
}
