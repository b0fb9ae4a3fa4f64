package config

import (
	"fmt"
	"math"
	"time"

	"tandem/config/catalog"
)

// rule says that one value must not exceed another, whichever levels the two
// come from.
type rule struct {
	low, high string // keys
	apart     bool   // nor equal it
	warning   bool
	lowFirst  bool // where both stand in one block, the low one is at fault
	// Messages at either value, for itself and the other one.
	atLow, atHigh string
}

// said is what one level says of the two values of a rule.
type said struct {
	rank            int // 0 is the default, then from general to specific
	path            string
	origin          string // of the global level and below, as messages call it
	low, high       time.Duration
	hasLow, hasHigh bool
}

// level makes what a level says of a rule. A value that could not be read goes
// with every other one: it has its error already.
func (d *decoder) level(rank int, path, origin string, r rule, low, high time.Duration, hasLow, hasHigh bool) said {
	s := said{rank: rank, path: path, origin: origin, low: low, high: high, hasLow: hasLow, hasHigh: hasHigh}
	if d.failed[child(path, r.low)] {
		s.low, s.hasLow = math.MinInt64, true
	}
	if d.failed[child(path, r.high)] {
		s.high, s.hasHigh = math.MaxInt64, true
	}
	return s
}

// checkRule reports the low value of one level and the high value of another if
// they do not go together: at the more specific one, once.
func (d *decoder) checkRule(r rule, lo, hi said) {
	if lo.low < hi.high || lo.low == hi.high && !r.apart {
		return
	}
	text, at, key := r.atHigh, hi, r.high
	own, other, level, otherKey := hi.high, lo.low, lo, r.low
	if lo.rank > hi.rank || lo.rank == hi.rank && r.lowFirst {
		text, at, key = r.atLow, lo, r.low
		own, other, level, otherKey = lo.low, hi.high, hi, r.high
	}
	path := child(at.path, key)
	if d.failed[path] || d.warned[path] {
		return
	}
	value := catalog.Duration(other)
	switch {
	case level.rank == 0:
		value += " by default"
	case level.rank != at.rank || level.path != at.path:
		value += " of " + level.origin + d.seeLine("", child(level.path, otherKey))
	}
	text = fmt.Sprintf(text, catalog.Duration(own), value)
	if level.rank != at.rank || level.path != at.path {
		text += ", or set " + otherKey + " here too"
	}
	line := d.root.find(path).line()
	if r.warning {
		d.warned[path] = true
		d.warnAt(line, path, "%s", text)
		return
	}
	d.failAt(line, path, "%s", text)
}

// lowOf returns which of two levels decides on the low value; b is the more
// specific one.
func lowOf(a, b said) said {
	if b.hasLow {
		return b
	}
	return a
}

func highOf(a, b said) said {
	if b.hasHigh {
		return b
	}
	return a
}
