package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tandem/config/catalog"
)

var listenerKeys = keys{
	known: []string{"address", "advertise", "name", "tls"},
	later: []string{"workers"},
}

var listenerTLSKeys = keys{known: []string{"certificate", "key", "clients", "client_ca"}}

// maxListeners is the most that a node has: each has sockets of its own.
const maxListeners = 16

// listening is a listener while the file is read, with its places there.
type listening struct {
	Listener
	node      node
	advertise node // its own; may be missing
}

// listeners reads listen and advertise, which belong together.
func (d *decoder) listeners(listen, advertise node) []Listener {
	var all []*listening
	type place struct {
		addr   netip.AddrPort
		stream bool // TCP and TLS share ports
	}
	addrs := make(map[place]node)
	names := make(map[string]node)
	items := d.list(listen)
	for _, item := range items {
		l, address := d.listener(item, names)
		if l == nil {
			continue
		}
		at := place{l.Addr, l.Transport.Reliable()}
		if first, ok := addrs[at]; ok {
			d.fail(address, "%s is listened on already (line %d); remove one", l.Addr, first.line())
			continue
		}
		addrs[at] = address
		all = append(all, l)
	}
	switch {
	case listen.kind() == missing || listen.kind() == null:
		all = append(all, &listening{Listener: Listener{Addr: defaultListen}, node: listen})
	case listen.kind() == list && len(items) == 0:
		d.fail(listen, "is empty; write at least one address, as in udp://%s", defaultListen)
	case len(items) > maxListeners:
		d.fail(listen, "has %d addresses; this version listens on at most %d, so remove some, or use one wildcard address", len(items), maxListeners)
	}
	failures := len(d.errs)
	public := d.publicAddrs(advertise)
	d.advertiseAll(all, public, len(d.errs) == failures)
	listeners := make([]Listener, 0, len(all))
	for _, l := range all {
		listeners = append(listeners, l.Listener)
	}
	return listeners
}

// listener reads one listener, an address alone or a block, and returns where
// its address stands; nil when it cannot be used.
func (d *decoder) listener(n node, names map[string]node) (l *listening, address node) {
	l, address = &listening{node: n}, n
	var secure node
	if n.kind() != scalar {
		f := d.fields(n, listenerKeys)
		l.advertise, secure = f["advertise"], f["tls"]
		l.Name = d.listenerName(f["name"], names)
		if address = f["address"]; address.kind() == missing {
			if path := child(n.path, "address"); !d.failed[path] && !d.failed[n.path] {
				d.failAt(n.line(), path, "is missing; write where to listen, as in udp://%s", defaultListen)
			}
			return nil, n
		}
	}
	text := d.text(address, "")
	if d.failed[address.path] {
		return nil, n
	}
	var err error
	if l.Transport, l.Addr, err = parseListen(text); err != nil {
		d.fail(address, "%v", err)
		return nil, n
	}
	d.listenerTLS(l, secure, address)
	return l, address
}

// listenerTLS reads what a tls:// listener has besides, and only that one.
func (d *decoder) listenerTLS(l *listening, block, address node) {
	switch {
	case l.Transport != catalog.TLS && block.kind() != missing:
		d.fail(block, "is for tls:// addresses; remove it, or write tls:// for %s://", l.Transport)
		return
	case l.Transport != catalog.TLS:
		return
	case block.kind() == missing:
		d.fail(address, "has no certificate; write {address: %s, tls: {certificate: FILE, key: FILE}}", printable(d.text(address, "")))
		return
	}
	f := d.fields(block, listenerTLSKeys)
	l.TLS = ListenerTLS{
		Certificate: d.path(f["certificate"]),
		Key:         d.path(f["key"]),
		Clients:     Clients(d.choice(f["clients"], clients...)),
		ClientCA:    d.path(f["client_ca"]),
	}
	if l.TLS.Certificate == "" && !d.failed[child(block.path, "certificate")] {
		d.fail(block, "has no certificate; write the PEM file that has it, as in certificate: cert.pem")
	}
	if l.TLS.Key == "" {
		l.TLS.Key = l.TLS.Certificate // one file may have both
	}
	d.showing(f["certificate"], f["key"], l.TLS.Certificate, l.TLS.Key)
	d.trusting(f["client_ca"], l.TLS.ClientCA)
	if l.TLS.ClientCA != "" && l.TLS.Clients == ClientsAny {
		d.fail(f["client_ca"], "has no effect while clients is any; write clients: required, or optional")
	}
}

