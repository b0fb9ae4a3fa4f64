//go:build linux

package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/dns/dnstest"
)

// The first connector's host is a name, whose servers a DNS server of the test
// has; the second's is an address.
const namedConnector = `
dns: {servers: ["127.0.0.53:5353"], timeout: 300ms, min_ttl: 1s}
health: {interval: 1s, fast_interval: 200ms, timeout: 200ms}
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:Voice.test"}]}
  - {name: second, region: west, hosts: [{uri: "sip:127.0.0.14:5060"}]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
`

// zoneOf has the SRV records of hosts of the lab, in their order.
func (l *lab) zoneOf(hosts ...int) (zone []string) {
	for i, h := range hosts {
		zone = append(zone, fmt.Sprintf("_sip._udp.voice.test. 1 IN SRV %d 0 5060 h%d.voice.test.", 10*(i+1), h),
			l.place(fmt.Sprintf("h%d.voice.test. 1 IN A 127.0.0.%d", h, h)))
	}
	return zone
}

// explained is what explain says of the number.
func (n *node) explained() string {
	out, _ := run(n.t, "explain", "--admin", n.admin, "+15550000001")
	return out
}

func TestE2E_NamesBySRV(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	server := dnstest.Start(t, l.place("127.0.0.53:5353"), append(l.zoneOf(11, 12), "_sip._tcp.voice.test. 1 IN SRV 1 0 5060 h11.voice.test.", l.place("h11.voice.test. 1 IN A 127.0.0.1"))...)
	caller, first, backup, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12"), l.peer("127.0.0.14")
	n := l.serve(namedConnector)

	// SRV failover in order, then the next connector; each with the name as the
	// request-URI, and its own address as the place.
	d := caller.call(n.addr, "+15550000001").start()
	for _, p := range []*peer{first, backup} {
		invite := p.expect("INVITE")
		require.Equal(t, "sip:+15550000001@Voice.test", invite.uri())
		p.answer(invite, 503, reasons[503])
		p.expect("ACK")
	}
	second.pickUp()
	caller.expect("180 INVITE")
	d.established()
	second.expect("ACK")
	d.bye(second)
	calls := n.recent("+15550000001", time.Time{})
	require.Len(t, calls[0].Attempts, 3)

	at := func(host int) string { return l.place(fmt.Sprintf("sip:Voice.test (127.0.0.%d:5060)", host)) }
	out := n.explained()
	require.Regexp(t, `(?s)1 +first +east +`+quoteMeta(at(11))+`.*2 +first +east +`+quoteMeta(at(12))+`.*place 2 in DNS.*3 +second`, out)
	out, code := run(t, "health", "--admin", n.admin)
	require.Zero(t, code, out)
	require.Contains(t, out, at(11))
	require.Contains(t, out, at(12))
	require.Contains(t, n.logged(`"a server of a name gets no calls|DNS: a server of a name`)["because"], "this node itself")
	require.Equal(t, 1.0, n.metric(`^tandem_dns_names{state="known"}`))
	require.Positive(t, n.metric(`^tandem_dns_servers{kind="left_out"}`))
	require.Equal(t, 1.0, n.metric(`^tandem_host_operator_state.*`+quoteMeta(at(12))+`.*state="enabled"`))

	// Orders: of one address, and of all addresses of the name, those too that come
	// later.
	place := l.place("127.0.0.11:5060")
	out, code = run(t, "host", "drain", "--admin", n.admin, place)
	require.Zero(t, code, out)
	d = caller.call(n.addr, "+15550000001").start()
	backup.pickUp()
	caller.expect("180 INVITE")
	d.established()
	backup.expect("ACK")
	d.bye(backup)
	out, code = run(t, "host", "drain", "--admin", n.admin, "sip:voice.test", "--note", "all of it")
	require.Zero(t, code, out)
	require.Contains(t, out, at(12))
	out, _ = run(t, "host", "enable", "--admin", n.admin, place)
	require.Contains(t, out, "still takes no new calls: host is draining")
	server.Set(t, l.zoneOf(13)...)
	until(t, "another address", func() bool { return strings.Contains(n.explained(), at(13)) })
	require.Contains(t, n.explained(), "all of it")
	d = caller.call(n.addr, "+15550000001").start()
	second.pickUp()
	caller.expect("180 INVITE")
	d.established()
	second.expect("ACK")
	d.bye(second)
}

func quoteMeta(s string) string {
	return strings.NewReplacer("(", `\(`, ")", `\)`, ".", `\.`).Replace(s)
}

// Of the transports that the node listens on the one that NAPTR records prefer is
// taken, and another one when they do.
func TestE2E_NamesByNAPTR(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	naptr := func(tcp, udp int) []string {
		return []string{
			`voice.test. 1 IN NAPTR 5 1 "s" "SIPS+D2T" "" _sips._tcp.voice.test.`,
			fmt.Sprintf(`voice.test. 1 IN NAPTR %d 1 "s" "SIP+D2T" "" _sip._tcp.voice.test.`, tcp),
			fmt.Sprintf(`voice.test. 1 IN NAPTR %d 1 "s" "SIP+D2U" "" _sip._udp.voice.test.`, udp),
			"_sips._tcp.voice.test. 1 IN SRV 1 1 5061 h.voice.test.", "_sip._tcp.voice.test. 1 IN SRV 1 1 5070 h.voice.test.",
			"_sip._udp.voice.test. 1 IN SRV 1 1 5080 h.voice.test.", l.place("h.voice.test. 1 IN A 127.0.0.11"),
		}
	}
	server := dnstest.Start(t, l.place("127.0.0.53:5353"), naptr(10, 20)...)
	caller, udp := l.peer("127.0.0.2"), l.peer("127.0.0.11:5080")
	tcp := l.tcpCallee("127.0.0.11:5070")
	n := l.serveFile(l.addr("127.0.0.1"), l.admin(8080), strings.Replace(configHead, `"udp://LISTEN"`, `"udp://LISTEN", "tcp://LISTEN"`, 1)+namedConnector)
	caller.call(n.addr, "+15550000001").start().fails(486)
	require.Contains(t, <-tcp, "INVITE sip:+15550000001@Voice.test SIP/2.0")
	because := n.logged("DNS: a server of a name gets no calls")["because"]
	require.Contains(t, because, "no tls:// listener")

	server.Set(t, naptr(20, 10)...)
	until(t, "another preference", func() bool { return strings.Contains(n.explained(), ":5080") })
	d := caller.call(n.addr, "+15550000001").start()
	udp.pickUp()
	caller.expect("180 INVITE")
	d.established()
	udp.expect("ACK")
	d.bye(udp)
}

