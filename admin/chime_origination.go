package admin

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/health"
)

// Origination is the hosts of a connector in the Chime API, and whether calls go
// there.
type Origination struct {
	Disabled bool
	Routes   []OriginationRoute
}

// OriginationRoute is a host of a connector.
type OriginationRoute struct {
	Host     string
	Port     int
	Priority int
	Protocol string
	Weight   int
}

const (
	mostRoutes = 20  // of an origination
	mostShare  = 100 // priority and weight of a route
	sipPort    = 5060
)

// origination is what a connector has of it; nil when nothing was ever put.
func origination(c *inventory.Connector) *Origination {
	o := &Origination{Disabled: c.State == catalog.Disabled.String(), Routes: []OriginationRoute{}}
	for _, h := range c.Hosts {
		o.Routes = append(o.Routes, route(h))
	}
	if len(o.Routes) == 0 && !o.Disabled {
		return nil
	}
	return o
}

// route is a host as a route.
func route(h inventory.HostSpec) OriginationRoute {
	address, params, _ := strings.Cut(h.URI, ";")
	if _, rest, ok := strings.Cut(address, ":"); ok {
		address = rest // behind "sip:"
	}
	to := OriginationRoute{Host: strings.Trim(address, "[]"), Port: sipPort, Priority: max(h.Priority, 1), Protocol: "UDP", Weight: max(h.Weight, 1)}
	if host, port, err := net.SplitHostPort(address); err == nil {
		if n, err := strconv.Atoi(port); err == nil {
			to.Host, to.Port = host, n
		}
	}
	for param := range strings.SplitSeq(params, ";") {
		if strings.EqualFold(param, "transport=tcp") {
			to.Protocol = "TCP"
		}
	}
	return to
}

func (p *chime) getOrigination(w http.ResponseWriter, r *http.Request) error {
	c, err := p.theConnector(r)
	if err != nil {
		return err
	}
	sayOrigination(w, c)
	return nil
}

func sayOrigination(w http.ResponseWriter, c *inventory.Connector) {
	sayJSON(w, http.StatusOK, struct {
		Origination *Origination `json:",omitempty"`
	}{origination(c)})
}

// routeGiven is a route as it is put.
type routeGiven struct {
	Host     *string `json:"Host"`
	Port     *int    `json:"Port"`
	Priority *int    `json:"Priority"`
	Protocol *string `json:"Protocol"`
	Weight   *int    `json:"Weight"`
}

// putOrigination sets the hosts, the state or both: what is missing stays. A
// route that is there already keeps what this API cannot say of a host.
func (p *chime) putOrigination(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "set hosts of connector")
	if err != nil {
		return err
	}
	var body struct {
		Origination *struct {
			Disabled *bool        `json:"Disabled"`
			Routes   []routeGiven `json:"Routes"`
		} `json:"Origination"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	o := body.Origination
	if o == nil || o.Disabled == nil && o.Routes == nil {
		return invalid("Origination", "has neither Routes nor Disabled; write one of them")
	}
	if len(o.Routes) > mostRoutes {
		return invalid("Origination.Routes", "has %d routes; a connector has at most %d", len(o.Routes), mostRoutes)
	}
	var hosts []inventory.HostSpec
	for i := range o.Routes {
		host, err := o.Routes[i].host("Origination.Routes" + index(i))
		if err != nil {
			return err
		}
		hosts = append(hosts, host)
	}
	is, err := p.editConnector(m, a, r, func(e *inventory.Editor, c *inventory.Connector) (inventory.Change, error) {
		spec := c.ConnectorSpec
		if o.Routes != nil {
			spec.Hosts = keeping(hosts, c.Hosts)
		}
		switch disabled := catalog.Disabled.String(); {
		case o.Disabled == nil:
		case *o.Disabled:
			spec.State = disabled
		case spec.State == disabled:
			spec.State = ""
		}
		return e.UpdateConnector(c.ID, spec)
	})
	if err != nil {
		return err
	}
	sayOrigination(w, is)
	return nil
}

// host is the route as a host.
func (g *routeGiven) host(field string) (h inventory.HostSpec, err error) {
	host := optional(g.Host)
	port := sipPort
	if g.Port != nil && *g.Port != 0 {
		port = *g.Port
	}
	switch {
	case host == "":
		return h, invalid(field+".Host", "is missing; write the address that calls go to")
	case strings.ContainsAny(host, ";?@/[] \t\r\n"):
		return h, invalid(field+".Host", "%q is not a host", printed(host))
	case port < 0 || port > 65535:
		return h, invalid(field+".Port", "is %d; write 1 to 65535, or 0 for %d", port, sipPort)
	}
	switch protocol := optional(g.Protocol); protocol {
	case "", "UDP":
	case "TCP":
		return h, invalid(field+".Protocol", "is TCP, which cannot be kept: %s; write UDP", noEncryption)
	default:
		return h, invalid(field+".Protocol", "is %q; write UDP", printed(protocol))
	}
	h.URI = "sip:" + net.JoinHostPort(host, strconv.Itoa(port))
	if h.Priority, err = share(field+".Priority", g.Priority); err != nil {
		return h, err
	}
	h.Weight, err = share(field+".Weight", g.Weight)
	return h, err
}

func share(field string, given *int) (int, error) {
	switch {
	case given == nil:
		return 1, nil
	case *given < 1 || *given > mostShare:
		return 0, invalid(field, "is %d; write 1 to %d", *given, mostShare)
	}
	return *given, nil
}

// keeping is hosts, each of which that was there before with its URI, its state
// and its limits.
func keeping(hosts, before []inventory.HostSpec) []inventory.HostSpec {
	kept := make([]inventory.HostSpec, 0, len(hosts))
	for _, h := range hosts {
		to := route(h)
		for _, old := range before {
			if was := route(old); was.Host == to.Host && was.Port == to.Port && was.Protocol == to.Protocol {
				old.Priority, old.Weight = h.Priority, h.Weight
				h = old
				break
			}
		}
		kept = append(kept, h)
	}
	return kept
}

func (p *chime) deleteOrigination(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "remove hosts of connector")
	if err != nil {
		return err
	}
	_, err = p.editConnector(m, a, r, func(e *inventory.Editor, c *inventory.Connector) (inventory.Change, error) {
		spec := c.ConnectorSpec
		spec.Hosts = nil
		if spec.State == catalog.Disabled.String() {
			spec.State = ""
		}
		return e.UpdateConnector(c.ID, spec)
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// terminationHealth tells of the last OPTIONS that one of the connector's hosts
// answered.
func (p *chime) terminationHealth(w http.ResponseWriter, r *http.Request) error {
	c, err := p.theConnector(r)
	if err != nil {
		return err
	}
	type answer struct {
		Source    string
		Timestamp *time.Time
	}
	var last int64
	var seen *answer
	at := moment{p.now(), time.Now()}
	for _, h := range p.router.Hosts() {
		if h.Connector != c.Name {
			continue
		}
		if s := h.Health.Status(); s.LastEvent == health.ProbeOK && s.LastProbe > last {
			last = s.LastProbe
			seen = &answer{h.Addr.Addr().String(), stamp(at.wall(s.LastProbe))}
		}
	}
	sayJSON(w, http.StatusOK, struct {
		TerminationHealth *answer `json:",omitempty"`
	}{seen})
	return nil
}
