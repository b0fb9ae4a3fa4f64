//go:build linux

package main_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 3261 17.1.1.1: what the phones of a stage keep to, as any phone does.
const (
	timerT1 = 500 * time.Millisecond
	timerT2 = 4 * time.Second
	timerB  = 64 * timerT1
)

// stage is where many calls are played at once, both sides of each in this
// process: that is how two messages of one call can be sent at one moment, or a
// given time apart. Its phones retransmit, acknowledge and cancel as RFC 3261
// asks; what a connector answers, and when, is in the script.
type stage struct {
	t      testing.TB
	proxy  netip.AddrPort
	caller *peer // only its socket and what renders requests
	copies int   // of every message that is sent, beyond the first

	mu    sync.Mutex
	plays map[string]*play // by Call-ID
	stray []string         // what belongs to no call
	run   sync.WaitGroup   // calls that are not over
}

// script is what a call's connectors and its caller do beyond what they must.
type script struct {
	invited  func(*leg)    // a connector got an INVITE; what it answers
	lost     int           // ACKs of a 2xx, or of a refusal, that the caller sends in vain
	hold     time.Duration // from the 2xx to the caller's BYE
	patience time.Duration // the longest that the call may take; 0 is patience
}

// play is one call, as its caller and all connectors see it.
type play struct {
	*stage
	script
	d     *dialog
	began time.Time

	mu       sync.Mutex
	again    map[string]*time.Timer // what is sent again until it is answered
	legs     []*leg                 // the INVITE transactions that reached connectors
	finals   []heard                // different final responses at the caller, as they came
	dialogs  map[string]*confirmed  // those of its 2xx, by To tag
	ack      string                 // of the refusal
	trying   time.Time              // the first response
	rang     bool                   // it heard a 101-199
	held     bool                   // CANCEL, until the first response
	cancel   time.Time              // when it sent CANCEL
	cancelOK int                    // status of the response to that
	over     time.Time
	faults   []string
}

type heard struct {
	status int
	tag    string
	at     time.Time
}

func (h heard) String() string { return fmt.Sprintf("%d (%s)", h.status, h.tag) }

// confirmed is a dialog that a 2xx made, on the caller's side.
type confirmed struct {
	*dialog
	ack   string
	bye   bool // sent
	ended time.Time
}

// leg is one INVITE transaction at one connector.
type leg struct {
	*play
	host      *peer
	invite    message
	deaf      bool   // a CANCEL does not make it end the INVITE with a 487
	last      string // the last response to it
	status    int    // of its final response, 0 before
	began     bool   // it sent a provisional
	cancelled time.Time
	answered  time.Time
	acked     time.Time
	ended     time.Time
}

func (l *lab) stage(caller string, proxy netip.AddrPort) *stage {
	l.t.Helper()
	s := &stage{t: l.t, proxy: proxy, plays: map[string]*play{}}
	s.caller = s.open(l.addr(caller), (*play).atCaller)
	return s
}

// connector opens a connector's socket.
func (s *stage) connector(at netip.AddrPort) *peer {
	s.t.Helper()
	return s.open(at, (*play).atConnector)
}

func (s *stage) open(at netip.AddrPort, take func(*play, *peer, message)) *peer {
	s.t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	require.NoError(s.t, err)
	_ = conn.SetReadBuffer(4 << 20)
	p := &peer{t: s.t, conn: conn, addr: at}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return // closed
			}
			s.deal(p, message{raw: string(buf[:n]), from: from, at: time.Now()}, take)
		}
	}()
	s.t.Cleanup(func() {
		p.close()
		<-done
	})
	return p
}

func (s *stage) deal(p *peer, m message, take func(*play, *peer, message)) {
	if m.what() == "OPTIONS" {
		s.tell(p, m.from, m.reply(200, "OK"))
		return
	}
	s.mu.Lock()
	c := s.plays[m.header("Call-ID")]
	if c == nil {
		s.stray = append(s.stray, fmt.Sprintf("%v got:\n%s", p.addr, m.raw))
	}
	s.mu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	take(c, p, m)
}

// tell sends a message, which may get lost: what matters is sent again.
func (s *stage) tell(from *peer, to netip.AddrPort, msg string) {
	for range s.copies + 1 {
		_, _ = from.conn.WriteToUDPAddrPort([]byte(msg), to)
	}
}

