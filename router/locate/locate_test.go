package locate

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/dns"
	"tandem/router/dns/dnstest"
)

var both = Families{IPv4: true, IPv6: true}

func start(t *testing.T, zone ...string) (*dnstest.Server, *dns.Client) {
	s := dnstest.Start(t, "127.0.0.1:0", zone...)
	return s, dns.New(dns.Options{Servers: []netip.AddrPort{s.Addr}, Timeout: 200 * time.Millisecond})
}

// found is a result as text: choice and priority, then the server.
func found(r Result) (list []string) {
	for _, s := range r.Servers {
		list = append(list, fmt.Sprintf("%d/%d/%d %s", s.Choice, s.Priority, s.Weight, s))
	}
	return list
}

// Three hosts, with SRV records for two transports and secure.
var zone = []string{
	"a.example. 300 IN A 192.0.2.1", "a.example. 300 IN AAAA 2001:db8::1", "b.example. 300 IN A 192.0.2.2", "c.example. 300 IN A 192.0.2.3",
	"_sip._udp.example. 300 IN SRV 20 0 5070 b.example.", "_sip._udp.example. 300 IN SRV 10 60 5060 a.example.", "_sip._udp.example. 300 IN SRV 10 40 5060 c.example.",
	"_sip._tcp.example. 300 IN SRV 1 1 5080 b.example.", "_sips._tcp.example. 60 IN SRV 1 1 5081 b.example.",
	"example. 300 IN A 198.51.100.80",
}

func TestRFC3263(t *testing.T) {
	udp := []string{"0/10/60 192.0.2.1:5060 udp of a.example", "0/10/60 [2001:db8::1]:5060 udp of a.example", "0/10/40 192.0.2.3:5060 udp of c.example", "0/20/0 192.0.2.2:5070 udp of b.example"}
	naptr := func(lines ...string) (z []string) {
		for _, l := range lines {
			z = append(z, "example. 300 IN NAPTR "+l)
		}
		return append(z, zone...)
	}
	for _, c := range []struct {
		clause string
		zone   []string
		target Target
		want   []string
		asked  []string // all questions but those for addresses of hosts
	}{
		{"4.2: a port: addresses alone", naptr(`1 1 "s" "SIP+D2T" "" _sip._tcp.example.`), Target{Name: "example", Port: 5099},
			[]string{"0/0/0 198.51.100.80:5099 udp of example"}, []string{"A example", "AAAA example"}},
		{"4.1: a port and sips:", zone, Target{Name: "example", Port: 5099, Secure: true}, []string{"0/0/0 198.51.100.80:5099 tls of example"}, []string{"A example", "AAAA example"}},
		{"4.2: a transport: its SRV records, no NAPTR", naptr(`1 1 "s" "SIP+D2T" "" _sip._tcp.example.`), Target{Name: "example", Transport: catalog.UDP, Explicit: true}, udp, []string{"SRV _sip._udp.example"}},
		{"4.2: a port and a transport", zone, Target{Name: "example", Port: 5080, Transport: catalog.TCP, Explicit: true}, []string{"0/0/0 198.51.100.80:5080 tcp of example"}, []string{"A example", "AAAA example"}},
		{"4.2: a transport without SRV records", zone, Target{Name: "c.example", Transport: catalog.TCP, Explicit: true}, []string{"0/0/0 192.0.2.3:5060 tcp of c.example"}, []string{"SRV _sip._tcp.c.example", "A c.example", "AAAA c.example"}},
		{"4.1: NAPTR by order, then preference", naptr(`2 1 "s" "SIP+D2U" "" _sip._udp.example.`, `1 9 "s" "SIPS+D2T" "" _sips._tcp.example.`, `1 2 "S" "sip+d2t" "" _sip._tcp.example.`),
			Target{Name: "example"}, append([]string{"0/1/1 192.0.2.2:5080 tcp of b.example", "1/1/1 192.0.2.2:5081 tls of b.example"}, at(2, udp)...),
			[]string{"NAPTR example", "SRV _sip._udp.example", "SRV _sip._tcp.example", "SRV _sips._tcp.example"}},
		{"4.1: a sips: URI needs a secure service", naptr(`1 1 "s" "SIP+D2U" "" _sip._udp.example.`, `2 9 "s" "SIPS+D2T" "" _sips._tcp.example.`),
			Target{Name: "example", Secure: true}, []string{"0/1/1 192.0.2.2:5081 tls of b.example"}, []string{"NAPTR example", "SRV _sips._tcp.example"}},
		{"4.1: services and flags that are not ours", naptr(`1 1 "s" "SIP+D2S" "" _sip._sctp.example.`, `1 2 "u" "E2U+sip" "!.*!sip:x@y!" .`, `1 3 "a" "SIP+D2U" "" a.example.`, `1 4 "s" "SIP+D2U" "!x!y!" _sip._udp.example.`, `1 5 "s" "SIP+D2U" "" .`),
			Target{Name: "example"}, append(udp[:4:4], "1/1/1 192.0.2.2:5080 tcp of b.example"), []string{"NAPTR example", "SRV _sip._udp.example", "SRV _sip._tcp.example"}},
		{"4.1: NAPTR that lead nowhere", naptr(`1 1 "s" "SIP+D2U" "" _sip._udp.gone.example.`), Target{Name: "example"},
			append(udp[:4:4], "1/1/1 192.0.2.2:5080 tcp of b.example"), []string{"NAPTR example", "SRV _sip._udp.gone.example", "SRV _sip._udp.example", "SRV _sip._tcp.example"}},
		{"4.1: no NAPTR: SRV of our transports", zone, Target{Name: "example"}, append(udp[:4:4], "1/1/1 192.0.2.2:5080 tcp of b.example"), []string{"NAPTR example", "SRV _sip._udp.example", "SRV _sip._tcp.example"}},
		{"4.2: no SRV: addresses, the default port", zone, Target{Name: "a.example"}, []string{"0/0/0 192.0.2.1:5060 udp of a.example", "0/0/0 [2001:db8::1]:5060 udp of a.example"},
			[]string{"NAPTR a.example", "SRV _sip._udp.a.example", "SRV _sip._tcp.a.example", "A a.example", "AAAA a.example"}},
		{"4.2: the default port of sips:", zone, Target{Name: "c.example", Secure: true}, []string{"0/0/0 192.0.2.3:5061 tls of c.example"}, []string{"NAPTR c.example", "SRV _sips._tcp.c.example", "A c.example", "AAAA c.example"}},
		{"RFC 2782: a target of . is no service", []string{"_sip._udp.example. 60 IN SRV 0 0 5060 .", "_sip._tcp.example. 60 IN SRV 0 0 5060 .", "example. 60 IN A 192.0.2.1"},
			Target{Name: "example"}, nil, []string{"NAPTR example", "SRV _sip._udp.example", "SRV _sip._tcp.example"}},
	} {
		t.Run(c.clause, func(t *testing.T) {
			s, source := start(t, c.zone...)
			r := Locate(t.Context(), source, c.target, both)
			require.NoError(t, r.Problem)
			require.Equal(t, c.want, found(r))
			questions := 0
			for _, q := range c.asked {
				require.Equal(t, 1, s.Asked(q), q)
				questions++
			}
			for _, host := range []string{"a", "b", "c"} {
				for _, kind := range []string{"A ", "AAAA "} {
					if c.target.Name != host+".example" {
						questions += s.Asked(kind + host + ".example")
					}
				}
			}
			require.Equal(t, questions, s.Asked(""), "and nothing else")
		})
	}
}

