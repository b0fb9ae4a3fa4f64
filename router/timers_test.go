package router

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
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
