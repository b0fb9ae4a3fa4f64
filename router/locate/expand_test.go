package locate

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

func server(addr string, priority, weight uint16) Server {
	a := netip.MustParseAddrPort(addr)
	return Server{Addr: a, Transport: catalog.UDP, Host: "h" + a.Addr().String(), SRV: true, Priority: priority, Weight: weight}
}

func named(name string, priority, weight int) catalog.Host {
	return catalog.Host{URI: "sip:" + name, Name: name, HostPort: name, Priority: priority, Weight: weight}
}

func numeric(addr string, priority, weight int) catalog.Host {
	return catalog.Host{URI: "sip:" + addr, Addr: netip.MustParseAddrPort(addr), HostPort: addr, Priority: priority, Weight: weight}
}

func TestExpand(t *testing.T) {
	plain := func(addr string) Server {
		return Server{Addr: netip.MustParseAddrPort(addr), Transport: catalog.UDP, Host: "n"}
	}
	over := func(transport catalog.Transport, choice int, s Server) Server {
		s.Transport, s.Choice = transport, choice
		return s
	}
	alike := func(host string, s Server) Server {
		s.Host = host
		return s
	}
	for _, c := range []struct {
		name  string
		hosts []catalog.Host
		dns   map[string][]Server
		want  []string // address, priority/order, weight times share
		left  []string
	}{
		{"addresses share the weight of their name",
			[]catalog.Host{named("n", 1, 10), numeric("192.0.2.9:5060", 1, 10)},
			map[string][]Server{"n": {plain("192.0.2.1:5060"), plain("192.0.2.2:5060")}},
			[]string{"192.0.2.1:5060 1/0 5", "192.0.2.2:5060 1/0 5", "192.0.2.9:5060 1/0 10"}, nil},
		{"SRV: priority orders, weight shares among equals",
			[]catalog.Host{named("n", 1, 10)},
			map[string][]Server{"n": {server("192.0.2.1:5060", 5, 60), server("192.0.2.2:5060", 5, 20), server("192.0.2.3:5070", 9, 7)}},
			[]string{"192.0.2.1:5060 1/0 7.5", "192.0.2.2:5060 1/0 2.5", "192.0.2.3:5070 1/1 10"}, nil},
		{"the priority of hosts comes first, and those that a name wants first are beside others",
			[]catalog.Host{named("n", 2, 1), named("m", 1, 1), numeric("192.0.2.9:5060", 1, 1)},
			map[string][]Server{"n": {server("192.0.2.1:5060", 0, 1)}, "m": {server("192.0.2.2:5060", 98, 1), server("192.0.2.3:5060", 99, 1)}},
			[]string{"192.0.2.1:5060 2/0 1", "192.0.2.2:5060 1/0 1", "192.0.2.3:5060 1/1 1", "192.0.2.9:5060 1/0 1"}, nil},
		{"RFC 2782: weights of 0 are equal",
			[]catalog.Host{named("n", 1, 4)},
			map[string][]Server{"n": {server("192.0.2.1:5060", 1, 0), server("192.0.2.2:5060", 1, 0)}},
			[]string{"192.0.2.1:5060 1/0 2", "192.0.2.2:5060 1/0 2"}, nil},
		{"RFC 2782: 0 among others is next to nothing",
			[]catalog.Host{named("n", 1, 1)},
			map[string][]Server{"n": {server("192.0.2.1:5060", 1, 0), server("192.0.2.2:5060", 1, 1), server("192.0.2.3:5060", 2, 0)}},
			[]string{"192.0.2.1:5060 1/0 0.009901", "192.0.2.2:5060 1/0 0.9901", "192.0.2.3:5060 1/1 1"}, nil},
		{"addresses of one record have equal parts of its share",
			[]catalog.Host{named("n", 1, 100)},
			map[string][]Server{"n": {alike("a", server("192.0.2.1:5060", 1, 50)), alike("a", server("192.0.2.2:5060", 1, 50)), alike("b", server("192.0.2.3:5060", 1, 50))}},
			[]string{"192.0.2.1:5060 1/0 25", "192.0.2.2:5060 1/0 25", "192.0.2.3:5060 1/0 50"}, nil},
		{"two records of one address are one host",
			[]catalog.Host{named("n", 1, 3)},
			map[string][]Server{"n": {alike("a", server("192.0.2.1:5060", 1, 1)), alike("b", server("192.0.2.1:5060", 1, 1)), alike("c", server("192.0.2.3:5060", 1, 1))}},
			[]string{"192.0.2.1:5060 1/0 2", "192.0.2.3:5060 1/0 1"}, nil},
		{"an address that the connector has twice stands where it is tried first",
			[]catalog.Host{named("n", 1, 1), numeric("192.0.2.1:5060", 1, 1), numeric("192.0.2.2:5060", 2, 1)},
			map[string][]Server{"n": {server("192.0.2.3:5060", 7, 1), server("192.0.2.1:5060", 8, 1), server("192.0.2.2:5060", 9, 1), server("192.0.2.2:5061", 9, 1)}},
			[]string{"192.0.2.3:5060 1/0 1", "192.0.2.2:5060 1/2 0.5", "192.0.2.2:5061 1/2 0.5", "192.0.2.1:5060 1/0 1"}, nil},
		{"a name without an address stays",
			[]catalog.Host{named("n", 1, 1), numeric("192.0.2.1:5060", 1, 1)}, nil,
			[]string{"invalid AddrPort 1/0 1", "192.0.2.1:5060 1/0 1"}, nil},
		{"other transports are left out",
			[]catalog.Host{named("n", 1, 1)},
			map[string][]Server{"n": {over(catalog.TLS, 0, server("192.0.2.1:5061", 1, 1)), over(catalog.UDP, 1, server("192.0.2.1:5060", 1, 1)), over(catalog.UDP, 2, server("192.0.2.2:5060", 0, 1))}},
			[]string{"192.0.2.1:5060 1/0 1", "192.0.2.2:5060 1/1 1"},
			[]string{"sip:n 192.0.2.1:5061: no tls"}},
		{"of what is spoken, what DNS prefers",
			[]catalog.Host{named("n", 1, 1)},
			map[string][]Server{"n": {over(catalog.TCP, 0, server("192.0.2.1:5060", 1, 1)), over(catalog.UDP, 1, server("192.0.2.2:5060", 1, 1))}},
			[]string{"192.0.2.1:5060 1/0 1"}, []string{"sip:n 192.0.2.2:5060: tcp is preferred to udp"}},
		{"what cannot be reached is left out, and the rest shares all of the weight",
			[]catalog.Host{named("n", 1, 10)},
			map[string][]Server{"n": {server("127.0.0.1:5060", 1, 90), server("192.0.2.2:5060", 1, 10)}},
			[]string{"192.0.2.2:5060 1/0 10"}, []string{"sip:n 127.0.0.1:5060: loopback"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := &catalog.Catalog{Connectors: []catalog.Connector{{Name: "east", Hosts: c.hosts}}}
			written := fmt.Sprint(before)
			w := World{
				Servers: func(t Target) []Server { return c.dns[t.Name] },
				Reach: func(_ *catalog.Connector, over catalog.Transport, a netip.AddrPort) error {
					switch {
					case over == catalog.TLS:
						return errors.New("no tls")
					case a.Addr().IsLoopback():
						return errors.New("loopback")
					}
					return nil
				},
			}
			after, out := Expand(before, w)
			var got, left []string
			for _, h := range after.Connectors[0].Hosts {
				share := h.Share
				if share == 0 {
					share = 1
				}
				require.Equal(t, strings.Contains(c.name, "prefers"), h.Transport == catalog.TCP)
				got = append(got, fmt.Sprintf("%s %d/%d %.4g", h.Addr, h.Priority, h.Order, float64(h.Weight)*share))
			}
			for _, l := range out {
				left = append(left, fmt.Sprintf("%s %s: %v", l.URI, l.Server.Addr, l.Why))
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.left, left)
			require.Equal(t, written, fmt.Sprint(before), "the catalog is not changed")
			again, _ := Expand(after, w)
			require.Equal(t, after.Connectors[0].Hosts, again.Connectors[0].Hosts, "what is expanded stays so")
		})
	}
}

