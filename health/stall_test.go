package health

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

func TestStallAfter(t *testing.T) {
	set := probing()
	require.Equal(t, 4*time.Second, stallAfter(0, set))
	require.Equal(t, 4*time.Second, stallAfter(3*time.Second, set))
	require.Equal(t, 10*time.Second, stallAfter(8*time.Second, set), "what is slow has its time, and a quarter more")
	off := with(func(set *catalog.Health) { set.Stall = 0 })
	require.Zero(t, stallAfter(8*time.Second, &off))
}

func TestStalled(t *testing.T) {
	const now, after = 100 * second, 4 * time.Second
	set := probing()
	long := now - int64(after)
	require.True(t, stalled(5, long, now, after, set))
	require.True(t, stalled(5, 0, now, after, set), "none ever went on")
	require.False(t, stalled(4, long, now, after, set), "eject_after is 5")
	require.False(t, stalled(500, long+1, now, after, set), "one went on since")
	require.False(t, stalled(500, long, now, 0, set), "off")
	off := with(func(set *catalog.Health) { set.EjectAfter = 0 })
	require.False(t, stalled(4, long, now, after, &off))
	require.True(t, stalled(5, long, now, after, &off))
}

func TestSlower(t *testing.T) {
	require.Equal(t, 8*time.Second, slower(0, 8*time.Second), "at once")
	require.Equal(t, 8*time.Second, slower(8*time.Second, 8*time.Second))
	s := 8 * time.Second
	for range 100 {
		s = slower(s, time.Second/5)
	}
	require.Less(t, s, 3*time.Second, "and forgotten in a hundred calls")
}

func TestNext_Stall(t *testing.T) {
	set := probing()
	s := Next(Status{}, callsStall, 10*second, set)
	require.Equal(t, Doubtful, s.State)
	require.Equal(t, "5 calls wait with nothing but 100, and none got more", s.Reason.String())
	require.Equal(t, Doubtful, Next(s, callTrying, 11*second, set).State, "that is all that calls get")
	require.Equal(t, Doubtful, Next(s, ok200, 11*second, set).State, "OPTIONS were fine all the time")
	require.Equal(t, Up, Next(s, callOK, 11*second, set).State)
	require.Equal(t, Up, Next(s, callFailed(1), 11*second, set).State)
	require.Equal(t, Up, Next(s, callBeyond, 11*second, set).State, "too late for its call, but it goes on")

	s = Next(s, ok200, 20*second, set)
	require.Equal(t, Up, s.State, "the hold is over")
	s = Next(s, callTrying, 21*second, set)
	s = Next(s, callsStall, 25*second, set)
	require.Equal(t, 45*second, s.DoubtUntil, "nothing went on in between: twice as long")

	down, now := play(times(3, silent)...)
	down = Next(down, callsStall, now, set)
	require.Equal(t, Down, down.State)
	require.False(t, down.Stalled)

	back := Next(Next(down, ok200, now+second, set), ok200, now+2*second, set)
	old := callsStall
	old.Began = now
	require.Equal(t, Recovering, Next(back, old, now+3*second, set).State, "older news than its return")
}

// A traffic is calls that begin at times and go on after others, as a router
// tells a host of them.
type traffic []trafficEvent

type trafficEvent struct {
	at, began int64
	kind      int // beginning, waiting, progress, end
	goesOn    int64
	waits     *bool
}

func (q traffic) Len() int           { return len(q) }
func (q traffic) Less(i, j int) bool { return q[i].at < q[j].at }
func (q traffic) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *traffic) Push(x any)        { *q = append(*q, x.(trafficEvent)) }
func (q *traffic) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

