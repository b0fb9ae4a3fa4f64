package router

import (
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"tandem/config/catalog"
	"tandem/router/transport"
)

// Trunk is who may call in: a named set of source prefixes, or of names that a
// certificate proves.
type Trunk struct {
	Name string
	// Sources are where its calls come from. Of a trunk with Identities they say
	// no more than that: its certificate has to be shown too.
	Sources []netip.Prefix
	// Identities are names of certificates, in lower case: who has proved to be
	// one of them (RFC 5922), from any of Sources, or from anywhere when there
	// are none, is this trunk, whatever trunk has that address. No other trunk has
	// any of them.
	Identities []string
	Strip      string // prefix removed from the called number
	Prepend    string // put before a called number without "+"
	Symmetric  bool   // behind a NAT: what is for it goes where its requests came from
	MaxCPS     int    // requests a second that may begin a call; 0 is no limit
	Burst      int    // how many of them may come at once
	// Refused sources get what Untrusted says, as if they were in no trunk.
	Refused   bool
	Untrusted Untrusted
	Failover  catalog.FailoverPart // of the calls that it brings
}

// Untrusted says what a source that is no trunk's gets.
type Untrusted uint8

// What an untrusted source gets.
const (
	Reject Untrusted = iota // 403
	Drop                    // silence
)

// trunk is a Trunk compiled.
type trunk struct {
	Trunk
	place  int        // in the policy
	within *bart.Lite // Sources, of one with Identities; nil: everywhere
	class  int        // which of the failover settings of an entry are its calls'
	every  int64
	slack  int64
	bucket *bucket // kept across a change of policy
	stats  *trunkStats
}

// compileTrunks makes the prefix table. Trunks with the same failover settings
// are of one class; class 0 has none of its own.
func (pl *plan) compileTrunks(r *Router) {
	pl.trunks = new(bart.Table[*trunk])
	pl.classes = []catalog.FailoverPart{{}}
	classes := map[catalog.FailoverPart]int{{}: 0}
	trunks := pl.policy.Trunks
	if len(trunks) == 0 {
		trunks = []Trunk{{Name: "loopback", Sources: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
		}}}
	}
	for place, pt := range trunks {
		t := &trunk{Trunk: pt, place: place, stats: r.ledger.trunk(pt.Name)}
		class, ok := classes[pt.Failover]
		if !ok {
			class = len(pl.classes)
			classes[pt.Failover] = class
			pl.classes = append(pl.classes, pt.Failover)
		}
		t.class = class
		if pt.MaxCPS > 0 {
			t.bucket = &t.stats.bucket
			t.every = second / int64(pt.MaxCPS)
			t.slack = t.every * int64(max(pt.Burst, 1)-1)
		}
		pl.byTrunk[pt.Name] = t
		if len(pt.Identities) > 0 {
			pl.compileProof(t)
			continue
		}
		for _, prefix := range pt.Sources {
			pl.trunks.Insert(prefix.Masked(), t)
		}
	}
}

// compileProof has t known by its identities.
func (pl *plan) compileProof(t *trunk) {
	for _, name := range t.Identities {
		pl.proof[name] = t
	}
	if len(t.Sources) == 0 {
		return
	}
	t.within = new(bart.Lite)
	for _, prefix := range t.Sources {
		t.within.Insert(prefix.Masked())
	}
}

// proven is the trunk that who is at source has proved to be; nil when it is
// none. Who has names of several is the one that stands first in the policy.
func (pl *plan) proven(peer *transport.Peer, source netip.Addr) (t *trunk) {
	if peer == nil || len(pl.proof) == 0 {
		return nil
	}
	for _, name := range peer.Names {
		if of := pl.proof[name]; of != nil && (t == nil || of.place < t.place) && of.from(source) {
			t = of
		}
	}
	return t
}

// mayCall reports whether calls of a trunk may come from source, with its
// certificate or without.
func (pl *plan) mayCall(source netip.Addr) bool {
	if t, _ := pl.trunks.Lookup(source.WithZone("")); t != nil && !t.Refused {
		return true
	}
	for _, t := range pl.proof {
		if !t.Refused && t.from(source) {
			return true
		}
	}
	return false
}

// misplaced is the trunk that one of names is of; "" when there is none.
func (pl *plan) misplaced(names []string) string {
	for _, name := range names {
		if t := pl.proof[name]; t != nil && !t.Refused {
			return t.Name
		}
	}
	return ""
}

// from reports whether calls of a trunk with Identities may come from source.
func (t *trunk) from(source netip.Addr) bool {
	return t.within == nil || t.within.Contains(source.WithZone(""))
}

// admits takes one from the trunk's allowance of new calls. When there is none
// it returns how long it takes until there is again, in nanoseconds.
func (t *trunk) admits(now int64) (wait int64) {
	if t.bucket == nil {
		return 0
	}
	return t.bucket.take(now, t.every, t.slack)
}

// bucket is a generic cell rate in one word: the time at which the next one
// would come if all came evenly.
type bucket struct{ next atomic.Int64 }

// take lets one through if it comes no more than slack before its time; every
// is the time between two.
func (b *bucket) take(now, every, slack int64) (wait int64) {
	for {
		next := b.next.Load()
		// Nothing owes more than an empty bucket does: what is further ahead was
		// counted at another rate, before the policy changed.
		due := min(next, now+slack+every)
		if early := due - slack - now; early > 0 {
			return early
		}
		if b.next.CompareAndSwap(next, max(due, now)+every) {
			return 0
		}
	}
}

// ready reports whether take would let one through.
func (b *bucket) ready(now, every, slack int64) bool {
	next := b.next.Load()
	return min(next, now+slack+every)-slack <= now
}
