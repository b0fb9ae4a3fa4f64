package locate

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tandem/router/dns"
)

const (
	// Rests after a lookup that failed, doubled each time.
	firstRest, longestRest = time.Second, 30 * time.Second
	// jitter is the part of a time that is added to it at most, so that names
	// which came together are not asked for together for ever.
	jitter = 10 // per cent
	// triesOfAll is how long a lookup may take, in time-outs of a question.
	triesOfAll = 16
)

// Options are what NewKeeper needs; zero values stand for the defaults.
type Options struct {
	Source   Source
	Families Families
	// MinTTL and MaxTTL bound how long an answer is good; 5 s and 1 h.
	MinTTL, MaxTTL time.Duration
	Timeout        time.Duration // of one question to one server; 2 s
	Parallel       int           // lookups at a time; 8
	// Changed is called, without locks, when a target has other servers. It must
	// not block.
	Changed func()
	Log     *slog.Logger
}

// Keeper keeps the servers of targets. All but Run is for any number of
// goroutines.
type Keeper struct {
	o    Options
	wake chan struct{}

	mu      sync.Mutex
	targets map[Target]*kept
	stats   Stats
}

// Stats are counters since NewKeeper, and what there is now.
type Stats struct {
	Found   uint64 // lookups after which all is known that there is
	Failed  uint64 // after which it is not: a question failed, or there is no server any more
	Changes uint64 // that brought other servers
	Cut     uint64 // servers left aside because a target has too many, in all lookups

	Targets int
	Failing int // whose last lookup failed
	Kept    int // of these, with the servers of before
	Empty   int // without a server
	Servers int
}

// kept is one target.
type kept struct {
	target  Target
	servers []Server
	memory  memory
	done    chan struct{} // closed after the first lookup
	running bool
	gone    bool // no longer wanted
	due     time.Time
	rest    time.Duration // after the next failure
	problem string        // of the last lookup; "" for none
}

// NewKeeper returns a Keeper without targets.
func NewKeeper(o Options) *Keeper {
	o.MinTTL, o.MaxTTL = cmp.Or(o.MinTTL, 5*time.Second), cmp.Or(o.MaxTTL, time.Hour)
	o.Timeout, o.Parallel = cmp.Or(o.Timeout, 2*time.Second), cmp.Or(o.Parallel, 8)
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{o: o, wake: make(chan struct{}, 1), targets: make(map[Target]*kept)}
}

// Set says which targets there are from now on. What is known of those that stay
// stays.
func (k *Keeper) Set(targets []Target) { k.want(targets, true) }

// Add adds targets.
func (k *Keeper) Add(targets []Target) { k.want(targets, false) }

func (k *Keeper) want(targets []Target, only bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	wanted := make(map[Target]bool, len(targets))
	for _, t := range targets {
		wanted[t] = true
		if k.targets[t] == nil {
			k.targets[t] = &kept{target: t, done: make(chan struct{}), due: time.Now(), rest: firstRest}
		}
	}
	for t, e := range k.targets {
		if only && !wanted[t] {
			e.gone = true
			delete(k.targets, t)
		}
	}
	k.ring()
}

func (k *Keeper) ring() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Wait waits until each of some targets was looked up once, or ctx ends. It needs
// Run.
func (k *Keeper) Wait(ctx context.Context, targets []Target) {
	for _, t := range targets {
		k.mu.Lock()
		e := k.targets[t]
		k.mu.Unlock()
		if e == nil {
			continue
		}
		select {
		case <-e.done:
		case <-ctx.Done():
			return
		}
	}
}

// Servers returns the servers of a target, which must not be changed; none when
// none is known.
func (k *Keeper) Servers(t Target) []Server {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.targets[t]; e != nil {
		return e.servers
	}
	return nil
}

// Stats reads the counters.
func (k *Keeper) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	s.Targets = len(k.targets)
	for _, e := range k.targets {
		s.Servers += len(e.servers)
		if e.problem != "" {
			s.Failing++
			if len(e.servers) > 0 {
				s.Kept++
			}
		}
		if len(e.servers) == 0 {
			s.Empty++
		}
	}
	return s
}

// Run looks targets up when they are due, until ctx ends; then it waits for the
// lookups that are under way, which end with ctx. It is for one goroutine.
func (k *Keeper) Run(ctx context.Context) {
	var lookups sync.WaitGroup
	defer lookups.Wait()
	room := make(chan struct{}, k.o.Parallel)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for {
			e := k.take()
			if e == nil {
				break
			}
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			lookups.Go(func() {
				defer func() { <-room }()
				k.lookup(ctx, e)
			})
		}
		timer.Reset(k.next())
		select {
		case <-timer.C:
		case <-k.wake:
		case <-ctx.Done():
			return
		}
	}
}

