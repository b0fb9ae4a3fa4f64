package probe

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}

// socket is a listener's socket as the router has it: responses to branches of
// sipgo's are delivered, all else is the router's.
type socket struct {
	udp  *net.UDPConn
	conn *Conn
	done chan struct{}
}

func newSocket(t *testing.T, addr string) *socket {
	t.Helper()
	udp := listen(t, addr)
	s := &socket{udp: udp, done: make(chan struct{})}
	s.conn = NewConn(udp.LocalAddr(), func(data []byte, dest netip.AddrPort) error {
		_, err := udp.WriteToUDPAddrPort(data, dest)
		return err
	})
	go func() {
		defer close(s.done)
		buf := make([]byte, 65535)
		for {
			n, src, err := udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if bytes.Contains(buf[:n], []byte("branch="+BranchPrefix)) {
				s.conn.Deliver(buf[:n], src)
			}
			clear(buf[:n]) // the router reuses its buffers
		}
	}()
	t.Cleanup(func() { udp.Close(); <-s.done })
	return s
}

func (s *socket) addr() netip.AddrPort { return plain(s.udp.LocalAddr().(*net.UDPAddr).AddrPort()) }

func listen(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	require.NoError(t, err)
	require.NoError(t, udp.SetReadBuffer(4<<20))
	return udp
}

// peer is a host without a SIP stack: it records requests and answers them with
// what answer returns, if anything.
type peer struct {
	udp    *net.UDPConn
	done   chan struct{}
	mu     sync.Mutex
	seen   []seen
	answer func(request string) []string
}

type seen struct {
	request string
	src     netip.AddrPort
}

func newPeer(t *testing.T, addr string, answer func(request string) []string) *peer {
	t.Helper()
	p := &peer{udp: listen(t, addr), done: make(chan struct{}), answer: answer}
	go func() {
		defer close(p.done)
		buf := make([]byte, 65535)
		for {
			n, src, err := p.udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.seen = append(p.seen, seen{string(buf[:n]), plain(src)})
			answer := p.answer
			p.mu.Unlock()
			for _, response := range answer(string(buf[:n])) {
				_, _ = p.udp.WriteToUDPAddrPort([]byte(response), src)
			}
		}
	}()
	t.Cleanup(p.close)
	return p
}

func (p *peer) close() { p.udp.Close(); <-p.done }

func (p *peer) addr() netip.AddrPort { return plain(p.udp.LocalAddr().(*net.UDPAddr).AddrPort()) }

func (p *peer) requests() []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]seen(nil), p.seen...)
}

// branch is that of the last request.
func (p *peer) branch(t *testing.T) []byte {
	t.Helper()
	all := p.requests()
	require.NotEmpty(t, all)
	_, rest, found := strings.Cut(all[len(all)-1].request, ";branch=")
	require.True(t, found)
	return []byte(rest[:strings.IndexAny(rest, ";\r\n")])
}

func (p *peer) become(answer func(request string) []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// response answers a request with a status line.
func response(request, status string) string {
	out := []string{"SIP/2.0 " + status}
	for line := range strings.SplitSeq(request, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via", "From", "Call-ID", "CSeq":
			out = append(out, line)
		case "To":
			out = append(out, line+";tag=1")
		}
	}
	return strings.Join(append(out, "Content-Length: 0", "", ""), "\r\n")
}

func always(statuses ...string) func(string) []string {
	return func(request string) []string {
		var out []string
		for _, s := range statuses {
			out = append(out, response(request, s))
		}
		return out
	}
}

func nothing(string) []string { return nil }

// fast are settings by which a test need not wait long.
func fast() catalog.Health {
	set := catalog.DefaultHealth()
	set.Interval = 60 * time.Millisecond
	set.FastInterval = 20 * time.Millisecond
	set.Timeout = 250 * time.Millisecond
	return set
}

// once are settings by which a host in good health is probed once, and a probe
// waits for as long as the test.
func once() catalog.Health {
	set := catalog.DefaultHealth()
	set.Interval, set.Timeout = time.Hour, time.Hour
	return set
}

// bench is a running prober with one listener.
type bench struct {
	*Prober
	registry *health.Registry
	socket   *socket
	now      func() int64
	stop     func() error // ends Run and returns its error; may be called again
}

func start(t *testing.T, set catalog.Health, change ...func(*Options)) *bench {
	t.Helper()
	began := time.Now()
	b := &bench{
		registry: health.NewRegistry(health.Options{Settings: set}),
		now:      func() int64 { return int64(time.Since(began)) + 1 },
	}
	opts := Options{Registry: b.registry, Now: b.now}
	for _, f := range change {
		f(&opts)
	}
	if opts.Listeners == nil {
		b.socket = newSocket(t, "127.0.0.1:0")
		opts.Listeners = []Listener{{Conn: b.socket.conn, Advertise: "sbc.example.com:5070"}}
	}
	var err error
	b.Prober, err = New(opts)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			panic("Run does not end")
		}
	})
	t.Cleanup(func() { _ = b.stop() })
	return b
}

func (b *bench) target(uri string, addr netip.AddrPort) Target {
	k := health.Key{URI: uri, Addr: addr, Listener: "udp://test"}
	return Target{Key: k, Host: b.registry.Host(k), Addr: addr, URI: uri}
}

// probe makes the only target a host at addr.
func (b *bench) probe(t *testing.T, addr netip.AddrPort) *health.Host {
	t.Helper()
	target := b.target("sip:"+addr.String(), addr)
	require.NoError(t, b.SetTargets([]Target{target}))
	return target.Host
}
