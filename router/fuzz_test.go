package router

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
	"tandem/router/wire"
)

// FuzzRouter plays a script of scenes to a router. What came before decides
// what a message meets, so a script has two messages and more:
//
//	settings, then scenes, each ended by sceneEnd
//	scene: kind, two arguments, text
//
// The branches and tokens in a seed's texts are those that the router made when
// the seed was played, so that they verify when it is played again.
const sceneEnd = 0xfe // no byte of UTF-8

// Kinds of scenes.
const (
	sceneText   = iota // a datagram with the text from a source
	sceneAnswer        // the next hop answers what was sent to it, the text is put in as header lines
	sceneHop           // the caller's CANCEL or ACK of its last datagram
	scenePass          // time passes
	sceneLost          // what was sent did not arrive
	sceneAgain         // the last datagram once more, from another source
	sceneKinds
)

// Settings, one bit each.
const (
	setNoRecordRoute = 1 << iota
	setSilent
	setBest
	setKeepURI
	setIPv6
	setSymmetric
	setLateStart // as if the node had started long ago
)

var (
	fuzzStranger = addr("203.0.113.200:6000")
	fuzzSources  = []netip.AddrPort{caller, addr("192.0.2.11:5070"), east1, west1, callee, fuzzStranger, addr("[2001:db8::66]:5060")}
	fuzzStatus   = []int{100, 180, 183, 200, 202, 302, 401, 404, 408, 486, 487, 500, 503, 504, 600, 699}
	fuzzSteps    = []time.Duration{
		time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 4 * time.Second,
		12 * time.Second, 32 * time.Second, 3 * time.Minute,
	}
)

// play is one run of a script.
type play struct {
	*rig
	t      *testing.T
	m      wire.Message
	hops   []sent // requests that went to a next hop, the last ones
	source netip.AddrPort
	last   []byte // the last datagram of a text
	to     string // the To value that the caller saw last
	trunk  int    // datagrams from trunks
}

// stage keeps a router for each of the settings: to make one takes longer than
// most scripts.
type stage map[byte]*rig

func (st stage) play(t *testing.T, settings byte) *play {
	p := twoRegions()
	if settings&setSilent != 0 {
		p.Untrusted = Drop
	}
	if settings&setBest != 0 {
		p.Failover.ExhaustedCode = 0
	}
	if settings&setKeepURI != 0 {
		p.Catalog.Connectors[0].RequestURI = catalog.KeepURI
	}
	if settings&setIPv6 != 0 {
		p.Catalog.Connectors[0].Hosts = []catalog.Host{hostAt(addr("[2001:db8::11]:5060"))}
	}
	p.Trunks[0].Symmetric = settings&setSymmetric != 0
	g := st[settings]
	delete(st, settings) // done puts it back
	if g == nil {
		g = newRig(t, p, func(o *Options) {
			o.RecordRoute = settings&setNoRecordRoute == 0
			o.Listeners = append(o.Listeners, Listener{Addr: addr("[2001:db8::1]:5060")})
		})
	} else {
		g.renew(t, p)
	}
	g.r.started = g.now
	if settings&setLateStart != 0 {
		g.r.started -= int64(catalog.DefaultFailover().TimerC) + 1
	}
	return &play{rig: g, t: t}
}

// renew makes a router forget everything but the time on its clock, and be back
// at the time of day when it was made. It has no call.
func (g *rig) renew(t *testing.T, p Policy) {
	fresh := int64(time.Hour)
	g.reg = health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()})
	g.r.health = g.reg
	g.r.plan.Store(nil)
	for i := range g.r.dialogRate {
		if g.r.dialogRate[i].Load() != 0 {
			g.r.dialogRate[i].Store(0)
		}
	}
	g.r.untrustedWire = rate.NewLimiter(untrustedReplyRate, untrustedReplyRate)
	g.r.untrustedLog = rate.NewLimiter(1, 3)
	g.r.epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() + fresh - g.now
	if err := g.r.SetPolicy(g.now, p); err != nil {
		t.Fatal(err)
	}
}

// done is the end of a script: the longest call rings to the end, then its
// transaction lives on, and nothing is left.
func (st stage) done(p *play, settings byte) {
	if p.r.Live() > 0 {
		p.sleep(10 * time.Minute)
	}
	if u := p.r.Usage(); u.Calls != 0 || u.Setups != 0 {
		p.t.Fatalf("%+v is left behind", u)
	}
	st[settings] = p.rig
}

