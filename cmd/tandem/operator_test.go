package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config"
	"tandem/config/catalog"
)

// orderOf has a command order something of a running node.
func (r *running) orderOf(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return command(t, append(args, "--admin", r.admin.AdminAddr())...)
}

// takes has a command order something that is done without a warning.
func (r *running) takes(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := r.orderOf(t, args...)
	require.Equal(t, 0, code, errs)
	require.Empty(t, errs)
	return out
}

func (r *running) states() (states []string) {
	for _, h := range r.router.Hosts() {
		states = append(states, h.State.String())
	}
	return states
}

// restarted ends a node and starts one with the same config.
func (r *running) restarted(t *testing.T, change func(*config.Config)) *running {
	t.Helper()
	r.stop()
	require.NoError(t, r.ended(t))
	cfg := *r.cfg
	if change != nil {
		change(&cfg)
	}
	return start(t, &cfg)
}

// twoHosts is a file with a connector in each of two regions.
func twoHosts(t *testing.T) (*file, [2]netip.AddrPort) {
	hosts := [2]netip.AddrPort{newSIPSocket(t).addr(), newSIPSocket(t).addr()}
	return newFile(t, policy(hosts[:], "health: {probe: false}\n")), hosts
}

// Orders outlive reloads and restarts, until they are taken back.
func TestOrdersStay(t *testing.T) {
	f, hosts := twoHosts(t)
	for _, c := range []struct {
		give, back []string
		state      string
	}{
		{[]string{"connector", "drain", "c1", "--note", "maintenance 4711"}, []string{"connector", "enable", "c1"}, "draining"},
		{[]string{"connector", "disable", "c1"}, []string{"connector", "enable", "c1"}, "disabled"},
		{[]string{"host", "disable", hosts[0].String()}, []string{"host", "enable", "sip:" + hosts[0].String()}, "disabled"},
		{[]string{"region", "evacuate", "r1"}, []string{"region", "restore", "r1"}, "draining"},
	} {
		t.Run(strings.Join(c.give[:2], " "), func(t *testing.T) {
			r := f.start()
			r.takes(t, c.give...)
			require.Equal(t, []string{c.state, "enabled"}, r.states())
			r.reload.take("test")
			require.Equal(t, []string{c.state, "enabled"}, r.states())
			require.Equal(t, c.state == "disabled", len(targets(r.router.Hosts())) == 1, "only what is disabled is not probed")

			r = r.restarted(t, nil)
			require.Equal(t, []string{c.state, "enabled"}, r.states())
			require.Contains(t, fmt.Sprint(r.lastLine(t, "orders of operators are in force")["orders"]), " (ordered ")
			require.Contains(t, r.takes(t, "orders"), c.give[0])
			r.takes(t, c.back...)
			require.Equal(t, []string{"enabled", "enabled"}, r.states())
			r = r.restarted(t, nil)
			require.Equal(t, []string{"enabled", "enabled"}, r.states())
			require.Equal(t, "no orders: everything is as the config says\n", r.takes(t, "orders"))
		})
	}
}

// An order for what leaves the catalog waits for it, and each reload says so.
func TestOrdersWaitForTheirSubject(t *testing.T) {
	f, hosts := twoHosts(t)
	r := f.start()
	r.takes(t, "connector", "drain", "c2")
	f.write(policy(hosts[:1], "health: {probe: false}\n"))
	for n := 1; n <= 2; n++ {
		r.reload.take("test")
		require.Equal(t, n, strings.Count(r.log.String(), "an order is for a connector that the config does not have"))
	}
	require.Equal(t, "tandem connector enable c2", r.lastLine(t, "an order is for")["take_back"])
	require.Contains(t, r.takes(t, "orders"), "; the config has no such connector: the order waits until it has\n")
	require.Equal(t, "1", r.metric(t, `tandem_orders{kind="connector",state="draining"}`))
	f.write(policy(hosts[:], "health: {probe: false}\n"))
	r.reload.take("test")
	require.Equal(t, []string{"enabled", "draining"}, r.states())
}

// A reload that fails leaves orders as they are.
func TestOrdersAndAReloadThatFails(t *testing.T) {
	f, _ := twoHosts(t)
	r := f.start()
	r.takes(t, "connector", "drain", "c1")
	f.write("listen: [")
	r.reload.take("test")
	require.Equal(t, []string{"draining", "enabled"}, r.states())
}

// Without a state directory orders are in force, and everybody is told that they
// will not last.
func TestOrdersWithoutAStateDirectory(t *testing.T) {
	place := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(place, nil, 0o600))
	cfg := settings(t, newSIPSocket(t).addr())
	cfg.StateDir, cfg.Secrets = filepath.Join(place, "state"), [][]byte{newSecret()}
	r := start(t, cfg)
	require.Equal(t, "1", r.metric(t, "tandem_orders_persistent"), "there is nothing to keep")
	out, errs, code := r.orderOf(t, "connector", "drain", "east", "--force")
	require.Equal(t, 0, code)
	require.Contains(t, out, "connector east is draining")
	require.Contains(t, errs, "warning: this is in force now but cannot be kept, and a restart of the node will not know it: ")
	require.Equal(t, []string{"draining"}, r.states())
	require.Equal(t, "ERROR", r.lastLine(t, "the orders of operators are in force but cannot be kept")["level"])
	require.Equal(t, "0", r.metric(t, "tandem_orders_persistent"))
	_, errs, code = r.orderOf(t, "orders")
	require.Equal(t, 0, code)
	require.Contains(t, errs, "warning: a restart of the node will not know this: ")

	// Once it can be used, the same order again stores it.
	require.NoError(t, os.Remove(place))
	out = r.takes(t, "connector", "drain", "east", "--force")
	require.Contains(t, out, ": nothing changed\n")
	require.Equal(t, "1", r.metric(t, "tandem_orders_persistent"))
	require.Contains(t, r.log.String(), "the orders of operators are kept again")
	require.Equal(t, []string{"draining"}, r.restarted(t, nil).states())
}

// Orders and reloads at the same time: each order stays.
func TestOrdersAtTheSameTimeAsReloads(t *testing.T) {
	f, _ := twoHosts(t)
	r := f.start()
	var all sync.WaitGroup
	all.Go(func() {
		for range 4 {
			r.reload.take("test")
		}
	})
	for i := range 12 {
		all.Go(func() {
			_, err := r.operator.Change(func(_ *catalog.Catalog, o catalog.Orders) (catalog.Orders, error) {
				order := someOrders().List()[1]
				order.Subject.Name = fmt.Sprint("c", i)
				return o.With(order), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Len(t, r.router.Orders().List(), 12)
	require.Equal(t, []string{"disabled", "disabled"}, r.states())
	_, kept, err := readOrders(r.cfg.StateDir)
	require.NoError(t, err)
	require.True(t, r.router.Orders().Equal(kept))
}

func TestOrdersPageIsThere(t *testing.T) {
	r := start(t, settings(t, newSIPSocket(t).addr()))
	require.Equal(t, http.StatusOK, r.get(t, "/v1/orders"))
}
