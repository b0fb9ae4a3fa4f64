package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// A host that has cost one call is known to be in doubt, and the next calls go
// elsewhere. So each call of a kind goes to a number, a group and a dead host of
// its own, which no probe looks at; behind it is a connector that is well.

const (
	mostHosts = 10_000
	warmUp    = 20 // calls of each kind that do not count
)

// kind is why the first connector of a call does not answer.
type kind struct {
	name   string
	prefix string // of the numbers, six digits follow
	net    byte   // 127.93.net.x are its hosts
	open   bool   // somebody listens there, and never reads
	single bool   // all calls go to one host, which probes have found dead
	why    string // the failovers that tandem counts for it; "" for none
}

var (
	well  = kind{name: "well", prefix: "+15550"}
	kinds = []kind{
		{name: "refused", prefix: "+15551", net: 1, why: "icmp"},
		{name: "down", prefix: "+15552", net: 2, single: true},
		{name: "silent", prefix: "+15553", net: 3, open: true, why: "silent"},
	}

	proxy     = netip.MustParseAddrPort("127.93.0.1:5060")
	metricsAt = "127.93.0.1:9090"
)

// answers is the connector that answers calls of a kind.
func (k kind) answers() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 93, 0, 11 + k.net}), 5060)
}

// from is where its calls come from.
func (k kind) from() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 93, 0, 101 + k.net}), 0)
}

func (k kind) host(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 93, k.net, byte(1 + i%250)}), uint16(6000+i/250))
}

func (k kind) number(call int) []byte { return fmt.Appendf(nil, "%s%06d", k.prefix, call) }

// silence binds n hosts: what comes there is not read, and nothing says that it
// arrived nowhere.
func (k kind) silence(n int) (closeAll func(), err error) {
	var all []*net.UDPConn
	closeAll = func() {
		for _, conn := range all {
			_ = conn.Close()
		}
	}
	for i := range n {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(k.host(i)))
		if err != nil {
			closeAll()
			return nil, err
		}
		all = append(all, conn)
	}
	return closeAll, nil
}

// writeConfig writes the groups of all kinds, with so many dead hosts of each.
func writeConfig(dir string, s settings, hosts int) (string, error) {
	var connectors, groups strings.Builder
	alive := func(k kind) {
		fmt.Fprintf(&connectors, "  - {name: behind-%s, region: west, hosts: [{uri: \"sip:%s\"}]}\n", k.name, k.answers())
	}
	alive(well)
	fmt.Fprintf(&groups, "  - {name: %s, connectors: [{connector: behind-%[1]s, priority: 1}], numbers: [\"%[2]s*\"]}\n", well.name, well.prefix)
	for _, k := range kinds {
		alive(k)
		n, probes, numbers := hosts, "health: {probe: false}", ""
		if k.single {
			n, probes, numbers = 1, "health: {probe: true}", k.prefix+"*"
		}
		for i := range n {
			name := fmt.Sprintf("%s-%d", k.name, i)
			fmt.Fprintf(&connectors, "  - {name: %s, region: %s, %s, hosts: [{uri: \"sip:%s\"}]}\n", name, k.name, probes, k.host(i))
			if !k.single {
				numbers = string(k.number(i))
			}
			fmt.Fprintf(&groups, "  - {name: %s, connectors: [{connector: %[1]s, priority: 1}, {connector: behind-%[2]s, priority: 2}], numbers: [\"%[3]s\"]}\n",
				name, k.name, numbers)
		}
	}
	text := fmt.Sprintf(`listen: [udp://%s]
admin: off
metrics: {listen: %s}
state_dir: %s
trunks: [{name: load, sources: [127.0.0.0/8]}]
failover: {first_response: %v}
connectors:
%sgroups:
%s`, proxy, metricsAt, dir, s.wait, &connectors, &groups)
	path := filepath.Join(dir, "tandem.yaml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}