// listenerName reads a name that connectors choose a listener by.
func (d *decoder) listenerName(n node, names map[string]node) string {
	if n.kind() == missing {
		return ""
	}
	name := d.text(n, "")
	first, twice := names[name]
	switch {
	case d.failed[n.path]:
		return ""
	case !catalog.ValidName(name):
		d.fail(n, "%s is not a name; use 1 to %d letters, digits, space and _ . -", quote(name), catalog.MaxName)
	case twice:
		d.fail(n, "%s is the name of another listener (line %d); give each its own", quote(name), first.line())
	default:
		names[name] = n
	}
	return name
}

// advertiseAll gives each listener what Via and Record-Route say: its own
// advertise, else the public address of its family, else the public name, else
// its own address. When public is not all that was written, what is missing is
// not reported.
func (d *decoder) advertiseAll(listeners []*listening, public []publicAddr, all bool) {
	shared, ports := make(map[string]bool), make(map[string]uint16)
	for _, l := range listeners {
		at := l.node
		chosen, own, ok := d.publicOf(l, public)
		switch {
		case !ok: // its error is enough
		case chosen != nil:
			at = chosen.node
			l.Advertise = chosen.of(&l.Listener)
			if first, known := ports[at.path]; !own && chosen.port != 0 && known && first != l.Addr.Port() && !d.failed[at.path] {
				d.fail(at, "has a port, and is for listeners of different ports, %d and %d; leave the port out, and each says its own, or give each listener an advertise",
					first, l.Addr.Port())
			}
			ports[at.path] = l.Addr.Port()
		case l.Addr.Addr().IsUnspecified() && all:
			d.fail(l.node, "%s is every address of this machine, and peers need one: set advertise to the address that they reach it by (%s)",
				l.Addr.Addr(), d.tellAddrs(l.Addr.Addr().Is4()))
			continue
		}
		if l.Advertise == "" {
			l.Advertise = netip.AddrPortFrom(l.Addr.Addr().WithZone(""), l.Addr.Port()).String()
		}
		// Of a name each family resolves to an address of its own.
		said := l.Advertise + strconv.FormatBool(l.Addr.Addr().Is4()) + strconv.FormatBool(l.Transport.Reliable())
		switch {
		case !shared[said] || d.failed[at.path]:
		case own:
			d.warnAt(at.line(), at.path, "another listener advertises %s too: peers cannot tell them apart; give each its own", l.Advertise)
		case chosen != nil:
			d.warnAt(at.line(), at.path, "two listeners advertise %s; leave the port out, and each advertises its own", l.Advertise)
		}
		shared[said] = true
	}
	for _, p := range public {
		suits := len(listeners) == 0
		for _, l := range listeners {
			suits = suits || p.suits(&l.Listener)
		}
		if !suits {
			d.fail(p.node, "no listener has an address of the family of %s; add one, or remove this", p.host)
		}
	}
}

// publicOf returns what a listener is reached by, if anything is written: its
// own advertise or one of all. ok is false when its own cannot be used.
func (d *decoder) publicOf(l *listening, public []publicAddr) (chosen *publicAddr, own, ok bool) {
	if n := l.advertise; n.kind() != missing {
		text := d.text(n, "")
		if d.failed[n.path] {
			return nil, true, false
		}
		p, err := parsePublic(n, text)
		switch {
		case err != nil:
			d.fail(n, "%v", err)
			return nil, true, false
		case !p.suits(&l.Listener):
			d.fail(n, "%s is not of the family of %s, on which this listener is; write an address of the same family, or a name", p.host, l.Addr)
			return nil, true, false
		}
		return &p, true, true
	}
	for i := range public {
		p := &public[i]
		if p.suits(&l.Listener) && (chosen == nil || p.family() != 0) {
			chosen = p
		}
	}
	return chosen, false, true
}

// listenerOf returns the listener that a host is reached from: the one of a
// name, else the first that reaches it, else -1.
func listenerOf(listeners []Listener, name string, h *catalog.Host) int {
	for i, l := range listeners {
		if name == "" && l.Transport == h.Transport && l.reaches(h.Addr.Addr()) || name != "" && l.Name == name {
			return i
		}
	}
	return -1
}

// reaches reports whether messages to a host can leave from l: of its family,
// loopback to loopback only, and what is on a link from there.
func (l *Listener) reaches(host netip.Addr) bool {
	own := l.Addr.Addr()
	return own.Is4() == host.Is4() && (own.IsUnspecified() || own.IsLoopback() == host.IsLoopback() && catalog.SameLink(own, host))
}

// checkListeners checks that the listeners which connectors choose can serve them,
// and that there is one for each host where none is chosen.
func (d *decoder) checkListeners(cfg *Config) {
	if d.failedUnder("listen") {
		return // the one that is meant may be among those that could not be read
	}
	names := make([]string, 0, len(cfg.Listen))
	for _, l := range cfg.Listen {
		if l.Name != "" {
			names = append(names, l.Name)
		}
	}
	for i := range cfg.Catalog.Connectors {
		c := &cfg.Catalog.Connectors[i]
		path := element("connectors", i)
		d.checkChosen(cfg, child(path, "listener"), c.Listener, c.Hosts, names)
		d.checkChosen(cfg, child(child(path, "probe"), "listener"), c.Probe.Listener, c.Hosts, names)
		if c.Listener == "" {
			d.checkFamilies(cfg, path, c.Hosts)
		}
	}
}

