package router

import (
	"cmp"
	"sync"
	"sync/atomic"
)

// tally counts what happens to messages. Each goroutine that handles some has
// one of its own, so that no two of them write the same memory; whoever reads
// adds them up.
type tally struct {
	requests   [16]atomic.Uint64 // by wire.Method
	responses  [7]atomic.Uint64  // by class
	replies    [7]atomic.Uint64  // responses of our own, by class
	drops      [dropReasons]atomic.Uint64
	rejections [rejections]atomic.Uint64
	failovers  [failoverReasons]atomic.Uint64
	late2xx    atomic.Uint64
	dialog     atomic.Uint64 // in-dialog requests forwarded
	stateless  atomic.Uint64 // responses forwarded without a call
	icmp       atomic.Uint64
	parked     atomic.Uint64 // messages that waited for a name
	large      [largeWays]atomic.Uint64
}

func (t *tally) drop(why dropReason) { t.drops[why].Add(1) }

// total adds one counter of all tallies up.
func (r *Router) total(counter func(*tally) *atomic.Uint64) (n uint64) {
	r.idle.mu.Lock()
	defer r.idle.mu.Unlock()
	for _, t := range r.idle.tallies {
		n += counter(t).Load()
	}
	return n
}

// ledger counts by name what the config names: routes, trunks, connectors. It
// outlives a change of policy. What a connector carries stays its own when it is
// renamed, so that its limits hold.
type ledger struct {
	mu         sync.Mutex
	routes     map[string]*routeStats
	connectors map[string]*connectorStats
	trunks     map[string]*trunkStats
	loads      map[string]*loadStats // of connectors by ID, else by name
	hosts      map[string]*loadStats // by address
}

// dropReason is why a message was dropped without an answer.
type dropReason uint8

const (
	dropKeepAlive dropReason = iota
	dropNotSIP
	dropTruncated
	dropDefective   // too broken to be answered, or an ACK that is
	dropUntrusted   // policy, or over the rate of 403s, or their connection ended
	dropAck         // an ACK that matches nothing
	dropAckOwn      // the ACK of a stateless answer of ours
	dropViaNotOurs  // RFC 3261 18.1.2
	dropForged      // a branch or token that does not verify
	dropLate        // a response that nobody waits for any more
	dropProbe       // an answer to a probe that could not be queued
	dropUnresolved  // a next hop given by name
	dropForbidden   // a next hop we do not send to
	dropRate        // too many requests of one dialog
	dropDuplicate   // a retransmission that is absorbed
	dropMethod      // a response whose method does not fit
	dropRecord      // a call's log line, when the log cannot keep up
	dropMaxForwards // an ACK whose Max-Forwards is spent
	dropTooLarge    // an ACK that no datagram holds
	dropRepeat      // what is not sent again to UDP: too many are
	dropReasons
)

var dropNames = [dropReasons]string{
	"keep_alive", "not_sip", "truncated", "defective", "untrusted", "ack_unmatched", "ack_own",
	"via_not_ours", "forged", "late", "probe_queue_full", "unresolved", "forbidden_target",
	"dialog_rate", "retransmission", "method_mismatch", "log_overflow", "max_forwards", "too_large",
	"repeat_overflow",
}

// failoverReason is why a call moved on to its next candidate.
type failoverReason uint8

const (
	failedSilent failoverReason = iota
	failedProgress
	failedNoAnswer
	failedICMP
	failedSend
	failedCode
	failoverReasons
)

var failoverNames = [failoverReasons]string{"silent", "no_progress", "no_answer", "icmp", "send_error", "code"}

// outcome is how a call ended for the caller.
type outcome uint8

const (
	answered  outcome = iota
	refused           // a final response of a connector's
	exhausted         // every candidate failed
	cancelledByCaller
	timedOut
	outcomes
	rejected = outcomes // never a call: it was not let in
)

var outcomeNames = [outcomes + 1]string{"answered", "refused", "exhausted", "cancelled", "timeout", "rejected"}

// failed reports whether a call with that final response is a failure of what
// is behind us, and not an answer to the caller.
func (o outcome) failed(status int) bool {
	return o == exhausted || o == timedOut || o == refused && status/100 == 5
}

func (o outcome) String() string { return outcomeNames[o] }

type routeStats struct {
	label
	calls  [outcomes]atomic.Uint64
	spared atomic.Uint64 // of the exhausted ones: only hosts that are down or ejected were left
	setupTimes
}

type trunkStats struct {
	label
	calls    [outcomes]atomic.Uint64
	overRate atomic.Uint64
	bucket   bucket
	setupTimes
}

// setupTimes are how long the callers of INVITEs waited.
type setupTimes struct {
	progress histogram // until the first 101-199 or 2xx
	answer   histogram // until the 2xx
	failover histogram // until the attempt began that brought progress, of calls that failed over
}

type loadStats struct {
	label
	load carried
}

type connectorStats struct {
	label
	passedBy atomic.Uint64
	attempts [attemptOutcomes]atomic.Uint64
}

// label is what is counted by name, and since when no policy has the name.
type label struct {
	name string
	gone int64 // 0: it has
}

func (l *label) labelled() *label { return l }

func (l *ledger) route(name string) *routeStats         { return named(l, &l.routes, name) }
func (l *ledger) connector(name string) *connectorStats { return named(l, &l.connectors, name) }
func (l *ledger) load(id string) *carried               { return &named(l, &l.loads, id).load }
func (l *ledger) host(at hostPlace) *carried            { return &named(l, &l.hosts, at.String()).load }
func (l *ledger) trunk(name string) *trunkStats         { return named(l, &l.trunks, name) }

// named returns what is kept under name, made when it is asked for the first
// time: a change of policy goes on counting where the one before left off.
func named[T any, P interface {
	*T
	labelled() *label
}](l *ledger, all *map[string]P, name string) P {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *all == nil {
		*all = make(map[string]P)
	}
	if (*all)[name] == nil {
		p := P(new(T))
		p.labelled().name = name
		(*all)[name] = p
	}
	return (*all)[name]
}

// forget drops what no policy has had for an hour: a name that changes with
// each reload must not leave its series for good. pl is the policy in force.
func (l *ledger) forget(pl *plan, now int64) {
	routes, connectors, loads, hosts := make(map[string]bool), make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, rt := range pl.routes {
		if rt != nil {
			routes[rt.name()] = true
		}
	}
	for i := range pl.policy.Catalog.Connectors {
		cc := &pl.policy.Catalog.Connectors[i]
		connectors[cc.Name], loads[cmp.Or(cc.ID, cc.Name)] = true, true
	}
	for _, h := range pl.hosts {
		hosts[h.place().String()] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	forgetNames(l.loads, func(id string) bool { return loads[id] }, now)
	forgetNames(l.hosts, func(addr string) bool { return hosts[addr] }, now)
	forgetNames(l.routes, func(name string) bool { return routes[name] }, now)
	forgetNames(l.connectors, func(name string) bool { return connectors[name] }, now)
	forgetNames(l.trunks, func(name string) bool { return pl.byTrunk[name] != nil }, now)
}

func forgetNames[P interface{ labelled() *label }](all map[string]P, has func(string) bool, now int64) {
	for name, p := range all {
		switch l := p.labelled(); {
		case has(name):
			l.gone = 0
		case l.gone == 0:
			l.gone = now
		case now-l.gone > ledgerKeep:
			delete(all, name)
		}
	}
}
