package router

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
)

// Addresses of IPv6 as they are written in messages, and where they lead.

var (
	six     = addr("[2001:db8::1]:5060")  // ours, beside ownAddr
	link    = addr("[fe80::1%eth0]:5060") // and on a link
	caller6 = addr("[2001:db8::a]:5070")
)

func withIPv6(o *Options) {
	o.Listeners = []Listener{{Addr: ownAddr}, {Addr: six}, {Addr: link, Advertise: "[fe80::1]:5060"}}
}

// trusting6 admits callers of IPv6 too.
func trusting6() Policy {
	p := twoRegions()
	p.Trunks[0].Sources = append(p.Trunks[0].Sources, netip.MustParsePrefix("2001:db8::/64"))
	return p
}

// Where a request within a call goes, by the host of its request-URI.
func TestRFC5118_AddressesOfAContact(t *testing.T) {
	for host, want := range map[string]string{
		"[2001:db8::99]:5080":                   "1 [2001:db8::99]:5080",
		"[2001:db8::99]":                        "1 [2001:db8::99]:5060",
		"[2001:DB8:0:0:0:0:0:99]":               "1 [2001:db8::99]:5060",
		"[2001:db8::0.0.0.153]":                 "1 [2001:db8::99]:5060",
		"[::ffff:203.0.113.99]:5080":            "0 203.0.113.99:5080", // RFC 4291 2.5.5.2: it is the IPv4 address
		"[::FFFF:CB00:7163]":                    "0 203.0.113.99:5060",
		"203.0.113.99;maddr=[2001:db8::99]":     "1 [2001:db8::99]:5060",
		"[2001:db8::98];maddr=203.0.113.99":     "0 203.0.113.99:5060",
		"[2001:db8:::203.0.113.99]":             "0 203.0.113.1:5060", // RFC 5118 4.10: no address, and no name: to who answered
		"[fe80::99%25eth0]":                     "400",                // a zone is none of a message's business
		"[fe80::99%eth0]":                       "400",
		"2001:db8::99":                          "400",
		"[2001:db8::99":                         "400",
		"[]":                                    "400",
		"[::]":                                  "403",
		"[::1]":                                 "403",
		"[ff02::1]":                             "403",
		"[2001:db8::1]":                         "403", // ours
		"[2001:0db8:0::1]:5060":                 "403",
		"[::ffff:198.51.100.1]":                 "403",
		"[::ffff:127.0.0.1]":                    "403",
		"203.0.113.99:5060;maddr=[::1]":         "403",
		"[2001:db8::99]:5080;transport=udp":     "1 [2001:db8::99]:5080",
		"[2001:db8::99]:99999":                  "400",
		"[2001:db8:1:2:3:4:5:6:7]":              "0 203.0.113.1:5060",
		"[2001:db8::99]:5080;maddr=[fe80::99%]": "0 203.0.113.1:5060",
	} {
		t.Run(host, func(t *testing.T) {
			d := newDialog(t, newRig(t, trusting6(), withIPv6))
			got := d.g.over(0, caller, strings.Replace(d.byCaller("INFO"), "203.0.113.99:5060", host, 1))
			require.Len(t, got, 1)
			if len(want) == len("503") {
				require.Contains(t, got[0].text, "SIP/2.0 "+want+" ")
				return
			}
			require.Equal(t, want, string(rune('0'+got[0].listener))+" "+got[0].to.String())
			require.True(t, strings.HasPrefix(got[0].text, "INFO sip:agent@"+host+" "), "it is not written anew: %s", got[0].text)
		})
	}
}

// However a peer writes the Via that is not its own, the answer finds the way back.
func TestRFC5118_4_5_ReceivedOfAResponse(t *testing.T) {
	const sentBy = "Via: SIP/2.0/UDP [2001:db8::b]:5070;branch=z9hG4bKv6;rport"
	for name, written := range map[string]struct{ from, to string }{
		"as it was":           {"", ""},
		"in brackets":         {"received=2001:db8::a", "received=[2001:db8::a]"},
		"in capitals":         {"received=2001:db8::a", "received=2001:DB8::A"},
		"in full":             {"received=2001:db8::a", "received=[2001:0db8:0000:0000:0000:0000:0000:000a]"},
		"in another order":    {";rport=5070;received=2001:db8::a", ";received=2001:db8::a;rport=5070"},
		"the sent-by in full": {"[2001:db8::b]", "[2001:DB8:0:0:0:0:0:B]"},
	} {
		for _, method := range []string{"INVITE", "INFO"} {
			t.Run(method+" "+name, func(t *testing.T) {
				g := newRig(t, trusting6(), withIPv6)
				var got []leaving
				if method == "INVITE" {
					got = g.over(1, caller6, invite(sentBy))[1:] // after 100
				} else {
					d := newDialog(t, g)
					got = g.over(1, caller6, d.byCaller("INFO", sentBy))
				}
				require.Len(t, got, 1)
				via := header(got[0].text, "Via")[1]
				require.Contains(t, via, ";received=2001:db8::a", "without brackets (RFC 5118 4.5)")
				require.Contains(t, via, ";rport=5070")
				text := respond(sent{got[0].to, got[0].text}, 200)
				require.Contains(t, text, written.from)
				back := g.over(got[0].listener, got[0].to, strings.Replace(text, written.from, written.to, 1))
				require.Len(t, back, 1)
				require.Equal(t, []any{1, caller6}, []any{back[0].listener, back[0].to})
			})
		}
	}
}