// plays has a host take calls that begin at the given times; the ith goes on
// after took(i), or never when that is 0, and is given up after 12 s. It returns
// when the host became doubtful first, 0: never.
func plays(h *Host, begins []int64, took func(i int) time.Duration) (doubted int64) {
	const beginning, waiting, progress, end = 0, 1, 2, 3
	var q traffic
	for i, at := range begins {
		q = append(q, trafficEvent{at: at, began: at, goesOn: int64(took(i)), waits: new(bool)})
	}
	heap.Init(&q)
	for len(q) > 0 {
		e := heap.Pop(&q).(trafficEvent)
		next := e
		switch e.kind {
		case beginning:
			next.at, next.kind = e.at+int64(h.StallAfter()), waiting
			heap.Push(&q, next)
			next.at, next.kind = e.at+int64(12*time.Second), end
			if e.goesOn > 0 && e.goesOn < int64(12*time.Second) {
				next.at, next.kind = e.at+e.goesOn, progress
			}
			heap.Push(&q, next)
		case waiting:
			if later := e.began + int64(h.StallAfter()); later > e.at {
				next.at = later
				heap.Push(&q, next)
			} else if e.goesOn == 0 || e.began+e.goesOn > e.at {
				*e.waits = true
				h.Waits(e.began, e.at)
			}
		case progress:
			h.Progressed(e.began, e.at)
			h.Observe(e.at, Observation{Event: CallAnswered, Code: 180, Began: e.began})
		}
		if e.kind >= progress && *e.waits {
			*e.waits = false
			h.Resumes()
		}
		if v := h.View(e.at); doubted == 0 && v.State == Doubtful {
			doubted = e.at
		}
	}
	return doubted
}

// steadily are calls at a rate for a time, at random moments.
func steadily(rnd *rand.Rand, from int64, rate float64, over time.Duration) (begins []int64) {
	for at := from; at < from+int64(over); {
		begins = append(begins, at)
		at += int64(rnd.ExpFloat64() / rate * float64(time.Second))
	}
	return begins
}

// A host whose calls take long is never in doubt while they go on: at any rate,
// and in bursts after times without calls.
func TestStall_SlowIsNotStalled(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		_, h := newHost(probing())
		slow := time.Duration(200+rnd.IntN(9300)) * time.Millisecond
		took := func(int) time.Duration { return slow - time.Duration(rnd.Int64N(int64(slow)/10)) }
		// It is learnt from the first call that goes on.
		require.Zero(t, plays(h, []int64{second}, took))
		now := 30 * second
		for _, rate := range []float64{0.05, 0.3, 1, 3, 20, 100} {
			begins := steadily(rnd, now, rate, time.Minute)
			require.Zero(t, plays(h, begins, took), "seed %d: %v to ring, %v calls/s", seed, slow, rate)
			now = begins[len(begins)-1] + 600*second
			burst := make([]int64, 50)
			for i := range burst {
				burst[i] = now + rnd.Int64N(second)
			}
			require.Zero(t, plays(h, burst, took), "seed %d: %v to ring, a burst", seed, slow)
			now += 60 * second
		}
		require.Zero(t, h.stalls.waiting.Load())
	}
}

// One that goes on with no call is found out soon after the time that it is
// given, whatever it did before.
func TestStall_IsFoundOut(t *testing.T) {
	for _, rate := range []float64{1, 5, 20, 200} {
		_, h := newHost(probing())
		rnd := rand.New(rand.NewPCG(1, 1))
		require.Zero(t, plays(h, steadily(rnd, second, rate, time.Minute), func(int) time.Duration { return time.Second }))
		fell := 100 * second
		doubted := plays(h, steadily(rnd, fell, rate, 20*time.Second), func(int) time.Duration { return 0 })
		require.NotZero(t, doubted)
		require.InDelta(t, 4+4/rate, float64(doubted-fell)/1e9, 1+4/rate, "%v calls/s", rate)
		require.Zero(t, h.stalls.waiting.Load())
	}
}

func TestStall_AllocatesNothing(t *testing.T) {
	_, h := newHost(probing())
	now := second
	require.Zero(t, testing.AllocsPerRun(100, func() {
		now += second
		_ = h.StallAfter()
		h.Waits(now-5*second, now)
		h.Resumes()
		h.Progressed(now-second/2, now)
	}))
}
