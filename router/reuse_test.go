package router

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/transport"
)

// A peer with a certificate may have requests for its sent-by sent back on its
// connection; nobody else may, and for nothing else.
func TestRFC5923_7_2_Alias(t *testing.T) {
	named := &transport.Peer{TLS: true, Names: []string{"sbc.example.com", "sbc2.example.com"}}
	for name, c := range map[string]struct {
		via  string
		peer *transport.Peer
		want string
	}{
		"the address it comes from":      {"192.0.2.10:5071;alias;branch=z9hG4bKa", named, "192.0.2.10:5071"},
		"the default port":               {"192.0.2.10;branch=z9hG4bKa;ALIAS", named, "192.0.2.10:5061"},
		"a name of its":                  {"SBC2.example.com:5071;branch=z9hG4bKa;alias", named, "192.0.2.10:5071"},
		"it did not ask":                 {"192.0.2.10:5071;branch=z9hG4bKa;x=alias", named, ""},
		"another's address":              {"192.0.2.11:5071;branch=z9hG4bKa;alias", named, ""},
		"another's name":                 {"other.example.com:5071;branch=z9hG4bKa;alias", named, ""},
		"part of a name":                 {"example.com:5071;branch=z9hG4bKa;alias", named, ""},
		"it has proved nothing":          {"192.0.2.10:5071;branch=z9hG4bKa;alias", &transport.Peer{TLS: true}, ""},
		"nobody knows who that is":       {"192.0.2.10:5071;branch=z9hG4bKa;alias", nil, ""},
		"it was asked by who was before": {"192.0.2.9:5071;alias;branch=z9hG4bKa,SIP/2.0/TLS 192.0.2.10:5071;alias", named, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			g := newMixedRig(t, hostOver(catalog.UDP))
			g.r.alias = func(listener int, source, addr netip.AddrPort) {
				require.Equal(t, []any{overTLS, connection}, []any{listener, source})
				got += addr.String()
			}
			in := []transport.Packet{{Data: []byte(invite("Via: SIP/2.0/TLS " + c.via)), Source: connection, Listener: overTLS, Peer: c.peer}}
			g.r.Packets(g.now, in, &g.out)
			require.Equal(t, c.want, got)
		})
	}
}

// Over TLS a request of a dialog goes to who proves to be what its URI says: the
// host of the next hop, not the address that it was resolved to.
func TestRFC5922_7_3_WhoTheNextHopHasToBe(t *testing.T) {
	for name, c := range map[string]struct{ uri, route, want string }{
		"an address":       {"sip:agent@203.0.113.99:5070;transport=tls", "", "203.0.113.99"},
		"sips":             {"sips:agent@203.0.113.99", "", "203.0.113.99"},
		"IPv6":             {"sips:agent@[2001:db8::1]", "", "[2001:db8::1]"},
		"of the next hop":  {"sip:agent@203.0.113.99:5070", "<sip:203.0.113.98;transport=tls;lr>", "203.0.113.98"},
		"not over TCP":     {"sip:agent@203.0.113.99:5070;transport=tcp", "", "no"},
		"nor over UDP":     {"sip:agent@203.0.113.99:5070", "", "no"},
		"maddr takes over": {"sip:agent@example.com;maddr=203.0.113.99;transport=tls", "", "203.0.113.99"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, hostOver(catalog.UDP), func(o *Options) {
				o.Listeners = []Listener{{Addr: ownAddr}, {Addr: ownAddr, Transport: catalog.TCP},
					{Addr: netip.AddrPortFrom(ownAddr.Addr(), 5061), Transport: catalog.TLS}, {Addr: addr("[2001:db8::5]:5061"), Transport: catalog.TLS}}
			})
			inv := g.over(overUDP, caller, invite())[1]
			back := g.over(overUDP, east1, respond(sent{inv.to, inv.text}, 200, "Contact: <"+c.uri+">"))
			route := header(back[0].text, "Record-Route")[0]
			if c.route != "" {
				route += ", " + c.route
			}
			text := request("BYE", c.uri, viaOver("UDP")+"x", "Route: "+route, "To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 BYE")
			g.r.Packets(g.now, []transport.Packet{{Data: []byte(text), Source: caller}}, &g.out)
			require.Equal(t, 1, g.out.Len())
			_, _, data := g.out.At(0)
			require.True(t, strings.HasPrefix(string(data), "BYE "), "%s", data)
			said, ok := g.out.Name(0)
			require.Equal(t, c.want != "no", ok)
			if ok {
				require.Equal(t, c.want, string(said))
			}
		})
	}
}
