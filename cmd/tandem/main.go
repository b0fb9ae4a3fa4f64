// Command tandem is a SIP failover proxy: it takes calls for the numbers of
// voice connector groups and brings each to the first connector that works.
//
// This package is the only place that wires the parts together. What a command
// prints is its result and goes to standard output; logs and errors go to
// standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailed = 1 // it did not work, or the answer is no
	exitConfig = 2 // the config is wrong: running it again changes nothing
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// exitError is an error with an exit code of its own. Without a text, all has
// been said already.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// run runs a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return runRoot(ctx, newRoot(), args, stdout, stderr)
}

func runRoot(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(stderr, text)
	}
	var exit exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "tandem",
		Short:         "A SIP failover proxy: calls reach the first connector that works",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServe(), newCheck(), newExplain(), newHealth(), newCalls(), newRegion(), newConnectorCommand(), newHostCommand(), newOrders(),
		newGroup(), newNumber(), newImport(), newExport(), newStore(), newKey(), newDemo(), newHealthcheck(), newVersion())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s --help lists what there is", err, cmd.CommandPath())
	})
	tellUsage(root)
	return root
}

// tellUsage has commands that are given too few arguments, or too many, say
// which they take.
func tellUsage(parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		tellUsage(cmd)
		check := cmd.Args
		if check == nil {
			continue
		}
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			switch {
			case err == nil:
				return nil
			case cmd.HasSubCommands():
				return fmt.Errorf("%w: %w", err, needsVerb(cmd, nil))
			}
			return fmt.Errorf("%w; write: %s", err, cmd.UseLine())
		}
	}
}
