// Package dnstest runs a DNS server on loopback for tests: real messages over
// real sockets, from a zone that a test changes while it runs.
package dnstest

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Mood is how a server answers.
type Mood int

// Moods.
const (
	Good    Mood = iota
	Failing      // SERVFAIL
	Refusing
	Silent
	Empty   // no such name, to every question
	Bare    // every name is there and has nothing: NOERROR without data
	Garbled // a reply that is no DNS message
	Cut     // every answer by UDP is cut short
)

// Server is a DNS server, UDP and TCP.
type Server struct {
	Addr netip.AddrPort

	mu     sync.Mutex
	zone   []dns.RR
	mood   Mood
	extra  bool // addresses of SRV records come with them
	asked  map[string]int
	handle func(q dns.Question, reply *dns.Msg) bool
}

// Start starts a server at an address, "127.0.0.1:0" for any port, with a zone. It
// ends with the test.
func Start(t testing.TB, at string, zone ...string) *Server {
	t.Helper()
	var packets net.PacketConn
	var streams net.Listener
	var err error
	for range 20 { // a port that is free for both
		if packets, err = net.ListenPacket("udp", at); err != nil {
			continue
		}
		if streams, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			break
		}
		_ = packets.Close()
	}
	if err != nil {
		t.Fatalf("DNS server: %v", err)
	}
	s := &Server{Addr: packets.LocalAddr().(*net.UDPAddr).AddrPort(), asked: make(map[string]int)}
	s.Set(t, zone...)
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // the last of the cleanups
	for _, one := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: streams, Handler: s}} {
		started := make(chan struct{})
		one.NotifyStartedFunc = func() { close(started) }
		running.Go(func() { _ = one.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = one.Shutdown() })
	}
	return s
}

// Set replaces the zone: lines as in a zone file, names absolute.
func (s *Server) Set(t testing.TB, zone ...string) {
	t.Helper()
	var records []dns.RR
	for _, line := range zone {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			t.Fatalf("DNS record %q: %v", line, err)
		}
		records = append(records, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = records
}

// Feel changes how the server answers.
func (s *Server) Feel(m Mood) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mood = m
}

// AddExtra has the addresses of SRV records come with them.
func (s *Server) AddExtra() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra = true
}

// Handle has questions answered by f; false leaves one to the zone.
func (s *Server) Handle(f func(q dns.Question, reply *dns.Msg) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = f
}

// Asked returns how often a question came, as in "SRV _sip._udp.example.com"; ""
// is all of them.
func (s *Server) Asked(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if question != "" {
		return s.asked[question]
	}
	all := 0
	for _, n := range s.asked {
		all += n
	}
	return all
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	q := r.Question[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[dns.TypeToString[q.Qtype]+" "+strings.TrimSuffix(q.Name, ".")]++
	reply := new(dns.Msg).SetReply(r)
	udp := w.LocalAddr().Network() == "udp"
	switch {
	case s.mood == Silent:
		return
	case s.mood == Garbled:
		_, _ = w.Write([]byte{byte(r.Id >> 8), byte(r.Id), 0x80, 0, 0, 1, 0, 9, 0, 0, 0, 0, 0xff})
		return
	case s.mood == Failing:
		reply.Rcode = dns.RcodeServerFailure
	case s.mood == Refusing:
		reply.Rcode = dns.RcodeRefused
	case s.mood == Empty:
		reply.Rcode = dns.RcodeNameError
	case s.mood == Bare:
	case s.mood == Cut && udp:
		reply.Truncated = true
	case s.handle != nil && s.handle(q, reply):
	default:
		s.answer(q, reply)
	}
	if size := r.IsEdns0(); udp && size != nil {
		reply.Truncate(int(size.UDPSize()))
	} else if udp {
		reply.Truncate(dns.MinMsgSize)
	}
	_ = w.WriteMsg(reply)
}

// answer takes the records of a name from the zone, aliases followed.
func (s *Server) answer(q dns.Question, reply *dns.Msg) {
	exists := false
	name := strings.ToLower(q.Name)
	for range 4 {
		alias := ""
		for _, rr := range s.zone {
			h := rr.Header()
			exists = exists || strings.HasSuffix(h.Name, name) // an empty non-terminal is a name too
			if !strings.EqualFold(h.Name, name) {
				continue
			}
			if cname, ok := rr.(*dns.CNAME); ok && q.Qtype != dns.TypeCNAME {
				alias = strings.ToLower(cname.Target)
				reply.Answer = append(reply.Answer, rr)
			} else if h.Rrtype == q.Qtype {
				reply.Answer = append(reply.Answer, rr)
				s.addresses(rr, reply)
			}
		}
		if alias == "" {
			break
		}
		name = alias
	}
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
}

// addresses adds those of an SRV record, if it is one.
func (s *Server) addresses(rr dns.RR, reply *dns.Msg) {
	srv, ok := rr.(*dns.SRV)
	if !ok || !s.extra {
		return
	}
	for _, other := range s.zone {
		if t := other.Header().Rrtype; strings.EqualFold(other.Header().Name, srv.Target) && (t == dns.TypeA || t == dns.TypeAAAA) {
			reply.Extra = append(reply.Extra, other)
		}
	}
}
