// Package locate finds the servers of a SIP URI whose host is a name (RFC 3263),
// and keeps what it found for as long as DNS is silent or wrong.
//
// The life of a name:
//
//  1. Keeper.Set is told which targets there are. Each is looked up at once, by
//     one of a bounded number of goroutines.
//  2. Locate decides the questions, one after the other, by RFC 3263 4.1 and 4.2:
//     NAPTR, else SRV, else addresses. It is a function of the answers.
//  3. Answers is read when a policy is made: Expand puts an address host for each
//     server in place of a host with a name. Nothing of this is on the path of a
//     call.
//  4. When the shortest TTL of the answer ends, the target is looked up again. If
//     the answer is another one, Changed is called.
//  5. A question that fails has its last good answer, for as long as need be; so
//     does a target that has no server any more.
//
// It sends nothing to the servers that it finds, and it does not say which of them
// work: each address is a host with health of its own. It leaves out what no
// request could be sent to, and does not know which addresses are reached.
package locate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/config/catalog"
	"tandem/router/dns"
)

const (
	// MaxServers is how many servers of a target are kept, the best.
	MaxServers = 64
	// mostServices is how many services of NAPTR records are followed.
	mostServices = 8
	// sideBySide is how many questions of a target are asked at a time.
	sideBySide = 8
)

// serviceOf is the name of a transport's SRV records (RFC 3263 4.1).
func serviceOf(t catalog.Transport) string {
	return [catalog.Transports]string{"_sip._udp.", "_sip._tcp.", "_sips._tcp."}[t]
}

// Target is what a URI says of where requests go. Its name is not an address.
type Target struct {
	Name      string // in lower case; absolute with a trailing dot
	Port      uint16 // 0 for none
	Transport catalog.Transport
	Explicit  bool // the URI names Transport, which is UDP otherwise
	Secure    bool // sips:
}

func (t Target) String() string {
	text := t.Name
	if t.Port != 0 {
		text += fmt.Sprintf(":%d", t.Port)
	}
	if t.Explicit {
		text += ";transport=" + t.Transport.String()
	}
	if t.Secure {
		return "sips:" + text
	}
	return "sip:" + text
}

// Server is one address of a target.
type Server struct {
	Addr      netip.AddrPort
	Transport catalog.Transport
	// Choice is the place of the transport among those that the target has: 0 is
	// the one it prefers (NAPTR), else the one that is asked for first.
	Choice int
	Host   string // that SRV names, else the target's own; without a trailing dot
	// Of the SRV record; 0 where there is none. The weight is for all addresses of
	// Host together.
	SRV              bool
	Priority, Weight uint16
}

func (s Server) String() string {
	return fmt.Sprintf("%s %s of %s", s.Addr, s.Transport, s.Host)
}

// Source answers questions. *dns.Client is one.
type Source interface {
	Ask(context.Context, dns.Question) (dns.Answer, error)
	// Hosts are the addresses of a name that DNS need not be asked for.
	Hosts(name string) []netip.Addr
	// Search are the absolute names that a name may stand for.
	Search(name string) []string
}

// Families are the address families that are of use.
type Families struct{ IPv4, IPv6 bool }

// Result is what a lookup found.
type Result struct {
	Servers []Server // by choice, priority, weight; those of one place by address
	Cut     int      // servers beyond MaxServers
	TTL     time.Duration
	// Problem is why it may not be all that there is: questions that failed. nil
	// with no servers is that DNS has none.
	Problem error
}

// Locate asks for the servers of a target.
func Locate(ctx context.Context, source Source, t Target, f Families) Result {
	if addrs := source.Hosts(t.Name); len(addrs) > 0 && (f.IPv4 || f.IPv6) {
		l := lookup{target: t, families: f}
		l.add(service{transport: t.byDefault()}, t.portOr(), strings.TrimSuffix(t.Name, "."), addrs)
		return l.result()
	}
	var r Result
	for _, name := range source.Search(t.Name) {
		l := lookup{ctx: ctx, source: source, target: t, families: f, name: name}
		l.run()
		if r = l.result(); len(r.Servers) > 0 || r.Problem != nil {
			break
		}
	}
	return r
}

