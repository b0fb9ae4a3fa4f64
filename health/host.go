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
	word     atomic.Uint64                  // a word, of status and settings; read without a lock, written with mu held
	settings atomic.Pointer[catalog.Health] // in force for this host; changed with mu held
	key      Key
	registry *Registry

	mu      sync.Mutex
	status  Status // all of it
	own     bool   // the settings are its own: the registry's do not change them
	history *history
	tally   tally
	stalls  stalls // beside the lock

	bad     bool      // counted as such by its regions; guarded by the registry's regions
	regions []*Region // that it belongs to; guarded by the same

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
	told := h.adopt(h.registry.share(set), now)
	h.mu.Unlock()
	h.tell(&told)
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
	told := h.adopt(set, now)
	h.mu.Unlock()
	h.tell(&told)
}

// adopt puts settings in force. The lock is held: nothing is observed between
// the new settings and the status that they make.
func (h *Host) adopt(set *catalog.Health, now int64) (told changes) {
	h.settings.Store(set)
	h.change(now, func(s Status) Status { return Adopt(s, now, set) }, &told)
	return told
}

// View returns what a call needs to know of the host at the time now. It takes
// no lock and allocates nothing.
func (h *Host) View(now int64) View {
	w := word(h.word.Load())
	switch {
	case w.state() == Up:
		return View{State: Up, Share: 1}
	case w.ramps():
		return w.at(now, h.Settings().SlowStart)
	}
	return w.at(now, 0)
}

// Claim takes the trial that View told of, for one call: true for one caller,
// then false for the settings' DoubtHold, or for as long as the ejection lasted,
// whatever becomes of the call.
func (h *Host) Claim(now int64) bool {
	if !h.View(now).Trial {
		return false
	}
	h.mu.Lock()
	if !h.View(now).Trial {
		h.mu.Unlock()
		return false // another caller was faster
	}
	set := h.Settings()
	var told changes
	h.change(now, func(s Status) Status { return s.claimed(now, set) }, &told)
	h.mu.Unlock()
	h.tell(&told)
	return true
}

// Observe takes note of what was seen at the time now. It returns the state
// before and after, and whether they differ; a difference has been reported to
// Options.OnFlip when it returns. What changes nothing costs one atomic load,
// and one atomic addition if it is the outcome of a call. A new doubt asks for a
// probe at once, and so does what may be the end of a host.
func (h *Host) Observe(now int64, o Observation) (from, to State, flipped bool) {
	if !o.Besides {
		h.tally.count(o.Event)
	}
	if w := word(h.word.Load()); w.ignores(now, &o) {
		return w.state(), w.state(), false
	}
	h.mu.Lock()
	set := h.Settings()
	var told changes
	before, after := h.change(now, func(s Status) Status { return Next(s, o, now, set) }, &told)
	h.tally.mark(now)
	h.mu.Unlock()
	h.tell(&told)
	if set.Probe && worthAProbe(&before, &after, o.Event) {
		h.Wake()
	}
	return before.State, after.State, before.State != after.State
}

// worthAProbe says whether a probe is to tell at once what it is about a host.
func worthAProbe(before, after *Status, e Event) bool {
	return after.Doubt && !before.Doubt || after.Ejected && !before.Ejected ||
		e == CallStuck && !after.Ejected && after.Row.Sure == 1
}

// change replaces the status and the word, and notes what flips. The lock is
// held; told is for tell, without it.
func (h *Host) change(now int64, next func(Status) Status, told *changes) (before, after Status) {
	before = h.status
	s := before
	for {
		then, due := s.due(now)
		if !due {
			break
		}
		told.add(&s, &then, then.Since)
		s = then
	}
	after = next(s)
	told.add(&s, &after, now)
	h.status = after
	h.word.Store(uint64(pack(&after, !h.Settings().Probe)))
	if told.n == 0 {
		return before, after
	}
	if h.history == nil {
		h.history = new(history)
	}
	for _, c := range told.list[:told.n] {
		h.history.add(c)
	}
	if before.State.bad() != after.State.bad() && !h.gone.Load() {
		told.regions = h.registry.regions.mark(h, after.State.bad(), now)
	}
	return before, after
}

// tell tells of what flipped. The lock is not held.
func (h *Host) tell(told *changes) {
	if told.n == 0 || h.gone.Load() {
		return
	}
	for _, c := range told.list[:told.n] {
		h.registry.flipped(Flip{Key: h.key, From: c.From, To: c.To, Reason: c.Reason, At: c.At})
	}
	h.registry.regions.tell(told.regions)
}

// Status returns all that is known about the host. What time has ended is still
// in it until something is seen: see Status.At.
func (h *Host) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

// History returns the last changes of the host's state, the oldest first.
func (h *Host) History() []Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.history.copy()
}

// Calls returns what became of the host's last calls, as of the time now.
func (h *Host) Calls(now int64) Calls {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tally.last(now)
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
