package router

import (
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"tandem/config/catalog"
)

// Trunk is who may call in: a named set of source prefixes.
type Trunk struct {
	Name      string
	Sources   []netip.Prefix
	Strip     string // prefix removed from the called number
	Prepend   string // put before a called number without "+"
	Symmetric bool   // replies go to the source port even without rport
	MaxCPS    int    // requests a second that may begin a call; 0 is no limit
	Burst     int    // how many of them may come at once
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
	class  int // which of the failover settings of an entry are its calls'
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
	for _, pt := range trunks {
		t := &trunk{Trunk: pt, stats: r.ledger.trunk(pt.Name)}
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
		for _, prefix := range pt.Sources {
			pl.trunks.Insert(prefix.Masked(), t)
		}
		pl.byTrunk[pt.Name] = t
	}
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
