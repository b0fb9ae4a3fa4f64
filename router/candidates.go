package router

import (
	"math"
	"slices"

	"tandem/config/catalog"
	"tandem/health"
)

// entry is a host as a route lists it.
type entry struct {
	host *host
	rank int // the connector's place in the route; equal ranks pool their hosts
	// failover settings of attempts on it, by the class of the call's trunk.
	failover []*catalog.Failover
}

// candidate is an entry with what the try order depends on at this moment.
type candidate struct {
	entry *entry
	view  health.View
	tier  tier
	lot   float64 // its draw among hosts of equal rank and priority; smaller is earlier
}

// tier is the class of health that a host is tried in, the best first.
type tier uint8

const (
	tierUp         tier = iota
	tierRecovering      // it is coming back, and this call is not of its share
	tierRegion          // it is up, but most of its region is not
	tierDoubtful
	tierFull
	tierEjected
	tierDown
)

// bad reports whether there is little hope in a host.
func (t tier) bad() bool { return t >= tierEjected }

// tierOf is the tier of a host for the call that draws with seed. A trial is in
// the host's normal place.
func tierOf(v health.View, h *host, seed uint64) tier {
	switch {
	case v.Trial:
		return tierUp
	case v.State == health.Doubtful:
		return tierDoubtful
	case v.State == health.Full:
		return tierFull
	case v.State == health.Ejected:
		return tierEjected
	case v.State == health.Down:
		return tierDown
	case h.connector.regionHealth.Unhealthy():
		return tierRegion
	case v.Share < 1 && draw(^seed, h) > v.Share:
		return tierRecovering
	}
	return tierUp
}

// candidates are those of c at this moment.
func (c *call) candidates(dst []candidate, now int64) []candidate {
	return candidates(dst, c.route, c.key, now, c.invite(), c.secure)
}

// secure reports whether there is a host over TLS.
func (rt *route) secure() bool {
	return slices.ContainsFunc(rt.entries, func(e entry) bool { return e.host.transport == catalog.TLS })
}

// candidates appends to dst the hosts of rt that a call may be tried on, in try
// order. seed draws among equals: a retransmission has the same seed and gets
// the same order. A new call, unlike other requests, needs room for one more. A
// secure one goes over TLS only (RFC 3261 26.2.2).
func candidates(dst []candidate, rt *route, seed uint64, now int64, newCall, secure bool) []candidate {
	for i := range rt.entries {
		e := &rt.entries[i]
		if e.host.state != catalog.Enabled || e.host.connector.state != catalog.Enabled {
			continue
		}
		if secure && e.host.transport != catalog.TLS || newCall && !e.host.room(now) {
			continue
		}
		v := e.host.health.View(now)
		v.Trial = v.Trial && (newCall || v.State != health.Ejected) // other requests decide no trial of calls
		dst = append(dst, candidate{entry: e, view: v, tier: tierOf(v, e.host, seed)})
	}
	order(dst, seed)
	return dst
}

// hopeful returns cs without what is down or ejected: that is at its end.
func hopeful(cs []candidate) []candidate {
	n := len(cs)
	for n > 0 && cs[n-1].tier.bad() {
		n--
	}
	return cs[:n]
}

// order sorts by tier, rank, priority and draw. Routes are short: an insertion
// sort beats everything that needs a function value.
func order(cs []candidate, seed uint64) {
	for i := range cs {
		cs[i].lot = lot(seed, cs[i].entry.host)
		for j := i; j > 0 && before(&cs[j], &cs[j-1]); j-- {
			cs[j], cs[j-1] = cs[j-1], cs[j]
		}
	}
}

func before(a, b *candidate) bool {
	if a.tier != b.tier {
		return a.tier < b.tier
	}
	if a.entry.rank != b.entry.rank {
		return a.entry.rank < b.entry.rank
	}
	if a.entry.host.priority != b.entry.host.priority {
		return a.entry.host.priority < b.entry.host.priority
	}
	return a.lot < b.lot
}

// lot draws an exponential variate of rate weight: sorting by it takes the
// hosts without replacement in proportion to their weights.
func lot(seed uint64, h *host) float64 {
	return -math.Log(draw(seed, h)) / h.weight
}

// draw is a number in (0, 1] for a call and a host.
func draw(seed uint64, h *host) float64 {
	x := seed ^ uint64(h.id)*0x9e3779b97f4a7c15
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return (float64(x>>11) + 1) / (1 << 53)
}

// choose picks the candidate for the next attempt, or nil when there is none
// left: each host once, at most two of a connector while others remain, one
// attempt kept for each connector that was not tried, and after silence
// another region first. tried lists the hosts of earlier attempts.
func choose(cs []candidate, tried []*host, most int, silent bool) *candidate {
	left := most - len(tried)
	if left <= 0 {
		return nil
	}
	// Connectors not tried at all; connectors tried less than twice.
	fresh, open := 0, 0
	for i := range cs {
		if h := cs[i].entry.host; claims(cs, i, tried) {
			switch triedOf(h.connector, tried) {
			case 0:
				fresh++
				open++
			case 1:
				open++
			}
		}
	}
	// A host that the rules would spare is better than none, and so is one in
	// the region that was silent.
	const spared, silentRegion = 2, 1
	var best *candidate
	var top tier // the best tier that is left
	least := spared + silentRegion + 1
	for i := range cs {
		h := cs[i].entry.host
		if wasTried(h, tried) {
			continue
		}
		if best == nil {
			top = cs[i].tier
		}
		cost := 0
		if n := triedOf(h.connector, tried); n >= 2 && open > 0 || n > 0 && fresh >= left {
			cost += spared
		}
		if silent && (cs[i].tier != top || h.connector.region == tried[len(tried)-1].connector.region) {
			cost += silentRegion
		}
		if cost < least {
			best, least = &cs[i], cost
		}
	}
	return best
}

// contenders counts the candidates that are left and not bad, as far as the
// attempts reach.
func contenders(cs []candidate, tried []*host, most int) (n int) {
	for i := range cs {
		if !cs[i].tier.bad() && !wasTried(cs[i].entry.host, tried) && !doubled(cs, i) {
			n++
		}
	}
	return min(n, most-len(tried))
}

// doubled reports whether the host of cs[i] is an earlier candidate too: the
// same address and transport in two connectors.
func doubled(cs []candidate, i int) bool {
	for j := range i {
		if cs[j].entry.host.same(cs[i].entry.host) {
			return true
		}
	}
	return false
}

// claims reports whether cs[i] is the first of its connector that is left and
// not bad: what is down or ejected has no claim on an attempt.
func claims(cs []candidate, i int, tried []*host) bool {
	left := func(c *candidate) bool { return !c.tier.bad() && !wasTried(c.entry.host, tried) }
	for j := range i {
		if cs[j].entry.host.connector == cs[i].entry.host.connector && left(&cs[j]) {
			return false
		}
	}
	return left(&cs[i])
}

func triedOf(c *connector, tried []*host) (n int) {
	for _, h := range tried {
		if h.connector == c {
			n++
		}
	}
	return n
}

// wasTried goes by address and transport: the same host in two connectors is one target
// (RFC 3261 16.5: each target once).
func wasTried(h *host, tried []*host) bool {
	for _, t := range tried {
		if t.same(h) {
			return true
		}
	}
	return false
}
