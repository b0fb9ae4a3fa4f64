package health

import (
	"time"

	"tandem/config/catalog"
)

// die takes a host down because of its probes. Nothing else is to be said of it
// then: that it is dead explains its silence to calls, and those of them that
// failed. An ejection stays: a trial call decides when it is back.
//
// A host that goes down again soon after its return stays down longer: flap_hold
// the second time, twice as long each further time, up to flap_window. Good
// probes bring it back only after that.
func (s *Status) die(now int64, set *catalog.Health, why *Reason) {
	s.Dead, s.Ramp = true, 0
	s.believe()
	if !s.Ejected {
		s.Row = Row{}
	}
	if s.BackAt == 0 || now-s.BackAt >= int64(set.FlapWindow) {
		s.Downs = 0
	}
	s.Downs++
	s.KeptUntil = 0
	if hold := flapHold(s.Downs, set); hold > 0 {
		s.KeptUntil = now + int64(hold)
		why.Count, why.For, why.Within = int32(s.Downs), hold, set.FlapWindow
	}
}

// flapHold returns how long a host is kept down at least that went down so many
// times.
func flapHold(downs int, set *catalog.Health) time.Duration {
	if downs < 2 {
		return 0
	}
	hold := set.FlapHold
	for ; downs > 2 && hold < set.FlapWindow; downs-- {
		hold *= 2
	}
	return min(hold, set.FlapWindow)
}

// revive brings a dead host back, with a share of calls that grows.
func (s *Status) revive(now int64, set *catalog.Health) {
	s.Dead, s.KeptUntil = false, 0
	s.BackAt, s.JudgedFrom = now, now
	s.Ramp = max(set.SlowStart, 0)
}
