//go:build linux

package main_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// badPeer is a way to be a bad peer over TCP and TLS, and why the node ends its
// connection.
type badPeer struct {
	name   string
	reason string
	raw    bool // before TLS: only on a listener of TLS
	act    func(conn net.Conn, request string) error
}

var badPeers = []badPeer{
	{"no handshake", "tls_handshake_timed_out", true, func(conn net.Conn, _ string) error {
		return untilClosed(conn)
	}},
	{"half a handshake", "tls_handshake_timed_out", true, func(conn net.Conn, _ string) error {
		return send(conn, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half a hello")
	}},
	{"not TLS", "tls_handshake_failed", true, func(conn net.Conn, request string) error {
		return send(conn, request)
	}},
	{"a byte a second", "message_not_complete_in_time", false, func(conn net.Conn, request string) error {
		pace := time.NewTicker(time.Second)
		defer pace.Stop()
		closed := make(chan error, 1)
		go func() { closed <- untilClosed(conn) }()
		for i := range len(request) {
			_, _ = conn.Write([]byte{request[i]}) // an error is seen by who reads, too
			select {
			case err := <-closed:
				return err
			case <-pace.C:
			}
		}
		return errors.New("the whole request was taken")
	}},
	{"a header without end", "header_too_long", false, func(conn net.Conn, request string) error {
		first, _, _ := strings.Cut(request, "\r\n")
		return send(conn, first+"\r\n"+strings.Repeat("X-More: and more\r\n", 2000))
	}},
	{"no Content-Length", "no_content_length", false, func(conn net.Conn, request string) error {
		return send(conn, strings.Replace(request, "Content-Length: 0\r\n", "", 1))
	}},
	{"a negative Content-Length", "bad_content_length", false, func(conn net.Conn, request string) error {
		return send(conn, strings.Replace(request, "Content-Length: 0", "Content-Length: -1", 1))
	}},
	{"two Content-Lengths", "bad_content_length", false, func(conn net.Conn, request string) error {
		return send(conn, strings.Replace(request, "Content-Length: 0", "Content-Length: 0\r\nl: 1", 1))
	}},
	{"a huge Content-Length", "body_too_long", false, func(conn net.Conn, request string) error {
		return send(conn, strings.Replace(request, "Content-Length: 0", "Content-Length: 99999999999999999999", 1))
	}},
	{"a Content-Length that is too small", "no_content_length", false, func(conn net.Conn, request string) error {
		return send(conn, strings.Replace(request, "Content-Length: 0", "Content-Length: 2", 1)+"v=0\r\no=- 1 1\r\n\r\n")
	}},
	{"a Content-Length that is too great", "message_not_complete_in_time", false, func(conn net.Conn, request string) error {
		return send(conn, strings.Replace(request, "Content-Length: 0", "Content-Length: 200000", 1)+"v=0\r\n")
	}},
	{"a reset within a message", "reset", false, func(conn net.Conn, request string) error {
		if _, err := io.WriteString(conn, request+request[:len(request)/2]); err != nil {
			return err
		}
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil { // the node has read that far
			return err
		}
		under := conn
		if secure, ok := conn.(*tls.Conn); ok {
			under = secure.NetConn()
		}
		if err := under.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
		return under.Close()
	}},
	{"an end within a message", "closed_by_the_peer_within_a_message", false, func(conn net.Conn, request string) error {
		if _, err := io.WriteString(conn, request[:len(request)/2]); err != nil {
			return err
		}
		return conn.Close()
	}},
	{"nothing is read", "peer_does_not_read", false, func(conn net.Conn, request string) error {
		for many := strings.Repeat(request, 1000); ; {
			if _, err := io.WriteString(conn, many); errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			} else if err != nil {
				return nil
			}
		}
	}},
	{"1,000 messages at once", "closed_by_the_peer", false, func(conn net.Conn, request string) error {
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(conn, strings.Repeat(request, 1000))
			sent <- err
		}()
		answers := bufio.NewScanner(conn)
		for good, got := 0, 0; got < 1000; { // to the last byte: who closes with some unread resets
			if !answers.Scan() {
				return fmt.Errorf("%d answers of 1,000: %w", got, answers.Err())
			}
			switch answers.Text() {
			case "SIP/2.0 200 OK":
				good++
			case "":
				if got++; got != good {
					return fmt.Errorf("%d of %d answers are 200", good, got)
				}
			}
		}
		if err := <-sent; err != nil {
			return err
		}
		return conn.Close()
	}},
}

