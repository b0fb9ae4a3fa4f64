package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/router"
)

func newCheck() *cobra.Command {
	var other string
	var names bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a config can be served, and what it would change",
		Long: `Say whether a config can be served: "ok" and exit code 0, or every mistake in it
and 1. Warnings are printed too and change nothing about the code. No address
is bound, and nothing is sent but what --resolve asks for. Certificates and keys
are opened: a bad one is a mistake, one that expires soon a warning, and so with
authorities. Of a config that can be served it tells how long a
silent host may go unnoticed by its settings.

With --diff OTHER it also shows what would change if a node that runs OTHER took
FILE: first what a reload (SIGHUP) takes, then what waits for a restart.

With --resolve it asks DNS for the names of hosts, as a node would, and tells the
servers of each; a name without a server that calls can be sent to is a mistake.

  tandem check new.yaml --diff /etc/tandem/tandem.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return check(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], other, names)
		},
	}
	cmd.Flags().StringVar(&other, "diff", "", "the config that runs now")
	cmd.Flags().BoolVar(&names, "resolve", false, "ask DNS for the names of hosts")
	return cmd
}

func check(ctx context.Context, out, progress io.Writer, path, other string, names bool) error {
	opts := config.Options{Progress: func(file string, numbers int) {
		fmt.Fprintf(progress, "%s: %d numbers read\n", file, numbers)
	}}
	cfg, r, err := checked(path, opts)
	if err != nil {
		fmt.Fprintln(out, err)
		return exitError{code: exitFailed}
	}
	_, warnings := examine(cfg, time.Now())
	if text := outgoingTo(r.Hosts()).unresolved(&cfg.Catalog).warning(cfg.Streams, room()); text != "" {
		warnings = append(warnings, config.Error{File: path, Field: outgoingField, Text: text})
	}
	for _, w := range slices.Concat(cfg.Warnings, warnings) {
		fmt.Fprintln(out, "warning:", w.Error())
	}
	if other != "" {
		running, err := config.LoadWith(other, opts)
		if err != nil {
			fmt.Fprintln(out, err)
			return exitError{code: exitFailed}
		}
		diff(out, config.Diff(running, cfg))
	}
	detection(out, cfg)
	if names {
		all, err := resolve(ctx, out, cfg)
		switch {
		case err != nil:
			return err
		case !all:
			return exitError{code: exitFailed}
		}
	}
	fmt.Fprintln(out, "ok")
	return nil
}

// detection writes after what time a silent host is down at the latest: a line
// for each time that there is, with the connectors if there are several.
func detection(out io.Writer, cfg *config.Config) {
	connectors := make(map[time.Duration][]string)
	for i := range cfg.Catalog.Connectors {
		set := cfg.Catalog.HealthFor(i, cfg.Health)
		connectors[set.Detection()] = append(connectors[set.Detection()], cfg.Catalog.Connectors[i].Name)
	}
	for _, took := range slices.Sorted(maps.Keys(connectors)) {
		text := "detection: a silent host is down after " + catalog.Duration(took) + " at the latest"
		if took == 0 {
			text = "detection: a silent host is never down, because it is not probed"
		}
		if len(connectors) > 1 {
			text += " (" + some(connectors[took]) + ")"
		}
		fmt.Fprintln(out, text)
	}
}

// some lists the first of many names.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// checked loads a config, opens the certificates that it names and has a router
// compiled from it, which needs no socket and may find more.
func checked(path string, opts config.Options) (*config.Config, *router.Router, error) {
	cfg, err := config.LoadWith(path, opts)
	if err != nil {
		return nil, nil, err
	}
	if mistakes, _ := examine(cfg, time.Now()); len(mistakes) > 0 {
		return nil, nil, mistakes
	}
	r, err := offline(cfg)
	if err != nil {
		return nil, nil, config.Error{File: path, Text: err.Error()}
	}
	return cfg, r, nil
}

func diff(out io.Writer, changes []config.Change) {
	list := func(title string, restart bool) {
		for _, c := range changes {
			if c.Restart == restart {
				if title != "" {
					fmt.Fprintln(out, title)
					title = ""
				}
				fmt.Fprintln(out, "  "+strings.TrimPrefix(c.Text, "restart_needed: "))
			}
		}
	}
	list("a reload changes:", false)
	list("a restart is needed for:", true)
	if len(changes) == 0 {
		fmt.Fprintln(out, "nothing changes")
	}
}
