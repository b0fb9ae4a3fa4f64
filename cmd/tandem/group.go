package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tandem/config/inventory"
)

// groupView is a group as a node tells it.
type groupView struct {
	inventory.Group
	Numbers int `json:"numbers"`
}

func newGroup() *cobra.Command {
	return newManaged("group", "Manage the groups of a running node",
		`Manage the groups of a running node that keeps them in a store. A group ranks a
few connectors: a call to one of its numbers goes to the first that works. Its
numbers are given to it by tandem number assign.`,
		groupKind.newList(writeGroups), groupKind.newShow(writeGroup), newGroupCreate(), newGroupUpdate(),
		groupKind.newRename("Its numbers and connectors stay with it."),
		groupKind.newDelete(`Delete a group. One that still has connectors or numbers is refused: take them out
by tandem group remove-connector, tandem number unassign or tandem number move.`),
		newGroupAdd(), newGroupRemove(), newGroupPriorities())
}

func newGroupCreate() *cobra.Command {
	var m managing
	var ranks []string
	var set levelFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a group",
		Long: `Create a group, with its connectors or without: they can be added later. Each has
a priority of its own in the group, 1 to 99: 1 is tried first.`,
		Example: `  tandem group create support
  tandem group create support --connector east=1 --connector west=2`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			members, err := parseRanks(ranks)
			if err != nil {
				return err
			}
			spec := inventory.GroupSpec{Name: args[0], Connectors: members}
			if spec.Failover, spec.Health, err = set.objects(); err != nil {
				return err
			}
			return groupKind.create(cmd, &m, &spec)
		},
	}
	cmd.Flags().StringArrayVar(&ranks, "connector", nil, "a connector of the group, as CONNECTOR=PRIORITY; more than once for more of them")
	_ = cmd.RegisterFlagCompletionFunc("connector", completeRanks(&m.node))
	set.addTo(cmd, "the group")
	m.addTo(cmd)
	return cmd
}