// send sends what the node does not like and waits until it closes the
// connection.
func send(conn net.Conn, text string) error {
	_, _ = io.WriteString(conn, text) // may be refused before its end
	return untilClosed(conn)
}

func untilClosed(conn net.Conn) error {
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// Peers over TCP and TLS do whatever is bad, all at once and beside thousands of
// idle connections: good calls go on, each bad thing is counted by its reason,
// and memory stays bounded.
func TestE2E_BadPeers(t *testing.T) {
	t.Parallel()
	besideBadPeers(t, 500, 5, 20)
}

// besideBadPeers has so many idle connections over each of TCP and TLS, so many
// bad peers of each kind, and good calls a second.
func besideBadPeers(t *testing.T, idle, each, rate int) {
	const tcp4, tls4 = 1, 2
	l := newLab(t)
	n := newPairs(l, patient)
	over := []int{tcp4, tls4}
	for _, i := range over {
		callee := n.takes(t, i)
		defer func() { require.NotZero(t, callee.calls()) }()
	}
	n.calls(t, tcp4, tls4, rate, rate)() // what is made once is there
	before := n.memory("VmRSS")

	// Good calls until everything bad is over.
	sippCaller := callerSIPp(t, nil, "caller", l.addr("127.0.0.3"), n.listen[tcp4], numberTo(tcp4), 600*rate, rate, "-t", "t1", "-d", "20")
	enough, good := make(chan struct{}), make(chan int, 1)
	end := sync.OnceFunc(func() { close(enough) })
	t.Cleanup(func() { // also when the test has failed before: the phone reports to it
		end()
		<-good
	})
	go func() {
		defer close(good)
		phone, made := newCallerPhone(t, l.addr("127.0.0.4"), n.caller), 0
		for {
			for _, err := range phone.place(n.listen[tls4], numberTo(tls4), rate, rate) {
				t.Error("a good call over TLS: ", err)
			}
			made += rate
			select {
			case <-enough:
				good <- made
				return
			default:
			}
		}
	}()

	var held []net.Conn
	goal := 8 << 20 // for the good calls, and for garbage that is not collected yet
	for _, i := range over {
		conns := n.hold(t, i, idle)
		held = append(held, conns...)
		now := n.memory("VmRSS")
		t.Logf("%d idle connections over %s: %.1f MB, %.1f before", len(conns), crossings[i].name, mega(now), mega(before))
		goal += idle * map[int]int{tcp4: 8 << 10, tls4: 32 << 10}[i]
		require.Less(t, now-before, goal, "%s", crossings[i].name)
	}
	counted := func(reason string, listener int) int {
		return int(n.metric(fmt.Sprintf(`^tandem_stream_ended_total\{.*listener="%v".*reason="%s"\}`, n.listen[listener], reason)))
	}
	want, was := map[[2]any]int{}, map[[2]any]int{}
	var bad sync.WaitGroup
	for _, b := range badPeers {
		for _, i := range over {
			if b.raw && i != tls4 {
				continue
			}
			at := [2]any{b.reason, i}
			if want[at] == 0 {
				was[at] = counted(b.reason, i)
			}
			want[at] += each
			for range each {
				bad.Go(func() {
					conn, err := n.dial(i, l.addr(fmt.Sprintf("127.0.0.%d:0", 5+i)), b.raw)
					if err != nil {
						t.Errorf("%s over %s: %v", b.name, crossings[i].name, err)
						return
					}
					defer func() { _ = conn.Close() }()
					if err := b.act(conn, optionsOver(crossings[i].scheme, conn.LocalAddr(), n.listen[i])); err != nil {
						t.Errorf("%s over %s: %v", b.name, crossings[i].name, err)
					}
				})
			}
		}
	}
	bad.Wait()
	for at, count := range want {
		reason, i := at[0].(string), at[1].(int)
		for until := time.Now().Add(patience); counted(reason, i)-was[at] < count && time.Now().Before(until); {
			time.Sleep(readyEvery)
		}
		got := counted(reason, i) - was[at]
		require.GreaterOrEqual(t, got, count, "%s over %s", reason, crossings[i].name)
		if reason != "closed_by_the_peer" { // so do good ones end
			require.Equal(t, count, got, "%s over %s", reason, crossings[i].name)
		}
	}
	require.EqualValues(t, len(held), n.open(held), "idle connections that are there still")
	peak := n.memory("VmHWM")
	for _, conn := range held {
		_ = conn.Close()
	}
	end()
	overTLS := <-good
	sippCaller.retire()
	require.Zero(t, sippCaller.stat("FailedCall"), "good calls over TCP:\n%s", sippCaller.errors(4000))
	require.NotZero(t, sippCaller.stat("SuccessfulCall"))
	t.Logf("good calls: %d over TCP, %d over TLS; memory before %.1f MB, at most %.1f, after %.1f",
		sippCaller.stat("SuccessfulCall"), overTLS, mega(before), mega(peak), mega(n.memory("VmRSS")))
	// At the peak, what waits for who does not read and what messages that are not
	// whole may take come on top, with as much garbage as there is.
	require.Less(t, peak-before, 2*(idle*(8+32)<<10+2*each*256<<10)+64<<20)
}

// hold opens idle connections of a crossing, 1,000 from one source.
func (p *pairs) hold(t testing.TB, crossing, count int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, count)
	var group errgroup.Group
	group.SetLimit(20)
	for i := range conns {
		group.Go(func() (err error) {
			conns[i], err = p.dial(crossing, p.lab.addr(fmt.Sprintf("127.0.0.%d:0", 100+10*crossing+i/1000)), false)
			return err
		})
	}
	require.NoError(t, group.Wait())
	t.Cleanup(func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	return conns
}

// open is how many connections answer a ping (RFC 5626 4.4.1).
func (p *pairs) open(conns []net.Conn) (open int) {
	pong := make([]byte, 2)
	for _, conn := range conns {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, "\r\n\r\n"); err != nil {
			continue
		}
		if _, err := io.ReadFull(conn, pong); err == nil {
			open++
		}
	}
	return open
}

