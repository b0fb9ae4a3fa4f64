package config

import (
	"net/netip"
	"strings"
	"time"

	"tandem/config/catalog"
)

var healthKeys = keys{
	known: []string{"probe", "interval", "fast_interval", "timeout", "down_after", "up_after", "down_codes", "doubt_hold",
		"eject_after", "eject_time", "eject_max", "stall", "slow_start", "flap_hold", "flap_window", "max_detection"},
	later: []string{"passive", "region"},
}

// health reads what one level says of how hosts are probed.
func (d *decoder) health(n node) catalog.HealthPart {
	const shortest, longest = shortestTime, time.Hour
	const most = 100              // failures or successes in a row
	const longestHold = time.Hour // that anything keeps calls away
	f := d.fields(n, healthKeys)
	v := catalog.DefaultHealth()
	v.Probe = d.boolean(f["probe"], v.Probe)
	v.Interval = d.duration(f["interval"], v.Interval, shortest, longest)
	v.FastInterval = d.duration(f["fast_interval"], v.FastInterval, shortest, longest)
	v.Timeout = d.duration(f["timeout"], v.Timeout, shortest, longest)
	v.DownAfter = d.integer(f["down_after"], v.DownAfter, 1, most)
	v.UpAfter = d.integer(f["up_after"], v.UpAfter, 1, most)
	v.DownCodes = d.codes(f["down_codes"], v.DownCodes, d.downCode)
	v.DoubtHold = d.duration(f["doubt_hold"], v.DoubtHold, shortest, 5*time.Minute)
	v.EjectAfter = d.countOrOff(f["eject_after"], v.EjectAfter, most)
	v.EjectTime = d.duration(f["eject_time"], v.EjectTime, shortest, longestHold)
	v.EjectMax = d.duration(f["eject_max"], v.EjectMax, shortest, longestHold)
	v.Stall = d.durationOrOff(f["stall"], v.Stall, shortest, longest)
	v.SlowStart = d.durationOrOff(f["slow_start"], v.SlowStart, shortest, longestHold)
	v.FlapHold = d.durationOrOff(f["flap_hold"], v.FlapHold, shortest, longestHold)
	v.FlapWindow = d.duration(f["flap_window"], v.FlapWindow, shortest, longestHold)
	v.MaxDetection = d.durationOrOff(f["max_detection"], v.MaxDetection, shortest, longest)

	read := catalog.HealthPart{Values: v}
	for _, field := range catalog.HealthFields {
		if d.says(f[field.Key()]) {
			read.Set |= field
		}
	}
	var none catalog.Health
	return catalog.HealthPart{Set: read.Set, Values: none.With(read)}
}

// downCode says why a code cannot mean that a host is down.
func (d *decoder) downCode(n node, code int) bool {
	if code < 300 {
		d.fail(n, "%d is a good answer; write codes from 300 to 699", code)
		return false
	}
	return true
}

// healthBounds are the times that must not exceed another, where a file says
// them. Their defaults are lowered to it instead (Health.Fit).
var healthBounds = []struct {
	low, high catalog.HealthField
	rule      rule
}{
	{catalog.FieldFastInterval, catalog.FieldInterval, notLonger("fast_interval", "interval")},
	{catalog.FieldTimeout, catalog.FieldInterval, notLonger("timeout", "interval")},
	{catalog.FieldEjectTime, catalog.FieldEjectMax, notLonger("eject_time", "eject_max")},
	{catalog.FieldFlapHold, catalog.FieldFlapWindow, notLonger("flap_hold", "flap_window")},
}

func notLonger(low, high string) rule {
	return rule{
		low: low, high: high, lowFirst: true,
		atLow:  "%s is longer than " + high + ", %s; write less",
		atHigh: "%s is less than " + low + ", %s; write more",
	}
}

// healthTime returns the value of a field that is a time of healthBounds.
func healthTime(h *catalog.Health, field catalog.HealthField) time.Duration {
	switch field {
	case catalog.FieldInterval:
		return h.Interval
	case catalog.FieldFastInterval:
		return h.FastInterval
	case catalog.FieldTimeout:
		return h.Timeout
	case catalog.FieldEjectTime:
		return h.EjectTime
	case catalog.FieldEjectMax:
		return h.EjectMax
	case catalog.FieldFlapHold:
		return h.FlapHold
	}
	return h.FlapWindow
}

// checkHealth checks values of several levels that meet at one host, and
// connectors that share a host.
func (d *decoder) checkHealth(cfg *Config) {
	l := levelsOf(cfg)
	hosts := make(map[hostAt]hostSettings)
	late := make(map[string]bool) // paths that checkDetection spoke of
	d.checkBounds(cfg, nil)
	for i := range cfg.Catalog.Connectors {
		c := &cfg.Catalog.Connectors[i]
		var parts []healthAt
		for _, j := range l.groupsOf[c.Name] {
			g := &cfg.Catalog.Groups[j]
			parts = append(parts, healthAt{rankGroup, child(element("groups", j), "health"), "group " + quote(g.Name), g.Health})
		}
		parts = append(parts, healthAt{rankConnector, child(element("connectors", i), "health"), "connector " + quote(c.Name), c.Health})
		d.checkBounds(cfg, parts)
		d.checkDetection(cfg, i, parts, late)
		d.checkShared(cfg, i, parts, hosts)
	}
}

