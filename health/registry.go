// Package health keeps what was observed of hosts: which are up, which are in
// doubt, full, ejected or down, and why; and which regions are unhealthy for it.
//
// Next is the whole state machine, a pure function. A Host puts it behind an
// atomic word that calls read without a lock; a Registry holds the hosts and
// lets them keep their health across reloads. Whoever sees something of a host
// (the prober, the router) gives it to Host.Observe.
//
// The package sends nothing, reads no clock and starts no goroutine: health/probe
// probes, and every time is given by the caller. It does not know what the
// operator wants of a host (enabled, draining, disabled), nor does it rank
// hosts beyond the order of their states.
package health

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tandem/config/catalog"
)

// Options of a Registry.
type Options struct {
	Settings catalog.Health // of hosts that have none of their own
	// OnFlip is told of each change of a host's state, without a lock held, by
	// the goroutine that saw the cause: it must not block. Flips of one host
	// that happen at the same moment may come in either order.
	OnFlip func(Flip)
	// OnRegion is told of each change of a region's health, in the same way.
	OnRegion func(RegionFlip)
}

// Flip is a change of a host's state: a Change, and whose it is.
type Flip struct {
	Key      Key
	From, To State
	Reason   Reason
	At       int64
}

// Registry holds the health of all hosts.
type Registry struct {
	onFlip   func(Flip)
	settings atomic.Pointer[catalog.Health] // of hosts that have none of their own
	changes  atomic.Uint64                  // of any settings

	sharing sync.Mutex // may be taken with a host's lock or mu held
	shared  map[catalog.Health]*catalog.Health

	regions regions

	mu     sync.RWMutex
	hosts  map[Key]*Host
	sorted []*Host // by key

	// Hosts that want a probe now: a list without a lock, pushed by calls and
	// taken whole by the prober. Each host is in it at most once, so it needs
	// no bound and loses nothing.
	wanted atomic.Pointer[Host]
	wake   chan struct{}
}

// NewRegistry returns an empty registry.
func NewRegistry(opts Options) *Registry {
	r := &Registry{
		onFlip: opts.OnFlip,
		shared: make(map[catalog.Health]*catalog.Health),
		hosts:  make(map[Key]*Host),
		wake:   make(chan struct{}, 1),
	}
	r.regions.onFlip = opts.OnRegion
	r.settings.Store(r.share(opts.Settings))
	return r
}

// Settings returns the settings of hosts that have none of their own. They must
// not be changed.
func (r *Registry) Settings() *catalog.Health { return r.settings.Load() }

// Configure puts new settings in force at the time now, for hosts that have none
// of their own. What is known about them stays, as far as the new settings know
// of it (see Adopt).
func (r *Registry) Configure(set catalog.Health, now int64) {
	if set == *r.Settings() {
		return
	}
	r.settings.Store(r.share(set))
	r.Each(func(_ Key, h *Host) { h.follow(now) })
	r.reconfigured()
}

// Changes counts the changes of settings, the registry's and its hosts'.
func (r *Registry) Changes() uint64 { return r.changes.Load() }

// reconfigured lets the prober know of new settings.
func (r *Registry) reconfigured() {
	r.changes.Add(1)
	r.nudge()
}

// share returns settings that are kept once for all hosts that have the same.
func (r *Registry) share(set catalog.Health) *catalog.Health {
	r.sharing.Lock()
	defer r.sharing.Unlock()
	one := r.shared[set]
	if one == nil {
		one = new(catalog.Health)
		*one = set
		r.shared[set] = one
	}
	return one
}

// forget drops shared settings that no host has any more. mu is held.
func (r *Registry) forget() {
	r.sharing.Lock()
	defer r.sharing.Unlock()
	clear(r.shared)
	set := r.Settings()
	r.shared[*set] = set
	for _, h := range r.sorted {
		set := h.Settings()
		r.shared[*set] = set
	}
}

// Host returns the host for k. One that is not known yet is up, and has the
// registry's settings.
func (r *Registry) Host(k Key) *Host {
	r.mu.RLock()
	h := r.hosts[k]
	r.mu.RUnlock()
	if h != nil {
		return h
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hosts[k]; h != nil {
		return h
	}
	h = &Host{key: k, registry: r}
	h.settings.Store(r.Settings())
	h.word.Store(uint64(pack(&h.status, !h.Settings().Probe)))
	r.hosts[k] = h
	at, _ := slices.BinarySearchFunc(r.sorted, k, func(h *Host, k Key) int { return compareKeys(h.key, k) })
	r.sorted = slices.Insert(r.sorted, at, h)
	return h
}

// Retain drops all hosts but those of keys. Calls may go on to use a dropped
// host; nobody is told of its flips any more.
func (r *Registry) Retain(keys []Key) {
	keep := make(map[Key]bool, len(keys))
	for _, k := range keys {
		keep[k] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sorted = slices.DeleteFunc(r.sorted, func(h *Host) bool {
		if keep[h.key] {
			return false
		}
		h.gone.Store(true)
		delete(r.hosts, h.key)
		return true
	})
	r.forget()
}

// Each calls f for each host, ordered by key.
func (r *Registry) Each(f func(Key, *Host)) {
	r.mu.RLock()
	hosts := slices.Clone(r.sorted)
	r.mu.RUnlock()
	for _, h := range hosts {
		f(h.key, h)
	}
}

// Woken is ready when hosts may have asked for a probe, or settings may have
// changed (see Changes). It is for one prober, which then takes the hosts with Wanted.
func (r *Registry) Woken() <-chan struct{} { return r.wake }

// Wanted appends to hosts those that asked for a probe since the last call, in
// no order, each once.
func (r *Registry) Wanted(hosts []*Host) []*Host {
	for h := r.wanted.Swap(nil); h != nil; {
		next := h.next
		h.next = nil
		h.waiting.Store(false) // from here on it may be enlisted again
		hosts = append(hosts, h)
		h = next
	}
	return hosts
}

// enlist puts h, whose waiting was set by the caller, into the list.
func (r *Registry) enlist(h *Host) {
	for {
		first := r.wanted.Load()
		h.next = first
		if r.wanted.CompareAndSwap(first, h) {
			break
		}
	}
	r.nudge()
}

func (r *Registry) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // the prober has not taken notice of the last one yet
	}
}

func (r *Registry) flipped(f Flip) {
	if r.onFlip != nil {
		r.onFlip(f)
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(
		strings.Compare(a.URI, b.URI),
		a.Addr.Compare(b.Addr),
		strings.Compare(a.Listener, b.Listener),
	)
}
