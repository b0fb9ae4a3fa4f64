package catalog

import (
	"strconv"
	"time"
)

// Health says how hosts are probed and when they count as down.
type Health struct {
	Probe        bool          // send OPTIONS at all
	Interval     time.Duration // between probes of a host whose state is sure
	FastInterval time.Duration // between probes of a host in doubt
	Timeout      time.Duration // a probe without an answer fails after this
	DownAfter    int           // failures in a row that make a host down
	UpAfter      int           // successes in a row that bring it back
	DownCodes    Codes         // answers that count as failures
	DoubtHold    time.Duration // no probe clears the doubt of a silent call sooner
	EjectAfter   int           // failed calls in a row that eject a host; 0: never
	EjectTime    time.Duration // how long the first time
	EjectMax     time.Duration // and at most, doubling each time
	Stall        time.Duration // several calls open for longer with nothing but 100, and none that did better, are a doubt; 0: never
	SlowStart    time.Duration // over which the share of a host that is back grows; 0: at once
	FlapHold     time.Duration // how long a host that goes down again is kept down at least, doubling; 0: it is not
	FlapWindow   time.Duration // what is down again so soon after it was back flaps; no hold is longer
	MaxDetection time.Duration // the longest that a silent host may go unnoticed; 0: any time
}

// DefaultHealth returns the settings of a file that says nothing.
func DefaultHealth() Health {
	return Health{
		Probe:        true,
		Interval:     5 * time.Second,
		FastInterval: time.Second,
		Timeout:      time.Second,
		DownAfter:    3,
		UpAfter:      2,
		DownCodes:    NewCodes(408, 500, 502, 504),
		DoubtHold:    10 * time.Second,
		EjectAfter:   5,
		EjectTime:    10 * time.Second,
		EjectMax:     5 * time.Minute,
		Stall:        4 * time.Second,
		SlowStart:    30 * time.Second,
		FlapHold:     10 * time.Second,
		FlapWindow:   5 * time.Minute,
	}
}

// HealthField names values of a Health: one, or a set of them.
type HealthField uint32

// Fields of a Health.
const (
	FieldProbe HealthField = 1 << iota
	FieldInterval
	FieldFastInterval
	FieldTimeout
	FieldDownAfter
	FieldUpAfter
	FieldDownCodes
	FieldDoubtHold
	FieldEjectAfter
	FieldEjectTime
	FieldEjectMax
	FieldStall
	FieldSlowStart
	FieldFlapHold
	FieldFlapWindow
	FieldMaxDetection
)

// HealthPart is what one level (all, a group, a connector) says of Health: the
// values that Set names, and nothing of the others.
type HealthPart struct {
	Set    HealthField
	Values Health
}

// With returns h with the values that p sets.
func (h Health) With(p HealthPart) Health {
	if p.Set&FieldProbe != 0 {
		h.Probe = p.Values.Probe
	}
	if p.Set&FieldInterval != 0 {
		h.Interval = p.Values.Interval
	}
	if p.Set&FieldFastInterval != 0 {
		h.FastInterval = p.Values.FastInterval
	}
	if p.Set&FieldTimeout != 0 {
		h.Timeout = p.Values.Timeout
	}
	if p.Set&FieldDownAfter != 0 {
		h.DownAfter = p.Values.DownAfter
	}
	if p.Set&FieldUpAfter != 0 {
		h.UpAfter = p.Values.UpAfter
	}
	if p.Set&FieldDownCodes != 0 {
		h.DownCodes = p.Values.DownCodes
	}
	if p.Set&FieldDoubtHold != 0 {
		h.DoubtHold = p.Values.DoubtHold
	}
	if p.Set&FieldEjectAfter != 0 {
		h.EjectAfter = p.Values.EjectAfter
	}
	if p.Set&FieldEjectTime != 0 {
		h.EjectTime = p.Values.EjectTime
	}
	if p.Set&FieldEjectMax != 0 {
		h.EjectMax = p.Values.EjectMax
	}
	if p.Set&FieldStall != 0 {
		h.Stall = p.Values.Stall
	}
	if p.Set&FieldSlowStart != 0 {
		h.SlowStart = p.Values.SlowStart
	}
	if p.Set&FieldFlapHold != 0 {
		h.FlapHold = p.Values.FlapHold
	}
	if p.Set&FieldFlapWindow != 0 {
		h.FlapWindow = p.Values.FlapWindow
	}
	if p.Set&FieldMaxDetection != 0 {
		h.MaxDetection = p.Values.MaxDetection
	}
	return h
}