// take returns the target that is due for the longest time; nil for none.
func (k *Keeper) take() (first *kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	for _, e := range k.targets {
		if !e.running && !e.due.After(now) && (first == nil || e.due.Before(first.due)) {
			first = e
		}
	}
	if first != nil {
		first.running = true
	}
	return first
}

// next is how long nothing is due.
func (k *Keeper) next() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := time.Hour
	now := time.Now()
	for _, e := range k.targets {
		if !e.running {
			next = min(next, e.due.Sub(now))
		}
	}
	return max(next, 0)
}

func (k *Keeper) lookup(ctx context.Context, e *kept) {
	ctx, cancel := context.WithTimeout(ctx, triesOfAll*k.o.Timeout)
	defer cancel()
	asked := &recollecting{Source: k.o.Source, before: e.memory, now: make(memory)}
	r := Locate(ctx, asked, e.target, k.o.Families)
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the end of Run, and no word on the name
	}
	if r.Problem == nil {
		r.Problem = several(asked.problems)
	}
	e.memory = asked.now
	if k.finish(e, r) {
		k.o.Changed()
	}
	k.ring()
}

// finish keeps what a lookup found, and reports whether that is another answer.
func (k *Keeper) finish(e *kept, r Result) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.running = false
	if e.gone {
		return false
	}
	k.stats.Cut += uint64(r.Cut)
	was, problem := e.servers, ""
	switch {
	case r.Problem != nil:
		problem = r.Problem.Error()
	case len(r.Servers) == 0:
		problem = "DNS has no server for it"
	}
	// Nothing at all is kept from calls: who has no host any more takes the name
	// out of the config.
	if len(r.Servers) > 0 && !slices.Equal(r.Servers, was) {
		e.servers, changed = r.Servers, true
		k.stats.Changes++
	}
	if problem == "" {
		k.stats.Found++
		e.rest = firstRest
		e.due = time.Now().Add(spread(min(max(r.TTL, k.o.MinTTL), k.o.MaxTTL)))
	} else {
		k.stats.Failed++
		e.due = time.Now().Add(spread(e.rest))
		e.rest = min(2*e.rest, longestRest)
	}
	k.tell(e, was, problem, r.Cut)
	e.problem = problem
	select {
	case <-e.done:
	default:
		close(e.done)
	}
	return changed
}

// spread is a time and up to a tenth of it.
func spread(d time.Duration) time.Duration { return d + rand.N(d*jitter/100+1) }

// tell logs what is new of a target. mu is held.
func (k *Keeper) tell(e *kept, was []Server, problem string, cut int) {
	log, name := k.o.Log, e.target.String()
	if !slices.Equal(was, e.servers) {
		args := []any{"name", name, "added", apart(e.servers, was), "removed", apart(was, e.servers)}
		if cut > 0 {
			args = append(args, "too_many", cut)
		}
		log.Info("DNS: a name has other servers", args...)
	}
	switch had := e.problem != ""; {
	case problem != "" && !had && len(e.servers) == 0:
		log.Warn("DNS: a name has no server: it gets no calls until it has one", "name", name, "problem", problem)
	case problem != "" && !had:
		log.Warn("DNS: a name cannot be looked up: its last good answer stays", "name", name, "problem", problem, "servers", len(e.servers))
	case problem == "" && had:
		log.Info("DNS: a name can be looked up again", "name", name, "servers", len(e.servers))
	}
}

// apart writes the servers of a that b does not have.
func apart(a, b []Server) []string {
	list := []string{}
	for _, s := range a {
		if !slices.Contains(b, s) {
			list = append(list, s.String())
		}
	}
	return list
}

// memory is the answers to a target's questions.
type memory map[dns.Question]dns.Answer

// recollecting answers a question that fails as it was answered before.
type recollecting struct {
	Source
	before memory

	mu       sync.Mutex
	now      memory
	problems []error // of questions that were answered so
}

// Ask implements Source.
func (r *recollecting) Ask(ctx context.Context, q dns.Question) (dns.Answer, error) {
	a, err := r.Source.Ask(ctx, q)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		last, ok := r.before[q]
		if !ok {
			return a, err
		}
		r.problems = append(r.problems, err)
		a = last
	}
	r.now[q] = a
	return a, nil
}
