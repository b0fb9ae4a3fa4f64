package stream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

// soon is how long a test waits for what must happen.
const soon = 10 * time.Second

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// rig is Streams that are served, with a clock that the test moves.
type rig struct {
	*Streams
	t     testing.TB
	clock atomic.Int64
	logs  *logs

	mu       sync.Mutex
	packets  []packet
	batches  int // calls of Packets
	victims  []victim
	causes   []transport.Cause                                 // of those
	answer   func(in []transport.Packet, out *transport.Batch) // nil: echoes
	answers  func(u transport.Unreachable, out *transport.Batch)
	arrivals chan struct{} // one for each packet, when there is room
}

type packet struct {
	data     string
	source   netip.AddrPort
	listener int
	local    netip.Addr
	peer     *transport.Peer
}

type victim struct {
	dest netip.AddrPort
	data string
}

// serve starts streams with the given config, to the end of the test.
func serve(t testing.TB, cfg Config, change ...func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, logs: &logs{}, arrivals: make(chan struct{}, 1<<16)}
	r.clock.Store(int64(time.Hour))
	for _, f := range change {
		f(r)
	}
	cfg.Now = r.clock.Load
	cfg.Log = slog.New(slog.NewTextHandler(r.logs, nil))
	s, err := Listen(cfg)
	require.NoError(t, err)
	r.Streams = s
	done := make(chan error, 1)
	go func() { done <- s.Serve(r, r.flushTo) }()
	t.Cleanup(func() {
		s.Close()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(soon):
			t.Error("Serve did not return after Close")
		}
		require.Zero(t, s.holding.Load(), "bytes held by no connection")
		for _, st := range s.Stats() {
			require.Zero(t, st.Open)
			require.Zero(t, st.Dialled)
		}
	})
	require.Eventually(t, func() bool { s.mu.RLock(); defer s.mu.RUnlock(); return s.served }, soon, time.Millisecond)
	return r
}

// tcp is a config of one TCP listener, number 7.
func tcp(limits Limits) Config {
	return Config{Listeners: []Listener{{Index: 7, Addr: netip.AddrPortFrom(loopback4, 0)}}, Limits: limits}
}

func (r *rig) Packets(_ int64, in []transport.Packet, out *transport.Batch) {
	r.mu.Lock()
	r.batches++
	for _, p := range in {
		r.packets = append(r.packets, packet{string(p.Data), p.Source, p.Listener, p.Local, p.Peer})
	}
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(in, out)
	} else {
		echo(in, out)
	}
	for range in {
		select {
		case r.arrivals <- struct{}{}:
		default:
		}
	}
}

// echo answers each request with a response that has its body.
func echo(in []transport.Packet, out *transport.Batch) {
	for _, p := range in {
		if _, body, ok := bytes.Cut(p.Data, []byte("\r\n\r\n")); ok && !bytes.HasPrefix(p.Data, responseStart) {
			out.Send(p.Listener, p.Source, fmt.Appendf(out.Buf(), "SIP/2.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		}
	}
}

func (r *rig) Unreachable(_ int64, u transport.Unreachable, out *transport.Batch) {
	r.mu.Lock()
	r.victims = append(r.victims, victim{u.Dest, string(u.Quote)})
	r.causes = append(r.causes, u.Code)
	if u.Code != transport.NoHost && u.Code != transport.SendError && (u.Code != transport.Gone || !isResponse(u.Quote)) || !u.Local {
		r.t.Errorf("reported as %+v", u)
	}
	answers := r.answers
	r.mu.Unlock()
	if answers != nil {
		answers(u, out)
	}
}

func (r *rig) flushTo(_ int64, out *transport.Batch) {
	r.Flush(out)
	out.Reset()
}

func (r *rig) received() []packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]packet(nil), r.packets...)
}

func (r *rig) reported() []victim {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]victim(nil), r.victims...)
}

// reports waits until n messages were reported, and returns why the last one was.
func (r *rig) reports(n int) transport.Cause {
	r.t.Helper()
	r.eventually(func() bool { return len(r.reported()) >= n })
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(r.t, r.causes, n)
	return r.causes[n-1]
}

// calls is how often the Handler was given packets.
func (r *rig) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.batches
}

// pass moves the clock. What is due is found by the next sweep.
func (r *rig) pass(d time.Duration) { r.clock.Add(int64(d)) }

// stats are those of the first listener.
func (r *rig) stats() Stats { return r.Stats()[0] }

// eventually waits for what must happen.
func (r *rig) eventually(what func() bool, msg ...any) {
	r.t.Helper()
	require.Eventually(r.t, what, soon, time.Millisecond, msg...)
}

// ends waits until so many connections have ended for a reason.
func (r *rig) ends(why End, n uint64) {
	r.t.Helper()
	r.eventually(func() bool { return r.stats().Ended[why] >= n }, why.String())
	require.Equal(r.t, n, r.stats().Ended[why], why.String())
}

// arrive waits for so many messages.
func (r *rig) arrive(n int) {
	r.t.Helper()
	deadline := time.After(soon)
	for range n {
		select {
		case <-r.arrivals:
		case <-deadline:
			require.FailNow(r.t, "no message", "%d came", len(r.received()))
		}
	}
}

// logs gathers lines.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")
}

// phone is the other end of a connection, whose reads and writes have a deadline.
type phone struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func newPhone(t testing.TB, conn net.Conn) *phone {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(6*soon)))
	return &phone{conn, t, bufio.NewReader(conn)}
}

// call connects to the first listener.
func (r *rig) call() *phone {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Addrs()[0].String())
	require.NoError(r.t, err)
	return newPhone(r.t, conn)
}

func (p *phone) addr() netip.AddrPort { return unmap(p.LocalAddr().(*net.TCPAddr).AddrPort()) }

func (p *phone) write(text string) {
	p.t.Helper()
	_, err := io.WriteString(p, text)
	require.NoError(p.t, err)
}

// read reads one message.
func (p *phone) read() (head, body string) {
	p.t.Helper()
	head, body, err := p.tryRead()
	require.NoError(p.t, err)
	return head, body
}

func (p *phone) tryRead() (head, body string, err error) {
	length := -1
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return head, "", err
		}
		head += line
		if value, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return head, "", err
			}
		}
		if line == "\r\n" {
			break
		}
	}
	if length < 0 {
		return head, "", fmt.Errorf("no length in %q", head)
	}
	all := make([]byte, length)
	_, err = io.ReadFull(p.r, all)
	return head, string(all), err
}

// echoes sends a request and reads its answer.
func (p *phone) echoes(body string) {
	p.t.Helper()
	p.write(request(body))
	_, got := p.read()
	require.True(p.t, body == got, "%.60q instead of %.60q", got, body)
}

// closed waits until the other end closed the connection.
func (p *phone) closed() {
	p.t.Helper()
	_, err := io.Copy(io.Discard, p.r)
	if err != nil {
		require.NotErrorIs(p.t, err, os.ErrDeadlineExceeded)
	}
}

func request(body string) string {
	return fmt.Sprintf("INVITE sip:+15550000001@127.0.0.1 SIP/2.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
