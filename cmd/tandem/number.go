package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// aboutNumbers says how numbers are given.
const aboutNumbers = `
A number is written as in a config: +15550000001, a range +15550001000-+15550001999,
or a prefix +1555100*; a range and a prefix are managed as one. Many stand in a
file, one a line or in the first column of a CSV. They go to the node in pages of
10,000, each one change: what the node refuses of a page is told number by number,
and the rest is done. The exit code is then 1.`

func newNumber() *cobra.Command {
	return newManaged("number", "Manage the numbers of a running node, and whom they belong to",
		`Manage the numbers of a running node that keeps them in a store. A number is in
the inventory first, and then belongs to a group or a connector, or to nobody:
calls to it are answered 404. A number of a connector tries that one first and then
the others of its group.`,
		newNumberList(), newNumberShow(), newNumberAdd(), newNumberImport(), newNumberAssign(), newNumberUnassign(), newNumberMove(), newNumberRemove())
}

// ownerFlags are the owner that numbers are given to, or taken from.
type ownerFlags struct{ group, connector string }

// addTo gives a command the flags, with a prefix to their names.
func (o *ownerFlags) addTo(cmd *cobra.Command, node *target, prefix, about string) {
	for _, f := range []struct {
		into *string
		kind kind
	}{{&o.group, groupKind}, {&o.connector, connectorKind}} {
		name := prefix + string(f.kind)
		cmd.Flags().StringVar(f.into, name, "", about+" this "+string(f.kind))
		_ = cmd.RegisterFlagCompletionFunc(name, completeNames(node, f.kind))
	}
}

// owner is the one that is given, nil for none.
func (o *ownerFlags) owner(prefix string) (*ownerView, error) {
	switch {
	case o.group != "" && o.connector != "":
		return nil, fmt.Errorf("a number has one owner: give --%sgroup or --%[1]sconnector, not both", prefix)
	case o.group == "" && o.connector == "":
		return nil, nil
	}
	return &ownerView{Group: o.group, Connector: o.connector}, nil
}

// needed is the one that has to be given.
func (o *ownerFlags) needed(prefix string) (*ownerView, error) {
	owner, err := o.owner(prefix)
	if err == nil && owner == nil {
		err = fmt.Errorf("whose? give --%sgroup or --%[1]sconnector", prefix)
	}
	return owner, err
}

func newNumberAdd() *cobra.Command {
	c := &numberChange{done: "added"}
	cmd := &cobra.Command{
		Use:   "add NUMBER...",
		Short: "Add numbers to the inventory, unassigned",
		Long:  "Add numbers to the inventory. They belong to nobody until they are assigned.\n" + aboutNumbers,
		Example: `  tandem number add +15550000001 "+15550001000-+15550001999"
  tandem number add --file numbers.csv`,
		ValidArgsFunction: completeNothing,
		RunE:              c.run,
	}
	c.addTo(cmd)
	c.source.addFile(cmd)
	return cmd
}

func newNumberAssign() *cobra.Command {
	return newGiving("assign NUMBER...", "Give numbers of the inventory to a group or a connector",
		`Give numbers of the inventory to a group or a connector. One that has another
owner is taken from it, at once and in the same change: it is shown whose they are,
and asked whether to go on. To give away all numbers of an owner there is tandem
number move, and tandem number import adds those that are not in the inventory.
`+aboutNumbers,
		`  tandem number assign +15550000001 "+15550001000-+15550001999" --group support
  tandem number assign --file fax.csv --connector fax-west`,
		false)
}

func newNumberImport() *cobra.Command {
	return newGiving("import FILE", "Give the numbers of a file to a group or a connector, in the inventory or not yet",
		`Give the numbers of a file to a group or a connector. Those that are not in the
inventory are added. One that has another owner is taken from it: it is shown whose
they are, and asked whether to go on. FILE may be -, for standard input.
`+aboutNumbers,
		`  tandem number import numbers.csv --group support
  tandem number import million.csv.gz --group support --yes`,
		true)
}

