package health

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// restarted is what a host is that saw things, one a second, when the program
// was away for a time. The clock begins anew: at 1.
func restarted(away time.Duration, set *catalog.Health, seen ...Observation) (s Status, now int64) {
	was, at := play(seen...)
	kept, _ := was.Remember(at, set)
	return Restore(Status{}, kept.Shift(1-at-int64(away)), away, 1, set), 1
}

func TestRestore_Down(t *testing.T) {
	s, now := restarted(20*time.Second, probing(), times(3, silent)...)
	require.Equal(t, Down, s.State)
	require.Equal(t, "no answer to OPTIONS", s.Reason.String())
	require.Equal(t, now-21*second, s.Since, "since it went down")
	require.True(t, s.InDoubt(), "probed at the fast interval")
	s = Next(s, ok200, now+second, probing())
	require.Equal(t, Down, s.State, "up_after is 2")
	s = Next(s, ok200, now+2*second, probing())
	require.Equal(t, Recovering, s.State)
}

// A host that flaps does not begin with a clean record, whether it was down or
// up when the program ended.
func TestRestore_FlapHold(t *testing.T) {
	dead, back := times(3, silent), times(2, ok200)
	s, now := restarted(3*time.Second, probing(), join(dead, back, dead)...)
	require.Equal(t, Down, s.State)
	require.Contains(t, s.Reason.String(), "it went down 2 times")
	s = Next(Next(s, ok200, now+second, probing()), ok200, now+2*second, probing())
	require.Equal(t, Down, s.State, "kept down")
	require.Equal(t, Recovering, Next(s, ok200, now+10*second, probing()).State)

	was, at := play(join(dead, back)...)
	at += 60 * second
	require.Equal(t, Up, was.At(at).State)
	kept, worth := was.Remember(at, probing())
	require.True(t, worth)
	s = Restore(Status{}, kept.Shift(-at), time.Second, 1, probing())
	require.Equal(t, Up, s.State)
	require.Equal(t, 2, kill(s, second, probing()).Downs)

	_, worth = was.Remember(at+int64(10*time.Minute), probing())
	require.False(t, worth, "flap_window is over")
}

func TestRestore_Ejected(t *testing.T) {
	fails := times(5, callFull)
	s, now := restarted(4*time.Second, probing(), fails...)
	require.Equal(t, Ejected, s.State)
	require.Contains(t, s.Reason.String(), "5 failed calls in a row")
	require.Equal(t, now+5*second, s.TrialAt, "10 s after the ejection")
	s = Next(s, callFull, s.TrialAt, probing())
	require.Equal(t, 20*time.Second, s.EjectHold, "the backoff goes on")

	s, now = restarted(time.Minute, probing(), fails...)
	require.Equal(t, Ejected, s.State)
	require.Equal(t, now, s.TrialAt, "a trial decides at once")
	require.Equal(t, Recovering, Next(s, callOK, now, probing()).State)

	// One that came back shortly before is ejected for twice as long the next time.
	s, now = restarted(4*time.Second, probing(), append(times(5, callFull), at(callOK, 16))...)
	require.Equal(t, 10*time.Second, s.EjectHold)
	for range 5 {
		s = Next(s, callFull, now, probing())
	}
	require.Equal(t, 20*time.Second, s.EjectHold)
}

func TestRestore_Full(t *testing.T) {
	s, now := restarted(5*time.Second, probing(), callFullFor(20*time.Second))
	require.Equal(t, Full, s.State)
	require.Equal(t, Up, s.At(now+14*second).State, "Retry-After is over when it was to be")
	s, _ = restarted(30*time.Second, probing(), callFullFor(20*time.Second))
	require.Equal(t, Up, s.State)
	s, _ = restarted(30*time.Second, probing(), ok503)
	require.Equal(t, Full, s.State)
}

func TestRestore_Doubtful(t *testing.T) {
	s, now := restarted(2*time.Second, probing(), callSilent)
	require.Equal(t, Doubtful, s.State)
	require.Equal(t, Doubtful, Next(s, ok200, now+second, probing()).State, "held")
	require.Equal(t, Up, Next(s, ok200, now+7*second, probing()).State)
}

func TestRestore_Recovering(t *testing.T) {
	s, now := restarted(10*time.Second, probing(), join(times(3, silent), times(2, ok200))...)
	require.Equal(t, Recovering, s.State)
	require.Equal(t, now+19*second, s.RecoverUntil)
	s, _ = restarted(time.Minute, probing(), join(times(3, silent), times(2, ok200))...)
	require.Equal(t, Up, s.State)
}

// A memory that is old, or of nobody knows when, is worth a doubt.
func TestRestore_Old(t *testing.T) {
	for name, c := range map[string]struct {
		seen []Observation
		want string
	}{
		"down":    {times(3, silent), "before the restart: no answer to OPTIONS; too long ago to be sure"},
		"ejected": {times(5, callStuck), "before the restart: nothing but 100 to a call; too long ago to be sure"},
		"full":    {obs(ok503), "before the restart: answer to OPTIONS (503); too long ago to be sure"},
		"doubt":   {obs(callSilent), "before the restart: no answer to a call; too long ago to be sure"},
	} {
		t.Run(name, func(t *testing.T) {
			was, at := play(c.seen...)
			kept, worth := was.Remember(at, probing())
			require.True(t, worth)
			for _, age := range []time.Duration{MemoryGood + 1, 1000 * time.Hour, -1} {
				s := Restore(Status{}, kept.Shift(-at), age, 1, probing())
				require.Equal(t, Doubtful, s.State)
				require.Equal(t, c.want, s.Reason.String())
				require.True(t, s.InDoubt())
				require.Equal(t, Up, Next(s, ok200, second, probing()).State, "the first good probe ends it, without a slow start")
				s = Restore(Status{}, kept.Shift(-at), age, 1, notProbing())
				require.Equal(t, Doubtful, s.State)
				require.Equal(t, 1+int64(DoubtHold), s.DoubtUntil, "a trial call decides")
			}
		})
	}
	was, at := play(join(times(3, silent), times(2, ok200))...)
	kept, _ := was.Remember(at, probing())
	require.Zero(t, Restore(Status{}, kept.Shift(-at), time.Hour, 1, probing()), "what came back is up by now")
}

