// Package router is the data plane: it takes SIP messages as bytes and leaves
// SIP messages in a batch.
//
// The life of a call, in the order of the functions below and of the files:
//
//  1. A transport hands a batch of datagrams to Packets.
//  2. handle parses one (router/wire). Garbage is counted and dropped.
//  3. A response goes to its call by the key in our branch (response.go). A
//     request with a valid route token (routeset.go) is in-dialog (dialog.go).
//     CANCEL, ACK and retransmissions are matched by key (upstream.go). All else
//     must pass accept (accept.go) and the allowance of its trunk (trunk.go),
//     or is answered without state, and the same way again (refusals.go). What
//     goes to a name that is not known yet waits for it (park.go).
//  4. A new call (begin, upstream.go) answers 100, looks its number up
//     (number.go, router/table) and tries its first candidate (candidates.go).
//  5. Each attempt is rendered from the original request (render.go).
//  6. Each event of an attempt, be it a response, a timer (timers.go) or an
//     ICMP error (unreachable.go), goes through decide (decide.go), and its
//     verdict is carried out by apply (attempt.go).
//  7. One final response goes upstream, and every 2xx. The call is kept to be
//     looked at (recent.go), and stays in memory until its RFC timers end: what
//     its first host answered as little more than its key (accepted.go).
//
// The package opens no socket, reads no clock and does not import sipgo. It
// speaks SIP only as a proxy: what is an endpoint's (OPTIONS probes, requests
// of our own) is done elsewhere, on the same socket (health/probe).
package router

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/names"
	"tandem/router/transport"
	"tandem/router/wire"
)

// Listener is an address that messages come to.
type Listener struct {
	Name      string         // what connectors choose it by; "" for none
	Addr      netip.AddrPort // what is bound
	Transport catalog.Transport
	Advertise string // host:port for Via and Record-Route; "" is Addr
}

// Options are what a Router is made with and keeps for life.
type Options struct {
	Listeners []Listener
	Aliases   []string // hosts or host:port that are ours too
	// Addresses of this machine: what a wildcard listener is reached by.
	Addresses []netip.Addr
	// Secrets for branches, tags and tokens, 16 bytes or more each. The first
	// makes new ones, all are accepted.
	Secrets     [][]byte
	RecordRoute bool
	Health      *health.Registry
	// Probe is given the answers to OPTIONS probes, copies what it keeps and
	// never blocks; false when it has no room. ProbeFailed is told of ICMP
	// errors that quote a probe, with the branch, and keeps nothing; false when
	// no probe to there has that branch. Both may be nil.
	Probe       func(listener int, data []byte, source netip.AddrPort) bool
	ProbeFailed func(dest netip.AddrPort, branch []byte) bool
	// Ask has somebody find out whether a host over UDP takes connections too, and
	// tell TakesStream if it does. It never blocks, and is false when nobody can now.
	// nil: nobody finds out.
	Ask func(Question) bool
	Log *slog.Logger
	// Names knows the addresses of names in Contact and Route; nil: they lead
	// nowhere. Its Resolved is to call the Router's.
	Names *names.Names
	// Alias lets requests to addr go on the connection of the listener whose other
	// end is source (RFC 5923). It never waits. It may be nil.
	Alias func(listener int, source, addr netip.AddrPort)
	// RecentCalls is how many calls that are over are kept to look at.
	RecentCalls int
	// MostCalls is how many calls may be in memory at once, those included that
	// failed and wait for their timers; 0 is 500,000. Eight that were answered count
	// as one. Their messages may have 2 KiB for each, all together. What is above gets
	// 503.
	MostCalls int
	// Now is the time on the monotonic clock that all methods are called with,
	// Epoch the time of day at its zero, in nanoseconds since 1970.
	Now, Epoch int64
}

// Router routes calls. Its methods may be called from any goroutine.
type Router struct {
	listeners   []listener
	aliases     []alias
	machine     machine
	keys        []keys
	mixed       bool // there are listeners of other transports than UDP
	recordRoute bool
	mostCalls   int
	health      *health.Registry
	probe       func(int, []byte, netip.AddrPort) bool
	probeFailed func(netip.AddrPort, []byte) bool
	ask         func(Question) bool
	log         *slog.Logger
	epoch       int64
	started     int64

	policyMu sync.Mutex // one change of policy at a time
	plan     atomic.Pointer[plan]
	ticks    atomic.Uint64 // rounds of the timers
	draining atomic.Bool
	stripes  [stripes]*stripe

	sleepUntil atomic.Int64 // when the timer goroutine looks again
	wake       chan struct{}

	idle struct {
		mu      sync.Mutex
		list    []*scratch
		tallies []*tally // of all that were ever made
	}
	dialogRate     *rateWords
	refusals       *refusals
	untrustedWire  *rate.Limiter
	untrustedLog   *rate.Limiter
	records        chan record
	tally          *tally // of who has no scratch
	ledger         ledger
	names          *names.Names
	alias          func(int, netip.AddrPort, netip.AddrPort)
	parking        park
	dialogs        dialogs
	takers         takers
	relays         relays
	flows          maphash.Seed
	late           histogram // how much later than asked timers fire
	untrustedSkips atomic.Uint64
}