// scene plays one and returns what was sent.
func (p *play) scene(s []byte) {
	if len(s) < 3 {
		return
	}
	kind, a, b, text := s[0]%sceneKinds, int(s[1]), int(s[2]), s[3:]
	switch kind {
	case sceneText:
		p.source, p.last = fuzzSources[a%len(fuzzSources)], text
		p.receive(p.source, text)
	case sceneAgain:
		p.receive(fuzzSources[a%len(fuzzSources)], p.last)
	case sceneAnswer:
		if len(p.hops) == 0 {
			return
		}
		hop := p.hops[len(p.hops)-1-a%len(p.hops)]
		if p.m.Parse([]byte(hop.text)) != nil {
			return
		}
		p.receive(hop.to, wire.AppendResponse(nil, &p.m, wire.Response{
			Status: fuzzStatus[b%len(fuzzStatus)], ToTag: []byte("calleetag"), Extra: append([]byte(recordRoutes(&p.m)), text...),
		}))
	case sceneHop:
		if p.m.Parse(p.last) != nil || !p.m.IsRequest {
			return
		}
		h := wire.Hop{Method: wire.CANCEL, RequestURI: p.m.Bytes(p.m.RequestURI), Via: p.m.Bytes(p.m.TopVia.Value), Extra: text}
		if a%2 == 1 {
			h.Method = wire.ACK
			if p.to != "" {
				h.To = []byte(p.to)
			}
		}
		p.receive(p.source, wire.AppendHop(nil, &p.m, h))
	case scenePass:
		p.sleep(fuzzSteps[a%len(fuzzSteps)])
	case sceneLost:
		if len(p.hops) > 0 {
			hop := p.hops[len(p.hops)-1-a%len(p.hops)]
			code := transport.Cause(b % int(transport.SendError+1))
			p.r.Unreachable(p.now, transport.Unreachable{Dest: hop.to, Code: code, Quote: []byte(hop.text)}, &p.out)
			p.sent(true)
		}
	}
}

// receive hands the router a datagram and judges what it sends at once.
func (p *play) receive(source netip.AddrPort, data []byte) {
	before := bytes.Clone(data)
	listener := 0
	if source.Addr().Is6() {
		listener = 1
	}
	p.r.Packets(p.now, []transport.Packet{{Data: data, Source: source, Listener: listener}}, &p.out)
	if !bytes.Equal(before, data) {
		p.t.Fatalf("%q became %q: received bytes are never changed", before, data)
	}
	if p.r.plan.Load().trunks.Contains(source.Addr()) {
		p.trunk++
	}
	sound := p.m.Parse(data) == nil && p.m.Defect == wire.NoDefect
	datagrams, size := 0, 0
	for i := range p.out.Len() {
		if _, to, out := p.out.At(i); to.Addr() == source.Addr() {
			datagrams, size = datagrams+1, size+len(out)
		}
	}
	// Nobody makes us send him much: IP and UDP headers count on both sides.
	const headers = 28
	if (source == fuzzStranger || source == callee) && (datagrams > 2 || size+headers*datagrams > 3*(len(data)+headers)+headers) {
		p.t.Fatalf("%d bytes in %d datagrams to %v for %q", size, datagrams, source, data)
	}
	p.sent(sound)
	if live := p.r.Live(); live > p.trunk {
		p.t.Fatalf("%d calls of %d datagrams from trunks", live, p.trunk)
	}
}

// sleep lets time pass. What is sent then goes to trunks and hosts alone.
func (p *play) sleep(d time.Duration) {
	for end := p.now + int64(d); ; {
		next := p.r.Tick(p.now, &p.out, func(_ int64, b *transport.Batch) {})
		for i := range p.out.Len() {
			_, to, data := p.out.At(i)
			if pl := p.r.plan.Load(); !pl.trunks.Contains(to.Addr()) && pl.byAddr[hostPlace{addr: to}] == nil {
				p.t.Fatalf("a timer sent %q to %v", data, to)
			}
		}
		p.sent(true)
		if p.now == end {
			return
		}
		p.now = min(max(next, p.now+1), end)
	}
}

