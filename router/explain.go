package router

import (
	"fmt"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/wire"
)

// Explanation is the way that a call to a number would take.
type Explanation struct {
	Number    string // as it was looked up
	Entry     string // the entry of the catalog that it matches; "" when there is none
	Kind      string // exact, range or prefix
	Group     string
	Connector string // whose own number it is, if it is one's
	Steps     []Step
}

// Step is a host and its place in the try order.
type Step struct {
	Place     int // 1 is tried first; 0 is left out
	Connector string
	Region    string
	Host      string
	Health    health.State
	Reason    string // why it stands there
}

// Explain looks a number up as a call does and lists the hosts of its route in
// try order, then those that are left out. Hosts of equal rank and priority
// share calls by weight; they are shown in one order of the many.
func (r *Router) Explain(number string, now int64) Explanation {
	pl := r.plan.Load()
	uri := []byte("sip:" + number + "@explain.invalid")
	u, ok := wire.ParseURI(uri, wire.Span{End: uint32(len(uri))})
	if !ok {
		return Explanation{Number: number}
	}
	looked := wire.AppendNumber(nil, uri, u)
	ex := Explanation{Number: string(looked)}
	match, ok := pl.numbers.Lookup(looked)
	if !ok {
		return ex
	}
	rt := &pl.routes[match.Route]
	ex.Entry, ex.Kind = match.Entry(), match.Kind.String()
	ex.Group, ex.Connector = rt.group, rt.connector
	cs := candidates(nil, rt, 0, now)
	for i, tried := 0, []*host(nil); i < len(cs); i++ {
		pick := choose(cs, tried, pl.failover.MaxAttempts, false)
		if pick == nil {
			break
		}
		tried = append(tried, pick.entry.host)
		ex.Steps = append(ex.Steps, step(i+1, pick.entry, pick.state, reasonFor(pick)))
	}
	for i := range rt.entries {
		e := &rt.entries[i]
		if why := leftOut(e, ex.Steps, pl.failover.MaxAttempts); why != "" {
			state, _ := e.host.health.State(now)
			ex.Steps = append(ex.Steps, step(0, e, state, why))
		}
	}
	return ex
}

func step(place int, e *entry, state health.State, why string) Step {
	c := e.host.connector
	return Step{Place: place, Connector: c.name, Region: c.region, Host: e.host.uri, Health: state, Reason: why}
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
