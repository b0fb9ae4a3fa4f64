package names

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	errSilent = errors.New("no answer from any server")
	errNone   = &net.DNSError{Err: "no such host", IsNotFound: true}
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// rig is a Names with a clock and a resolver of ours, and without goroutines:
// lookups happen when the test says so.
type rig struct {
	*Names
	t      *testing.T
	at     time.Duration
	zone   map[string][]netip.Addr
	err    error    // of names not in zone
	asked  []string // since the last work
	called int      // of Resolved
}

func newRig(t *testing.T, o Options) *rig {
	r := &rig{t: t, zone: map[string][]netip.Addr{}, err: errNone, at: time.Hour}
	o.Now = func() int64 { return int64(r.at) }
	o.Lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		r.asked = append(r.asked, name)
		if a, ok := r.zone[name]; ok {
			return a, nil
		}
		return nil, r.err
	}
	o.Resolved = func() {
		require.True(t, r.mu.TryLock(), "Resolved is called without locks")
		r.mu.Unlock()
		r.called++
	}
	r.Names = New(o)
	return r
}

// work does what Run does, once for all that is queued, and returns the names.
func (r *rig) work() []string {
	r.asked = nil
	for {
		select {
		case e := <-r.firsts:
			r.resolve(r.t.Context(), e)
		case e := <-r.refreshes:
			r.resolve(r.t.Context(), e)
		default:
			r.consistent()
			return r.asked
		}
	}
}

