package health

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

func testKey(i int) Key {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060)
	return Key{URI: "sip:" + addr.String(), Addr: addr, Listener: "udp://10.9.9.9:5060"}
}

func newHost(set *catalog.Health) (*Registry, *Host) {
	r := NewRegistry(Options{Settings: *set})
	return r, r.Host(testKey(1))
}

// look is the part of View that most tests are about.
func look(h *Host, now int64) (State, bool) {
	v := h.View(now)
	return v.State, v.Trial
}

// TestHost_AgreesWithNext holds the word, which calls read, against the pure
// state machine.
func TestHost_AgreesWithNext(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		set := anySettings(rnd)
		r, h := newHost(&set)
		var s Status
		now := second
		for range 200 {
			switch rnd.IntN(25) {
			case 0:
				set = anySettings(rnd)
				r.Configure(set, now)
				s = Adopt(s, now, &set)
			default:
				o := anything[rnd.IntN(len(anything))]
				if rnd.IntN(4) == 0 {
					o.Began = now - rnd.Int64N(20*second)
				}
				was := s.State
				s = Next(s, o, now, &set)
				_, to, flipped := h.Observe(now, o)
				require.Equal(t, s.State, to, "seed %d", seed)
				require.Equal(t, was != s.State, flipped, "seed %d", seed)
			}
			require.Equal(t, s.At(now), h.Status().At(now), "seed %d", seed)
			s = s.At(now)

			now += rnd.Int64N(4*second)/32*32 + 32 // the word's times are exact to 32 ns
			want, got := viewOf(s, now, &set), h.View(now)
			require.Equal(t, want.State, got.State, "seed %d", seed)
			require.Equal(t, want.Trial, got.Trial, "seed %d", seed)
			require.InDelta(t, want.Share, got.Share, 1e-6, "seed %d", seed)
			if rnd.IntN(2) == 0 {
				require.Equal(t, want.Trial, h.Claim(now), "seed %d", seed)
				if want.Trial {
					s = s.claimed(now, &set)
					require.False(t, h.Claim(now), "seed %d", seed)
				}
			}
		}
	}
}

// viewOf is what the word must say of a host whose status was s.
func viewOf(was Status, now int64, set *catalog.Health) View {
	s := was.At(now)
	v := View{State: s.State, Share: 1}
	switch s.State {
	case Recovering:
		v.Share = max(float64(now-s.Since)/float64(set.SlowStart), 0.05)
	case Ejected:
		v.Trial = now >= s.TrialAt && s.FullUntil == 0 && !s.ProbeFull
	case Doubtful: // one that is not full any more was left alone long enough
		v.Trial = !set.Probe && (now >= s.DoubtUntil || was.State == Full)
	}
	return v
}

func anySettings(rnd *rand.Rand) catalog.Health {
	set := *probing()
	set.Probe = rnd.IntN(2) == 0
	set.DownAfter, set.UpAfter = 1+rnd.IntN(4), 1+rnd.IntN(4)
	set.EjectAfter = rnd.IntN(6)
	set.SlowStart = time.Duration(rnd.IntN(3)) * 4 * time.Second
	set.FlapHold = time.Duration(rnd.IntN(3)) * 3 * time.Second
	set.EjectTime = time.Duration(1+rnd.IntN(4)) * time.Second
	set.EjectMax = 20 * time.Second
	return set
}

func TestHost_Trial(t *testing.T) {
	r, h := newHost(notProbing())
	hold := int64(DoubtHold)
	require.False(t, h.Claim(second), "nothing to claim of a host that is up")
	h.Observe(second, callSilent)

	s, trial := look(h, second+hold-1)
	require.Equal(t, Doubtful, s)
	require.False(t, trial, "held")
	require.False(t, h.Claim(second+hold-1))

	now := second + hold + 32
	s, trial = look(h, now)
	require.Equal(t, Doubtful, s)
	require.True(t, trial)
	require.True(t, h.Claim(now))
	require.False(t, h.Claim(now), "one call pays")
	_, trial = look(h, now)
	require.False(t, trial)
	require.Equal(t, now+hold, h.Status().DoubtUntil)

	now += hold + 32
	_, trial = look(h, now)
	require.True(t, trial, "nothing came of the first trial: another one")
	require.True(t, h.Claim(now))
	h.Observe(now+1, callICMP)
	_, trial = look(h, now+1)
	require.False(t, trial, "what changes nothing does not undo the claim")
	h.Observe(now+2, callFullFor(time.Second))
	h.Observe(now+3, callSilent)
	s, trial = look(h, now+2*second)
	require.Equal(t, Doubtful, s)
	require.True(t, trial, "full, then doubtful beneath it: tried when it is not full any more")
	require.True(t, h.Claim(now+2*second))
	require.False(t, h.Claim(now+2*second))
	from, to, flipped := h.Observe(now+3*second, callOK)
	require.Equal(t, []any{Doubtful, Up, true}, []any{from, to, flipped})

	h.Observe(now+4*second, callSilent)
	r.Configure(*probing(), now+4*second)
	_, trial = look(h, now+100*second)
	require.False(t, trial, "probes decide")
}