// listener is a Listener with what is written of it into messages.
type listener struct {
	Listener
	sentBy []byte // host:port
	sent   []byte // how our Via begins: "SIP/2.0/UDP host:port;branch="
	route  []byte // what our Record-Route has after the token: "@host:port;lr>"
	host   []byte
	port   uint16
}

// scratch is the working memory of one goroutine while it handles a batch.
type scratch struct {
	now      int64
	plan     *plan // one for the whole batch
	tally    *tally
	out      *transport.Batch
	listener int
	source   netip.AddrPort
	local    netip.Addr      // that it was sent to, of a wildcard listener's
	peer     *transport.Peer // who is at source; nil: nobody knows
	trunk    *trunk          // whose source it is; nil when it is no trunk's
	waited   bool            // it was parked once: it is not parked again
	silent   bool            // what is no trunk's gets no answer

	m      wire.Message // the message that came
	orig   wire.Message // the request of a call, when something is rendered from it
	next   wire.ViaValue
	edits  wire.Edits
	fields fields
	text   []byte // what edits insert
	number []byte
	tag    []byte
	cands  []candidate
	tried  []*host
}

// New returns a Router for the policy p.
func New(opts Options, p Policy) (*Router, error) {
	if len(opts.Listeners) == 0 {
		return nil, errors.New("router: no listener")
	}
	if len(opts.Listeners) > maxListeners {
		return nil, fmt.Errorf("router: %d listeners; at most %d are possible", len(opts.Listeners), maxListeners)
	}
	if len(opts.Secrets) == 0 {
		return nil, errors.New("router: no secret")
	}
	r := &Router{
		recordRoute:   opts.RecordRoute,
		mostCalls:     opts.MostCalls,
		health:        opts.Health,
		probe:         opts.Probe,
		probeFailed:   opts.ProbeFailed,
		ask:           opts.Ask,
		log:           opts.Log,
		epoch:         opts.Epoch,
		started:       opts.Now,
		wake:          make(chan struct{}, 1),
		dialogRate:    new(rateWords),
		refusals:      new(refusals),
		untrustedWire: rate.NewLimiter(untrustedReplyRate, untrustedReplyRate),
		untrustedLog:  rate.NewLimiter(1, 3),
		records:       make(chan record, recordRoom),
		names:         opts.Names,
		alias:         opts.Alias,
		flows:         maphash.MakeSeed(),
	}
	if r.mostCalls == 0 {
		r.mostCalls = maxCalls
	}
	r.tally = r.newTally()
	r.machine.set(opts.Addresses)
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	for _, secret := range opts.Secrets {
		if len(secret) < 16 {
			return nil, fmt.Errorf("router: a secret has %d bytes, needs 16 or more", len(secret))
		}
		r.keys = append(r.keys, newKeys(secret))
	}
	for _, l := range opts.Listeners {
		own, err := newListener(l)
		if err != nil {
			return nil, err
		}
		r.listeners = append(r.listeners, own)
		r.mixed = r.mixed || l.Transport != catalog.UDP
	}
	for _, a := range opts.Aliases {
		r.aliases = append(r.aliases, newAlias(a))
	}
	for i := range r.stripes {
		r.stripes[i] = newStripe(opts.RecentCalls, r.mostCalls)
	}
	r.sleepUntil.Store(never)
	return r, r.SetPolicy(opts.Now, p)
}

// SetPolicy puts p in force for calls that begin from now on; those under way
// keep what they began with. Hosts that were there before keep their health,
// trunks their allowance. After an error all calls go on as before.
func (r *Router) SetPolicy(now int64, p Policy) error {
	r.policyMu.Lock()
	defer r.policyMu.Unlock()
	return r.setPolicy(now, p)
}