// get is Get in words.
func (r *rig) get(name string) string {
	r.t.Helper()
	got, state := r.Get([]byte(name))
	r.consistent()
	require.Equal(r.t, state == Known, len(got) > 0)
	words := []string{state.String()}
	for _, a := range got {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

// consistent checks that buckets, lists and counts tell the same story.
func (r *rig) consistent() { r.t.Helper(); consistent(r.t, r.Names) }

func consistent(t *testing.T, n *Names) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	seen, pending := map[string]bool{}, 0
	for i := range n.buckets {
		for e := n.buckets[i].Load(); e != nil; e = e.chain.Load() {
			if seen[e.name] {
				require.Fail(t, "twice", e.name)
			}
			seen[e.name] = true
			if e.pending.Load() {
				pending++
			}
			if (e.on == nil) != e.pending.Load() || e.on == &n.kept && !e.kept {
				require.Fail(t, "in the wrong list", e.name)
			}
		}
	}
	require.Equal(t, n.count, len(seen))
	require.LessOrEqual(t, n.count, n.room)
	require.LessOrEqual(t, n.kept.len, n.keptRoom)
	for _, l := range []*list{&n.recent, &n.kept} {
		length := 0
		for e, newer := l.newest, (*entry)(nil); e != nil; newer, e = e, e.older {
			if e.on != l || e.newer != newer || !seen[e.name] {
				require.Fail(t, "bad link", e.name)
			}
			length++
		}
		require.Equal(t, l.len, length)
	}
	require.Equal(t, n.count, pending+n.recent.len+n.kept.len)
}

func (r *rig) names() (names []string) {
	for i := range r.buckets {
		for e := r.buckets[i].Load(); e != nil; e = e.chain.Load() {
			names = append(names, e.name)
		}
	}
	return names
}

// What Get says of one name as time goes by and the resolver does what it does.
func TestLifeOfAName(t *testing.T) {
	const name = "pbx.example.com"
	type step struct {
		after  time.Duration
		answer any    // what the resolver says from now on: addresses or an error
		want   string // of Get
		asked  bool   // Get had it looked up
	}
	one, two := addrs("192.0.2.1"), addrs("192.0.2.2")
	learn := []step{{0, one, "pending", true}, {0, nil, "known 192.0.2.1", false}}
	for _, c := range []struct {
		name  string
		o     Options
		steps []step
	}{
		{"a good answer is not asked for again", Options{}, append(learn,
			step{29 * time.Second, two, "known 192.0.2.1", false})},
		{"an expired answer is served at once and refreshed", Options{}, append(learn,
			step{30 * time.Second, two, "known 192.0.2.1", true},
			step{0, nil, "known 192.0.2.2", false})},
		{"even one that nobody used for long", Options{}, append(learn,
			step{time.Hour, two, "known 192.0.2.1", true},
			step{0, nil, "known 192.0.2.2", false})},
		{"but not for ever", Options{}, append(learn,
			step{time.Hour + 30*time.Second, two, "pending", true},
			step{0, nil, "known 192.0.2.2", false})},
		{"a resolver that fails leaves the last good answer", Options{}, append(learn,
			step{30 * time.Second, errSilent, "known 192.0.2.1", true},
			step{time.Second, nil, "known 192.0.2.1", false}, // KeepFailed
			step{time.Second, nil, "known 192.0.2.1", true},
			step{59 * time.Minute, nil, "known 192.0.2.1", true},
			step{time.Minute - 2*time.Second, nil, "pending", true}, // an hour beyond Keep
			step{0, nil, "failed", false},
			step{2 * time.Second, two, "pending", true},
			step{0, nil, "known 192.0.2.2", false})},
		{"a name that is gone is gone", Options{}, append(learn,
			step{30 * time.Second, errNone, "known 192.0.2.1", true},
			step{0, nil, "failed", false})},
		{"so is one without a usable address", Options{}, append(learn,
			step{30 * time.Second, addrs("0.0.0.0", "224.0.0.1"), "known 192.0.2.1", true},
			step{0, nil, "failed", false})},
		{"a failure is kept for a while", Options{}, []step{
			{0, errSilent, "pending", true},
			{0, nil, "failed", false},
			{2*time.Second - 1, one, "failed", false},
			{1, nil, "pending", true},
			{0, nil, "known 192.0.2.1", false}}},
		{"times of one's own", Options{Keep: time.Second, KeepFailed: time.Minute, KeepStale: 10 * time.Second}, append(learn,
			step{time.Second, errSilent, "known 192.0.2.1", true},
			step{10*time.Second - 1, nil, "known 192.0.2.1", false},
			step{1, nil, "failed", false},
			step{50 * time.Second, two, "pending", true})},
		{"nothing stale", Options{KeepStale: -1}, append(learn,
			step{30*time.Second - 1, two, "known 192.0.2.1", false},
			step{1, two, "pending", true})},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.o)
			for i, s := range c.steps {
				r.at += s.after
				switch a := s.answer.(type) {
				case []netip.Addr:
					r.zone[name] = a
				case error:
					delete(r.zone, name)
					r.err = a
				}
				require.Equal(t, s.want, r.get(name), "step %d", i)
				require.Equal(t, s.asked, len(r.work()) == 1, "step %d", i)
			}
		})
	}
}

func TestOneLookupPerNameAtATime(t *testing.T) {
	r := newRig(t, Options{})
	r.zone["a.example"] = addrs("2001:db8::1")
	for _, same := range []string{"a.example", "A.Example", "a.EXAMPLE.", "a.example"} {
		require.Equal(t, "pending", r.get(same))
	}
	require.Equal(t, []string{"a.example"}, r.work())
	require.Equal(t, 1, r.called)
	require.Equal(t, "known 2001:db8::1", r.get("A.EXAMPLE."))
	r.at += time.Minute
	for range 3 {
		require.Equal(t, "known 2001:db8::1", r.get("a.example"))
	}
	require.Equal(t, []string{"a.example"}, r.work())
	require.Equal(t, 2, r.called)
}

func TestRubbishReachesNoResolver(t *testing.T) {
	r := newRig(t, Options{})
	for _, bad := range []string{"", ".", "192.0.2.1", "a b", "a\x00b", strings.Repeat("a.", 200)} {
		require.Equal(t, "failed", r.get(bad), bad)
	}
	require.Empty(t, r.work())
	require.Equal(t, Stats{Refused: 6}, r.Stats())
}

