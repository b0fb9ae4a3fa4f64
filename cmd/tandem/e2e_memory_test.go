//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// remembers waits until the node's file of health has a text, or has it no more.
func (n *node) remembers(text string, has bool) {
	n.t.Helper()
	until(n.t, text, func() bool {
		kept, err := os.ReadFile(filepath.Join(n.state, "health.json"))
		return err == nil && strings.Contains(string(kept), text) == has
	})
}

// A host that is down and a connector that is drained are so after the process
// was killed: no call goes to the one or waits for the other, both are probed,
// and the host is back when it answers.
func TestE2E_DownAfterAKill(t *testing.T) {
	t.Parallel()
	const number = "+15550000001"
	l := newLab(t)
	caller, third := l.peer("127.0.0.2"), l.peer("127.0.0.13")
	first, second := l.peer("127.0.0.11"), l.peer("127.0.0.12")
	first.mute.Store(true) // its port is open: nothing but time tells of it
	n := l.serve(`
health: {interval: 1s, fast_interval: 500ms, timeout: 1s, slow_start: off}
connectors:
  - {name: first, region: east, hosts: ["sip:127.0.0.11:5060"]}
  - {name: second, region: west, hosts: ["sip:127.0.0.12:5060"]}
  - {name: third, region: south, hosts: ["sip:127.0.0.13:5060"]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}, {connector: third, priority: 3}]
    numbers: ["+15550000001"]
`)
	isDown := func() bool { return n.metric(`^tandem_host_state{.*connector="first".*state="down"`) == 1 }
	n.order("connector", "drain", "second")
	until(t, "down", isDown)
	n.remembers(`"state": "down"`, true)

	n.crash()
	asked, askedDrained := first.pings.Load(), second.pings.Load()
	n.start()
	require.True(t, isDown(), "at once")
	said := n.logged(`"msg":"still down after the restart`)
	require.Equal(t, "no answer to OPTIONS", said["reason"])
	since, err := time.Parse(time.RFC3339, said["since"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), since, 2*patience)
	began := time.Now()
	for range 20 {
		n.goodCall(caller, third, number)
	}
	var calls []callRecord
	until(t, "the calls are over", func() bool { calls = n.recent(number, began); return len(calls) == 20 })
	for _, c := range calls {
		require.Len(t, c.Attempts, 1, "none waits for what is down")
		require.Equal(t, "third", c.Attempts[0].Connector)
	}
	require.Contains(t, n.order("explain", number), "connector is draining")
	until(t, "both are probed", func() bool {
		return first.pings.Load() > asked+2 && second.pings.Load() > askedDrained+1
	})
	require.True(t, isDown())
	require.Empty(t, first.inbox)
	require.Empty(t, second.inbox)

	first.mute.Store(false)
	until(t, "back", func() bool { return !isDown() })
	n.goodCall(caller, first, number)
	n.remembers(`"state": "down"`, false)
	n.crash()
	n.start()
	n.goodCall(caller, first, number)

	n.crash()
	require.NoError(t, os.WriteFile(filepath.Join(n.state, "health.json"), []byte("{"), 0o600))
	n.start()
	n.logged("cannot be read and is left aside")
	n.goodCall(caller, first, number)
}
