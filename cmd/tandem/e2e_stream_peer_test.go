//go:build linux

package main_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// streamSocket is a listener of TCP or TLS and all connections of its, as the
// one socket that a peer has. An answer goes back on the connection that its
// request came by; where there is none, one is opened.
type streamSocket struct {
	listener net.Listener
	secure   *endTLS // nil: TCP
	in       chan arrival
	done     chan struct{}
	wg       sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	conns    map[netip.AddrPort]net.Conn
	accepted int     // connections whose handshake was done
	failed   []error // handshakes that were not
}

type arrival struct {
	raw  []byte
	from netip.AddrPort
}

// endTLS is how a peer shows itself over TLS.
type endTLS struct{ server, client *tls.Config }

// streamPeer is a peer over TCP, or over TLS.
func (l *lab) streamPeer(host string, secure *endTLS) (*peer, *streamSocket) {
	l.t.Helper()
	return newStreamPeer(l.t, l.addr(host), secure)
}

func newStreamPeer(t testing.TB, at netip.AddrPort, secure *endTLS) (*peer, *streamSocket) {
	t.Helper()
	ln, err := net.Listen("tcp", at.String())
	require.NoError(t, err)
	s := &streamSocket{
		listener: ln, secure: secure,
		in: make(chan arrival, 4096), done: make(chan struct{}), conns: make(map[netip.AddrPort]net.Conn),
	}
	s.wg.Go(s.accept)
	t.Cleanup(s.wg.Wait) // after the peer's own, which closes it
	over := "TCP"
	if secure != nil {
		over = "TLS"
	}
	return newPeerOver(t, over, s, at), s
}

func (s *streamSocket) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			if s.secure != nil {
				conn = tls.Server(conn, s.secure.server)
			}
			if s.enter(conn) == nil {
				s.mu.Lock()
				s.accepted++
				s.mu.Unlock()
				s.read(conn)
			}
		})
	}
}

// enter does the handshake of a connection and lets messages go on it.
func (s *streamSocket) enter(conn net.Conn) error {
	var err error
	if secure, ok := conn.(*tls.Conn); ok {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if err = secure.Handshake(); err == nil {
			_ = conn.SetDeadline(time.Time{})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.failed = append(s.failed, err)
	case s.closed:
		err = net.ErrClosed
	default:
		s.conns[remote(conn)] = conn
		return nil
	}
	_ = conn.Close()
	return err
}

func remote(conn net.Conn) netip.AddrPort { return conn.RemoteAddr().(*net.TCPAddr).AddrPort() }

// read hands out the messages of a connection until it ends. Pings are answered
// (RFC 5626 4.4.1).
func (s *streamSocket) read(conn net.Conn) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, remote(conn))
		_ = conn.Close()
	}()
	r := bufio.NewReader(conn)
	for {
		var head strings.Builder
		length := 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if head.Len() == 0 && line == "\r\n" {
				if next, _ := r.Peek(2); string(next) == "\r\n" {
					_, _ = r.Discard(2)
					_, _ = conn.Write([]byte("\r\n"))
				}
				continue
			}
			head.WriteString(line)
			if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Content-Length") {
				_, _ = fmt.Sscan(value, &length)
			}
			if line == "\r\n" {
				break
			}
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		select {
		case s.in <- arrival{append([]byte(head.String()), body...), remote(conn)}:
		case <-s.done:
			return
		}
	}
}

func (s *streamSocket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case a := <-s.in:
		return copy(b, a.raw), a.from, nil
	case <-s.done:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (s *streamSocket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	s.mu.Lock()
	conn := s.conns[to]
	s.mu.Unlock()
	if conn == nil {
		var err error
		if conn, err = s.connect(to); err != nil {
			return 0, err
		}
	}
	return conn.Write(b)
}

// connect opens a connection.
func (s *streamSocket) connect(to netip.AddrPort) (net.Conn, error) {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: s.listener.Addr().(*net.TCPAddr).IP}, Timeout: patience}
	conn, err := from.Dial("tcp", to.String())
	if err != nil {
		return nil, err
	}
	if s.secure != nil {
		conn = tls.Client(conn, s.secure.client)
	}
	if err := s.enter(conn); err != nil {
		return nil, err
	}
	s.wg.Go(func() { s.read(conn) })
	return conn, nil
}

// handshakes is how many connections came about that others opened, and why
// others did not.
func (s *streamSocket) handshakes() (accepted int, failed []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted, append([]error{}, s.failed...)
}

// Close ends it with all its connections.
func (s *streamSocket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.done)
	_ = s.listener.Close()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	return nil
}
