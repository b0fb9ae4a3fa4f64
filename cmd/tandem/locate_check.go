package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"

	"tandem/config"
	"tandem/router/locate"
)

// resolveAtOnce is how many names are looked up at a time.
const resolveAtOnce = 8

// resolve looks the names of a config's hosts up, as a node would, and writes what
// DNS says. all is whether each has a server that calls can be sent to.
func resolve(ctx context.Context, out io.Writer, cfg *config.Config) (all bool, err error) {
	targets := locate.Targets(&cfg.Catalog)
	found := lookUp(ctx, cfg, targets)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range targets {
		for _, s := range found[t].Servers {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t", t, s.Addr, s.Transport, s.Host)
			if s.SRV {
				fmt.Fprintf(w, "priority %d, weight %d", s.Priority, s.Weight)
			}
			fmt.Fprintln(w)
		}
	}
	expanded, left := locate.Expand(&cfg.Catalog, worldOf(cfg, func(t locate.Target) []locate.Server { return found[t].Servers }))
	clashes := cfg.Clashes(expanded)
	for _, clash := range clashes {
		left = append(left, clashing(expanded, &clash))
	}
	expanded = config.WithoutClashes(expanded, clashes)
	for _, o := range left {
		fmt.Fprintf(w, "warning: connector %s: %s: %s gets no calls: %v\n", o.Connector, o.URI, o.Server, o.Why)
	}
	all = true
	for i := range expanded.Connectors {
		c := &expanded.Connectors[i]
		for j := range c.Hosts {
			if h := &c.Hosts[j]; h.Name != "" && !h.Addr.IsValid() {
				t, _ := locate.TargetOf(h)
				fmt.Fprintf(w, "connector %s: %s has no server that calls can be sent to: %v\n", c.Name, h.URI, why(found[t]))
				all = false
			}
		}
	}
	return all, w.Flush()
}

// why is what keeps a name from having servers.
func why(r locate.Result) error {
	switch {
	case len(r.Servers) > 0:
		return errors.New("see above")
	case r.Problem != nil:
		return r.Problem
	}
	return errors.New("DNS has none")
}

// lookUp looks targets up, some at a time.
func lookUp(ctx context.Context, cfg *config.Config, targets []locate.Target) map[locate.Target]locate.Result {
	client, f := newDNSClient(cfg), families(cfg)
	var mu sync.Mutex
	var all sync.WaitGroup
	found := make(map[locate.Target]locate.Result)
	room := make(chan struct{}, resolveAtOnce)
	for _, t := range targets {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			r := locate.Locate(ctx, client, t, f)
			mu.Lock()
			defer mu.Unlock()
			found[t] = r
		})
	}
	all.Wait()
	return found
}
