package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHost_History(t *testing.T) {
	var flips []Flip
	r := NewRegistry(Options{Settings: *probing(), OnFlip: func(f Flip) { flips = append(flips, f) }})
	h := r.Host(testKey(1))
	require.Empty(t, h.History())
	h.Observe(second, callFullFor(2*time.Second))
	for range 5 {
		h.Observe(4*second, callStuck)
	}
	h.Observe(14*second, callStuck)
	h.Observe(34*second, callOK)
	want := []Change{
		{Up, Full, Reason{Event: CallFull, Code: 503, For: 2 * time.Second}, second},
		{Full, Up, Reason{Event: RetryAfterOver}, 3 * second},
		{Up, Ejected, Reason{Event: FailedCalls, Last: CallStuck, Count: 5, For: 10 * time.Second}, 4 * second},
		{Ejected, Ejected, Reason{Event: TrialFailed, Last: CallStuck, For: 20 * time.Second}, 14 * second},
		{Ejected, Recovering, Reason{Event: TrialAnswered}, 34 * second},
	}
	require.Equal(t, want, h.History())
	for i, f := range flips {
		require.Equal(t, Flip{testKey(1), want[i].From, want[i].To, want[i].Reason, want[i].At}, f)
	}
	require.Len(t, flips, len(want))

	for i := range int64(50) {
		h.Observe((40+i)*second, callICMP)
		h.Observe((40+i)*second, callOK)
	}
	list := h.History()
	require.Len(t, list, 32)
	require.Equal(t, 89*second, list[31].At)
	require.Equal(t, 74*second, list[0].At)
	list[0] = Change{}
	require.NotZero(t, h.History()[0], "a copy")
}

func TestHost_Calls(t *testing.T) {
	_, h := newHost(probing())
	require.Equal(t, Calls{}, h.Calls(second))
	for i := range int64(120) { // a call a second, every tenth fails; a probe every five
		h.Observe((1+i)*second, callTrying)
		if i%10 == 0 {
			h.Observe((1+i)*second, callFailed(1))
		} else {
			h.Observe((1+i)*second, callOK)
		}
		if i%5 == 0 {
			h.Observe((1+i)*second, ok200)
		}
	}
	calls := h.Calls(121 * second)
	require.InDelta(t, 60, calls.Over.Seconds(), 10.5)
	require.InDelta(t, calls.Over.Seconds(), float64(calls.Answered+calls.Failed), 1.5)
	require.InDelta(t, calls.Over.Seconds()/10, float64(calls.Failed), 1.5)

	calls = h.Calls(121*second + int64(time.Hour))
	require.Zero(t, calls.Answered+calls.Failed, "nothing since the last look")
	require.Equal(t, time.Hour, calls.Over)

	_, h = newHost(notProbing())
	for range 7 {
		h.Observe(second, callOK)
	}
	require.Equal(t, Calls{Answered: 7}, h.Calls(5*second), "never looked at before: all there were")
}
