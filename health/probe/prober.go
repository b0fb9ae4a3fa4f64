// Package probe asks hosts with OPTIONS whether they are alive, and tells
// tandem/health what came of it.
//
// sipgo builds the requests, runs their transactions and parses the answers. It
// does not own a socket: each listener has a Conn, through which probes leave by
// the socket that calls leave by, and by which the router hands over the
// responses that are sipgo's (their branch starts with BranchPrefix).
//
//	conn := probe.NewConn(socket.LocalAddr(), socket.Write)
//	p, err := probe.New(probe.Options{
//		Registry:  registry,
//		Listeners: []probe.Listener{{Conn: conn, Advertise: "203.0.113.10:5060"}},
//		Now:       clock,
//	})
//	p.SetTargets(targets)
//	err = p.Run(ctx)
//
// What an answer means is decided in tandem/health, not here; and OPTIONS that
// others send to us are answered by the router.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"

	"tandem/config/catalog"
	"tandem/health"
)

// BranchPrefix is how the branches start that sipgo makes (with the dot, which
// no branch of a call has after the cookie).
const BranchPrefix = "z9hG4bK."

// DefaultMaxInFlight is how many probes wait for an answer at a time. When as
// many hosts are silent as that, each for the whole timeout, further hosts are
// probed later than the settings say.
const DefaultMaxInFlight = 1024

// Options of a Prober.
type Options struct {
	Registry    *health.Registry // tells of hosts that want a probe and of new settings
	Listeners   []Listener
	Now         func() int64 // monotonic nanoseconds: the clock of Registry's callers
	MaxInFlight int          // DefaultMaxInFlight if 0
}

// Listener is a socket that hosts are probed from.
type Listener struct {
	Conn      *Conn
	Advertise string // host:port that Via and From say
	Transport string // that Via says, in capitals; "" is UDP
}

// Target is a host to probe.
type Target struct {
	Key      health.Key
	Host     *health.Host   // what is observed goes there
	Addr     netip.AddrPort // where OPTIONS go
	URI      string         // the request-URI, unless Says has one
	Listener int            // index in Options.Listeners
	Says     catalog.Probe  // what OPTIONS say; its Listener is Listener
}

// target is a Target with its URIs parsed.
type target struct {
	Target
	recipient sip.Uri
	from      *sip.Uri // nil: the agent's own
	to        sip.Uri
}

var (
	errUnreachable = errors.New("unreachable")
	errListener    = errors.New("a listener's connection was closed")
)

// Prober probes hosts while Run runs.
type Prober struct {
	registry    *health.Registry
	now         func() int64
	agents      []*agent
	maxInFlight int
	questions   chan Question

	mu      sync.Mutex
	targets []target                     // the latest of SetTargets
	flights map[netip.AddrPort][]*flight // probes that wait for an answer
	changed chan struct{}                // targets has changed
}

// flight is a probe that waits for an answer. fail ends the wait.
type flight struct {
	branch string
	fail   context.CancelCauseFunc
}

// New returns a Prober, which does nothing until Run.
func New(opts Options) (*Prober, error) {
	p := &Prober{
		registry:    opts.Registry,
		now:         opts.Now,
		maxInFlight: opts.MaxInFlight,
		questions:   make(chan Question, maxAsked),
		flights:     make(map[netip.AddrPort][]*flight),
		changed:     make(chan struct{}, 1),
	}
	if p.registry == nil || p.now == nil || len(opts.Listeners) == 0 {
		return nil, errors.New("probe: need a registry, a clock and a listener")
	}
	if p.maxInFlight <= 0 {
		p.maxInFlight = DefaultMaxInFlight
	}
	for _, l := range opts.Listeners {
		a, err := newAgent(l)
		if err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
		p.agents = append(p.agents, a)
	}
	return p, nil
}

