package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
)

// Send sends data to dest on a connection of the listener, or opens one. It
// copies data, does not wait, and may be called from any goroutine, a Handler's
// too. An error is that of a listener that does not exist, or of a closed one;
// everything else that keeps data from being sent is told to Handler.Unreachable.
//
// A response goes back on the accepted connection of that address, if there is
// one, a request on the connection that we opened. A request goes on an accepted
// one where there is no other: over TLS only if nobody in particular has to be
// at dest (Config.Dial), or the peer has proved to be it (RFC 5923).
func (s *Streams) Send(index int, dest netip.AddrPort, data []byte) error {
	l := s.listener(index)
	if l == nil {
		return fmt.Errorf("stream: no listener %d", index)
	}
	dest = unmap(dest)
	response := bytes.HasPrefix(data, responseStart)
	for range maxTries {
		c, why := s.find(l, dest, response)
		if why == Closed {
			return net.ErrClosed
		}
		if c == nil {
			s.ended(l, dest, true, why, nil)
			break
		}
		if c.send(s.now(), dest, data, false) {
			return nil
		}
		s.forget(c) // it is at its end
	}
	s.undelivered(l, []waiting{{data: bytes.Clone(data), dest: dest}})
	return nil
}

var responseStart = []byte("SIP/2.0 ")

// maxTries is how many connections one message may find at their end.
const maxTries = 3

// find returns the connection for a message to dest, and opens one if need be;
// nil and why if there can be none.
func (s *Streams) find(l *listener, dest netip.AddrPort, response bool) (*conn, End) {
	s.mu.RLock()
	ours, theirs := s.names[name{l, dest, true}], s.names[name{l, dest, false}]
	s.mu.RUnlock()
	switch {
	case theirs != nil && (response || ours == nil && l.TLS == nil):
		return theirs, NotEnded
	case ours != nil:
		return ours, NotEnded
	}
	var who *ClientTLS
	if l.TLS != nil {
		if s.config.Dial != nil {
			who = s.config.Dial(l.Index, dest)
		}
		switch {
		case theirs != nil && (who == nil || who.isPeer(theirs.peer)):
			return theirs, NotEnded
		case who == nil:
			return nil, Unknown
		}
	}
	return s.open(l, dest, who)
}

// open starts to dial dest, or finds that somebody else just did.
func (s *Streams) open(l *listener, dest netip.AddrPort, who *ClientTLS) (*conn, End) {
	n := name{l, dest, true}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.names[n]
	switch {
	case s.closed || !s.served:
		return nil, Closed
	case c != nil:
		return c, NotEnded
	case s.dialled >= s.limits.Dialled || s.dialling >= s.limits.Dialling:
		return nil, TooManyDialled
	}
	ctx, cancel := context.WithCancel(context.Background())
	c = &conn{s: s, listener: l, remote: dest, cancel: cancel}
	now := s.now()
	c.used.Store(now)
	c.deadline.Store(now + int64(s.limits.Connect))
	s.dialled++
	s.dialling++
	s.all[c] = struct{}{}
	s.names[n] = c
	s.wg.Add(1)
	l.dialled.Add(1)
	go c.dial(ctx, who)
	return c, NotEnded
}

// arrive counts c as dialled.
func (s *Streams) arrive(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialling--
	c.arrived = true
	c.listener.connected.Add(1)
}

// dial connects c. It leaves from the listener's address, and from a port of
// the moment: the listener's own belongs to those who connect to it.
func (c *conn) dial(ctx context.Context, who *ClientTLS) {
	dialer := net.Dialer{KeepAlive: -1, Control: tuning(true)}
	if !c.listener.wildcard() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.listener.bound.Addr(), 0))
	}
	dialer.SetMultipathTCP(false)
	tcp, err := dialer.DialContext(ctx, "tcp", c.remote.String())
	if err != nil {
		c.fail(ConnectFailed, err)
		c.end()
		return
	}
	if who != nil {
		c.deadline.Store(c.s.now() + int64(c.s.limits.Handshake))
	}
	if !c.connected(tcp.(*net.TCPConn)) {
		c.end()
		return
	}
	if who == nil {
		c.begin(nil)
		return
	}
	c.shake(func(under net.Conn) *tls.Conn { return tls.Client(under, who.config) }, who.peer)
}