func (r *Router) setPolicy(now int64, p Policy) error {
	pl, err := r.compile(p)
	if err != nil {
		return err
	}
	pl.known = knownAfter(r.plan.Load(), pl, now)
	r.plan.Store(pl)
	r.ledger.forget(pl, now)
	r.takers.retain(pl)
	keys := make([]health.Key, 0, len(pl.hosts))
	for _, h := range pl.hosts {
		keys = append(keys, h.health.Key())
		h.health.Configure(h.settings, now)
	}
	r.health.Retain(keys)
	r.health.SetRegions(pl.regions())
	return nil
}

// SetOrders lays other orders over the policy in force, which stays as it is
// otherwise, numbers that were changed since included: as SetPolicy does.
func (r *Router) SetOrders(now int64, orders catalog.Orders) error {
	r.policyMu.Lock()
	defer r.policyMu.Unlock()
	p := r.plan.Load().policy
	p.Orders, p.KeepNumbers = orders, true
	return r.setPolicy(now, p)
}

// Catalog is the one in force. It must not be changed.
func (r *Router) Catalog() *catalog.Catalog { return r.plan.Load().policy.Catalog }

// Orders are those in force.
func (r *Router) Orders() catalog.Orders { return r.plan.Load().policy.Orders }

// Drain makes OPTIONS and new calls be answered 503; those in set-up go on.
func (r *Router) Drain() { r.draining.Store(true) }

// Packets handles one batch: step 1.
func (r *Router) Packets(now int64, in []transport.Packet, out *transport.Batch) {
	s := r.acquire(now, out)
	for i := range in {
		s.listener, s.source, s.local, s.peer = in[i].Listener, in[i].Source, in[i].Local, in[i].Peer
		r.handle(s, in[i].Data)
	}
	r.release(s)
}

func (r *Router) acquire(now int64, out *transport.Batch) *scratch {
	r.idle.mu.Lock()
	var s *scratch
	if n := len(r.idle.list); n > 0 {
		s = r.idle.list[n-1]
		r.idle.list = r.idle.list[:n-1]
	}
	r.idle.mu.Unlock()
	if s == nil {
		s = &scratch{tally: r.newTally()}
	}
	s.now, s.out, s.plan = now, out, r.plan.Load()
	out.Flow(0)
	return s
}

func (r *Router) newTally() *tally {
	t := new(tally)
	r.idle.mu.Lock()
	defer r.idle.mu.Unlock()
	r.idle.tallies = append(r.idle.tallies, t)
	return t
}

func (r *Router) release(s *scratch) {
	s.out, s.plan, s.trunk, s.peer = nil, nil, nil, nil
	r.idle.mu.Lock()
	r.idle.list = append(r.idle.list, s)
	r.idle.mu.Unlock()
}

// handle is steps 2 and 3: what a message is decides where it goes.
func (r *Router) handle(s *scratch, data []byte) {
	m := &s.m
	s.text = s.text[:0]
	switch err := m.Parse(data); err {
	case nil:
	case wire.ErrEmpty:
		s.tally.drop(dropKeepAlive)
		return
	case wire.ErrTruncated:
		s.tally.drop(dropTruncated)
		return
	default:
		s.tally.drop(dropNotSIP)
		return
	}
	// What a message makes us send leaves behind what those before it did of the
	// same call.
	s.out.Flow(uint32(maphash.Bytes(r.flows, m.Bytes(m.CallID))) | 1)
	if !m.IsRequest {
		s.tally.responses[m.Status/100].Add(1)
		r.response(s)
		return
	}
	if !s.waited {
		s.tally.requests[m.Method].Add(1)
	}
	s.identify()
	if m.Defect != wire.NoDefect {
		r.rejectDefective(s)
		return
	}
	if s.peer != nil && len(s.peer.Names) > 0 {
		r.takeAlias(s)
	}
	rt, why := r.routeSet(s)
	if why != 0 {
		r.refuseDialog(s, why)
		return
	}
	if rt.dialog {
		r.forwardDialog(s, &rt)
		return
	}
	r.request(s, &rt)
}

// identify finds the trunk that the message came from: what a certificate proves
// comes before the address.
func (s *scratch) identify() {
	s.silent = s.plan.policy.Untrusted == Drop
	if s.trunk = s.plan.proven(s.peer, s.source.Addr()); s.trunk == nil {
		s.trunk, _ = s.plan.trunks.Lookup(s.source.Addr().WithZone(""))
	}
	if s.trunk != nil && s.trunk.Refused {
		s.trunk, s.silent = nil, s.trunk.Untrusted == Drop
	}
}
