// Package names keeps the addresses of host names that in-dialog requests are
// sent to: the hosts and maddrs of Contact and Route values.
//
// The life of a name:
//
//  1. Get checks it (name.go), finds nothing, puts it into a bounded queue and
//     answers Pending. The caller parks its request, asks once more (the lookup
//     may have ended meanwhile) and goes on with other work.
//  2. One of the goroutines of Run looks it up (lookup.go), keeps the answer or
//     the failure, and calls Resolved, on which callers ask for what they parked.
//  3. From then on Get answers without a lock, an allocation or a wait. When the
//     answer is older than Keep, Get serves it still, and has it looked up again.
//  4. The names used least recently make room for others (lru.go).
//
// It asks for A and AAAA alone: no NAPTR and no SRV (RFC 3263 4.1, 4.2), so a
// name leads to the port and transport that its URI says. It knows no TTL: what
// Lookup returns has none. It does not read IP addresses: one that
// comes as a name is refused. It does not say where requests may go: a stranger
// may own a name and have it lead to 127.0.0.1 or to us, so what it answers is
// to be checked like an address in a request. It does not limit who asks: one
// caller with many names that do resolve can displace those of others.
package names

import (
	"context"
	"hash/maphash"
	"math"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// queuePerLookup is how many names may wait for each lookup at a time, once
	// for names without an answer and once for those that are refreshed.
	queuePerLookup = 16
	// recency is how exact the order of use is: a name in steady use moves to
	// the front of its list this often and not with every request.
	recency = 100 * time.Millisecond
	// newcomers is the share of Room, one in so many, that names which answered
	// calls leave to others.
	newcomers = 8

	atOnce = math.MinInt64 // of a touchAt: the next use is to be noted
)

// Options are what New needs; zero values, and negative ones if not said
// otherwise, stand for the defaults.
type Options struct {
	// Lookup returns the addresses of a name, which comes in lower case and
	// without a trailing dot. It must return soon after ctx ends. An error that
	// is a *net.DNSError with IsNotFound says that the name has no address; any
	// other says nothing about it. There is no default.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)

	Room       int           // names kept; 4096
	Parallel   int           // lookups at a time; 16
	Timeout    time.Duration // of a lookup; 3 s
	Keep       time.Duration // how long an answer is good; 30 s
	KeepFailed time.Duration // how long a failure is, before the name is looked up again; 2 s
	KeepStale  time.Duration // how long beyond Keep an answer is served while there is no newer; 1 h, negative: not at all

	// Now reads a monotonic clock, in nanoseconds.
	Now func() int64
	// Resolved is called, without locks, each time a lookup has ended, by the
	// goroutine that did it: maybe by several at once. It must not block.
	Resolved func()
}

// State says what Get knows of a name.
type State uint8

const (
	Failed  State = iota // no name, or it has no address, or the resolver failed
	Known                // here are its addresses, at least one
	Pending              // there is no answer yet; a lookup is queued or under way
	Full                 // there is no answer and no room for a lookup: to be treated as failed
)

func (s State) String() string {
	return [...]string{"failed", "known", "pending", "full"}[s&3]
}

// Stats are counters since New. Every Get counts once among the first four.
type Stats struct {
	Hits     uint64 // answered from memory: Known, or a failure that is kept
	Misses   uint64 // Pending
	Full     uint64
	Refused  uint64 // no host name at all
	Lookups  uint64 // that have ended
	Failures uint64 // those of them that found no address
	Names    int    // in memory now
}

// Names is a cache of the addresses of names. Get and Stats are for any number
// of goroutines.
type Names struct {
	lookup                      func(ctx context.Context, name string) ([]netip.Addr, error)
	now                         func() int64
	resolved                    func()
	room, keptRoom, parallel    int
	timeout                     time.Duration
	keep, keepFailed, keepStale int64
	firsts, refreshes           chan *entry // what waits for a lookup; sent to under mu only
	seed                        maphash.Seed
	buckets                     []atomic.Pointer[entry] // a power of two of them; read without mu

	mu     sync.Mutex // held to change anything, for a few steps and never across a call
	recent list       // names that have not answered calls lately: the first to go
	kept   list       // names that have
	count  int        // all names: in a list, or with a lookup queued or under way

	hits, misses, full, refused, lookups, failures atomic.Uint64
}

// entry is one name. An entry that was evicted keeps its chain, for whoever is
// just walking it, and is never used again.
type entry struct {
	name string
	hash uint64

	chain   atomic.Pointer[entry]  // the next of the bucket
	answer  atomic.Pointer[answer] // of the last lookup; nil before it
	pending atomic.Bool            // a lookup is queued or under way; changed under mu
	touchAt atomic.Int64           // when a use is to be noted again

	// Under mu.
	kept         bool  // it belongs into Names.kept
	on           *list // nil while a lookup is queued or under way, or once evicted
	newer, older *entry
}

// answer is what a lookup found out. It does not change.
type answer struct {
	addrs      []netip.Addr // sorted; those of an earlier lookup when the last one failed
	until      int64        // before that there is no need for another lookup
	staleUntil int64        // the end of addrs
}