// call begins a call to number.
func (s *stage) call(number string, sc script) *play {
	p := &play{stage: s, script: sc, again: map[string]*time.Timer{}, dialogs: map[string]*confirmed{}}
	p.d = s.caller.call(s.proxy, number)
	s.run.Add(1)
	s.mu.Lock()
	s.plays[p.d.id] = p
	s.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
	p.repeat("INVITE", s.caller, s.proxy, p.d.invite, never)
	if sc.patience == 0 {
		sc.patience = patience
	}
	p.after(sc.patience, func() {
		if p.over.IsZero() {
			p.finish()
			p.fault("it is not over after %v", sc.patience)
		}
	})
	return p
}

const never = time.Duration(1 << 62)

// repeat sends a message until stop, at T1, 2·T1, 4·T1, at most every most.
func (p *play) repeat(name string, from *peer, to netip.AddrPort, msg string, most time.Duration) {
	p.tell(from, to, msg)
	interval, began := timerT1, time.Now()
	var t *time.Timer
	t = time.AfterFunc(interval, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.again[name] != t || time.Since(began) > timerB {
			return
		}
		p.tell(from, to, msg)
		interval = min(2*interval, most)
		t.Reset(interval)
	})
	p.again[name] = t
}

func (p *play) stop(name string) {
	if t := p.again[name]; t != nil {
		t.Stop()
		delete(p.again, name)
	}
}

// after does something later, under the call's lock.
func (p *play) after(wait time.Duration, do func()) {
	time.AfterFunc(wait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		do()
	})
}

func (p *play) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// hangUp sends CANCEL, though there may be a final response already. Before any
// response it waits for one (RFC 3261 9.1).
func (p *play) hangUp() {
	if p.held = p.trying.IsZero(); p.held {
		return
	}
	p.cancel = time.Now()
	p.repeat("CANCEL", p.caller, p.proxy, p.d.cancel(), timerT2)
}

// atCaller is what comes to the caller.
func (p *play) atCaller(_ *peer, m message) {
	status, what := m.status(), m.header("CSeq")
	switch {
	case status == 0:
		p.fault("the caller got:\n%s", m.raw)
	case strings.HasSuffix(what, "INVITE"):
		p.stop("INVITE")
		if p.trying.IsZero() {
			p.trying = m.at
			if p.held {
				p.hangUp()
			}
		}
		if to := tag(m.header("To")); 100 < status && status < 200 && p.dialogs[to] != nil {
			p.fault("the caller got a provisional after the 2xx")
		}
		p.rang = p.rang || status > 100
		if status >= 200 {
			p.final(m, status)
		}
	case strings.HasSuffix(what, "CANCEL") && status >= 200:
		p.stop("CANCEL")
		p.cancelOK = status
	case strings.HasSuffix(what, "BYE") && status >= 200:
		to := tag(m.header("To"))
		p.stop("BYE " + to)
		c := p.dialogs[to]
		if c == nil || status != 200 {
			p.fault("the caller got:\n%s", m.raw)
		}
		if c != nil && c.ended.IsZero() {
			c.ended = m.at
		}
	}
	p.end()
}

// final is a final response to the INVITE: acknowledged each time it comes.
func (p *play) final(m message, status int) {
	to := tag(m.header("To"))
	known := slices.ContainsFunc(p.finals, func(h heard) bool { return h.status == status && h.tag == to })
	if !known {
		p.finals = append(p.finals, heard{status, to, m.at})
	}
	if status >= 300 {
		if p.ack == "" {
			p.ack = strings.Replace(p.d.request("ACK", p.d.branch), "To: "+p.d.to, "To: "+m.header("To"), 1)
		}
		if p.lost--; p.lost < 0 {
			p.tell(p.caller, p.proxy, p.ack)
		}
		return
	}
	if c := p.dialogs[to]; c != nil {
		if p.lost--; p.lost < 0 {
			p.tell(p.caller, c.next(), c.ack)
		}
		return
	}
	own := *p.d
	c := &confirmed{dialog: &own}
	c.to = m.header("To")
	_, target, _ := strings.Cut(m.header("Contact"), "<")
	c.target, _, _ = strings.Cut(target, ">")
	for _, rr := range m.list("Record-Route") {
		c.routes = append([]string{rr}, c.routes...)
	}
	c.ack = c.request("ACK", fmt.Sprintf("%sack%d", c.branch, len(p.dialogs)))
	wait := p.hold
	if len(p.dialogs) > 0 {
		wait = 0 // one answer is enough: RFC 3261 13.2.2.4
	}
	p.dialogs[to] = c
	if p.lost--; p.lost < 0 {
		p.tell(p.caller, c.next(), c.ack)
	}
	p.after(wait, func() {
		c.cseq++
		c.bye = true
		bye := c.request("BYE", fmt.Sprintf("%sbye%s", c.branch, to))
		p.repeat("BYE "+to, p.caller, c.next(), bye, timerT2)
	})
}

