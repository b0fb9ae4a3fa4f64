package health

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

const second = int64(time.Second)

// Short hands for what is seen.
var (
	ok200      = Observation{Event: ProbeOK, Code: 200, RTT: time.Millisecond}
	ok404      = Observation{Event: ProbeOK, Code: 404}
	ok503      = Observation{Event: ProbeOK, Code: 503}
	ok408      = Observation{Event: ProbeOK, Code: 408}
	silent     = Observation{Event: ProbeFailed}
	icmp       = Observation{Event: ProbeUnreachable}
	callSilent = Observation{Event: CallSilent}
	callICMP   = Observation{Event: CallUnreachable}
	callOK     = Observation{Event: CallAnswered}
	callDetour = Observation{Event: CallAnswered, Detour: true}
	callTrying = Observation{Event: CallTrying, Code: 100}
	callStuck  = Observation{Event: CallStuck}
	callsStall = Observation{Event: CallsStall, Count: 5}
	callBeyond = Observation{Event: CallTrying, Code: 487, Besides: true, Beyond: true}
	callFull   = Observation{Event: CallFull, Code: 503}
	callFailed = func(number uint32) Observation {
		return Observation{Event: CallFailed, Code: 500, Number: number}
	}
	callFullFor = func(d time.Duration) Observation {
		return Observation{Event: CallFull, Code: 503, RetryAfter: d}
	}
)

func probing() *catalog.Health {
	set := catalog.DefaultHealth()
	return &set
}

func notProbing() *catalog.Health {
	set := catalog.DefaultHealth()
	set.Probe = false
	return &set
}

