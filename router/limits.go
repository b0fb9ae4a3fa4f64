package router

import (
	"fmt"
	"sync/atomic"

	"tandem/config/catalog"
)

// limit is how many calls a connector or a host may be given, and what it has.
// Others are tried for what is above.
type limit struct {
	most  catalog.Limits
	every int64 // nanoseconds between two, on average, of max_cps
	slack int64
	load  *carried
}

// carried is what a connector or a host has. It outlives a change of policy.
type carried struct {
	calls atomic.Int64 // being set up or up, of those that count; see hold
	rate  bucket
}

func newLimit(l catalog.Limits, of *carried) limit {
	own := limit{most: l, load: of}
	if l.MaxCPS > 0 {
		own.every = second / int64(l.MaxCPS)
		own.slack = own.every * int64(l.MaxCPS-1)
	}
	return own
}

// full says why there is no room for one more call; "" when there is.
func (l *limit) full(now int64) string {
	switch {
	case !l.paces(now):
		return fmt.Sprintf("over its max_cps of %d", l.most.MaxCPS)
	case !l.holds():
		return fmt.Sprintf("has %d calls, its max_calls is %d", l.load.calls.Load(), l.most.MaxCalls)
	}
	return ""
}

func (l *limit) room(now int64) bool { return l.holds() && l.paces(now) }

// holds reports whether max_calls lets one more call in, paces whether max_cps
// lets one in now.
func (l *limit) holds() bool {
	return l.most.MaxCalls == 0 || l.load.calls.Load() < int64(l.most.MaxCalls)
}

func (l *limit) paces(now int64) bool {
	return l.most.MaxCPS == 0 || l.load.rate.ready(now, l.every, l.slack)
}

// take makes room for one more call. The load is nil where calls do not count.
func (l *limit) take(now int64) (held *carried, ok bool) {
	if l.most.MaxCalls > 0 {
		if l.load.calls.Add(1) > int64(l.most.MaxCalls) {
			l.load.calls.Add(-1)
			return nil, false
		}
		held = l.load
	}
	if l.most.MaxCPS > 0 && l.load.rate.take(now, l.every, l.slack) > 0 {
		held.give()
		return nil, false
	}
	return held, true
}

// add is take for a call that is there already, whatever the limit says.
func (l *limit) add() *carried {
	if l.most.MaxCalls == 0 {
		return nil
	}
	l.load.calls.Add(1)
	return l.load
}

func (l *carried) give() {
	if l != nil {
		l.calls.Add(-1)
	}
}

// hold is the place of one call in the count of its host and of its connector:
// from its INVITE there until that is refused or given up, or, once it was
// answered, until BYE.
type hold struct{ host, connector *carried }

func (h hold) none() bool { return h == hold{} }

// give gives the place back.
func (h *hold) give() {
	h.host.give()
	h.connector.give()
	*h = hold{}
}

func (h *host) room(now int64) bool {
	return !h.limited || h.limit.room(now) && h.connector.limit.room(now)
}

func (h *host) take(now int64) (held hold, ok bool) {
	if !h.limited {
		return hold{}, true
	}
	if held.host, ok = h.limit.take(now); !ok {
		return hold{}, false
	}
	if held.connector, ok = h.connector.limit.take(now); !ok {
		held.give()
	}
	return held, ok
}

func (h *host) add() hold { return hold{h.limit.add(), h.connector.limit.add()} }

// passBy counts the hosts of a route that are in service and have no room for a
// new call.
func (rt *route) passBy(now int64) {
	for i := range rt.entries {
		if h := rt.entries[i].host; max(h.state, h.connector.state) == catalog.Enabled && !h.room(now) {
			h.connector.stats.passedBy.Add(1)
		}
	}
}