// newGiving makes a command that gives numbers to an owner, from a file that is
// its argument or otherwise.
func newGiving(use, short, long, example string, file bool) *cobra.Command {
	c := &numberChange{verb: "assign", done: "assigned", takes: true}
	var to ownerFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			owner, err := to.needed("")
			if err != nil {
				return err
			}
			c.body = map[string]any{"to": owner}
			if file {
				c.source.file, args = args[0], nil
				c.body["add"] = true
			}
			return c.run(cmd, args)
		},
	}
	if file {
		cmd.Args, cmd.ValidArgsFunction = cobra.ExactArgs(1), nil
	} else {
		c.source.addFile(cmd)
	}
	to.addTo(cmd, &c.node, "", "give them to")
	c.addTo(cmd)
	c.addYes(cmd)
	return cmd
}

func newNumberUnassign() *cobra.Command {
	c := &numberChange{verb: "unassign", done: "unassigned"}
	cmd := &cobra.Command{
		Use:   "unassign NUMBER...",
		Short: "Take numbers from their owners; they stay in the inventory",
		Long: `Take numbers from their owners, whoever they are. They stay in the inventory, and
calls to them are answered 404.
` + aboutNumbers,
		Example: `  tandem number unassign +15550000001
  tandem number list --group support --limit 0 -o lines | tandem number unassign --file -`,
		ValidArgsFunction: completeNothing,
		RunE:              c.run,
	}
	c.addTo(cmd)
	c.source.addFile(cmd)
	return cmd
}

func newNumberRemove() *cobra.Command {
	c := &numberChange{verb: "remove", done: "removed", ask: "%s to be removed from the inventory."}
	cmd := &cobra.Command{
		Use:               "remove NUMBER...",
		Short:             "Remove numbers from the inventory",
		Long:              "Remove numbers from the inventory. One that belongs to somebody is refused: unassign\nit first.\n" + aboutNumbers,
		Example:           "  tandem number remove +15550000001",
		ValidArgsFunction: completeNothing,
		RunE:              c.run,
	}
	c.addTo(cmd)
	c.source.addFile(cmd)
	c.addYes(cmd)
	return cmd
}

func newNumberMove() *cobra.Command {
	var m managing
	var from, to ownerFlags
	cmd := &cobra.Command{
		Use:   "move",
		Short: "Give all numbers of a group or a connector to another",
		Long: `Give all numbers of a group or a connector to another. It is shown how many they
are and how many of the recent calls were to them, and asked whether to go on.`,
		Example: `  tandem number move --from-group sales --group support
  tandem number move --from-connector support-east --group support`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			owner, err := from.needed("from-")
			if err != nil {
				return err
			}
			next, err := to.needed("")
			if err != nil {
				return err
			}
			return moveNumbers(cmd, &m, map[string]any{"from": owner, "to": next})
		},
	}
	from.addTo(cmd, &m.node, "from-", "the numbers of")
	to.addTo(cmd, &m.node, "", "give them to")
	m.addTo(cmd)
	m.addYes(cmd)
	return cmd
}

func moveNumbers(cmd *cobra.Command, m *managing, body map[string]any) error {
	move := func(dry bool) (*numbersReport, error) {
		r, err := changing(http.MethodPost, "/v1/numbers/move", body, dry)
		if err != nil {
			return nil, err
		}
		r.within = longTimeout
		report := new(numbersReport)
		_, err = m.node.send(cmd.Context(), r, report)
		return report, err
	}
	if m.dry || !m.yes {
		report, err := move(true)
		if err != nil {
			return err
		}
		report.Dry = true
		if m.dry {
			return report.write(cmd, m.output, "moved")
		}
		if len(report.taken()) > 0 {
			if err := confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), takenText(report)); err != nil {
				return err
			}
		}
	}
	report, err := move(false)
	if err != nil {
		return err
	}
	return report.write(cmd, m.output, "moved")
}