// lookup is one Locate for one absolute name.
type lookup struct {
	ctx      context.Context
	source   Source
	target   Target
	families Families
	name     string

	servers  []Server
	ttl      time.Duration
	problems []error
}

// service is an SRV name to ask for.
type service struct {
	name      string
	transport catalog.Transport
	choice    int
}

func (l *lookup) run() {
	t := l.target
	if t.Port != 0 { // RFC 3263 4.2: "If the TARGET was not a numeric IP address, but a port is present"
		l.plain()
		return
	}
	if !t.Explicit && l.services(l.rules()) {
		return
	}
	var services []service
	for i, transport := range t.transports() {
		services = append(services, service{serviceOf(transport) + l.name, transport, i})
	}
	if len(l.problems) == 0 && !l.services(services) && len(l.problems) == 0 {
		l.plain() // RFC 3263 4.2: "If no SRV records were found"
	}
}

// transports are those whose SRV records are asked for where nothing says which
// (RFC 3263 4.1).
func (t Target) transports() []catalog.Transport {
	switch {
	case t.Secure || t.Transport == catalog.TLS:
		return []catalog.Transport{catalog.TLS}
	case t.Explicit:
		return []catalog.Transport{t.Transport}
	}
	return []catalog.Transport{catalog.UDP, catalog.TCP}
}

// byDefault is the transport where DNS says nothing (RFC 3263 4.1).
func (t Target) byDefault() catalog.Transport { return t.transports()[0] }

func (t Target) portOr() uint16 { return cmp.Or(t.Port, t.byDefault().Port()) }

// rules asks for NAPTR records and returns the services that they lead to, the
// most wanted first. A failure is taken for none: SRV records are where almost
// all domains have their servers, and many resolvers know no NAPTR.
func (l *lookup) rules() (services []service) {
	a, err := l.source.Ask(l.ctx, dns.NewQuestion(l.name, dns.NAPTR))
	if err != nil {
		return nil
	}
	rules := slices.Clone(a.Rules)
	slices.SortStableFunc(rules, func(x, y dns.Rule) int {
		return cmp.Or(cmp.Compare(x.Order, y.Order), cmp.Compare(x.Preference, y.Preference))
	})
	for _, r := range rules {
		transport, known := ruleTransport(r.Service)
		// RFC 3263 4.1: an SRV record follows. A sips: URI needs a secure service.
		if !known || !strings.EqualFold(r.Flags, "s") || r.Regexp != "" || r.Replacement == "." || l.target.Secure && transport != catalog.TLS {
			continue
		}
		if len(services) < mostServices {
			services = append(services, service{r.Replacement, transport, len(services)})
		}
	}
	if len(services) > 0 {
		l.shorten(a.TTL)
	}
	return services
}

// ruleTransport is the transport of a NAPTR service field; false for one that is
// not of SIP, or of a transport that there is not here.
func ruleTransport(field string) (t catalog.Transport, ok bool) {
	switch strings.ToUpper(field) {
	case "SIP+D2U":
		return catalog.UDP, true
	case "SIP+D2T":
		return catalog.TCP, true
	case "SIPS+D2T":
		return catalog.TLS, true
	}
	return t, false
}

// services asks for SRV records and then for the addresses of their hosts. found
// is whether there was a record: one that says that there is no such service too
// (RFC 2782, a target of ".").
func (l *lookup) services(services []service) (found bool) {
	questions := make([]dns.Question, len(services))
	for i, s := range services {
		questions[i] = dns.NewQuestion(s.name, dns.SRV)
	}
	replies := l.ask(questions)
	var hosts []string
	extra := make(map[dns.Question][]dns.Extra)
	for i := range replies {
		l.shorten(replies[i].TTL)
		found = found || len(replies[i].Services) > 0
		for _, e := range replies[i].Extra {
			kind := dns.AAAA
			if e.Addr.Is4() {
				kind = dns.A
			}
			q := dns.NewQuestion(e.Host, kind)
			extra[q] = append(extra[q], e)
		}
		for _, s := range replies[i].Services {
			if s.Host != "." && !slices.Contains(hosts, s.Host) && len(hosts) < MaxServers {
				hosts = append(hosts, s.Host)
			}
		}
	}
	addrs := l.addresses(hosts, extra)
	for i := range replies {
		for _, s := range replies[i].Services {
			l.addSRV(services[i], s, addrs[s.Host])
		}
	}
	return found
}

