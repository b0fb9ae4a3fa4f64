package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tandem/config/catalog"
)

// DNS says how names are looked up.
type DNS struct {
	Servers []netip.AddrPort // none: those of this machine, as /etc/resolv.conf says
	Timeout time.Duration    // of a question to one server
	MinTTL  time.Duration    // an answer is good for so long at least, and
	MaxTTL  time.Duration    // at most
}

var dnsKeys = keys{known: []string{"servers", "timeout", "min_ttl", "max_ttl"}, later: []string{"search", "tcp"}}

const (
	dnsPort       = 53 // RFC 1035 4.2
	maxDNSServers = 8
)

// dns reads how names are looked up.
func (d *decoder) dns(n node) DNS {
	f := d.fields(n, dnsKeys)
	s := DNS{
		Timeout: d.duration(f["timeout"], 2*time.Second, 100*time.Millisecond, 30*time.Second),
		MinTTL:  d.duration(f["min_ttl"], 5*time.Second, time.Second, time.Hour),
		MaxTTL:  d.duration(f["max_ttl"], time.Hour, time.Second, 24*time.Hour),
	}
	if s.MinTTL > s.MaxTTL && !d.failed[child(n.path, "min_ttl")] && !d.failed[child(n.path, "max_ttl")] {
		at := f["min_ttl"]
		if at.kind() == missing {
			at = f["max_ttl"]
		}
		d.fail(at, "min_ttl, %s, is longer than max_ttl, %s; write less, or more there", catalog.Duration(s.MinTTL), catalog.Duration(s.MaxTTL))
	}
	items := d.list(f["servers"])
	if len(items) > maxDNSServers {
		d.fail(f["servers"], "has %d servers; write at most %d", len(items), maxDNSServers)
	}
	for _, item := range items {
		text := d.text(item, "")
		if d.failed[item.path] {
			continue
		}
		a, err := parseDNSServer(text)
		switch {
		case err != nil:
			d.fail(item, "%v", err)
		case slices.Contains(s.Servers, a):
			d.fail(item, "%s is listed already; remove one", a)
		default:
			s.Servers = append(s.Servers, a)
		}
	}
	return s
}

// parseDNSServer reads an address, with or without a port.
func parseDNSServer(text string) (netip.AddrPort, error) {
	host, port, err := splitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.AddrPort{}, fmt.Errorf("%s is not the address of a server; write one, as in 10.0.0.53 or 10.0.0.53:%d", quote(text), dnsPort)
	}
	if port == 0 {
		port = dnsPort
	}
	return netip.AddrPortFrom(ip.Unmap(), port), nil
}

// text is the settings in a line.
func (s DNS) text() string {
	servers := "of this machine"
	if len(s.Servers) > 0 {
		servers = joined(s.Servers, netip.AddrPort.String)
	}
	return strings.Join([]string{
		"servers " + servers, "timeout " + catalog.Duration(s.Timeout),
		"min_ttl " + catalog.Duration(s.MinTTL), "max_ttl " + catalog.Duration(s.MaxTTL),
	}, ", ")
}

// Reach returns a function that says why a connector's calls cannot go to an
// address over a transport; nil when they can. Of the addresses that a file has
// this was checked when it was read; DNS may say anything.
func (cfg *Config) Reach() func(*catalog.Connector, catalog.Transport, netip.AddrPort) error {
	own := cfg.ownPorts(machineAddrs())
	return func(c *catalog.Connector, t catalog.Transport, a netip.AddrPort) error {
		if own[a] || wildcardLoop(cfg.Listen, a) {
			return errors.New("it is this node itself: calls would loop")
		}
		for _, name := range []string{c.Listener, c.Probe.Listener} {
			reaches := func(l Listener) bool {
				return (name == "" || l.Name == name) && l.Transport == t && l.reaches(a.Addr())
			}
			switch {
			case slices.ContainsFunc(cfg.Listen, reaches):
			case name == "":
				return fmt.Errorf("no %s:// listener can send to it", t)
			default:
				return fmt.Errorf("listener %s cannot send to it over %s", quote(name), t)
			}
		}
		return nil
	}
}
