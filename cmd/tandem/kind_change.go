package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// newRename makes the command that gives one of a kind another name.
func (k kind) newRename(about string) *cobra.Command {
	var m managing
	cmd := &cobra.Command{
		Use:               "rename " + strings.ToUpper(string(k)) + " NEW-NAME",
		Short:             "Give a " + string(k) + " another name",
		Long:              "Give a " + string(k) + " another name. " + about,
		Example:           "  tandem " + string(k) + " rename support \"my support\"",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeInTurn(completeNames(&m.node, k), completeNothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.update(cmd, &m, args[0], http.MethodPatch, nil, map[string]string{"name": args[1]})
		},
	}
	m.addTo(cmd)
	return cmd
}

// newDelete makes the command that deletes one of a kind.
func (k kind) newDelete(about string) *cobra.Command {
	var m managing
	cmd := &cobra.Command{
		Use:               "delete " + strings.ToUpper(string(k)),
		Short:             "Delete a " + string(k) + " that has nothing left",
		Long:              about,
		Example:           "  tandem " + string(k) + " delete support",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeInTurn(completeNames(&m.node, k), completeNothing),
		RunE:              func(cmd *cobra.Command, args []string) error { return k.remove(cmd, &m, args[0]) },
	}
	m.addTo(cmd)
	m.addYes(cmd)
	return cmd
}

// remove deletes one of a kind when it may be deleted and somebody wants it.
func (k kind) remove(cmd *cobra.Command, m *managing, ref string) error {
	what := string(k) + " " + printable(ref)
	if m.dry || !m.yes { // what is refused is not asked about
		r, err := changing(http.MethodDelete, k.path(ref), nil, true)
		if err != nil {
			return err
		}
		var preview entity
		if _, err := m.node.send(cmd.Context(), r, &preview); err != nil {
			return err
		}
		recent := preview.recentCalls()
		switch {
		case m.dry && m.output == asJSON:
			return writeLine(cmd.OutOrStdout(), preview)
		case m.dry:
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "dry run: %s would be deleted\n%s", what, recent)
			return err
		}
		if err := confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), what+" is to be deleted, for good.\n"+recent); err != nil {
			return err
		}
	}
	r, err := changing(http.MethodDelete, k.path(ref), nil, false)
	if err != nil {
		return err
	}
	if _, err := m.node.send(cmd.Context(), r, nil); err != nil || m.output == asJSON {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is deleted\n", what)
	return err
}

// create has a node make one of a kind.
func (k kind) create(cmd *cobra.Command, m *managing, spec any) error {
	r, err := changing(http.MethodPost, k.path(), spec, m.dry)
	if err != nil {
		return err
	}
	var o entity
	if _, err := m.node.send(cmd.Context(), r, &o); err != nil {
		return err
	}
	if m.output == asJSON {
		return writeLine(cmd.OutOrStdout(), o)
	}
	text := string(k) + " " + printable(o.name()) + " is created\n"
	if m.dry {
		text = "dry run: " + string(k) + " " + printable(o.name()) + " would be created\n"
	}
	_, err = io.WriteString(cmd.OutOrStdout(), text+differences(nil, o))
	return err
}

// update has a node change one of a kind, and tells what is another now. Steps
// are those of the path behind it.
func (k kind) update(cmd *cobra.Command, m *managing, ref, method string, steps []string, body any) error {
	before, _, err := k.one(cmd.Context(), m.node, ref)
	if err != nil {
		return err
	}
	r, err := changing(method, k.path(append([]string{ref}, steps...)...), body, m.dry)
	if err != nil {
		return err
	}
	return k.finish(cmd, m, before, r)
}

// finish sends a change of what was before, and tells of it.
func (k kind) finish(cmd *cobra.Command, m *managing, before entity, r request) error {
	var after entity
	if _, err := m.node.send(cmd.Context(), r, &after); err != nil {
		return err
	}
	if m.output == asJSON {
		return writeLine(cmd.OutOrStdout(), after)
	}
	list := differences(before, after)
	text := string(k) + " " + printable(before.name())
	switch {
	case list == "":
		text += ": nothing changes\n"
	case m.dry:
		text = "dry run: " + text + " would be changed\n"
	default:
		text += " is changed\n"
	}
	if m.dry {
		list += after.recentCalls()
	}
	_, err := io.WriteString(cmd.OutOrStdout(), text+list)
	return err
}
