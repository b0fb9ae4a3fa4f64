//go:build linux

package main_test

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Torture: messages that SIP stacks are known to stumble over, each with what
// a proxy has to make of it. A verdict is forward, drop, or the code of the
// answer; between any two messages a good call goes through.
const (
	forward = -1
	drop    = 0
)

// tortureNumber is the number that leads to the odd connector.
const tortureNumber = "+15550000009"

const tortureConfig = `
trunks: [{name: carrier, sources: [127.0.0.2/32, 127.0.0.3/32, "::1/128"]}]
connectors:
  - {name: first, hosts: [{uri: "sip:FIRST"}]}
  - {name: odd, hosts: [{uri: "sip:ODD"}]}
groups:
  - {name: support, connectors: [{connector: first, priority: 1}], numbers: ["+15550000001"]}
  - {name: odd, connectors: [{connector: odd, priority: 1}], numbers: ["` + tortureNumber + `"]}
`

// TestE2E_TortureVerdicts: the messages of RFC 4475, from sipgo's module, and
// what brought other stacks down.
func TestE2E_TortureVerdicts(t *testing.T) {
	t.Parallel()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/emiago/sipgo").Output()
	require.NoError(t, err)
	k := newRack(t, false)
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: k.noise.addr.Addr().AsSlice(), Port: 5050})
	require.NoError(t, err)
	at := map[string]*tap{"invalid/quotbal": newTap(t, other)} // its Via has this port and no rport (RFC 3261 18.2.2)
	require.Len(t, rfc4475Verdicts, 50)
	for _, name := range slices.Sorted(maps.Keys(rfc4475Verdicts)) {
		v := rfc4475Verdicts[name]
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "sip", "testdata", "torture", name+".dat"))
		require.NoError(t, err)
		raw := string(data)
		k.judge(t, name+" as it is", v.why, raw, v.asIs, at[name])
		if v.change != nil {
			raw = v.change(raw)
		}
		if v.ours != 416 {
			raw = routable(raw, k.n)
		}
		k.judge(t, name+" to a number of ours", v.why, raw, v.ours, at[name])
	}
	for _, h := range hostiles() {
		d := k.caller.call(k.n.addr, tortureNumber)
		raw := strings.ReplaceAll(d.invite, ";rport", "")
		raw = strings.ReplaceAll(raw, k.caller.addr.String(), "192.0.2.9:5060")
		k.judge(t, h.name, h.why, h.change(raw), h.verdict, nil)
	}
	// RFC 3261 17.2.1: Timer H, and what the node needs for it.
	require.Eventually(t, func() bool { return k.n.metric(`^tandem_calls_live`) == 0 }, 50*time.Second, 100*time.Millisecond, "calls live after 64·T1")
	k.done()
}

func TestE2E_TortureRFC5118Verdicts(t *testing.T) {
	t.Parallel()
	k := newRack(t, true)
	for _, c := range rfc5118 {
		raw := strings.ReplaceAll(c.raw, "PORT", fmt.Sprint(k.noise.addr.Port()))
		k.judge(t, c.name+" as it is", c.why, raw, c.asIs, nil)
		k.judge(t, c.name+" to a number of ours", c.why, routable(raw, k.n), c.ours, nil)
	}
	k.done()
}

// rack is a node, a caller and a callee of good calls, and the two ends that
// the bad messages go between.
type rack struct {
	t             testing.TB
	n             *node
	caller, first *peer
	noise, odd    *tap
	serial        int
	idle          usage // before the first message
	inputs        int
}

// newRack starts the node, on IPv4 or IPv6 loopback.
func newRack(t testing.TB, v6 bool) *rack {
	l := newLab(t)
	k := &rack{t: t}
	open := func(address string) *net.UDPConn {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(l.place(address))))
		require.NoError(t, err)
		return conn
	}
	if v6 {
		free := open("[::1]:0")
		own := free.LocalAddr().String()
		require.NoError(t, free.Close())
		k.caller, k.first = newPeer(t, open("[::1]:0")), newPeer(t, open("[::1]:0"))
		k.noise, k.odd = newTap(t, open("[::1]:0")), newTap(t, open("[::1]:0"))
		k.n = l.serveAt(own, k.config())
	} else {
		k.caller, k.first = newPeer(t, open("127.0.0.2:5060")), newPeer(t, open("127.0.0.11:5060"))
		k.noise, k.odd = newTap(t, open("127.0.0.3:5060")), newTap(t, open("127.0.0.13:5060"))
		k.n = l.serve(k.config())
	}
	k.good("before the first message")
	k.idle = k.usage()
	return k
}