// at is what a says at now. Pending: nothing any more.
func (a *answer) at(now int64) ([]netip.Addr, State) {
	switch {
	case a == nil:
		return nil, Pending
	case a.addrs != nil && now < a.staleUntil:
		return a.addrs, Known
	case now < a.until:
		return nil, Failed
	}
	return nil, Pending
}

// New returns an empty cache. Until Run runs, lookups only queue.
func New(o Options) *Names {
	n := &Names{
		lookup: o.Lookup, now: o.Now, resolved: o.Resolved,
		room:     positive(o.Room, 4096),
		parallel: positive(o.Parallel, 16),
		timeout:  positive(o.Timeout, 3*time.Second),
		keep:     int64(positive(o.Keep, 30*time.Second)), keepFailed: int64(positive(o.KeepFailed, 2*time.Second)),
		seed: maphash.MakeSeed(),
	}
	switch {
	case o.KeepStale == 0:
		n.keepStale = int64(time.Hour)
	case o.KeepStale > 0:
		n.keepStale = int64(o.KeepStale)
	}
	if n.now == nil {
		start := time.Now()
		n.now = func() int64 { return int64(time.Since(start)) }
	}
	if n.resolved == nil {
		n.resolved = func() {}
	}
	n.keptRoom = n.room - max(n.room/newcomers, 1)
	n.firsts = make(chan *entry, n.parallel*queuePerLookup)
	n.refreshes = make(chan *entry, n.parallel*queuePerLookup)
	n.buckets = make([]atomic.Pointer[entry], 1<<bits.Len(uint(2*n.room-1)))
	return n
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Get returns the addresses of a name, which are shared: they must not be
// changed. Upper and lower case are the same, and so is a trailing dot. Get
// keeps nothing of name's bytes.
//
// Known and Failed come without waiting for anyone: an entry is read through
// atomic pointers, and its use is noted, or its refresh queued, only if the
// lock happens to be free, else by the next Get. Only a name without an answer
// takes the lock.
func (n *Names) Get(name []byte) ([]netip.Addr, State) {
	var buf [maxName]byte
	key, ok := canonical(&buf, name)
	if !ok {
		n.refused.Add(1)
		return nil, Failed
	}
	now := n.now()
	hash := maphash.Bytes(n.seed, key)
	e := n.find(hash, key)
	if e == nil {
		return n.miss(hash, key, now)
	}
	a := e.answer.Load()
	addrs, state := a.at(now)
	if state == Pending {
		return n.miss(hash, key, now)
	}
	n.hits.Add(1)
	if now >= e.touchAt.Load() || now >= a.until && !e.pending.Load() {
		n.touch(e, state == Known, now)
	}
	return addrs, state
}

// find walks the chain of a bucket. Without mu it may miss a name that is just
// being added.
func (n *Names) find(hash uint64, key []byte) *entry {
	e := n.bucket(hash).Load()
	for e != nil && (e.hash != hash || e.name != string(key)) {
		e = e.chain.Load()
	}
	return e
}

func (n *Names) bucket(hash uint64) *atomic.Pointer[entry] {
	return &n.buckets[hash&uint64(len(n.buckets)-1)]
}

// touch notes that e was used, and queues its refresh if it is due.
func (n *Names) touch(e *entry, known bool, now int64) {
	if !n.mu.TryLock() {
		return
	}
	defer n.mu.Unlock()
	e.touchAt.Store(now + int64(recency))
	e.kept = e.kept || known
	switch {
	case e.on == nil: // it will be placed when its lookup has ended, or is gone
	case now >= e.answer.Load().until && n.enqueue(e, n.refreshes):
	default:
		n.place(e)
	}
}

// miss has a name looked up that there is no answer for.
func (n *Names) miss(hash uint64, key []byte, now int64) ([]netip.Addr, State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.find(hash, key)
	if e != nil {
		if addrs, state := e.answer.Load().at(now); state != Pending { // it came meanwhile
			n.hits.Add(1)
			return addrs, state
		}
	}
	switch {
	case e != nil && e.pending.Load():
	case len(n.firsts) < cap(n.firsts) && (e != nil || n.makeRoom()):
		if e == nil {
			e = n.add(hash, string(key))
		}
		n.enqueue(e, n.firsts)
	default:
		n.full.Add(1)
		return nil, Full
	}
	n.misses.Add(1)
	return nil, Pending
}

// enqueue gives e to the goroutines of Run, unless too many wait already. Until
// its lookup has ended it is in no list, and so is not evicted.
func (n *Names) enqueue(e *entry, queue chan *entry) bool {
	select {
	case queue <- e:
		e.pending.Store(true)
		unlink(e)
		return true
	default:
		return false
	}
}

// Stats reads the counters.
func (n *Names) Stats() Stats {
	n.mu.Lock()
	names := n.count
	n.mu.Unlock()
	failures := n.failures.Load() // before lookups, so that they are never more
	return Stats{
		Hits: n.hits.Load(), Misses: n.misses.Load(), Full: n.full.Load(), Refused: n.refused.Load(),
		Lookups: n.lookups.Load(), Failures: failures, Names: names,
	}
}
