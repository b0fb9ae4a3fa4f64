package router

import (
	"reflect"
	"sync/atomic"

	"tandem/router/wire"
)

// Count is one counter of the router.
type Count struct {
	Name   string // what is counted
	Labels [2]string
	Value  uint64
}

// Names of counts, with what their labels say.
const (
	CountRequests  = "requests"  // received: method
	CountResponses = "responses" // received: class (1xx …)
	CountReplies   = "replies"   // of our own: class
	CountDrops     = "drops"     // reason
	CountFailovers = "failovers" // reason
	CountCalls     = "calls"     // route, outcome
	CountSpared    = "spared"    // of these, exhausted with none but bad hosts left, which were spared: route
	CountAttempts  = "attempts"  // connector, outcome
	CountLate2xx   = "late_2xx"  // relayed after another final response
	CountDialog    = "dialog"    // in-dialog requests forwarded
	CountStateless = "stateless" // responses forwarded without a call
	CountICMP      = "icmp"      // undeliverable datagrams reported
	CountRejected  = "rejected"  // requests outside of dialogs that were not let in: reason
	CountTrunk     = "trunk"     // calls by trunk: trunk, outcome
	CountOverRate  = "over_rate" // refused for max_cps: trunk
	CountParked    = "parked"    // messages that waited for a name
	CountLarge     = "large"     // requests to hosts over UDP of more than udp_mtu: what they left by
	CountPassedBy  = "passed_by" // hosts without room for a call that could have gone there: connector
)

// Names of histograms, with what their labels say.
const (
	RouteProgress = "route_progress" // INVITE to the first 101-199 or 2xx: route
	RouteAnswer   = "route_answer"   // INVITE to 2xx: route
	RouteFailover = "route_failover" // INVITE to the attempt that brought progress, of calls that failed over: route
	TrunkProgress = "trunk_progress" // the same by trunk
	TrunkAnswer   = "trunk_answer"
	TrunkFailover = "trunk_failover"
	TimerLate     = "timer_late" // how much later than asked timers fire
)

// Counts calls f with every counter, those at zero too, so that each series
// exists from the start.
func (r *Router) Counts(f func(Count)) {
	one := func(name, label string, counter func(*tally) *atomic.Uint64) {
		f(Count{name, [2]string{label}, r.total(counter)})
	}
	for i := range len(tally{}.requests) {
		if m := wire.Method(i); i == 0 || m.String() != wire.Other.String() {
			name := m.String()
			if i == 0 {
				name = "other"
			}
			one(CountRequests, name, func(t *tally) *atomic.Uint64 { return &t.requests[i] })
		}
	}
	for i, class := range classes {
		if class != "" {
			one(CountResponses, class, func(t *tally) *atomic.Uint64 { return &t.responses[i] })
			one(CountReplies, class, func(t *tally) *atomic.Uint64 { return &t.replies[i] })
		}
	}
	for i, name := range dropNames {
		one(CountDrops, name, func(t *tally) *atomic.Uint64 { return &t.drops[i] })
	}
	for i, name := range rejectionNames {
		if rejection(i) != notRejected {
			one(CountRejected, name, func(t *tally) *atomic.Uint64 { return &t.rejections[i] })
		}
	}
	for i, name := range failoverNames {
		one(CountFailovers, name, func(t *tally) *atomic.Uint64 { return &t.failovers[i] })
	}
	for i, name := range largeNames {
		one(CountLarge, name, func(t *tally) *atomic.Uint64 { return &t.large[i] })
	}
	one(CountLate2xx, "", func(t *tally) *atomic.Uint64 { return &t.late2xx })
	one(CountDialog, "", func(t *tally) *atomic.Uint64 { return &t.dialog })
	one(CountStateless, "", func(t *tally) *atomic.Uint64 { return &t.stateless })
	one(CountICMP, "", func(t *tally) *atomic.Uint64 { return &t.icmp })
	one(CountParked, "", func(t *tally) *atomic.Uint64 { return &t.parked })
	l := &r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for route, rs := range l.routes {
		for i, name := range outcomeNames[:outcomes] {
			f(Count{CountCalls, [2]string{route, name}, rs.calls[i].Load()})
		}
		f(Count{CountSpared, [2]string{route}, rs.spared.Load()})
	}
	for trunk, ts := range l.trunks {
		for i, name := range outcomeNames[:outcomes] {
			f(Count{CountTrunk, [2]string{trunk, name}, ts.calls[i].Load()})
		}
		f(Count{CountOverRate, [2]string{trunk}, ts.overRate.Load()})
	}
	for connector, cs := range l.connectors {
		f(Count{CountPassedBy, [2]string{connector}, cs.passedBy.Load()})
		for i, name := range attemptNames {
			if attemptOutcome(i) != attemptPending {
				f(Count{CountAttempts, [2]string{connector, name}, cs.attempts[i].Load()})
			}
		}
	}
}

