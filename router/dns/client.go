package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is the largest reply taken by UDP: what fits every path without
	// fragments (DNS Flag Day 2020).
	udpSize = 1232
	// maxChain is how many aliases are followed.
	maxChain = 8
	// MaxRecords is how many records of an answer are kept: whoever owns a name
	// could give it thousands.
	MaxRecords = 64
	// leastTries is how often a question is sent when there are few servers: a
	// datagram may be lost.
	leastTries = 2
	// mostTries bounds how long a question takes when there are many.
	mostTries = 4
)

// Options are what New needs; zero values stand for the defaults.
type Options struct {
	// Servers to ask; none: those of ResolvConf, with its search list, after Hosts.
	Servers []netip.AddrPort
	Timeout time.Duration // of a query to one server; 2 s

	ResolvConf string // /etc/resolv.conf
	HostsFile  string // /etc/hosts
}

// Client asks servers. It is for any number of goroutines.
type Client struct {
	servers []netip.AddrPort // none: the system's
	system  *system          // nil when servers are given
	timeout time.Duration
	good    atomic.Uint32 // the server that answered last

	answered, empty, silent, failed, tcp atomic.Uint64
}

// New returns a client. It sends nothing yet.
func New(o Options) *Client {
	c := &Client{servers: slices.Clone(o.Servers), timeout: o.Timeout}
	if c.timeout <= 0 {
		c.timeout = 2 * time.Second
	}
	if len(c.servers) == 0 {
		c.system = newSystem(o.ResolvConf, o.HostsFile)
	}
	return c
}

// Stats reads the counters.
func (c *Client) Stats() Stats {
	return Stats{
		Answered: c.answered.Load(), Empty: c.empty.Load(), Silent: c.silent.Load(), Failed: c.failed.Load(), TCP: c.tcp.Load(),
	}
}

// Ask returns the answer to a question. The error is a *Failure, or that of ctx,
// soon after whose end Ask is back.
func (c *Client) Ask(ctx context.Context, q Question) (Answer, error) {
	var a Answer
	name := q.Name
	for chain := 0; ; {
		reply, err := c.query(ctx, Question{name, q.Kind})
		if err != nil {
			return Answer{}, err
		}
		end, hops, ttl := follow(reply, name)
		a.shorten(ttl)
		if chain += hops; chain > maxChain {
			c.failed.Add(1)
			return Answer{}, &Failure{Question: q, Server: c.now(), Text: fmt.Sprintf("has more than %d aliases in a row for it, or a loop", maxChain)}
		}
		a.take(reply, end, q.Kind)
		if !a.Empty() || hops == 0 || reply.Rcode == dns.RcodeNameError {
			return a, nil
		}
		name = end // the server has not followed the alias to its end
	}
}

// now is the server that is asked first now.
func (c *Client) now() netip.AddrPort {
	servers := c.list()
	return servers[int(c.good.Load())%len(servers)]
}

func (c *Client) list() []netip.AddrPort {
	if c.system != nil {
		return c.system.read().servers
	}
	return c.servers
}

// query asks one server after the other.
func (c *Client) query(ctx context.Context, q Question) (*dns.Msg, error) {
	servers := c.list()
	first := int(c.good.Load())
	var last *Failure
	for i := range min(max(len(servers), leastTries), mostTries) {
		at := (first + i) % len(servers)
		reply, err := c.tell(ctx, servers[at], q)
		if ctx.Err() != nil && err != nil {
			return nil, fmt.Errorf("%s: %w", q, ctx.Err())
		}
		if err == nil {
			if i > 0 {
				c.good.Store(uint32(at))
			}
			return reply, nil
		}
		last = err
	}
	return nil, last
}

// tell asks one server and counts what comes of it.
func (c *Client) tell(ctx context.Context, server netip.AddrPort, q Question) (*dns.Msg, *Failure) {
	fail := func(format string, args ...any) (*dns.Msg, *Failure) {
		c.failed.Add(1)
		return nil, &Failure{Question: q, Server: server, Text: fmt.Sprintf(format, args...)}
	}
	reply, err := c.exchange(ctx, "udp", server, q, true)
	if err == nil && (reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented) {
		reply, err = c.exchange(ctx, "udp", server, q, false) // RFC 6891 7: it may not know EDNS0
	}
	if err == nil && reply.Truncated {
		c.tcp.Add(1)
		reply, err = c.exchange(ctx, "tcp", server, q, true)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, net.ErrClosed):
		c.silent.Add(1)
		return nil, &Failure{Question: q, Server: server, Text: "does not answer within " + c.timeout.String(), Silent: true}
	case err != nil:
		return fail("cannot be asked: %v", plain(err))
	case reply.Truncated:
		return fail("sends an answer that is cut short, over TCP too")
	case reply.Rcode == dns.RcodeSuccess && len(reply.Answer) > 0:
		c.answered.Add(1)
	case reply.Rcode == dns.RcodeSuccess, reply.Rcode == dns.RcodeNameError:
		c.empty.Add(1)
	default:
		return fail("answers %s", dns.RcodeToString[reply.Rcode])
	}
	return reply, nil
}

