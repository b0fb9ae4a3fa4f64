package router

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// naiveWheel is what a wheel does, without slots.
type naiveWheel map[*call]int64

func (n naiveWheel) earliest() int64 {
	at := never
	for _, d := range n {
		at = min(at, d)
	}
	return at
}

// TestWheelAgainstNaive sets, moves and removes deadlines at random, with time
// that runs on, jumps and stands idle. It holds: nothing comes early, nothing
// late, nothing is lost, and next never oversleeps.
func TestWheelAgainstNaive(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		w, naive := new(wheel), naiveWheel{}
		calls := make([]call, 1+random.IntN(60))
		now := random.Int64N(int64(time.Hour))
		span := []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 5 * time.Second, 12 * time.Second, 200 * time.Second}[random.IntN(5)]
		for range 2000 {
			switch random.IntN(10) {
			case 0, 1, 2, 3:
				c := &calls[random.IntN(len(calls))]
				at := now + random.Int64N(int64(span)) - int64(20*time.Millisecond) // now and then it is past
				w.set(c, at, now)
				naive[c] = at
			case 4:
				c := &calls[random.IntN(len(calls))]
				w.set(c, never, now)
				delete(naive, c)
			case 5:
				c := &calls[random.IntN(len(calls))]
				w.remove(c)
				delete(naive, c)
			case 6: // time goes on, and nobody looks
				now += random.Int64N(int64(span))
			case 7: // idle for long
				if random.IntN(20) == 0 {
					now += random.Int64N(int64(time.Hour))
				}
			default:
				now += random.Int64N(int64(30 * time.Millisecond))
				turn(t, seed, w, naive, now)
			}
			require.Equal(t, len(naive), w.count, "seed %d", seed)
			requireNext(t, seed, w, naive)
		}
		// Now on as RunTimers does it: sleep until next, and see that nothing was missed.
		for len(naive) > 0 {
			require.NotEqual(t, never, w.next(), "seed %d", seed)
			now = max(now, w.next())
			turn(t, seed, w, naive, now)
			requireNext(t, seed, w, naive)
		}
		require.Equal(t, never, w.next(), "seed %d", seed)
		require.Zero(t, w.used, "seed %d", seed)
	}
}

// turn pops all that is due.
func turn(t *testing.T, seed uint64, w *wheel, naive naiveWheel, now int64) {
	for c := w.pop(now); c != nil; c = w.pop(now) {
		d, ok := naive[c]
		require.True(t, ok, "seed %d: it was taken out", seed)
		require.LessOrEqual(t, d, now, "seed %d: early", seed)
		delete(naive, c)
	}
	for _, d := range naive {
		require.Greater(t, d, now, "seed %d: left behind", seed)
	}
	require.Greater(t, w.next(), now, "seed %d: no busy loop", seed)
}

// requireNext: no deadline is overslept, and one within the horizon is what is
// waited for, unless others have to be looked at.
func requireNext(t *testing.T, seed uint64, w *wheel, naive naiveWheel) {
	if len(naive) == 0 {
		require.Equal(t, never, w.next(), "seed %d", seed)
		return
	}
	require.LessOrEqual(t, w.next(), max(naive.earliest(), w.tick*wheelTick), "seed %d", seed)
}

// A deadline far beyond the horizon is looked at a few times, not at each tick.
func TestWheelBeyondTheHorizon(t *testing.T) {
	w, c := new(wheel), new(call)
	at := int64(185 * time.Second)
	w.set(c, at, 0)
	looks := 0
	for now := w.next(); ; now = w.next() {
		looks++
		if w.pop(now) != nil {
			require.Equal(t, at, now)
			break
		}
	}
	require.LessOrEqual(t, looks, 20)
}

// After an idle hour the first deadline is as near as it says.
func TestWheelAfterAnIdleHour(t *testing.T) {
	w, c := new(wheel), new(call)
	w.set(c, int64(time.Second), 0)
	require.Equal(t, c, w.pop(int64(time.Second)))
	now := int64(time.Hour)
	w.set(c, now+int64(500*time.Millisecond), now)
	require.Equal(t, now+int64(500*time.Millisecond), w.next())
	require.Nil(t, w.pop(now+int64(499*time.Millisecond)))
	require.Equal(t, c, w.pop(now+int64(500*time.Millisecond)))
}

func TestWheelSetAgainOnly(t *testing.T) {
	w, c := new(wheel), new(call)
	for now := int64(0); now < int64(time.Minute); now += int64(100 * time.Millisecond) {
		w.set(c, now+int64(time.Second), now)
		require.Nil(t, w.pop(now))
	}
	require.Equal(t, 1, w.count)
}

// Deadlines within one tick come one after the other, each at its time.
func TestWheelWithinATick(t *testing.T) {
	w, calls := new(wheel), make([]call, 3)
	for i := range calls {
		w.set(&calls[i], wheelTick+int64(3-i)*milli, 0)
	}
	for i := range calls {
		at := wheelTick + int64(i+1)*milli
		require.Equal(t, at, w.next())
		require.Nil(t, w.pop(at-1))
		require.Same(t, &calls[2-i], w.pop(at))
		require.Nil(t, w.pop(at))
	}
	require.Equal(t, never, w.next())
}

func TestOnTick(t *testing.T) {
	for at, want := range map[int64]int64{0: 0, 1: wheelTick, wheelTick: wheelTick, wheelTick + 1: 2 * wheelTick, never: never, never - 1: never - 1} {
		require.Equal(t, want, onTick(at))
	}
}
