package router

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"

	"tandem/config/catalog"
	"tandem/health"
)

// Policy is what can be changed while calls run.
type Policy struct {
	Catalog   *catalog.Catalog
	Trunks    []Trunk       // none: loopback sources may call in
	Large     catalog.Large // of connectors that say nothing; 0 is the default
	Failover  catalog.Failover
	Untrusted Untrusted
	// TryingAfter is how long a 100 to an INVITE waits for something better to
	// answer; 0 sends it at once. RFC 3261 17.2.1 allows 200 ms.
	TryingAfter time.Duration
	// What of Failover and Health was written and not left at its default, and
	// the settings of hosts that no connector or group has its own for.
	FailoverSet catalog.FailoverField
	Health      catalog.Health
	HealthSet   catalog.HealthField
	// Numbers are all numbers that there are; nil has those of Catalog.
	Numbers Numbers
	// KeepNumbers leaves all numbers with their owners: those of Numbers and
	// Catalog are not looked at. Numbers of an owner that Catalog does not have
	// lead nowhere until it has.
	KeepNumbers bool
	// Orders of operators, laid over what Catalog says of connectors and hosts.
	Orders catalog.Orders
}

// plan is a Policy compiled: immutable, except for the numbers, which change in
// place, and the atomic words of health and counters that it points to. A call
// keeps the route and the trunk of the plan it began with.
type plan struct {
	policy  Policy
	numbers *numbers
	routes  []*route // by the owner's id; nil for one that has gone
	hosts   []*host
	byAddr  map[hostPlace]*host
	sources map[netip.Addr]bool // addresses of hosts: they may send OPTIONS
	trunks  *bart.Table[*trunk] // by source, those that need no certificate
	proof   map[string]*trunk   // by the names of certificates
	byTrunk map[string]*trunk
	known   known

	classes  []catalog.FailoverPart // what trunks say of failover, by class
	failover map[catalog.Failover]*catalog.Failover
	longest  time.Duration // the longest timer_c of any call
	leastMTU int           // the least udp_mtu of any host
}

// route is what a number leads to: a group, or a single connector.
type route struct {
	group     string // "" for a connector without a group
	connector string // of a connector's own numbers
	entries   []entry
	failover  []*catalog.Failover // of calls, by the class of their trunk
	stats     *routeStats
}

// name is how the route is called in logs and metrics.
func (rt *route) name() string {
	if rt.group != "" {
		return rt.group
	}
	return rt.connector
}

type connector struct {
	name   string
	id     uint32 // hash of the ID, else of the name: the same after a restart
	region string
	state  catalog.State // in force, orders included
	why    string        // what makes it so; "" when it is enabled

	requestURI catalog.RequestURI
	number     catalog.NumberForm
	strip      string
	prepend    string
	failover   catalog.FailoverPart
	probe      catalog.Probe
	limit      limit

	regionHealth *health.Region
	stats        *connectorStats
}

// orderBits have room for catalog.Host.Order below a host's own priority.
const orderBits = 8

type host struct {
	uri        string // its label: that of an address of a name has the address too
	configured string // the URI itself
	named      string // as catalog.Host.Named
	id         uint32 // hash of the address: the same after a restart
	addr       netip.AddrPort
	transport  catalog.Transport
	tls        catalog.PeerTLS // who has to be there, over TLS
	hostPort   []byte
	params     []byte
	priority   int           // the host's own, then its order among those of equal priority
	weight     float64       // the host's share of it
	state      catalog.State // its own, in force, orders included
	why        string        // what makes it so; "" when it is enabled
	connector  *connector
	health     *health.Host
	listeners  []int // the listener to send from, by the listener a call came to
	probeFrom  int   // the listener to probe from
	settings   catalog.Health
	limit      limit
	limited    bool // it or its connector
	large      large
}

// compile makes the plan of a policy. Hosts that were there before keep their
// health, groups and connectors their counters.
func (r *Router) compile(p Policy) (*plan, error) {
	pl := &plan{
		policy:   p,
		byAddr:   make(map[hostPlace]*host),
		leastMTU: math.MaxInt,
		sources:  make(map[netip.Addr]bool),
		byTrunk:  make(map[string]*trunk),
		proof:    make(map[string]*trunk),
		failover: make(map[catalog.Failover]*catalog.Failover),
	}
	pl.compileTrunks(r)
	connectors, err := pl.compileConnectors(r)
	if err != nil {
		return nil, err
	}
	if pl.numbers, err = r.numbersOf(&p); err != nil {
		return nil, err
	}
	pl.compileRoutes(r, connectors)
	return pl, nil
}