func (k *rack) config() string {
	return strings.NewReplacer("FIRST", k.first.addr.String(), "ODD", k.odd.addr.String()).Replace(tortureConfig)
}

func (k *rack) good(when string) {
	k.t.Helper()
	require.True(k.t, k.n.alive(), "%s: the process ended:\n%s", when, k.n.logs.tail(40))
	k.n.goodCall(k.caller, k.first, "+15550000001")
}

// judge sends a message and holds what becomes of it to be the verdict. at is
// a socket besides the noise's own where the answer arrives, or nil.
func (k *rack) judge(t *testing.T, name, why, raw string, verdict int, at *tap) {
	t.Run(name, func(t *testing.T) {
		t.Logf("%d: %s", verdict, why)
		all := k.t
		k.t, k.noise.t, k.odd.t = t, t, t
		defer func() { k.t, k.noise.t, k.odd.t = all, all, all }()
		k.carry(name, raw, verdict, at)
	})
}

func (k *rack) carry(name, raw string, verdict int, at *tap) {
	k.t.Helper()
	k.inputs++
	k.noise.send(k.n.addr, raw)
	hears := k.noise
	if at != nil {
		hears = at
	}
	in := split(raw)
	switch {
	case verdict == forward:
		k.forwarded(name, in)
	case verdict != drop:
		m := hears.expect(name, func(m torturous) bool { return m.status() > 100 && in.alike(m) })
		require.Equal(k.t, verdict, m.status(), "%s: %s", name, m.start)
		if in.method() == "INVITE" {
			k.noise.send(k.n.addr, in.ack(m))
		}
	}
	// Whatever this one socket sent has been handled when its ping is answered.
	k.serial++
	ping := fmt.Sprintf("ping%d", k.serial)
	k.noise.send(k.n.addr, k.caller.pingFrom(k.noise.addr, k.n.addr, ping))
	k.noise.expect(name+", the ping", func(m torturous) bool {
		if verdict == drop && m.status() > 0 && in.alike(m) && m.status() != 100 {
			k.t.Errorf("%s: dropped, but answered %s", name, m.start)
		}
		return m.status() == 200 && strings.Contains(m.raw, ping)
	})
	k.good(name)
	if verdict != forward {
		k.odd.nothing(name, in)
	}
}

// forwarded holds that the odd connector gets the request unchanged but for
// what a proxy changes (RFC 3261 16.6), and the caller its answer (16.7).
func (k *rack) forwarded(name string, in torturous) {
	k.t.Helper()
	isRequest := func(m torturous) bool { return m.status() == 0 && m.method() == in.method() && in.alike(m) }
	got := k.odd.expect(name, isRequest)
	require.Contains(k.t, strings.Fields(got.start)[1], k.odd.addr.String(), name)
	want := slices.Clone(in.fields)
	added := []string{"Via: SIP/2.0/UDP " + k.n.addr.String() + ";branch=z9hG4bKc"}
	if m := in.method(); m == "INVITE" || m == "SUBSCRIBE" || m == "REFER" {
		added = append(added, "Record-Route: <sip:td")
	}
	mf := in.find("max-forwards")
	if mf < 0 {
		added = append(added, "Max-Forwards: 70")
	} else {
		n, err := strconv.Atoi(in.value(mf))
		require.NoError(k.t, err, name)
		want[mf] = want[mf][:len(want[mf])-len(in.value(mf))] + strconv.Itoa(n-1)
	}
	added = append(added, "Max-Breadth: 60")
	require.GreaterOrEqual(k.t, len(got.fields), len(added), name)
	for i, a := range added {
		require.True(k.t, strings.HasPrefix(got.fields[i], a), "%s: %q is no %q", name, got.fields[i], a)
	}
	have := slices.Clone(got.fields[len(added):])
	if via := in.find("via", "v"); len(have) > via {
		received := ";received=" + k.noise.addr.Addr().String()
		require.Contains(k.t, have[via], received, name) // RFC 3261 18.2.1: no sent-by here is the true one
		have[via] = strings.Replace(have[via], received, "", 1)
		want[via] = withoutReceived.ReplaceAllString(want[via], "")
		if rport := fmt.Sprintf(";rport=%d", k.noise.addr.Port()); strings.Contains(have[via], rport) { // RFC 3581 4
			have[via] = strings.Replace(have[via], rport, ";rport", 1)
		}
	}
	own := func(f string) bool { return strings.HasPrefix(f, "Route: <sip:"+k.n.addr.String()+";lr>") }
	want = slices.DeleteFunc(want, own)
	require.Equal(k.t, want, have, name)
	require.Equal(k.t, in.body, got.body, name)

	code := "200 OK"
	if in.method() == "INVITE" {
		code = "486 Busy Here"
	}
	answer := got.answer(code)
	k.odd.send(k.n.addr, answer)
	m := k.noise.expect(name, func(m torturous) bool { return m.status() > 100 && in.alike(m) })
	relayed := split(answer)
	require.Equal(k.t, relayed.start, m.start, name)
	require.Equal(k.t, relayed.fields[1:], m.fields, "%s: the answer without our Via", name)
	if in.method() == "INVITE" {
		k.noise.send(k.n.addr, in.ack(m))
		k.odd.expect(name+", the ACK", func(m torturous) bool { return m.method() == "ACK" })
	}
}