func TestStats(t *testing.T) {
	r := newRig(t, Options{Room: 2, Parallel: 1})
	r.zone["a"] = addrs("192.0.2.1")
	r.get("a") // miss
	r.get("b") // miss
	r.get("c") // full
	r.get("a") // miss, though it was queued before
	r.work()
	r.get("a") // hit
	r.get("b") // hit: it is known to fail
	r.get("-") // refused
	require.Equal(t, Stats{Hits: 2, Misses: 3, Full: 1, Refused: 1, Lookups: 2, Failures: 1, Names: 2}, r.Stats())
	r.err = errSilent
	delete(r.zone, "a")
	r.at += time.Minute
	r.get("a")
	r.work()
	got := r.Stats()
	require.EqualValues(t, 2, got.Failures, "a refresh that fails counts, though a stale answer is there")
	require.Equal(t, "known 192.0.2.1", r.get("a"))
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	for _, resolves := range []bool{true, false} {
		t.Run(fmt.Sprint("resolves: ", resolves), func(t *testing.T) {
			r := newRig(t, Options{Room: 8, Keep: time.Hour, KeepFailed: time.Hour})
			for i := range 9 {
				if name := fmt.Sprint("n", i); resolves {
					r.zone[name] = addrs("192.0.2.1")
				}
			}
			use := func(names ...string) {
				for _, name := range names {
					r.at += recency
					if r.get(name) == "pending" {
						r.work()
						r.get(name)
					}
				}
			}
			use("n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7")
			use("n1", "n0", "n3", "n2")
			use("n8")
			require.NotContains(t, r.names(), "n4")
			require.Len(t, r.names(), 8)
			use("n5", "n4")
			require.NotContains(t, r.names(), "n6")
			require.Len(t, r.names(), 8)
		})
	}
}

func TestFloodOfNewNamesLeavesThoseInUse(t *testing.T) {
	r := newRig(t, Options{Room: 64, Parallel: 2})
	var used []string
	for i := range 56 {
		name := fmt.Sprintf("pbx%d.example", i)
		used = append(used, name)
		r.zone[name] = addrs("192.0.2.1")
		r.get(name)
		r.work()
		r.get(name)
	}
	for i := range 100_000 {
		r.Get(fmt.Appendf(nil, "flood%d.example", i))
		if i%1000 == 0 {
			r.at += time.Millisecond
			require.LessOrEqual(t, len(r.work()), 64, "lookups are bounded")
		}
	}
	for _, name := range used {
		require.Equal(t, "known 192.0.2.1", r.get(name))
	}
	require.LessOrEqual(t, r.Stats().Names, 64)
	require.NotZero(t, r.Stats().Full)
}

// While the queue for new names is full, those in use are still refreshed.
func TestFloodDoesNotStopRefreshes(t *testing.T) {
	r := newRig(t, Options{Parallel: 1})
	r.zone["pbx.example"] = addrs("192.0.2.1")
	r.get("pbx.example")
	r.work()
	r.at += time.Minute
	for i := range 2 * queuePerLookup {
		want := "pending"
		if i >= queuePerLookup {
			want = "full"
		}
		require.Equal(t, want, r.get(fmt.Sprint("flood", i)))
	}
	require.Equal(t, "known 192.0.2.1", r.get("pbx.example"))
	require.Equal(t, "full", r.get("other.example"))
	require.Contains(t, r.work(), "pbx.example")
	require.Equal(t, "pending", r.get("other.example"))
}

// With the queue for refreshes full the stale answer is good all the same.
func TestRefreshThatFindsNoRoom(t *testing.T) {
	r := newRig(t, Options{Parallel: 1})
	names := make([]string, queuePerLookup+1)
	for i := range names {
		names[i] = fmt.Sprint("pbx", i)
		r.zone[names[i]] = addrs("192.0.2.1")
		r.get(names[i])
		r.work()
	}
	r.at += time.Minute
	for _, name := range names {
		require.Equal(t, "known 192.0.2.1", r.get(name))
	}
	require.Equal(t, names[:queuePerLookup], r.work())
	require.Equal(t, "known 192.0.2.1", r.get(names[queuePerLookup]))
	require.Equal(t, names[queuePerLookup:], r.work())
	require.Zero(t, r.Stats().Full)
}

