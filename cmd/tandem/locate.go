package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem/admin"
	"tandem/config"
	"tandem/config/catalog"
	"tandem/router/dns"
	"tandem/router/locate"
	"tandem/router/transport"
)

// relocateRest is the time between two policies that DNS asks for: many names can
// change within a moment.
const relocateRest = 100 * time.Millisecond

// locator gives the hosts of connectors that are names their addresses, off the
// path of calls: it has names looked up, and brings a policy into force when one
// has other addresses, as a reload does.
type locator struct {
	node    *node
	log     *slog.Logger
	timeout time.Duration // of a question, and the longest that a reload waits for new names
	client  *dns.Client
	keeper  *locate.Keeper
	changed chan struct{}
	leftOut atomic.Int64 // servers that get no calls

	// Under the operator's lock, as all that makes policies.
	cfg  *config.Config // that calls are routed by, with names
	told []string       // servers that were logged as left out
}

func newLocator(n *node) *locator {
	set := n.cfg.DNS
	l := &locator{node: n, log: n.log, timeout: set.Timeout, client: newDNSClient(n.cfg), changed: make(chan struct{}, 1)}
	l.keeper = locate.NewKeeper(locate.Options{
		Source: l.client, Families: families(n.cfg), MinTTL: set.MinTTL, MaxTTL: set.MaxTTL, Timeout: set.Timeout,
		Changed: l.wake, Log: n.log,
	})
	return l
}

// newDNSClient is the client that asks as a config says.
func newDNSClient(cfg *config.Config) *dns.Client {
	return dns.New(dns.Options{Servers: cfg.DNS.Servers, Timeout: cfg.DNS.Timeout})
}

// families are those that listeners can send to.
func families(cfg *config.Config) (f locate.Families) {
	for _, l := range cfg.Listen {
		f.IPv4 = f.IPv4 || l.Addr.Addr().Is4()
		f.IPv6 = f.IPv6 || l.Addr.Addr().Is6()
	}
	return f
}

func (l *locator) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// learn has the names of a catalog looked up besides those that are, and gives new
// ones a moment: whoever writes a name in place of an address does not mean to be
// without a host until DNS answers. Who is slow is waited for no longer.
func (l *locator) learn(c *catalog.Catalog) {
	targets := locate.Targets(c)
	if len(targets) == 0 {
		return
	}
	l.keeper.Add(targets)
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	l.keeper.Wait(ctx, targets)
}

// settle makes cfg what calls are routed by; nil leaves that as it was. Names that
// are in it no more are forgotten. The operator's lock is held, or nobody else is
// there yet.
func (l *locator) settle(cfg *config.Config) {
	if cfg != nil {
		l.cfg = cfg
	}
	l.keeper.Set(locate.Targets(&l.cfg.Catalog))
}

// expand returns the catalog of a config with addresses in place of names, as far
// as they are known. The operator's lock is held, or nobody else is there yet.
func (l *locator) expand(cfg *config.Config) *catalog.Catalog {
	expanded, left := locate.Expand(&cfg.Catalog, worldOf(cfg, l.keeper.Servers))
	clashes := cfg.Clashes(expanded)
	for _, clash := range clashes {
		left = append(left, clashing(expanded, &clash))
	}
	var texts []string
	for _, out := range left {
		text := "connector " + out.Connector + ": " + out.URI + ": " + out.Server.String() + ": " + out.Why.Error()
		texts = append(texts, text)
		if !slices.Contains(l.told, text) {
			l.log.Warn("DNS: a server of a name gets no calls", "connector", out.Connector, "name", out.URI, "server", out.Server.String(), "because", out.Why.Error())
		}
	}
	l.told = texts
	l.leftOut.Store(int64(len(texts)))
	return config.WithoutClashes(expanded, clashes)
}

// clashing is a host whose address another connector has too, where somebody else
// has to be.
func clashing(c *catalog.Catalog, clash *config.Clash) locate.LeftOut {
	cc := &c.Connectors[clash.Connector]
	h := &cc.Hosts[clash.Host]
	return locate.LeftOut{
		Connector: cc.Name, URI: h.URI, Server: locate.Server{Addr: h.Addr, Transport: h.Transport, Host: h.Name},
		Why: errors.New(clash.Because(c)),
	}
}

// worldOf is a node as a config has it.
func worldOf(cfg *config.Config, servers func(locate.Target) []locate.Server) locate.World {
	reach := sync.OnceValue(cfg.Reach) // looks at the machine's addresses: for names alone
	return locate.World{Servers: servers, Reach: func(c *catalog.Connector, over catalog.Transport, a netip.AddrPort) error {
		return reach()(c, over, a)
	}}
}

// run keeps the names of the node, and brings into force what changes, until ctx
// ends. first is closed when each name was looked up once, or could have been.
func (l *locator) run(ctx context.Context, first chan<- struct{}) {
	var keeper sync.WaitGroup
	keeper.Go(func() { l.keeper.Run(ctx) })
	defer keeper.Wait()
	wait, cancel := context.WithTimeout(ctx, l.timeout)
	l.keeper.Wait(wait, locate.Targets(&l.cfg.Catalog))
	cancel()
	l.bring()
	close(first)
	for {
		select {
		case <-l.changed:
			l.bring()
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(relocateRest):
		case <-ctx.Done():
		}
	}
}

// bring makes a policy of what is known now. Numbers stay as they are, and so does
// all that the answers say nothing of.
func (l *locator) bring() {
	n := l.node
	n.operator.mu.Lock()
	defer n.operator.mu.Unlock()
	if len(locate.Targets(&l.cfg.Catalog)) == 0 {
		return
	}
	p := n.operator.policy(l.cfg)
	p.KeepNumbers = true
	if err := n.router.SetPolicy(transport.Now(), p); err != nil {
		l.log.Error("DNS: the addresses of names cannot be routed by: those before stay", "error", err.Error())
		return
	}
	if err := n.retarget(); err != nil {
		l.log.Error("DNS: the addresses of names cannot be probed", "error", err.Error())
	}
}

// names reports whether the node has any.
func (l *locator) names() bool { return len(locate.Targets(&l.cfg.Catalog)) > 0 }

// stats are what metrics show.
func (l *locator) stats() admin.DNS {
	return admin.DNS{Queries: l.client.Stats(), Names: l.keeper.Stats(), LeftOut: int(l.leftOut.Load())}
}