func TestNext(t *testing.T) {
	type seen []Observation
	for _, c := range []struct {
		rule string
		seen seen // one a second, from the first second on
		set  *catalog.Health
		want State
		why  string
	}{
		{"a host of which nothing was seen is up", seen{}, probing(), Up, "nothing seen yet"},
		{"any answer is alive", seen{ok404}, probing(), Up, "nothing seen yet"},
		{"one failed probe does not demote", seen{silent}, probing(), Up, "nothing seen yet"},
		{"nor do two", seen{silent, icmp}, probing(), Up, "nothing seen yet"},
		{"down after three in a row", seen{silent, icmp, silent}, probing(), Down, "no answer to OPTIONS"},
		{"a down code is a failure", seen{ok408, ok408, ok408}, probing(), Down, "answer to OPTIONS (408)"},
		{"in a row: an answer between starts anew", seen{silent, silent, ok200, silent, silent}, probing(), Up, "nothing seen yet"},
		{"a 503 between is an answer", seen{silent, silent, ok503, silent, silent}, probing(), Full, "answer to OPTIONS (503)"},
		{"one success does not bring it back", seen{silent, silent, silent, ok200}, probing(), Down, "no answer to OPTIONS"},
		{"two in a row do, with a share of calls", seen{silent, silent, silent, ok200, ok200}, probing(), Recovering, "answer to OPTIONS (200)"},
		{"in a row: a failure between starts anew", seen{silent, silent, silent, ok200, silent, ok200}, probing(), Down, "no answer to OPTIONS"},
		{"the two counters do not mix: after its return it takes three again",
			seen{silent, silent, silent, ok200, ok200, silent, silent}, probing(), Recovering, "answer to OPTIONS (200)"},

		{"503 to OPTIONS is full, not down", seen{ok503, ok503, ok503, ok503}, probing(), Full, "answer to OPTIONS (503)"},
		{"the next good answer clears it", seen{ok503, ok200}, probing(), Up, "answer to OPTIONS (200)"},
		{"a lost probe does not", seen{ok503, silent}, probing(), Full, "answer to OPTIONS (503)"},
		{"a full host goes down like others", seen{ok503, silent, silent, silent}, probing(), Down, "no answer to OPTIONS"},
		{"503 brings a down host back, but as full", seen{silent, silent, silent, ok503, ok503}, probing(), Full, "answer to OPTIONS (503)"},

		{"one silent call makes it doubtful", seen{callSilent}, probing(), Doubtful, "no answer to a call"},
		{"so does one ICMP", seen{callICMP}, probing(), Doubtful, "a call undeliverable"},
		{"the reason is that of the change", seen{callICMP, callSilent}, probing(), Doubtful, "a call undeliverable"},
		{"a good probe clears a doubt by ICMP", seen{callICMP, ok200}, probing(), Up, "answer to OPTIONS (200)"},
		{"so does an answered call", seen{callICMP, callOK}, probing(), Up, "answer to a call"},
		{"good probes do not clear a doubt by silence", seen{callSilent, ok200, ok200, ok200, ok503, ok200, ok200, ok200, ok200, ok200}, probing(), Doubtful, "answer to OPTIONS (200)"},
		{"until the hold is over", seen{callSilent, ok200, ok200, ok200, ok200, ok200, ok200, ok200, ok200, ok200, ok200}, probing(), Up, "answer to OPTIONS (200)"},
		{"an answered call clears it at once", seen{callSilent, callOK}, probing(), Up, "answer to a call"},
		{"silence after ICMP holds it", seen{callICMP, callSilent, ok200}, probing(), Doubtful, "a call undeliverable"},
		{"ICMP after silence does not end the hold", seen{callSilent, callICMP, ok200}, probing(), Doubtful, "no answer to a call"},
		{"a failed probe does not", seen{callSilent, silent}, probing(), Doubtful, "no answer to a call"},
		{"failing probes take it on to down", seen{callSilent, silent, silent, silent}, probing(), Down, "no answer to OPTIONS"},
		{"failures from before the doubt count", seen{silent, silent, callSilent, silent}, probing(), Down, "no answer to OPTIONS"},
		{"calls alone never take it down", seen{callSilent, callSilent, callICMP, callICMP}, probing(), Doubtful, "no answer to a call"},
		{"a down host stays down", seen{silent, silent, silent, callSilent, callICMP}, probing(), Down, "no answer to OPTIONS"},
		{"answered calls do not bring a down host back", seen{silent, silent, silent, callOK, callOK}, probing(), Down, "no answer to OPTIONS"},
		{"a doubt from before is over when it is back", seen{callSilent, silent, silent, silent, ok200, ok200}, probing(), Recovering, "answer to OPTIONS (200)"},

		{"503 without Retry-After says nothing", seen{callFull}, probing(), Up, "nothing seen yet"},
		{"503 with Retry-After is full", seen{callFullFor(5 * time.Second)}, probing(), Full, "503 to a call, Retry-After 5s"},
		{"a good probe does not clear it", seen{callFullFor(5 * time.Second), ok200}, probing(), Full, "503 to a call, Retry-After 5s"},
		{"nor does an answered call", seen{callFullFor(5 * time.Second), callOK}, probing(), Full, "503 to a call, Retry-After 5s"},
		{"time does", seen{callFullFor(2 * time.Second), ok200, ok200}, probing(), Up, "Retry-After over"},
		{"a shorter one does not shorten it", seen{callFullFor(9 * time.Second), callFullFor(time.Second), ok200}, probing(), Full, "503 to a call, Retry-After 9s"},
		{"a doubt about a full host leaves it full", seen{callFullFor(9 * time.Second), callSilent}, probing(), Full, "503 to a call, Retry-After 9s"},
		{"and is there when it is not full any more", seen{callFullFor(3 * time.Second), callSilent, silent, silent}, probing(), Doubtful, "Retry-After over"},
		{"a doubtful host can become full", seen{callSilent, callFullFor(9 * time.Second)}, probing(), Full, "503 to a call, Retry-After 9s"},
		{"a down host with Retry-After is down", seen{silent, silent, silent, callFullFor(9 * time.Second)}, probing(), Down, "no answer to OPTIONS"},

		{"without probes nothing is ever down", seen{silent, silent, silent, silent, ok408}, notProbing(), Up, "nothing seen yet"},
		{"without probes a late answer does not make it full for ever", seen{ok503}, notProbing(), Up, "nothing seen yet"},
		{"without probes a silent call makes it doubtful", seen{callSilent}, notProbing(), Doubtful, "no answer to a call"},
		{"without probes an answered call clears it", seen{callSilent, callOK}, notProbing(), Up, "answer to a call"},
		{"without probes so does one after ICMP", seen{callICMP, callOK}, notProbing(), Up, "answer to a call"},
		{"without probes Retry-After runs out", seen{callFullFor(time.Second), callOK}, notProbing(), Up, "Retry-After over"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var s Status
			now := second
			for _, o := range c.seen {
				s = Next(s, o, now, c.set)
				now += second
			}
			require.Equal(t, c.want.String(), s.State.String())
			require.Equal(t, c.why, s.Reason.String())
		})
	}
}

