package dns_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"tandem/router/dns"
	"tandem/router/dns/dnstest"
)

const local = "127.0.0.1:0"

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func client(servers ...netip.AddrPort) *dns.Client {
	return dns.New(dns.Options{Servers: servers, Timeout: 200 * time.Millisecond})
}

func ask(t *testing.T, c *dns.Client, name string, kind dns.Kind) dns.Answer {
	t.Helper()
	a, err := c.Ask(t.Context(), dns.NewQuestion(name, kind))
	require.NoError(t, err)
	return a
}

func TestAnswersOfEachKind(t *testing.T) {
	s := dnstest.Start(t, local,
		"a.example. 300 IN A 192.0.2.2", "a.example. 60 IN A 192.0.2.1", "a.example. 300 IN AAAA 2001:db8::1",
		"_sip._udp.example. 120 IN SRV 20 5 5070 B.example.", "_sip._udp.example. 120 IN SRV 10 1 5060 a.example.",
		`example. 600 IN NAPTR 50 60 "s" "SIP+D2U" "" _sip._udp.Example.`,
		"b.example. 30 IN A 192.0.2.3", "other.example. 1 IN A 192.0.2.4")
	s.AddExtra()
	c := client(s.Addr)
	require.Equal(t, dns.Answer{Addrs: addrs("192.0.2.1", "192.0.2.2"), TTL: time.Minute}, ask(t, c, "A.Example", dns.A), "the shortest TTL")
	require.Equal(t, addrs("2001:db8::1"), ask(t, c, "a.example.", dns.AAAA).Addrs)
	srv := ask(t, c, "_sip._udp.example", dns.SRV)
	require.Equal(t, []dns.Service{
		{Host: "a.example.", Port: 5060, Priority: 10, Weight: 1}, {Host: "b.example.", Port: 5070, Priority: 20, Weight: 5},
	}, srv.Services)
	require.ElementsMatch(t, []dns.Extra{
		{Host: "a.example.", Addr: addrs("192.0.2.2")[0], TTL: 5 * time.Minute}, {Host: "a.example.", Addr: addrs("192.0.2.1")[0], TTL: time.Minute},
		{Host: "a.example.", Addr: addrs("2001:db8::1")[0], TTL: 5 * time.Minute}, {Host: "b.example.", Addr: addrs("192.0.2.3")[0], TTL: 30 * time.Second},
	}, srv.Extra)
	require.Equal(t, 2*time.Minute, srv.TTL, "extra addresses have their own")
	require.Equal(t, []dns.Rule{{Order: 50, Preference: 60, Flags: "s", Service: "SIP+D2U", Replacement: "_sip._udp.example."}},
		ask(t, c, "example", dns.NAPTR).Rules)
	none, nothing := ask(t, c, "gone.example", dns.A), ask(t, c, "a.example", dns.SRV)
	require.True(t, none.Empty())
	require.True(t, nothing.Empty())
	require.Equal(t, dns.Stats{Answered: 4, Empty: 2}, c.Stats())
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		mood   dnstest.Mood
		text   string
		silent bool
	}{
		{dnstest.Failing, "answers SERVFAIL", false},
		{dnstest.Refusing, "answers REFUSED", false},
		{dnstest.Silent, "does not answer within 200ms", true},
		{dnstest.Garbled, "does not answer within 200ms", true}, // it may be forged: the right one may come yet
	} {
		s := dnstest.Start(t, local, "a.example. 300 IN A 192.0.2.1")
		s.Feel(c.mood)
		cl := client(s.Addr)
		_, err := cl.Ask(t.Context(), dns.NewQuestion("a.example", dns.A))
		failure := new(dns.Failure)
		require.ErrorAs(t, err, &failure)
		require.Contains(t, err.Error(), "A a.example: DNS server "+s.Addr.String()+" "+c.text)
		require.Equal(t, c.silent, failure.Silent)
		require.Equal(t, 2, s.Asked("A a.example"), "a datagram may be lost")
		st := cl.Stats()
		require.Equal(t, uint64(2), st.Silent+st.Failed)
	}
}

// The server that answered is asked first from then on.
func TestNextServer(t *testing.T) {
	closed, err := net.ListenPacket("udp", local) // and nobody listens there by TCP
	require.NoError(t, err)
	nobody := closed.LocalAddr().(*net.UDPAddr).AddrPort()
	require.NoError(t, closed.Close())
	bad, silent, good := dnstest.Start(t, local), dnstest.Start(t, local), dnstest.Start(t, local, "a.example. 300 IN A 192.0.2.1")
	bad.Feel(dnstest.Refusing)
	silent.Feel(dnstest.Silent)
	c := client(nobody, bad.Addr, silent.Addr, good.Addr)
	for range 3 {
		require.Equal(t, addrs("192.0.2.1"), ask(t, c, "a.example", dns.A).Addrs)
	}
	require.Equal(t, 1, bad.Asked(""))
	require.Equal(t, 1, silent.Asked(""))
	require.Equal(t, dns.Stats{Answered: 3, Failed: 2, Silent: 1}, c.Stats())
	good.Feel(dnstest.Failing)
	bad.Set(t, "a.example. 300 IN A 192.0.2.2")
	bad.Feel(dnstest.Good)
	require.Equal(t, addrs("192.0.2.2"), ask(t, c, "a.example", dns.A).Addrs)
}