// Who writes its own address in another way has nothing added to its Via.
func TestRFC5118_SentByOfASource(t *testing.T) {
	for sentBy, added := range map[string]bool{
		"[2001:db8::a]:5070": false, "[2001:DB8:0:0::A]:5070": false, "[2001:db8::0.0.0.10]:5070": false,
		"[2001:db8::b]:5070": true, "pbx.example.com:5070": true, "[fe80::a]:5070": true,
	} {
		g := newRig(t, trusting6(), withIPv6)
		got := g.over(1, caller6, invite("Via: SIP/2.0/UDP "+sentBy+";branch=z9hG4bKv6"))
		require.Len(t, got, 2, sentBy)
		require.Equal(t, caller6, got[0].to)
		via := header(got[1].text, "Via")[1]
		require.Equal(t, added, strings.Contains(via, "received="), via)
	}
}

// A link-local address leads to the link that the listener is on, whether a message
// comes from there or from beyond; and no zone leaves the node.
func TestRFC4007_Links(t *testing.T) {
	p := twoRegions()
	p.Catalog.Connectors[0].Hosts[0] = hostAt(addr("[fe80::11%eth0]:5060"))
	p.Catalog.Connectors[0].Hosts[0].HostPort = "[fe80::11]:5060" // as config has it
	g := newRig(t, p, withIPv6)
	all := g.over(0, caller, invite())
	require.Len(t, all, 2)
	inv := all[1]
	require.Equal(t, []any{2, addr("[fe80::11%eth0]:5060")}, []any{inv.listener, inv.to}, "not the first of its family, which is beyond")
	require.NotContains(t, inv.text, "%")
	require.Contains(t, header(inv.text, "Via")[0], " [fe80::1]:5060;")
	back := g.over(2, inv.to, respond(sent{inv.to, inv.text}, 200, "Contact: <sip:agent@[fe80::12]:5070>"))
	require.Len(t, back, 1)
	routes := "Route: " + strings.Join(reversed(header(back[0].text, "Record-Route")), ", ")
	info := g.over(0, caller, request("INFO", "sip:agent@[fe80::12]:5070", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinfo", routes,
		"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 INFO"))
	require.Len(t, info, 1)
	require.Equal(t, []any{2, addr("[fe80::12%eth0]:5070")}, []any{info[0].listener, info[0].to})
	require.NotContains(t, info[0].text, "%")

	// From the link the other way: the answer goes back to the link.
	bye := g.over(2, addr("[fe80::12%eth0]:5070"), request("BYE", "sip:caller@192.0.2.10:5060", "Via: SIP/2.0/UDP [fe80::12]:5070;branch=z9hG4bKbye",
		"Route: "+strings.Join(header(inv.text, "Record-Route"), ", "),
		"From: <sip:+15550000001@198.51.100.1>;tag=calleetag", "To: <sip:+15551230000@192.0.2.10>;tag=callertag", "CSeq: 1 BYE"))
	require.Len(t, bye, 1)
	require.Equal(t, []any{0, caller}, []any{bye[0].listener, bye[0].to})
	ok := g.over(0, caller, respond(sent{bye[0].to, bye[0].text}, 200))
	require.Len(t, ok, 1)
	require.Equal(t, []any{2, addr("[fe80::12%eth0]:5070")}, []any{ok[0].listener, ok[0].to})
}

// One link-local address on two links is two hosts, and each has a health of its own:
// what is known of the one says nothing of the other.
func TestRFC4007_HealthIsOfALink(t *testing.T) {
	for _, over := range []catalog.Transport{catalog.UDP, catalog.TCP} {
		p := twoRegions()
		for i, zone := range []string{"eth0", "eth1"} {
			at := hostAt(addr("[fe80::11%" + zone + "]:5060"))
			at.HostPort, at.Transport = "[fe80::11]:5060", over
			p.Catalog.Connectors[i].Hosts = []catalog.Host{at}
		}
		g := newRig(t, p, func(o *Options) {
			o.Listeners = append(o.Listeners, Listener{Addr: addr("[::]:5060"), Transport: over, Advertise: "[2001:db8::1]:5060"})
		})
		all := g.over(0, caller, invite())
		inv := all[len(all)-1]
		require.Equal(t, addr("[fe80::11%eth0]:5060"), inv.to)
		next := g.icmp(transport.Unreachable{Dest: inv.to, Code: transport.NoPort, Quote: []byte(inv.text), Listener: inv.listener})
		require.Len(t, next, 1)
		require.Equal(t, addr("[fe80::11%eth1]:5060"), next[0].to)
		require.Equal(t, []health.State{health.Doubtful, health.Up}, []health.State{g.state("east"), g.state("west")})
		hosts := g.r.Hosts()
		require.NotEqual(t, hosts[0].Key, hosts[1].Key)
		require.NotSame(t, hosts[0].Health, hosts[1].Health)
	}
}