// sent judges what the router left in the batch. sound tells whether it comes
// of a message that was correct: then it is itself.
func (p *play) sent(sound bool) {
	for i := range p.out.Len() {
		listener, to, data := p.out.At(i)
		err := p.m.Parse(data)
		if err != nil || sound && p.m.Defect != wire.NoDefect {
			p.t.Fatalf("%v, %s in %q", err, p.m.Defect.Reason(), data)
		}
		if !to.IsValid() || to.Port() == 0 || p.r.ownDest(to) || (listener == 1) != to.Addr().Is6() {
			p.t.Fatalf("to %v from listener %d: %q", to, listener, data)
		}
		if len(p.m.Data) != int(p.m.Body.End) {
			p.t.Fatalf("bytes behind the body of %q", data)
		}
		if !p.m.IsRequest {
			if to.Addr() == caller.Addr() && p.m.Status > 100 {
				p.to = string(p.m.Bytes(p.m.To.Value))
			}
			continue
		}
		if _, own := p.r.own(p.m.Bytes(p.m.TopVia.Host), p.m.TopVia.Port, catalog.UDP); !own {
			p.t.Fatalf("the top Via is not ours in %q", data)
		}
		if p.m.MaxForwards < 0 || p.m.MaxForwards > 254 {
			p.t.Fatalf("Max-Forwards %d in %q", p.m.MaxForwards, data)
		}
		if p.m.Method != wire.ACK && p.m.Method != wire.CANCEL && len(p.hops) < 64 {
			p.hops = append(p.hops, sent{to, string(data)})
		}
	}
	p.out.Reset()
}

// script writes scenes while a rig plays them.
type script []byte

func (s *script) add(kind, a, b int, text string) {
	*s = append(append(*s, byte(kind), byte(a), byte(b)), text...)
	*s = append(*s, sceneEnd)
}

// routerSeeds are our own scenarios.
func routerSeeds(t testing.TB) (seeds []script) {
	status := map[int]int{}
	for i, s := range fuzzStatus {
		status[s] = i
	}
	const fromCaller, fromEast, fromStranger, contact = 0, 2, 5, "Contact: <sip:agent@203.0.113.99:5060>\r\n"
	scenario := func(settings byte, scenes ...func(*script)) {
		s := script{settings}
		for _, scene := range scenes {
			scene(&s)
		}
		seeds = append(seeds, s)
	}
	text := func(source int, text string) func(*script) {
		return func(s *script) { s.add(sceneText, source, 0, text) }
	}
	answer := func(code int, lines string) func(*script) {
		return func(s *script) { s.add(sceneAnswer, 0, status[code], lines) }
	}
	cancel := func(s *script) { s.add(sceneHop, 0, 0, "Reason: SIP;cause=600\r\n") }
	ack := func(s *script) { s.add(sceneHop, 1, 0, "") }
	pass := func(step int) func(*script) { return func(s *script) { s.add(scenePass, step, 0, "") } }
	lost := func(s *script) { s.add(sceneLost, 0, int(transport.NoPort), "") }
	again := func(source int) func(*script) { return func(s *script) { s.add(sceneAgain, source, 0, "") } }

	d := newDialog(t, newRig(t, twoRegions()))
	target := "<sip:agent@203.0.113.99:5060>"
	scenario(0, text(fromCaller, invite()), answer(180, ""), answer(200, contact), text(fromCaller, d.byCaller("ACK")), text(fromCaller, d.byCaller("BYE")), answer(200, ""))
	scenario(0, text(fromCaller, invite()), answer(200, contact), answer(200, contact), ack, pass(6), text(4, d.byCallee("BYE")), answer(200, ""))
	scenario(setBest, text(fromCaller, invite()), answer(503, "Retry-After: 5\r\n"), answer(486, ""), ack, again(fromCaller))
	scenario(0, text(fromCaller, invite()), answer(180, ""), cancel, answer(487, ""), ack, cancel)
	scenario(0, text(fromCaller, invite()), cancel, pass(1), answer(180, ""), answer(200, contact), ack)
	scenario(setSilent, text(fromCaller, invite()), lost, lost, pass(2), ack)
	scenario(0, text(fromCaller, invite()), pass(3), pass(3), answer(180, ""), pass(5), answer(180, ""), pass(7))
	scenario(0, text(fromCaller, invite()), answer(100, ""), pass(5), answer(401, "WWW-Authenticate: Digest realm=\"a, b\"\r\n"), answer(407, ""))
	scenario(setIPv6, text(fromCaller, invite()), answer(183, ""), answer(200, "Contact: <sip:agent@[2001:db8::11]:5060>\r\n"), text(fromCaller, d.byCaller("INFO")))
	scenario(setKeepURI|setSymmetric, text(1, invite()), answer(302, "Contact: <sip:x@y>\r\n"), ack)
	scenario(setLateStart, text(fromCaller, cancelText()), text(fromEast, respond(d.g.call2(), 200)), text(fromEast, respond(d.g.call2(), 503)))
	scenario(0, text(fromCaller, cancelText()), text(fromEast, respond(d.g.call2(), 200)), text(fromEast, respond(d.g.call2(), 486)))
	scenario(0, text(fromCaller, message()), answer(100, ""), pass(4), again(fromCaller), answer(200, ""), again(fromCaller))
	scenario(0, text(fromCaller, message()), pass(3), answer(503, ""), pass(6))
	scenario(0, text(fromStranger, invite()), ack, again(fromCaller), again(fromStranger), text(fromStranger, request("OPTIONS", "sip:198.51.100.1")))
	scenario(0, text(fromCaller, hostileInvite()), text(fromCaller, invite("Proxy-Require: a, b")), text(fromCaller, invite("Max-Forwards: 0")), text(6, invite()))
	scenario(0, text(fromCaller, strings.Replace(d.byCaller("BYE"), "sip:agent@203.0.113.99:5060", uriOf(d.route), 1)), text(fromCaller, strings.Replace(strings.Replace(d.byCaller("INFO"), "sip:agent@203.0.113.99:5060", uriOf(d.route), 1), d.route, target, 1)))
	scenario(0, text(fromCaller, d.byCaller("INFO", "Route: "+d.route+", <sip:203.0.113.7:5070>")), answer(200, ""), text(fromStranger, d.byCallee("NOTIFY", "Route: "+d.route+", <sip:203.0.113.7:5070;lr>, "+target)), answer(481, ""))
	scenario(0, text(fromStranger, d.byCaller("INVITE")), answer(200, "Record-Route: <sip:x;lr>\r\n"), text(fromCaller, d.byCaller("ACK", "Max-Forwards: 0")), text(fromCaller, d.byCaller("UPDATE", "To: <sip:x@y>")))
	scenario(setNoRecordRoute, text(fromCaller, invite("Route: <sip:198.51.100.1;lr>, <sip:ops@198.51.100.1:5060;lr>")), answer(200, ""), ack, pass(0))
	scenario(0, text(fromCaller, request("INVITE", "tel:+1-555-000-0001")), answer(603, ""), ack, text(fromCaller, request("REGISTER", "sip:198.51.100.1")), text(fromCaller, request("SUBSCRIBE", dialled, "Event: x")), answer(202, ""))
	return seeds
}