func TestNext_RetryAfterIsCapped(t *testing.T) {
	s := Next(Status{}, callFullFor(time.Hour), second, probing())
	require.Equal(t, second+int64(MaxRetryAfter), s.FullUntil)
	require.Equal(t, Full, s.At(s.FullUntil-1).State)
	require.Equal(t, Up, s.At(s.FullUntil).State)
	require.Equal(t, s.FullUntil, s.At(s.FullUntil+7).Since, "it was up from then on, not from when somebody looked")
}

func TestNext_RetryAfterOverflow(t *testing.T) {
	s := Next(Status{}, callFullFor(1<<63-1), second, probing())
	require.Equal(t, second+int64(MaxRetryAfter), s.FullUntil)
}

func TestNext_DoubtHold(t *testing.T) {
	s := Next(Status{}, callSilent, second, notProbing())
	require.Equal(t, second+int64(DoubtHold), s.DoubtUntil)
	s = Next(s, callSilent, 3*second, notProbing())
	require.Equal(t, 3*second+int64(DoubtHold), s.DoubtUntil, "a trial that fails begins the hold anew")
	require.Equal(t, second+int64(DoubtHold), Next(Status{}, callICMP, second, notProbing()).DoubtUntil)
	require.Zero(t, Next(Status{}, callICMP, second, probing()).DoubtUntil, "any good probe ends it")

	require.Equal(t, DoubtHold, catalog.DefaultHealth().DoubtHold, "one default")
	set := probing()
	set.DoubtHold = 3 * time.Second
	require.Equal(t, 4*second, Next(Status{}, callSilent, second, set).DoubtUntil)
	set.DoubtHold = 0
	require.Equal(t, second+int64(DoubtHold), Next(Status{}, callSilent, second, set).DoubtUntil)
}

// A host that answers OPTIONS and not INVITE: however often probes clear it,
// calls pay ever more rarely.
func TestNext_DoubtHoldDoubles(t *testing.T) {
	set := probing()
	set.EjectAfter, set.SlowStart = 0, 0 // things of their own
	now := second
	var s Status
	silence := func(want time.Duration) {
		t.Helper()
		s = Next(s, callSilent, now, set)
		require.Equal(t, Doubtful, s.State)
		require.Equal(t, now+int64(want), s.DoubtUntil)
		s = Next(s, callSilent, now+second, set) // began before the first one ended
		require.Equal(t, now+second+int64(want), s.DoubtUntil, "from the last silent call on, and no longer")
		now = s.DoubtUntil
		s = Next(s, ok200, now-1, set)
		require.Equal(t, Doubtful, s.State)
		s = Next(s, ok200, now, set)
		require.Equal(t, Up, s.State)
		now += 7 * second
	}
	for _, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		silence(want * time.Second)
	}
	s = Next(s, callICMP, now, set)
	s = Next(s, ok200, now, set)
	require.Equal(t, Up, s.State, "ICMP knows no hold")

	s = Next(s, callOK, now, set)
	silence(DoubtHold) // a call was answered

	for range 3 {
		s = Next(s, silent, now, set)
	}
	require.Equal(t, Down, s.State)
	for range 2 {
		s = Next(s, ok200, now, set)
	}
	require.Equal(t, Up, s.State, "it was down, which explains its silence")
	silence(DoubtHold)
}

func TestNext_InDoubt(t *testing.T) {
	for _, c := range []struct {
		name string
		seen []Observation
		want bool
	}{
		{"new", nil, false},
		{"good", []Observation{ok200}, false},
		{"full", []Observation{ok503}, false},
		{"held by Retry-After", []Observation{callFullFor(time.Minute)}, false},
		{"first failure", []Observation{silent}, true},
		{"doubtful", []Observation{callSilent}, true},
		{"full and doubtful", []Observation{ok503, callSilent}, true},
		{"down", []Observation{silent, silent, silent}, true},
		{"down with one success", []Observation{silent, silent, silent, ok200}, true},
		{"back", []Observation{silent, silent, silent, ok200, ok200}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Status
			for i, o := range c.seen {
				s = Next(s, o, int64(i+1)*second, probing())
			}
			require.Equal(t, c.want, s.InDoubt())
		})
	}
}

