package health

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Region is the health of a region, which follows from that of its hosts: it is
// unhealthy while more than half of them are down or ejected.
type Region struct {
	name      string
	unhealthy atomic.Bool
	hosts     int // guarded by regions
	bad       int // of them, that are down or ejected; guarded by regions
}

// Name returns the region's name.
func (r *Region) Name() string { return r.name }

// Unhealthy says whether more than half of the region's hosts are down or
// ejected. It takes no lock. A region without hosts is healthy.
func (r *Region) Unhealthy() bool { return r.unhealthy.Load() }

// RegionFlip is a change of a region's health.
type RegionFlip struct {
	Region    string
	Unhealthy bool
	Bad       int   // hosts that are down or ejected
	Hosts     int   // of how many
	At        int64 // the caller's clock; 0 when it is because hosts came or went
}

// Reason writes the counts for a log line: "2 of 3 hosts down or ejected".
func (f RegionFlip) Reason() string {
	if f.Hosts == 0 {
		return "none of its hosts is in service"
	}
	return strconv.Itoa(f.Bad) + " of " + strconv.Itoa(f.Hosts) + " hosts down or ejected"
}

// regions are the regions of a Registry. Its lock may be taken with a host's
// lock held, and takes no other.
type regions struct {
	onFlip func(RegionFlip)

	mu     sync.Mutex
	byName map[string]*Region
}

// SetRegions says which hosts make up each region: those that calls are for, so
// without what the operator has taken out of service. A host may be in several
// regions. What Retain drops counts until the next call of this. Regions that are
// not named any more have no hosts, and are healthy;
// one that stays, or comes back, is the same Region.
func (r *Registry) SetRegions(members map[string][]Key) {
	hosts := make(map[string][]*Host, len(members))
	for name, keys := range members {
		seen := make(map[Key]bool, len(keys))
		for _, k := range keys {
			if !seen[k] {
				seen[k] = true
				hosts[name] = append(hosts[name], r.Host(k))
			}
		}
	}
	var every []*Host
	r.Each(func(_ Key, h *Host) { every = append(every, h) })
	r.regions.tell(r.regions.set(hosts, every))
}

// Region returns the region with a name, which has no hosts until SetRegions
// says so.
func (r *Registry) Region(name string) *Region {
	r.regions.mu.Lock()
	defer r.regions.mu.Unlock()
	return r.regions.named(name)
}

// Counts returns how many of a region's hosts are down or ejected, and how many
// there are.
func (r *Registry) Counts(region *Region) (bad, hosts int) {
	r.regions.mu.Lock()
	defer r.regions.mu.Unlock()
	return region.bad, region.hosts
}

func (r *regions) named(name string) *Region {
	region := r.byName[name]
	if region == nil {
		if r.byName == nil {
			r.byName = make(map[string]*Region)
		}
		region = &Region{name: name}
		r.byName[name] = region
	}
	return region
}

// set replaces the members of all regions; every is all hosts that there are.
func (r *regions) set(members map[string][]*Host, every []*Host) (flips []RegionFlip) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range every {
		h.regions = nil
	}
	for _, region := range r.byName {
		region.hosts, region.bad = 0, 0
	}
	for name, hosts := range members {
		region := r.named(name)
		region.hosts = len(hosts)
		for _, h := range hosts {
			h.regions = append(h.regions, region)
			if h.bad {
				region.bad++
			}
		}
	}
	for _, region := range r.byName {
		flips = region.judge(flips, 0)
	}
	slices.SortFunc(flips, func(a, b RegionFlip) int { return strings.Compare(a.Region, b.Region) })
	return flips
}

// mark takes note that a host is, or is not, down or ejected. The host's lock is
// held.
func (r *regions) mark(h *Host, bad bool, now int64) (flips []RegionFlip) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.bad == bad {
		return nil
	}
	h.bad = bad
	for _, region := range h.regions {
		if bad {
			region.bad++
		} else {
			region.bad--
		}
		flips = region.judge(flips, now)
	}
	return flips
}

// judge derives the region's health from its counts, and appends a change of it.
func (r *Region) judge(flips []RegionFlip, now int64) []RegionFlip {
	unhealthy := 2*r.bad > r.hosts
	if r.unhealthy.Swap(unhealthy) == unhealthy {
		return flips
	}
	return append(flips, RegionFlip{Region: r.name, Unhealthy: unhealthy, Bad: r.bad, Hosts: r.hosts, At: now})
}

func (r *regions) tell(flips []RegionFlip) {
	if r.onFlip == nil {
		return
	}
	for _, f := range flips {
		r.onFlip(f)
	}
}
