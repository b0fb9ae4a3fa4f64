package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// aboutHosts says how hosts are written.
const aboutHosts = `A host is a SIP URI with an IP address or a name. Its settings stand behind it: priority=2
(1 is tried first), weight=10 (its share among hosts of equal priority),
max_calls=60, max_cps=20, and state=draining or disabled.`

// hostVerb is what a command does to one host of a connector.
type hostVerb int

const (
	hostAdd hostVerb = iota
	hostUpdate
	hostRemove
)

func newHostVerb(v hostVerb) *cobra.Command {
	var m managing
	cmd := &cobra.Command{Args: cobra.MinimumNArgs(2)}
	switch v {
	case hostAdd:
		cmd.Use, cmd.Short = "add-host CONNECTOR URI [SETTING=VALUE...]", "Add a host to a connector"
		cmd.Long = "Add a host to a connector.\n\n" + aboutHosts
		cmd.Example = "  tandem connector add-host support-east sip:10.0.1.11:5060 priority=2"
	case hostUpdate:
		cmd.Use, cmd.Short = "update-host CONNECTOR URI SETTING=VALUE...", "Change the settings of a connector's host"
		cmd.Long = "Change the settings of a connector's host that are given; others stay as they are.\n\n" + aboutHosts
		cmd.Example = "  tandem connector update-host support-east sip:10.0.1.11:5060 weight=5"
		cmd.Args = cobra.MinimumNArgs(3)
	case hostRemove:
		cmd.Use, cmd.Short = "remove-host CONNECTOR URI", "Take a host out of a connector"
		cmd.Long = "Take a host out of a connector. Calls that are up there go on; it gets no new ones."
		cmd.Example = "  tandem connector remove-host support-east sip:10.0.1.11:5060"
		cmd.Args = cobra.ExactArgs(2)
	}
	cmd.ValidArgsFunction = completeInTurn(completeNames(&m.node, connectorKind), completeHosts(&m.node), completeNothing)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return v.run(cmd, &m, args) }
	m.addTo(cmd)
	return cmd
}

// hostTries is how often a change of the hosts is decided again because somebody
// else changed the connector meanwhile.
const hostTries = 20

// run changes the list of hosts as it is when the node takes it: nobody's change
// is lost.
func (v hostVerb) run(cmd *cobra.Command, m *managing, args []string) error {
	for try := 1; ; try++ {
		before, etag, err := connectorKind.one(cmd.Context(), m.node, args[0])
		if err != nil {
			return err
		}
		var c connectorView
		if err := before.into(&c); err != nil {
			return err
		}
		hosts, err := v.change(&c, args[1], args[2:])
		if err != nil {
			return err
		}
		r, err := changing(http.MethodPatch, connectorKind.path(args[0]), map[string]any{"hosts": hosts}, m.dry)
		if err != nil {
			return err
		}
		r.match = etag
		err = connectorKind.finish(cmd, m, before, r)
		if stale := new(nodeError); errors.As(err, &stale) && stale.Status == http.StatusPreconditionFailed && try < hostTries {
			continue
		}
		return err
	}
}

// change returns the hosts of a connector as they are to be.
func (v hostVerb) change(c *connectorView, uri string, settings []string) ([]inventory.HostSpec, error) {
	i := slices.IndexFunc(c.Hosts, func(h inventory.HostSpec) bool { return uri == h.URI || catalog.SameHost(uri, h.URI) })
	switch {
	case v == hostAdd && i >= 0:
		return nil, fmt.Errorf("connector %s has host %s already; to change it: tandem connector update-host", printable(c.Name), printable(uri))
	case v != hostAdd && i < 0:
		return nil, fmt.Errorf("connector %s has no host %s; it has %s", printable(c.Name), printable(uri), orNone(hostsText(c.Hosts)))
	case v == hostRemove:
		return slices.Delete(c.Hosts, i, i+1), nil
	case v == hostAdd:
		c.Hosts = append(c.Hosts, inventory.HostSpec{URI: uri})
		i = len(c.Hosts) - 1
	}
	return c.Hosts, setHost(&c.Hosts[i], settings)
}

// parseHost reads "URI SETTING=VALUE...".
func parseHost(text string) (h inventory.HostSpec, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return h, errors.New("a host without a URI; write sip:10.0.1.10:5060")
	}
	h.URI = words[0]
	return h, setHost(&h, words[1:])
}

// setHost sets what is given. Whether it makes sense is for the node to say.
func setHost(h *inventory.HostSpec, settings []string) error {
	for _, text := range settings {
		key, value, _ := strings.Cut(text, "=")
		into := (*int)(nil)
		switch key {
		case "priority":
			into = &h.Priority
		case "weight":
			into = &h.Weight
		case "max_calls":
			into = &h.MaxCalls
		case "max_cps":
			into = &h.MaxCPS
		case "state":
			h.State = value
			continue
		default:
			return fmt.Errorf("%q is no setting of a host; there are priority, weight, max_calls, max_cps and state, as in priority=2", text)
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is no %s=NUMBER", text, key)
		}
		if n == 0 && (key == "priority" || key == "weight") { // as if it were not set, which is 1
			return fmt.Errorf("%q is out of range; write 1 to %d, or state=draining for a host that is to get no calls", text, catalog.MaxWeight)
		}
		*into = n
	}
	return nil
}

// hostText writes a host as parseHost reads it.
func hostText(h *inventory.HostSpec) string {
	text := printable(h.URI)
	for _, s := range []struct {
		key   string
		value int
	}{{"priority", h.Priority}, {"weight", h.Weight}, {"max_calls", h.MaxCalls}, {"max_cps", h.MaxCPS}} {
		if s.value != 0 {
			text += fmt.Sprintf(" %s=%d", s.key, s.value)
		}
	}
	if h.State != "" {
		text += " state=" + printable(h.State)
	}
	return text
}

func hostsText(hosts []inventory.HostSpec) string {
	texts := make([]string, len(hosts))
	for i := range hosts {
		texts[i] = hostText(&hosts[i])
	}
	return strings.Join(texts, ", ")
}

// limitText writes a limit, nothing for none.
func limitText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// completeHosts completes the hosts of the connector that was typed.
func completeHosts(node *target) completer {
	return func(cmd *cobra.Command, args []string, typed string) (uris []cobra.Completion, _ cobra.ShellCompDirective) {
		for _, uri := range hostsOf(cmd.Context(), *node, args[0]) {
			if strings.HasPrefix(uri, typed) {
				uris = append(uris, uri)
			}
		}
		return uris, cobra.ShellCompDirectiveNoFileComp
	}
}
