//go:build linux

package main_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// order has the command order something of the node.
func (n *node) order(args ...string) string {
	n.t.Helper()
	out, code := run(n.t, append(args, "--admin", n.admin)...)
	require.Equal(n.t, 0, code, out)
	return out
}

// A connector that is drained is so after the process was killed, and its calls
// that are up end well.
func TestE2E_DrainedAfterAKill(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	first.pickUp()
	caller.expect("180 INVITE")
	d.established()
	first.expect("ACK")

	out := n.order("connector", "drain", "first", "--note", "maintenance 4711")
	require.Contains(t, out, "connector first is draining, ordered ")
	n.goodCall(caller, second, "+15550000001")
	n.crash()
	n.start()
	n.goodCall(caller, second, "+15550000001")
	require.Contains(t, n.order("explain", "+15550000001"), "connector is draining (ordered ")
	require.Contains(t, n.order("orders"), "(maintenance 4711)")
	require.Equal(t, 1.0, n.metric(`^tandem_orders{kind="connector",state="draining"}`))
	d.bye(first)

	out, code := run(t, "region", "evacuate", "west", "--admin", n.admin)
	require.Equal(t, 1, code)
	require.Contains(t, out, "no host that works would be left to group support")
	require.Contains(t, n.order("connector", "enable", "first"), "the order is taken back; it was draining")
	n.goodCall(caller, first, "+15550000001")
	n.crash()
	n.start()
	n.goodCall(caller, first, "+15550000001")
}

// A region is evacuated and restored under calls: none of them fails, and each
// that begins after goes where it should.
func TestE2E_RegionEvacuatedUnderLoad(t *testing.T) {
	t.Parallel()
	const number, rate, stay = "+15550000001", 200, 100
	l := newLab(t)
	first, second := l.sippConnector("connector", "127.0.0.11", "-d", "20"), l.sippConnector("connector", "127.0.0.12", "-d", "20")
	n := l.serve(twoConnectors)
	load := l.endless("caller", "127.0.0.2", n, number, rate, "-d", "300")
	goes := func(connector string, since time.Time) {
		t.Helper()
		ended := func() float64 { return n.metric(`^tandem_calls_total{outcome="answered",route="support"}`) }
		enough := ended() + stay
		until(t, "calls to "+connector, func() bool { return ended() >= enough })
		calls := n.recent(number, since)
		require.NotEmpty(t, calls)
		for _, c := range calls {
			require.Equal(t, "answered", c.Outcome)
			require.Len(t, c.Attempts, 1)
			require.Equal(t, connector, c.Attempts[0].Connector)
		}
	}
	goes("first", time.Now())
	for range 2 {
		n.order("region", "evacuate", "east")
		goes("second", time.Now())
		n.order("region", "restore", "east")
		goes("first", time.Now())
	}
	calls := load.wind()
	require.Equal(t, calls, first.stop().count("INVITE_Recv")+second.stop().count("INVITE_Recv"), "each call reaches one connector, once")
}