var withoutReceived = regexp.MustCompile(`;\s*received=[^;,\s]*`)

// usage is what messages must not use up.
type usage struct{ goroutines, resident, logged float64 }

func (k *rack) usage() usage {
	return usage{k.n.metric(`^go_goroutines`), k.n.metric(`^process_resident_memory_bytes`), float64(len(k.n.logs.String()))}
}

// done holds that nothing is left behind: no set-up, no goroutine, no memory,
// and that the log did not grow with what was in the messages.
func (k *rack) done() {
	k.t.Helper()
	require.Zero(k.t, k.n.metric(`^tandem_calls_in_setup`))
	now := k.usage()
	lines := strings.Split(k.n.logs.String(), "\n")
	longest := len(slices.MaxFunc(lines, func(a, b string) int { return len(a) - len(b) }))
	k.t.Logf("%d messages: goroutines %v to %v, resident %.1f to %.1f MB, %v bytes logged, the longest line %d",
		k.inputs, k.idle.goroutines, now.goroutines, k.idle.resident/1e6, now.resident/1e6, now.logged-k.idle.logged, longest)
	require.LessOrEqual(k.t, now.goroutines, k.idle.goroutines+5)
	require.Less(k.t, now.resident, k.idle.resident+64e6)
	require.Less(k.t, now.logged-k.idle.logged, 512*float64(k.inputs))
	require.Less(k.t, longest, 2048)
	require.True(k.t, k.n.alive())
}

// tap is a socket that answers nothing but the node's own probes.
type tap struct {
	t     testing.TB
	conn  *net.UDPConn
	addr  netip.AddrPort
	inbox chan torturous
}

func newTap(t testing.TB, conn *net.UDPConn) *tap {
	p := &tap{t: t, conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), inbox: make(chan torturous, 4096)}
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				close(p.inbox)
				return
			}
			m := split(string(buf[:n]))
			if m.method() == "OPTIONS" && strings.Contains(m.raw, ";branch=z9hG4bK.") { // see design D2
				_, _ = conn.WriteToUDPAddrPort([]byte(m.answer("200 OK")), from)
				continue
			}
			p.inbox <- m
		}
	}()
	t.Cleanup(func() { _ = conn.Close() })
	return p
}

func (p *tap) send(to netip.AddrPort, raw string) {
	p.t.Helper()
	_, err := p.conn.WriteToUDPAddrPort([]byte(raw), to)
	require.NoError(p.t, err)
}

// expect returns the next message that is wanted and passes over all others.
func (p *tap) expect(name string, wanted func(torturous) bool) torturous {
	p.t.Helper()
	timeout := time.After(patience)
	var seen []string
	for {
		select {
		case m := <-p.inbox:
			if wanted(m) {
				return m
			}
			seen = append(seen, m.start)
		case <-timeout:
			p.t.Fatalf("%s: %v got %q only", name, p.addr, seen)
		}
	}
}

// nothing holds that no request waits that was made from in.
func (p *tap) nothing(name string, in torturous) {
	p.t.Helper()
	for {
		select {
		case m := <-p.inbox:
			require.False(p.t, m.status() == 0 && m.method() != "ACK" && in.alike(m), "%s: %v got %q", name, p.addr, m.raw)
		default:
			return
		}
	}
}

// torturous is a message taken apart by the plainest means: lines end with LF
// or CRLF, a field has its folded lines with LF between them.
type torturous struct {
	raw, start string
	fields     []string
	body       string
}

