package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router"
)

// Operator is what operators may change of a node while it runs.
type Operator interface {
	// InForce returns the orders in force, and why a restart would have others;
	// nil.
	InForce() (orders catalog.Orders, unsaved error)
	// Change brings into force what change makes of the orders, one change after
	// the other, and stores it. After an error all is as before. unsaved is as
	// that of InForce.
	Change(change func(*catalog.Catalog, catalog.Orders) (catalog.Orders, error)) (unsaved, err error)
}

// Order is an order as it is told.
type Order struct {
	Kind    string    `json:"kind"` // region, connector, host
	Name    string    `json:"name"` // of a host its address
	State   string    `json:"state"`
	At      time.Time `json:"at"`
	Note    string    `json:"note,omitempty"`
	Missing bool      `json:"missing,omitempty"` // the config does not have its subject: it waits until it has
}

// OrderList is the answer of GET /v1/orders.
type OrderList struct {
	Orders     []Order `json:"orders"`
	Persistent bool    `json:"persistent"` // a restart has the same
	Problem    string  `json:"problem,omitempty"`
}

// OrderAnswer says what is in force after an order.
type OrderAnswer struct {
	Kind       string         `json:"kind"`
	Name       string         `json:"name"`
	State      string         `json:"state"`           // enabled, draining, disabled; evacuated
	Was        string         `json:"was"`             // before
	Changed    bool           `json:"changed"`         // false: the same was ordered before
	Order      *Order         `json:"order,omitempty"` // that is in force; nil when none is left
	Hosts      []HostStanding `json:"hosts"`           // that are concerned
	Stranded   []string       `json:"stranded,omitempty"`
	Persistent bool           `json:"persistent"` // a restart has the same
	Warnings   []string       `json:"warnings,omitempty"`
}

// HostStanding is whether a host takes new calls.
type HostStanding struct {
	Connector string `json:"connector"`
	Region    string `json:"region,omitempty"`
	Host      string `json:"host"`
	State     string `json:"state"`            // enabled, draining, disabled
	Reason    string `json:"reason,omitempty"` // why it is not enabled
}

// OrderRefusal is the answer to an order that is not carried out.
type OrderRefusal struct {
	Text     string   `json:"error"`
	Stranded []string `json:"stranded,omitempty"` // who would have no host to try

	code int
}

func (r *OrderRefusal) Error() string { return r.Text }

func refuse(code int, format string, args ...any) error {
	return &OrderRefusal{Text: fmt.Sprintf(format, args...), code: code}
}

// verb is what is ordered of a kind of subject.
type verb struct {
	kind  catalog.SubjectKind
	state catalog.State // Enabled takes an order back
}

// verbs are the last and the first part of a path.
var verbs = map[string]map[string]verb{
	"regions": {
		"evacuate": {catalog.RegionKind, catalog.Draining},
		"restore":  {catalog.RegionKind, catalog.Enabled},
	},
	"connectors": {
		"drain":   {catalog.ConnectorKind, catalog.Draining},
		"disable": {catalog.ConnectorKind, catalog.Disabled},
		"enable":  {catalog.ConnectorKind, catalog.Enabled},
	},
	"hosts": {
		"drain":   {catalog.HostKind, catalog.Draining},
		"disable": {catalog.HostKind, catalog.Disabled},
		"enable":  {catalog.HostKind, catalog.Enabled},
	},
}

// command is one order as it is given.
type command struct {
	subject catalog.Subject
	state   catalog.State // Enabled takes an order back
	note    string
	force   bool
	at      time.Time
}

// outcome is what a command does.
type outcome struct {
	before, after catalog.Orders
	was           catalog.State // of the subject, in force before
	stranded      []string
}

// judge says what a command does to the orders, or why it is refused. It is
// pure: broken tells which hosts are known not to work.
func (c *command) judge(cat *catalog.Catalog, orders catalog.Orders, broken func(*catalog.Host) bool) (outcome, error) {
	o := outcome{before: orders, after: orders, was: standing(cat, orders, c.subject)}
	old, given := orders.Of(c.subject)
	if !cat.Has(c.subject) && (c.state != catalog.Enabled || !given) {
		return o, refuse(http.StatusNotFound, "%s", cat.Unknown(c.subject))
	}
	if c.state == catalog.Enabled {
		o.after = orders.Without(c.subject)
		return o, nil
	}
	next := catalog.Order{Subject: c.subject, State: c.state, At: c.at, Note: c.note}
	if err := next.Check(); err != nil {
		return o, refuse(http.StatusBadRequest, "%s", err)
	}
	if given && old.State == next.State && (next.Note == "" || next.Note == old.Note) {
		return o, nil // it stands since then
	}
	o.after = orders.With(next)
	for _, s := range cat.Stranded(orders, o.after, broken) {
		o.stranded = append(o.stranded, s.String())
	}
	if len(o.stranded) > 0 && !c.force {
		return o, &OrderRefusal{
			Text: fmt.Sprintf("%s stays as it is, since no host that works would be left to %s; with force (--force) it is done all the same",
				c.subject, strings.Join(o.stranded, ", ")),
			Stranded: o.stranded, code: http.StatusConflict,
		}
	}
	return o, nil
}

