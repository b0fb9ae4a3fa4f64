package catalog

import "time"

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
	}
}

// HealthField names values of a Health: one, or a set of them.
type HealthField uint16

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
	return h
}
