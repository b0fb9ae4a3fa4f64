package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// kind is a kind of what is managed by name, and what is said of it.
type kind string

const (
	groupKind     kind = "group"
	connectorKind kind = "connector"
)

// path is that of all of a kind, or of what is behind it.
func (k kind) path(steps ...string) string {
	path := "/v1/" + string(k) + "s"
	for _, step := range steps {
		path += "/" + url.PathEscape(step)
	}
	return path
}

// all asks a node for all of a kind, page by page.
func (k kind) all(ctx context.Context, node target) (all []entity, err error) {
	for after := ""; ; {
		query := url.Values{}
		if after != "" {
			query.Set("after", after)
		}
		var page map[string]json.RawMessage
		if _, err := node.send(ctx, get(k.path(), query), &page); err != nil {
			return nil, err
		}
		var some []entity
		next := ""
		if err := readParts(page, map[string]any{string(k) + "s": &some, "next": &next}); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if next == "" || next == after {
			return all, nil
		}
		after = next
	}
}

// readParts reads the parts of an answer that are there.
func readParts(answer map[string]json.RawMessage, parts map[string]any) error {
	for key, into := range parts {
		text, ok := answer[key]
		if !ok {
			continue
		}
		if err := json.Unmarshal(text, into); err != nil {
			return fmt.Errorf("the node's answer cannot be read: %s: %w", key, err)
		}
	}
	return nil
}

// one asks a node for one of a kind.
func (k kind) one(ctx context.Context, node target, ref string) (o entity, etag string, err error) {
	a, err := node.send(ctx, get(k.path(ref), nil), &o)
	if err != nil {
		return nil, "", err
	}
	return o, a.etag, nil
}

// newShow makes the command that shows one of a kind.
func (k kind) newShow(write func(cmd *cobra.Command, q *asking, o entity) error) *cobra.Command {
	var q asking
	cmd := &cobra.Command{
		Use:               "show " + strings.ToUpper(string(k)),
		Short:             "Show a " + string(k) + ", by its name or its ID",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeInTurn(completeNames(&q.node, k), completeNothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, _, err := k.one(cmd.Context(), q.node, args[0])
			if err != nil {
				return err
			}
			if q.output == asJSON {
				return writeLine(cmd.OutOrStdout(), o)
			}
			return write(cmd, &q, o)
		},
	}
	q.addTo(cmd)
	return cmd
}

// newList makes the command that lists all of a kind.
func (k kind) newList(write func(out io.Writer, all []entity) error) *cobra.Command {
	var q asking
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the " + string(k) + "s",
		Args:              cobra.NoArgs,
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := k.all(cmd.Context(), q.node)
			if err != nil {
				return err
			}
			if q.output == asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{string(k) + "s": append([]entity{}, all...)})
			}
			return write(cmd.OutOrStdout(), all)
		},
	}
	q.addTo(cmd)
	return cmd
}

// writeLine writes an answer as the node gave it, with one line feed at its end.
func writeLine(out io.Writer, text []byte) error {
	_, err := out.Write(append(bytes.TrimSpace(text), '\n'))
	return err
}