// standing is the state of a subject that is in force: the strictest, of a host
// that stands in several connectors.
func standing(cat *catalog.Catalog, orders catalog.Orders, s catalog.Subject) (state catalog.State) {
	if s.Kind == catalog.RegionKind {
		order, _ := orders.Of(s)
		return order.State
	}
	for i := range cat.Connectors {
		cc := &cat.Connectors[i]
		if s.Kind == catalog.ConnectorKind && cc.Name == s.Name {
			return orders.OfConnector(cc).State
		}
		for j := range cc.Hosts {
			if h := &cc.Hosts[j]; h.Is(s) {
				state = max(state, orders.OfHost(h).State)
			}
		}
	}
	return state
}

// stateWord is the state of a subject as operators call it.
func stateWord(kind catalog.SubjectKind, state catalog.State) string {
	if kind == catalog.RegionKind && state != catalog.Enabled {
		return "evacuated"
	}
	return state.String()
}

// answer says what is in force after a command.
func (c *command) answer(cat *catalog.Catalog, o outcome, hosts []router.HostInfo) *OrderAnswer {
	kind := c.subject.Kind
	a := &OrderAnswer{
		Kind: kind.String(), Name: c.subject.Name, Hosts: []HostStanding{},
		State: stateWord(kind, standing(cat, o.after, c.subject)), Was: stateWord(kind, o.was),
		Changed: !o.after.Equal(o.before), Stranded: o.stranded,
	}
	if order, ok := o.after.Of(c.subject); ok {
		told := told(order, cat)
		a.Order = &told
	}
	for _, h := range hosts {
		if c.concerns(&h) {
			a.Hosts = append(a.Hosts, HostStanding{Connector: h.Connector, Region: h.Region, Host: h.URI, State: h.State.String(), Reason: h.Why})
		}
	}
	a.Warnings = c.warnings(cat, a)
	return a
}

func (c *command) concerns(h *router.HostInfo) bool {
	switch c.subject.Kind {
	case catalog.RegionKind:
		return h.Region == c.subject.Name
	case catalog.ConnectorKind:
		return h.Connector == c.subject.Name
	}
	return h.Is(c.subject)
}

// warnings say what is not as the command lets one expect.
func (c *command) warnings(cat *catalog.Catalog, a *OrderAnswer) (all []string) {
	for i := range cat.Connectors {
		cc := &cat.Connectors[i]
		all = append(all, c.besideFile(catalog.Subject{Kind: catalog.ConnectorKind, Name: cc.Name}, cc.State)...)
		for j := range cc.Hosts {
			h := &cc.Hosts[j]
			if h.Is(c.subject) {
				all = append(all, c.besideFile(c.subject, h.State)...)
			}
		}
	}
	if c.state == catalog.Enabled {
		for _, h := range a.Hosts {
			if h.Reason != "" {
				all = append(all, fmt.Sprintf("%s of connector %s still takes no new calls: %s", h.Host, h.Connector, h.Reason))
			}
		}
	}
	if len(a.Stranded) > 0 {
		all = append(all, "no host that works is left to "+strings.Join(a.Stranded, ", "))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// besideFile says that the config itself takes the subject out: an order cannot
// give back what it did not take.
func (c *command) besideFile(s catalog.Subject, file catalog.State) []string {
	if s != c.subject || file <= c.state {
		return nil
	}
	return []string{fmt.Sprintf("the config itself says state: %s of %s, and the stricter counts: change it there and reload", file, s)}
}

// told is an order as it is told.
func told(o catalog.Order, cat *catalog.Catalog) Order {
	return Order{
		Kind: o.Subject.Kind.String(), Name: o.Subject.Name, State: o.Word(), At: o.At.UTC(), Note: o.Note, Missing: !cat.Has(o.Subject),
	}
}

// brokenHosts tells which hosts are down, or ejected.
func brokenHosts(hosts []router.HostInfo, now int64) func(*catalog.Host) bool {
	broken := make(map[catalog.Subject]bool)
	for _, h := range hosts {
		if h.Health.Status().At(now).State >= health.Ejected {
			broken[catalog.HostSubject(h.Addr, h.Transport)] = true
		}
	}
	return func(h *catalog.Host) bool { return broken[h.Subject()] }
}