func TestNext_RecordsTheLastProbe(t *testing.T) {
	s := Next(Status{}, ok200, second, probing())
	s = Next(s, callSilent, 2*second, probing())
	require.Equal(t, second, s.LastProbe)
	require.Equal(t, 200, s.LastCode)
	require.Equal(t, time.Millisecond, s.RTT)
	s = Next(s, silent, 3*second, probing())
	require.Equal(t, 3*second, s.LastProbe)
	require.Equal(t, ProbeFailed, s.LastEvent)
	require.Equal(t, 200, s.LastCode, "of the last answer")
	require.Equal(t, 2*second, s.Since)
}

func TestNext_ThresholdsBelowOneAreOne(t *testing.T) {
	set := probing()
	set.DownAfter, set.UpAfter, set.SlowStart = 0, 0, 0
	s := Next(Status{}, silent, second, set)
	require.Equal(t, Down, s.State)
	s = Next(s, ok200, 2*second, set)
	require.Equal(t, Up, s.State)
}

func TestAdopt(t *testing.T) {
	down := Status{}
	for i := range int64(3) {
		down = Next(down, silent, (i+1)*second, probing())
	}
	s := Adopt(down, 9*second, notProbing())
	require.Equal(t, Doubtful, s.State, "nobody would ever bring it back")
	require.Equal(t, "probes switched off", s.Reason.String())
	require.Equal(t, 9*second+int64(DoubtHold), s.DoubtUntil)

	s = Adopt(Next(Status{}, ok503, second, probing()), 9*second, notProbing())
	require.Equal(t, Up, s.State)

	s = Adopt(Next(Status{}, callFullFor(time.Minute), second, probing()), 9*second, notProbing())
	require.Equal(t, Full, s.State, "Retry-After does not depend on probes")

	s = Adopt(Next(Status{}, callSilent, second, notProbing()), 9*second, probing())
	require.Equal(t, Doubtful, s.State)
	require.Equal(t, Doubtful, Next(s, ok200, 9*second, probing()).State, "probes decide, after the hold")
	require.Equal(t, Up, Next(s, ok200, second+int64(DoubtHold), probing()).State)

	s = Adopt(down, 9*second, probing())
	require.Equal(t, down, s)
}

// invariants are what holds at the time now for each status that can come about.
func invariants(t require.TestingT, s Status, now int64, set *catalog.Health) {
	require.Equal(t, s.worst(), s.State, "the worst of the facts, and one state")
	require.Equal(t, s.Dead, s.State == Down)
	require.False(t, s.Dead && s.Doubt, "a dead host is beyond doubt")
	require.False(t, s.Failures > 0 && s.Successes > 0, "one of them is not in a row")
	require.LessOrEqual(t, s.Since, now)
	if s.State == Doubtful {
		require.True(t, s.Doubt)
	}
	if s.State == Up {
		require.False(t, s.Doubt || s.ProbeFull || s.FullUntil != 0 || s.Ejected || s.Ramp != 0)
	}
	if s.DoubtUntil != 0 {
		require.True(t, s.Doubt)
	}
	if s.Stalled {
		require.False(t, s.Dead)
		require.True(t, s.Doubt || s.Hold > 0, "a doubt, or what is left of one")
	}
	require.LessOrEqual(t, s.Hold, MaxDoubtHold)
	if s.Dead {
		require.Zero(t, s.Hold)
	}

	require.Equal(t, s.State == Recovering, s.RecoverUntil != 0)
	if s.State == Recovering {
		require.Equal(t, s.Since+int64(s.Ramp), s.RecoverUntil)
		require.Equal(t, set.SlowStart, s.Ramp)
	}

	require.Equal(t, s.Ejected, s.EjectedUntil != 0)
	if s.Ejected {
		require.GreaterOrEqual(t, s.TrialAt, s.EjectedUntil)
		require.LessOrEqual(t, s.TrialAt, now+int64(s.EjectHold), "a trial is never more than a hold away")
		require.Contains(t, []Event{FailedCalls, TrialFailed}, s.Ejection.Event)
		require.Equal(t, s.EjectHold, s.Ejection.For)
		require.Zero(t, s.Row.count(), "a trial decides, not a row")
	} else if set.EjectAfter == 0 {
		require.Zero(t, s.Row)
	}
	if s.State == Ejected {
		require.Equal(t, s.Ejection, s.Reason)
	}

	if s.KeptUntil != 0 {
		require.True(t, s.Dead)
		require.LessOrEqual(t, s.KeptUntil, s.Since+int64(set.FlapWindow))
	}
	if set.Probe {
		if s.LastProbe == now && s.Failures >= set.DownAfter {
			require.Equal(t, Down, s.State)
		}
		if s.LastProbe == now && s.Successes >= set.UpAfter && now >= s.KeptUntil {
			require.NotEqual(t, Down, s.State)
		}
	} else {
		require.NotEqual(t, Down, s.State)
		require.False(t, s.ProbeFull)
		require.Equal(t, s.Doubt, s.DoubtUntil != 0, "each doubt ends")
	}
}