func split(raw string) (m torturous) {
	m.raw = raw
	rest := strings.TrimLeft(raw, "\r\n")
	for first := true; ; first = false {
		line, after, found := strings.Cut(rest, "\n")
		line = strings.TrimSuffix(line, "\r")
		rest = after
		switch {
		case first:
			m.start = line
		case line == "" || !found:
			m.body = rest
			if i := m.find("content-length", "l"); i >= 0 {
				if n, err := strconv.Atoi(m.value(i)); err == nil && n >= 0 && n < len(rest) {
					m.body = rest[:n] // RFC 3261 18.3
				}
			}
			return m
		case line[0] == ' ' || line[0] == '\t':
			if n := len(m.fields); n > 0 {
				m.fields[n-1] += "\n" + line
			}
		default:
			m.fields = append(m.fields, line)
		}
		if !found {
			return m
		}
	}
}

func (m torturous) method() string { method, _, _ := strings.Cut(m.start, " "); return method }

func (m torturous) status() int {
	if m.method() != "SIP/2.0" {
		return 0
	}
	code, _ := strconv.Atoi(strings.Split(m.start+" ", " ")[1])
	return code
}

// find returns the first field with one of these names, or -1.
func (m torturous) find(names ...string) int {
	return slices.IndexFunc(m.fields, func(f string) bool {
		name, _, _ := strings.Cut(f, ":")
		return slices.Contains(names, strings.ToLower(strings.TrimSpace(name)))
	})
}

func (m torturous) value(i int) string {
	if i < 0 {
		return ""
	}
	_, v, _ := strings.Cut(m.fields[i], ":")
	return strings.TrimSpace(v)
}

// alike tells whether an answer is to m: it has its Call-ID, or none as m.
func (m torturous) alike(answer torturous) bool {
	return m.value(m.find("call-id", "i")) == answer.value(answer.find("call-id", "i")) &&
		m.value(m.find("cseq")) == answer.value(answer.find("cseq"))
}

// answer renders the answer of the next hop: Vias, From, To, Call-ID and CSeq
// as they came.
func (m torturous) answer(status string) string {
	lines := []string{"SIP/2.0 " + status}
	for _, f := range m.fields {
		name, _, _ := strings.Cut(f, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "to", "t":
			if !regexp.MustCompile(`;\s*tag\s*=`).MatchString(f) {
				f += ";tag=odd"
			}
		case "via", "v", "from", "f", "call-id", "i", "cseq":
		default:
			continue
		}
		lines = append(lines, strings.ReplaceAll(f, "\n", "\r\n"))
	}
	return strings.Join(append(lines, "Content-Length: 0"), "\r\n") + "\r\n\r\n"
}

// ack renders the ACK of a refusal of m (RFC 3261 17.1.1.3).
func (m torturous) ack(refusal torturous) string {
	lines := []string{"ACK " + strings.TrimPrefix(m.start, "INVITE ")}
	for _, i := range []int{m.find("via", "v"), m.find("from", "f"), m.find("call-id", "i")} {
		if i >= 0 {
			lines = append(lines, strings.ReplaceAll(m.fields[i], "\n", "\r\n"))
		}
	}
	if i := refusal.find("to"); i >= 0 {
		lines = append(lines, refusal.fields[i])
	}
	if i := m.find("cseq"); i >= 0 {
		lines = append(lines, strings.Replace(strings.ReplaceAll(m.fields[i], "\n", "\r\n"), "INVITE", "ACK", 1))
	}
	return strings.Join(lines, "\r\n") + "\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
}

// pingFrom is ping from another socket.
func (p *peer) pingFrom(source, node netip.AddrPort, id string) string {
	return strings.ReplaceAll(p.ping(node, id), p.addr.String(), source.String())
}

// requestURI is what stands for the called number in a request line.
var requestURI = regexp.MustCompile(`^(\S+\s+<?)(?:[A-Za-z][A-Za-z.]*:)?[^\s>]*@[^\s;>?]*`)

var callID = regexp.MustCompile(`(?im)^(?:call-id|i)\s*:[^\r\n]*`)

// routable is a message with our number in the request-URI, its parameters and
// headers kept, and another Call-ID: it is no retransmission.
func routable(raw string, n *node) string {
	raw = callID.ReplaceAllString(raw, "${0}.ours")
	at := len(raw) - len(strings.TrimLeft(raw, "\r\n"))
	return raw[:at] + requestURI.ReplaceAllString(raw[at:], "${1}sip:"+tortureNumber+"@"+n.addr.String())
}
