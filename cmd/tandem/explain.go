package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/health"
	"tandem/router"
)

func newExplain() *cobra.Command {
	var q explainQuery
	cmd := &cobra.Command{
		Use:   "explain (--config FILE | --admin URL) NUMBER",
		Short: "Show the way that a call to a number would take, and why",
		Long: `Show the way that a call to a number would take, and why: the entry that it
matches, the hosts in the order in which they are tried, then those that are
left out. The exit code is 1 when the number leads nowhere.

--config FILE asks a config, offline: no node needs to run, and every host counts
as up. --admin URL asks the running node there (http://127.0.0.1:8080 unless its
config says otherwise): what it would do with a call that came now, with the
health of each host as the node sees it. One of the two is needed.

The number is taken as it is after a trunk's strip and prepend. With --trunk NAME
it is taken as that trunk dials it, and the trunk's own settings count. It may be
written with spaces and dashes.

Behind the hosts stand the settings that are not the defaults: those of the whole
call, then those of attempts on each connector and of the health of its hosts.
Each has the value in force and, in brackets, the level that it comes from: global
(the failover and health blocks at the top of the config), a trunk, a group or a
connector; the last of these that says something wins. --settings shows them all,
the defaults too.

--json prints the same as JSON, with all settings.`,
		Example: `  tandem explain --config /etc/tandem/tandem.yaml +15550000001
  tandem explain --admin http://127.0.0.1:8080 "+1 555 000 0001"
  tandem explain --admin 127.0.0.1:8080 --trunk carrier-a --settings 0015550000001`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.number = args[0]
			return explain(cmd.Context(), cmd.OutOrStdout(), &q)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&q.config, "config", "c", "", "ask this config file, offline")
	q.node.addTo(cmd, "", "ask the running node with this admin address")
	f.StringVar(&q.trunk, "trunk", "", "a call from this trunk, the number as it dials it")
	f.BoolVar(&q.settings, "settings", false, "show all settings, not only those that differ from the defaults")
	f.BoolVar(&q.json, "json", false, "print JSON")
	return cmd
}

// explainQuery is what tandem explain was asked for.
type explainQuery struct {
	config         string
	node           target // one of them
	number, trunk  string
	settings, json bool
}

func explain(ctx context.Context, out io.Writer, q *explainQuery) error {
	if (q.config == "") == (q.node.url == "") {
		return errors.New("explain needs one of --config FILE, to ask a file offline, and --admin URL, to ask a running node (http://127.0.0.1:8080)")
	}
	find := explainOffline
	if q.node.url != "" {
		find = explainLive
	}
	ex, err := find(ctx, q)
	if err != nil {
		return err
	}
	if q.json {
		err = writeJSON(out, ex)
	} else {
		err = writeExplanation(out, ex, q)
	}
	if err == nil && ex.Entry == "" {
		return exitError{code: exitFailed}
	}
	return err
}

func explainOffline(_ context.Context, q *explainQuery) (*router.Explanation, error) {
	cfg, err := config.Load(q.config)
	if err != nil {
		return nil, exitError{exitConfig, err}
	}
	if cfg.Store != (config.Store{}) {
		return nil, fmt.Errorf("%s keeps its connectors, groups and numbers in a store, and not in the file: ask the node, with --admin URL", cfg.File)
	}
	r, err := offline(cfg)
	if err != nil {
		return nil, exitError{exitConfig, err}
	}
	number := q.number
	if n, err := catalog.ParseNumbers(number); err == nil && n.Kind == catalog.Exact {
		number = n.First // written as people write it, with spaces and all
	}
	ex, err := r.Explain(number, q.trunk, offlineNow)
	if err != nil {
		return nil, err
	}
	ex.Number = cmp.Or(ex.Number, number)
	return &ex, nil
}