func (pl *plan) compileConnectors(r *Router) (map[string][]entry, error) {
	connectors := make(map[string][]entry)
	k := &r.keys[0]
	orders := pl.policy.Orders
	for i := range pl.policy.Catalog.Connectors {
		cc := &pl.policy.Catalog.Connectors[i]
		standing := orders.OfConnector(cc)
		c := &connector{
			name: cc.Name, id: fnv32(cmp.Or(cc.ID, cc.Name)), region: cc.Region, state: standing.State, why: standing.Why,
			requestURI: cc.RequestURI, number: cc.Number, strip: cc.Strip, prepend: cc.Prepend, failover: cc.Failover, probe: cc.Probe,
			regionHealth: r.health.Region(cc.Region), stats: r.ledger.connector(cc.Name),
		}
		c.limit = newLimit(cc.Limits, r.ledger.load(cmp.Or(cc.ID, cc.Name)))
		settings := pl.policy.Catalog.HealthFor(i, pl.policy.Health)
		for _, ch := range cc.Hosts {
			if !ch.Addr.IsValid() && ch.Name != "" {
				continue // none of its addresses is known
			}
			standing := orders.OfHost(&ch)
			h := &host{
				uri: ch.Label(), configured: ch.URI, named: ch.Named(),
				id: hostHash(k, ch.Addr) ^ overOf(ch.Transport), addr: ch.Addr, transport: ch.Transport, tls: cc.Peer(&ch),
				hostPort: []byte(ch.HostPort), params: []byte(ch.Params),
				priority: ch.Priority<<orderBits + ch.Order, weight: float64(max(ch.Weight, 1)) * cmp.Or(ch.Share, 1), state: standing.State, why: standing.Why,
				connector: c, settings: settings,
				limit:   newLimit(ch.Limits, r.ledger.host(hostPlace{ch.Addr, ch.Transport})),
				limited: ch.Limits != catalog.Limits{} || cc.Limits != catalog.Limits{},
			}
			for l := range r.listeners {
				out, err := r.listenerOf(cc, &ch, l)
				if err != nil {
					return nil, fmt.Errorf("connector %q: host %s: %w", cc.Name, ch.URI, err)
				}
				h.listeners = append(h.listeners, out)
			}
			// Health is of the way that calls take. Probes that leave from another
			// listener are another means to know it: they change no key, so that
			// what is known outlives a change of theirs, and marks of calls and
			// probes meet in one place.
			h.large = r.largeOf(h, cc, cc.Large.Or(pl.policy.Large).Or(catalog.DefaultLarge()))
			pl.leastMTU = min(pl.leastMTU, h.large.mtu)
			h.health = r.health.Host(health.Key{
				URI: "sip:" + ch.Addr.String() + ch.Transport.Param(), Addr: ch.Addr, Listener: r.listeners[h.listeners[0]].Addr.String(),
			})
			h.probeFrom = h.listeners[0]
			if name := cc.Probe.Listener; name != "" {
				var err error
				if h.probeFrom, err = r.listenerNamed(name, &ch); err != nil {
					return nil, fmt.Errorf("connector %q: probes of host %s: %w", cc.Name, ch.URI, err)
				}
			}
			pl.hosts = append(pl.hosts, h)
			if pl.byAddr[h.place()] == nil {
				pl.byAddr[h.place()] = h
			}
			pl.sources[h.addr.Addr()] = true
			connectors[cc.Name] = append(connectors[cc.Name], entry{host: h})
		}
	}
	return connectors, nil
}

// hostPlace is what makes hosts of several connectors one.
type hostPlace struct {
	addr netip.AddrPort
	over catalog.Transport
}

func (a hostPlace) String() string { return a.addr.String() + a.over.Param() }

func (h *host) place() hostPlace { return hostPlace{h.addr, h.transport} }

// same reports whether h and o have one place.
func (h *host) same(o *host) bool { return h.addr == o.addr && h.transport == o.transport }

// overOf tells hosts apart that have one address and different transports.
func overOf(t catalog.Transport) uint32 { return uint32(t) * 0x9e3779b9 }

// compileRoutes makes the routes of all owners of numbers.
func (pl *plan) compileRoutes(r *Router, connectors map[string][]entry) {
	groupOf := make(map[string]*catalog.Group)
	routeOf := make(map[string]*route)
	for i := range pl.policy.Catalog.Groups {
		g := &pl.policy.Catalog.Groups[i]
		members := slices.Clone(g.Connectors)
		slices.SortStableFunc(members, func(a, b catalog.Member) int { return cmp.Compare(a.Priority, b.Priority) })
		rt := &route{group: g.Name, stats: r.ledger.route(g.Name)}
		for _, m := range members {
			rt.add(connectors[m.Connector], m.Priority)
			groupOf[m.Connector], routeOf[m.Connector] = g, rt
		}
		pl.settle(rt, g, nil)
		pl.lead(ownerGroup(g), rt)
	}
	// A connector's own numbers: itself first, then the rest of its group.
	for i := range pl.policy.Catalog.Connectors {
		cc := &pl.policy.Catalog.Connectors[i]
		o := ownerConnector(cc)
		if _, ok := pl.numbers.ids[o]; !ok {
			continue // it has none
		}
		rt := &route{connector: cc.Name}
		rt.add(connectors[cc.Name], 0)
		if g := routeOf[cc.Name]; g != nil {
			rt.group = g.group
			for _, e := range g.entries {
				if e.host.connector.name != cc.Name {
					rt.add([]entry{e}, e.rank)
				}
			}
		}
		rt.stats = r.ledger.route(rt.name())
		pl.settle(rt, groupOf[cc.Name], cc)
		pl.lead(o, rt)
	}
}

