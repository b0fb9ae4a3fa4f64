package health

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

func with(change func(*catalog.Health)) catalog.Health {
	set := catalog.DefaultHealth()
	change(&set)
	return set
}

func TestConfigure_KeepsWhatIsKnown(t *testing.T) {
	var flips []Flip
	r := NewRegistry(Options{Settings: *probing(), OnFlip: func(f Flip) { flips = append(flips, f) }})
	doubtful, full, failing, down := r.Host(testKey(1)), r.Host(testKey(2)), r.Host(testKey(3)), r.Host(testKey(4))
	hosts := []*Host{doubtful, full, failing, down}
	doubtful.Observe(second, callSilent)
	full.Observe(second, callFullFor(30*time.Second))
	failing.Observe(second, silent)
	for range 3 {
		down.Observe(second, silent)
	}
	var before []Status
	for _, h := range hosts {
		before = append(before, h.Status())
	}
	require.Equal(t, []State{Doubtful, Full, Up, Down}, []State{before[0].State, before[1].State, before[2].State, before[3].State})

	flips = nil
	reloaded := with(func(s *catalog.Health) { s.DownAfter, s.UpAfter, s.DoubtHold = 2, 1, time.Second })
	for i, h := range hosts {
		h.Configure(reloaded, 2*second)
		require.Equal(t, before[i], h.Status())
		require.Equal(t, reloaded, *h.Settings())
	}
	require.Empty(t, flips)

	// The thresholds are the new ones.
	_, to, _ := failing.Observe(3*second, silent)
	require.Equal(t, Down, to, "the second failure in a row")
	_, to, _ = down.Observe(3*second, ok200)
	require.Equal(t, Recovering, to, "the first success")
	down.Observe(4*second, callSilent)
	require.Equal(t, 5*second, down.Status().DoubtUntil)

	// What was known from before still holds.
	s, _ := look(full, 31*second-32)
	require.Equal(t, Full, s)
	s, _ = look(full, 31*second)
	require.Equal(t, Up, s)
	_, to, _ = doubtful.Observe(10*second, ok200)
	require.Equal(t, Doubtful, to, "held for as long as was said")
	_, to, _ = doubtful.Observe(11*second, ok200)
	require.Equal(t, Up, to)
}

func TestConfigure_ProbesOffAndOn(t *testing.T) {
	var flips []Flip
	r := NewRegistry(Options{Settings: *probing(), OnFlip: func(f Flip) { flips = append(flips, f) }})
	h, other := r.Host(testKey(1)), r.Host(testKey(2))
	for range 3 {
		h.Observe(second, silent)
		other.Observe(second, silent)
	}
	flips = nil
	off := with(func(s *catalog.Health) { s.Probe, s.DoubtHold = false, 2*time.Second })
	h.Configure(off, 2*second)
	require.Equal(t, []Flip{{Key: testKey(1), From: Down, To: Doubtful, Reason: Reason{Event: ProbesOff}, At: 2 * second}}, flips)
	s, trial := look(h, 4*second)
	require.Equal(t, Doubtful, s)
	require.True(t, trial, "by its own hold")
	require.True(t, h.Claim(4*second))
	require.False(t, h.Claim(6*second-32))
	require.True(t, h.Claim(6*second))
	s, _ = look(other, 4*second)
	require.Equal(t, Down, s, "another host's settings are nothing to this one")

	for range 9 {
		h.Observe(7*second, silent)
	}
	s, _ = look(h, 7*second)
	require.Equal(t, Doubtful, s, "late results count nothing")

	h.Configure(*probing(), 8*second)
	_, trial = look(h, 100*second)
	require.False(t, trial, "probes decide")
	_, to, _ := h.Observe(9*second, ok200)
	require.Equal(t, Up, to)
}

// A host asks for a probe by its own settings, not by the registry's.
func TestConfigure_DecidesWhetherADoubtWakesTheProber(t *testing.T) {
	r := NewRegistry(Options{Settings: *notProbing()})
	probed, other := r.Host(testKey(1)), r.Host(testKey(2))
	probed.Configure(*probing(), second)
	for _, h := range []*Host{probed, other} {
		h.Observe(second, callSilent)
	}
	require.Equal(t, []*Host{probed}, r.Wanted(nil))
}

