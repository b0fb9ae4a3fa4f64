package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// checkCatalog adds what the catalog finds wrong with itself, each at its line.
func (d *decoder) checkCatalog(cfg *Config) {
	for _, p := range cfg.Catalog.Check() {
		if d.follows(p.Path) {
			continue
		}
		text := p.Text
		if p.Other != "" {
			text += fmt.Sprintf(" (see line %d)", d.root.find(p.Other).line())
		}
		line := d.root.find(p.Path).line()
		if p.Warning {
			d.warnAt(line, p.Path, "%s", text)
			continue
		}
		d.errs = append(d.errs, Error{File: d.file, Line: line, Field: p.Path, Text: oneLine(text)})
	}
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
	own := make(map[netip.AddrPort]bool)
	for _, l := range cfg.Listen {
		own[l.Addr] = true
		if a, err := netip.ParseAddrPort(l.Advertise); err == nil {
			own[a] = true
		}
		if l.Addr.Addr().IsUnspecified() {
			for _, a := range d.addrs() {
				own[netip.AddrPortFrom(a, l.Addr.Port())] = true
			}
		}
	}
	for _, alias := range cfg.Aliases {
		if a, err := netip.ParseAddrPort(alias); err == nil {
			own[a] = true
		}
	}
	for i, c := range cfg.Catalog.Connectors {
		for j, h := range c.Hosts {
			if own[h.Addr] {
				path := fmt.Sprintf("connectors[%d].hosts[%d].uri", i, j)
				d.failAt(d.root.find(path).line(), path, "%s is this node itself: calls would loop; write the connector's address", h.Addr)
			}
		}
	}
}
