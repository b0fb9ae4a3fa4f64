package admin

import (
	"fmt"
	"slices"
	"strings"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router"
)

// healthQuery is what /v1/health was asked for. The zero value of a filter lets
// every host pass.
type healthQuery struct {
	region, connector, state string
	history                  bool
}

// healthStates are what hosts can be asked for by: a state that was observed, or
// one that the operator wants.
func healthStates() (words []string) {
	for _, s := range health.States {
		words = append(words, s.String())
	}
	for _, s := range []catalog.State{catalog.Enabled, catalog.Draining, catalog.Disabled} {
		words = append(words, s.String())
	}
	return words
}

// parseHealthQuery reads a query. A region or a connector that is not there is
// an error: whoever mistypes one must not take "no host" for an answer.
func parseHealthQuery(raw string, cat *catalog.Catalog) (q healthQuery, err error) {
	given, err := parseQuery(raw, "region", "connector", "state", "history")
	if err != nil {
		return q, err
	}
	q = healthQuery{given["region"], given["connector"], given["state"], given["history"] == "1"}
	for _, s := range []catalog.Subject{{Kind: catalog.RegionKind, Name: q.region}, {Kind: catalog.ConnectorKind, Name: q.connector}} {
		if s.Name != "" && !cat.Has(s) {
			return q, cat.Unknown(s)
		}
	}
	if words := healthStates(); q.state != "" && !slices.Contains(words, q.state) {
		return q, fmt.Errorf("state=%q: the states are %s", q.state, strings.Join(words, ", "))
	}
	if value, ok := given["history"]; ok && value != "1" && value != "0" {
		return q, fmt.Errorf("history=%q: write history=1, or leave it out", value)
	}
	return q, nil
}

// narrow says whether some hosts may be left out.
func (q *healthQuery) narrow() bool { return q.region != "" || q.connector != "" || q.state != "" }

func (q *healthQuery) wants(h *router.HostInfo) bool {
	return (q.region == "" || h.Region == q.region) && (q.connector == "" || h.Connector == q.connector)
}

func (q *healthQuery) wantsState(observed health.State, wanted catalog.State) bool {
	return q.state == "" || q.state == observed.String() || q.state == wanted.String()
}
