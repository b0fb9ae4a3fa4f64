//go:build linux

package main_test

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// peer is a UDP socket, or what is like one over connections, that speaks SIP
// byte by byte, for tests that look at exact messages. It answers OPTIONS by
// itself unless it is mute.
type peer struct {
	t     testing.TB
	conn  socket
	addr  netip.AddrPort
	over  string       // "TCP" or "TLS"; "" or "UDP" is UDP
	mute  atomic.Bool  // OPTIONS get no answer
	pings atomic.Int64 // OPTIONS received
	inbox chan message
	seen  map[string]bool // what expect has returned: copies of it are retransmissions

	mu    sync.Mutex
	trace strings.Builder // everything sent and received but OPTIONS
}

func (l *lab) peer(host string) *peer {
	l.t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(l.addr(host)))
	require.NoError(l.t, err)
	return newPeer(l.t, conn)
}

func newPeer(t testing.TB, conn *net.UDPConn) *peer {
	return newPeerOver(t, "UDP", conn, conn.LocalAddr().(*net.UDPAddr).AddrPort())
}

// socket carries whole messages.
type socket interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

func newPeerOver(t testing.TB, over string, conn socket, addr netip.AddrPort) *peer {
	p := &peer{
		t: t, conn: conn, addr: addr, over: over,
		inbox: make(chan message, 4096), seen: map[string]bool{},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read()
	}()
	t.Cleanup(func() {
		p.close()
		<-done
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("messages at %v:\n%s", p.addr, p.trace.String())
		}
	})
	return p
}

// close frees the port: what is sent to it then is answered by ICMP.
func (p *peer) close() { _ = p.conn.Close() }

func (p *peer) read() {
	buf := make([]byte, 65536)
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return // closed
		}
		m := message{raw: string(buf[:n]), from: from, at: time.Now()}
		if m.what() == "OPTIONS" {
			p.pings.Add(1)
			if !p.mute.Load() {
				_, _ = p.conn.WriteToUDPAddrPort([]byte(m.reply(200, "OK")), from)
			}
			continue
		}
		p.note("<- %v %s\n%s\n", from, m.at.Format("15:04:05.000"), m.raw)
		select {
		case p.inbox <- m:
		default: // nobody reads; the trace has it
		}
	}
}

func (p *peer) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trace.Len() < 1<<16 {
		fmt.Fprintf(&p.trace, format, args...)
	}
}

func (p *peer) send(to netip.AddrPort, msg string) {
	p.t.Helper()
	p.note("-> %v %s\n%s\n", to, time.Now().Format("15:04:05.000"), msg)
	_, err := p.conn.WriteToUDPAddrPort([]byte(msg), to)
	require.NoError(p.t, err)
}

// answer sends a response to a request, to where the request came from.
func (p *peer) answer(m message, code int, reason string, extra ...string) {
	p.t.Helper()
	p.send(m.from, m.reply(code, reason, extra...))
}

// expect returns the next message, which must be what is wanted: "INVITE", or
// "486 INVITE" for a response. 100 and retransmissions are passed over.
func (p *peer) expect(want string) message {
	p.t.Helper()
	return p.expectAny(want)
}

// expectAny is expect where either of several messages is right.
func (p *peer) expectAny(want ...string) message {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-p.inbox:
			wanted := slices.Contains(want, m.what())
			if p.seen[m.raw] || m.status() == 100 && !wanted {
				continue
			}
			if !wanted {
				p.t.Fatalf("%v: wanted %q, got:\n%s", p.addr, want, m.raw)
			}
			p.seen[m.raw] = true
			return m
		case <-timeout:
			p.t.Fatalf("%v: no %q within %v", p.addr, want, patience)
		}
	}
}

// expectAgain waits for one more copy of a message: a retransmission.
func (p *peer) expectAgain(m message) message {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case again := <-p.inbox:
			if again.raw == m.raw {
				return again
			}
			if again.status() != 100 && !p.seen[again.raw] {
				p.t.Fatalf("%v: wanted a copy of %q, got:\n%s", p.addr, m.what(), again.raw)
			}
		case <-timeout:
			p.t.Fatalf("%v: no copy of %q within %v", p.addr, m.what(), patience)
		}
	}
}

// quiet holds that nothing new arrives for a while.
func (p *peer) quiet(during time.Duration) {
	p.t.Helper()
	timeout := time.After(during)
	for {
		select {
		case m := <-p.inbox:
			if m.status() != 100 && !p.seen[m.raw] {
				p.t.Fatalf("%v: wanted nothing, got:\n%s", p.addr, m.raw)
			}
		case <-timeout:
			return
		}
	}
}

// drain forgets what waits in the inbox.
func (p *peer) drain() {
	for {
		select {
		case <-p.inbox:
		default:
			return
		}
	}
}