// lead makes rt the route of an owner's numbers.
func (pl *plan) lead(o Owner, rt *route) {
	id := int(pl.numbers.id(o))
	if more := id + 1 - len(pl.routes); more > 0 {
		pl.routes = append(pl.routes, make([]*route, more)...)
	}
	pl.routes[id] = rt
}

// route returns the route of an owner's numbers; nil when the plan does not have
// that owner.
func (pl *plan) route(id uint32) *route {
	if int(id) >= len(pl.routes) {
		return nil
	}
	return pl.routes[id]
}

func (rt *route) add(entries []entry, rank int) {
	for _, e := range entries {
		rt.entries = append(rt.entries, entry{host: e.host, rank: rank})
	}
}

// settle finds the failover settings of the calls and attempts of rt: the most
// specific level that has a word on a value wins, connector, group, trunk, all.
// Of a connector's own number, cc, its word counts for the whole call.
func (pl *plan) settle(rt *route, g *catalog.Group, cc *catalog.Connector) {
	shared := func(f catalog.Failover) *catalog.Failover {
		if pl.failover[f] == nil {
			pl.failover[f] = &f
		}
		pl.longest = max(pl.longest, f.TimerC)
		return pl.failover[f]
	}
	for _, trunk := range pl.classes {
		f := pl.policy.Failover.With(trunk, catalog.EveryField)
		if g != nil {
			f = f.With(g.Failover, catalog.EveryField)
		}
		if cc != nil {
			f = f.With(cc.Failover, catalog.OfTheCall)
		}
		rt.failover = append(rt.failover, shared(f))
		for i := range rt.entries {
			e := &rt.entries[i]
			e.failover = append(e.failover, shared(f.With(e.host.connector.failover, catalog.OfAnAttempt)))
		}
	}
}

// listenerOf is listenerFor, unless the connector has chosen one.
func (r *Router) listenerOf(cc *catalog.Connector, h *catalog.Host, preferred int) (int, error) {
	if cc.Listener == "" {
		if l, ok := r.listenerFor(h.Addr.Addr(), h.Transport, preferred); ok {
			return l, nil
		}
		return 0, fmt.Errorf("no %s:// listener of its address family; add one to listen", h.Transport)
	}
	return r.listenerNamed(cc.Listener, h)
}

// listenerNamed is the listener of a name, which has to reach h.
func (r *Router) listenerNamed(name string, h *catalog.Host) (int, error) {
	for i := range r.listeners {
		l := &r.listeners[i]
		switch {
		case l.Name != name:
		case l.Transport != h.Transport:
			return 0, fmt.Errorf("listener %q is %s:// and it is reached over %s; choose another", name, l.Transport, h.Transport)
		case !l.reaches(h.Addr.Addr()):
			return 0, fmt.Errorf("listener %q cannot reach it; choose another", name)
		default:
			return i, nil
		}
	}
	return 0, fmt.Errorf("there is no listener %q", name)
}

// listenerFor picks the listener that a message to dest leaves from over t: the
// one preferred if it can reach dest, else the first that can.
func (r *Router) listenerFor(dest netip.Addr, t catalog.Transport, preferred int) (int, bool) {
	if r.listeners[preferred].Transport == t && r.listeners[preferred].reaches(dest) {
		return preferred, true
	}
	fallback := -1
	for i := range r.listeners {
		l := &r.listeners[i]
		if l.Transport != t {
			continue
		}
		if l.reaches(dest) {
			return i, true
		}
		if fallback < 0 && l.Addr.Addr().Is4() == dest.Is4() {
			fallback = i
		}
	}
	return max(fallback, 0), fallback >= 0
}

// reaches reports whether messages to dest can leave from l: of its family,
// loopback to loopback only, and what is on a link from there.
func (l *listener) reaches(dest netip.Addr) bool {
	own := l.Addr.Addr()
	return own.Is4() == dest.Is4() && (own.IsUnspecified() || own.IsLoopback() == dest.IsLoopback() && catalog.SameLink(own, dest))
}
