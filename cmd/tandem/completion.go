package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionTimeout is how long somebody who pressed Tab waits for names.
const completionTimeout = time.Second

// completer completes arguments: the words so far, and what is typed of the next.
type completer = cobra.CompletionFunc

// completeNames completes the names of groups or connectors with those of the
// node. A node that cannot be asked has none, and nothing is said of it.
func completeNames(node *target, k kind) completer {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return namesOf(cmd.Context(), *node, k, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeInTurn completes the first argument by the first completer, and so on;
// those behind the last by the last.
func completeInTurn(by ...completer) completer {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return by[min(len(args), len(by)-1)](cmd, args, typed)
	}
}

// completeRanks completes CONNECTOR=PRIORITY as far as its "=".
func completeRanks(node *target) completer {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names := namesOf(cmd.Context(), *node, connectorKind, typed)
		for i := range names {
			names[i] += "="
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeNothing completes what only the user knows.
func completeNothing(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func namesOf(ctx context.Context, node target, k kind, typed string) (names []cobra.Completion) {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	all, err := k.all(ctx, node)
	if err != nil {
		return nil
	}
	for _, s := range all {
		if name := s.name(); strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// hostsOf are the URIs of a connector's hosts.
func hostsOf(ctx context.Context, node target, connector string) (uris []string) {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	o, _, err := connectorKind.one(ctx, node, connector)
	var c connectorView
	if err != nil || o.into(&c) != nil {
		return nil
	}
	for i := range c.Hosts {
		uris = append(uris, c.Hosts[i].URI)
	}
	return uris
}