func explainLive(ctx context.Context, q *explainQuery) (*router.Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	query := url.Values{"number": {q.number}}
	if q.trunk != "" {
		query.Set("trunk", q.trunk)
	}
	const path = "/explain"
	res, err := ask(ctx, q.node, path, query, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	// A number that leads nowhere is explained too; a page that is missing is not.
	if res.StatusCode == http.StatusNotFound && res.Header.Get("Content-Type") != "application/json" {
		return nil, noSuchPage(q.node.url, path)
	}
	ex := new(router.Explanation)
	if err := json.NewDecoder(io.LimitReader(res.Body, mostAnswer)).Decode(ex); err != nil {
		return nil, fmt.Errorf("the node's answer cannot be read: %w", err)
	}
	return ex, nil
}

func writeJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

func writeExplanation(out io.Writer, ex *router.Explanation, q *explainQuery) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "number   %s\n", printable(ex.Number))
	if ex.Trunk != "" {
		fmt.Fprintf(&b, "trunk    %s, which dials %s\n", ex.Trunk, q.number)
	}
	if ex.Entry == "" {
		fmt.Fprintln(&b, "matches  nothing: a call to it is answered 404")
	} else {
		fmt.Fprintf(&b, "matches  %s (%s)\nroute    %s\n", ex.Entry, ex.Kind, routeText(ex))
	}
	if ex.Verdict != "" {
		fmt.Fprintf(&b, "but      %s\n", ex.Verdict)
	}
	writeSteps(&b, ex, q.node.url != "")
	writeSettings(&b, ex, q.settings)
	_, err := out.Write(b.Bytes())
	return err
}

// writeSteps writes the hosts. What is live has their health.
func writeSteps(out io.Writer, ex *router.Explanation, live bool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	title := ""
	for _, s := range ex.Steps {
		heading, place := "tried, in this order", fmt.Sprint(s.Place)
		if s.Place == 0 {
			heading, place = "left out", "-"
		}
		if heading != title {
			title = heading
			fmt.Fprintf(w, "%s\n", title)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t", place, s.Connector, cmp.Or(s.Region, "-"), s.Host)
		if live {
			fmt.Fprintf(w, "%s\t", s.Health)
		}
		if s.Large != "" {
			s.Reason += "; large requests go over " + s.Large
		}
		fmt.Fprintf(w, "%s\n", s.Reason)
	}
	_ = w.Flush() // out is memory
}

// settingsBlock is the settings that several connectors have in common.
type settingsBlock struct {
	names    []string
	settings []router.Setting
}

// writeSettings writes the settings in force: all, or those that are not the
// defaults.
func writeSettings(out io.Writer, ex *router.Explanation, all bool) {
	write := func(title string, settings []router.Setting) {
		if len(settings) == 0 {
			return
		}
		fmt.Fprintln(out, title)
		for _, s := range settings {
			fmt.Fprintf(out, "  %s %s (%s)\n", s.Name, s.Value, s.Origin)
		}
	}
	write("settings of the call", worthSaying(ex.Settings, all))
	for _, b := range settingsBlocks(ex.Steps, all) {
		write("settings at "+strings.Join(b.names, ", "), b.settings)
	}
}

func worthSaying(settings []router.Setting, all bool) []router.Setting {
	if all {
		return settings
	}
	return slices.DeleteFunc(slices.Clone(settings), func(s router.Setting) bool { return s.Origin == "default" })
}

// settingsBlocks puts the connectors of steps that have the same settings
// together. A host whose settings are not those of its connector's first host
// is named by itself.
func settingsBlocks(steps []router.Step, all bool) (blocks []settingsBlock) {
	of := make(map[string][]router.Setting) // by connector
	for _, s := range steps {
		settings, name := worthSaying(s.Settings, all), s.Connector
		if first, seen := of[name]; !seen {
			of[name] = settings
		} else if slices.Equal(first, settings) {
			continue
		} else {
			name += " " + s.Host
		}
		same := func(b settingsBlock) bool { return slices.Equal(b.settings, settings) }
		if i := slices.IndexFunc(blocks, same); i >= 0 {
			blocks[i].names = append(blocks[i].names, name)
		} else {
			blocks = append(blocks, settingsBlock{[]string{name}, settings})
		}
	}
	return blocks
}

func routeText(ex *router.Explanation) string {
	switch {
	case ex.Connector == "":
		return "group " + ex.Group
	case ex.Group == "":
		return "connector " + ex.Connector + ", in no group"
	}
	return "connector " + ex.Connector + ", then the rest of group " + ex.Group
}

// offlineNow is the time at which an offline router is asked; its clock does
// not run.
const offlineNow = 1

// offline returns a router that has no sockets and is sent nothing: it knows
// the way of a call without taking one.
func offline(cfg *config.Config) (*router.Router, error) {
	opts := router.Options{
		Secrets: [][]byte{newSecret()},
		Health:  health.NewRegistry(health.Options{Settings: cfg.Health}),
		Now:     offlineNow,
	}
	for _, l := range cfg.Listen {
		opts.Listeners = append(opts.Listeners, router.Listener{Name: l.Name, Addr: l.Addr, Transport: l.Transport, Advertise: l.Advertise})
	}
	return router.New(opts, policyOf(cfg))
}
