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

// TestHost_AgreesWithNext holds the word, which calls read, against the pure
// state machine.
func TestHost_AgreesWithNext(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		set := *probing()
		set.Probe = rnd.IntN(2) == 0
		r, h := newHost(&set)
		var s Status
		now := second
		for range 200 {
			switch rnd.IntN(25) {
			case 0:
				set.Probe = !set.Probe
				r.Configure(set, now)
				s = Adopt(s, now, &set)
			default:
				o := anything[rnd.IntN(len(anything))]
				was := s.State
				s = Next(s, o, now, &set)
				_, to, flipped := h.Observe(now, o)
				require.Equal(t, s.State, to, "seed %d", seed)
				require.Equal(t, was != s.State, flipped, "seed %d", seed)
			}
			s = s.At(now)
			got := h.Status().At(now)
			got.DoubtUntil, s.DoubtUntil = roundUp(got.DoubtUntil), roundUp(s.DoubtUntil)
			require.Equal(t, s, got, "seed %d", seed)

			now += rnd.Int64N(4*second)/16*16 + 16 // the word's times are exact to 16 ns
			at := s.At(now)
			state, trial := h.State(now)
			require.Equal(t, at.State, state, "seed %d", seed)
			if at.State == Doubtful && !set.Probe && now >= at.DoubtUntil {
				require.True(t, trial, "seed %d", seed)
			}
			if at.State != Doubtful || set.Probe || s.State == Doubtful && now < at.DoubtUntil {
				require.False(t, trial, "seed %d", seed)
			}
		}
	}
}

func roundUp(at int64) int64 { return (at + 15) &^ 15 }

func TestHost_Trial(t *testing.T) {
	r, h := newHost(notProbing())
	hold := int64(DoubtHold)
	require.False(t, h.Claim(second), "nothing to claim of a host that is up")
	h.Observe(second, callSilent)

	s, trial := h.State(second + hold - 1)
	require.Equal(t, Doubtful, s)
	require.False(t, trial, "held")
	require.False(t, h.Claim(second+hold-1))

	now := second + hold + 16
	s, trial = h.State(now)
	require.Equal(t, Doubtful, s)
	require.True(t, trial)
	require.True(t, h.Claim(now))
	require.False(t, h.Claim(now), "one call pays")
	_, trial = h.State(now)
	require.False(t, trial)
	require.Equal(t, roundUp(now+hold), h.Status().DoubtUntil)

	now += hold + 16
	_, trial = h.State(now)
	require.True(t, trial, "nothing came of the first trial: another one")
	require.True(t, h.Claim(now))
	h.Observe(now+1, callFull)
	_, trial = h.State(now + 1)
	require.False(t, trial, "what changes nothing does not undo the claim")
	h.Observe(now+2, callFullFor(time.Second))
	s, trial = h.State(now + 2*second)
	require.Equal(t, Doubtful, s)
	require.True(t, trial, "full, then doubtful beneath it: tried when it is not full any more")
	require.True(t, h.Claim(now+2*second))
	require.False(t, h.Claim(now+2*second))
	from, to, flipped := h.Observe(now+3*second, callOK)
	require.Equal(t, []any{Full, Up, true}, []any{from, to, flipped})

	h.Observe(now+4*second, callSilent)
	r.Configure(*probing(), now+4*second)
	_, trial = h.State(now + 100*second)
	require.False(t, trial, "probes decide")
}

func TestHost_TrialsFollowTheSettings(t *testing.T) {
	set := notProbing()
	set.DoubtHold = time.Second
	_, h := newHost(set)
	h.Observe(second, callSilent)
	require.False(t, h.Claim(2*second-16))
	require.True(t, h.Claim(2*second))
	require.False(t, h.Claim(3*second-16))
	require.True(t, h.Claim(3*second))
}

// An answered call ends the doubling, though the host is up and calls that
// are answered then change nothing else.
func TestHost_AnsweredCallForgetsTheHold(t *testing.T) {
	_, h := newHost(probing())
	h.Observe(second, callSilent)
	h.Observe(20*second, ok200)
	s, _ := h.State(20 * second)
	require.Equal(t, Up, s)
	require.Equal(t, DoubtHold, h.Status().Hold)
	from, to, flipped := h.Observe(21*second, callOK)
	require.Equal(t, []any{Up, Up, false}, []any{from, to, flipped})
	require.Zero(t, h.Status().Hold)
}

func TestHost_TrialGoesToOneOfManyCalls(t *testing.T) {
	_, h := newHost(notProbing())
	h.Observe(second, callSilent)
	now := second + int64(DoubtHold) + 16
	var won atomic.Int32
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			if _, trial := h.State(now); trial && h.Claim(now) {
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
				h.State(now)
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
	for s := Up; s <= Down; s++ {
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
				now += 16
				h.Observe(now, o)
				h.State(now)
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
	for _, at := range []int64{1, 15, 16, 17, second, time.Now().UnixNano(), 1<<62 - 1} {
		s := Status{State: Doubtful, Doubt: true, DoubtUntil: at}
		w := pack(&s, true)
		require.Equal(t, Doubtful, w.state())
		require.GreaterOrEqual(t, w.until(), at)
		require.Less(t, w.until()-at, int64(16))
		_, trial := w.at(at - 1)
		require.False(t, trial)
		_, trial = w.at(w.until())
		require.True(t, trial)
	}
}

func BenchmarkHost(b *testing.B) {
	_, h := newHost(probing())
	b.Run("State", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.State(second)
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