// tcpCallee is busy for every INVITE that comes over TCP, and returns them.
func (l *lab) tcpCallee(at string) <-chan string {
	l.t.Helper()
	listener, err := net.Listen("tcp4", l.addr(at).String())
	require.NoError(l.t, err)
	invites := make(chan string, 10)
	var all sync.WaitGroup
	l.t.Cleanup(all.Wait)
	l.t.Cleanup(func() { _ = listener.Close() })
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.t.Cleanup(func() { _ = conn.Close() })
			all.Go(func() { busy(conn, invites) })
		}
	})
	return invites
}

// busy answers what comes over a connection until it ends.
func busy(conn net.Conn, invites chan<- string) {
	in := textproto.NewReader(bufio.NewReader(conn))
	for {
		start, err := in.ReadLine()
		if err != nil {
			return
		}
		if start == "" {
			continue // a keep-alive
		}
		raw, length := start+"\r\n", 0
		for line := start; line != ""; raw += line + "\r\n" {
			if line, err = in.ReadLine(); err != nil {
				return
			}
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
		}
		if _, err := io.CopyN(io.Discard, in.R, int64(length)); err != nil {
			return
		}
		switch m := (message{raw: raw}); m.what() {
		case "INVITE":
			invites <- m.start()
			_, _ = io.WriteString(conn, m.reply(486, reasons[486]))
		case "OPTIONS":
			_, _ = io.WriteString(conn, m.reply(200, "OK"))
		}
	}
}

// A node starts without an answer, its connector has no host yet, and calls go to
// the next. A slow server does not hold up a reload, nor a call.
func TestE2E_NamesWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	server := dnstest.Start(t, l.place("127.0.0.53:5353"), l.zoneOf(11)...)
	server.Feel(dnstest.Silent)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.14")
	binary(t) // built, before the clock runs
	began := time.Now()
	n := l.serve(namedConnector)
	require.Less(t, time.Since(began), 3*time.Second)
	call := func(p *peer) {
		t.Helper()
		d := caller.call(n.addr, "+15550000001").start()
		p.pickUp()
		caller.expect("180 INVITE")
		d.established()
		p.expect("ACK")
		d.bye(p)
	}
	call(second)
	require.Contains(t, n.explained(), "no address of the name is known")
	require.Contains(t, n.logged("DNS: a name has no server")["problem"], "does not answer within 300ms")
	require.Equal(t, 1.0, n.metric(`^tandem_dns_names{state="empty"}`))

	began = time.Now()
	n.rewrite(strings.ReplaceAll(namedConnector, "sip:Voice.test", "sip:other.test"))
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGHUP))
	until(t, "the reload", func() bool { return n.metric(`^tandem_config_reloads_total{result="taken"}`) == 1 })
	require.Less(t, time.Since(began), 2*time.Second)
	call(second)

	// The name of before again, now with an answer: it is there with the reload.
	server.Feel(dnstest.Good)
	n.rewrite(namedConnector)
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGHUP))
	until(t, "the reload", func() bool { return n.metric(`^tandem_config_reloads_total{result="taken"}`) == 2 })
	call(first)
	require.Zero(t, n.metric(`^tandem_dns_names{state="empty"}`))
}

// What was known of an address before a restart is known after it, though its name
// has to be looked up first.
func TestE2E_NamesKeepTheirHealth(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	dnstest.Start(t, l.place("127.0.0.53:5353"), l.zoneOf(11, 12)...)
	first, backup := l.peer("127.0.0.11"), l.peer("127.0.0.12")
	first.mute.Store(true)
	l.peer("127.0.0.14")
	caller := l.peer("127.0.0.2")
	n := l.serve(namedConnector)
	n.logged(`"host is down".*127[0-9.]*\.11:5060`)
	require.Zero(t, n.stop())
	n.start()
	n.logged(`still down after the restart.*127[0-9.]*\.11:5060`)
	d := caller.call(n.addr, "+15550000001").start()
	backup.pickUp()
	caller.expect("180 INVITE")
	d.established()
	backup.expect("ACK")
	d.bye(backup)
	first.quiet(0)
}

// goesSoon waits until calls would go to a host first.
func goesSoon(t *testing.T, n *node, l *lab, host int) {
	t.Helper()
	want := l.place(fmt.Sprintf("127.0.0.%d:5060", host))
	until(t, want, func() bool {
		_, steps, _ := strings.Cut(n.explained(), "tried, in this order")
		first, _, _ := strings.Cut(strings.TrimSpace(steps), "\n")
		return strings.Contains(first, want)
	})
}
