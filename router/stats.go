package router

import (
	"sync"
	"sync/atomic"
)

// Stats are the router's counters. The hot path only adds to them; Each method
// of reading gives values at some moment during the call.
type Stats struct {
	requests  [16]atomic.Uint64 // by wire.Method
	responses [7]atomic.Uint64  // by class
	replies   [7]atomic.Uint64  // responses of our own, by class
	drops     [dropReasons]atomic.Uint64
	failovers [failoverReasons]atomic.Uint64
	late2xx   atomic.Uint64
	dialog    atomic.Uint64 // in-dialog requests forwarded
	stateless atomic.Uint64 // responses forwarded without a call
	icmp      atomic.Uint64
	live      atomic.Int64 // calls in memory
	setups    atomic.Int64 // calls without a final response upstream

	mu         sync.Mutex
	routes     map[string]*routeStats
	connectors map[string]*connectorStats
}

// dropReason is why a message was dropped without an answer.
type dropReason uint8

const (
	dropKeepAlive dropReason = iota
	dropNotSIP
	dropTruncated
	dropDefective   // too broken to be answered, or an ACK that is
	dropUntrusted   // policy, or over the rate of 403s
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
	dropReasons
)

var dropNames = [dropReasons]string{
	"keep_alive", "not_sip", "truncated", "defective", "untrusted", "ack_unmatched", "ack_own",
	"via_not_ours", "forged", "late", "probe_queue_full", "unresolved", "forbidden_target",
	"dialog_rate", "retransmission", "method_mismatch", "log_overflow", "max_forwards",
}

// failoverReason is why a call moved on to its next candidate.
type failoverReason uint8

const (
	failedSilent failoverReason = iota
	failedProgress
	failedICMP
	failedSend
	failedCode
	failoverReasons
)

var failoverNames = [failoverReasons]string{"silent", "no_progress", "icmp", "send_error", "code"}

// outcome is how a call ended for the caller.
type outcome uint8

const (
	answered  outcome = iota
	refused           // a final response of a connector's
	exhausted         // every candidate failed
	cancelledByCaller
	timedOut
	outcomes
)

var outcomeNames = [outcomes]string{"answered", "refused", "exhausted", "cancelled", "timeout"}

func (o outcome) String() string { return outcomeNames[o] }

type routeStats struct {
	calls [outcomes]atomic.Uint64
}

type connectorStats struct {
	attempts [attemptOutcomes]atomic.Uint64
}

func (s *Stats) route(name string) *routeStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.routes == nil {
		s.routes = make(map[string]*routeStats)
	}
	if s.routes[name] == nil {
		s.routes[name] = new(routeStats)
	}
	return s.routes[name]
}

func (s *Stats) connector(name string) *connectorStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connectors == nil {
		s.connectors = make(map[string]*connectorStats)
	}
	if s.connectors[name] == nil {
		s.connectors[name] = new(connectorStats)
	}
	return s.connectors[name]
}

func (s *Stats) drop(why dropReason) { s.drops[why].Add(1) }
