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
)

// load plays one call into a router again and again: what comes in is ready
// made, since branches depend on nothing but request, destination and secret.
type load struct {
	*rig
	script []scene
	key    uint64
}

// scene is one thing that happens to the router: a datagram, or an ICMP error
// for one of ours.
type scene struct {
	in   [1]transport.Packet
	icmp transport.Unreachable
	want int // datagrams that it sends
}

func newLoad(tb testing.TB, p Policy, change ...func(*Options)) *load {
	return &load{rig: newRig(tb, p, change...)}
}

// receive adds a datagram to the script and returns what the router sends.
func (l *load) receive(from netip.AddrPort, text string) []sent {
	all := l.from(from, text)
	l.script = append(l.script, scene{in: [1]transport.Packet{{Data: []byte(text), Source: from}}, want: len(all)})
	return all
}

// lose adds an ICMP error to the script.
func (l *load) lose(m sent) []sent {
	all := l.unreachable(m, transport.NoPort)
	l.script = append(l.script, scene{icmp: transport.Unreachable{Dest: m.to, Code: transport.NoPort, Quote: []byte(m.text)}, want: len(all)})
	return all
}

// begin adds the INVITE and remembers its call.
func (l *load) begin() (inv sent) {
	all := l.receive(caller, longInvite())
	require.Len(l.t, all, 2)
	b, ok := parseBranch(parse(all[1].text).Data[parse(all[1].text).TopVia.Branch.Start:parse(all[1].text).TopVia.Branch.End])
	require.True(l.t, ok)
	l.key = b.key
	return all[1]
}

// play runs the script once.
func (l *load) play() {
	for i := range l.script {
		st := &l.script[i]
		if st.icmp.Quote != nil {
			l.r.Unreachable(l.now, st.icmp, &l.out)
		} else {
			l.r.Packets(l.now, st.in[:], &l.out)
		}
		if l.out.Len() != st.want {
			l.t.Fatalf("step %d: %d datagrams, want %d", i, l.out.Len(), st.want)
		}
		l.out.Reset()
	}
}

// forget ends the call, as its last timer would, in a new second of the same
// day: tokens stay good, and their rate is counted anew.
func (l *load) forget() {
	st := l.r.stripeOf(l.key)
	if c := st.find(l.key); c != nil {
		st.remove(c)
	}
	st.accepted.end(never)
	for len(l.r.records) > 0 {
		<-l.r.records
	}
	l.now += int64(time.Second)
	l.r.epoch -= int64(time.Second)
}

// measure asserts that nothing is allocated, or runs the benchmark.
func (l *load) measure(tb testing.TB, once func()) {
	if b, ok := tb.(*testing.B); ok {
		once()
		b.ReportAllocs()
		for b.Loop() {
			once()
		}
		return
	}
	once()
	require.Zero(tb, testing.AllocsPerRun(200, once))
}

// longInvite is an INVITE of the size that carriers send.
func longInvite() string {
	sdp := strings.ReplaceAll(`v=0
o=carrier 2890844526 2890844526 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 49172 RTP/AVP 8 0 18 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
`, "\n", "\r\n")
	text := invite("Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKcaller1",
		"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, NOTIFY, REFER",
		"Supported: timer, 100rel", "Session-Expires: 1800", "User-Agent: Carrier SBC 9.1",
		"P-Asserted-Identity: <sip:+15551230000@192.0.2.10>", "Content-Type: application/sdp")
	return strings.Replace(text, "Content-Length: 0\r\n\r\n", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(sdp), sdp), 1)
}

