package router

import "tandem/router/wire"

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
	CountAttempts  = "attempts"  // connector, outcome
	CountLate2xx   = "late_2xx"  // relayed after another final response
	CountDialog    = "dialog"    // in-dialog requests forwarded
	CountStateless = "stateless" // responses forwarded without a call
	CountICMP      = "icmp"      // undeliverable datagrams reported
)

// Counts calls f with every counter, those at zero too, so that each series
// exists from the start.
func (r *Router) Counts(f func(Count)) {
	s := &r.stats
	one := func(name, label string, value uint64) { f(Count{name, [2]string{label}, value}) }
	for i := range s.requests {
		if m := wire.Method(i); i == 0 || m.String() != "" {
			name := m.String()
			if i == 0 {
				name = "other"
			}
			one(CountRequests, name, s.requests[i].Load())
		}
	}
	for i, class := range classes {
		if class != "" {
			one(CountResponses, class, s.responses[i].Load())
			one(CountReplies, class, s.replies[i].Load())
		}
	}
	for i, name := range dropNames {
		one(CountDrops, name, s.drops[i].Load())
	}
	for i, name := range failoverNames {
		one(CountFailovers, name, s.failovers[i].Load())
	}
	one(CountLate2xx, "", s.late2xx.Load())
	one(CountDialog, "", s.dialog.Load())
	one(CountStateless, "", s.stateless.Load())
	one(CountICMP, "", s.icmp.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	for route, rs := range s.routes {
		for i, name := range outcomeNames {
			f(Count{CountCalls, [2]string{route, name}, rs.calls[i].Load()})
		}
	}
	for connector, cs := range s.connectors {
		for i, name := range attemptNames {
			if attemptOutcome(i) != attemptPending {
				f(Count{CountAttempts, [2]string{connector, name}, cs.attempts[i].Load()})
			}
		}
	}
}

var classes = [7]string{1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx", 6: "6xx"}

// Live returns the number of calls in memory, those included that only wait
// for the last of their timers.
func (r *Router) Live() int { return int(r.stats.live.Load()) }

// Draining reports whether Drain was called.
func (r *Router) Draining() bool { return r.draining.Load() }