// healthAt is what one level says of health.
type healthAt struct {
	rank         int
	path, origin string
	part         catalog.HealthPart
}

func (d *decoder) checkBounds(cfg *Config, parts []healthAt) {
	global := globalHealth(cfg)
	byDefault := catalog.DefaultHealth()
	for _, b := range healthBounds {
		base := said{high: healthTime(&byDefault, b.high), hasHigh: true}
		lo, hi := base, base
		for _, p := range append([]healthAt{global}, parts...) {
			s := d.level(p.rank, p.path, p.origin, b.rule,
				healthTime(&p.part.Values, b.low), healthTime(&p.part.Values, b.high),
				p.part.Set&b.low != 0, p.part.Set&b.high != 0)
			lo, hi = lowOf(lo, s), highOf(hi, s)
		}
		if lo.hasLow {
			d.checkRule(b.rule, lo, hi)
		}
	}
}

// detectionFields are what the time until a silent host is down follows from,
// and its limit: where a level says several, the first is named.
var detectionFields = []catalog.HealthField{
	catalog.FieldMaxDetection, catalog.FieldInterval, catalog.FieldDownAfter, catalog.FieldTimeout, catalog.FieldFastInterval, catalog.FieldProbe,
}

// checkDetection finds a connector whose hosts may be silent for longer than
// max_detection before they are down: at the most specific level that has a part
// in it, once.
func (d *decoder) checkDetection(cfg *Config, connector int, parts []healthAt, late map[string]bool) {
	set := cfg.Health
	path := "" // of the value that is named
	limit := ""
	for _, p := range append([]healthAt{globalHealth(cfg)}, parts...) {
		set = set.With(p.part)
		named := false
		for _, field := range detectionFields {
			at := child(p.path, field.Key())
			if d.failed[at] && !late[at] {
				return // its value is not known
			}
			if p.part.Set&field == 0 {
				continue
			}
			if !named {
				path, named = at, true
			}
			if field == catalog.FieldMaxDetection {
				limit = at
			}
		}
	}
	set = set.Fit()
	took := set.Detection()
	if set.MaxDetection == 0 || set.Probe && took <= set.MaxDetection || late[path] {
		return
	}
	late[path] = true
	most := "max_detection, " + catalog.Duration(set.MaxDetection)
	if path != limit {
		most += d.seeLine("", limit)
	}
	line := d.root.find(path).line()
	name := quote(cfg.Catalog.Connectors[connector].Name)
	if !set.Probe {
		d.failAt(line, path, "a silent host of connector %s is never down, because it is not probed, and %s, asks for it; set probe to true, or max_detection of the connector to off",
			name, most)
		return
	}
	d.failAt(line, path, "a silent host of connector %s is down after %s at the latest, which exceeds %s: %s; lower interval, down_after, fast_interval or timeout, or raise max_detection",
		name, catalog.Duration(took), most, set.DetectionSum())
}

func globalHealth(cfg *Config) healthAt {
	return healthAt{rankGlobal, "health", "the global health", catalog.HealthPart{Set: cfg.HealthSet, Values: cfg.Health}}
}

// hostAt is what makes hosts of several connectors one: they share its health.
type hostAt struct {
	addr     netip.AddrPort
	over     catalog.Transport
	name     string // and port of a name; "" for an address
	listener int    // that calls leave from, or the first that reaches it
}

type hostSettings struct {
	path, connector string
	health          catalog.Health
	probe           catalog.Probe
}

// checkShared finds a host that two connectors want to be judged differently.
func (d *decoder) checkShared(cfg *Config, connector int, parts []healthAt, hosts map[hostAt]hostSettings) {
	c := &cfg.Catalog.Connectors[connector]
	own := cfg.Health
	for _, p := range parts {
		own = own.With(p.part)
	}
	own = own.Fit()
	for j, h := range c.Hosts {
		at := hostAt{addr: h.Addr, over: h.Transport}
		switch {
		case h.Name != "":
			at.name = strings.ToLower(h.HostPort)
		case !h.Addr.IsValid():
			continue
		}
		at.listener = listenerOf(cfg.Listen, c.Listener, &h)
		path := child(element(child(element("connectors", connector), "hosts"), j), "uri")
		first, seen := hosts[at]
		if !seen {
			hosts[at] = hostSettings{path, c.Name, own, c.Probe}
			continue
		}
		if key, is, was := first.unlike(&own, &c.Probe); key != "" {
			d.failAt(d.root.find(path).line(), path, "%s is a host of connector %s too%s, and a host has one health: its %s is %s here and %s there; set both alike",
				h.Place(), quote(first.connector), d.seeLine("", first.path), key, is, was)
		}
	}
}

// unlike returns the first setting that is another one, with both its values.
func (s *hostSettings) unlike(own *catalog.Health, probe *catalog.Probe) (key, is, was string) {
	for _, field := range catalog.HealthFields {
		if was, is := s.health.Text(field), own.Text(field); was != is {
			return "health." + field.Key(), is, was
		}
	}
	for _, key := range catalog.ProbeKeys {
		if was, is := s.probe.Text(key), probe.Text(key); was != is {
			return "probe." + key, orNotSet(is), orNotSet(was)
		}
	}
	return "", "", ""
}
