package config

import (
	"time"

	"tandem/config/catalog"
)

// Ranks of levels: the most specific wins.
const (
	rankDefault = iota
	rankGlobal
	rankTrunk
	rankGroup
	rankConnector
)

// levels is every place that has settings, and how they meet.
type levels struct {
	cfg      *Config
	groupsOf map[string][]int // the groups that list a connector, in their order
}

func levelsOf(cfg *Config) *levels {
	l := &levels{cfg: cfg, groupsOf: make(map[string][]int)}
	for i := range cfg.Catalog.Groups {
		for _, m := range cfg.Catalog.Groups[i].Connectors {
			l.groupsOf[m.Connector] = append(l.groupsOf[m.Connector], i)
		}
	}
	return l
}

// checkOrder holds a rule against the values of every attempt that there can
// be: of each trunk, to each connector, by each of its groups or none.
//
// Trunks and connectors are not multiplied. Where a connector and its group say
// both values, trunks do not matter; where they say one of the two, the trunk
// with the worst other value stands for all.
func (d *decoder) checkOrder(l *levels, low, high catalog.FailoverField, r rule) {
	at := func(rank int, path, origin string, p catalog.FailoverPart) said {
		return d.level(rank, child(path, "failover"), origin, r,
			timeOf(&p.Values, low), timeOf(&p.Values, high), p.Set&low != 0, p.Set&high != 0)
	}
	base := at(rankDefault, "", "", catalog.FailoverPart{Set: catalog.EveryField, Values: catalog.DefaultFailover()})
	global := at(rankGlobal, "", "the global failover", catalog.FailoverPart{Set: l.cfg.FailoverSet, Values: l.cfg.Failover})
	// What holds where no level below says anything.
	lowBase, highBase := lowOf(base, global), highOf(base, global)
	d.checkRule(r, lowBase, highBase)

	// The worst values that calls bring from their trunks.
	var lows, highs []said
	bareLow, bareHigh := len(l.cfg.Trunks) == 0, len(l.cfg.Trunks) == 0 // some trunk leaves it to the global level
	for i := range l.cfg.Trunks {
		t := &l.cfg.Trunks[i]
		if t.Refused {
			continue
		}
		s := at(rankTrunk, element("trunks", i), "trunk "+quote(t.Name), t.Failover)
		d.checkRule(r, lowOf(lowBase, s), highOf(highBase, s))
		if !s.hasLow {
			bareLow = true
		} else if len(lows) == 0 || s.low > lows[0].low {
			lows = []said{s}
		}
		if !s.hasHigh {
			bareHigh = true
		} else if len(highs) == 0 || s.high < highs[0].high {
			highs = []said{s}
		}
	}
	if bareLow {
		lows = append(lows, lowBase)
	}
	if bareHigh {
		highs = append(highs, highBase)
	}

	attempt := func(g, c said) {
		lo, hi := lowOf(g, c), highOf(g, c)
		switch {
		case lo.hasLow && hi.hasHigh:
			d.checkRule(r, lo, hi)
		case lo.hasLow:
			for _, s := range highs {
				d.checkRule(r, lo, s)
			}
		case hi.hasHigh:
			for _, s := range lows {
				d.checkRule(r, s, hi)
			}
		}
	}
	for i := range l.cfg.Catalog.Connectors {
		cc := &l.cfg.Catalog.Connectors[i]
		c := at(rankConnector, element("connectors", i), "connector "+quote(cc.Name), cc.Failover)
		groups := l.groupsOf[cc.Name]
		for _, j := range groups {
			g := &l.cfg.Catalog.Groups[j]
			attempt(at(rankGroup, element("groups", j), "group "+quote(g.Name), g.Failover), c)
		}
		if len(groups) == 0 && cc.HasNumbers() {
			attempt(said{}, c)
		}
	}
}

// timeOf returns the value of a field that is a time.
func timeOf(f *catalog.Failover, field catalog.FailoverField) time.Duration {
	switch field {
	case catalog.FieldFirstResponse:
		return f.FirstResponse
	case catalog.FieldProgress:
		return f.Progress
	case catalog.FieldNoAnswer:
		return f.NoAnswer
	case catalog.FieldTimerC:
		return f.TimerC
	}
	return f.MaxRing
}
