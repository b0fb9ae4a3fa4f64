package names

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
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

// server is a DNS server on loopback, as small as can be: a name that begins
// with "gone" does not exist, "bad" fails, "mute" is not answered, and all
// others have two addresses.
func server(t *testing.T) (address string) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := dnsReply(buf[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// dnsReply answers a query (RFC 1035 4.1).
func dnsReply(query []byte) []byte {
	const header = 12
	end := header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	first, kind := string(query[header+1:end]), binary.BigEndian.Uint16(query[end+1:])
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:end+5]...)
	rdata := map[uint16][]byte{
		1:  {192, 0, 2, 1},
		28: netip.MustParseAddr("2001:db8::1").AsSlice(),
	}[kind]
	switch {
	case strings.HasPrefix(first, "mute"):
		return nil
	case strings.HasPrefix(first, "gone"):
		reply[3] |= 3 // NXDOMAIN
	case strings.HasPrefix(first, "bad"):
		reply[3] |= 2 // SERVFAIL
	case rdata != nil:
		reply[7] = 1
		reply = append(reply, 0xc0, header, 0, byte(kind), 0, 1, 0, 0, 0, 60, 0, byte(len(rdata)))
		reply = append(reply, rdata...)
	}
	return reply
}

// The resolver of the net package against a real server: what it returns, and
// which of its errors say that there is no such name.
func TestRealResolver(t *testing.T) {
	at := server(t)
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialUntil(ctx, "udp", at)
	}}
	ended := make(chan struct{}, 100)
	n := New(Options{Timeout: 200 * time.Millisecond, Resolved: func() { ended <- struct{}{} },
		Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) { return r.LookupNetIP(ctx, "ip", name) }})
	end := run(t, n)
	for _, c := range []struct {
		name  string
		state State
		stale bool // what was known before stays
	}{
		{"pbx.example.com", Known, false},
		{"gone.example.com", Failed, false},
		{"bad.example.com", Failed, true},
		{"mute.example.com", Failed, true},
	} {
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
	n.Get([]byte("mute2.example.com"))
	end()
	// The net package's goroutines end just after, and not 5 s later when their
	// reads would time out.
	require.Eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "net.(*Resolver)")
	}, 2*time.Second, time.Millisecond)
}

func TestSystemResolver(t *testing.T) {
	ended := make(chan struct{}, 1)
	n := New(Options{Resolved: func() { ended <- struct{}{} }})
	end := run(t, n)
	defer end()
	n.Get([]byte("localhost"))
	<-ended
	got, state := n.Get([]byte("LOCALHOST."))
	require.Equal(t, Known, state)
	for _, a := range got {
		require.True(t, a.IsLoopback(), a)
	}
}