// SetTargets replaces the hosts to probe. Each is probed as its own settings say,
// and not while they say that it is not to be probed: such a host is a target
// too, so that it can be switched on. A target whose Key and Host were there
// before keeps its place in the schedule; a new one is probed within a second. It
// can be called at any time. Targets that cannot be probed are left
// out and named in the error.
func (p *Prober) SetTargets(targets []Target) error {
	var errs []error
	parsed := make([]target, 0, len(targets))
	sources := make([]map[netip.AddrPort]netip.AddrPort, len(p.agents))
	for i := range sources {
		sources[i] = make(map[netip.AddrPort]netip.AddrPort)
	}
	for _, t := range targets {
		p, err := p.parse(t)
		if err == nil && t.Host == nil {
			err = errors.New("need a host")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("probe: %s: %w", t.Key, err))
			continue
		}
		parsed = append(parsed, p)
		sources[t.Listener][p.Addr] = netip.AddrPortFrom(t.Addr.Addr().Unmap(), t.Addr.Port())
	}
	for i, a := range p.agents {
		a.conn.sources.Store(&sources[i])
	}
	p.mu.Lock()
	p.targets = parsed
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default: // not yet noticed that they changed before
	}
	return errors.Join(errs...)
}

func (p *Prober) parse(t Target) (target, error) {
	if t.Listener < 0 || t.Listener >= len(p.agents) || !t.Addr.IsValid() || t.Addr.Port() == 0 {
		return target{}, errors.New("need a listener, an address and a port")
	}
	uri := t.URI
	if zone := t.Addr.Addr().Zone(); zone != "" { // it stands in no URI that others see
		uri = strings.Replace(uri, "%"+zone+"]", "]", 1)
	}
	t.Addr = plain(t.Addr)
	parsed := target{Target: t}
	recipient, err := parseURI(cmp.Or(t.Says.RequestURI, uri))
	if err != nil {
		return target{}, err
	}
	parsed.recipient, parsed.to = *recipient, *recipient
	if t.Says.To != "" {
		to, err := parseURI(t.Says.To)
		if err != nil {
			return target{}, err
		}
		parsed.to = *to
	}
	if t.Says.From != "" {
		parsed.from, err = parseURI(t.Says.From)
	}
	return parsed, err
}

func parseURI(text string) (*sip.Uri, error) {
	uri := new(sip.Uri)
	if err := sip.ParseUri(text, uri); err != nil {
		return nil, fmt.Errorf("URI %q: %w", text, err)
	}
	uri.Headers = nil // RFC 3261 19.1.1: not in a request
	return uri, nil
}

// Unreachable tells that an ICMP error for dest quotes a request with this
// branch, the whole of it. The probe that waits for an answer from there and has
// that branch fails at once: only who saw the probe knows it. It reports false
// when there is none; then the error is forged, or late. branch is not kept.
func (p *Prober) Unreachable(dest netip.AddrPort, branch []byte) bool {
	quoted := string(branch)
	p.mu.Lock()
	flights := p.flights[plain(dest)]
	// RFC 3261 7.3.1: tokens are compared without regard to case.
	i := slices.IndexFunc(flights, func(f *flight) bool { return strings.EqualFold(f.branch, quoted) })
	var fail context.CancelCauseFunc
	if i >= 0 {
		fail = flights[i].fail
	}
	p.mu.Unlock()
	if fail == nil {
		return false
	}
	fail(errUnreachable)
	return true
}

// Run probes until ctx ends, and returns its error. When it returns, all that
// it started has ended and the listeners' connections are closed: a Prober runs
// once.
func (p *Prober) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var serving sync.WaitGroup
	defer serving.Wait()
	for _, a := range p.agents {
		defer a.ua.Close()
		defer a.conn.Close()
		serving.Go(func() {
			err := a.serve()
			stop(errors.Join(errListener, err)) // no effect when ctx has ended
		})
	}
	for _, a := range p.agents {
		// Before it reads, sipgo does not know the connection and would open
		// a socket of its own.
		select {
		case <-a.conn.reading:
		case <-ctx.Done():
		}
	}
	var asking sync.WaitGroup
	asking.Go(func() { p.ask(ctx) })
	p.schedule(ctx)
	asking.Wait()
	return context.Cause(ctx)
}
