package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
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
	loopback bool // nobody but this machine reaches it
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
func (p *ordersPage) handle(mux *http.ServeMux) {
	mux.Handle("GET /v1/orders", local(http.HandlerFunc(p.list)))
	mux.HandleFunc("POST /v1/{subjects}/{name}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		answer, err := p.take(r)
		var refusal *OrderRefusal
		switch {
		case err == nil:
			sayJSON(w, http.StatusOK, answer)
		case errors.As(err, &refusal):
			sayJSON(w, refusal.code, refusal)
		default:
			sayJSON(w, http.StatusInternalServerError, &OrderRefusal{Text: err.Error()})
		}
	})
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

// take carries an order out, in this order: who may, what is asked, is it
// possible, done, logged.
func (p *ordersPage) take(r *http.Request) (*OrderAnswer, error) {
	if err := p.admit(r); err != nil {
		return nil, err
	}
	c, err := p.read(r)
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
		p.audit(r, &c, done, a)
		p.events.order(a, c.note)
	}
	return a, nil
}

// admit keeps out whom no key tells apart: other machines, and web pages in a
// browser on this one.
func (p *ordersPage) admit(r *http.Request) error {
	if !p.loopback {
		return refuse(http.StatusForbidden, "orders are taken on a loopback address only, since nobody is asked for a key: set admin.listen to one, as 127.0.0.1:8080")
	}
	if !loopbackHost(r.Host) {
		return refuse(http.StatusForbidden, "the Host header is %q; orders are taken for localhost or a loopback address, as in http://127.0.0.1:8080", r.Host)
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return refuse(http.StatusForbidden, "a web page of another origin can order nothing: %s", err)
	}
	// A form, or a script without leave of this server, cannot send this type.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "the Content-Type is %q; orders are application/json", r.Header.Get("Content-Type"))
	}
	return nil
}

// read reads what is ordered.
func (p *ordersPage) read(r *http.Request) (command, error) {
	v, ok := verbs[r.PathValue("subjects")][r.PathValue("verb")]
	if !ok {
		return command{}, refuse(http.StatusNotFound,
			"there is no %s; there are /v1/regions/NAME/evacuate and restore, /v1/connectors/NAME/drain, disable and enable, and the same of /v1/hosts/ADDRESS", r.URL.Path)
	}
	subject, err := catalog.ParseSubject(v.kind, r.PathValue("name"))
	if err != nil {
		return command{}, refuse(http.StatusBadRequest, "%s", err)
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, mostOrder+1))
	switch {
	case err != nil:
		return command{}, refuse(http.StatusBadRequest, "the body cannot be read: %s", err)
	case len(text) > mostOrder:
		return command{}, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", mostOrder)
	}
	var body struct {
		Note  string `json:"note"`
		Force bool   `json:"force"`
	}
	if err := strictJSON(text, &body); err != nil {
		return command{}, refuse(http.StatusBadRequest, `the body is not as {"note": "maintenance 4711", "force": false}, or nothing: %s`, err)
	}
	return command{subject: subject, state: v.state, note: body.Note, force: body.Force, at: p.clock().UTC().Truncate(time.Second)}, nil
}

// strictJSON reads one value without fields that value does not have. No text is
// no value.
func strictJSON(text []byte, value any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(value); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind it")
	}
	return nil
}

// audit logs an order that changed something: what, by whom, and what was before.
func (p *ordersPage) audit(r *http.Request, c *command, done outcome, a *OrderAnswer) {
	before := "none"
	if old, ok := done.before.Of(c.subject); ok {
		before = old.String()
	}
	args := []any{a.Kind, a.Name, "was", a.Was, "is", a.State, "order_before", before, "note", c.note, "by", r.RemoteAddr, "persistent", a.Persistent}
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
	p.log.Log(r.Context(), level, fmt.Sprintf("order taken: %s %s", r.PathValue("verb"), c.subject.Kind), args...)
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
