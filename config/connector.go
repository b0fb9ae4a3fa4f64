package config

import (
	"tandem/config/catalog"
)

var (
	connectorKeys = keys{
		known: []string{"name", "region", "hosts", "numbers", "numbers_file", "request_uri", "number", "strip", "prepend", "state",
			"listener", "tls", "large_requests", "udp_mtu", "failover", "health", "probe", "max_calls", "max_cps"},
		later: []string{"symmetric"},
	}
	hostKeys = keys{
		known: []string{"uri", "priority", "weight", "state", "max_calls", "max_cps"},
		later: []string{"tls"},
	}
	groupKeys = keys{
		known: []string{"name", "connectors", "numbers", "numbers_file", "failover", "health"},
		later: []string{"max_cps", "max_calls"},
	}
	memberKeys = keys{known: []string{"connector", "priority"}, later: []string{"weight", "failover", "max_cps", "max_calls"}}
)

// The words of catalog.State, RequestURI and NumberForm in their order.
var (
	states      = []string{"enabled", "draining", "disabled"}
	requestURIs = []string{"host", "keep"}
	numberForms = []string{"as-received", "+e164", "e164"}
)

func (d *decoder) connectors(n node) []catalog.Connector {
	items := d.list(n)
	connectors := make([]catalog.Connector, 0, len(items))
	for _, item := range items {
		f := d.fields(item, connectorKeys)
		c := catalog.Connector{
			Name:        d.text(f["name"], ""),
			Region:      d.text(f["region"], ""),
			Numbers:     d.numbers(f["numbers"]),
			FileNumbers: d.numbersFiles(f["numbers_file"]),
			RequestURI:  catalog.RequestURI(d.choice(f["request_uri"], requestURIs...)),
			Number:      catalog.NumberForm(d.choice(f["number"], numberForms...)),
			Strip:       d.stripped(f["strip"]),
			Prepend:     d.prepended(f["prepend"]),
			Listener:    d.text(f["listener"], ""),
			TLS:         d.peerTLS(f["tls"]),
			Large:       d.large(f),
			Limits:      d.limits(f),
			Failover:    d.failover(f["failover"]),
			Health:      d.health(f["health"]),
			Probe:       d.probe(f["probe"]),
			State:       catalog.State(d.choice(f["state"], states...)),
		}
		for _, host := range d.list(f["hosts"]) {
			c.Hosts = append(c.Hosts, d.host(host))
		}
		connectors = append(connectors, c)
	}
	return connectors
}

var peerTLSKeys = keys{known: []string{"name", "ca", "certificate", "key"}}

// peerTLS reads who has to be at the other end of connections over TLS.
func (d *decoder) peerTLS(n node) catalog.PeerTLS {
	if n.kind() == missing {
		return catalog.PeerTLS{}
	}
	f := d.fields(n, peerTLSKeys)
	p := catalog.PeerTLS{
		Name: d.text(f["name"], ""), CA: d.path(f["ca"]), Certificate: d.path(f["certificate"]), Key: d.path(f["key"]),
	}
	switch {
	case p.Key != "" && p.Certificate == "":
		d.fail(f["key"], "has no certificate beside it; write the PEM file that has it, as in certificate: cert.pem")
	case p.Key == "":
		p.Key = p.Certificate // one file may have both
	}
	d.showing(f["certificate"], f["key"], p.Certificate, p.Key)
	d.trusting(f["ca"], p.CA)
	if name := f["name"]; p.Name != "" {
		if err := checkIdentity(p.Name); err != nil {
			d.fail(name, "%v", err)
		}
	}
	return p
}

// host reads one host: a block, or its URI alone.
func (d *decoder) host(n node) catalog.Host {
	h := catalog.Host{Priority: 1, Weight: 1}
	if n.kind() == scalar {
		d.hostURI(n, &h)
		return h
	}
	f := d.fields(n, hostKeys)
	if uri := f["uri"]; uri.kind() != missing {
		d.hostURI(uri, &h)
	} else if path := child(n.path, "uri"); !d.failed[path] && !d.failed[n.path] {
		d.failAt(n.line(), path, `is missing; write the host's address, as in "sip:10.0.1.10:5060"`)
	}
	// The catalog's own check knows the ranges.
	if v, ok := d.whole(f["priority"]); ok {
		h.Priority = v
	}
	if v, ok := d.whole(f["weight"]); ok {
		h.Weight = v
	}
	h.Limits = d.limits(f)
	h.State = catalog.State(d.choice(f["state"], states...))
	return h
}

// maxCallsLimit is the most that a max_calls can say.
const maxCallsLimit = 1_000_000

// limits reads how many calls a connector or a host is given.
func (d *decoder) limits(f map[string]node) catalog.Limits {
	return catalog.Limits{
		MaxCalls: d.integer(f["max_calls"], 0, 1, maxCallsLimit),
		MaxCPS:   d.integer(f["max_cps"], 0, 1, maxCPS),
	}
}

// checkMaxCalls finds max_calls where the end of a call is not seen.
func (d *decoder) checkMaxCalls(cfg *Config) {
	if cfg.RecordRoute {
		return
	}
	const text = "needs record_route: the BYE that ends a call does not pass here without it; remove one of the two"
	for i, c := range cfg.Catalog.Connectors {
		at := element("connectors", i)
		if c.Limits.MaxCalls > 0 {
			d.fail(d.root.find(child(at, "max_calls")), text)
		}
		for j, h := range c.Hosts {
			if h.Limits.MaxCalls > 0 {
				d.fail(d.root.find(child(element(child(at, "hosts"), j), "max_calls")), text)
			}
		}
	}
}

// numbers reads a numbers list. Entries that are wrong keep their place, so
// that the paths of the others stay right.
func (d *decoder) numbers(n node) []catalog.Numbers {
	items := d.list(n)
	if len(items) == 0 {
		return nil
	}
	numbers := make([]catalog.Numbers, len(items))
	for i, item := range items {
		text := d.text(item, "")
		if d.failed[item.path] {
			continue
		}
		var err error
		if numbers[i], err = catalog.ParseNumbers(text); err != nil {
			d.fail(item, "%v", err)
		}
	}
	return numbers
}

func (d *decoder) groups(n node) []catalog.Group {
	items := d.list(n)
	groups := make([]catalog.Group, 0, len(items))
	for _, item := range items {
		f := d.fields(item, groupKeys)
		g := catalog.Group{
			Name:        d.text(f["name"], ""),
			Numbers:     d.numbers(f["numbers"]),
			FileNumbers: d.numbersFiles(f["numbers_file"]),
			Failover:    d.failover(f["failover"]),
			Health:      d.health(f["health"]),
		}
		for _, member := range d.list(f["connectors"]) {
			g.Connectors = append(g.Connectors, d.member(member))
		}
		groups = append(groups, g)
	}
	return groups
}

func (d *decoder) member(n node) catalog.Member {
	if n.kind() == scalar {
		text, _ := n.scalar()
		d.fail(n, "has no priority; write {connector: %s, priority: 1}", printable(text))
		return catalog.Member{}
	}
	f := d.fields(n, memberKeys)
	m := catalog.Member{Connector: d.text(f["connector"], ""), Priority: 1}
	if v, ok := d.whole(f["priority"]); ok {
		m.Priority = v
	}
	if path := child(n.path, "priority"); f["priority"].kind() == missing && !d.failed[path] && !d.failed[n.path] {
		d.failAt(n.line(), path, "is missing; write 1 for the connector that is tried first, 2 for the next")
	}
	return m
}
