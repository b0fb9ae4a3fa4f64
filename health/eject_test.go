package health

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// play has a host see things, one a second from the first second on.
func play(seen ...Observation) (s Status, now int64) {
	now = second
	for _, o := range seen {
		s = Next(s, o, now, probing())
		now += second
	}
	return s, now
}

func times(n int, o Observation) (all []Observation) {
	for range n {
		all = append(all, o)
	}
	return all
}

func TestNext_Ejection(t *testing.T) {
	a, b, c, d, e := callFailed(1), callFailed(2), callFailed(3), callFailed(4), callFailed(5)
	type seen = []Observation
	for _, x := range []struct {
		rule string
		seen seen
		want State
		why  string
	}{
		{"four failures are not five", times(4, callStuck), Up, "nothing seen yet"},
		{"five in a row eject", times(5, callStuck), Ejected, "5 failed calls in a row, the last: nothing but 100 to a call; ejected for 10s"},
		{"whatever they meet", seen{callStuck, callFull, callSilent, callICMP, callFull}, Ejected, "5 failed calls in a row, the last: 503 to a call; ejected for 10s"},
		{"in a row: a success between starts anew", seen{callStuck, callStuck, callStuck, callStuck, callOK, callStuck}, Up, "nothing seen yet"},
		{"100 is no success", seen{callStuck, callTrying, callStuck, callTrying, callStuck, callStuck, callTrying, callStuck}, Ejected, "5 failed calls in a row, the last: nothing but 100 to a call; ejected for 10s"},
		{"nor is a good probe", seen{callStuck, ok200, callStuck, ok200, callStuck, callStuck, ok200, callStuck}, Ejected, "5 failed calls in a row, the last: nothing but 100 to a call; ejected for 10s"},
		{"a host that is full can be ejected", append(times(4, callFull), callFullFor(time.Minute)), Ejected, "5 failed calls in a row, the last: 503 to a call; ejected for 10s"},
		{"and goes down", append(times(5, callStuck), silent, silent, silent), Down, "no answer to OPTIONS"},
		{"and is ejected still when it is back", append(times(5, callStuck), silent, silent, silent, ok200, ok200), Ejected, "5 failed calls in a row, the last: nothing but 100 to a call; ejected for 10s"},
		{"a dead host is not judged by its calls", append(seen{silent, silent, silent}, append(times(9, callStuck), ok200, ok200)...), Recovering, "answer to OPTIONS (200)"},
		{"nor by those before its death", append(times(4, callStuck), silent, silent, silent, ok200, ok200, callStuck), Recovering, "answer to OPTIONS (200)"},

		{"a code for one number says nothing about the host", times(50, a), Up, "nothing seen yet"},
		{"five numbers do", seen{a, b, c, d, e}, Ejected, "5 failed calls in a row, the last: a call failed (500); ejected for 10s"},
		{"two in turn do", seen{a, b, a, b, a}, Ejected, "5 failed calls in a row, the last: a call failed (500); ejected for 10s"},
		{"in any turn", seen{a, a, b, a, b}, Ejected, "5 failed calls in a row, the last: a call failed (500); ejected for 10s"},
		{"one other does not make the bad one count", append(times(50, a), b), Up, "nothing seen yet"},
		{"wherever it stands", append(seen{b}, times(50, a)...), Up, "nothing seen yet"},
		{"two others do", append(times(50, a), b, c), Ejected, "5 failed calls in a row, the last: a call failed (500); ejected for 10s"},
		{"a bad number adds nothing to what is sure", append(times(4, callFull), times(50, a)...), Up, "nothing seen yet"},
		{"between others too", seen{a, callStuck, a, callFull, a, a, callStuck, a, callStuck, a}, Up, "nothing seen yet"},
		{"a pair adds two", seen{callStuck, a, callStuck, callStuck, b}, Ejected, "5 failed calls in a row, the last: a call failed (500); ejected for 10s"},
	} {
		t.Run(x.rule, func(t *testing.T) {
			s, now := play(x.seen...)
			if s.State == Doubtful {
				s = Next(s, callTrying, now, probing())
			}
			require.Equal(t, x.want.String(), s.State.String())
			require.Equal(t, x.why, s.Reason.String())
		})
	}
}

