package admin

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/router"
)

// mostOrder is how many bytes the body of an order may have.
const mostOrder = 4 << 10

// ordersPage is /v1/orders, and where orders are given. Its fields are set
// before it serves.
type ordersPage struct {
	operator Operator
	events   *Events
	hosts    func() []router.HostInfo
	catalog  func() *catalog.Catalog
	now      func() int64     // the router's clock
	clock    func() time.Time // of orders
	log      *slog.Logger
}

func newOrdersPage(opts *Options) *ordersPage {
	p := &ordersPage{
		operator: opts.Operator, events: opts.Events, hosts: opts.Router.Hosts, catalog: opts.Router.Catalog,
		now: opts.Now, clock: time.Now, log: opts.Log,
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p
}

// handle puts the pages into mux.
func (p *ordersPage) handle(all *routes, access *access) {
	all.handle("GET /v1/orders", access.seeing(http.HandlerFunc(p.list)))
	unknown := access.managing(func(w http.ResponseWriter, r *http.Request) {
		fail(http.StatusNotFound, "there is no %s; there are /v1/regions/NAME/evacuate and restore, /v1/connectors/NAME/drain, disable and enable, and the same of /v1/hosts/ADDRESS",
			printed(r.URL.Path)).answer(w, r)
	}, jsonType)
	for subjects, of := range verbs {
		for word, v := range of {
			all.handle("POST /v1/"+subjects+"/{name}/"+word, access.managing(p.order(word, v), jsonType))
		}
		all.mux.Handle("POST /v1/"+subjects+"/{name}/{verb}", unknown) // whoever mistypes one is told what there is
	}
}

// order answers where one verb is ordered of one kind of subject.
func (p *ordersPage) order(word string, v verb) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := p.take(r, word, v)
		var refusal *OrderRefusal
		switch {
		case err == nil:
			sayJSON(w, http.StatusOK, answer)
		case errors.As(err, &refusal):
			sayJSON(w, refusal.code, refusal)
		default:
			p.log.Error("an order failed", "path", printed(r.URL.Path), "by", who(r), "error", err.Error())
			fail(http.StatusInternalServerError, "%s", wrongInside).answer(w, r)
		}
	}
}

func (p *ordersPage) list(w http.ResponseWriter, _ *http.Request) {
	orders, unsaved := p.operator.InForce()
	list := OrderList{Orders: []Order{}, Persistent: unsaved == nil}
	if unsaved != nil {
		list.Problem = unsaved.Error()
	}
	cat := p.catalog()
	for _, o := range orders.List() {
		list.Orders = append(list.Orders, told(o, cat))
	}
	sayJSON(w, http.StatusOK, list)
}

// take carries an order out, in this order: what is asked, is it possible, done,
// logged.
func (p *ordersPage) take(r *http.Request, word string, v verb) (*OrderAnswer, error) {
	c, err := p.read(r, v)
	if err != nil {
		return nil, err
	}
	hosts := p.hosts()
	var done outcome
	var in *catalog.Catalog
	unsaved, err := p.operator.Change(func(cat *catalog.Catalog, orders catalog.Orders) (catalog.Orders, error) {
		var err error
		in = cat
		done, err = c.judge(cat, orders, brokenHosts(hosts, p.now()))
		return done.after, err
	})
	if err != nil {
		return nil, err
	}
	a := c.answer(in, done, p.hosts())
	if a.Persistent = unsaved == nil; !a.Persistent {
		a.Warnings = append([]string{"this is in force now but cannot be kept, and a restart of the node will not know it: " + unsaved.Error()}, a.Warnings...)
	}
	if a.Changed {
		p.audit(r, word, &c, done, a)
		p.events.order(a, c.note)
	}
	return a, nil
}

// read reads what is ordered.
func (p *ordersPage) read(r *http.Request, v verb) (command, error) {
	subject, err := catalog.ParseSubject(v.kind, r.PathValue("name"))
	if err != nil {
		return command{}, refuse(http.StatusBadRequest, "%s", err)
	}
	text, f := bodyOf(r, mostOrder)
	if f != nil {
		return command{}, refuse(f.status, "%s", f)
	}
	var body struct {
		Note  string `json:"note"`
		Force bool   `json:"force"`
	}
	if len(bytes.TrimSpace(text)) > 0 {
		if f := decodeJSON(text, &body); f != nil {
			return command{}, refuse(f.status, `the body is not as {"note": "maintenance 4711", "force": false}, or nothing: %s`, f)
		}
	}
	return command{subject: subject, state: v.state, note: body.Note, force: body.Force, at: p.clock().UTC().Truncate(time.Second)}, nil
}

// audit logs an order that changed something: what, by whom, and what was before.
func (p *ordersPage) audit(r *http.Request, word string, c *command, done outcome, a *OrderAnswer) {
	before := "none"
	if old, ok := done.before.Of(c.subject); ok {
		before = old.String()
	}
	args := []any{a.Kind, a.Name, "was", a.Was, "is", a.State, "order_before", before, "note", c.note, "by", who(r), "persistent", a.Persistent}
	if len(a.Warnings) > 0 {
		args = append(args, "warnings", a.Warnings)
	}
	if len(a.Stranded) > 0 {
		args = append(args, "forced", c.force)
	}
	level := slog.LevelInfo
	if !a.Persistent || len(a.Stranded) > 0 {
		level = slog.LevelWarn
	}
	p.log.Log(r.Context(), level, fmt.Sprintf("order taken: %s %s", word, c.subject.Kind), args...)
}

// loopbackHost reports whether the value of a Host header is localhost or a
// loopback address.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
