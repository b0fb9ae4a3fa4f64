package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/admin"
	"tandem/config"
	"tandem/config/catalog"
	"tandem/health"
	"tandem/health/probe"
	"tandem/router"
	"tandem/router/names"
	"tandem/router/transport"
)

const (
	// drainPoll is how often a draining node looks whether set-ups are left.
	drainPoll = 20 * time.Millisecond

	// aliveLimit is how long the timers may take for one round before systemd's
	// watchdog hears nothing.
	aliveLimit = 5 * time.Second

	// drainLinger is how long a draining node goes on after the last set-up. That
	// one is over when its final response is decided: this has yet to leave, and
	// the caller's ACK comes a round trip later. One second has room for the
	// first retransmission of either (T1 is 500 ms) too.
	drainLinger = time.Second
)

// node is one proxy with all its parts. newNode opens what can fail, run runs
// it.
type node struct {
	cfg      *config.Config // what it was made with; reload has what is in force
	log      *slog.Logger
	listen   []config.Listener // those of UDP first
	udp      *transport.UDP
	streams  *streams // nil: no listener of TCP or TLS
	router   *router.Router
	registry *health.Registry
	prober   *probe.Prober
	names    *names.Names
	locator  *locator
	admin    *admin.Server
	flips    *flips
	events   *admin.Events
	operator *operator
	managed  *managed // nil: connectors, groups and numbers stand in the config
	keeper   *keeper
	reload   *reloader
	notify   notifier
}

// newNode opens a node's sockets and puts its parts together. On an error
// nothing is left open.
func newNode(cfg *config.Config, log *slog.Logger) (*node, error) {
	secrets, persistent, err := secretsOf(cfg, log)
	if err != nil {
		return nil, err
	}
	n := &node{cfg: cfg, log: log, flips: newFlips(), events: admin.NewEvents(transport.Now), notify: notifier{log}}
	if n.operator, err = newOperator(n); err != nil {
		return nil, err
	}
	if n.managed, err = openStore(n); err != nil {
		return nil, err
	}
	if err := n.open(secrets, persistent); err != nil {
		return nil, errors.Join(err, n.managed.close())
	}
	return n, nil
}

// open opens the sockets and puts the parts on them.
func (n *node) open(secrets [][]byte, persistent bool) (err error) {
	var listen []netip.AddrPort
	n.listen = byTransport(n.cfg.Listen)
	for _, l := range n.listen {
		if l.Transport == catalog.UDP {
			listen = append(listen, l.Addr)
		}
	}
	workers := n.cfg.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	sockets := workers * len(listen)
	block := spareProcessors(sockets, os.Getenv)
	awake := len(listen) < len(n.listen) && spareProcessors(sockets+1, os.Getenv)
	if n.streams, err = openStreams(n.listen, n.cfg.Streams, awake, n.log); err != nil {
		return err
	}
	cfg := transport.Config{
		Listen:  listen,
		Workers: workers,
		Log:     n.log,
		Block:   block,
		Whole:   !n.cfg.Segmentation,
		Beyond:  n.streams.send,
	}
	if n.udp, err = transport.Listen(cfg); err != nil {
		n.streams.close()
		return err
	}
	if err := n.wire(secrets, persistent); err != nil {
		n.streams.close()
		return errors.Join(err, n.udp.Close())
	}
	return nil
}

// secretsOf returns the config's secrets, else the one kept in the state
// directory, else one that is lost at the end, loudly. persistent is whether a
// restart has the same.
func secretsOf(cfg *config.Config, log *slog.Logger) (secrets [][]byte, persistent bool, err error) {
	if len(cfg.Secrets) > 0 {
		return cfg.Secrets, true, nil
	}
	dir, unusable := stateDir(cfg.StateDir, os.Getenv)
	// A directory that cannot be written may hold a secret all the same.
	secret, err := keptSecret(dir)
	switch {
	case err == nil:
		return [][]byte{secret}, true, nil
	case errors.Is(err, errSecret):
		return nil, false, err
	}
	if unusable != nil {
		err = unusable
	}
	log.Error("the state directory cannot be used: a restart will break the BYE of calls that are up; set state_dir to one that can be written, or set secrets",
		"state_dir", dir, "error", err.Error())
	return [][]byte{newSecret()}, false, nil
}

