package router

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/transport"
)

// The caller waits in vain for a silent host: that ends at its time, wherever
// between two ticks that is. What else is due shares ticks.
func TestSilenceEndsAtItsTime(t *testing.T) {
	for offset := range 12 {
		g := newRig(t, threeHosts())
		g.now += int64(offset)*milli + 1
		began := g.now
		first := g.from(caller, invite())[1]
		end := began + int64(catalog.DefaultFailover().FirstResponse)
		again := g.pass(time.Duration(end - 1 - began))
		require.NotEmpty(t, again, "Timer A")
		for _, m := range again {
			require.Equal(t, first.to, m.to, "too early")
		}
		all := g.pass(1)
		require.Len(t, all, 1)
		require.NotEqual(t, first.to, all[0].to)
	}
}

func TestRetransmissionsShareTicks(t *testing.T) {
	g := newRig(t, threeHosts())
	began := onTick(g.now)
	for i := range int64(9) {
		g.now = began + (i+1)*milli
		g.from(caller, invite(fmt.Sprint("Call-ID: share-", i)))
	}
	require.Empty(t, g.pass(time.Duration(began+t1+wheelTick-1-g.now)))
	require.Len(t, g.pass(1), 9)
}

// With more to do than there is time for, timers are late, and not made later.
func TestTimersThatAreManyDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, twoRegions())
		began, base := time.Now(), g.now
		now := func() int64 { return base + int64(time.Since(began)) }
		const calls = 20
		for i := range calls {
			g.now = now()
			sends(t, g.from(caller, invite(fmt.Sprintf("Call-ID: many-%d", i), fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKmany%d", i))), "caller 100 INVITE", "east1 INVITE")
			time.Sleep(10 * time.Millisecond)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		var again int
		var idle time.Duration // between timers that were due all the time
		var last time.Time
		go func() {
			defer close(done)
			g.r.RunTimers(ctx, now, func(_ int64, out *transport.Batch) {
				if again > 0 && again < calls {
					idle += time.Since(last)
				}
				again += out.Len()
				out.Reset()
				time.Sleep(40 * time.Millisecond) // a timer comes every 10 ms
				last = time.Now()
			})
		}()
		time.Sleep(1300 * time.Millisecond)
		cancel()
		<-done
		require.GreaterOrEqual(t, again, calls)
		require.Zero(t, idle)
	})
}
