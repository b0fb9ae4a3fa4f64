package config

import (
	"net/netip"
	"slices"
	"strings"

	"tandem/config/catalog"
)

// Over TLS one connection leads from a listener to an address, and whoever is
// there has proved to be one, to the liking of all connectors that use it.

// Clash is a host that has to be somebody else than another host of the same
// address, which comes before it.
type Clash struct {
	Connector, Host  int // in the catalog
	First, FirstHost int
	Key              string // of their tls settings: "name"
	Is, Was          string
}

// peerPlace is where a connection over TLS leads from and to.
type peerPlace struct {
	listener int // -1: none that is known
	addr     netip.AddrPort
	name     string // and port of a name without addresses; "" otherwise
}

// Clashes finds the hosts of c, a catalog of the config's, that no connection can
// serve, because another host which it would serve too has to be somebody else.
// Addresses of names give way to those that are written.
func (cfg *Config) Clashes(c *catalog.Catalog) (clashes []Clash) {
	type owner struct{ connector, host int }
	first := make(map[peerPlace]owner)
	look := func(i, j int) {
		cc := &c.Connectors[i]
		h := &cc.Hosts[j]
		at := peerPlace{addr: h.Addr}
		if !h.Addr.IsValid() {
			at.name = strings.ToLower(h.HostPort)
		}
		for _, at.listener = range cfg.leaving(cc, h) {
			of, known := first[at]
			if !known {
				first[at] = owner{i, j}
				continue
			}
			other := &c.Connectors[of.connector]
			if key, is, was := unlikePeers(cc.Peer(h), other.Peer(&other.Hosts[of.host])); key != "" {
				clashes = append(clashes, Clash{i, j, of.connector, of.host, key, is, was})
				return
			}
		}
	}
	for _, written := range []bool{true, false} {
		for i := range c.Connectors {
			for j := range c.Connectors[i].Hosts {
				h := &c.Connectors[i].Hosts[j]
				if h.Transport == catalog.TLS && (h.Name == "" || !h.Addr.IsValid()) == written {
					look(i, j)
				}
			}
		}
	}
	return clashes
}

// leaving are the listeners that connections to a host over TLS may leave from.
func (cfg *Config) leaving(c *catalog.Connector, h *catalog.Host) (all []int) {
	chosen := func(l *Listener) bool {
		if c.Listener == "" || l.Name == c.Listener {
			return true
		}
		return c.Probe.Listener != "" && l.Name == c.Probe.Listener
	}
	for i := range cfg.Listen {
		l := &cfg.Listen[i]
		family := !h.Addr.IsValid() || l.Addr.Addr().Is4() == h.Addr.Addr().Is4()
		if l.Transport == catalog.TLS && family && chosen(l) {
			all = append(all, i)
		}
	}
	if all == nil {
		return []int{-1} // an error of its own
	}
	return all
}

// unlikePeers returns the first setting that is another one, with both its values.
func unlikePeers(is, was catalog.PeerTLS) (key, isText, wasText string) {
	for _, v := range []struct{ key, is, was string }{
		{"name", identity(is.Name), identity(was.Name)}, {"ca", is.CA, was.CA},
		{"certificate", is.Certificate, was.Certificate}, {"key", is.Key, was.Key},
	} {
		if v.is != v.was {
			return v.key, orNotSet(v.is), orNotSet(v.was)
		}
	}
	return "", "", ""
}

// checkPeers finds connectors that want somebody else at one address over TLS.
func (d *decoder) checkPeers(cfg *Config) {
	if d.failedUnder("listen") {
		return
	}
	told := make(map[[2]int]bool) // connectors
	for _, clash := range cfg.Clashes(&cfg.Catalog) {
		path := placed{connector: clash.Connector, host: clash.Host}.path()
		other := placed{connector: clash.First, host: clash.FirstHost}.path()
		if pair := [2]int{clash.Connector, clash.First}; !told[pair] && !d.follows(path) {
			told[pair] = true
			d.failAt(d.root.find(path).line(), path, "%s", clash.text(&cfg.Catalog, d.seeLine("", other)))
		}
	}
}

// text says what is wrong; see is where the other host is, or "".
func (c *Clash) text(cat *catalog.Catalog, see string) string {
	cc, first := &cat.Connectors[c.Connector], &cat.Connectors[c.First]
	return cc.Hosts[c.Host].Place() + " is a host of connector " + quote(first.Name) + " too" + see +
		", over the same connections, and its tls." + c.Key + " is " + c.Is + " here and " + c.Was + " there; set both alike, or let one have a listener of its own"
}

// Because says why a host whose address DNS has is left out.
func (c *Clash) Because(cat *catalog.Catalog) string {
	return "connector " + quote(cat.Connectors[c.First].Name) + " has the address too, and its tls." + c.Key + " is " + c.Is + " here and " + c.Was + " there"
}

// WithoutClashes is a catalog without the hosts of clashes, the connectors that
// lose some with lists of their own.
func WithoutClashes(c *catalog.Catalog, clashes []Clash) *catalog.Catalog {
	if len(clashes) == 0 {
		return c
	}
	next := *c
	next.Connectors = slices.Clone(c.Connectors)
	for i := range next.Connectors {
		var kept []catalog.Host
		for j, h := range c.Connectors[i].Hosts {
			if !slices.ContainsFunc(clashes, func(c Clash) bool { return c.Connector == i && c.Host == j }) {
				kept = append(kept, h)
			}
		}
		next.Connectors[i].Hosts = kept
	}
	return &next
}