// plain takes the addresses of the name itself.
func (l *lookup) plain() {
	addrs := l.addresses([]string{l.name}, nil)
	l.add(service{transport: l.target.byDefault()}, l.target.portOr(), strings.TrimSuffix(l.name, "."), addrs[l.name])
}

// addresses asks for those of some hosts, but for the families that came already.
func (l *lookup) addresses(hosts []string, extra map[dns.Question][]dns.Extra) map[string][]netip.Addr {
	addrs := make(map[string][]netip.Addr, len(hosts))
	var questions []dns.Question
	for _, host := range hosts {
		for _, kind := range l.families.kinds() {
			q := dns.NewQuestion(host, kind)
			for _, e := range extra[q] {
				addrs[host] = append(addrs[host], e.Addr)
				l.shorten(e.TTL)
			}
			if len(extra[q]) == 0 {
				questions = append(questions, q)
			}
		}
	}
	for i, a := range l.ask(questions) {
		l.shorten(a.TTL)
		addrs[questions[i].Name] = append(addrs[questions[i].Name], a.Addrs...)
	}
	return addrs
}

func (f Families) kinds() (kinds []dns.Kind) {
	if f.IPv4 {
		kinds = append(kinds, dns.A)
	}
	if f.IPv6 {
		kinds = append(kinds, dns.AAAA)
	}
	return kinds
}

// ask asks all questions, some at a time. Of one that fails the answer is empty.
func (l *lookup) ask(questions []dns.Question) []dns.Answer {
	answers, errs := make([]dns.Answer, len(questions)), make([]error, len(questions))
	room := make(chan struct{}, sideBySide)
	var all sync.WaitGroup
	for i, q := range questions {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			answers[i], errs[i] = l.source.Ask(l.ctx, q)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			l.problems = append(l.problems, err)
		}
	}
	return answers
}

func (l *lookup) addSRV(from service, s dns.Service, addrs []netip.Addr) {
	for _, a := range sendable(addrs) {
		l.servers = append(l.servers, Server{
			Addr: netip.AddrPortFrom(a, s.Port), Transport: from.transport, Choice: from.choice,
			Host: strings.TrimSuffix(s.Host, "."), SRV: true, Priority: s.Priority, Weight: s.Weight,
		})
	}
}

func (l *lookup) add(from service, port uint16, host string, addrs []netip.Addr) {
	for _, a := range sendable(addrs) {
		if a.Is4() && l.families.IPv4 || a.Is6() && l.families.IPv6 {
			l.servers = append(l.servers, Server{Addr: netip.AddrPortFrom(a, port), Transport: from.transport, Choice: from.choice, Host: host})
		}
	}
}

// sendable are the addresses that a request can be sent to: not those of links,
// which mean nothing without a zone, and not those of many.
func sendable(addrs []netip.Addr) []netip.Addr {
	var ok []netip.Addr
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && a != broadcast {
			ok = append(ok, a)
		}
	}
	return ok
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// shorten makes the TTL of all that of a part, if there is one and it is shorter.
func (l *lookup) shorten(ttl time.Duration) {
	if ttl > 0 && (l.ttl == 0 || ttl < l.ttl) {
		l.ttl = ttl
	}
}

func (l *lookup) result() Result {
	slices.SortFunc(l.servers, compareServers)
	l.servers = slices.Compact(l.servers)
	r := Result{Servers: l.servers, TTL: l.ttl, Problem: several(l.problems)}
	if r.Cut = len(r.Servers) - MaxServers; r.Cut > 0 {
		r.Servers = slices.Clone(r.Servers[:MaxServers])
	}
	r.Cut = max(r.Cut, 0)
	return r
}

// several is the first of some errors, with how many more there are.
func several(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	return fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}

func compareServers(a, b Server) int {
	return cmp.Or(
		cmp.Compare(a.Choice, b.Choice), cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight),
		a.Addr.Compare(b.Addr), strings.Compare(a.Host, b.Host),
	)
}