// dial connects to a listener, for a minute at most; raw: without TLS.
func (p *pairs) dial(crossing int, from netip.AddrPort, raw bool) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Deadline: time.Now().Add(time.Minute)}
	conn, err := dialer.Dial("tcp", p.listen[crossing].String())
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if crossings[crossing].scheme != "tls" || raw {
		return conn, nil
	}
	secure := tls.Client(conn, p.caller.client)
	if err := secure.Handshake(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// optionsOver is a request that the node answers by itself.
func optionsOver(scheme string, from net.Addr, node netip.AddrPort) string {
	return render([]string{
		fmt.Sprintf("OPTIONS sip:%v SIP/2.0", node),
		fmt.Sprintf("Via: SIP/2.0/%s %v;branch=z9hG4bKping;rport", strings.ToUpper(scheme), from),
		"Max-Forwards: 70", "From: <sip:ping@192.0.2.1>;tag=1", fmt.Sprintf("To: <sip:%v>", node),
		fmt.Sprintf("Call-ID: ping@%v", from), "CSeq: 1 OPTIONS",
	}, nil, "")
}

// memory is a line of the process's status, in bytes.
func (n *node) memory(line string) int {
	n.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	require.NoError(n.t, err)
	_, rest, found := strings.Cut(string(status), line+":")
	require.True(n.t, found, line)
	var kb int
	_, err = fmt.Sscan(rest, &kb)
	require.NoError(n.t, err)
	return kb << 10
}

func mega(bytes int) float64 { return float64(bytes) / (1 << 20) }
