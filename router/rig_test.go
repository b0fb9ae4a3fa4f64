package router

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
	"tandem/router/wire"
)

// rig drives a Router with a clock of its own and no sockets: what goes in is
// text, what comes out is text.
type rig struct {
	t   testing.TB
	r   *Router
	reg *health.Registry
	now int64
	out transport.Batch
}

// sent is a datagram that the router left in the batch.
type sent struct {
	to   netip.AddrPort
	text string
}

var (
	ownAddr = addr("198.51.100.1:5060")
	caller  = addr("192.0.2.10:5060")
	east1   = addr("203.0.113.1:5060")
	east2   = addr("203.0.113.2:5060")
	west1   = addr("203.0.113.11:5060")
	callee  = addr("203.0.113.99:5060") // no trunk, no host
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func hostAt(a netip.AddrPort) catalog.Host {
	return catalog.Host{URI: "sip:" + a.String(), Addr: a, HostPort: a.String(), Priority: 1, Weight: 1}
}

// twoRegions is a group of two connectors, one host each, and a number.
func twoRegions() Policy {
	return Policy{
		Catalog: &catalog.Catalog{
			Connectors: []catalog.Connector{
				{Name: "east", Region: "us-east-1", Hosts: []catalog.Host{hostAt(east1)}},
				{Name: "west", Region: "us-west-2", Hosts: []catalog.Host{hostAt(west1)}},
			},
			Groups: []catalog.Group{{
				Name:       "support",
				Connectors: []catalog.Member{{Connector: "east", Priority: 1}, {Connector: "west", Priority: 2}},
				Numbers:    []catalog.Numbers{{Kind: catalog.Exact, First: "+15550000001"}},
			}},
		},
		Trunks:   []Trunk{{Name: "carrier", Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
		Failover: catalog.DefaultFailover(),
		Health:   catalog.DefaultHealth(),
	}
}

func newRig(t testing.TB, p Policy, change ...func(*Options)) *rig {
	g := &rig{t: t, now: int64(time.Hour)}
	g.reg = health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()})
	opts := Options{
		Listeners:   []Listener{{Addr: ownAddr}},
		Secrets:     [][]byte{[]byte("0123456789abcdef")},
		RecordRoute: true,
		Health:      g.reg,
		Now:         g.now,
		Epoch:       time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(),
	}
	for _, f := range change {
		f(&opts)
	}
	r, err := New(opts, p)
	require.NoError(t, err)
	g.r = r
	return g
}

// judge has all hosts judged by set.
func (g *rig) judge(set catalog.Health) {
	for _, h := range g.r.plan.Load().hosts {
		h.health.Configure(set, g.now)
	}
}

func (g *rig) taken() []sent {
	var all []sent
	for i := range g.out.Len() {
		_, to, data := g.out.At(i)
		all = append(all, sent{to, string(data)})
	}
	g.out.Reset()
	return all
}

// from hands the router a message and returns what it sent.
func (g *rig) from(source netip.AddrPort, text string) []sent {
	g.r.Packets(g.now, []transport.Packet{{Data: []byte(text), Source: source}}, &g.out)
	return g.taken()
}

// pass lets time pass from one deadline to the next and returns all that was
// sent meanwhile.
func (g *rig) pass(d time.Duration) (all []sent) {
	end := g.now + int64(d)
	for {
		var out transport.Batch
		next := g.r.Tick(g.now, &out, func(_ int64, b *transport.Batch) {
			for i := range b.Len() {
				_, to, data := b.At(i)
				all = append(all, sent{to, string(data)})
			}
			b.Reset()
		})
		if g.now == end {
			return all
		}
		g.now = min(max(next, g.now+1), end)
	}
}

// unreachable tells the router that a datagram did not arrive.
func (g *rig) unreachable(m sent, code transport.Cause) []sent {
	g.r.Unreachable(g.now, transport.Unreachable{Dest: m.to, Code: code, Quote: []byte(m.text)}, &g.out)
	return g.taken()
}

// request is a request as a caller writes it; header lines replace those of
// the same name or are added, "" removes.
func request(method, uri string, lines ...string) string {
	cseq := method
	headers := []string{
		"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller1",
		"Max-Forwards: 70",
		"From: <sip:+15551230000@192.0.2.10>;tag=callertag",
		"To: <sip:+15550000001@198.51.100.1>",
		"Call-ID: call-1@192.0.2.10",
		"CSeq: 1 " + cseq,
		"Contact: <sip:caller@192.0.2.10:5060>",
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		found := false
		for i, h := range headers {
			if strings.EqualFold(h[:strings.IndexByte(h, ':')], name) {
				headers[i], found = line, true
				if strings.TrimSpace(value) == "" {
					headers = append(headers[:i], headers[i+1:]...)
				}
				break
			}
		}
		if !found && strings.TrimSpace(value) != "" {
			headers = append(headers, line)
		}
	}
	return method + " " + uri + " SIP/2.0\r\n" + strings.Join(headers, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

const dialled = "sip:+15550000001@198.51.100.1"

func invite(lines ...string) string { return request("INVITE", dialled, lines...) }

// respond answers a request as the next hop does.
func respond(req sent, status int, lines ...string) string {
	m := parse(req.text)
	extra := ""
	for _, l := range lines {
		extra += l + "\r\n"
	}
	text := wire.AppendResponse(nil, m, wire.Response{Status: status, ToTag: []byte("calleetag"), Extra: []byte(extra + recordRoutes(m))})
	return string(text)
}

func recordRoutes(m *wire.Message) (lines string) {
	for _, h := range m.Headers {
		if h.ID == wire.HeaderRecordRoute {
			lines += string(m.Bytes(h.Line))
		}
	}
	return lines
}

func parse(text string) *wire.Message {
	m := new(wire.Message)
	if err := m.Parse([]byte(text)); err != nil {
		panic(fmt.Sprintf("%v in %q", err, text))
	}
	return m
}

// header returns the values of a header, one string a field.
func header(text, name string) (values []string) {
	for _, line := range strings.Split(strings.SplitN(text, "\r\n\r\n", 2)[0], "\r\n")[1:] {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(n), name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

func startLine(text string) string { return text[:strings.Index(text, "\r\n")] }

// summary is what was sent, a line each: where to, and the start line's
// method or status.
func summary(all []sent) []string {
	lines := []string{}
	for _, m := range all {
		f := strings.Fields(startLine(m.text))
		what := f[0]
		if f[0] == "SIP/2.0" {
			what = f[1] + " " + strings.Fields(header(m.text, "CSeq")[0])[1]
		}
		lines = append(lines, name(m.to)+" "+what)
	}
	return lines
}

func name(a netip.AddrPort) string {
	switch a {
	case caller:
		return "caller"
	case east1:
		return "east1"
	case east2:
		return "east2"
	case west1:
		return "west1"
	case callee:
		return "callee"
	}
	return a.String()
}

// call starts a call and returns its INVITE at the first connector.
func (g *rig) call() sent {
	all := g.from(caller, invite())
	require.Equal(g.t, []string{"caller 100 INVITE", "east1 INVITE"}, summary(all))
	return all[1]
}

// packetsTo is one packet that was sent to a certain address of ours.
func packetsTo(local netip.Addr, source, text string) []transport.Packet {
	return []transport.Packet{{Data: []byte(text), Source: addr(source), Local: local}}
}