// At least half of what ejects a host is not of the one number that fails
// always, whatever comes in which order.
func TestNext_OneBadNumberEjectsNobody(t *testing.T) {
	const bad = 7
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		set := anySettings(rnd)
		set.EjectAfter = 2 + rnd.IntN(8)
		others, busy := 0, rnd.IntN(10) // failures in the row that are not of the bad number
		var s Status
		now := second
		for range 300 {
			o := callFailed(bad)
			if rnd.IntN(10) > busy {
				o = anything[rnd.IntN(len(anything))]
			}
			switch {
			case o.Event == CallAnswered || s.Dead:
				others = 0
			case o.Event.fails() && o.Number != bad:
				others++
			}
			s = Next(s, o, now, &set)
			if s.Dead {
				others = 0
			}
			if s.Ejected {
				require.GreaterOrEqual(t, 2*others+1, set.EjectAfter, "seed %d", seed)
				s, others = Status{}, 0
			}
			now += rnd.Int64N(second)
		}
	}
}

func TestNext_EjectedHostsComeBackByATrial(t *testing.T) {
	set := probing()
	s, now := play(times(5, callStuck)...)
	now -= second // when the last one was seen
	require.Equal(t, now+int64(10*time.Second), s.EjectedUntil)
	require.Equal(t, s.EjectedUntil, s.TrialAt)

	for range 9 { // nothing else brings it back
		now += second
		s = Next(s, ok200, now, set)
		s = Next(s, callOK, now, set)
		require.Equal(t, Ejected, s.State, "a call that began before trials are let through")
	}
	now = s.EjectedUntil
	s = Next(s, Observation{Event: CallAnswered, Began: now - 1}, now, set)
	require.Equal(t, Ejected, s.State)
	s = s.claimed(now, set)
	require.Equal(t, now+int64(10*time.Second), s.TrialAt)
	s = Next(s, callTrying, now+second, set)
	require.Equal(t, Ejected, s.State, "100 is no success")
	s = Next(s, Observation{Event: CallAnswered, Code: 180, Began: now}, now+2*second, set)
	require.Equal(t, Recovering, s.State)
	require.Equal(t, "trial call answered (180)", s.Reason.String())
	require.Zero(t, s.Row)
	require.Equal(t, now+2*second+int64(set.SlowStart), s.ForgetAt)

	s = s.At(now + 2*second + int64(set.SlowStart))
	require.Equal(t, Up, s.State)
	require.Equal(t, "slow start over", s.Reason.String())
}

func TestNext_EjectionsDouble(t *testing.T) {
	set := probing()
	s, _ := play(times(5, callStuck)...)
	for i, want := range []time.Duration{20, 40, 80, 160, 300, 300} {
		s = Next(s, callSilent, s.EjectedUntil-1, set)
		s = Next(s, Observation{Event: CallStuck, Began: s.EjectedUntil - 1}, s.EjectedUntil+second, set)
		require.Equal(t, []time.Duration{10, 20, 40, 80, 160, 300}[i]*time.Second, s.EjectHold, "they began before")
		now := s.EjectedUntil + second
		s = Next(s, callStuck, now, set)
		require.Equal(t, want*time.Second, s.EjectHold)
		require.Equal(t, now+int64(want*time.Second), s.EjectedUntil)
		require.Equal(t, s.EjectedUntil, s.TrialAt)
	}
	require.Equal(t, "trial call failed: nothing but 100 to a call; ejected for 5m", s.Reason.String())
	require.Equal(t, 5*second, s.Since, "it is ejected since the first time")

	back := s.EjectedUntil
	s = Next(s, callOK, back, set)
	require.Equal(t, Recovering, s.State)
	again := func(at int64) time.Duration {
		s := s
		for range 5 {
			s = Next(s, callStuck, at, set)
		}
		require.Equal(t, Ejected, s.State)
		return s.EjectHold
	}
	require.Equal(t, 5*time.Minute, again(back+int64(5*time.Minute)-1))
	require.Equal(t, 10*time.Second, again(back+int64(5*time.Minute)), "it did well for as long as it was away")
}

// The number that ejected a host, or failed last, does not decide its trial.
func TestNext_ABadNumberDecidesNoTrial(t *testing.T) {
	set := probing()
	a, b := callFailed(1), callFailed(2)
	s, _ := play(times(5, callFull)...)
	first := s
	for range 5 {
		s = Next(s, a, s.TrialAt, set).claimed(s.TrialAt, set)
		require.Equal(t, 10*time.Second, s.EjectHold, "one number, call after call")
		require.Equal(t, first.EjectedUntil, s.EjectedUntil)
	}
	s = Next(s, b, s.TrialAt, set)
	require.Equal(t, 20*time.Second, s.EjectHold, "another one fails too")
	s = Next(s, b, s.TrialAt, set)
	require.Equal(t, 20*time.Second, s.EjectHold)
	s = Next(s, callFull, s.TrialAt, set)
	require.Equal(t, 40*time.Second, s.EjectHold, "503 is about the host")

	s, _ = play(a, b, a, b, a)
	require.Equal(t, 10*time.Second, Next(s, a, s.TrialAt, set).EjectHold)
	require.Equal(t, 20*time.Second, Next(s, b, s.TrialAt, set).EjectHold)
}

