package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tandem/config/catalog"
)

// checkCatalog adds what the catalog finds wrong with itself, each at its line.
func (d *decoder) checkCatalog(cfg *Config) {
	for _, p := range cfg.Catalog.Check() {
		d.problem(p)
	}
}

// problem adds a problem of a catalog at its line.
func (d *decoder) problem(p catalog.Problem) {
	if d.follows(p.Path) {
		return
	}
	if p.More > 0 {
		d.numbersFile(p.Path).more += p.More
		return
	}
	text := p.Text
	switch {
	case p.Other == "":
	case p.OtherAt.File == p.At.File && p.OtherAt.File != "":
		text += fmt.Sprintf(" (see line %d)", p.OtherAt.Line)
	case p.OtherAt.File != "":
		text += fmt.Sprintf(" (see %s:%d)", p.OtherAt.File, p.OtherAt.Line)
	case p.At.File != "":
		text += fmt.Sprintf(" (see %s:%d)", d.file, d.root.find(p.Other).line())
	default:
		text += d.seeLine("see ", p.Other)
	}
	if p.At.File != "" {
		d.numbersFile(p.Path).add(p.At.Line, text)
		return
	}
	line := d.root.find(p.Path).line()
	if p.Warning {
		d.warnAt(line, p.Path, "%s", text)
		return
	}
	d.errs = append(d.errs, Error{File: d.file, Line: line, Field: p.Path, Text: oneLine(text)})
}

// seeLine points to the line of another place, "" where there are no lines.
func (d *decoder) seeLine(see, path string) string {
	if d.unlined {
		return ""
	}
	return fmt.Sprintf(" (%sline %d)", see, d.root.find(path).line())
}

// numbersFile returns the numbers file that the value at a path names.
func (d *decoder) numbersFile(path string) *numbersFile {
	for _, f := range d.files {
		if f.by.path == path {
			return f
		}
	}
	return new(numbersFile) // none: the catalog was not read here
}

// follows reports whether a path, or what it is part of, has an error already.
func (d *decoder) follows(path string) bool {
	for path != "" {
		if d.failed[path] {
			return true
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return false
}

// failedUnder reports whether a top key, or anything in it, has an error.
func (d *decoder) failedUnder(key string) bool {
	for path := range d.failed {
		if rest, ok := strings.CutPrefix(path, key); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

var quotaKeys = keys{known: []string{"groups", "connectors_per_group"}, later: []string{"connectors", "numbers"}}

func (d *decoder) quotas(n node, otherwise Quotas) Quotas {
	const most = 1_000_000
	f := d.fields(n, quotaKeys)
	return Quotas{
		Groups:             d.integer(f["groups"], otherwise.Groups, 0, most),
		ConnectorsPerGroup: d.integer(f["connectors_per_group"], otherwise.ConnectorsPerGroup, 0, most),
	}
}

func (d *decoder) checkQuotas(cfg *Config) {
	q := cfg.Quotas
	if n := len(cfg.Catalog.Groups); q.Groups > 0 && n > q.Groups {
		d.fail(d.root.find("groups"), "%d groups, and quotas.groups allows %d; remove some, or raise it (0 is no limit)", n, q.Groups)
	}
	for i, g := range cfg.Catalog.Groups {
		if n := len(g.Connectors); q.ConnectorsPerGroup > 0 && n > q.ConnectorsPerGroup {
			path := "groups[" + strconv.Itoa(i) + "].connectors"
			d.failAt(d.root.find(path).line(), path,
				"%d connectors, and quotas.connectors_per_group allows %d; remove some, or raise it (0 is no limit)", n, q.ConnectorsPerGroup)
		}
	}
}

// checkLoops finds hosts that are this node itself.
func (d *decoder) checkLoops(cfg *Config) {
	for _, h := range cfg.loops(d.addrs()) {
		path := h.path()
		d.failAt(d.root.find(path).line(), path, "%s is this node itself: calls would loop; write the connector's address", h.Place())
	}
}

// placed is a host and where it stands.
type placed struct {
	catalog.Host
	connector, host int
}

func (h placed) path() string {
	return fmt.Sprintf("connectors[%d].hosts[%d].uri", h.connector, h.host)
}

// loops returns the hosts that are this node itself, on a machine with the
// addresses given.
func (cfg *Config) loops(machine []netip.Addr) (hosts []placed) {
	own := cfg.ownPorts(machine)
	for i, c := range cfg.Catalog.Connectors {
		for j, h := range c.Hosts {
			if own[h.Addr] || wildcardLoop(cfg.Listen, h.Addr) || cfg.ownName(&h) {
				hosts = append(hosts, placed{h, i, j})
			}
		}
	}
	return hosts
}

// ownName reports whether the name of a host is one that this node is reached by.
func (cfg *Config) ownName(h *catalog.Host) bool {
	if h.Name == "" {
		return false
	}
	is := func(own string, port uint16) bool {
		host, ownPort, err := splitHostPort(own)
		return err == nil && strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(h.Name, ".")) && cmp.Or(h.Port, sipPort) == cmp.Or(ownPort, port)
	}
	for _, l := range cfg.Listen {
		if is(l.Advertise, sipPort) || slices.ContainsFunc(cfg.Aliases, func(alias string) bool { return is(alias, l.Addr.Port()) }) {
			return true
		}
	}
	return false
}

// ownPorts returns the addresses and ports at which this node is reached.
func (cfg *Config) ownPorts(machine []netip.Addr) map[netip.AddrPort]bool {
	own := make(map[netip.AddrPort]bool)
	for _, l := range cfg.Listen {
		own[l.Addr] = true
		if a, err := netip.ParseAddrPort(l.Advertise); err == nil {
			own[a] = true
		}
		if !l.Addr.Addr().IsUnspecified() {
			continue
		}
		for _, a := range machine {
			if a.Is4() == l.Addr.Addr().Is4() {
				own[netip.AddrPortFrom(a, l.Addr.Port())] = true
			}
		}
	}
	for _, alias := range cfg.Aliases {
		if a, err := netip.ParseAddrPort(alias); err == nil {
			own[a] = true
		}
	}
	return own
}

// wildcardLoop reports whether a host is on loopback, all of 127.0.0.0/8, and a
// listener has its port on every address.
func wildcardLoop(listeners []Listener, host netip.AddrPort) bool {
	if !host.Addr().IsLoopback() {
		return false
	}
	for _, l := range listeners {
		if l.Addr.Addr().IsUnspecified() && l.Addr.Addr().Is4() == host.Addr().Is4() && l.Addr.Port() == host.Port() {
			return true
		}
	}
	return false
}
