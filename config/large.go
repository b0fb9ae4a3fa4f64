package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tandem/config/catalog"
)

// Bytes that udp_mtu may say: below, every request is large; above, none can be.
const (
	leastUDPMTU = 500
	mostUDPMTU  = 65535
)

// large reads what becomes of large requests to hosts over UDP, of connectors or
// all of them; what is not written is 0.
func (d *decoder) large(f map[string]node) (l catalog.Large) {
	if n := f["large_requests"]; n.kind() != missing {
		words := []string{catalog.LargeAuto.String(), catalog.LargeUDP.String(), catalog.LargeTCP.String()}
		l.Requests = catalog.LargeAuto + catalog.LargeRequests(d.choice(n, words...))
	}
	l.MTU = d.integer(f["udp_mtu"], 0, leastUDPMTU, mostUDPMTU)
	return l
}

// largeHost is a host that cannot be sent large requests as its level says.
type largeHost struct {
	host, path string
	at         string // where the tcp:// listener has to be: "" or " at ADDRESS, where listener NAME is,"
}

// unreachedLarge are the first host of each connector, over UDP, that is to get
// large requests by TCP and is reached by no tcp:// listener: by none at all when it
// is a name, and by none at the address of the listener that its connector chooses.
func (cfg *Config) unreachedLarge() (all []largeHost) {
	for i, c := range cfg.Catalog.Connectors {
		if c.Large.Or(cfg.Large).Requests != catalog.LargeTCP {
			continue
		}
		path := "large_requests"
		if c.Large.Requests == catalog.LargeTCP {
			path = child(element("connectors", i), path)
		}
		var from []Listener // over UDP
		for _, l := range cfg.Listen {
			if l.Transport == catalog.UDP && (c.Listener == "" || l.Name == c.Listener) {
				from = append(from, l)
			}
		}
		if len(from) == 0 {
			continue // nothing leaves by UDP
		}
		at := ""
		if c.Listener != "" {
			at = fmt.Sprintf(" at %s, where listener %s is,", from[0].Addr.Addr(), quote(c.Listener))
		}
		for _, h := range c.Hosts {
			reached := func(l Listener) bool {
				return l.Transport == catalog.TCP && (c.Listener == "" || l.Addr.Addr() == from[0].Addr.Addr()) &&
					(!h.Addr.IsValid() || l.reaches(h.Addr.Addr()))
			}
			if h.Transport == catalog.UDP && !slices.ContainsFunc(cfg.Listen, reached) {
				all = append(all, largeHost{h.Place(), path, at})
				break
			}
		}
	}
	return all
}

// checkLarge finds hosts that are to get large requests by TCP and cannot.
func (d *decoder) checkLarge(cfg *Config) {
	for path := range d.failed {
		if strings.HasPrefix(path, "listen") {
			return // the one that is meant may be among those that could not be read
		}
	}
	for _, l := range cfg.unreachedLarge() {
		if !d.failed[l.path] {
			d.failAt(d.root.find(l.path).line(), l.path,
				"is tcp, and no tcp:// listener%s reaches %s: add one to listen, or write auto", l.at, l.host)
		}
	}
}

// large compares what becomes of large requests.
func (d *differ) large(o owner, was, is catalog.Large) {
	size := func(n int) string {
		if n == 0 {
			return notSet
		}
		return strconv.Itoa(n)
	}
	d.value(o, "large_requests", orNotSet(was.Requests.String()), orNotSet(is.Requests.String()))
	d.value(o, "udp_mtu", size(was.MTU), size(is.MTU))
}
