package router

import (
	"fmt"
	"slices"
	"strconv"

	"tandem/config/catalog"
	"tandem/config/number"
	"tandem/health"
	"tandem/router/table"
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
	Verdict   string    `json:"verdict,omitempty"`   // what happens instead, when no host is tried
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
	Reason    string    `json:"reason"`               // why it stands there
	Settings  []Setting `json:"settings,omitempty"`   // of an attempt on it, and of its health
	Large     string    `json:"large_over,omitempty"` // what a request of more than udp_mtu would go over now, if not what others do
}

// Setting is a value in force and the level that it comes from.
type Setting struct {
	Name   string `json:"name"`   // as in the config: "failover.first_response"
	Value  string `json:"value"`  // as it would be written there
	Origin string `json:"origin"` // "default", "global", "trunk carrier-a", "group support", "connector east"
}

// Explain looks a number up as a call does and lists the hosts of its route in
// try order, then those that are left out. Hosts of equal rank and priority
// share calls by weight; they are shown in one order of the many. trunkName is
// who the call comes from: the number is then taken as dialled, before the
// trunk's strip and prepend. "" is nobody: the number is as it is looked up.
func (r *Router) Explain(called, trunkName string, now int64) (Explanation, error) {
	x := explainer{health: r.health, plan: r.plan.Load(), trunk: new(trunk)}
	if trunkName != "" {
		if x.trunk = x.plan.byTrunk[trunkName]; x.trunk == nil {
			return Explanation{Number: called}, fmt.Errorf("there is no trunk %q", trunkName)
		}
	}
	uri := []byte("sip:" + called + "@explain.invalid")
	u, ok := wire.ParseURI(uri, wire.Span{End: uint32(len(uri))})
	if !ok {
		return Explanation{Number: called}, nil
	}
	looked := translate(wire.AppendNumber(nil, uri, u), x.trunk.Strip, x.trunk.Prepend)
	ex := Explanation{Number: string(looked), Trunk: trunkName}
	switch {
	case x.trunk.Refused && x.trunk.Untrusted == Drop:
		ex.Verdict = "the trunk is untrusted: its calls are dropped"
	case x.trunk.Refused:
		ex.Verdict = "the trunk is untrusted: its calls are answered 403"
	case r.draining.Load():
		ex.Verdict = "the node is about to stop: new calls are answered 503"
	}
	var match table.Match
	k, ok := number.Parse(looked)
	if ok {
		match, ok = x.plan.numbers.table.Lookup(k)
	}
	if ok {
		x.route = x.plan.route(match.Route)
	}
	if x.route == nil {
		if ok && r.plan.Load() != x.plan {
			return r.Explain(called, trunkName, now) // an owner that came meanwhile
		}
		return ex, nil
	}
	ex.Entry, ex.Kind = match.Entry(), match.Kind.String()
	ex.Group, ex.Connector = x.route.group, x.route.connector
	ex.Settings = x.callSettings()
	ex.Steps = x.steps(now)
	if ex.Verdict == "" && (len(ex.Steps) == 0 || ex.Steps[0].Place == 0) {
		code := "480"
		if f := x.route.failover[x.trunk.class]; f.ExhaustedCode != 0 {
			code = strconv.Itoa(f.ExhaustedCode)
		}
		ex.Verdict = "there is no host to try: calls are answered " + code
		if _, spared := x.candidates(now); len(spared) > 0 {
			ex.Verdict = sparedText + ": calls are answered " + code
		}
	}
	return ex, nil
}

// explainer tells of one route and the calls of one trunk.
type explainer struct {
	health *health.Registry
	plan   *plan
	trunk  *trunk
	route  *route
}

func (x *explainer) steps(now int64) (steps []Step) {
	most := x.route.failover[x.trunk.class].MaxAttempts
	cs, spared := x.candidates(now)
	for i, tried := 0, []*host(nil); i < len(cs); i++ {
		pick := choose(cs, tried, most, false)
		if pick == nil {
			break
		}
		tried = append(tried, pick.entry.host)
		steps = append(steps, x.step(now, i+1, pick.entry, pick.view.State, x.reasonFor(pick)))
	}
	for i := range x.route.entries {
		e := &x.route.entries[i]
		view := e.host.health.View(now)
		why := leftOut(e, steps, most, now)
		if slices.ContainsFunc(spared, func(c candidate) bool { return c.entry == e }) {
			why = fmt.Sprintf("%s (%s), and when_all_down is reject", view.State, e.host.health.Status().Reason)
		}
		if why != "" {
			steps = append(steps, x.step(now, 0, e, view.State, why))
		}
	}
	return append(steps, x.unlocated()...)
}

// unlocated are the hosts of the route's connectors with a name of which no
// address is known.
func (x *explainer) unlocated() (steps []Step) {
	cat := x.plan.policy.Catalog
	g := cat.Group(x.route.group)
	for i := range cat.Connectors {
		cc := &cat.Connectors[i]
		of := func(m catalog.Member) bool { return m.Connector == cc.Name }
		if cc.Name != x.route.connector && (g == nil || !slices.ContainsFunc(g.Connectors, of)) {
			continue
		}
		for j := range cc.Hosts {
			if h := &cc.Hosts[j]; h.Name != "" && !h.Addr.IsValid() {
				steps = append(steps, Step{Connector: cc.Name, Region: cc.Region, Host: h.URI, Health: "unknown", Reason: "no address of the name is known"})
			}
		}
	}
	return steps
}

// candidates are those of a new call, and those that when_all_down takes away.
func (x *explainer) candidates(now int64) (cs, spared []candidate) {
	cs = candidates(nil, x.route, 0, now, true, false)
	if x.route.failover[x.trunk.class].WhenAllDown != catalog.RejectDown {
		return cs, nil
	}
	n := len(hopeful(cs))
	return cs[:n], cs[n:]
}

