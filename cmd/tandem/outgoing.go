package main

import (
	"fmt"
	"net/netip"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/router"
	"tandem/router/locate"
)

// outgoingField is what says how many connections the node opens.
const outgoingField = "streams.outgoing"

// outgoing is what hosts over TCP and TLS may take of the connections that the node
// opens: one to each from each listener that calls to it, or probes, leave by.
type outgoing struct{ hosts, connections int }

// outgoingTo counts hosts that are not disabled, those of several connectors once.
func outgoingTo(hosts []router.HostInfo) outgoing {
	type place struct {
		addr netip.AddrPort
		over catalog.Transport
	}
	places, connections := make(map[place]bool), make(map[peerAt]bool)
	for _, h := range hosts {
		if !h.Transport.Reliable() || h.State == catalog.Disabled {
			continue
		}
		places[place{h.Addr, h.Transport}] = true
		connections[peerAt{h.Listener, h.Addr}] = true
		for _, listener := range h.Listeners {
			connections[peerAt{listener, h.Addr}] = true
		}
	}
	return outgoing{len(places), len(connections)}
}

// unresolved adds the names of a catalog that nobody has asked DNS for: at least one
// host each, if their URIs say TCP or TLS.
func (o outgoing) unresolved(c *catalog.Catalog) outgoing {
	for _, t := range locate.Targets(c) {
		if t.Secure || t.Explicit && t.Transport.Reliable() {
			o.hosts++
			o.connections++
		}
	}
	return o
}

// warning says that there are more than a node opens with so many bytes of memory, and
// what to write; "" when there is room. Peers that are no hosts may have a fifth of
// what is written.
func (o outgoing) warning(s config.Streams, room uint64) string {
	most := limitsOf(s, room).Dialled
	if o.connections <= most {
		return ""
	}
	by := "as written"
	if s.Outgoing == 0 {
		by = "by the memory of this machine, since it is not set"
	}
	return fmt.Sprintf("%d hosts over TCP and TLS take up to %d connections, and the node opens no more than %d, %s: some hosts cannot be connected to; write %d or more, which needs a restart",
		o.hosts, o.connections, most, by, (o.connections*5+3)/4)
}
