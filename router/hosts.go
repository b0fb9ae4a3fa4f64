package router

import (
	"net/netip"
	"slices"

	"tandem/config/catalog"
	"tandem/health"
)

// HostInfo is a host of the policy in force.
type HostInfo struct {
	Connector  string
	Region     string
	URI        string // of an address of a name with the address behind it
	Configured string // the URI itself, as it is written
	Named      string // as catalog.Host.Named
	Addr       netip.AddrPort
	State      catalog.State // what the operator wants; the connector's when that says less
	Why        string        // what makes it so: "connector is draining (ordered …)"; "" when it is enabled
	Key        health.Key
	Health     *health.Host
	Listener   int   // to probe from
	Listeners  []int // that calls may leave from, and probes
	Large      []int // that large requests may leave from over TCP, of a host over UDP
	Transport  catalog.Transport
	TLS        catalog.PeerTLS // who has to be there
	Probe      catalog.Probe   // what probes say
}

// Is reports whether a subject is the host: by its address and transport, or by its
// name.
func (h *HostInfo) Is(s catalog.Subject) bool {
	return s == catalog.HostSubject(h.Addr, h.Transport) || h.Named != "" && s == catalog.Subject{Kind: catalog.HostKind, Name: h.Named}
}

// wanted is what makes the host's state, and its connector's.
func (h *host) wanted() string {
	if h.why == "" || h.connector.why == "" {
		return h.connector.why + h.why
	}
	return h.connector.why + "; " + h.why
}

// Hosts lists the hosts of all connectors in the order of the catalog.
func (r *Router) Hosts() []HostInfo {
	pl := r.plan.Load()
	hosts := make([]HostInfo, 0, len(pl.hosts))
	for _, h := range pl.hosts {
		hosts = append(hosts, h.info())
	}
	return hosts
}

// HostsOf lists those whose health has that key, which several connectors may
// share, in the order of the catalog.
func (r *Router) HostsOf(key health.Key) (hosts []HostInfo) {
	for _, h := range r.plan.Load().hosts {
		if h.addr == key.Addr && h.health.Key() == key {
			hosts = append(hosts, h.info())
		}
	}
	return hosts
}

func (h *host) info() HostInfo {
	return HostInfo{
		Connector: h.connector.name, Region: h.connector.region,
		URI: h.uri, Configured: h.configured, Named: h.named, Addr: h.addr, State: max(h.state, h.connector.state), Why: h.wanted(),
		Key: h.health.Key(), Health: h.health, Listener: h.probeFrom, Probe: h.connector.probe,
		Listeners: append(slices.Clone(h.listeners), h.probeFrom), Large: h.large.reach(), Transport: h.transport, TLS: h.tls,
	}
}

// regions lists the hosts of each region that calls are for: one that is out of
// service says nothing about the others.
func (pl *plan) regions() map[string][]health.Key {
	regions := make(map[string][]health.Key)
	for _, h := range pl.hosts {
		if region := h.connector.region; region != "" && max(h.state, h.connector.state) == catalog.Enabled {
			regions[region] = append(regions[region], h.health.Key())
		}
	}
	return regions
}

// RegionInfo is a region of the policy in force.
type RegionInfo struct {
	Name      string
	Unhealthy bool // more than half of its hosts are bad
	Bad       int  // hosts that are down or ejected
	Hosts     int  // that are in service
}

// Regions lists the regions of all connectors in the order of the catalog.
func (r *Router) Regions() (regions []RegionInfo) {
	seen := make(map[string]bool)
	for _, h := range r.plan.Load().hosts {
		c := h.connector
		if c.region == "" || seen[c.region] {
			continue
		}
		seen[c.region] = true
		bad, hosts := r.health.Counts(c.regionHealth)
		regions = append(regions, RegionInfo{Name: c.region, Unhealthy: c.regionHealth.Unhealthy(), Bad: bad, Hosts: hosts})
	}
	return regions
}
