package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tandem/config/inventory"
)

// connectorView is a connector as a node tells it.
type connectorView struct {
	inventory.Connector
	Numbers int `json:"numbers"`
}

// managedConnectors are the verbs of tandem connector that change what a
// connector is. Those that take it out of service stand in orders.go.
func managedConnectors() []*cobra.Command {
	return []*cobra.Command{
		connectorKind.newList(writeConnectors), connectorKind.newShow(writeConnector), newConnectorCreate(), newConnectorUpdate(),
		connectorKind.newRename("The groups that it is in go by the new name at once."),
		connectorKind.newDelete(`Delete a connector. One that is in a group or has numbers is refused: take it out
by tandem group remove-connector, and its numbers by tandem number unassign or
tandem number move.`),
		newHostVerb(hostAdd), newHostVerb(hostUpdate), newHostVerb(hostRemove),
	}
}

func newConnectorCreate() *cobra.Command {
	var m managing
	var region string
	var hosts []string
	var set connectorFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a connector",
		Long: `Create a connector: one or more hosts in a region, which stays as it is once the
connector is there. It gets calls when it is in a group, or has numbers of its own.

` + aboutHosts,
		Example: `  tandem connector create support-east --region us-east-1 --host sip:10.0.1.10:5060
  tandem connector create support-west --region us-west-2 --host sip:10.0.2.10 --host "sip:10.0.2.11 priority=2"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec := map[string]any{"name": args[0]}
			if region != "" {
				spec["region"] = region
			}
			var list []inventory.HostSpec
			for _, text := range hosts {
				h, err := parseHost(text)
				if err != nil {
					return err
				}
				list = append(list, h)
			}
			if list != nil {
				spec["hosts"] = list
			}
			if err := set.patch(cmd, spec); err != nil {
				return err
			}
			return connectorKind.create(cmd, &m, spec)
		},
	}
	cmd.Flags().StringVar(&region, "region", "", "the region of all its hosts")
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "a host, as URI or \"URI SETTING=VALUE...\"; more than once for more of them")
	set.addTo(cmd)
	m.addTo(cmd)
	return cmd
}

func newConnectorUpdate() *cobra.Command {
	var m managing
	var set connectorFlags
	cmd := &cobra.Command{
		Use:   "update CONNECTOR",
		Short: "Change the settings of a connector",
		Long: `Change the settings of a connector that are given; others stay as they are. An
empty text, a limit of 0 and null take a setting away. Hosts have commands of
their own, and the region of a connector is fixed.`,
		Example: `  tandem connector update support-east --max-calls 100
  tandem connector update support-east --failover '{"first_response": "4s"}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeInTurn(completeNames(&m.node, connectorKind), completeNothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch := make(map[string]any)
			if err := set.patch(cmd, patch); err != nil {
				return err
			}
			if len(patch) == 0 {
				return errors.New("nothing to change is given; tandem connector update --help lists what can be")
			}
			return connectorKind.update(cmd, &m, args[0], http.MethodPatch, nil, patch)
		},
	}
	set.addTo(cmd)
	m.addTo(cmd)
	return cmd
}

// connectorFlags are the settings of a connector, each as its flag has it.
type connectorFlags struct {
	levelFlags
	state, requestURI, number, strip, prepend, listener, probe, large string
	maxCalls, maxCPS, udpMTU                                          int
}

func (c *connectorFlags) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.state, "state", "", "enabled, draining or disabled, as a setting; for a while: tandem connector drain")
	f.StringVar(&c.requestURI, "request-uri", "", "host (that of the host) or keep (as it came)")
	f.StringVar(&c.number, "number", "", "how it is sent called numbers: as-received, +e164 or e164")
	f.StringVar(&c.strip, "strip", "", "removed from called numbers that begin with it")
	f.StringVar(&c.prepend, "prepend", "", "put before called numbers without \"+\"")
	f.StringVar(&c.listener, "listener", "", "the name of the listener that its calls and probes leave from")
	f.StringVar(&c.large, "large-requests", "", "what large requests to its UDP hosts go by: auto, udp or tcp (first)")
	f.IntVar(&c.udpMTU, "udp-mtu", 0, "bytes beyond which a request is large")
	f.IntVar(&c.maxCalls, "max-calls", 0, "calls at a time of all its hosts")
	f.IntVar(&c.maxCPS, "max-cps", 0, "new calls a second")
	f.StringVar(&c.probe, "probe", "", "what its OPTIONS say: a JSON entity, keys as in a config")
	c.levelFlags.addTo(cmd, "the connector")
}