// dialog plays a whole call: INVITE, 100, 180, 200, ACK, BYE, 200.
func (l *load) dialog() (bye scene) {
	inv := l.begin()
	l.receive(east1, respond(inv, 100))
	l.receive(east1, respond(inv, 180))
	ok := l.receive(east1, respond(inv, 200, "Contact: <sip:agent@203.0.113.99:5060>"))
	route := "Route: " + header(ok[0].text, "Record-Route")[0]
	to := "To: <sip:+15550000001@198.51.100.1>;tag=calleetag"
	l.receive(caller, request("ACK", "sip:agent@203.0.113.99:5060", route, to, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack"))
	out := l.receive(caller, request("BYE", "sip:agent@203.0.113.99:5060", route, to, "CSeq: 2 BYE", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye"))
	bye = l.script[len(l.script)-1]
	l.receive(callee, respond(out[0], 200))
	return bye
}

func measureWholeCall(tb testing.TB) {
	l := newLoad(tb, twoRegions())
	l.dialog()
	l.forget()
	l.measure(tb, func() { l.play(); l.forget() })
}

// measureWholeCallKept is a whole call that is kept to be looked at, among as
// many others as a node keeps that says nothing. All of this load's calls are
// of one stripe, so that has the room of all.
func measureWholeCallKept(tb testing.TB) {
	l := newLoad(tb, twoRegions(), keeping(10_000*stripes))
	l.dialog()
	l.forget()
	g := &l.r.stripeOf(l.key).ended
	g.slots = make([]past, g.most) // as after some time
	l.measure(tb, func() { l.play(); l.forget() })
}

func measureForwardDialog(tb testing.TB) {
	l := newLoad(tb, twoRegions())
	bye := l.dialog()
	l.forget()
	l.script = []scene{bye}
	l.measure(tb, func() { l.play(); l.now += int64(time.Second); l.r.epoch -= int64(time.Second) })
}

func measureRetransmission(tb testing.TB) {
	l := newLoad(tb, twoRegions())
	l.from(east1, respond(l.begin(), 180))
	l.script[0].want = 1
	l.measure(tb, l.play)
}

// measureFailover is a call over dead candidates that is answered by the one
// behind them.
func measureFailover(dead int, icmp bool) func(testing.TB) {
	return func(tb testing.TB) {
		l := newLoad(tb, deadFirst(dead))
		next := l.begin()
		for range dead {
			var all []sent
			if icmp {
				all = l.lose(next)
			} else {
				all = l.receive(next.to, respond(next, 503))
			}
			next = all[len(all)-1]
		}
		l.receive(next.to, respond(next, 200))
		// Other calls find the hosts well again.
		l.measure(tb, func() {
			l.forget()
			for _, h := range l.r.plan.Load().hosts {
				h.health.Observe(l.now, health.Observation{Event: health.CallAnswered, Code: 200})
			}
			l.play()
		})
	}
}

func deadFirst(dead int) Policy {
	p := twoRegions()
	p.Catalog.Connectors = nil
	p.Catalog.Groups[0].Connectors = nil
	for i := range dead + 1 {
		c := connectorOf(fmt.Sprint("c", i), fmt.Sprint("r", i), hostN(1, i+1, 1, 1))
		p.Catalog.Connectors = append(p.Catalog.Connectors, c)
		p.Catalog.Groups[0].Connectors = append(p.Catalog.Groups[0].Connectors, catalog.Member{Connector: c.Name, Priority: i + 1})
	}
	return p
}

func measureCandidates(tb testing.TB) {
	l := newLoad(tb, deadFirst(2))
	rt := l.r.plan.Load().routes[0]
	var cs []candidate
	l.measure(tb, func() {
		l.key++
		cs = candidates(cs[:0], rt, l.key, l.now, true, false)
		if choose(cs, nil, 6, false) == nil {
			tb.Fatal("no candidate")
		}
	})
}

func measureDecide(tb testing.TB) {
	f := catalog.DefaultFailover()
	e := event{kind: final, status: 503}
	new(load).measure(tb, func() {
		if v := decide(inviteAlone, e, &f); !v.next {
			tb.Fatal(v)
		}
	})
}

// measureTimers is a Timer G and a Timer A, each fired once.
func measureTimers(tb testing.TB) {
	l := newLoad(tb, twoRegions())
	l.begin()
	l.forget()
	flush := func(_ int64, b *transport.Batch) { b.Reset() }
	l.measure(tb, func() {
		l.play()
		l.now += t1 + wheelTick
		l.r.Tick(l.now, &l.out, flush)
		l.forget()
	})
}

// measureIPv6 is what the address of each Via and URI costs when it is an IPv6
// reference.
func measureIPv6(tb testing.TB) {
	ref := []byte("[2001:db8:85a3:1234:5678:8a2e:370:7334]")
	new(load).measure(tb, func() {
		if _, ok := parseAddr(ref); !ok {
			tb.Fatal("no address")
		}
	})
}

func measured() map[string]func(testing.TB) {
	m := map[string]func(testing.TB){
		"candidates": measureCandidates, "decide": measureDecide, "retransmission": measureRetransmission,
		"timers": measureTimers, "forward dialog": measureForwardDialog, "whole call": measureWholeCall,
		"whole call, kept": measureWholeCallKept,
		"IPv6 address":     measureIPv6,
	}
	for dead := 1; dead <= 4; dead++ {
		m[fmt.Sprintf("failover/503 from %d", dead)] = measureFailover(dead, false)
		m[fmt.Sprintf("failover/icmp from %d", dead)] = measureFailover(dead, true)
	}
	return m
}

// TestSteadyStateAllocatesNothing is the ceiling of all that is measured.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, measure := range measured() {
		t.Run(name, func(t *testing.T) { measure(t) })
	}
}

func BenchmarkCandidates(b *testing.B)     { measureCandidates(b) }
func BenchmarkDecide(b *testing.B)         { measureDecide(b) }
func BenchmarkRetransmission(b *testing.B) { measureRetransmission(b) }
func BenchmarkTimers(b *testing.B)         { measureTimers(b) }
func BenchmarkForwardDialog(b *testing.B)  { measureForwardDialog(b) }
func BenchmarkWholeCall(b *testing.B)      { measureWholeCall(b) }
func BenchmarkWholeCallKept(b *testing.B)  { measureWholeCallKept(b) }

func BenchmarkFailover(b *testing.B) {
	for dead := 1; dead <= 4; dead++ {
		b.Run(fmt.Sprintf("503/%d", dead), func(b *testing.B) { measureFailover(dead, false)(b) })
		b.Run(fmt.Sprintf("icmp/%d", dead), func(b *testing.B) { measureFailover(dead, true)(b) })
	}
}