func TestConfigure_TheRegistrysAreForHostsWithoutTheirOwn(t *testing.T) {
	first := with(func(s *catalog.Health) { s.DownAfter = 4 })
	next := with(func(s *catalog.Health) { s.DownAfter = 5 })
	own := with(func(s *catalog.Health) { s.DownAfter = 6 })
	r := NewRegistry(Options{Settings: first})
	plain, special, same := r.Host(testKey(1)), r.Host(testKey(2)), r.Host(testKey(3))
	special.Configure(own, second)
	same.Configure(first, second) // equal by chance, but its own
	require.Equal(t, first, *plain.Settings())

	r.Configure(next, second)
	require.Equal(t, next, *r.Settings())
	require.Equal(t, next, *plain.Settings())
	require.Equal(t, own, *special.Settings())
	require.Equal(t, first, *same.Settings())
	require.Equal(t, next, *r.Host(testKey(4)).Settings())

	r.Retain([]Key{testKey(2)})
	require.Same(t, special, r.Host(testKey(2)))
	require.Equal(t, own, *r.Host(testKey(2)).Settings())
	require.Equal(t, next, *r.Host(testKey(3)).Settings(), "dropped, so it begins anew")
}

func TestConfigure_EqualSettingsChangeNothing(t *testing.T) {
	r := NewRegistry(Options{Settings: *probing()})
	h := r.Host(testKey(1))
	h.Configure(*probing(), second)
	require.Zero(t, r.Changes())
	own := with(func(s *catalog.Health) { s.DownAfter = 6 })
	h.Configure(own, second)
	require.EqualValues(t, 1, r.Changes())
	<-r.Woken()

	inForce, word, same := h.Settings(), h.word.Load(), *probing()
	require.Zero(t, testing.AllocsPerRun(100, func() { h.Configure(own, 2*second) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Configure(same, 2*second) }))
	require.Same(t, inForce, h.Settings())
	require.Equal(t, word, h.word.Load())
	require.EqualValues(t, 1, r.Changes())
	require.Empty(t, r.Woken())
}

// TestConfigure_EqualSettingsAreKeptOnce: ten thousand hosts with the settings
// of one connector, reload after reload.
func TestConfigure_EqualSettingsAreKeptOnce(t *testing.T) {
	r := NewRegistry(Options{Settings: *probing()})
	a, b := r.Host(testKey(1)), r.Host(testKey(2))
	for i := range 50 {
		own := with(func(s *catalog.Health) { s.DownAfter = 10 + i })
		a.Configure(own, second)
		b.Configure(own, second)
		require.Same(t, a.Settings(), b.Settings())
		r.Retain([]Key{testKey(1), testKey(2)})
		require.Len(t, r.shared, 2, "those of the past are forgotten")
		require.Same(t, a.Settings(), r.share(own))
		require.Same(t, r.Settings(), r.share(*probing()))
	}
}

func TestConfigure_BesideCalls(t *testing.T) {
	sets := []catalog.Health{*probing(), *notProbing(),
		with(func(s *catalog.Health) { s.DownAfter, s.UpAfter = 1, 1 }),
		with(func(s *catalog.Health) { s.Probe, s.DoubtHold = false, time.Second })}
	r := NewRegistry(Options{Settings: sets[0], OnFlip: func(Flip) {}})
	hosts := []*Host{r.Host(testKey(1)), r.Host(testKey(2)), r.Host(testKey(3))}
	var workers sync.WaitGroup
	for i := range 6 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(5, uint64(i)))
			for n := range 3000 {
				h, now := hosts[rnd.IntN(3)], int64(n+1)*second/5
				set := sets[rnd.IntN(len(sets))]
				switch {
				case i == 0 && h != hosts[2]: // one host follows the registry
					h.Configure(set, now)
				case i == 1:
					r.Configure(set, now)
					if n%100 == 0 {
						r.Retain([]Key{testKey(1), testKey(2), testKey(3)})
					}
				default:
					look(h, now)
					h.Claim(now)
					h.Observe(now, anything[rnd.IntN(len(anything))])
					h.Settings()
					r.Wanted(nil)
				}
			}
		})
	}
	workers.Wait()
	require.Equal(t, *r.Settings(), *hosts[2].Settings())
	for _, h := range hosts {
		s := h.Status()
		require.Equal(t, pack(&s, !h.Settings().Probe), word(h.word.Load()))
		if !h.Settings().Probe {
			require.NotEqual(t, Down, s.State, "nothing that came late makes it so")
			require.False(t, s.ProbeFull)
			require.Zero(t, s.Failures)
		}
	}
}