func (x *explainer) step(now int64, place int, e *entry, state health.State, why string) Step {
	c := e.host.connector
	seen := state.String()
	if max(c.state, e.host.state) == catalog.Disabled {
		seen = "not probed"
	}
	return Step{
		Large: e.host.largeOver(now),
		Place: place, Connector: c.name, Region: c.region, Host: e.host.uri, Health: seen, Reason: why,
		Settings: x.attemptSettings(e),
	}
}

// failoverLevel is a place where failover settings stand.
type failoverLevel struct {
	origin string
	part   catalog.FailoverPart
}

// levels lists the places that have a word on the calls of the route, from the
// general to the specific.
func (x *explainer) levels() []failoverLevel {
	p := &x.plan.policy
	levels := []failoverLevel{
		{"global", catalog.FailoverPart{Set: p.FailoverSet, Values: p.Failover}},
		{"trunk " + x.trunk.Name, x.trunk.Failover},
	}
	for i := range p.Catalog.Groups {
		if g := &p.Catalog.Groups[i]; g.Name == x.route.group {
			levels = append(levels, failoverLevel{"group " + g.Name, g.Failover})
		}
	}
	return levels
}

func origin(levels []failoverLevel, field catalog.FailoverField) string {
	from := "default"
	for _, l := range levels {
		if l.part.Set&field != 0 {
			from = l.origin
		}
	}
	return from
}

func failoverSettings(f *catalog.Failover, levels []failoverLevel, fields catalog.FailoverField) (all []Setting) {
	for _, field := range catalog.FailoverFields {
		if field&fields != 0 {
			all = append(all, Setting{"failover." + field.Key(), f.Text(field), origin(levels, field)})
		}
	}
	return all
}

// callSettings are those that count for the whole call.
func (x *explainer) callSettings() []Setting {
	levels := x.levels()
	for i := range x.plan.policy.Catalog.Connectors {
		if c := &x.plan.policy.Catalog.Connectors[i]; c.Name == x.route.connector {
			levels = append(levels, failoverLevel{"connector " + c.Name, c.Failover})
		}
	}
	return failoverSettings(x.route.failover[x.trunk.class], levels, catalog.OfTheCall)
}

// attemptSettings are those of an attempt on e, and how its host is judged.
func (x *explainer) attemptSettings(e *entry) []Setting {
	c := e.host.connector
	levels := append(x.levels(), failoverLevel{"connector " + c.name, c.failover})
	all := failoverSettings(e.failover[x.trunk.class], levels, catalog.OfAnAttempt)
	p := &x.plan.policy
	for i := range p.Catalog.Connectors {
		if p.Catalog.Connectors[i].Name != c.name {
			continue
		}
		if e.host.transport == catalog.UDP {
			all = append(all, largeSettings(p.Catalog.Connectors[i].Large, p.Large, c.name)...)
		}
		words := p.Catalog.HealthLevels(i)
		for _, field := range catalog.HealthFields {
			global := "default"
			if p.HealthSet&field != 0 {
				global = "global"
			}
			all = append(all, Setting{"health." + field.Key(), e.host.settings.Text(field), catalog.HealthOrigin(words, field, global)})
		}
	}
	return all
}

// largeSettings are those of large requests to a host over UDP.
func largeSettings(own, all catalog.Large, connector string) []Setting {
	in := own.Or(all).Or(catalog.DefaultLarge())
	from := func(own, all bool) string {
		switch {
		case own:
			return "connector " + connector
		case all:
			return "global"
		}
		return "default"
	}
	return []Setting{
		{"large_requests", in.Requests.String(), from(own.Requests != 0, all.Requests != 0)},
		{"udp_mtu", strconv.Itoa(in.MTU), from(own.MTU != 0, all.MTU != 0)},
	}
}

// reasonFor says why a host is in its place.
func (x *explainer) reasonFor(c *candidate) string {
	h := c.entry.host
	place := fmt.Sprintf("connector priority %d, host priority %d", c.entry.rank, h.priority>>orderBits)
	if c.entry.rank == 0 {
		place = fmt.Sprintf("the number's own connector, host priority %d", h.priority>>orderBits)
	}
	if order := h.priority & (1<<orderBits - 1); order > 0 {
		place += fmt.Sprintf(", place %d in DNS", order+1)
	}
	place += fmt.Sprintf(", weight %.4g", h.weight)
	seen := h.health.Status().Reason.String()
	switch {
	case c.view.Trial:
		return fmt.Sprintf("%s; %s (%s): one call may try it", place, c.view.State, seen)
	case c.tier == tierRegion:
		bad, all := x.health.Counts(h.connector.regionHealth)
		return fmt.Sprintf("%s; %d of %d hosts of region %s are down or ejected: behind every healthier region", place, bad, all, h.connector.region)
	case c.view.State == health.Recovering:
		return fmt.Sprintf("%s; recovering (%s): takes %.0f %% of its calls so far", place, seen, 100*c.view.Share)
	case c.view.State == health.Up:
		return place
	}
	return fmt.Sprintf("%s; %s (%s): behind every healthier host", place, c.view.State, seen)
}

// leftOut says why entry e is in none of the steps; "" when it is.
func leftOut(e *entry, steps []Step, most int, now int64) string {
	h := e.host
	switch {
	case h.connector.state != catalog.Enabled:
		return h.connector.why
	case h.state != catalog.Enabled:
		return h.why
	}
	if h.limited {
		if why := h.connector.limit.full(now); why != "" {
			return "connector " + why
		}
		if why := h.limit.full(now); why != "" {
			return "host " + why
		}
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
