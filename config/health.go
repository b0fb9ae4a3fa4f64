package config

import (
	"net/netip"
	"time"

	"tandem/config/catalog"
)

var healthKeys = keys{
	known: []string{"probe", "interval", "fast_interval", "timeout", "down_after", "up_after", "down_codes", "doubt_hold"},
	later: []string{"when_all_down", "eject_after", "slow_start", "max_detection", "passive", "region"},
}

// health reads what one level says of how hosts are probed.
func (d *decoder) health(n node) catalog.HealthPart {
	const shortest, longest = shortestTime, time.Hour
	const most = 100 // failures or successes in a row
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

// withinInterval are the times that must not exceed interval, where a file
// says them. Their defaults are lowered to it instead.
var withinInterval = []struct {
	field catalog.HealthField
	rule  rule
}{
	{catalog.FieldFastInterval, notLongerThanInterval("fast_interval")},
	{catalog.FieldTimeout, notLongerThanInterval("timeout")},
}

func notLongerThanInterval(low string) rule {
	return rule{
		low: low, high: "interval", lowFirst: true,
		atLow:  "%s is longer than interval, %s; write less",
		atHigh: "%s is less than " + low + ", %s; write more",
	}
}

// checkHealth checks values of several levels that meet at one host, and
// connectors that share a host.
func (d *decoder) checkHealth(cfg *Config) {
	l := levelsOf(cfg)
	hosts := make(map[hostAt]hostSettings)
	d.checkIntervals(cfg, nil)
	for i := range cfg.Catalog.Connectors {
		c := &cfg.Catalog.Connectors[i]
		var parts []healthAt
		for _, j := range l.groupsOf[c.Name] {
			g := &cfg.Catalog.Groups[j]
			parts = append(parts, healthAt{rankGroup, child(element("groups", j), "health"), "group " + quote(g.Name), g.Health})
		}
		parts = append(parts, healthAt{rankConnector, child(element("connectors", i), "health"), "connector " + quote(c.Name), c.Health})
		d.checkIntervals(cfg, parts)
		d.checkShared(cfg, i, parts, hosts)
	}
}

// healthAt is what one level says of health.
type healthAt struct {
	rank         int
	path, origin string
	part         catalog.HealthPart
}

func (d *decoder) checkIntervals(cfg *Config, parts []healthAt) {
	global := healthAt{rankGlobal, "health", "the global health", catalog.HealthPart{Set: cfg.HealthSet, Values: cfg.Health}}
	for _, w := range withinInterval {
		base := said{high: catalog.DefaultHealth().Interval, hasHigh: true}
		lo, hi := base, base
		for _, p := range append([]healthAt{global}, parts...) {
			low := p.part.Values.FastInterval
			if w.field == catalog.FieldTimeout {
				low = p.part.Values.Timeout
			}
			s := d.level(p.rank, p.path, p.origin, w.rule, low, p.part.Values.Interval,
				p.part.Set&w.field != 0, p.part.Set&catalog.FieldInterval != 0)
			lo, hi = lowOf(lo, s), highOf(hi, s)
		}
		if lo.hasLow {
			d.checkRule(w.rule, lo, hi)
		}
	}
}

// hostAt is what makes hosts of several connectors one: they share its health.
type hostAt struct {
	addr     netip.AddrPort
	listener int // that it is probed from
}

type hostSettings struct {
	path, connector string
	health          catalog.Health
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
		if !h.Addr.IsValid() {
			continue
		}
		at := hostAt{h.Addr, listenerOf(cfg.Listen, c.Listener, h.Addr.Addr())}
		path := child(element(child(element("connectors", connector), "hosts"), j), "uri")
		first, seen := hosts[at]
		if !seen {
			hosts[at] = hostSettings{path, c.Name, own}
			continue
		}
		for _, field := range catalog.HealthFields {
			was, is := first.health.Text(field), own.Text(field)
			if was == is {
				continue
			}
			d.failAt(d.root.find(path).line(), path, "%s is a host of connector %s too (line %d), and a host has one health: its health.%s is %s here and %s there; set both alike",
				h.Addr, quote(first.connector), d.root.find(first.path).line(), field.Key(), is, was)
			break
		}
	}
}
