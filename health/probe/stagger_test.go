package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// TestStartsAreStaggered: a node that starts with many hosts does not ask them
// all in one moment, then or later, and not in step with other nodes.
func TestStartsAreStaggered(t *testing.T) {
	const hosts = 100
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		asked := make(map[netip.AddrPort][]time.Duration)
		var mu sync.Mutex
		var conn *Conn
		conn = NewConn(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5060}, func(data []byte, to netip.AddrPort) error {
			mu.Lock()
			asked[to] = append(asked[to], time.Since(began))
			mu.Unlock()
			answer := response(string(data), "200 OK")
			time.AfterFunc(time.Millisecond, func() { conn.Deliver([]byte(answer), to) })
			return nil
		})
		registry := health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()})
		p, err := New(Options{
			Registry: registry, Listeners: []Listener{{Conn: conn, Advertise: "a.example.com:5060"}},
			Now: func() int64 { return int64(time.Since(began)) + 1 },
		})
		require.NoError(t, err)
		var targets []Target
		for i := range hosts {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 5060)
			key := health.Key{URI: fmt.Sprintf("sip:%s", addr), Addr: addr}
			targets = append(targets, Target{Key: key, Host: registry.Host(key), Addr: addr, URI: key.URI})
		}
		require.NoError(t, p.SetTargets(targets))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, p.Run(ctx), context.DeadlineExceeded)
		synctest.Wait()

		require.Len(t, asked, hosts)
		var firsts []time.Duration
		gaps := make(map[time.Duration]bool)
		for _, at := range asked {
			firsts = append(firsts, at[0])
			for i := range at[1:] {
				gap := at[i+1] - at[i]
				require.InDelta(t, 5, gap.Seconds(), 0.51)
				gaps[gap] = true
			}
		}
		slices.Sort(firsts)
		for i, at := range firsts {
			require.InDelta(t, float64(i)/hosts, at.Seconds(), 0.005, "one after the other, over a second")
		}
		require.Greater(t, len(gaps), hosts*5, "no two of a host's intervals are alike")
	})
}

// TestStarts_TheIllFirst: what was down before a restart is asked at once, and
// then at the fast interval; what is well takes its turn.
func TestStarts_TheIllFirst(t *testing.T) {
	const hosts, dead = 100, 70
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		asked := make(map[netip.AddrPort][]time.Duration)
		var mu sync.Mutex
		var conn *Conn
		conn = NewConn(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5060}, func(data []byte, to netip.AddrPort) error {
			mu.Lock()
			asked[to] = append(asked[to], time.Since(began))
			mu.Unlock()
			answer := response(string(data), "200 OK")
			time.AfterFunc(time.Millisecond, func() { conn.Deliver([]byte(answer), to) })
			return nil
		})
		registry := health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()})
		p, err := New(Options{
			Registry: registry, Listeners: []Listener{{Conn: conn, Advertise: "a.example.com:5060"}},
			Now: func() int64 { return int64(time.Since(began)) + 1 },
		})
		require.NoError(t, err)
		var targets []Target
		for i := range hosts {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 5060)
			key := health.Key{URI: fmt.Sprintf("sip:%s", addr), Addr: addr}
			targets = append(targets, Target{Key: key, Host: registry.Host(key), Addr: addr, URI: key.URI})
		}
		was := targets[dead]
		registry.Restore([]health.Memory{{Key: was.Key, Status: health.Status{State: health.Down, Dead: true, Downs: 1, Since: -int64(time.Minute)}}}, time.Second, 1)
		require.NoError(t, p.SetTargets(targets))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, p.Run(ctx), context.DeadlineExceeded)
		synctest.Wait()

		require.Zero(t, asked[was.Addr][0])
		require.InDelta(t, 1, asked[was.Addr][1].Seconds(), 0.11)
		require.Equal(t, health.Recovering, was.Host.View(int64(2*time.Second)).State, "two good probes")
		require.NotZero(t, asked[targets[0].Addr][0])
	})
}
