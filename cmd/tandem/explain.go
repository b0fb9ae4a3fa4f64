package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/health"
	"tandem/router"
)

func newExplain() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "explain --config FILE NUMBER",
		Short: "Show the way that a call to a number would take, and why",
		Long: `Show the way that a call to a number would take, and why: the entry that it
matches, the hosts in the order in which they are tried, then those that are
left out. The exit code is 1 when the number leads nowhere.

The number is taken as it is after the trunk's strip and prepend. No running node
is asked, so every host counts as up.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return exitError{exitConfig, err}
			}
			return explain(cmd.OutOrStdout(), cfg, args[0])
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the config file")
	_ = cmd.MarkFlagRequired("config")
	return cmd
}

func explain(out io.Writer, cfg *config.Config, number string) error {
	r, err := offline(cfg)
	if err != nil {
		return exitError{exitConfig, err}
	}
	if n, err := catalog.ParseNumbers(number); err == nil && n.Kind == catalog.Exact {
		number = n.First // written as people write it, with spaces and all
	}
	ex, err := r.Explain(number, "", offlineNow)
	if err != nil {
		return exitError{exitConfig, err}
	}
	if ex.Entry == "" {
		fmt.Fprintf(out, "number   %s\nmatches  nothing: a call to it is answered 404\n", cmp.Or(ex.Number, number))
		return exitError{code: exitFailed}
	}
	fmt.Fprintf(out, "number   %s\nmatches  %s (%s)\nroute    %s\n", ex.Number, ex.Entry, ex.Kind, routeText(&ex))
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
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", place, s.Connector, cmp.Or(s.Region, "-"), s.Host, s.Reason)
	}
	return w.Flush()
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
		opts.Listeners = append(opts.Listeners, router.Listener{Addr: l.Addr, Advertise: l.Advertise})
	}
	return router.New(opts, policyOf(cfg))
}