// at is servers with another choice.
func at(choice int, list []string) (other []string) {
	for _, s := range list {
		other = append(other, fmt.Sprint(choice)+s[1:])
	}
	return other
}

func TestExtraAddressesAreNotAskedForAgain(t *testing.T) {
	s, source := start(t, "_sip._udp.example. 300 IN SRV 1 1 5060 a.example.", "a.example. 60 IN A 192.0.2.1", "a.example. 300 IN AAAA 2001:db8::1")
	s.AddExtra()
	r := Locate(t.Context(), source, Target{Name: "example", Transport: catalog.UDP, Explicit: true}, both)
	require.Len(t, r.Servers, 2)
	require.Equal(t, time.Minute, r.TTL, "their TTL counts")
	require.Equal(t, 1, s.Asked(""))
}

func TestTTLIsTheLeast(t *testing.T) {
	_, source := start(t, append([]string{
		`example. 50 IN NAPTR 1 1 "s" "SIP+D2U" "" _sip._udp.example.`, "alias.example. 40 IN CNAME example."}, zone...)...)
	require.Equal(t, 50*time.Second, Locate(t.Context(), source, Target{Name: "example"}, both).TTL)
	require.Equal(t, 40*time.Second, Locate(t.Context(), source, Target{Name: "alias.example", Port: 5060}, both).TTL)
}

func TestFamiliesThatAreOfNoUseAreNotAskedFor(t *testing.T) {
	s, source := start(t, zone...)
	require.Equal(t, []string{"0/0/0 192.0.2.1:5060 udp of a.example"}, found(Locate(t.Context(), source, Target{Name: "a.example", Port: 5060}, Families{IPv4: true})))
	require.Zero(t, s.Asked("AAAA a.example"))
	s.AddExtra()
	r := Locate(t.Context(), source, Target{Name: "example", Transport: catalog.UDP, Explicit: true}, Families{IPv6: true})
	require.Equal(t, []string{"0/10/60 [2001:db8::1]:5060 udp of a.example"}, found(r))
}

