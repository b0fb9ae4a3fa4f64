package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/router"
)

const (
	demoNumber   = "+15550000001"
	demoShortest = 3 * time.Second
	demoMaxRate  = 200 // calls a second that sipgo's phones carry with ease
	demoLook     = 20 * time.Millisecond
	demoBurst    = 8 // calls placed at one moment
)

func newDemo() *cobra.Command {
	var duration time.Duration
	var rate int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch calls survive the death of a connector, on this machine",
		Long: `Run a proxy, two connectors and a caller in this process, over loopback. After a
third of the time the first connector dies, after two thirds it comes back. The
output tells what the calls experience; the exit code is 1 if one was lost.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if duration < demoShortest || rate < 1 || rate > demoMaxRate {
				return fmt.Errorf("demo: need a duration of %s or more and a rate of 1 to %d", demoShortest, demoMaxRate)
			}
			// The first signal ends the demo, the second the process.
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop)
			return demo(ctx, cmd.OutOrStdout(), duration, rate)
		},
	}
	cmd.Flags().DurationVar(&duration, "duration", time.Minute, "how long calls are placed")
	cmd.Flags().IntVar(&rate, "rate", 20, "calls a second")
	return cmd
}

// demo runs the show until duration is over or ctx ends.
func demo(ctx context.Context, out io.Writer, duration time.Duration, rate int) (err error) {
	var connectors []*connector
	for _, name := range []string{"support-east", "support-west"} {
		c, err := newConnector(name)
		if err != nil {
			return err
		}
		defer c.kill()
		connectors = append(connectors, c)
	}
	cfg := demoConfig(connectors)
	if cfg.StateDir, err = os.MkdirTemp("", "tandem-demo-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(cfg.StateDir) }()
	n, err := newNode(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	stop, end := context.WithCancel(context.Background())
	var proxy sync.WaitGroup
	var proxyErr error
	proxy.Go(func() { proxyErr = n.run(stop, stop) })
	defer func() {
		end()
		proxy.Wait()
		err = errors.Join(err, proxyErr)
	}()
	c, err := newCaller(n.udp.Addrs()[0], demoNumber)
	if err != nil {
		return err
	}
	defer c.phone.cut()

	s := &show{
		story:      newStory(out, isTerminal(out), rate, []string{connectors[0].name, connectors[1].name}, n.router.Hosts),
		connectors: connectors,
		caller:     c,
		heard:      make(chan happening, 16),
	}
	fmt.Fprintf(out, "%d calls a second to %s for %s, through a proxy at %s with the group \"support\":\n"+
		"first %s, and %s when that fails. Metrics while it runs: http://%s/metrics\n\n",
		rate, demoNumber, duration, n.udp.Addrs()[0], connectors[0].name, connectors[1].name, n.admin.AdminAddr())
	if err := s.run(ctx, duration); err != nil {
		return err
	}
	s.story.summary(failedOver(n.router))
	if s.story.lost > 0 {
		return exitError{code: exitFailed}
	}
	return nil
}

// show is the demo while it runs: one goroutine that places calls, hears of
// them, and pulls the plug.
type show struct {
	story      *story
	connectors []*connector
	caller     *caller
	heard      chan happening
}

// run places calls for the duration, then waits until all are over.
func (s *show) run(ctx context.Context, duration time.Duration) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	look := time.NewTicker(demoLook)
	defer look.Stop()
	death, comeback, over := time.After(duration/3), time.After(duration*2/3), time.After(duration)
	stopped := ctx.Done()
	first := s.connectors[0]
	s.story.look()
	s.story.title()
	for placing := true; placing || s.story.live() > 0; {
		select {
		case h := <-s.heard:
			s.story.hear(h)
		case <-look.C:
			s.story.look()
			if placing {
				s.place()
			}
		case <-second.C:
			s.story.picture()
		case <-death:
			if placing {
				setup, up := first.kill()
				s.story.death(first.name, setup, up)
			}
		case <-comeback:
			if !placing {
				break
			}
			if err := first.start(); err != nil {
				return fmt.Errorf("%s cannot come back: %w", first.name, err)
			}
			s.story.comeback(first.name)
		case <-over:
			placing = false
		case <-stopped:
			placing, stopped = false, nil
			s.story.say("stopped; waiting for the calls that are up")
		}
	}
	return nil
}

// place starts the calls that are due. Each is heard of until it is over, and
// run waits for that. When the machine was too busy to place them in time, they
// are made up for, but not all at once.
func (s *show) place() {
	due := int(s.story.now().Seconds()*float64(s.story.rate)) - s.story.placed
	for range min(due, demoBurst) {
		s.story.placed++
		go s.caller.call(func(h happening) { s.heard <- h }, s.lifeOf)
	}
}

func (s *show) lifeOf(name string) *life {
	for _, c := range s.connectors {
		if c.name == name {
			return c.current()
		}
	}
	return nil
}

// demoConfig is a node on loopback with free ports. Probes are faster than the
// default, so that a short demo shows the return of a connector; and a connector
// that dies after a 100 (sipgo sends one when the machine is busy) is given up
// sooner.
func demoConfig(connectors []*connector) *config.Config {
	failover := catalog.DefaultFailover()
	failover.Progress = 3 * time.Second
	health := catalog.DefaultHealth()
	health.Interval, health.FastInterval, health.Timeout = time.Second, 250*time.Millisecond, 500*time.Millisecond
	health.SlowStart = 2 * time.Second
	cfg := &config.Config{
		File:        "demo",
		Listen:      []config.Listener{{Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		Admin:       "127.0.0.1:0",
		Secrets:     [][]byte{newSecret()},
		RecordRoute: true,
		Workers:     1,
		Failover:    failover,
		Health:      health,
	}
	group := catalog.Group{Name: "support", Numbers: []catalog.Numbers{{Kind: catalog.Exact, First: demoNumber}}}
	for i, c := range connectors {
		cfg.Catalog.Connectors = append(cfg.Catalog.Connectors, catalog.Connector{
			Name: c.name, Region: fmt.Sprintf("region-%d", i+1),
			Hosts: []catalog.Host{{
				URI: "sip:" + c.addr.String(), Addr: c.addr, HostPort: c.addr.String(), Priority: 1, Weight: 1,
			}},
		})
		group.Connectors = append(group.Connectors, catalog.Member{Connector: c.name, Priority: i + 1})
	}
	cfg.Catalog.Groups = []catalog.Group{group}
	return cfg
}

// failedOver sums the router's failovers.
func failedOver(r *router.Router) (sum uint64) {
	r.Counts(func(c router.Count) {
		if c.Name == router.CountFailovers {
			sum += c.Value
		}
	})
	return sum
}

// isTerminal reports whether out is a screen.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
