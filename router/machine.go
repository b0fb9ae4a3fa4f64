package router

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// machine are the addresses of this machine, each with a place: those that
// there were at the start in their order, then those that messages were sent to
// since, as a virtual address that came over from another node. A place never
// changes.
type machine struct {
	addrs atomic.Pointer[[]netip.Addr]
	mu    sync.Mutex // of learn
}

const mostPlaces = 255 // two hexadecimal digits of a branch, without 0

func (m *machine) set(addrs []netip.Addr) {
	addrs = slices.Clone(addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	addrs = addrs[:min(len(addrs), mostPlaces)]
	m.addrs.Store(&addrs)
}

func (m *machine) has(a netip.Addr) bool { return slices.Contains(*m.addrs.Load(), a) }

// place is where a stands, counted from 1; 0 when it is not valid, or there is
// no room.
func (m *machine) place(a netip.Addr) uint8 {
	if !a.IsValid() {
		return 0
	}
	if i := slices.Index(*m.addrs.Load(), a); i >= 0 {
		return uint8(i + 1)
	}
	return m.learn(a)
}

// learn gives an address that is not known yet a place.
func (m *machine) learn(a netip.Addr) uint8 {
	m.mu.Lock()
	defer m.mu.Unlock()
	addrs := *m.addrs.Load()
	i := slices.Index(addrs, a)
	if i < 0 {
		if len(addrs) == mostPlaces {
			return 0
		}
		i = len(addrs)
		addrs = append(slices.Clone(addrs), a)
		m.addrs.Store(&addrs)
	}
	return uint8(i + 1)
}

// at is the address at a place; not valid for 0, or when there is none.
func (m *machine) at(place uint8) netip.Addr {
	addrs := *m.addrs.Load()
	if place == 0 || int(place) > len(addrs) {
		return netip.Addr{}
	}
	return addrs[place-1]
}
