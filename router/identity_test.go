package router

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

func prefixes(all ...string) (list []netip.Prefix) {
	for _, p := range all {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// Who a request is from, by what its certificate proves and where it comes from.
func TestRFC5922_TrunkByCertificate(t *testing.T) {
	p := twoRegions()
	p.Trunks = []Trunk{
		{Name: "address", Sources: prefixes("192.0.2.0/24", "2001:db8::/32")},
		{Name: "named", Identities: []string{"sip.a.example", "sip.also.example"}},
		{Name: "placed", Identities: []string{"sip.b.example"}, Sources: prefixes("198.51.100.0/24", "192.0.2.0/28", "fe80::/10")},
		{Name: "revoked", Identities: []string{"sip.bad.example"}, Refused: true},
		{Name: "quiet", Identities: []string{"sip.quiet.example"}, Refused: true, Untrusted: Drop},
	}
	pl := newRig(t, p).r.plan.Load()
	for name, c := range map[string]struct {
		names  string // "-": a peer without a certificate; "": none that the transport knows of
		source string
		trunk  string
		silent bool
	}{
		"no certificate, its address":                   {"", "192.0.2.1", "address", false},
		"no certificate over TLS, its address":          {"-", "192.0.2.1", "address", false},
		"no certificate, no address":                    {"", "203.0.113.1", "", false},
		"no certificate, an address of who needs one":   {"", "198.51.100.1", "", false},
		"its certificate, anywhere":                     {"sip.a.example", "203.0.113.1", "named", false},
		"its other name":                                {"x.example sip.also.example", "203.0.113.1", "named", false},
		"its certificate, in the prefix of another":     {"sip.a.example", "192.0.2.1", "named", false},
		"its certificate and its address":               {"sip.b.example", "198.51.100.1", "placed", false},
		"both, and the address is another's too":        {"sip.b.example", "192.0.2.1", "placed", false},
		"both, link-local":                              {"sip.b.example", "fe80::1%eth0", "placed", false},
		"its certificate, another address":              {"sip.b.example", "203.0.113.1", "", false},
		"its certificate, the address of another":       {"sip.b.example", "192.0.2.200", "address", false},
		"a certificate of nobody":                       {"x.example", "203.0.113.1", "", false},
		"a certificate of nobody, a trunk's address":    {"x.example", "192.0.2.1", "address", false},
		"a part of a name":                              {"a.example", "203.0.113.1", "", false},
		"names of two: the first of the config":         {"sip.b.example sip.a.example", "198.51.100.1", "named", false},
		"names of two, and only one may come from here": {"sip.b.example sip.bad.example", "198.51.100.1", "placed", false},
		"refused by name":                               {"sip.bad.example", "203.0.113.1", "", false},
		"refused by name, a trunk's address":            {"sip.bad.example", "192.0.2.1", "", false},
		"dropped by name":                               {"sip.quiet.example", "192.0.2.1", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := scratch{plan: pl, source: netip.AddrPortFrom(netip.MustParseAddr(c.source), 40000)}
			if c.names != "" {
				s.peer = &transport.Peer{TLS: true}
			}
			if c.names != "-" && c.names != "" {
				s.peer.Names = strings.Fields(c.names)
			}
			require.Zero(t, testing.AllocsPerRun(10, s.identify))
			got := ""
			if s.trunk != nil {
				got = s.trunk.Name
			}
			require.Equal(t, c.trunk, got)
			require.Equal(t, c.silent, s.silent)
		})
	}
}

// What is refused says what its certificate proved, and what would admit it.
func TestLogOfAnUnknownCertificate(t *testing.T) {
	p := twoRegions()
	p.Trunks = append(p.Trunks, Trunk{Name: "placed", Identities: []string{"sip.b.example"}, Sources: prefixes("198.51.100.0/24")})
	g, lines := logged(t, p)
	from := func(names ...string) map[string]any {
		in := []transport.Packet{{Data: []byte(invite()), Source: callee, Peer: &transport.Peer{Names: names, TLS: true}}}
		g.r.Packets(g.now, in, &g.out)
		require.Equal(t, []string{"callee 403 INVITE"}, summary(g.taken()))
		all := lines()
		require.Len(t, all, 1)
		return all[0]
	}
	line := from("x.example")
	require.Equal(t, "request from a source that is no trunk's: answered 403", line["msg"])
	require.Equal(t, []any{"x.example"}, line["certificate"])
	require.Equal(t, "trunks: [{name: NAME, tls: [x.example]}]", line["to_admit"])

	line = from("sip.b.example")
	require.Equal(t, "trunks: [{name: placed, sources: [203.0.113.99/32, ...]}]", line["to_admit"])

	line = from(strings.Split(strings.Repeat(strings.Repeat("x", 1000)+" ", 100), " ")...)
	require.Len(t, line["certificate"], 9)
	require.Less(t, len(line["certificate"].([]any)[0].(string)), 260)
}
