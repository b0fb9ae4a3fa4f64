package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tandem/admin"
)

// aboutOrders is what all commands that order something have in common.
const aboutOrders = `
An order is in force when the command returns. Calls under way go on, in set-up
or up, and so do requests within them; new calls go to the connectors that are
left. It is kept in the state directory and stays, over reloads and restarts,
until it is taken back. Of what the config says and what is ordered the stricter
counts: an order never brings back what the config takes out.

What leaves a group without a host that works is refused, unless it is forced.
--note says why, for whoever looks next: tandem orders, tandem explain and the
log show it.

The node is asked on its admin address, which takes orders from its own machine
only unless it asks for a key: give an order at each node if there are several. The
exit code is 1 when the order is refused, and when the node cannot be asked.`

// orderVerb is one command that orders something.
type orderVerb struct {
	name, short, long string
}

// newOrdering makes the command of a kind of subject, with its verbs.
func newOrdering(kind, plural, argument, short, example string, verbs ...orderVerb) *cobra.Command {
	group := &cobra.Command{Use: kind, Short: short, Args: cobra.NoArgs, RunE: needsVerb}
	for _, v := range verbs {
		q := orderQuery{path: "/v1/" + plural + "/", verb: v.name}
		cmd := &cobra.Command{
			Use:     v.name + " " + argument,
			Short:   v.short,
			Long:    v.long + "\n" + aboutOrders,
			Example: fmt.Sprintf(example, v.name),
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				q.name = args[0]
				return order(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), &q)
			},
		}
		f := cmd.Flags()
		f.StringVar(&q.Note, "note", "", "why: shown wherever the order is, and in the log")
		f.BoolVar(&q.Force, "force", false, "do it even if a group has no host left that works")
		f.BoolVar(&q.json, "json", false, "print the node's answer as JSON")
		q.node.addTo(cmd, defaultAdminURL, "the node's admin address")
		if kind == string(connectorKind) {
			cmd.ValidArgsFunction = completeInTurn(completeNames(&q.node, connectorKind), completeNothing)
		}
		group.AddCommand(cmd)
	}
	return group
}

func newRegion() *cobra.Command {
	return newOrdering("region", "regions", "NAME", "Evacuate a region of a running node, or restore it",
		`  tandem region %s us-east-1 --note "fire drill"`,
		orderVerb{"evacuate", "Take all connectors of a region out of service", `Take all connectors of a region out of service: they get no new calls. Probes go
on, so that their health is known when the region is restored.`},
		orderVerb{"restore", "Take the evacuation of a region back", `Take the evacuation of a region back: its connectors get calls again, at once, as
far as nothing else keeps them out.`})
}

func newConnectorCommand() *cobra.Command {
	cmd := newOrdering("connector", "connectors", "NAME", "Manage the connectors of a running node, take them out of service and back",
		`  tandem connector %s support-east --note "maintenance 4711"`, outOfService("a connector")...)
	cmd.Long = `Manage the connectors of a running node, and take them out of service and back.

drain, disable and enable are orders for a while: every node takes them, and what
a connector is stays as it is. The others change that, at a node that keeps it in
a store.`
	cmd.AddCommand(managedConnectors()...)
	return cmd
}

func newHostCommand() *cobra.Command {
	return newOrdering("host", "hosts", "ADDRESS|NAME|URI", "Drain, disable or enable a host of a running node",
		`  tandem host %s 10.0.1.10:5060 --note "new software"`, outOfService("a host, wherever it stands,")...)
}

func outOfService(whom string) []orderVerb {
	return []orderVerb{
		{"drain", "Send no new calls there", "Send no new calls to " + whom + ` and go on with probes, so
that its health is known when it comes back.`},
		{"disable", "Send no new calls and no probes there", "Send neither new calls nor probes to " + whom + `:
nothing but what belongs to calls under way.`},
		{"enable", "Take back what was ordered of it", "Take back what was ordered of " + whom + ` before: it
gets calls again, at once, as far as nothing else keeps it out.`},
	}
}

// orderQuery is what was ordered, and of which node.
type orderQuery struct {
	Note  string `json:"note,omitempty"`
	Force bool   `json:"force,omitempty"`

	node             target
	path, name, verb string
	json             bool
}

func order(ctx context.Context, out, errs io.Writer, q *orderQuery) error {
	a, text, err := giveOrder(ctx, q)
	if err != nil {
		return err
	}
	if q.json {
		_, err := out.Write(text)
		return err
	}
	if err := writeOrderAnswer(out, a); err != nil {
		return err
	}
	for _, w := range a.Warnings {
		if _, err := fmt.Fprintf(errs, "warning: %s\n", printable(w)); err != nil {
			return err
		}
	}
	return nil
}

// writeOrderAnswer writes what is in force now: in one line, then host by host.
func writeOrderAnswer(out io.Writer, a *admin.OrderAnswer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s is %s", a.Kind, printable(a.Name), a.State)
	switch {
	case a.Order != nil:
		fmt.Fprintf(&b, ", ordered %s", orderedAt(a.Order))
		if !a.Changed {
			b.WriteString(": nothing changed")
		} else if a.Was != a.State {
			fmt.Fprintf(&b, "; it was %s", a.Was)
		}
	case a.Changed:
		b.WriteString(": the order is taken back")
		if a.Was != a.State {
			fmt.Fprintf(&b, "; it was %s", a.Was)
		}
	default:
		b.WriteString(": there was no order to take back")
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, h := range a.Hosts {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", h.Connector, cmp.Or(h.Region, "-"), h.Host, printable(cmp.Or(h.Reason, h.State)))
	}
	_ = w.Flush() // out is memory
	_, err := out.Write(b.Bytes())
	return err
}

// orderedAt is when an order was given and why, the time that of this machine.
func orderedAt(o *admin.Order) string {
	text := o.At.Local().Format(time.DateTime)
	if o.Note != "" {
		text += " (" + printable(o.Note) + ")"
	}
	return text
}

func newOrders() *cobra.Command {
	var at target
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "orders",
		Short: "Show what is drained, disabled and evacuated by order",
		Long: `Show what operators ordered of a running node and have not taken back, with the
time and the note of each order: regions evacuated, connectors and hosts draining
or disabled. What the config itself takes out is not an order and not shown here;
tandem explain shows both, number by number.

The exit code is 1 when the node cannot be asked.`,
		Example: `  tandem orders
  tandem orders --json | jq -r '.orders[].name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, text, err := givenOrders(cmd.Context(), at)
			if err != nil {
				return err
			}
			if asJSON {
				_, err := cmd.OutOrStdout().Write(text)
				return err
			}
			return writeOrders(cmd.OutOrStdout(), cmd.ErrOrStderr(), list)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the node's answer as JSON")
	at.addTo(cmd, defaultAdminURL, "the node's admin address")
	return cmd
}

func writeOrders(out, errs io.Writer, list *admin.OrderList) error {
	var b bytes.Buffer
	if len(list.Orders) == 0 {
		b.WriteString("no orders: everything is as the config says\n")
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, o := range list.Orders {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s", o.Kind, printable(o.Name), o.State, orderedAt(&o))
		if o.Missing {
			fmt.Fprintf(w, "; the config has no such %s: the order waits until it has", o.Kind)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // out is memory
	if _, err := out.Write(b.Bytes()); err != nil || list.Persistent {
		return err
	}
	_, err := fmt.Fprintf(errs, "warning: a restart of the node will not know this: %s\n", printable(list.Problem))
	return err
}