// patch adds the settings that are given to a patch (RFC 7396).
func (c *connectorFlags) patch(cmd *cobra.Command, patch map[string]any) error {
	given := cmd.Flags().Changed
	for _, s := range []struct{ flag, key, value string }{
		{"state", "state", c.state}, {"request-uri", "request_uri", c.requestURI}, {"number", "number", c.number},
		{"strip", "strip", c.strip}, {"prepend", "prepend", c.prepend}, {"listener", "listener", c.listener},
		{"large-requests", "large_requests", c.large},
	} {
		switch {
		case !given(s.flag):
		case s.value == "":
			patch[s.key] = nil
		default:
			patch[s.key] = s.value
		}
	}
	for _, s := range []struct {
		flag, key string
		value     int
	}{{"max-calls", "max_calls", c.maxCalls}, {"max-cps", "max_cps", c.maxCPS}, {"udp-mtu", "udp_mtu", c.udpMTU}} {
		switch {
		case !given(s.flag):
		case s.value == 0:
			patch[s.key] = nil
		default:
			patch[s.key] = s.value
		}
	}
	probe, err := parseObject("probe", c.probe)
	if err != nil {
		return err
	}
	if given("probe") {
		patch["probe"] = probe
	}
	return c.levelFlags.patch(cmd, patch)
}

func writeConnectors(out io.Writer, all []entity) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tREGION\tSTATE\tNUMBERS\tHOSTS")
	for _, o := range all {
		var c connectorView
		if err := o.into(&c); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", printable(c.Name), printable(cmp.Or(c.Region, "-")), cmp.Or(c.State, "enabled"), c.Numbers,
			cmp.Or(hostsText(c.Hosts), "-"))
	}
	_ = w.Flush() // b is memory
	_, err := out.Write(b.Bytes())
	return err
}

func writeConnector(cmd *cobra.Command, q *asking, o entity) error {
	var c connectorView
	if err := o.into(&c); err != nil {
		return err
	}
	all, err := groupKind.all(cmd.Context(), q.node)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "connector\t%s\nregion\t%s\nstate\t%s\n", printable(c.Name), printable(cmp.Or(c.Region, "-")), cmp.Or(c.State, "enabled"))
	for i := range c.Hosts {
		fmt.Fprintf(w, "host\t%s\n", hostText(&c.Hosts[i]))
	}
	for _, o := range all {
		var g groupView
		if err := o.into(&g); err != nil {
			return err
		}
		if i := slices.IndexFunc(g.Connectors, func(m inventory.Member) bool { return m.Connector == c.Name }); i >= 0 {
			fmt.Fprintf(w, "in group\t%s, priority %d\n", printable(g.Name), g.Connectors[i].Priority)
		}
	}
	fmt.Fprintf(w, "numbers\t%d\n", c.Numbers)
	for _, s := range []struct{ name, value string }{
		{"request_uri", c.RequestURI}, {"number", c.Number}, {"strip", c.Strip}, {"prepend", c.Prepend}, {"listener", c.Listener},
		{"max_calls", limitText(c.MaxCalls)}, {"max_cps", limitText(c.MaxCPS)},
	} {
		if s.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", s.name, printable(s.value))
		}
	}
	writeLevels(w, c.Failover, c.Health, c.Probe)
	writeMeta(w, &c.Meta)
	_ = w.Flush() // b is memory
	_, err = cmd.OutOrStdout().Write(b.Bytes())
	return err
}