// A question that fails is no word on what there is: nothing is concluded from it.
func TestFailureIsNoAnswer(t *testing.T) {
	s, source := start(t, zone...)
	fails := func(kind uint16, name string) {
		s.Handle(func(q mdns.Question, reply *mdns.Msg) bool {
			if q.Qtype != kind || name != "" && q.Name != name {
				return false
			}
			reply.Rcode = mdns.RcodeServerFailure
			return true
		})
	}
	fails(mdns.TypeSRV, "")
	r := Locate(t.Context(), source, Target{Name: "example"}, both)
	require.ErrorContains(t, r.Problem, "SRV _sip._udp.example: DNS server")
	require.ErrorContains(t, r.Problem, "SERVFAIL (and 1 more)")
	require.Empty(t, r.Servers, "its A record may be a web server's")
	fails(mdns.TypeNAPTR, "")
	r = Locate(t.Context(), source, Target{Name: "example"}, both)
	require.NoError(t, r.Problem, "a resolver that knows no NAPTR")
	require.Len(t, r.Servers, 5)
	fails(mdns.TypeA, "c.example.")
	r = Locate(t.Context(), source, Target{Name: "example", Transport: catalog.UDP, Explicit: true}, both)
	require.ErrorContains(t, r.Problem, "A c.example")
	require.Len(t, r.Servers, 3, "those that are known are told")
}

// What whoever owns a name could have it say.
func TestBadAnswersAreBounded(t *testing.T) {
	junk := []string{"junk.example. 60 IN A 0.0.0.0", "junk.example. 60 IN A 255.255.255.255", "junk.example. 60 IN A 224.0.0.1", "junk.example. 60 IN A 169.254.1.1",
		"junk.example. 60 IN AAAA ::", "junk.example. 60 IN AAAA fe80::1", "junk.example. 60 IN AAAA ff02::1", "junk.example. 60 IN A 192.0.2.1"}
	s, source := start(t, append(junk, "_sip._udp.loop.example. 60 IN SRV 1 1 5060 loop.example.", "loop.example. 60 IN CNAME loop2.example.", "loop2.example. 60 IN CNAME loop.example.")...)
	require.Equal(t, []string{"0/0/0 192.0.2.1:5060 udp of junk.example"}, found(Locate(t.Context(), source, Target{Name: "junk.example", Port: 5060}, both)))
	r := Locate(t.Context(), source, Target{Name: "loop.example", Transport: catalog.UDP, Explicit: true}, both)
	require.ErrorContains(t, r.Problem, "loop")
	require.Empty(t, r.Servers)

	var many []string
	for i := range 20 { // 20 rules of 60 records of 10 addresses each
		many = append(many, fmt.Sprintf(`many.example. 60 IN NAPTR %d 1 "s" "SIP+D2U" "" _sip._udp.n%d.example.`, i, i))
		for j := range 60 {
			many = append(many, fmt.Sprintf("_sip._udp.n%d.example. 60 IN SRV %d 1 5060 h%dx%d.example.", i, j, i, j))
			for k := range 10 {
				many = append(many, fmt.Sprintf("h%dx%d.example. 60 IN A 10.%d.%d.%d", i, j, i, j, k))
			}
		}
	}
	s.Set(t, many...)
	before := s.Asked("")
	r = Locate(t.Context(), source, Target{Name: "many.example"}, both)
	require.Len(t, r.Servers, MaxServers)
	require.Equal(t, 10*MaxServers-MaxServers, r.Cut)
	require.Equal(t, "10.0.0.0:5060", r.Servers[0].Addr.String(), "the best are kept")
	require.LessOrEqual(t, s.Asked("")-before, 1+3*mostServices+2*MaxServers)
}

func TestHostsFileAndSearchList(t *testing.T) {
	s, source := start(t, "pbx.two.example. 60 IN A 192.0.2.7")
	listed := listedSource{Client: source, search: []string{"pbx.one.example.", "pbx.two.example.", "pbx."}}
	r := Locate(t.Context(), listed, Target{Name: "pbx"}, both)
	require.Equal(t, []string{"0/0/0 192.0.2.7:5060 udp of pbx.two.example"}, found(r))
	require.Zero(t, s.Asked("NAPTR pbx"))
	listed.hosts = []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("::1")}
	before := s.Asked("")
	r = Locate(t.Context(), listed, Target{Name: "pbx", Secure: true}, Families{IPv4: true})
	require.Equal(t, []string{"0/0/0 192.0.2.9:5061 tls of pbx"}, found(r))
	require.Equal(t, before, s.Asked(""))
}

// listedSource has a search list and a hosts file.
type listedSource struct {
	*dns.Client
	search []string
	hosts  []netip.Addr
}

func (s listedSource) Search(string) []string    { return s.search }
func (s listedSource) Hosts(string) []netip.Addr { return s.hosts }
