package locate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"tandem/config/catalog"
)

// TargetOf returns what the URI of a host says of where requests go; ok is false
// for an address.
func TargetOf(h *catalog.Host) (t Target, ok bool) {
	if h.Name == "" {
		return t, false
	}
	t = Target{Name: h.Name, Port: h.Port, Secure: len(h.URI) > 5 && strings.EqualFold(h.URI[:5], "sips:")}
	for _, p := range strings.Split(h.Params, ";") {
		if name, value, _ := strings.Cut(p, "="); strings.EqualFold(name, "transport") {
			t.Transport, t.Explicit = catalog.ParseTransport([]byte(value))
		}
	}
	return t, true
}

// Targets lists those of a catalog, each once.
func Targets(c *catalog.Catalog) (all []Target) {
	seen := make(map[Target]bool)
	for i := range c.Connectors {
		for j := range c.Connectors[i].Hosts {
			if t, ok := TargetOf(&c.Connectors[i].Hosts[j]); ok && !seen[t] {
				seen[t] = true
				all = append(all, t)
			}
		}
	}
	return all
}

// World is what Expand needs to know of a node.
type World struct {
	Servers func(Target) []Server
	// Reach says why a connector's calls cannot go to an address over a transport;
	// nil when they can.
	Reach func(*catalog.Connector, catalog.Transport, netip.AddrPort) error
}

// LeftOut is a server that gets no calls, and why.
type LeftOut struct {
	Connector, URI string
	Server         Server
	Why            error
}

// Expand returns a catalog in which each host with a name is replaced by its
// addresses, each a host with the name's URI, settings and state. A name without
// an address stays as it is. Where there are no names it returns c.
//
// Of the addresses of one connector the priority of hosts comes first, then the
// place that DNS gives them among those of their name: the addresses of a name
// that are wanted first stand beside other hosts of its priority, whatever the
// numbers of its SRV records are. The weight of a host is that of all its addresses
// together: of the addresses of equal priority each has a share by the weight of
// its SRV record (RFC 2782), one of weight 0 next to none unless all are, and the
// addresses of one record have equal parts of its share. An address that a
// connector has twice stands where it is tried first.
//
// Of the transports that calls can leave over the one that DNS prefers is taken,
// and it alone (RFC 3263 4.1).
func Expand(c *catalog.Catalog, w World) (*catalog.Catalog, []LeftOut) {
	if len(Targets(c)) == 0 {
		return c, nil
	}
	next := *c
	next.Connectors = slices.Clone(c.Connectors)
	var out []LeftOut
	for i := range next.Connectors {
		cc := &next.Connectors[i]
		hosts := make([]catalog.Host, 0, len(cc.Hosts))
		for _, h := range cc.Hosts {
			t, ok := TargetOf(&h)
			if !ok || h.Addr.IsValid() { // an address, or expanded before
				hosts = append(hosts, h)
				continue
			}
			servers, left := w.usable(cc, w.Servers(t))
			for _, l := range left {
				l.URI = h.URI
				out = append(out, l)
			}
			if len(servers) == 0 {
				hosts = append(hosts, h)
			}
			hosts = append(hosts, split(h, servers)...)
		}
		cc.Hosts = once(hosts)
	}
	return &next, out
}

// usable are the servers that calls of a connector can go to, over one transport.
func (w World) usable(cc *catalog.Connector, servers []Server) (usable []Server, left []LeftOut) {
	for _, s := range servers {
		why := w.Reach(cc, s.Transport, s.Addr)
		if why == nil && len(usable) > 0 && s.Transport != usable[0].Transport {
			why = fmt.Errorf("%s is preferred to %s", usable[0].Transport, s.Transport)
		}
		if why != nil {
			left = append(left, LeftOut{Connector: cc.Name, Server: s, Why: why})
			continue
		}
		usable = append(usable, s)
	}
	return usable, left
}

// level is what servers of a target are ranked by.
func (s Server) level() int { return s.Choice<<16 | int(s.Priority) }

// almostNone is what a weight of 0 counts among others: RFC 2782 gives it "a very
// small chance of being selected".
const almostNone = 0.01

// split returns the hosts that h stands for. servers are in order.
func split(h catalog.Host, servers []Server) []catalog.Host {
	type record struct {
		level        int
		host         string
		port, weight uint16
	}
	recordOf := func(s Server) record { return record{s.level(), s.Host, s.Addr.Port(), s.Weight} }
	addrs := make(map[record]int)
	total := make(map[int]float64) // weight by level
	weighted := make(map[int]bool)
	for _, s := range servers {
		weighted[s.level()] = weighted[s.level()] || s.Weight > 0
	}
	weight := func(s Server) float64 {
		switch {
		case s.Weight > 0:
			return float64(s.Weight)
		case weighted[s.level()]:
			return almostNone
		}
		return 1
	}
	for _, s := range servers {
		if addrs[recordOf(s)]++; addrs[recordOf(s)] == 1 {
			total[s.level()] += weight(s)
		}
	}
	hosts := make([]catalog.Host, 0, len(servers))
	order := 0
	for i, s := range servers {
		if i > 0 && s.level() != servers[i-1].level() {
			order++
		}
		one := h
		one.Addr, one.Transport, one.Order = s.Addr, s.Transport, order
		one.Share = weight(s) / float64(addrs[recordOf(s)]) / total[s.level()]
		same := func(o catalog.Host) bool { return o.Subject() == one.Subject() && o.Order == one.Order }
		if i := slices.IndexFunc(hosts, same); i >= 0 { // two names of one machine
			hosts[i].Share += one.Share
			continue
		}
		hosts = append(hosts, one)
	}
	return hosts
}

// once leaves of hosts with one address and transport the one that is tried first.
func once(hosts []catalog.Host) []catalog.Host {
	best := make(map[catalog.Subject]int, len(hosts))
	for i, h := range hosts {
		j, twice := best[h.Subject()]
		if !twice || cmp.Or(cmp.Compare(h.Priority, hosts[j].Priority), cmp.Compare(h.Order, hosts[j].Order)) < 0 {
			best[h.Subject()] = i
		}
	}
	kept := hosts[:0]
	for i, h := range hosts {
		if !h.Addr.IsValid() || best[h.Subject()] == i {
			kept = append(kept, h)
		}
	}
	return kept
}