// wire puts the parts on the open sockets.
func (n *node) wire(secrets [][]byte, persistent bool) error {
	now := transport.Now()
	n.registry = health.NewRegistry(health.Options{Settings: n.cfg.Health, OnFlip: n.flipped, OnRegion: n.flips.offerRegion})
	n.keeper = newKeeper(n)
	n.locator = newLocator(n)
	n.names = names.New(names.Options{Lookup: n.locator.client.Addresses, Now: transport.Now, Resolved: func() { n.router.Resolved() }})
	opts := router.Options{
		Listeners:   n.listeners(),
		Aliases:     n.cfg.Aliases,
		Addresses:   machineAddrs(),
		Secrets:     secrets,
		RecordRoute: n.cfg.RecordRoute,
		Health:      n.registry,
		Names:       n.names,
		Alias:       n.streams.alias,
		RecentCalls: n.cfg.RecentCalls,
		MostCalls:   mostCalls(room()),
		Log:         n.log,
		Now:         now,
		Epoch:       time.Now().UnixNano() - now,
	}
	conns, err := n.newProber(opts.Listeners)
	if err != nil {
		return err
	}
	opts.Probe = func(listener int, data []byte, source netip.AddrPort) bool {
		return conns[listener].Deliver(data, source)
	}
	opts.ProbeFailed = n.prober.Unreachable
	opts.Ask = func(q router.Question) bool {
		return n.prober.Ask(probe.Question{Addr: q.Addr, URI: q.URI, Listener: q.Listener, Says: q.Says, Answered: func() { n.router.TakesStream(q.Addr) }})
	}
	policy, err := n.firstPolicy()
	if err != nil {
		return exitError{exitConfig, err}
	}
	if n.router, err = router.New(opts, policy); err != nil {
		return exitError{exitConfig, err}
	}
	if !n.locator.names() { // else their hosts come later
		n.keeper.restore(now)
	}
	if err := n.retarget(); err != nil {
		return err
	}
	n.operator.remind(n.router.Catalog())
	n.reload = newReloader(n)
	n.admin, err = admin.Listen(n.adminOptions(persistent))
	return err
}

// firstPolicy is what a node starts by: the config, or the config and its store.
func (n *node) firstPolicy() (router.Policy, error) {
	cfg, err := n.managed.with(n.cfg)
	if err != nil {
		return router.Policy{}, fmt.Errorf("%s: it does not suit what the store holds: %w", n.cfg.File, err)
	}
	n.locator.settle(cfg)
	p := n.operator.policy(cfg)
	if n.managed != nil {
		p.KeepNumbers, p.Numbers = false, storedNumbers{n.managed, n.log}
	}
	return p, nil
}

// flipped is told of each change of a host, and must not block.
func (n *node) flipped(f health.Flip) {
	n.flips.offerHost(f)
	n.keeper.wake()
}

// listeners are the bound addresses and what peers are told of them. A port
// that the system chose is known only now.
func (n *node) listeners() []router.Listener {
	var listeners []router.Listener
	for i, bound := range n.bound() {
		l := &n.listen[i]
		advertise := l.Advertise
		if l.Addr.Port() == 0 {
			advertise = bound.String()
		}
		listeners = append(listeners, router.Listener{Name: l.Name, Addr: bound, Transport: l.Transport, Advertise: advertise})
	}
	return listeners
}

// bound are the addresses of all listeners.
func (n *node) bound() []netip.AddrPort { return append(n.udp.Addrs(), n.streams.addrs()...) }

// sendFrom sends one message from a listener, whatever it is.
func (n *node) sendFrom(listener int, data []byte, dest netip.AddrPort) error {
	if n.listen[listener].Transport == catalog.UDP {
		return n.udp.WriteTo(listener, data, dest)
	}
	return n.streams.write(listener, dest, data)
}

