package health

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegistry_KeepsHealthAcrossReloads(t *testing.T) {
	var flips []Flip
	r := NewRegistry(Options{Settings: *probing(), OnFlip: func(f Flip) { flips = append(flips, f) }})
	a, b := r.Host(testKey(1)), r.Host(testKey(2))
	a.Observe(second, callSilent)
	b.Observe(second, callSilent)
	require.Len(t, flips, 2)
	require.Equal(t, Flip{Key: testKey(1), From: Up, To: Doubtful, Reason: Reason{Event: CallSilent}, At: second}, flips[0])

	r.Host(testKey(3))
	r.Retain([]Key{testKey(1), testKey(3), testKey(4)})
	require.Same(t, a, r.Host(testKey(1)))
	s, _ := look(r.Host(testKey(1)), second)
	require.Equal(t, Doubtful, s)
	s, _ = look(r.Host(testKey(2)), second)
	require.Equal(t, Up, s, "dropped, so it begins anew")

	b.Observe(2*second, callOK)
	b.Wake()
	require.Len(t, flips, 2, "nobody is told about a host that was dropped")
}

func TestRegistry_ListenersAreApart(t *testing.T) {
	r := NewRegistry(Options{Settings: *probing()})
	k := testKey(1)
	r.Host(k).Observe(second, callSilent)
	k.Listener = "udp://10.9.9.9:5070"
	s, _ := look(r.Host(k), second)
	require.Equal(t, Up, s)
}

func TestRegistry_EachIsInOrder(t *testing.T) {
	r := NewRegistry(Options{Settings: *probing()})
	for _, i := range []int{3, 1, 4, 5, 9, 2, 6} {
		r.Host(testKey(i))
	}
	r.Retain([]Key{testKey(9), testKey(1), testKey(4), testKey(2)})
	r.Host(testKey(3))
	var got []Key
	r.Each(func(k Key, h *Host) {
		require.Equal(t, k, h.Key())
		got = append(got, k)
	})
	require.Equal(t, []Key{testKey(1), testKey(2), testKey(3), testKey(4), testKey(9)}, got)
}

func TestRegistry_DoubtAsksForOneProbe(t *testing.T) {
	r := NewRegistry(Options{Settings: *probing()})
	a, b := r.Host(testKey(1)), r.Host(testKey(2))
	woken := func() bool {
		select {
		case <-r.Woken():
			return true
		default:
			return false
		}
	}
	require.False(t, woken())
	for range 100 {
		a.Observe(second, callSilent)
	}
	require.True(t, woken())
	require.Equal(t, []*Host{a}, r.Wanted(nil))
	require.Empty(t, r.Wanted(nil))
	a.Observe(second, callICMP)
	require.False(t, woken(), "already doubtful: the schedule takes care of it")

	a.Wake()
	b.Wake()
	b.Wake()
	require.True(t, woken())
	require.False(t, woken())
	require.ElementsMatch(t, []*Host{a, b}, r.Wanted(nil))

	r.Configure(*notProbing(), second)
	require.True(t, woken(), "the prober has to know")
	r.Configure(*notProbing(), second)
	require.False(t, woken(), "nothing new")
	b.Observe(second, callSilent)
	require.False(t, woken(), "nobody probes")
	require.Empty(t, r.Wanted(nil))
}

// TestRegistry_LosesNoWake has many goroutines wake hosts while one takes them.
func TestRegistry_LosesNoWake(t *testing.T) {
	r := NewRegistry(Options{Settings: *probing()})
	const hosts, rounds = 50, 200
	var wakers sync.WaitGroup
	for w := range 4 {
		wakers.Go(func() {
			for i := range rounds * hosts {
				r.Host(testKey((i + w) % hosts)).Wake()
			}
		})
	}
	over := make(chan struct{})
	go func() { wakers.Wait(); close(over) }()
	seen := map[*Host]int{}
	take := func() {
		for _, h := range r.Wanted(nil) {
			seen[h]++
		}
	}
	for done := false; !done; {
		select {
		case <-r.Woken():
			take()
		case <-over:
			done = true
		}
	}
	take()
	require.Len(t, seen, hosts)
	require.Empty(t, r.Wanted(nil))
	for i := range hosts { // none is stuck
		r.Host(testKey(i)).Wake()
	}
	require.Len(t, r.Wanted(nil), hosts)
}
