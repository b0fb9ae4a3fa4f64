package config

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// Addresses that DNS has give way to those that are written, and to those of the
// names before them; where all want the same peer they stay.
func TestClashesOfAddressesOfNames(t *testing.T) {
	cfg := load(t, `
listen: [{address: tls://10.0.0.9, tls: {certificate: c.pem}}]
connectors:
  - {name: first, hosts: ["sips:a.example"]}
  - {name: second, hosts: ["sips:b.example"]}
  - {name: alike, hosts: ["sips:c.example"], tls: {name: a.example}}
  - {name: written, hosts: ["sips:10.0.0.2"]}
`)
	expanded := cfg.Catalog
	expanded.Connectors = append([]catalog.Connector{}, cfg.Catalog.Connectors...)
	resolve := func(connector int, addrs ...string) {
		c := &expanded.Connectors[connector]
		h := c.Hosts[0]
		c.Hosts = nil
		for _, a := range addrs {
			h.Addr = netip.MustParseAddrPort(a)
			c.Hosts = append(c.Hosts, h)
		}
	}
	resolve(0, "10.0.0.1:5061", "10.0.0.2:5061")
	resolve(1, "10.0.0.1:5061", "10.0.0.3:5061")
	resolve(2, "10.0.0.1:5061", "10.0.0.3:5061")
	clashes := cfg.Clashes(&expanded)
	var because []string
	for _, c := range clashes {
		because = append(because, expanded.Connectors[c.Connector].Name+": "+c.Because(&expanded))
	}
	require.Equal(t, []string{
		`first: connector "written" has the address too, and its tls.name is a.example here and 10.0.0.2 there`,
		`second: connector "first" has the address too, and its tls.name is b.example here and a.example there`,
		`alike: connector "second" has the address too, and its tls.name is a.example here and b.example there`,
	}, because)
	var left []string
	for _, c := range WithoutClashes(&expanded, clashes).Connectors {
		for _, h := range c.Hosts {
			left = append(left, c.Name+" "+h.Addr.String())
		}
	}
	require.Equal(t, []string{"first 10.0.0.1:5061", "second 10.0.0.3:5061", "alike 10.0.0.1:5061", "written 10.0.0.2:5061"}, left)
	require.Len(t, expanded.Connectors[0].Hosts, 2, "what was given is as it was")
}
