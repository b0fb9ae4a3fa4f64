package dns

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Whatever a server sends: it is read without a panic, and what is kept is bounded.
func FuzzReply(f *testing.F) {
	for _, lines := range [][]string{
		{"a.example. 60 IN A 192.0.2.1", "a.example. 60 IN AAAA 2001:db8::1"},
		{"a.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME a.example."},
		{"a.example. 60 IN SRV 1 2 5060 h.example.", "a.example. 60 IN SRV 0 0 0 ."},
		{`a.example. 60 IN NAPTR 1 2 "s" "SIP+D2U" "" _sip._udp.example.`},
	} {
		m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
		for _, line := range lines {
			rr, err := dns.NewRR(line)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
			m.Extra = append(m.Extra, rr)
		}
		data, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(dns.Msg)
		if m.Unpack(data) != nil {
			return
		}
		for _, kind := range []Kind{A, AAAA, SRV, NAPTR} {
			suits(m, Question{"a.example.", kind})
			end, hops, ttl := follow(m, "a.example.")
			var a Answer
			a.shorten(ttl)
			a.take(m, end, kind)
			if hops > maxChain+1 || len(a.Addrs) > MaxRecords || len(a.Services) > MaxRecords || len(a.Rules) > MaxRecords || len(a.Extra) > 2*MaxRecords {
				t.Fatalf("%d hops, %+v", hops, a)
			}
			if a.TTL < 0 || a.TTL > (1<<31-1)*time.Second {
				t.Fatalf("TTL %v", a.TTL)
			}
			for _, s := range a.Services {
				if s.Host != "." && !hostName(s.Host) {
					t.Fatalf("host %q", s.Host)
				}
			}
		}
	})
}