// One address over two transports is two hosts, of a name or not.
func TestExpandKeepsTransportsApart(t *testing.T) {
	overTCP := numeric("192.0.2.1:5060", 1, 1)
	overTCP.Transport = catalog.TCP
	hosts := []catalog.Host{named("n", 1, 1), overTCP, numeric("192.0.2.1:5060", 2, 1)}
	w := World{
		Servers: func(Target) []Server { return []Server{server("192.0.2.1:5060", 1, 1)} },
		Reach:   func(*catalog.Connector, catalog.Transport, netip.AddrPort) error { return nil },
	}
	after, _ := Expand(&catalog.Catalog{Connectors: []catalog.Connector{{Name: "east", Hosts: hosts}}}, w)
	var got []string
	for _, h := range after.Connectors[0].Hosts {
		got = append(got, h.Subject().Name)
	}
	require.Equal(t, []string{"192.0.2.1:5060", "192.0.2.1:5060;transport=tcp"}, got)
}

func TestExpandWithoutNames(t *testing.T) {
	c := &catalog.Catalog{Connectors: []catalog.Connector{{Hosts: []catalog.Host{numeric("192.0.2.1:5060", 1, 1)}}}}
	after, _ := Expand(c, World{})
	require.Same(t, c, after)
}

func TestTargets(t *testing.T) {
	h := named("a.example", 1, 1)
	other := h
	other.Params, other.Port = ";lr;Transport=TCP", 5080
	secure := h
	secure.URI = "SIPS:a.example"
	c := &catalog.Catalog{Connectors: []catalog.Connector{{Hosts: []catalog.Host{h, other, numeric("192.0.2.1:5060", 1, 1)}}, {Hosts: []catalog.Host{h, secure}}}}
	var got []string
	for _, one := range Targets(c) {
		got = append(got, one.String())
	}
	require.Equal(t, []string{"sip:a.example", "sip:a.example:5080;transport=tcp", "sips:a.example"}, got)
}