// end sees whether the call is over for its caller.
func (p *play) end() {
	if len(p.finals) == 0 || !p.cancel.IsZero() && p.cancelOK == 0 {
		return
	}
	for _, c := range p.dialogs {
		if c.ended.IsZero() {
			return
		}
	}
	p.finish()
}

func (p *play) finish() {
	if p.over.IsZero() {
		p.over = time.Now()
		p.run.Done()
	}
}

// atConnector is what comes to a connector.
func (p *play) atConnector(host *peer, m message) {
	switch m.what() {
	case "INVITE":
		for _, g := range p.legs {
			if g.host == host && g.invite.branch() == m.branch() {
				if g.last != "" {
					p.tell(host, m.from, g.last)
				}
				return
			}
		}
		g := &leg{play: p, host: host, invite: m}
		p.legs = append(p.legs, g)
		p.invited(g)
	case "ACK":
		g := p.legOf(host, m)
		if g == nil || g.status == 0 {
			p.fault("%v got an ACK of nothing:\n%s", host.addr, m.raw)
			return
		}
		if g.status >= 300 && m.branch() != g.invite.branch() {
			p.fault("%v: the ACK of a refusal has another branch:\n%s", host.addr, m.raw)
			return
		}
		p.stop("final " + g.invite.branch())
		if g.acked.IsZero() {
			g.acked = m.at
		}
	case "CANCEL":
		g := p.legOf(host, m)
		if g == nil {
			p.tell(host, m.from, m.reply(481, "Call/Transaction Does Not Exist"))
			return
		}
		if g.cancelled.IsZero() {
			g.cancelled = m.at
		}
		if !g.began && g.status == 0 {
			p.fault("%v got a CANCEL and had said nothing (RFC 3261 9.1)", host.addr)
		}
		p.tell(host, m.from, m.reply(200, "OK"))
		if !g.deaf {
			g.respond(487)
		}
	case "BYE":
		g := p.legOf(host, m)
		if g == nil || g.status/100 != 2 {
			p.tell(host, m.from, m.reply(481, "Call/Transaction Does Not Exist"))
			p.fault("%v got a BYE of nothing:\n%s", host.addr, m.raw)
			return
		}
		if g.ended.IsZero() {
			g.ended = m.at
		}
		p.tell(host, m.from, m.reply(200, "OK"))
	default:
		p.fault("%v got:\n%s", host.addr, m.raw)
	}
}

// legOf finds the leg by the branch, or by the To tag for what is in a dialog.
func (p *play) legOf(host *peer, m message) *leg {
	for _, g := range p.legs {
		if g.host == host && (g.invite.branch() == m.branch() || g.tag() == tag(m.header("To"))) {
			return g
		}
	}
	return nil
}

// tag is the To tag of what the leg answers.
func (g *leg) tag() string { return tag(message{raw: g.invite.reply(200, "")}.header("To")) }

// respond answers the INVITE. There is one final response, sent until its ACK.
func (g *leg) respond(code int) {
	if g.status != 0 {
		return
	}
	reason, extra := reasons[code], []string{}
	switch {
	case code == 100:
		reason = "Trying"
	case code == 180:
		reason, extra = "Ringing", []string{g.host.contact()}
	case code == 200:
		reason, extra = "OK", []string{g.host.contact(), "Content-Type: application/sdp", "\r\n" + sdp}
	}
	g.last = g.invite.reply(code, reason, extra...)
	if code < 200 {
		g.began = true
		g.tell(g.host, g.invite.from, g.last)
		return
	}
	g.status, g.answered = code, time.Now()
	g.repeat("final "+g.invite.branch(), g.host, g.invite.from, g.last, timerT2)
}

