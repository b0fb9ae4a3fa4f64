package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// numberView is a number as a node tells it.
type numberView struct {
	Number  string     `json:"number"`
	Kind    string     `json:"kind"`
	Owner   *ownerView `json:"owner"`
	Created time.Time  `json:"created"`
	Updated time.Time  `json:"updated"`
}

func newNumberShow() *cobra.Command {
	var q asking
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show a number, range or prefix of the inventory",
		Long: `Show a number, range or prefix as it is in the inventory. The way of a call to a
number, which a range may lead too, is shown by tandem explain.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := parseNumber(args[0])
			if err != nil {
				return err
			}
			var n numberView
			a, err := q.node.send(cmd.Context(), get("/v1/numbers/"+url.PathEscape(e.String()), nil), &n)
			if err != nil {
				return err
			}
			if q.output == asJSON {
				return writeLine(cmd.OutOrStdout(), a.text)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "number   %s\nkind     %s\nowner    %s\nadded    %s\nchanged  %s\n", printable(n.Number), printable(n.Kind),
				n.Owner, n.Created.Local().Format(time.DateTime), n.Updated.Local().Format(time.DateTime))
			return err
		},
	}
	q.addTo(cmd)
	return cmd
}

// asLines is the output that other commands take: a number a line.
const asLines = "lines"

// listQuery is which numbers are listed.
type listQuery struct {
	asking
	ownerFlags
	unassigned    bool
	digits, after string
	limit         int
}

func newNumberList() *cobra.Command {
	var q listQuery
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the numbers of the inventory, and whom they belong to",
		Long: `List the numbers of the inventory: single ones first, then ranges, then prefixes.
There may be millions: the first 1,000 are listed unless --limit says otherwise,
and where it goes on stands on standard error.`,
		Example: `  tandem number list --group support
  tandem number list --unassigned --digits +1555
  tandem number list --limit 0 -o lines > all.txt`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.limit < 0 {
				return errors.New("--limit: a count, or 0 for all")
			}
			// A variable that is not set in a script would list all there are.
			for _, filter := range []string{"group", "connector", "digits", "after"} {
				if f := cmd.Flags().Lookup(filter); f.Changed && f.Value.String() == "" {
					return fmt.Errorf("--%s is empty; give it a value, or leave it out", filter)
				}
			}
			return q.list(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	q.asking.addTo(cmd, asLines)
	q.ownerFlags.addTo(cmd, &q.node, "", "only numbers of")
	f := cmd.Flags()
	f.BoolVar(&q.unassigned, "unassigned", false, "only numbers of nobody")
	f.StringVar(&q.digits, "digits", "", "only numbers that begin so")
	f.StringVar(&q.after, "after", "", "go on behind this one")
	f.IntVar(&q.limit, "limit", 1000, "the most that are listed; 0 for all")
	cmd.MarkFlagsMutuallyExclusive("group", "connector", "unassigned")
	return cmd
}

// mostListed is how many numbers a node lists at a time.
const mostListed = 1000

// list writes page after page as it comes: there may be millions.
func (q *listQuery) list(ctx context.Context, out, errs io.Writer) error {
	w := &numberWriter{out: out, output: q.output}
	next, left := q.after, q.limit
	for {
		query := url.Values{"limit": {strconv.Itoa(mostListed)}}
		if q.limit > 0 {
			query.Set("limit", strconv.Itoa(min(left, mostListed)))
		}
		for key, value := range map[string]string{"group": q.group, "connector": q.connector, "digits": q.digits, "after": next} {
			if value != "" {
				query.Set(key, value)
			}
		}
		if q.unassigned {
			query.Set("unassigned", "true")
		}
		var list struct {
			Numbers []json.RawMessage `json:"numbers"`
			Next    string            `json:"next"`
		}
		if _, err := q.node.send(ctx, get("/v1/numbers", query), &list); err != nil {
			return err
		}
		if err := w.write(list.Numbers); err != nil {
			return err
		}
		left -= len(list.Numbers)
		next = list.Next
		if next == "" || q.limit > 0 && left <= 0 {
			break
		}
	}
	if err := w.end(next); err != nil || next == "" || q.output == asJSON {
		return err
	}
	_, err := fmt.Fprintf(errs, "there are more: --limit 0 lists all, --after %s goes on here\n", printable(next))
	return err
}

// numberWriter writes numbers page by page.
type numberWriter struct {
	out    io.Writer
	output string
	any    bool // something was written
}

func (w *numberWriter) write(numbers []json.RawMessage) error {
	var b bytes.Buffer
	table := tabwriter.NewWriter(&b, 14, 0, 2, ' ', 0)
	for _, text := range numbers {
		if w.output == asJSON {
			b.WriteString(map[bool]string{false: `{"numbers":[`, true: ","}[w.any])
			b.Write(text)
			w.any = true
			continue
		}
		var n numberView
		if err := json.Unmarshal(text, &n); err != nil {
			return fmt.Errorf("the node's answer cannot be read: %w", err)
		}
		if w.output == asLines {
			fmt.Fprintln(&b, printable(n.Number))
			continue
		}
		if !w.any {
			fmt.Fprintln(table, "NUMBER\tCHANGED\tOWNER")
			w.any = true
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", printable(n.Number), n.Updated.Local().Format(time.DateTime), n.Owner)
	}
	_ = table.Flush() // b is memory
	_, err := w.out.Write(b.Bytes())
	return err
}

// end writes what is behind the last page.
func (w *numberWriter) end(next string) error {
	if w.output != asJSON {
		return nil
	}
	text := map[bool]string{false: `{"numbers":[`, true: ""}[w.any] + "]"
	if next != "" {
		quoted, err := json.Marshal(next)
		if err != nil {
			return err
		}
		text += `,"next":` + string(quoted)
	}
	_, err := io.WriteString(w.out, text+"}\n")
	return err
}
