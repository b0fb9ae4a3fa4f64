package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"tandem/admin"
	"tandem/config/catalog"
)

func newHealth() *cobra.Command {
	var q healthQuery
	cmd := &cobra.Command{
		Use:   "health [NAME...]",
		Short: "Show which hosts are up, which are not, since when and why",
		Long: `Show the hosts of a running node, what is wrong first. A NAME is that of a region
or a connector, or the URI or address of a host; without one all are shown.

  STATE   up, recovering (with the part of its calls that it gets), doubtful, full,
          ejected (its calls fail, whatever its probes say), down (its probes fail);
          draining or disabled when the config, or an order, takes it out
  SINCE   how long it has been so; "-": since it is known
  PROBE   round trip of the last OPTIONS, or what became of it
  CALLS   of the last calls those that went well, of about a minute
  LOAD    calls of max_calls; in brackets those of the whole connector
  REASON  what brought it there

A "!" marks a region that is unhealthy or evacuated. --history shows the last
changes of each host too.

--watch redraws the table when something changes, and once a second. Without a
terminal it prints each change as a line instead, and with --json as an object,
from now on, until it is interrupted.

The node is asked on its admin address, which takes no requests from elsewhere
by default: run this on the node's own machine. The exit code is 0 whatever the
health is, and 1 when the node cannot be asked, or has nothing of a NAME.`,
		Example: `  tandem health
  tandem health support-east --history
  tandem health --watch
  tandem health --json | jq -r '.hosts[] | select(.state != "up") | .host'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			q.names = names
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return showHealth(ctx, cmd.OutOrStdout(), &q)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.region, "region", "", "only hosts of this region")
	f.StringVar(&q.connector, "connector", "", "only hosts of this connector")
	f.BoolVar(&q.history, "history", false, "show the last changes of each host")
	f.BoolVar(&q.watch, "watch", false, "go on, as things change")
	f.BoolVar(&q.json, "json", false, "print JSON")
	q.node.addTo(cmd, defaultAdminURL, "the node's admin address")
	return cmd
}

// healthQuery is what tandem health was asked for.
type healthQuery struct {
	node                 target
	region, connector    string
	names                []string
	history, watch, json bool
}

func showHealth(ctx context.Context, out io.Writer, q *healthQuery) error {
	all, err := healthOf(ctx, q)
	if err != nil {
		return ended(ctx, err)
	}
	s := newScreen(out)
	switch {
	case q.watch && s.terminal && !q.json:
		return watchScreen(ctx, s, q)
	case q.watch:
		return watchLines(ctx, out, q)
	case q.json:
		return json.NewEncoder(out).Encode(all)
	}
	_, err = io.WriteString(out, healthText(all, s.colours))
	return err
}

// healthOf asks a node for what it knows of the hosts that are wanted.
func healthOf(ctx context.Context, q *healthQuery) (*admin.Health, error) {
	values := url.Values{}
	for key, value := range map[string]string{"region": q.region, "connector": q.connector} {
		if value != "" {
			values.Set(key, value)
		}
	}
	if q.history {
		values.Set("history", "1")
	}
	path := "/v1/health"
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	all := new(admin.Health)
	if _, err := askJSON(ctx, http.MethodGet, q.node, path, nil, all); err != nil {
		return nil, err
	}
	return all, q.narrow(all)
}

// narrow leaves what the names are of. A name that nothing has is an error: who
// mistypes one must not take what is left for an answer.
func (q *healthQuery) narrow(all *admin.Health) error {
	if len(q.names) == 0 {
		return nil
	}
	var known []string
	for _, h := range all.Hosts {
		known = append(known, h.Region, h.Connector, h.Host, h.Address)
	}
	for _, name := range q.names {
		if slices.ContainsFunc(all.Hosts, func(h admin.HostHealth) bool { return named(name, h.Host, h.Connector, h.Region) }) {
			continue
		}
		if near := catalog.Nearest(name, known); near != "" {
			return fmt.Errorf("no region, connector or host is called %q; did you mean %q?", name, near)
		}
		return fmt.Errorf("no region, connector or host is called %q; without a name all are shown", name)
	}
	all.Hosts = slices.DeleteFunc(all.Hosts, func(h admin.HostHealth) bool { return !q.named(h.Host, h.Connector, h.Region) })
	all.Regions = slices.DeleteFunc(all.Regions, func(r admin.RegionHealth) bool {
		return !slices.ContainsFunc(all.Hosts, func(h admin.HostHealth) bool { return h.Region == r.Region })
	})
	return nil
}

// named reports whether one of the names is that of the host, or of one of the
// others; without names all are.
func (q *healthQuery) named(host string, others ...string) bool {
	return len(q.names) == 0 || slices.ContainsFunc(q.names, func(name string) bool { return named(name, host, others...) })
}

func named(name, host string, others ...string) bool {
	if name == host || slices.Contains(others, name) {
		return true
	}
	a, err := catalog.ParseSubject(catalog.HostKind, name)
	if err != nil {
		return false
	}
	b, err := catalog.ParseSubject(catalog.HostKind, host)
	return err == nil && (a == b || strings.HasPrefix(b.Name, a.Name+";")) // over any transport, when none is said
}

// wants reports whether a change is of what is wanted.
func (q *healthQuery) wants(e *admin.Event) bool {
	subject := e.Subject
	if e.Kind == "order" {
		_, subject, _ = strings.Cut(subject, " ") // "host 10.0.1.10:5060"
	}
	return (q.region == "" || slices.Contains(e.Regions, q.region)) &&
		(q.connector == "" || slices.Contains(e.Connectors, q.connector)) &&
		q.named(subject, append(slices.Clone(e.Connectors), e.Regions...)...)
}
