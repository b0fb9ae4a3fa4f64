package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// aboutManaging is what all commands that change the inventory have in common.
const aboutManaging = `
A change is on the node's disk and in force when the command returns: the next
call goes by it, calls under way go on. A node that routes by a file refuses it:
its groups are changed there.

--dry-run shows what would change, as the node sees it, and changes nothing.

The node is asked on its admin address. Without a key that is on its own machine
only; with one (--key-file, or $` + keyEnv + `) wherever it listens. The exit code is 1
when the change is refused, and when the node cannot be asked.`

// asking is what all commands that ask about the inventory are given.
type asking struct {
	node   target
	output string // "table" or "json"
}

const (
	asTable = "table"
	asJSON  = "json"
)

func (a *asking) addTo(cmd *cobra.Command, more ...string) {
	a.node.addTo(cmd, defaultAdminURL, "the node's admin address")
	kinds := append([]string{asTable, asJSON}, more...)
	cmd.Flags().StringVarP(&a.output, "output", "o", asTable, "how to print: "+strings.Join(kinds, ", ")+"; json is the node's answer")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(kinds, a.output) {
			return fmt.Errorf("--output: %q is none of %s", a.output, strings.Join(kinds, ", "))
		}
		return nil
	}
}

// managing is what all commands that change the inventory are given.
type managing struct {
	asking
	dry, yes bool
}

func (m *managing) addTo(cmd *cobra.Command) {
	m.asking.addTo(cmd)
	cmd.Flags().BoolVar(&m.dry, "dry-run", false, "show what would change, and change nothing")
	cmd.Long += "\n" + aboutManaging
}

// addYes gives a command that asks whether to go on the flag not to.
func (m *managing) addYes(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&m.yes, "yes", "y", false, "go on without asking")
}

// newManaged makes a command that has verbs only.
func newManaged(use, short, long string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.NoArgs, RunE: needsVerb}
	cmd.AddCommand(verbs...)
	return cmd
}

// needsVerb is the error of a command that has verbs only.
func needsVerb(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return fmt.Errorf("%s needs one of %s; %s --help tells more", cmd.CommandPath(), strings.Join(names, ", "), cmd.CommandPath())
}

// errDeclined is a change that was thought better of.
var errDeclined = errors.New("nothing is changed")

// confirm asks a person whether to go on. Where nobody can be asked it is
// refused: a script that means it says --yes.
func confirm(ctx context.Context, in io.Reader, errs io.Writer, text string) error {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return fmt.Errorf("%s\nnothing is changed: there is no terminal to ask on; --yes goes on without asking", strings.TrimSpace(text))
	}
	return question(ctx, in, errs, text)
}

// question asks until ctx ends. Whatever is not a yes is a no.
func question(ctx context.Context, in io.Reader, errs io.Writer, text string) error {
	if _, err := fmt.Fprintf(errs, "%s\nGo on? [y/N] ", strings.TrimRight(text, "\n")); err != nil {
		return err
	}
	said := make(chan string, 1)
	go func() { // ends with its line, or with the process
		line, _ := bufio.NewReader(in).ReadString('\n')
		said <- line
	}()
	select {
	case line := <-said:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return errDeclined
	case <-ctx.Done():
		return errDeclined
	}
}