// machineAddrs are the addresses of this machine's interfaces: what a wildcard
// listener is reached by, and where no in-dialog request may go.
func machineAddrs() []netip.Addr {
	interfaces, _ := net.InterfaceAddrs() // without them a loop is ended by Max-Forwards
	var addrs []netip.Addr
	for _, i := range interfaces {
		if prefix, err := netip.ParsePrefix(i.String()); err == nil {
			addrs = append(addrs, prefix.Addr().Unmap().WithZone(""))
		}
	}
	return addrs
}

// newProber makes the prober and the connections that share the sockets.
func (n *node) newProber(listeners []router.Listener) ([]*probe.Conn, error) {
	var conns []*probe.Conn
	var from []probe.Listener
	for i, l := range listeners {
		conn := probe.NewConn(net.UDPAddrFromAddrPort(l.Addr), func(data []byte, dest netip.AddrPort) error {
			return n.sendFrom(i, data, dest)
		})
		conns = append(conns, conn)
		from = append(from, probe.Listener{Conn: conn, Advertise: l.Advertise, Transport: strings.ToUpper(l.Transport.String())})
	}
	var err error
	n.prober, err = probe.New(probe.Options{Registry: n.registry, Listeners: from, Now: transport.Now})
	return conns, err
}

// retarget tells those who connect to hosts, and those who probe them, which
// ones the router has now.
func (n *node) retarget() error {
	hosts := n.router.Hosts()
	return errors.Join(n.streams.know(hosts), n.prober.SetTargets(targets(hosts)))
}

// targets are the hosts to probe: all that the operator has not disabled.
func targets(hosts []router.HostInfo) []probe.Target {
	var targets []probe.Target
	seen := make(map[health.Key]bool) // two connectors may share a host
	for _, h := range hosts {
		if h.State == catalog.Disabled || seen[h.Key] {
			continue
		}
		seen[h.Key] = true
		targets = append(targets, probe.Target{Key: h.Key, Host: h.Health, Addr: h.Addr, URI: h.Configured, Listener: h.Listener, Says: h.Probe})
	}
	return targets
}

func (n *node) adminOptions(persistent bool) admin.Options {
	opts := admin.Options{
		Router:          n.router,
		Transport:       n.udp.Stats,
		Listeners:       n.bound(),
		Now:             transport.Now,
		StatePersistent: persistent,
		Version:         version(),
		Detection:       func() time.Duration { return n.registry.Settings().Detection() },
		Names:           n.names.Stats,
		DNS:             n.locator.stats,
		Reloads:         n.reload.stats,
		Operator:        n.operator,
		Events:          n.events,
		Metrics:         n.cfg.Metrics,
		Log:             n.log,
	}
	if n.streams != nil {
		opts.Streams, opts.Expiries = n.streams.Stats, n.streams.expiries
	}
	if n.cfg.Admin != config.Off {
		opts.Admin = n.cfg.Admin
	}
	if n.managed != nil {
		opts.Manager = n.managed.Manager
	}
	for _, k := range n.cfg.AdminKeys {
		opts.Keys = append(opts.Keys, admin.Key(k))
	}
	return opts
}

