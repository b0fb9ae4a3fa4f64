//go:build linux

package main_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// watchHealth runs tandem health --watch, whose changes are lines when nobody
// looks at them on a terminal.
func (n *node) watchHealth(args ...string) *buffer {
	n.t.Helper()
	cmd := exec.Command(binary(n.t), append([]string{"health", "--watch", "--admin", n.admin}, args...)...)
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(n.t, cmd.Start())
	n.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		require.NoError(n.t, cmd.Wait(), "it ends well when it is interrupted")
	})
	return out
}

// A host dies and comes back, a connector is drained: events and the command
// tell it in order, each with its reason.
func TestE2E_HealthCommand(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	first := l.peer("127.0.0.11")
	l.peer("127.0.0.12")
	n := l.serve(`health: {interval: 300ms, fast_interval: 100ms, timeout: 300ms, down_after: 2, up_after: 2, slow_start: 300ms, flap_hold: off}` + twoConnectors)
	look := func(args ...string) string {
		t.Helper()
		out, code := run(t, append([]string{"health", "--admin", n.admin}, args...)...)
		require.Equal(t, 0, code, out)
		return out
	}
	until(t, "both are probed", func() bool { return strings.Count(look(), " ms ") == 2 })
	require.Regexp(t, `^2 hosts: 2 up

REGION  CONNECTOR  HOST +STATE  SINCE  PROBE +CALLS  LOAD  REASON
east    first      sip:`+l.place("127.0.0.11")+`:5060  up     -      \S+ ms +-      -     -
west    second     sip:`+l.place("127.0.0.12")+`:5060  up     -      \S+ ms +-      -     -
$`, look())

	lines, objects := n.watchHealth(), n.watchHealth("--json", "first")
	heard := func(want ...string) {
		t.Helper()
		until(t, strings.Join(want, ", "), func() bool {
			rest := lines.String()
			for _, w := range want {
				_, after, found := strings.Cut(rest, w)
				if !found {
					return false
				}
				rest = after
			}
			return true
		})
	}
	// The command says nothing before the first change: orders until one is heard
	// show that it listens.
	until(t, "both listen", func() bool {
		n.order("host", "drain", l.place("127.0.0.11:5060"), "--note", "hello")
		n.order("host", "enable", l.place("127.0.0.11:5060"))
		return strings.Contains(lines.String(), "hello") && strings.Contains(objects.String(), "hello")
	})
	host := "host sip:" + l.place("127.0.0.11:5060") + " (first, east)  "

	first.close()
	heard(host+"up -> down: OPTIONS undeliverable\n", "region east  healthy -> unhealthy: 1 of 1 hosts down or ejected\n")
	text := look()
	require.Regexp(t, `^2 hosts: 1 down, 1 up
region east is UNHEALTHY: 1 of 1 hosts down or ejected

REGION  CONNECTOR  HOST +STATE  SINCE  PROBE +CALLS  LOAD  REASON
east !  first      sip:\S+  down   \ds     unreachable  -      -     OPTIONS undeliverable
west    second     sip:\S+  up     -      \S+ ms +-      -     -
$`, text)

	l.peer("127.0.0.11")
	heard(host+"up -> down: ", "region east  healthy -> unhealthy: ", host+"down -> recovering: answer to OPTIONS (200)\n",
		"region east  unhealthy -> healthy: 0 of 1 hosts down or ejected\n", host+"recovering -> up: slow start over\n")
	n.order("connector", "drain", "second", "--note", "maintenance 4711")
	heard("order: connector second  enabled -> draining: maintenance 4711\n")
	require.Contains(t, look("second"), "connector is draining (ordered ")
	require.NotContains(t, objects.String(), "4711", "it is of another connector")

	history := look("first", "--history")
	for _, change := range []string{"  up -> down: OPTIONS undeliverable\n", "  down -> recovering: answer to OPTIONS (200)\n", "  recovering -> up: slow start over\n"} {
		_, after, found := strings.Cut(history, change)
		require.True(t, found, "%s in %s", change, history)
		history = after
	}
}