func newGroupUpdate() *cobra.Command {
	var m managing
	var set levelFlags
	cmd := &cobra.Command{
		Use:   "update GROUP",
		Short: "Change how a group's calls fail over, or how its hosts are probed",
		Long: `Change the failover and health settings of a group. Keys that are not given stay
as they are; one with the value null is taken away, so that the next level counts.`,
		Example:           `  tandem group update support --failover '{"no_answer": "20s"}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeInTurn(completeNames(&m.node, groupKind), completeNothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch := make(map[string]any)
			if err := set.patch(cmd, patch); err != nil {
				return err
			}
			if len(patch) == 0 {
				return errors.New("nothing to change is given; tandem group update --help lists what can be")
			}
			return groupKind.update(cmd, &m, args[0], http.MethodPatch, nil, patch)
		},
	}
	set.addTo(cmd, "the group")
	m.addTo(cmd)
	return cmd
}

func newGroupAdd() *cobra.Command {
	var m managing
	cmd := &cobra.Command{
		Use:               "add-connector GROUP CONNECTOR=PRIORITY",
		Short:             "Add a connector to a group",
		Long:              "Add a connector to a group, at a priority that no other of the group has.",
		Example:           "  tandem group add-connector support north=3",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeInTurn(completeNames(&m.node, groupKind), completeRanks(&m.node), completeNothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			members, err := parseRanks(args[1:])
			if err != nil {
				return err
			}
			return addConnector(cmd, &m, args[0], members[0])
		},
	}
	m.addTo(cmd)
	return cmd
}

// addConnector adds a connector that the group does not have. To rank one that
// it has is what set-priority is for.
func addConnector(cmd *cobra.Command, m *managing, group string, add inventory.Member) error {
	before, _, err := groupKind.one(cmd.Context(), m.node, group)
	if err != nil {
		return err
	}
	var g groupView
	if err := before.into(&g); err != nil {
		return err
	}
	same := func(m inventory.Member) bool { return m.Connector == add.Connector && m.Priority != add.Priority }
	if i := slices.IndexFunc(g.Connectors, same); i >= 0 {
		return fmt.Errorf("connector %s is in group %s already, with priority %d; to change that: tandem group set-priority",
			printable(add.Connector), printable(g.Name), g.Connectors[i].Priority)
	}
	r, err := changing(http.MethodPut, groupKind.path(group, "connectors", add.Connector), map[string]int{"priority": add.Priority}, m.dry)
	if err != nil {
		return err
	}
	return groupKind.finish(cmd, m, before, r)
}

func newGroupRemove() *cobra.Command {
	var m managing
	cmd := &cobra.Command{
		Use:   "remove-connector GROUP CONNECTOR",
		Short: "Take a connector out of a group",
		Long: `Take a connector out of a group. It goes on to be a connector, with its numbers
and in its other groups; calls under way at it go on.`,
		Example:           "  tandem group remove-connector support north",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeInTurn(completeNames(&m.node, groupKind), completeNames(&m.node, connectorKind), completeNothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return groupKind.update(cmd, &m, args[0], http.MethodDelete, []string{"connectors", args[1]}, nil)
		},
	}
	m.addTo(cmd)
	return cmd
}

func newGroupPriorities() *cobra.Command {
	var m managing
	cmd := &cobra.Command{
		Use:   "set-priority GROUP CONNECTOR=PRIORITY...",
		Short: "Rank connectors of a group anew, in one change",
		Long: `Rank connectors of a group anew, all of them in one change: no call sees half of
it. Those that are not named keep their priority.`,
		Example:           "  tandem group set-priority support east=2 west=1",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: completeInTurn(completeNames(&m.node, groupKind), completeRanks(&m.node)),
		RunE: func(cmd *cobra.Command, args []string) error {
			members, err := parseRanks(args[1:])
			if err != nil {
				return err
			}
			ranking := make(map[string]int)
			for _, r := range members {
				ranking[r.Connector] = r.Priority
			}
			return groupKind.update(cmd, &m, args[0], http.MethodPut, []string{"ranking"}, ranking)
		},
	}
	m.addTo(cmd)
	return cmd
}

// parseRanks reads CONNECTOR=PRIORITY, more than once. Which priorities there
// are is for the node to say.
func parseRanks(texts []string) (members []inventory.Member, err error) {
	for _, text := range texts {
		name, priority, found := strings.Cut(text, "=")
		n, err := strconv.Atoi(priority)
		if !found || name == "" || err != nil {
			return nil, fmt.Errorf("%q is no CONNECTOR=PRIORITY; write east=1", text)
		}
		if slices.ContainsFunc(members, func(m inventory.Member) bool { return m.Connector == name }) {
			return nil, fmt.Errorf("connector %s is there twice", printable(name))
		}
		members = append(members, inventory.Member{Connector: name, Priority: n})
	}
	return members, nil
}

// rankingText is a ranking, what is tried first first.
func rankingText(members []inventory.Member) string {
	members = slices.SortedStableFunc(slices.Values(members), func(a, b inventory.Member) int { return cmp.Compare(a.Priority, b.Priority) })
	texts := make([]string, len(members))
	for i, m := range members {
		texts[i] = fmt.Sprintf("%d %s", m.Priority, printable(m.Connector))
	}
	return strings.Join(texts, ", ")
}

func writeGroups(out io.Writer, all []entity) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tNUMBERS\tCONNECTORS")
	for _, o := range all {
		var g groupView
		if err := o.into(&g); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", printable(g.Name), g.Numbers, cmp.Or(rankingText(g.Connectors), "-"))
	}
	_ = w.Flush() // b is memory
	_, err := out.Write(b.Bytes())
	return err
}

func writeGroup(cmd *cobra.Command, _ *asking, o entity) error {
	var g groupView
	if err := o.into(&g); err != nil {
		return err
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "group\t%s\n", printable(g.Name))
	fmt.Fprintf(w, "connectors\t%s\n", orNone(rankingText(g.Connectors)))
	fmt.Fprintf(w, "numbers\t%d\n", g.Numbers)
	writeLevels(w, g.Failover, g.Health, nil)
	writeMeta(w, &g.Meta)
	_ = w.Flush() // b is memory
	_, err := cmd.OutOrStdout().Write(b.Bytes())
	return err
}

// writeLevels writes the settings that are objects, of those that are there.
func writeLevels(out io.Writer, failover, health, probe json.RawMessage) {
	for _, s := range []struct {
		name  string
		value json.RawMessage
	}{{"failover", failover}, {"health", health}, {"probe", probe}} {
		if text := settingText(s.name, s.value); len(s.value) > 0 && text != "" {
			fmt.Fprintf(out, "%s\t%s\n", s.name, text)
		}
	}
}

// writeMeta writes what the store knows; a file knows nothing of it.
func writeMeta(out io.Writer, m *inventory.Meta) {
	if m.ID == "" {
		return
	}
	fmt.Fprintf(out, "id\t%s\n", printable(m.ID))
	fmt.Fprintf(out, "created\t%s\n", m.Created.Local().Format(time.DateTime))
	fmt.Fprintf(out, "changed\t%s\n", m.Updated.Local().Format(time.DateTime))
}
