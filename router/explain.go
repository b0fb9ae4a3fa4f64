package router

import (
	"fmt"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/wire"
)

// Explanation is the way that a call to a number would take.
type Explanation struct {
	Number    string    `json:"number"`              // as it was looked up
	Trunk     string    `json:"trunk,omitempty"`     // that the call comes from, when one was asked for
	Entry     string    `json:"entry,omitempty"`     // the entry of the catalog that it matches; "" when there is none
	Kind      string    `json:"kind,omitempty"`      // exact, range or prefix
	Group     string    `json:"group,omitempty"`     //
	Connector string    `json:"connector,omitempty"` // whose own number it is, if it is one's
	Settings  []Setting `json:"settings,omitempty"`  // of the whole call
	Steps     []Step    `json:"steps,omitempty"`
}

// Step is a host and its place in the try order.
type Step struct {
	Place     int       `json:"place"` // 1 is tried first; 0 is left out
	Connector string    `json:"connector"`
	Region    string    `json:"region,omitempty"`
	Host      string    `json:"host"`
	Health    string    `json:"health"`
	Reason    string    `json:"reason"`             // why it stands there
	Settings  []Setting `json:"settings,omitempty"` // of an attempt on it, and of its health
}

// Setting is a value in force and the level that it comes from.
type Setting struct {
	Name   string `json:"name"`   // as in the config: "failover.first_response"
	Value  string `json:"value"`  // as it would be written there
	Origin string `json:"origin"` // "default", "global", "trunk carrier-a", "group support", "connector east"
}

// Explain looks a number up as a call does and lists the hosts of its route in
// try order, then those that are left out. Hosts of equal rank and priority
// share calls by weight; they are shown in one order of the many. trunk is who
// the call comes from: the number is then taken as dialled, before the trunk's
// strip and prepend. "" is nobody: the number is as it is looked up.
func (r *Router) Explain(number, trunk string, now int64) (Explanation, error) {
	pl := r.plan.Load()
	uri := []byte("sip:" + number + "@explain.invalid")
	u, ok := wire.ParseURI(uri, wire.Span{End: uint32(len(uri))})
	if !ok {
		return Explanation{Number: number}, nil
	}
	looked := wire.AppendNumber(nil, uri, u)
	ex := Explanation{Number: string(looked)}
	match, ok := pl.numbers.Lookup(looked)
	if !ok {
		return ex, nil
	}
	rt := &pl.routes[match.Route]
	ex.Entry, ex.Kind = match.Entry(), match.Kind.String()
	ex.Group, ex.Connector = rt.group, rt.connector
	most := rt.failover[0].MaxAttempts
	cs := candidates(nil, rt, 0, now)
	for i, tried := 0, []*host(nil); i < len(cs); i++ {
		pick := choose(cs, tried, most, false)
		if pick == nil {
			break
		}
		tried = append(tried, pick.entry.host)
		ex.Steps = append(ex.Steps, step(i+1, pick.entry, pick.state, reasonFor(pick)))
	}
	for i := range rt.entries {
		e := &rt.entries[i]
		if why := leftOut(e, ex.Steps, most); why != "" {
			state, _ := e.host.health.State(now)
			ex.Steps = append(ex.Steps, step(0, e, state, why))
		}
	}
	return ex, nil
}

func step(place int, e *entry, state health.State, why string) Step {
	c := e.host.connector
	return Step{Place: place, Connector: c.name, Region: c.region, Host: e.host.uri, Health: state.String(), Reason: why}
}

func reasonFor(c *candidate) string {
	h := c.entry.host
	place := fmt.Sprintf("connector priority %d, host priority %d, weight %d", c.entry.rank, h.priority, h.weight)
	if c.entry.rank == 0 {
		place = fmt.Sprintf("the number's own connector, host priority %d, weight %d", h.priority, h.weight)
	}
	seen := h.health.Status().Reason.String()
	switch {
	case c.trial:
		return place + "; in doubt (" + seen + "), one call may try it"
	case c.state == health.Up:
		return place
	}
	return fmt.Sprintf("%s; %s (%s): behind every healthier host", place, c.state, seen)
}

// leftOut says why entry e is in none of the steps; "" when it is.
func leftOut(e *entry, steps []Step, most int) string {
	h := e.host
	switch {
	case h.connector.state != catalog.Enabled:
		return "connector is " + h.connector.state.String()
	case h.state != catalog.Enabled:
		return "host is " + h.state.String()
	}
	for _, s := range steps {
		if s.Host == h.uri && s.Connector == h.connector.name {
			return ""
		}
	}
	for _, s := range steps {
		if s.Host == h.uri {
			return "same address as a host that is tried already"
		}
	}
	return fmt.Sprintf("max_attempts (%d) is reached before it", most)
}