// plain is an error without the addresses that the message has anyway.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// exchange sends a query to one server and returns its reply.
func (c *Client) exchange(ctx context.Context, network string, server netip.AddrPort, q Question, edns bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	conn := &dns.Conn{Conn: raw, UDPSize: udpSize}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return nil, err
	}
	m := new(dns.Msg).SetQuestion(q.Name, uint16(q.Kind))
	if edns {
		m.SetEdns0(udpSize, false)
	}
	if err := conn.WriteMsg(m); err != nil {
		return nil, err
	}
	for {
		reply, err := conn.ReadMsg()
		var broken net.Error
		switch {
		case errors.As(err, &broken), reply == nil && network != "udp":
			return nil, err
		case reply == nil, !reply.Response, reply.Id != m.Id, !suits(reply, q):
			if network != "udp" {
				return nil, errors.New("it answers another question")
			}
			continue // not of the server: its own may come yet
		case err != nil && !reply.Truncated:
			return nil, fmt.Errorf("its reply cannot be read: %w", err)
		}
		return reply, nil
	}
}

// suits reports whether a reply is to the question. One that could not read it
// repeats none.
func suits(reply *dns.Msg, q Question) bool {
	if len(reply.Question) == 0 {
		return reply.Rcode != dns.RcodeSuccess
	}
	r := reply.Question[0]
	return len(reply.Question) == 1 && r.Qtype == uint16(q.Kind) && r.Qclass == dns.ClassINET && absolute(r.Name) == q.Name
}

// follow walks the aliases of a reply from name to their end.
func follow(reply *dns.Msg, name string) (end string, hops int, ttl time.Duration) {
	ttl = -1
	for ; hops <= maxChain; hops++ {
		at := slices.IndexFunc(reply.Answer, func(rr dns.RR) bool {
			_, ok := rr.(*dns.CNAME)
			return ok && absolute(rr.Header().Name) == name
		})
		if at < 0 {
			break
		}
		alias := reply.Answer[at].(*dns.CNAME)
		name = absolute(alias.Target)
		if t := ttlOf(alias); ttl < 0 || t < ttl {
			ttl = t
		}
	}
	return name, hops, ttl
}

// ttlOf is how long a record is good. One with the highest bit set is not (RFC
// 2181 8).
func ttlOf(rr dns.RR) time.Duration {
	ttl := rr.Header().Ttl
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// shorten makes a TTL that of an answer if it is shorter; -1 is none.
func (a *Answer) shorten(ttl time.Duration) {
	if ttl >= 0 && (ttl < a.TTL || a.TTL == 0) {
		a.TTL = max(ttl, 1) // 0 stands for none
	}
}

// take adds the records of a name and kind.
func (a *Answer) take(reply *dns.Msg, name string, kind Kind) {
	for _, rr := range reply.Answer {
		if h := rr.Header(); h.Class != dns.ClassINET || h.Rrtype != uint16(kind) || absolute(h.Name) != name {
			continue
		}
		switch rr := rr.(type) {
		case *dns.A, *dns.AAAA:
			if ip, ok := addrOf(rr); ok {
				a.Addrs = append(a.Addrs, ip)
			}
		case *dns.SRV:
			host := absolute(rr.Target)
			if host != "." && (!hostName(host) || rr.Port == 0) {
				continue
			}
			a.Services = append(a.Services, Service{Host: host, Port: rr.Port, Priority: rr.Priority, Weight: rr.Weight})
		case *dns.NAPTR:
			a.Rules = append(a.Rules, Rule{
				Order: rr.Order, Preference: rr.Preference, Flags: rr.Flags, Service: rr.Service,
				Regexp: rr.Regexp, Replacement: absolute(rr.Replacement),
			})
		}
		a.shorten(ttlOf(rr))
	}
	slices.SortFunc(a.Addrs, netip.Addr.Compare)
	a.Addrs = slices.Compact(a.Addrs)
	a.Addrs = a.Addrs[:min(len(a.Addrs), MaxRecords)]
	slices.SortFunc(a.Services, func(x, y Service) int {
		return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(y.Weight, x.Weight), strings.Compare(x.Host, y.Host), cmp.Compare(x.Port, y.Port))
	})
	a.Services = slices.Compact(a.Services)
	a.Services = a.Services[:min(len(a.Services), MaxRecords)]
	a.Rules = a.Rules[:min(len(a.Rules), MaxRecords)]
	if len(a.Services) > 0 {
		a.extra(reply)
	}
}

// extra adds the addresses of the services' hosts that a reply has.
func (a *Answer) extra(reply *dns.Msg) {
	for _, rr := range reply.Extra {
		host := absolute(rr.Header().Name)
		ip, ok := addrOf(rr)
		if !ok || len(a.Extra) == 2*MaxRecords || !slices.ContainsFunc(a.Services, func(s Service) bool { return s.Host == host }) {
			continue
		}
		a.Extra = append(a.Extra, Extra{Host: host, Addr: ip, TTL: ttlOf(rr)})
	}
}

func addrOf(rr dns.RR) (ip netip.Addr, ok bool) {
	switch rr := rr.(type) {
	case *dns.A:
		ip, ok = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		ip, ok = netip.AddrFromSlice(rr.AAAA)
	}
	return ip.Unmap(), ok
}

// hostName reports whether a name is of letters, digits, hyphens and underscores:
// others have no business in a log, nor as a host.
func hostName(name string) bool {
	return name != "." && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// resolvConf reads what a file like /etc/resolv.conf says (resolv.conf(5)): its
// servers, its search list, and from how many dots on a name is asked for as it
// is first.
func resolvConf(path string) (servers []netip.AddrPort, search []string, dots int) {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, nil, 1
	}
	for _, s := range conf.Servers {
		if a, err := netip.ParseAddrPort(net.JoinHostPort(s, conf.Port)); err == nil {
			servers = append(servers, a)
		}
	}
	return servers, conf.Search, conf.Ndots
}
