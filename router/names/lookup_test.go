package names

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/dns"
	"tandem/router/dns/dnstest"
)

// run starts n, and ends it: when the returned function is back, so is Run.
// In a bubble of synctest no goroutine may be left at the end of the test.
func run(t *testing.T, n *Names) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	return func() { cancel(); <-done }
}

func TestSlowResolverBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var active, most, resolved atomic.Int64
		n := New(Options{Parallel: 4, Resolved: func() { resolved.Add(1) }, Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
			if strings.HasPrefix(name, "quick") {
				return addrs("192.0.2.1"), nil
			}
			most.Store(max(most.Load(), active.Add(1)))
			defer active.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		end := run(t, n)
		n.Get([]byte("quick.example"))
		synctest.Wait()
		began := time.Now()
		pending, full := 0, 0
		for i := range 1000 {
			switch _, state := n.Get(fmt.Appendf(nil, "slow%d.example", i)); state {
			case Pending:
				pending++
			case Full:
				full++
			}
			if i == 0 {
				synctest.Wait()
			}
		}
		require.Equal(t, 1000, pending+full)
		require.InDelta(t, 4*queuePerLookup, pending, 4)
		_, state := n.Get([]byte("quick.example"))
		require.Equal(t, Known, state)
		require.Zero(t, time.Since(began), "no time went by")

		synctest.Wait()
		require.EqualValues(t, 4, most.Load())
		time.Sleep(3 * time.Second) // Timeout
		synctest.Wait()
		require.EqualValues(t, 1+4, resolved.Load())
		require.EqualValues(t, 4, n.Stats().Failures)
		time.Sleep(time.Minute) // all of them
		synctest.Wait()
		require.EqualValues(t, 1+pending, n.Stats().Lookups)
		require.EqualValues(t, 4, most.Load())
		end()
	})
}

func TestRunEndsItsLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began, active atomic.Int64
		n := New(Options{Parallel: 2, Lookup: func(ctx context.Context, _ string) ([]netip.Addr, error) {
			began.Add(1)
			active.Add(1)
			defer active.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		end := run(t, n)
		for i := range 10 {
			n.Get(fmt.Appendf(nil, "n%d", i))
		}
		synctest.Wait()
		require.EqualValues(t, 2, active.Load())
		end()
		require.Zero(t, active.Load(), "nothing goes on after Run")
		before := began.Load()
		n.Get([]byte("late"))
		time.Sleep(time.Hour)
		require.Equal(t, before, began.Load())

		end = run(t, n) // what was queued still is
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 11, n.Stats().Lookups)
		end()
	})
}

// The caller's part: park, ask once more, and ask again on Resolved.
func TestResolvedWakesWhoParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		n := New(Options{
			Lookup: func(context.Context, string) ([]netip.Addr, error) {
				time.Sleep(50 * time.Millisecond)
				return addrs("192.0.2.1"), nil
			},
			Resolved: func() {
				select {
				case wake <- struct{}{}:
				default:
				}
			},
		})
		end := run(t, n)
		_, state := n.Get([]byte("pbx.example"))
		for state == Pending {
			<-wake
			_, state = n.Get([]byte("pbx.example"))
		}
		require.Equal(t, Known, state)
		end()
	})
}

// Many readers, few places, short times: for the race detector.
func TestUseFromManyGoroutines(t *testing.T) {
	var clock atomic.Int64
	n := New(Options{Room: 50, Parallel: 1, Now: func() int64 { return clock.Add(int64(10 * time.Millisecond)) },
		Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
			if name[1]%2 == 0 {
				return nil, errSilent
			}
			return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, name[1]})}, nil
		}})
	end := run(t, n)
	enough := func(s Stats) bool { return s.Lookups > 3000 && s.Hits > 3000 && s.Full > 0 }
	var gets atomic.Uint64
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			name := make([]byte, 0, 16)
			for i := 0; !enough(n.Stats()); i++ {
				name = fmt.Appendf(name[:0], "n%d.example", (i*(g+1))%99)
				if got, state := n.Get(name); state == Known && got[0].As4()[3] != name[1] {
					t.Errorf("%s: %s", name, got)
				}
				gets.Add(1)
			}
		})
	}
	wg.Wait()
	end()
	consistent(t, n)
	s := n.Stats()
	require.Equal(t, gets.Load(), s.Hits+s.Misses+s.Full+s.Refused)
}

// Against a real server: which answers and failures say that there is no such name.
func TestRealResolver(t *testing.T) {
	server := dnstest.Start(t, "127.0.0.1:0", "pbx.example.com. 60 IN A 192.0.2.1", "pbx.example.com. 60 IN AAAA 2001:db8::1")
	client := dns.New(dns.Options{Servers: []netip.AddrPort{server.Addr}, Timeout: 100 * time.Millisecond})
	ended := make(chan struct{}, 100)
	n := New(Options{Timeout: 200 * time.Millisecond, Resolved: func() { ended <- struct{}{} }, Lookup: client.Addresses})
	end := run(t, n)
	defer end()
	for _, c := range []struct {
		name  string
		mood  dnstest.Mood
		state State
		stale bool // what was known before stays
	}{
		{"pbx.example.com", dnstest.Good, Known, false},
		{"gone.example.com", dnstest.Good, Failed, false},
		{"bad.example.com", dnstest.Failing, Failed, true},
		{"mute.example.com", dnstest.Silent, Failed, true},
	} {
		server.Feel(c.mood)
		n.Get([]byte(c.name))
		<-ended
		got, state := n.Get([]byte(c.name))
		require.Equal(t, c.state, state, c.name)
		if state == Known {
			require.Equal(t, addrs("192.0.2.1", "2001:db8::1"), got)
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		found, err := n.lookup(ctx, c.name)
		cancel()
		next := n.outcome(&answer{addrs: addrs("192.0.2.1"), staleUntil: 2}, found, err, 1)
		require.Equal(t, c.stale, next.addrs != nil, "%s: %v", c.name, err)
	}
}