func TestNameWithALookupUnderWayIsNotEvicted(t *testing.T) {
	r := newRig(t, Options{Room: 2})
	require.Equal(t, "pending", r.get("a"))
	require.Equal(t, "pending", r.get("b"))
	require.Equal(t, "full", r.get("c"))
	require.ElementsMatch(t, []string{"a", "b"}, r.names())
	r.work()
	require.Equal(t, "pending", r.get("c"), "now there is one to evict")
	require.ElementsMatch(t, []string{"b", "c"}, r.names())
}

// A reader may hold an entry while it is evicted: its use then changes nothing.
func TestTouchOfAnEvictedEntry(t *testing.T) {
	r := newRig(t, Options{Room: 1})
	r.zone["a"] = addrs("192.0.2.1")
	r.get("a")
	r.work()
	held := r.recent.newest
	require.Equal(t, "pending", r.get("b"))
	r.at += time.Minute
	r.touch(held, true, int64(r.at))
	require.Equal(t, []string{"b"}, r.work())
	require.Equal(t, []string{"b"}, r.names())
}

// A hit waits for nobody: with the lock held elsewhere it is answered all the
// same, and only the note of its use is left out.
func TestHitDoesNotWaitForTheLock(t *testing.T) {
	r := newRig(t, Options{})
	r.zone["a"] = addrs("192.0.2.1")
	r.get("a")
	r.get("b")
	r.work()
	for range 2 {
		r.mu.Lock()
		_, state := r.Get([]byte("a"))
		require.Equal(t, Known, state)
		_, state = r.Get([]byte("b"))
		require.Equal(t, Failed, state)
		_, state = r.Get([]byte("-"))
		require.Equal(t, Failed, state)
		r.mu.Unlock()
		require.Empty(t, r.work(), "nothing was queued")
		r.get("b")
		r.work() // b: its failure is over
		r.at += time.Minute
		r.get("b")
		r.work()
	}
	require.Equal(t, "known 192.0.2.1", r.get("a"))
	require.Equal(t, []string{"a"}, r.work(), "the next hit queues the refresh")
}

func TestAddressesAreShared(t *testing.T) {
	r := newRig(t, Options{})
	r.zone["a"] = addrs("192.0.2.1", "192.0.2.2", "192.0.2.1")
	r.get("a")
	r.work()
	one, _ := r.Get([]byte("a"))
	two, _ := r.Get([]byte("a"))
	require.Same(t, &one[0], &two[0])
	_ = append(one, netip.Addr{})
	require.Equal(t, len(one), cap(one), "whoever appends gets a slice of its own")
	r.zone["a"][0] = netip.Addr{}
	require.Equal(t, "known 192.0.2.1 192.0.2.2", r.get("a"), "the resolver's slice is not kept")
}

func TestUsableAddresses(t *testing.T) {
	var many, first []netip.Addr
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		many = append(many, a)
		if i < maxAddrs {
			first = append(first, a)
		}
	}
	rand.Shuffle(len(many), func(i, j int) { many[i], many[j] = many[j], many[i] })
	for _, c := range []struct {
		name        string
		found, want []netip.Addr
	}{
		{"nothing", nil, nil},
		{"order", addrs("2001:db8::2", "192.0.2.9", "2001:db8::1", "10.0.0.1"), addrs("10.0.0.1", "192.0.2.9", "2001:db8::1", "2001:db8::2")},
		{"twice", addrs("192.0.2.1", "192.0.2.1"), addrs("192.0.2.1")},
		{"IPv4 in IPv6", addrs("::ffff:192.0.2.1", "192.0.2.1", "::ffff:0.0.0.0"), addrs("192.0.2.1")},
		{"zones", addrs("fe80::1%eth0", "fe80::1%eth1"), addrs("fe80::1")},
		{"unspecified", addrs("0.0.0.0", "::"), nil},
		{"multicast", addrs("224.0.0.1", "239.1.2.3", "ff02::1%eth0", "::ffff:224.0.0.1"), nil},
		{"broadcast", addrs("255.255.255.255"), nil},
		{"no address at all", []netip.Addr{{}}, nil},
		{"what the caller decides on", addrs("127.0.0.1", "::1", "169.254.0.1"), addrs("127.0.0.1", "169.254.0.1", "::1")},
		{"a thousand", many, first},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, usable(c.found)) })
	}
}