func TestNext_EjectionOff(t *testing.T) {
	off := probing()
	off.EjectAfter = 0
	var s Status
	for range 50 {
		s = Next(s, callStuck, second, off)
	}
	require.Equal(t, Status{}, s)

	s, now := play(times(5, callStuck)...)
	s = Adopt(s, now, off)
	require.Equal(t, Up, s.State)
	require.Equal(t, "ejection switched off", s.Reason.String())
	require.Zero(t, s.EjectHold)
}

// From whatever an ejected host goes through, a call gets to try it.
func TestHost_AnEjectionAlwaysEndsInATrial(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		set := anySettings(rnd)
		set.Probe, set.EjectAfter, set.FlapHold = true, 3, 0
		_, h := newHost(&set)
		now := second
		for range 3 {
			h.Observe(now, callStuck)
		}
		require.Equal(t, Ejected, h.View(now).State)
		for range rnd.IntN(40) {
			now += 1 + rnd.Int64N(3*second)
			if h.View(now).Trial && rnd.IntN(2) == 0 {
				h.Claim(now)
			}
			h.Observe(now, anything[rnd.IntN(len(anything))])
		}
		for range set.UpAfter { // it answers its probes
			h.Observe(now, ok200)
		}
		if h.View(now).State != Ejected {
			continue // back already
		}
		now += int64(max(h.Status().EjectHold, MaxRetryAfter)) + 32 // what the word rounds up to
		require.True(t, h.View(now).Trial, "seed %d", seed)
		require.True(t, h.Claim(now), "seed %d", seed)
		_, to, _ := h.Observe(now+second, callOK)
		require.NotEqual(t, Ejected, to, "seed %d", seed)
	}
}

func TestHost_TrialOfAnEjectedHost(t *testing.T) {
	_, h := newHost(probing())
	for range 5 {
		h.Observe(second, callStuck)
	}
	over := second + int64(10*time.Second)
	require.Equal(t, View{State: Ejected, Share: 1}, h.View(over-32))
	require.False(t, h.Claim(over-32))
	require.Equal(t, View{State: Ejected, Trial: true, Share: 1}, h.View(over))
	require.True(t, h.Claim(over))
	require.False(t, h.Claim(over), "one call")
	require.False(t, h.View(over).Trial)
	require.True(t, h.Claim(over+int64(10*time.Second)), "nothing came of it")

	h.Observe(over+second, callFullFor(40*time.Second))
	require.Equal(t, 20*time.Second, h.Status().EjectHold)
	require.False(t, h.View(over+int64(40*time.Second)).Trial, "its Retry-After is honoured too")
	require.True(t, h.View(over+int64(41*time.Second)).Trial)
	h.Observe(over+2*second, ok503)
	require.False(t, h.View(over+int64(time.Hour)).Trial, "it says itself that it takes no calls")
	h.Observe(over+3*second, ok200)
	require.True(t, h.View(over+int64(time.Hour)).Trial)
}

// Calls that began before the ejection and fail after the trial was answered.
func TestOldNewsEjectsNobodyAgain(t *testing.T) {
	set := catalog.DefaultHealth()
	s := Status{}
	sec := int64(time.Second)
	now := 100 * sec
	// five calls that began at 88 s were stuck: ejected at 100 s
	for i := range int64(5) {
		s = Next(s, Observation{Event: CallStuck, Began: now - 12*sec + i}, now, &set)
	}
	require.Equal(t, Ejected, s.State)
	now = 110*sec + 1
	s = s.claimed(now, &set)
	s = Next(s, Observation{Event: CallAnswered, Code: 180, Began: now}, now+sec/10, &set)
	require.Equal(t, Recovering, s.State)
	// those that began between 99 and 100 s, before it was ejected
	for i := range int64(5) {
		began := 99*sec + i
		s = Next(s, Observation{Event: CallStuck, Began: began}, began+12*sec, &set)
	}
	require.Equal(t, Recovering, s.State, "%v", s.Reason)
}