func TestCutShortIsAskedOverTCP(t *testing.T) {
	var zone []string
	for i := range 200 {
		zone = append(zone, fmt.Sprintf("many.example. 300 IN A 10.0.0.%d", i), fmt.Sprintf("_sip._udp.many.example. 300 IN SRV %d 0 5060 h%d.example.", 200-i, i))
	}
	s := dnstest.Start(t, local, append(zone, "one.example. 300 IN A 192.0.2.1")...)
	c := client(s.Addr)
	require.Len(t, ask(t, c, "many.example", dns.A).Addrs, dns.MaxRecords)
	srv := ask(t, c, "_sip._udp.many.example", dns.SRV).Services
	require.Len(t, srv, dns.MaxRecords)
	require.Equal(t, uint16(1), srv[0].Priority, "the best are kept")
	require.Equal(t, uint64(2), c.Stats().TCP)
	s.Feel(dnstest.Cut)
	require.Len(t, ask(t, c, "one.example", dns.A).Addrs, 1)
	require.Equal(t, uint64(3), c.Stats().TCP)
}

func TestServerThatDoesNotKnowEDNS0(t *testing.T) {
	conn, err := net.ListenPacket("udp", local)
	require.NoError(t, err)
	old := &mdns.Server{PacketConn: conn, Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, r *mdns.Msg) {
		reply := new(mdns.Msg).SetReply(r)
		if r.IsEdns0() != nil {
			reply.Rcode, reply.Question = mdns.RcodeFormatError, nil
		} else {
			rr, _ := mdns.NewRR("a.example. 60 IN A 192.0.2.1")
			reply.Answer = append(reply.Answer, rr)
		}
		_ = w.WriteMsg(reply)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = old.ActivateAndServe() }()
	t.Cleanup(func() { _ = old.Shutdown(); <-done })
	c := client(conn.LocalAddr().(*net.UDPAddr).AddrPort())
	require.Equal(t, addrs("192.0.2.1"), ask(t, c, "a.example", dns.A).Addrs)
}

func TestAliases(t *testing.T) {
	zone := []string{
		"www.example. 20 IN CNAME web.example.", "web.example. 300 IN CNAME host.example.", "host.example. 300 IN A 192.0.2.1",
		"loop.example. 300 IN CNAME pool.example.", "pool.example. 300 IN CNAME loop.example.", "self.example. 300 IN CNAME self.example.",
		"nowhere.example. 300 IN CNAME gone.example.",
	}
	for i := range 20 { // more than a reply of the server has: the client asks on
		zone = append(zone, fmt.Sprintf("c%d.example. 300 IN CNAME c%d.example.", i, i+1))
	}
	s := dnstest.Start(t, local, append(zone, "c20.example. 300 IN A 192.0.2.1")...)
	c := client(s.Addr)
	require.Equal(t, dns.Answer{Addrs: addrs("192.0.2.1"), TTL: 20 * time.Second}, ask(t, c, "www.example", dns.A), "an alias has a TTL too")
	require.Equal(t, addrs("192.0.2.1"), ask(t, c, "c13.example", dns.A).Addrs)
	a := ask(t, c, "nowhere.example", dns.A)
	require.True(t, a.Empty())
	for _, name := range []string{"loop.example", "self.example", "c0.example"} {
		before := s.Asked("")
		_, err := c.Ask(t.Context(), dns.NewQuestion(name, dns.A))
		require.ErrorContains(t, err, "aliases in a row", name)
		require.LessOrEqual(t, s.Asked("")-before, 9, name)
	}
}