var anything = []Observation{
	ok200, ok404, ok503, ok408, silent, icmp, callSilent, callICMP, callOK, callFull,
	callTrying, callStuck, callsStall, callBeyond, callDetour, callFailed(1), callFailed(1), callFailed(2), callFailed(3),
	callFullFor(time.Second), callFullFor(5 * time.Second), callFullFor(time.Hour),
}

// What comes by a detour says nothing of the way that was silent: a probe ends the
// doubt, and the next silence is held for twice as long. Where there are none, it is
// what ends it.
func TestNext_ADetourEndsNoSilence(t *testing.T) {
	for _, first := range []Observation{callSilent, callICMP} {
		s := Next(Status{}, first, second, probing())
		for _, o := range []Observation{callDetour, {Event: CallTrying, Detour: true, Besides: true}, {Event: CallFailed, Detour: true}, {Event: CallFull, Detour: true}} {
			s = Next(s, o, 20*second, probing())
			require.Equal(t, Doubtful, s.State)
		}
		require.Equal(t, Up, Next(s, ok200, 21*second, probing()).State)
		require.Equal(t, Up, Next(s, callTrying, 21*second, probing()).State)
		require.Equal(t, Up, Next(s, callDetour, 21*second, notProbing()).State)
	}
	for _, way := range []struct {
		set   *catalog.Health
		clear Observation
	}{{probing(), ok200}, {notProbing(), callDetour}} {
		s := Next(Status{}, callSilent, second, way.set)
		s = Next(s, way.clear, 20*second, way.set)
		s = Next(s, callDetour, 21*second, way.set)
		require.Equal(t, Up, s.State)
		s = Next(s, callSilent, 22*second, way.set)
		require.Equal(t, 22*second+int64(2*DoubtHold), s.DoubtUntil)
	}
	s := Next(Status{}, callsStall, second, probing())
	require.Equal(t, Doubtful, Next(s, Observation{Event: CallTrying, Detour: true}, 2*second, probing()).State)
	require.Equal(t, Up, Next(s, callDetour, 2*second, probing()).State, "that calls stall is of no way")
}

func TestNext_RandomWalk(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		set := anySettings(rnd)
		var s Status
		now := second
		for range 200 {
			if rnd.IntN(20) == 0 {
				set = anySettings(rnd)
				s = Adopt(s, now, &set)
				s.LastProbe = 0 // the thresholds of the last one are not these
				invariants(t, s, now, &set)
			}
			before := s
			o := anything[rnd.IntN(len(anything))]
			if rnd.IntN(4) == 0 {
				o.Began = now - rnd.Int64N(20*second)
			}
			s = Next(s, o, now, &set)
			invariants(t, s, now, &set)
			require.LessOrEqual(t, s.FullUntil, now+int64(MaxRetryAfter), "seed %d", seed)
			if s.State == before.State && s.Since != before.Since {
				// It can only have been away from the state in between.
				require.NotEqual(t, before.At(now).State, before.State, "seed %d", seed)
			}
			if s.Ejected && before.Ejected {
				require.GreaterOrEqual(t, s.EjectedUntil, before.EjectedUntil, "no hold is cut short")
				require.GreaterOrEqual(t, s.EjectHold, min(before.EjectHold, set.EjectMax), "seed %d", seed)
			}
			if s.Dead && before.Dead {
				require.Equal(t, before.KeptUntil, s.KeptUntil)
			}
			if s.Ejected && rnd.IntN(3) == 0 && now >= s.TrialAt {
				s = s.claimed(now, &set)
				invariants(t, s, now, &set)
			}
			now += 1 + rnd.Int64N(3*second)
		}
	}
}
