package router

import (
	"net/netip"

	"tandem/config/catalog"
)

// known are the hosts that dialogs may go on with: those of the policy, and
// those of earlier ones as long as a route token lives. A call that is up does
// not end because its connector was taken out of the catalog.
type known struct {
	hosts map[knownID]knownHost
	addrs map[netip.Addr]bool
	zones map[netip.Addr]string // of link-local addresses, by the address alone
}

// knownID is a host as a token names it.
type knownID struct{ connector, host uint32 }

type knownHost struct {
	addr netip.AddrPort
	over catalog.Transport
	last int64 // when a policy had it last; never while one has
}

// knownAfter makes the hosts known of pl, which comes after before (nil for
// none) at the time now.
func knownAfter(before, pl *plan, now int64) known {
	k := known{make(map[knownID]knownHost), make(map[netip.Addr]bool), make(map[netip.Addr]string)}
	if before != nil {
		for id, h := range before.known.hosts {
			h.last = min(h.last, now)
			if now-h.last < tokenLifeDays*day {
				k.hosts[id] = h
			}
		}
	}
	for _, h := range pl.hosts {
		k.hosts[knownID{h.connector.id, h.id}] = knownHost{h.addr, h.transport, never}
	}
	for _, h := range k.hosts {
		a := h.addr.Addr()
		k.addrs[a] = true
		if a.Zone() != "" {
			k.zones[a.WithZone("")] = a.Zone()
		}
	}
	return k
}

// at is the host that a token names: its address, and what it is reached over.
func (k *known) at(connector, host uint32) (netip.AddrPort, catalog.Transport, bool) {
	h, ok := k.hosts[knownID{connector, host}]
	return h.addr, h.over, ok
}