// message is a SIP message as it arrived. It is taken apart by the plainest
// means, not by the code under test.
type message struct {
	raw  string
	from netip.AddrPort
	at   time.Time
}

func (m message) head() string { head, _, _ := strings.Cut(m.raw, "\r\n\r\n"); return head }
func (m message) body() string { _, body, _ := strings.Cut(m.raw, "\r\n\r\n"); return body }
func (m message) start() string {
	start, _, _ := strings.Cut(m.raw, "\r\n")
	return start
}

// what is "INVITE" for a request and "486 INVITE" for a response.
func (m message) what() string {
	first, rest, _ := strings.Cut(m.start(), " ")
	if first != "SIP/2.0" {
		return first
	}
	code, _, _ := strings.Cut(rest, " ")
	_, method, _ := strings.Cut(m.header("CSeq"), " ")
	return code + " " + method
}

func (m message) status() int {
	var code int
	_, _ = fmt.Sscanf(m.start(), "SIP/2.0 %d", &code)
	return code
}

func (m message) uri() string { return strings.Split(m.start()+"  ", " ")[1] }

// headers returns the values of all lines of that name, in order.
func (m message) headers(name string) []string {
	var values []string
	for _, line := range strings.Split(m.head(), "\r\n")[1:] {
		n, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(strings.TrimSpace(n), name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

// list returns the comma-separated values of all lines of that name, in order.
func (m message) list(name string) []string {
	var values []string
	for _, line := range m.headers(name) {
		for _, v := range strings.Split(line, ",") {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

func (m message) header(name string) string {
	if all := m.headers(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// param returns a parameter of a header value.
func param(value, name string) string {
	for _, p := range strings.Split(value, ";")[1:] {
		n, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// tag returns the tag of a From or To value, which stands behind the angle bracket.
func tag(value string) string {
	return param(value[strings.LastIndexByte(value, '>')+1:], "tag")
}

func (m message) branch() string { return param(m.header("Via"), "branch") }

// reply renders a response: Vias, Record-Routes, From, To (with a tag of the
// peer's), Call-ID and CSeq of the request.
func (m message) reply(code int, reason string, extra ...string) string {
	lines := []string{fmt.Sprintf("SIP/2.0 %d %s", code, reason)}
	for _, name := range []string{"Via", "Record-Route"} {
		for _, v := range m.headers(name) {
			lines = append(lines, name+": "+v)
		}
	}
	to := m.header("To")
	if code > 100 && tag(to) == "" {
		to += fmt.Sprintf(";tag=callee%08x", crc32.ChecksumIEEE([]byte(m.uri()+m.header("Call-ID"))))
	}
	lines = append(lines, "From: "+m.header("From"), "To: "+to, "Call-ID: "+m.header("Call-ID"), "CSeq: "+m.header("CSeq"))
	return render(lines, extra, "")
}

// render joins a head and a body. An extra "" is no line; an extra with an
// empty line in front, "\r\n...", is the body.
func render(lines, extra []string, body string) string {
	for _, e := range extra {
		if b, ok := strings.CutPrefix(e, "\r\n"); ok {
			body = b
		} else if e != "" {
			lines = append(lines, e)
		}
	}
	lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

const sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" +
	"m=audio 49170 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"

// dialog is a call as its caller sees it.
type dialog struct {
	*peer
	proxy  netip.AddrPort
	number string
	id     string // Call-ID
	branch string // of the INVITE
	cseq   int
	invite string  // as sent
	final  message // the 2xx

	from, to, target string
	routes           []string
}

var dialogs atomic.Uint64

// call prepares an INVITE to a number; extra are header lines, which come
// after the usual ones.
func (p *peer) call(proxy netip.AddrPort, number string, extra ...string) *dialog {
	serial := dialogs.Add(1)
	d := &dialog{peer: p, proxy: proxy, number: number, cseq: 1}
	d.id = fmt.Sprintf("%04x-%d@%v", serial, time.Now().UnixNano(), p.addr.Addr())
	d.branch = fmt.Sprintf("z9hG4bKcaller%d-%d", serial, time.Now().UnixNano())
	d.from = fmt.Sprintf("\"A, caller\" <sip:+15557654321@%v>;tag=caller%d", p.addr, serial)
	d.to = fmt.Sprintf("<sip:%s@%v>", number, proxy)
	d.target = fmt.Sprintf("sip:%s@%v", number, proxy)
	d.invite = d.request("INVITE", d.branch, append([]string{
		"Contact: <sip:caller@" + p.reached() + ">",
		"X-Untouched:  two  spaces;and=\"quotes, commas\"",
		"Content-Type: application/sdp",
	}, append(extra, "\r\n"+sdp)...)...)
	return d
}

// request renders a request of the dialog, as its caller.
func (d *dialog) request(method, branch string, extra ...string) string {
	lines := []string{
		method + " " + d.target + " SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/%s %v;branch=%s;rport", cmp.Or(d.over, "UDP"), d.addr, branch),
	}
	for _, r := range d.routes {
		lines = append(lines, "Route: "+r)
	}
	lines = append(lines, "Max-Forwards: 70", "From: "+d.from, "To: "+d.to, "Call-ID: "+d.id,
		fmt.Sprintf("CSeq: %d %s", d.cseq, method))
	return render(lines, extra, "")
}

// start sends the INVITE.
func (d *dialog) start() *dialog {
	d.t.Helper()
	d.send(d.proxy, d.invite)
	return d
}

// fails waits for a final response and acknowledges it.
func (d *dialog) fails(code int) message {
	d.t.Helper()
	m := d.expect(fmt.Sprintf("%d INVITE", code))
	d.ackFailure(m)
	return m
}

// ackFailure sends the ACK of a 3xx-6xx: hop by hop, with the INVITE's branch.
func (d *dialog) ackFailure(m message) {
	d.t.Helper()
	d.send(d.proxy, strings.Replace(d.request("ACK", d.branch), "To: "+d.to, "To: "+m.header("To"), 1))
}

// cancel renders the CANCEL of the INVITE.
func (d *dialog) cancel() string { return d.request("CANCEL", d.branch) }

// ping renders an OPTIONS for the node itself.
func (p *peer) ping(node netip.AddrPort, id string) string {
	return render([]string{
		fmt.Sprintf("OPTIONS sip:%v SIP/2.0", node),
		fmt.Sprintf("Via: SIP/2.0/UDP %v;branch=z9hG4bK%s;rport", p.addr, id),
		"Max-Forwards: 70", "From: <sip:ping@192.0.2.1>;tag=1", fmt.Sprintf("To: <sip:%v>", node),
		"Call-ID: " + id + "@" + p.addr.String(), "CSeq: 1 OPTIONS",
	}, nil, "")
}

// established waits for the 200, takes its route set and sends the ACK.
func (d *dialog) established() message {
	d.t.Helper()
	d.final = d.expect("200 INVITE")
	d.to = d.final.header("To")
	contact := d.final.header("Contact")
	_, contact, _ = strings.Cut(contact, "<")
	d.target, _, _ = strings.Cut(contact, ">")
	for _, rr := range d.final.list("Record-Route") {
		d.routes = append([]string{rr}, d.routes...)
	}
	d.send(d.next(), d.request("ACK", d.branch+"ack"))
	return d.final
}

// next is where requests inside the dialog go: the first route, or the target.
func (d *dialog) next() netip.AddrPort {
	d.t.Helper()
	if len(d.routes) > 0 {
		return routeAddr(d.t, d.routes[0])
	}
	return routeAddr(d.t, "<"+d.target+">")
}

// routeAddr is the address in a Route, Record-Route or Contact value.
func routeAddr(t testing.TB, value string) netip.AddrPort {
	t.Helper()
	_, uri, _ := strings.Cut(value, "<sip:")
	uri, _, _ = strings.Cut(uri, ">")
	uri, _, _ = strings.Cut(uri, ";")
	if _, host, ok := strings.Cut(uri, "@"); ok {
		uri = host
	}
	if !strings.Contains(uri, ":") {
		uri += ":5060"
	}
	a, err := netip.ParseAddrPort(uri)
	require.NoError(t, err, value)
	return a
}

// bye ends the dialog along its route set; callee is the connector's side.
func (d *dialog) bye(callee *peer) {
	d.t.Helper()
	d.cseq++
	d.send(d.next(), d.request("BYE", fmt.Sprintf("%sbye%d", d.branch, d.cseq)))
	callee.answer(callee.expect("BYE"), 200, "OK")
	d.expect("200 BYE")
}

// pickUp plays a connector that rings and answers, and returns the INVITE.
func (p *peer) pickUp() message {
	p.t.Helper()
	m := p.expect("INVITE")
	p.answer(m, 180, "Ringing", p.contact())
	p.answer(m, 200, "OK", p.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	return m
}

func (p *peer) contact() string { return "Contact: <sip:" + p.reached() + ">" }

// reached is the end of the peer's URI.
func (p *peer) reached() string {
	if cmp.Or(p.over, "UDP") == "UDP" {
		return p.addr.String()
	}
	return p.addr.String() + ";transport=" + strings.ToLower(p.over)
}

// goodCall runs one whole call from caller to callee through the node.
func (n *node) goodCall(caller, callee *peer, number string) {
	n.t.Helper()
	d := caller.call(n.addr, number).start()
	callee.pickUp()
	caller.expect("180 INVITE")
	d.established()
	callee.expect("ACK")
	d.bye(callee)
}