// Under other settings what they know nothing of is forgotten.
func TestRestore_OtherSettings(t *testing.T) {
	s, now := restarted(time.Second, notProbing(), times(3, silent)...)
	require.Equal(t, Doubtful, s.State)
	require.Equal(t, now+int64(DoubtHold), s.DoubtUntil)
	off := with(func(set *catalog.Health) { set.EjectAfter = 0 })
	s, _ = restarted(time.Second, &off, times(5, callFull)...)
	require.Equal(t, Up, s.State)
	short := with(func(set *catalog.Health) { set.EjectTime, set.EjectMax = time.Second, 2*time.Second })
	s, now = restarted(0, &short, times(5, callFull)...)
	require.LessOrEqual(t, s.TrialAt, now+2*second)
}

func TestRestore_NewsIsBetterThanMemory(t *testing.T) {
	down, at := play(times(3, silent)...)
	kept, _ := down.Remember(at, probing())
	seen := Next(Status{}, ok200, second, probing())
	require.Equal(t, seen, Restore(seen, kept.Shift(-at), 0, second, probing()))
}

func TestRemember_NotWhatIsPlainlyUp(t *testing.T) {
	for name, seen := range map[string][]Observation{
		"nothing":        nil,
		"probes":         times(9, ok200),
		"a failed probe": {silent, silent},
		"a few failures": times(4, callFull),
		"an answer":      {callSilent, callOK},
	} {
		s, now := play(seen...)
		_, worth := s.Remember(now, probing())
		require.False(t, worth, name)
	}
}

// Whatever happened, what is remembered at once is what calls saw before; and
// under any settings and after any time it is a status that can come about.
func TestRestore_RandomWalk(t *testing.T) {
	restored := 0
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		set := anySettings(rnd)
		var s Status
		now := second
		for range rnd.IntN(60) {
			s = Next(s, anything[rnd.IntN(len(anything))], now, &set)
			now += 1 + rnd.Int64N(3*second)
		}
		kept, worth := s.Remember(now, &set)
		if !worth {
			require.Equal(t, Up, s.At(now).State)
			continue
		}
		restored++
		same := Restore(Status{}, kept, 0, now, &set)
		invariants(t, same, now, &set)
		require.Equal(t, viewOf(s, now, &set).State, same.State, "seed %d", seed)
		require.Equal(t, s.At(now).Reason, same.Reason, "seed %d", seed)
		require.Equal(t, s.At(now).Since, same.Since, "seed %d", seed)
		require.Equal(t, max(s.TrialAt, same.TrialAt), same.TrialAt, "seed %d", seed)

		other := anySettings(rnd)
		away := time.Duration(rnd.Int64N(10 * int64(time.Minute)))
		then := rnd.Int64N(second) + 1
		later := Restore(Status{}, kept.Shift(then-now-int64(away)), away, then, &other)
		invariants(t, later, then, &other)
		for range 50 { // it goes on as any other
			then += 1 + rnd.Int64N(3*second)
			later = Next(later, anything[rnd.IntN(len(anything))], then, &other)
			invariants(t, later, then, &other)
		}
	}
	require.Greater(t, restored, 1000)
}

func TestRegistry_Restore(t *testing.T) {
	var flips []Flip
	var regions []RegionFlip
	opts := Options{
		Settings: *probing(),
		OnFlip:   func(f Flip) { flips = append(flips, f) },
		OnRegion: func(f RegionFlip) { regions = append(regions, f) },
	}
	before := NewRegistry(opts)
	for i := range 4 {
		before.Host(testKey(i)).Observe(second, ok200)
	}
	down(before.Host(testKey(1)), second)
	before.Host(testKey(2)).Observe(second, callFullFor(time.Minute))
	memory := before.Remember(2 * second)
	require.Len(t, memory, 2)
	require.Equal(t, memory, before.Remember(3*second), "time alone changes nothing: it need not be written again")

	after := NewRegistry(opts)
	dead := after.Host(testKey(1))
	after.Host(testKey(3))
	after.SetRegions(map[string][]Key{"east": {testKey(1)}})
	flips, regions = nil, nil
	restored := after.Restore(memory, time.Second, second)
	require.Len(t, restored, 1, "the other is not there any more")
	require.Equal(t, Down, dead.View(second).State, "calls see it")
	require.Equal(t, []Change{{From: Up, To: Down, Reason: restored[0].Status.Reason, At: second}}, dead.History())
	require.Empty(t, flips)
	require.Len(t, regions, 1)
	require.True(t, after.Region("east").Unhealthy())
	up(dead, 3*second)
	require.False(t, after.Region("east").Unhealthy())
}

func TestEventWords(t *testing.T) {
	for e := Nothing; e.String() != "unknown"; e++ {
		got, ok := EventOf(e.Word())
		require.True(t, ok)
		require.Equal(t, e, got)
	}
	_, ok := EventOf("unknown")
	require.False(t, ok)
	for _, s := range States {
		got, ok := StateOf(s.String())
		require.True(t, ok)
		require.Equal(t, s, got)
	}
	_, ok = StateOf("")
	require.False(t, ok)
}