// What a server, or whoever forges its replies, may send.
func TestOddRecords(t *testing.T) {
	rr := func(line string) mdns.RR {
		r, err := mdns.NewRR(line)
		require.NoError(t, err, line)
		return r
	}
	s := dnstest.Start(t, local)
	s.Handle(func(q mdns.Question, reply *mdns.Msg) bool {
		switch q.Qtype {
		case mdns.TypeA:
			huge := rr("a.example. 60 IN A 192.0.2.1")
			huge.Header().Ttl = 1 << 31
			reply.Answer = []mdns.RR{huge, rr("b.example. 60 IN A 192.0.2.66"), rr("a.example. 60 CH A 192.0.2.66"), rr("a.example. 60 IN AAAA ::ffff:192.0.2.67")}
		case mdns.TypeSRV:
			reply.Answer = []mdns.RR{
				rr(`_sip._udp.a.example. 60 IN SRV 1 1 5060 a\010b.example.`), rr(`_sip._udp.a.example. 60 IN SRV 1 1 0 zero.example.`),
				rr(`_sip._udp.a.example. 60 IN SRV 1 1 5060 .`),
			}
			reply.Extra = []mdns.RR{rr("bank.example. 60 IN A 192.0.2.66")}
		case mdns.TypeAAAA:
			reply.Question[0].Name = "other.example."
			reply.Answer = []mdns.RR{rr("a.example. 60 IN AAAA 2001:db8::66")}
		}
		return true
	})
	c := client(s.Addr)
	a := ask(t, c, "a.example", dns.A)
	require.Equal(t, addrs("192.0.2.1"), a.Addrs, "records of other names and classes are none of it")
	require.LessOrEqual(t, a.TTL, time.Nanosecond, "RFC 2181 8: the highest bit makes a TTL 0")
	srv := ask(t, c, "_sip._udp.a.example", dns.SRV)
	require.Equal(t, []dns.Service{{Host: ".", Port: 5060, Priority: 1, Weight: 1}}, srv.Services)
	require.Empty(t, srv.Extra)
	_, err := c.Ask(t.Context(), dns.NewQuestion("a.example", dns.AAAA))
	require.ErrorContains(t, err, "does not answer", "a reply to another question is none")
}

// Who sends replies with wrong IDs first does not get through.
func TestForgedReplies(t *testing.T) {
	conn, err := net.ListenPacket("udp", local)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(mdns.Msg)
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			for i, address := range []string{"192.0.2.66", "192.0.2.1"} {
				reply := new(mdns.Msg).SetReply(q)
				reply.Id += uint16(1 - i)
				rr, _ := mdns.NewRR("a.example. 60 IN A " + address)
				reply.Answer = []mdns.RR{rr}
				data, _ := reply.Pack()
				_, _ = conn.WriteTo([]byte("x"), from)
				_, _ = conn.WriteTo(data, from)
			}
		}
	}()
	require.Equal(t, addrs("192.0.2.1"), ask(t, client(conn.LocalAddr().(*net.UDPAddr).AddrPort()), "a.example", dns.A).Addrs)
}

func TestEndsWithItsContext(t *testing.T) {
	s := dnstest.Start(t, local)
	s.Feel(dnstest.Silent)
	c := dns.New(dns.Options{Servers: []netip.AddrPort{s.Addr}, Timeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.Ask(ctx, dns.NewQuestion("a.example", dns.A))
		done <- err
	}()
	require.Eventually(t, func() bool { return s.Asked("") > 0 }, 5*time.Second, time.Millisecond)
	cancel()
	select {
	case err := <-done:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestSystemFiles(t *testing.T) {
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	o := dns.Options{
		ResolvConf: write("resolv.conf", "nameserver 127.0.0.66\nsearch one.example two.example.\noptions ndots:2\n"),
		HostsFile:  write("hosts", "# ours\n192.0.2.2 PBX.example pbx # the old one\n192.0.2.1\tpbx\n::1 localhost\nfe80::1%lo link\nnot-an-address x\n"),
	}
	c := dns.New(o)
	require.Equal(t, addrs("192.0.2.1", "192.0.2.2"), c.Hosts("pbx"))
	require.Equal(t, addrs("192.0.2.2"), c.Hosts("pbx.EXAMPLE."))
	require.Empty(t, c.Hosts("link"))
	require.Equal(t, []string{"a.b.", "a.b.one.example.", "a.b.two.example."}[1:], c.Search("a.b")[:2], "fewer dots than ndots")
	require.Equal(t, []string{"a.b.c.", "a.b.c.one.example.", "a.b.c.two.example."}, c.Search("a.b.c"))
	require.Equal(t, []string{"a."}, c.Search("A."))
	require.Equal(t, []string{"a."}, client(netip.MustParseAddrPort(local)).Search("a"), "servers that are given have no search list")
	require.Empty(t, client(netip.MustParseAddrPort(local)).Hosts("localhost"))
}

func TestAddresses(t *testing.T) {
	s := dnstest.Start(t, local, "two.example. 60 IN A 192.0.2.1", "two.example. 60 IN AAAA 2001:db8::1", "one.example. 60 IN A 192.0.2.1")
	c := client(s.Addr)
	got, err := c.Addresses(t.Context(), "two.example")
	require.NoError(t, err)
	require.Equal(t, addrs("192.0.2.1", "2001:db8::1"), got)
	_, err = c.Addresses(t.Context(), "gone.example")
	var none *net.DNSError
	require.ErrorAs(t, err, &none)
	require.True(t, none.IsNotFound)
	s.Feel(dnstest.Failing)
	_, err = c.Addresses(t.Context(), "one.example")
	require.ErrorContains(t, err, "SERVFAIL")
	require.NotErrorAs(t, err, &none, "it may have some")

	got, err = dns.New(dns.Options{}).Addresses(t.Context(), "LOCALHOST.")
	require.NoError(t, err)
	for _, a := range got {
		require.True(t, a.IsLoopback(), a)
	}
}
