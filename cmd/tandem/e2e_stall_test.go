//go:build linux

package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A machine that stalls the node for longer than a connector may be silent does
// not make that connector silent: what it said meanwhile counts, not what the
// clock says now.
func TestE2E_StalledNodeHearsAnswersFirst(t *testing.T) {
	t.Parallel()
	for to, e := range crossings {
		t.Run("to "+e.name, func(t *testing.T) {
			t.Parallel()
			const calls = 20
			n := newPairs(newLab(t), "health: {probe: false}\nfailover: {first_response: 1s}\n")
			caller, callee := n.bytewise(t, 0, true), n.bytewise(t, to, false)
			n.goodCall(caller, callee, numberTo(to)) // connections are there
			rings := make(map[string]message)
			for range calls {
				caller.call(n.addr, numberTo(to)).start()
				m := callee.expect("INVITE")
				rings[m.header("Call-ID")] = m
			}
			n.signal(syscall.SIGSTOP)
			for _, m := range rings {
				callee.answer(m, 180, "Ringing", callee.contact())
			}
			time.Sleep(1500 * time.Millisecond) // the node's clock goes on
			n.signal(syscall.SIGCONT)
			for range calls {
				delete(rings, caller.expect("180 INVITE").header("Call-ID"))
			}
			require.Empty(t, rings)
			require.Zero(t, n.metric(`^tandem_attempts_total.*outcome="silent"`))
		})
	}
}