func TestHost_TrialsFollowTheSettings(t *testing.T) {
	set := notProbing()
	set.DoubtHold = time.Second
	_, h := newHost(set)
	h.Observe(second, callSilent)
	require.False(t, h.Claim(2*second-32))
	require.True(t, h.Claim(2*second))
	require.False(t, h.Claim(3*second-32))
	require.True(t, h.Claim(3*second))
}

// An answered call ends the doubling, though the host is up and calls that
// are answered then change nothing else.
func TestHost_AnsweredCallForgetsTheHold(t *testing.T) {
	_, h := newHost(probing())
	h.Observe(second, callSilent)
	h.Observe(20*second, ok200)
	s, _ := look(h, 20*second)
	require.Equal(t, Up, s)
	require.Equal(t, DoubtHold, h.Status().Hold)
	from, to, flipped := h.Observe(21*second, callOK)
	require.Equal(t, []any{Up, Up, false}, []any{from, to, flipped})
	require.Zero(t, h.Status().Hold)
}

func TestHost_TrialGoesToOneOfManyCalls(t *testing.T) {
	_, h := newHost(notProbing())
	h.Observe(second, callSilent)
	now := second + int64(DoubtHold) + 32
	var won atomic.Int32
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			if _, trial := look(h, now); trial && h.Claim(now) {
				won.Add(1)
			}
		})
	}
	calls.Wait()
	require.EqualValues(t, 1, won.Load())
}

// TestHost_FlipsFormAChain lets many observe at a time: each flip but the first
// starts where another one ended, and there is one more of each kind at most.
func TestHost_FlipsFormAChain(t *testing.T) {
	var mu sync.Mutex
	entered, left := map[State]int{}, map[State]int{}
	r := NewRegistry(Options{Settings: *probing(), OnFlip: func(f Flip) {
		mu.Lock()
		defer mu.Unlock()
		left[f.From]++
		entered[f.To]++
	}})
	h := r.Host(testKey(1))
	var clock atomic.Int64
	clock.Store(second)
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(4, uint64(i)))
			for range 2000 {
				now := clock.Add(second / 10)
				h.Observe(now, anything[rnd.IntN(len(anything))])
				look(h, now)
				h.Claim(now)
				if rnd.IntN(100) == 0 {
					h.Status()
					r.Wanted(nil)
				}
			}
		})
	}
	workers.Wait()
	end := h.Status().State
	for _, s := range States {
		in, out := entered[s], left[s]
		if s == Up {
			in++ // where it began
		}
		if s == end {
			out++ // where it is
		}
		require.Equal(t, in, out, s.String())
	}
}

func TestHost_AllocatesNothing(t *testing.T) {
	for _, set := range []*catalog.Health{probing(), notProbing()} {
		r := NewRegistry(Options{Settings: *set, OnFlip: func(Flip) {}})
		h := r.Host(testKey(1))
		now := second
		for _, o := range anything {
			require.Zero(t, testing.AllocsPerRun(100, func() {
				now += 32
				h.Observe(now, o)
				h.View(now)
				h.Claim(now)
			}), o.Event.String())
		}
		require.Zero(t, testing.AllocsPerRun(100, func() { // flips and wakes
			h.Observe(now, callSilent)
			h.Observe(now, callOK)
		}))
	}
}

func TestWord_KeepsTimes(t *testing.T) {
	for _, at := range []int64{1, 31, 32, 33, second, time.Now().UnixNano(), 1<<62 - 1} {
		s := Status{State: Doubtful, Doubt: true, DoubtUntil: at}
		w := pack(&s, true)
		require.Equal(t, Doubtful, w.state())
		require.GreaterOrEqual(t, w.until(), at)
		require.Less(t, w.until()-at, int64(32))
		require.False(t, w.at(at-1, 0).Trial)
		require.True(t, w.at(w.until(), 0).Trial)
	}
}

func BenchmarkHost(b *testing.B) {
	_, h := newHost(probing())
	b.Run("View", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.View(second)
		}
	})
	b.Run("Observe CallAnswered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.Observe(second, callOK)
		}
	})
	b.Run("Observe CallAnswered, parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				h.Observe(second, callOK)
			}
		})
	})
	b.Run("Observe ProbeOK", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.Observe(second, ok200)
		}
	})
}

func ExampleReason() {
	fmt.Println(Reason{Event: ProbeOK, Code: 503})
	fmt.Println(Reason{Event: CallSilent})
	// Output:
	// answer to OPTIONS (503)
	// no answer to a call
}