// run serves until stop ends, then drains until no set-up is left, the config's
// drain timeout is over or kill ends. The parts end in the order in which they
// need each other: the log is the last.
func (n *node) run(stop, kill context.Context) error {
	parts, ctx := errgroup.WithContext(context.Background())
	n.locate(stop, ctx, parts)
	parts.Go(func() error { return n.udp.Serve(n.router) })
	parts.Go(func() error { return n.streams.serve(n.router, n.udp) })
	parts.Go(func() error {
		sender := n.udp.Sender(0)
		n.router.RunTimers(ctx, transport.Now, func(now int64, out *transport.Batch) {
			sender.Flush(now, out, n.router)
		})
		return nil
	})
	parts.Go(func() error {
		if err := n.prober.Run(ctx); ctx.Err() == nil {
			return err
		}
		return nil
	})
	parts.Go(func() error { n.names.Run(ctx); return nil })
	parts.Go(func() error { n.reload.run(ctx); return nil })
	parts.Go(func() error { n.keeper.run(ctx); return nil })
	parts.Go(func() error { n.keepMemory(ctx); return nil })
	parts.Go(func() error { return n.admin.Serve(ctx) })
	parts.Go(func() error {
		select {
		case <-stop.Done():
			n.drain(kill)
			return errStopped
		case <-ctx.Done():
			return nil
		}
	})
	parts.Go(func() error {
		<-ctx.Done()
		n.streams.close()
		return n.udp.Close()
	})

	var logs errgroup.Group
	logging, endLog := context.WithCancel(context.Background())
	logs.Go(func() error { n.router.RunLog(logging); return nil })
	logs.Go(func() error { n.flips.run(logging, n.log, n.events, n.router.HostsOf); return nil })

	n.admin.SetReady(true)
	n.announce()
	n.notify.ready("taking calls")
	parts.Go(func() error { n.notify.watchdog(ctx, n.alive); return nil })
	err := parts.Wait()
	endLog()
	_ = logs.Wait()
	if err := n.managed.close(); err != nil {
		n.log.Error("the store could not be closed; what it acknowledged is on the disk", "error", err.Error())
	}
	if errors.Is(err, errStopped) {
		n.log.Info("stopped")
		return nil
	}
	return err
}

// locate starts to keep the names of the node, and waits for their first answers,
// but not for servers that are slow. What comes in meanwhile waits in the sockets.
func (n *node) locate(stop, ctx context.Context, parts *errgroup.Group) {
	first := make(chan struct{})
	parts.Go(func() error { n.locator.run(ctx, first); return nil })
	select {
	case <-first:
	case <-stop.Done():
	}
	if n.locator.names() {
		n.keeper.restore(transport.Now())
	}
}

// alive reports whether the timers turn and no lock of the calls is stuck.
func (n *node) alive() bool {
	ctx, cancel := context.WithTimeout(context.Background(), aliveLimit)
	defer cancel()
	return n.router.Alive(ctx)
}

// errStopped ends the parts of a node that was told to stop.
var errStopped = errors.New("stopped")

// drain refuses new calls and waits for those in set-up, then a little for what
// they still have to say.
func (n *node) drain(kill context.Context) {
	n.router.Drain()
	n.admin.SetReady(false)
	n.notify.stopping("taking no new calls; those in set-up finish")
	limit, cancel := context.WithTimeout(kill, n.reload.config().DrainTimeout)
	defer cancel()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for n.router.Setups() > 0 {
		select {
		case <-tick.C:
		case <-limit.Done():
			n.log.Warn("ending with calls in set-up", "calls", n.router.Setups())
			return
		}
	}
	if n.router.Live() == 0 {
		return // no call ended lately
	}
	select {
	case <-time.After(drainLinger):
	case <-limit.Done():
	}
}

// numbers counts the entries that the node began with, a range or prefix as one.
func (n *node) numbers() int {
	if n.managed != nil {
		return storedNumbers{n.managed, n.log}.Count()
	}
	return numbersOf(n.cfg)
}

// announce says what runs, in one line.
func (n *node) announce() {
	var listeners []string
	for _, l := range n.listeners() {
		listeners = append(listeners, l.Transport.String()+"://"+l.Addr.String()+" as "+l.Advertise)
	}
	n.log.Info("serving",
		"version", version(),
		"config", n.cfg.File,
		"listeners", listeners,
		"admin", n.admin.AdminAddr(),
		"metrics", n.admin.MetricsAddr(),
		"groups", len(n.router.Catalog().Groups),
		"connectors", len(n.router.Catalog().Connectors),
		"numbers", n.numbers(),
		"workers", len(n.udp.Stats())/max(len(n.udp.Addrs()), 1),
		"detection", n.cfg.Health.Detection().String(),
	)
}
