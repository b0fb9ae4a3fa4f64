package health

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"tandem/config/catalog"
)

// Key is what health is kept by: a host's address as it was resolved, and the
// listener that it is reached from. One host over two sockets can be up on one
// and down on the other.
type Key struct {
	URI      string         // as configured
	Addr     netip.AddrPort // where messages go
	Listener string         // the listener's address, any form that lasts across a reload
}

// String names the host and its listener.
func (k Key) String() string {
	return k.URI + " (" + k.Addr.String() + ") from " + k.Listener
}

// Host is the observed health of one host. What the operator wants of it is
// kept elsewhere. Hosts come from a Registry; all methods are safe for
// concurrent use.
type Host struct {
	word     atomic.Uint64                  // a word; read without a lock
	settings atomic.Pointer[catalog.Health] // in force for this host; changed with mu held
	key      Key
	registry *Registry

	mu     sync.Mutex
	status Status // all of it; DoubtUntil may lag behind the word
	own    bool   // the settings are its own: the registry's do not change them

	gone    atomic.Bool // dropped from the registry: nobody is told of its flips
	waiting atomic.Bool // in the registry's list of hosts to probe now
	next    *Host       // in that list; owned by whoever set waiting
}

// Key returns what the host is known by.
func (h *Host) Key() Key { return h.key }

// Settings returns the settings in force for this host: its own, or the
// registry's as long as it has none. They must not be changed. It takes no lock
// and allocates nothing.
func (h *Host) Settings() *catalog.Health { return h.settings.Load() }

// Configure gives the host settings of its own at the time now; from then on
// those of the registry are nothing to it. What is known about it stays, as far
// as the new settings know of it (see Adopt). Settings that are equal to those
// in force change nothing else, and allocate nothing.
func (h *Host) Configure(set catalog.Health, now int64) {
	h.mu.Lock()
	h.own = true
	if set == *h.Settings() {
		h.mu.Unlock()
		return
	}
	before, after := h.adopt(h.registry.share(set), now)
	h.mu.Unlock()
	h.tell(before, after, now)
	h.registry.reconfigured()
}

// follow gives the host the registry's settings unless it has its own.
func (h *Host) follow(now int64) {
	h.mu.Lock()
	// The latest, which may be later than those that the caller stored: so the
	// last of two callers leaves no host with the settings of the first.
	set := h.registry.Settings()
	if h.own || set == h.Settings() {
		h.mu.Unlock()
		return
	}
	before, after := h.adopt(set, now)
	h.mu.Unlock()
	h.tell(before, after, now)
}

// adopt puts settings in force. The lock is held: nothing is observed between
// the new settings and the status that they make.
func (h *Host) adopt(set *catalog.Health, now int64) (before, after Status) {
	h.settings.Store(set)
	return h.change(func(s Status) Status { return Adopt(s, now, set) })
}

// State returns the host's state at the time now. trial is true when it is
// doubtful and one call may try it in its normal place: the call that Claim
// gives it to. It takes no lock and allocates nothing.
func (h *Host) State(now int64) (s State, trial bool) {
	return word(h.word.Load()).at(now)
}

// Claim takes the trial that State told of, for one call: true for one caller,
// then false for the settings' DoubtHold, whatever becomes of the call.
func (h *Host) Claim(now int64) bool {
	w := word(h.word.Load())
	if _, trial := w.at(now); !trial {
		return false
	}
	return h.word.CompareAndSwap(uint64(w), uint64(w.claimed(now, holdOf(h.Settings()))))
}

// Observe takes note of what was seen at the time now. It returns the state
// before and after, and whether they differ; a difference has been reported to
// Options.OnFlip when it returns. What changes nothing costs one atomic load.
// A new doubt asks for a probe at once.
func (h *Host) Observe(now int64, o Observation) (from, to State, flipped bool) {
	if w := word(h.word.Load()); w.ignores(now, &o) {
		s, _ := w.at(now)
		return s, s, false
	}
	h.mu.Lock()
	set := h.Settings()
	before, after := h.change(func(s Status) Status { return Next(s, o, now, set) })
	h.mu.Unlock()
	h.tell(before, after, now)
	if after.Doubt && !before.Doubt && set.Probe {
		h.Wake()
	}
	return before.State, after.State, before.State != after.State
}

// change replaces the status and the word. The lock is held.
func (h *Host) change(next func(Status) Status) (before, after Status) {
	trials := !h.Settings().Probe
	for {
		w := h.word.Load()
		before = h.withClaim(word(w))
		after = next(before)
		// Only Claim writes the word without the lock.
		if h.word.CompareAndSwap(w, uint64(pack(&after, trials))) {
			break
		}
	}
	h.status = after
	return before, after
}

// tell tells of a flip, if it is one. The lock is not held.
func (h *Host) tell(before, after Status, now int64) {
	if before.State != after.State && !h.gone.Load() {
		h.registry.flipped(Flip{Key: h.key, From: before.State, To: after.State, Reason: after.Reason, At: now})
	}
}

// withClaim returns the status with the hold of the last trial, which Claim
// writes into the word alone. The lock is held.
func (h *Host) withClaim(w word) Status {
	s := h.status
	if s.Doubt && w.state() == Doubtful && w.until() != 0 {
		s.DoubtUntil = w.until()
	}
	return s
}

// Status returns all that is known about the host. A Retry-After that is over
// is still in it until something is seen: see Status.At.
func (h *Host) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.withClaim(word(h.word.Load()))
}

// Wake asks for a probe of this host soon, without a doubt about it: for hints
// that are too weak for one. Any number of calls until the prober takes notice
// are one. It never blocks.
func (h *Host) Wake() {
	if h.gone.Load() || !h.waiting.CompareAndSwap(false, true) {
		return
	}
	h.registry.enlist(h)
}
