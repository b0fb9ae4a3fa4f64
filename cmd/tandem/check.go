package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tandem/config"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a config can be served",
		Long: `Say whether a config can be served: "ok" and exit code 0, or every mistake in it
and 1. Warnings are printed too and change nothing about the code. Nothing is
sent and no address is bound.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return check(cmd.OutOrStdout(), args[0]) },
	}
}

func check(out io.Writer, path string) error {
	cfg, err := config.Load(path)
	if err == nil {
		// What a router makes of it needs no socket, and may find more.
		if _, routeErr := offline(cfg); routeErr != nil {
			err = config.Error{File: path, Text: routeErr.Error()}
		}
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return exitError{code: exitFailed}
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(out, "warning:", w.Error())
	}
	fmt.Fprintln(out, "ok")
	return nil
}
