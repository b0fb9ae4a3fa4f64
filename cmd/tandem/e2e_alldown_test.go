//go:build linux

package main_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// With when_all_down: reject, a call to a group whose hosts are all down gets 503
// at once, and every page says why; the probe that finds one of them ends it.
func TestE2E_WhenAllDownReject(t *testing.T) {
	t.Parallel()
	const number = "+15550000001"
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	first.mute.Store(true)
	second.mute.Store(true)
	n := l.serve(twoConnectors + `    failover: {when_all_down: reject}
health: {interval: 1s, fast_interval: 500ms, timeout: 500ms, slow_start: off}
`)
	downs := func() float64 { return n.metric(`^tandem_host_state{.*state="down"`) }
	until(t, "both are down", func() bool { return downs() == 2 })
	d := caller.call(n.addr, number).start()
	d.fails(503)
	require.Empty(t, first.inbox)
	require.Empty(t, second.inbox)
	const why = "all that was left is down or ejected, and when_all_down is reject"
	require.Contains(t, n.order("calls", "--number", number), why)
	require.Contains(t, n.order("explain", number), why+": calls are answered 503")
	require.Equal(t, why, n.logged(`"msg":"call failed"`)["reason"])
	require.Equal(t, 1.0, n.metric(`^tandem_all_down_total{route="support"}`))

	second.mute.Store(false)
	until(t, "one is back", func() bool { return downs() == 1 })
	n.goodCall(caller, second, number)
}