// HealthFields are all fields, in the order in which they are shown.
var HealthFields = [...]HealthField{
	FieldProbe, FieldInterval, FieldFastInterval, FieldTimeout, FieldDownAfter, FieldUpAfter, FieldDownCodes, FieldDoubtHold,
	FieldEjectAfter, FieldEjectTime, FieldEjectMax, FieldStall, FieldSlowStart, FieldFlapHold, FieldFlapWindow, FieldMaxDetection,
}

// Key returns the key of one field in a health block.
func (f HealthField) Key() string {
	switch f {
	case FieldProbe:
		return "probe"
	case FieldInterval:
		return "interval"
	case FieldFastInterval:
		return "fast_interval"
	case FieldTimeout:
		return "timeout"
	case FieldDownAfter:
		return "down_after"
	case FieldUpAfter:
		return "up_after"
	case FieldDownCodes:
		return "down_codes"
	case FieldDoubtHold:
		return "doubt_hold"
	case FieldEjectAfter:
		return "eject_after"
	case FieldEjectTime:
		return "eject_time"
	case FieldEjectMax:
		return "eject_max"
	case FieldStall:
		return "stall"
	case FieldSlowStart:
		return "slow_start"
	case FieldFlapHold:
		return "flap_hold"
	case FieldFlapWindow:
		return "flap_window"
	case FieldMaxDetection:
		return "max_detection"
	}
	return ""
}

// Text returns the value of one field as it is written in a health block.
func (h Health) Text(field HealthField) string {
	switch field {
	case FieldProbe:
		return strconv.FormatBool(h.Probe)
	case FieldInterval:
		return Duration(h.Interval)
	case FieldFastInterval:
		return Duration(h.FastInterval)
	case FieldTimeout:
		return Duration(h.Timeout)
	case FieldDownAfter:
		return strconv.Itoa(h.DownAfter)
	case FieldUpAfter:
		return strconv.Itoa(h.UpAfter)
	case FieldDownCodes:
		return h.DownCodes.String()
	case FieldDoubtHold:
		return Duration(h.DoubtHold)
	case FieldEjectAfter:
		return countOrOff(h.EjectAfter)
	case FieldEjectTime:
		return Duration(h.EjectTime)
	case FieldEjectMax:
		return Duration(h.EjectMax)
	case FieldStall:
		return durationOrOff(h.Stall)
	case FieldSlowStart:
		return durationOrOff(h.SlowStart)
	case FieldFlapHold:
		return durationOrOff(h.FlapHold)
	case FieldFlapWindow:
		return Duration(h.FlapWindow)
	case FieldMaxDetection:
		return durationOrOff(h.MaxDetection)
	}
	return ""
}

// HealthLevel is what one level below the global one says of the health of a
// connector's hosts.
type HealthLevel struct {
	Origin string // "group support" or "connector east"
	Part   HealthPart
}

// HealthLevels returns the levels of a connector, named by its index, that say
// something: its groups in the order of the catalog, then itself. What comes
// later wins. Groups do not contradict each other: Check sees to it.
func (c *Catalog) HealthLevels(connector int) []HealthLevel {
	own := &c.Connectors[connector]
	var levels []HealthLevel
	for i := range c.Groups {
		if g := &c.Groups[i]; g.Health.Set != 0 && g.has(own.Name) {
			levels = append(levels, HealthLevel{"group " + g.Name, g.Health})
		}
	}
	if own.Health.Set != 0 {
		levels = append(levels, HealthLevel{"connector " + own.Name, own.Health})
	}
	return levels
}

// HealthFor returns the settings of a connector's hosts, under those of all.
func (c *Catalog) HealthFor(connector int, global Health) Health {
	for _, l := range c.HealthLevels(connector) {
		global = global.With(l.Part)
	}
	return global.Fit()
}

// Fit returns h with times lowered to those that bound them, as far as they are
// longer: fast_interval and timeout to the interval, eject_time to eject_max,
// flap_hold to flap_window. The defaults are, where somebody sets a short bound.
func (h Health) Fit() Health {
	if h.Interval <= 0 {
		return h // not settings of a file
	}
	h.FastInterval = min(h.FastInterval, h.Interval)
	h.Timeout = min(h.Timeout, h.Interval)
	h.EjectTime = min(h.EjectTime, h.EjectMax)
	h.FlapHold = min(h.FlapHold, h.FlapWindow)
	return h
}

// HealthOrigin returns the origin of the level that one field has its value
// from, or global when none of them sets it.
func HealthOrigin(levels []HealthLevel, field HealthField, global string) string {
	for i := len(levels) - 1; i >= 0; i-- {
		if levels[i].Part.Set&field != 0 {
			return levels[i].Origin
		}
	}
	return global
}
