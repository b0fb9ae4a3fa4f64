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
	word     atomic.Uint64 // a word; read without a lock
	key      Key
	registry *Registry

	mu     sync.Mutex
	status Status // all of it; DoubtUntil may lag behind the word

	gone    atomic.Bool // dropped from the registry: nobody is told of its flips
	waiting atomic.Bool // in the registry's list of hosts to probe now
	next    *Host       // in that list; owned by whoever set waiting
}

// Key returns what the host is known by.
func (h *Host) Key() Key { return h.key }

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
	return h.word.CompareAndSwap(uint64(w), uint64(w.claimed(now, holdOf(h.registry.Settings()))))
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
	before, after := h.apply(now, func(s Status, set *catalog.Health) Status {
		return Next(s, o, now, set)
	})
	if after.Doubt && !before.Doubt && h.registry.Settings().Probe {
		h.Wake()
	}
	return before.State, after.State, before.State != after.State
}

// apply changes the status and tells of a flip.
func (h *Host) apply(now int64, change func(Status, *catalog.Health) Status) (before, after Status) {
	h.mu.Lock()
	set := h.registry.Settings()
	for {
		w := h.word.Load()
		before = h.withClaim(word(w))
		after = change(before, set)
		// Only Claim writes the word without the lock.
		if h.word.CompareAndSwap(w, uint64(pack(&after, !set.Probe))) {
			break
		}
	}
	h.status = after
	h.mu.Unlock()

	if before.State != after.State && !h.gone.Load() {
		h.registry.flipped(Flip{Key: h.key, From: before.State, To: after.State, Reason: after.Reason, At: now})
	}
	return before, after
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