// wait waits until all calls are over, and until what is on its way has arrived.
func (s *stage) wait() {
	s.run.Wait()
	time.Sleep(settle)
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Empty(s.t, s.stray, "messages of no call")
}

// all returns the calls in the order they began, each locked until the test
// ends: nothing changes any more.
func (s *stage) all() []*play {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*play, 0, len(s.plays))
	for _, p := range s.plays {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *play) int { return a.began.Compare(b.began) })
	return all
}

// check holds a call against what RFC 3261 16.7 promises, and returns what is
// wrong with it.
func (p *play) check() (wrong []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wrong = slices.Clone(p.faults)
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	refusals, answers := 0, 0
	for _, h := range p.finals {
		if h.status < 300 {
			answers++
		} else {
			refusals++
		}
	}
	switch {
	case refusals+answers == 0:
		say("no final response")
	case refusals > 1:
		say("%d final responses that are not 2xx", refusals)
	case refusals > 0 && answers > 0:
		say("both a refusal and a 2xx: %v", p.finals)
	}
	if !p.cancel.IsZero() && p.cancelOK != 200 {
		say("the response to CANCEL is %d", p.cancelOK)
	}
	hosts := map[*peer]bool{}
	for _, g := range p.legs {
		if hosts[g.host] {
			say("%v got two INVITE transactions", g.host.addr)
		}
		hosts[g.host] = true
		relayed := slices.ContainsFunc(p.finals, func(h heard) bool { return h.tag == g.tag() && h.status == g.status })
		switch {
		case g.status == 0 && g.began && g.cancelled.IsZero():
			say("%v was left ringing", g.host.addr)
		case g.status != 0 && g.acked.IsZero():
			say("%v got no ACK of its %d", g.host.addr, g.status)
		case g.status/100 == 2 && !relayed:
			say("the 2xx of %v did not reach the caller", g.host.addr)
		case g.status/100 == 2 && g.ended.IsZero():
			say("no BYE reached %v", g.host.addr)
		}
	}
	for _, h := range p.finals {
		if h.status/100 == 2 && !slices.ContainsFunc(p.legs, func(g *leg) bool { return g.status == h.status && g.tag() == h.tag }) {
			say("nobody sent the 2xx that the caller got")
		}
	}
	return wrong
}

// story tells a call in the order things happened, for a test that failed.
func (p *play) story() string {
	type event struct {
		at   time.Time
		text string
	}
	var events []event
	add := func(at time.Time, format string, args ...any) {
		if !at.IsZero() {
			events = append(events, event{at, fmt.Sprintf(format, args...)})
		}
	}
	add(p.began, "caller: INVITE")
	add(p.trying, "caller: the first response")
	add(p.cancel, "caller: CANCEL")
	for _, h := range p.finals {
		add(h.at, "caller got %d, To tag %s", h.status, h.tag)
	}
	for _, c := range p.dialogs {
		add(c.ended, "caller got the response to BYE")
	}
	for _, g := range p.legs {
		add(g.invite.at, "%v got INVITE, its To tag is %s", g.host.addr, g.tag())
		add(g.answered, "%v: %d", g.host.addr, g.status)
		add(g.cancelled, "%v got CANCEL", g.host.addr)
		add(g.acked, "%v got ACK", g.host.addr)
		add(g.ended, "%v got BYE", g.host.addr)
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.d.id)
	for _, e := range events {
		fmt.Fprintf(&b, "  %9.3f ms  %s\n", float64(e.at.Sub(p.began).Microseconds())/1000, e.text)
	}
	return b.String()
}

// judge checks all calls and returns how many are wrong; the first few are told.
func (s *stage) judge(also func(*play) []string) (wrong int) {
	s.t.Helper()
	for _, p := range s.all() {
		w := p.check()
		switch {
		case len(p.legs) == 0:
			w = append(w, "no connector got an INVITE")
		case len(p.finals) > 0:
			w = append(w, also(p)...)
		}
		if len(w) == 0 {
			continue
		}
		if wrong++; wrong <= 5 {
			s.t.Errorf("%s\n%s", strings.Join(w, "\n"), p.story())
		}
	}
	return wrong
}

// pace does something n times, rate times a second.
func pace(n, rate int, do func(i int)) {
	begin := time.Now()
	for i := range n {
		if wait := time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))); wait > 0 {
			time.Sleep(wait)
		}
		do(i)
	}
}