// checkFamilies finds hosts of an address family that no listener has.
func (d *decoder) checkFamilies(cfg *Config, connector string, hosts []catalog.Host) {
	for j, h := range hosts {
		family := "IPv6"
		if h.Addr.Addr().Is4() {
			family = "IPv4"
		}
		same := func(l Listener) bool { return l.Addr.Addr().Is4() == h.Addr.Addr().Is4() }
		over := func(l Listener) bool { return l.Transport == h.Transport && same(l) }
		if h.Name != "" {
			d.checkNamed(cfg, child(element(child(connector, "hosts"), j), "uri"), &h)
			continue
		}
		if !h.Addr.IsValid() || len(cfg.Listen) == 0 || slices.ContainsFunc(cfg.Listen, over) {
			continue
		}
		path := child(element(child(connector, "hosts"), j), "uri")
		line := d.root.find(path).line()
		if slices.ContainsFunc(cfg.Listen, same) || h.Transport != catalog.UDP {
			d.failAt(line, path, "%s is reached over %s, and no %s:// listener has an %s address: add one to listen, which calls leave from, or write another host",
				h.Addr, strings.ToUpper(h.Transport.String()), h.Transport, family)
			continue
		}
		d.failAt(line, path, "%s is an %s address, and no listener has one: add one to listen, or write another host", h.Addr, family)
	}
}

// checkNamed finds a host with a name that no listener reaches, whatever DNS has
// for it.
func (d *decoder) checkNamed(cfg *Config, path string, h *catalog.Host) {
	if !fixesTransport(h) || len(cfg.Listen) == 0 ||
		slices.ContainsFunc(cfg.Listen, func(l Listener) bool { return l.Transport == h.Transport }) {
		return
	}
	d.failAt(d.root.find(path).line(), path, "%s is reached over %s, and there is no %s:// listener: add one to listen, which calls leave from, or write another host",
		h.HostPort, strings.ToUpper(h.Transport.String()), h.Transport)
}

// fixesTransport reports whether the URI of a host with a name says over what it
// is reached, and not DNS (RFC 3263 4.1).
func fixesTransport(h *catalog.Host) bool { return h.SaysTransport() || h.Port != 0 }

// checkChosen checks that there is a listener with a name, and that it reaches
// all hosts.
func (d *decoder) checkChosen(cfg *Config, path, name string, hosts []catalog.Host, names []string) {
	if name == "" || d.failed[path] {
		return
	}
	line := d.root.find(path).line()
	at := listenerOf(cfg.Listen, name, nil)
	if at < 0 {
		d.failAt(line, path, "%s", unknownListener(name, names))
		return
	}
	for _, h := range hosts {
		l := &cfg.Listen[at]
		if (h.Addr.IsValid() || fixesTransport(&h)) && l.Transport != h.Transport {
			d.failAt(line, path, "listener %s is %s://, and %s is reached over %s; choose another listener, or another host",
				quote(l.Name), l.Transport, h.Place(), strings.ToUpper(h.Transport.String()))
			return
		}
		if h.Addr.IsValid() && !l.reaches(h.Addr.Addr()) {
			d.failAt(line, path, "listener %s, %s, cannot send to %s: %s; choose another listener, or another host",
				quote(l.Name), l.Addr, h.Addr, l.whyNot(h.Addr.Addr()))
			return
		}
	}
}

func unknownListener(name string, names []string) string {
	switch near := catalog.Nearest(name, names); {
	case near != "":
		return fmt.Sprintf("there is no listener %s; did you mean %s?", quote(name), quote(near))
	case len(names) == 0:
		return fmt.Sprintf("there is no listener %s; none has a name, so write {address: udp://..., name: %s} under listen", quote(name), printable(name))
	}
	return fmt.Sprintf("there is no listener %s; define it under listen, or correct the name", quote(name))
}

// whyNot says why l does not reach a host.
func (l *Listener) whyNot(host netip.Addr) string {
	switch {
	case l.Addr.Addr().Is4() != host.Is4():
		return "one is IPv4 and the other IPv6"
	case host.IsLoopback() == l.Addr.Addr().IsLoopback():
		return "a link-local address sends to its own link only, which is reached from there"
	case host.IsLoopback():
		return "a loopback address is reached from loopback and wildcard listeners only"
	}
	return "from a loopback address only this machine is reached"
}
