package router

import (
	"net/netip"

	"tandem/config/catalog"
	"tandem/health"
)

// HostInfo is a host of the policy in force.
type HostInfo struct {
	Connector string
	Region    string
	URI       string
	Addr      netip.AddrPort
	State     catalog.State // what the operator wants; the connector's when that says less
	Key       health.Key
	Health    *health.Host
	Listener  int // to probe from
}

// Hosts lists the hosts of all connectors in the order of the catalog.
func (r *Router) Hosts() []HostInfo {
	pl := r.plan.Load()
	hosts := make([]HostInfo, 0, len(pl.hosts))
	for _, h := range pl.hosts {
		hosts = append(hosts, HostInfo{
			Connector: h.connector.name, Region: h.connector.region,
			URI: h.uri, Addr: h.addr, State: max(h.state, h.connector.state),
			Key: h.health.Key(), Health: h.health, Listener: h.probeFrom,
		})
	}
	return hosts
}