// call2 is the INVITE of the one call that all seeds know, as it left.
func (g *rig) call2() sent {
	all := newRig(g.t, twoRegions()).from(caller, invite())
	return all[1]
}

func FuzzRouter(f *testing.F) {
	for _, seed := range routerSeeds(f) {
		f.Add([]byte(seed))
	}
	st := stage{}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		p := st.play(t, data[0])
		for i, s := range bytes.Split(data[1:], []byte{sceneEnd}) {
			if i == 32 {
				break
			}
			p.scene(s)
		}
		st.done(p, data[0])
	})
}

// FuzzBranch holds that a branch reads as it was written, and verifies only so.
func FuzzBranch(f *testing.F) {
	f.Add([]byte("z9hG4bKca7b0123456789abcdefdeadbeef00000001fedcba987654"), uint8(0))
	f.Add([]byte("Z9HG4BKD0000000000000000000000000000000000000000000000"), uint8(9))
	f.Add([]byte("z9hG4bK.probe"), uint8(1))
	g := newRig(f, twoRegions())
	m := parse(invite())
	f.Fuzz(func(t *testing.T, text []byte, flip uint8) {
		b, ok := parseBranch(text)
		if !ok {
			return
		}
		if again := b.appendTo(nil); !bytes.EqualFold(again, text) {
			t.Fatalf("%q became %q", text, again)
		}
		s := g.r.acquire(g.now, &g.out)
		defer g.r.release(s)
		if g.r.verify(s, &b, m, &m.TopVia, caller) {
			return // one in 2^48, or a seed that was taken from a call
		}
		b.seal(s, &g.r.keys[0], m, &m.TopVia, caller)
		sealed := b.appendTo(nil)
		if b, ok = parseBranch(sealed); !ok || !g.r.verify(s, &b, m, &m.TopVia, caller) {
			t.Fatalf("%q does not verify", sealed)
		}
		at := len(cookie) + 1 + int(flip)%(branchLen-len(cookie)-1)
		sealed[at] = flipHex(sealed[at])
		if b, ok = parseBranch(sealed); ok && g.r.verify(s, &b, m, &m.TopVia, caller) {
			t.Fatalf("%q verifies though character %d is another", sealed, at)
		}
	})
}