// Random names, times and lookups: the lists stay whole, at most Room names are
// there, and what Get tells is what the resolver told last.
func TestRandomUse(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		r := newRig(t, Options{Room: 1 + rnd.IntN(40), Parallel: 1 + rnd.IntN(3)})
		told := map[string]string{}
		for range 2000 {
			name := fmt.Sprint("n", rnd.IntN(80))
			switch state := r.get(name); {
			case strings.HasPrefix(state, "known"):
				require.Equal(t, told[name], state, "seed %d", seed)
			case state == "failed":
				require.Empty(t, told[name], "seed %d", seed)
			}
			if rnd.IntN(10) == 0 {
				clear(r.zone)
				for i := range 80 {
					if rnd.IntN(3) > 0 {
						r.zone[fmt.Sprint("n", i)] = addrs(fmt.Sprint("192.0.2.", rnd.IntN(256)))
					}
				}
				for _, name := range r.work() {
					delete(told, name)
					if a, ok := r.zone[name]; ok {
						told[name] = "known " + a[0].String()
					}
				}
			}
			r.at += time.Duration(rnd.IntN(int(3 * time.Second)))
		}
	}
}

// Names whose hashes share a bucket are found, added and evicted alike.
func TestOneBucket(t *testing.T) {
	r := newRig(t, Options{Room: 10, KeepFailed: time.Hour})
	r.buckets = r.buckets[:1]
	for i := range 30 {
		r.get(fmt.Sprint("n", i))
		if i%3 == 0 {
			r.work()
		}
	}
	r.work()
	for _, name := range r.names() {
		require.Equal(t, "failed", r.get(name))
	}
	require.Len(t, r.names(), 10)
}

func TestStateNames(t *testing.T) {
	require.Equal(t, "failed known pending full", fmt.Sprint(Failed, Known, Pending, Full))
}

func TestHitsDoNotAllocate(t *testing.T) {
	r := newRig(t, Options{Keep: time.Hour, KeepFailed: time.Hour})
	r.zone["pbx.example.com"] = addrs("192.0.2.1", "2001:db8::1")
	for _, name := range []string{"pbx.example.com", "gone.example.com"} {
		r.get(name)
	}
	r.work()
	for _, name := range []string{"pbx.example.com", "PBX.Example.COM.", "gone.example.com", "-", strings.Repeat("x", 300)} {
		b := []byte(name)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			r.at += recency / 2 // noted every other time
			r.Get(b)
		}), name)
	}
	r.at += time.Hour
	stale := []byte("pbx.example.com")
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Get(stale) }), "stale, and queued")
	require.Len(t, r.work(), 1)
}

func BenchmarkGet(b *testing.B) {
	n := New(Options{Keep: time.Hour, Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1})}, nil
	}})
	const count = 3500
	names := make([][]byte, count)
	for i := range names {
		names[i] = fmt.Appendf(nil, "edge-%d.voice.example.com", i)
		n.Get(names[i])
		n.resolve(b.Context(), <-n.firsts)
	}
	hit := func(b *testing.B, i int) {
		if _, state := n.Get(names[i%count]); state != Known {
			b.Error(state)
		}
	}
	b.Run("one name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			hit(b, 0)
		}
	})
	b.Run("3500 names", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			hit(b, i)
		}
	})
	b.Run("3500 names from all processors", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for i := rand.IntN(count); p.Next(); i++ {
				hit(b, i)
			}
		})
	})
	b.Run("new names, full", func(b *testing.B) {
		b.ReportAllocs()
		var name []byte
		for i := 0; b.Loop(); i++ {
			name = fmt.Appendf(name[:0], "flood-%d.example.com", i)
			n.Get(name)
		}
	})
}
