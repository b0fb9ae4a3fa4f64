package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/bench/load"
	"tandem/bench/node"
)

// learning is how long probes may take to find the host dead that all calls of
// a kind go to: three failures, a second apart, after the first interval.
const learning = 30 * time.Second

// result is all that is measured.
type result struct {
	settings settings
	about    []string
	cases    []comparison
	warnings []string
}

// comparison is one kind of calls, and beside them those of the same time whose
// first connector is well.
type comparison struct {
	kind      kind
	dead      load.Report
	well      load.Report
	failovers int // of the reason that the kind has, as tandem counted them
	others    int // of any other reason
}

func (r *result) measure(ctx context.Context, dir string) error {
	s := r.settings
	hosts := s.calls + warmUp
	for _, k := range kinds {
		if k.open {
			closeAll, err := k.silence(hosts)
			if err != nil {
				return err
			}
			defer closeAll()
		}
	}
	config, err := writeConfig(dir, s, hosts)
	if err != nil {
		return err
	}
	binary := s.binary
	if binary == "" {
		if binary, err = node.Build(dir); err != nil {
			return err
		}
	}
	// All connectors that answer are there before tandem asks them.
	generators := make(map[string]*load.Generator)
	for _, k := range append([]kind{well}, kinds...) {
		g, err := load.New(load.Config{Proxy: proxy, From: k.from(), Connectors: []netip.AddrPort{k.answers()}, Number: k.number})
		if err != nil {
			return err
		}
		defer g.Close()
		generators[k.name] = g
	}
	n, err := node.Start(binary, config, -1)
	if err != nil {
		return err
	}
	defer n.Stop()
	if _, err := n.Wait(0, 30*time.Second, "serving"); err != nil {
		return err
	}
	for _, k := range kinds {
		one, err := compare(ctx, s, k, generators[k.name], generators[well.name])
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", k.name, err, n.Log())
		}
		r.cases = append(r.cases, one)
	}
	for _, line := range n.Warnings() {
		if !strings.Contains(line, `"msg":"host is doubtful"`) { // a call found each of them so
			r.warnings = append(r.warnings, line)
		}
	}
	return nil
}

// compare places calls of a kind and, at the same time, as many that find their
// first connector well.
func compare(ctx context.Context, s settings, k kind, g, base *load.Generator) (comparison, error) {
	if k.single {
		progress("until probes have found the host dead")
		if err := knownDown(ctx, k); err != nil {
			return comparison{}, err
		}
	}
	progress("%s: %d calls, %g a second", k.name, s.calls, s.rate)
	both := func(name string, calls int) (dead, well *load.Window, err error) {
		dead, well = g.Window(name), base.Window(name)
		var run errgroup.Group
		for _, one := range []*load.Generator{g, base} {
			run.Go(func() error { return one.Run(ctx, s.rate, calls) })
		}
		return dead, well, run.Wait()
	}
	if _, _, err := both("warm-up", warmUp); err != nil {
		return comparison{}, err
	}
	before, others, err := failovers(k)
	if err != nil {
		return comparison{}, err
	}
	dead, well, err := both(k.name, s.calls)
	if err != nil {
		return comparison{}, err
	}
	after, othersAfter, err := failovers(k)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return comparison{}, err
	}
	return comparison{kind: k, dead: dead.Report(), well: well.Report(), failovers: after - before, others: othersAfter - others}, nil
}

// failovers are what tandem has counted, of a kind's reason and of others.
func failovers(k kind) (of, others int, err error) {
	all, err := node.Metrics(metricsAt)
	for name, count := range all {
		switch {
		case !strings.HasPrefix(name, "tandem_failovers_total{"):
		case k.why != "" && strings.Contains(name, `reason="`+k.why+`"`):
			of += int(count)
		default:
			others += int(count)
		}
	}
	return of, others, err
}

// knownDown waits until probes have found the host of a kind dead.
func knownDown(ctx context.Context, k kind) error {
	for limit := time.Now().Add(learning); ; {
		all, err := node.Metrics(metricsAt)
		if err != nil {
			return err
		}
		for name, is := range all {
			if is == 1 && strings.HasPrefix(name, "tandem_host_state{") && strings.Contains(name, k.host(0).String()) && strings.Contains(name, `state="down"`) {
				return nil
			}
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%s is not down after %v", k.host(0), learning)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