// FuzzToken holds that a token reads as it was written, and is good for one
// dialog alone.
func FuzzToken(f *testing.F) {
	f.Add([]byte("td4fff0123456789abcdeffedcba9876543210"), "call-1", "a", "b")
	f.Add([]byte("TDFFFF00000000000000000000000000000000"), "", "", "")
	g := newRig(f, twoRegions())
	f.Fuzz(func(t *testing.T, text []byte, callID, from, to string) {
		tok, ok := parseToken(text)
		if !ok {
			return
		}
		if again := tok.appendTo(nil); !bytes.EqualFold(again, text) {
			t.Fatalf("%q became %q", text, again)
		}
		data := []byte(callID + from + to)
		at := func(start, end int) wire.Span { return wire.Span{Start: uint32(start), End: uint32(end)} }
		n := len(callID)
		m := &wire.Message{Data: data, CallID: at(0, n)}
		m.From.Tag, m.To.Tag = at(n, n+len(from)), at(n+len(from), len(data))
		s := g.r.acquire(g.now, &g.out)
		defer g.r.release(s)
		today := g.r.day(g.now)
		if tok.day < today {
			if _, ok := g.r.verifyToken(s, &tok, nil, m, today); ok {
				t.Fatalf("%q is too old", text)
			}
			return
		}
		tok.mac = tok.sum(s, &g.r.keys[0], m.Bytes(m.CallID), m.Bytes(m.From.Tag), nil)
		who, ok := g.r.verifyToken(s, &tok, nil, m, today)
		if ok != (len(to) > 0) || ok && who != fromCaller {
			t.Fatalf("%t, %d", ok, who)
		}
		if m.CallID = at(0, max(n-1, 0)); n == 0 {
			return
		}
		if _, ok := g.r.verifyToken(s, &tok, nil, m, today); ok {
			t.Fatalf("%q is good for another Call-ID", text)
		}
	})
}

// FuzzAddr compares with the standard library's parser.
func FuzzAddr(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "[2001:db8::1]", "2001:db8::1", "::ffff:192.0.2.1", "[fe80::1%eth0]", "[2001:db8:::192.0.2.1]", "1.2.3", "256.1.1.1", "[", "[]", "example.com"} {
		f.Add(s, "5060")
	}
	f.Fuzz(func(t *testing.T, host, port string) {
		got, ok := parseAddr([]byte(host))
		bare := host
		if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
			bare = host[1 : len(host)-1]
		}
		want, err := netip.ParseAddr(withoutZeros(bare))
		if sound := err == nil && want.Zone() == "" && !strings.Contains(bare, "%"); sound != ok || ok && got != want.Unmap() {
			t.Fatalf("%q is %v, %t", host, got, ok)
		}
		p, ok := parsePort([]byte(port))
		if u, good := wire.Decimal([]byte(port), wire.Span{End: uint32(len(port))}); ok != (good && len(port) <= 5 && u > 0 && u < 65536) || ok && uint32(p) != u {
			t.Fatalf("%q is %d, %t", port, p, ok)
		}
	})
}

// withoutZeros drops the leading zeros of an IPv4 address in dots, as far as
// its parts have three digits.
func withoutZeros(s string) string {
	if strings.Contains(s, ":") {
		return s
	}
	parts := strings.Split(s, ".")
	for i, p := range parts {
		for len(p) > 1 && len(p) <= 3 && p[0] == '0' {
			p = p[1:]
		}
		parts[i] = p
	}
	return strings.Join(parts, ".")
}

// FuzzTranslate compares strip and prepend with the plainest way to do them.
func FuzzTranslate(f *testing.F) {
	f.Add("0015550000001", "00", "+")
	f.Add("+1555", "", "00")
	f.Add("", "0", "+")
	f.Fuzz(func(t *testing.T, number, strip, prepend string) {
		want := strings.TrimPrefix(number, strip)
		if want != "" && want[0] != '+' {
			want = prepend + want
		}
		if got := string(translate([]byte(number), strip, prepend)); got != want {
			t.Fatalf("%q, not %q", got, want)
		}
	})
}