// Histograms calls f with every histogram.
func (r *Router) Histograms(f func(Histogram)) {
	f(r.late.export(TimerLate, ""))
	l := &r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for route, rs := range l.routes {
		f(rs.progress.export(RouteProgress, route))
		f(rs.answer.export(RouteAnswer, route))
		f(rs.failover.export(RouteFailover, route))
	}
	for trunk, ts := range l.trunks {
		f(ts.progress.export(TrunkProgress, trunk))
		f(ts.answer.export(TrunkAnswer, trunk))
		f(ts.failover.export(TrunkFailover, trunk))
	}
}

var classes = [7]string{1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx", 6: "6xx"}

// Load is how many calls a connector or a host with max_calls has.
type Load struct {
	Connector  string
	Host       string // its URI; "" for all of the connector
	Calls, Max int
}

// Loads lists those of the policy in force.
func (r *Router) Loads() (loads []Load) {
	var last *connector
	for _, h := range r.plan.Load().hosts {
		c := h.connector
		if l := &c.limit; c != last && l.most.MaxCalls > 0 {
			loads = append(loads, Load{Connector: c.name, Calls: int(l.load.calls.Load()), Max: l.most.MaxCalls})
		}
		last = c
		if l := &h.limit; l.most.MaxCalls > 0 {
			loads = append(loads, Load{Connector: c.name, Host: h.uri, Calls: int(l.load.calls.Load()), Max: l.most.MaxCalls})
		}
	}
	return loads
}

// Usage is what the calls take up.
type Usage struct {
	Calls   int // in memory, those included that only wait for the last of their timers
	Setups  int // calls without a final response
	Largest int // calls in the fullest of the Stripes
	Stripes int
	Used    float64 // how much of its room the fullest has in use, by calls or by their bytes: at 1 new ones are refused
	Timers  int     // calls that wait for a deadline
	Kept    int     // recent calls that can be looked at

	CallBytes   int // of calls, also of those that wait to be used again
	BufferBytes int // free message buffers that wait to be used again
	KeptBytes   int
}

// Usage looks at one stripe after the other.
func (r *Router) Usage() Usage {
	u := Usage{Stripes: stripes}
	for _, st := range r.stripes {
		st.mu.Lock()
		u.Calls += st.count + int(st.accepted.count)
		u.Setups += st.setups
		u.Largest = max(u.Largest, st.count+int(st.accepted.count))
		u.Used = max(u.Used, float64(st.weight())/float64(st.most), float64(st.held)/float64(st.room))
		u.Timers += st.wheel.count
		u.CallBytes += st.made*int(reflect.TypeFor[call]().Size()) + len(st.accepted.slots)*acceptedBytes
		u.BufferBytes += st.buffers.free
		u.Kept += len(st.ended.slots) + len(st.rejected.slots)
		u.KeptBytes += (len(st.ended.slots) + len(st.rejected.slots)) * int(reflect.TypeFor[past]().Size())
		st.mu.Unlock()
	}
	return u
}

// Live returns the number of calls in memory, those included that only wait
// for the last of their timers.
func (r *Router) Live() int { return r.Usage().Calls }

// Setups returns the number of calls without a final response.
func (r *Router) Setups() int { return r.Usage().Setups }

// Draining reports whether Drain was called.
func (r *Router) Draining() bool { return r.draining.Load() }
