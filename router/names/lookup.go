package names

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// maxAddrs is how many addresses of a name are kept: whoever owns a name could
// give it thousands.
const maxAddrs = 32

// Run looks up what Get queues, until ctx ends; then it waits for the lookups
// that are under way, which end with ctx. What is queued stays queued. It is
// for one goroutine.
func (n *Names) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for range n.parallel {
		wg.Go(func() {
			for ctx.Err() == nil {
				// Of two queues that have something select takes either with the
				// same chance: neither starves the other.
				select {
				case <-ctx.Done():
				case e := <-n.firsts:
					n.resolve(ctx, e)
				case e := <-n.refreshes:
					n.resolve(ctx, e)
				}
			}
		})
	}
	wg.Wait()
}

// resolve looks e up and keeps what comes of it.
func (n *Names) resolve(ctx context.Context, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	found, err := n.lookup(ctx, e.name)
	next := n.outcome(e.answer.Load(), found, err, n.now())
	n.lookups.Add(1)
	if err != nil || next.addrs == nil {
		n.failures.Add(1)
	}
	n.mu.Lock()
	e.answer.Store(next)
	e.pending.Store(false)
	e.touchAt.Store(atOnce)
	n.place(e)
	n.mu.Unlock()
	n.resolved()
}

// outcome is the answer after a lookup. A resolver that fails leaves the
// addresses of before (RFC 8767 5); one that says that there are none does not.
func (n *Names) outcome(last *answer, found []netip.Addr, err error, now int64) *answer {
	if err == nil {
		if addrs := usable(found); addrs != nil {
			return &answer{addrs: addrs, until: now + n.keep, staleUntil: now + n.keep + n.keepStale}
		}
	}
	next := &answer{until: now + n.keepFailed}
	var dns *net.DNSError
	none := err == nil || errors.As(err, &dns) && dns.IsNotFound
	if last != nil && !none && now < last.staleUntil {
		next.addrs, next.staleUntil = last.addrs, last.staleUntil
	}
	return next
}

// usable is what requests can be sent to: sorted, each once, IPv4 as IPv4 and
// without zones, which are names of links of another machine. nil if nothing is.
func usable(found []netip.Addr) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range found {
		a = a.Unmap().WithZone("")
		if a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != broadcast {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	// A copy: the rest of a long answer is not to be kept alive, and whoever
	// appends to the addresses gets others.
	return slices.Clip(append([]netip.Addr(nil), addrs[:min(len(addrs), maxAddrs)]...))
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
