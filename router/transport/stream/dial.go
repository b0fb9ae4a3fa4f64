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
		c, who, why := s.find(l, dest, response)
		if c == nil && why == NotEnded {
			if c, why = s.open(l, dest, who, data); c == nil && why == NotEnded {
				return nil
			}
		}
		switch {
		case why == Closed:
			return net.ErrClosed
		case c == nil:
			s.ended(l, dest, true, why, nil)
			s.undelivered(l, []waiting{{data: bytes.Clone(data), dest: dest, ours: true}})
			return nil
		case c.send(s.now(), false, outgoing{dest, data}):
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

// find returns the connection for a message to dest, or who it is that one is to
// be opened to, or why there can be none.
func (s *Streams) find(l *listener, dest netip.AddrPort, response bool) (c *conn, who *ClientTLS, why End) {
	s.mu.RLock()
	ours, theirs, alias := s.names[name{l, dest, dialled}], s.names[name{l, dest, accepted}], s.names[name{l, dest, aliased}]
	s.mu.RUnlock()
	switch {
	case theirs != nil && (response || ours == nil && l.TLS == nil):
		return theirs, nil, NotEnded
	case ours != nil && (response || l.TLS == nil):
		return ours, nil, NotEnded
	case l.TLS == nil:
		return nil, nil, NotEnded
	}
	if s.config.Dial != nil {
		who = s.config.Dial(l.Index, dest)
	}
	switch {
	case ours != nil && (who == nil || who == ours.who):
		return ours, nil, NotEnded
	case theirs != nil && (who == nil || who.isPeer(theirs.peer)):
		return theirs, nil, NotEnded
	case who == nil:
		return nil, nil, Unknown
	case alias != nil && who.isPeer(alias.peer):
		return alias, nil, NotEnded
	}
	return nil, who, NotEnded
}

// Alias lets requests to addr go on the accepted connection whose other end is
// source, while it is there, as a peer asks that puts "alias" in its Via (RFC
// 5923). It has to be a TLS connection of a peer with names, and is used only
// where Config.Dial says that one of them has to be at addr. That addr belongs to
// the Via's sent-by, and that to the peer, is the caller's to check. It is false
// when there is no such connection.
func (s *Streams) Alias(index int, source, addr netip.AddrPort) bool {
	l := s.listener(index)
	if l == nil || l.TLS == nil {
		return false
	}
	source, addr = unmap(source), unmap(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.names[name{l, source, accepted}]
	switch {
	case c == nil || len(c.peer.Names) == 0:
		return false
	case s.names[name{l, addr, aliased}] == c:
		return true
	case len(c.aliases) >= maxAliases:
		return false
	}
	c.aliases = append(c.aliases, addr)
	s.names[name{l, addr, aliased}] = c
	return true
}

// maxAliases bounds the names that a peer can take.
const maxAliases = 4

// open starts to dial dest, with data to send when it is there. If somebody else
// just did, it returns that connection, and data is still to be sent. One that is
// there for somebody else is not found any more, and left to end as idle.
func (s *Streams) open(l *listener, dest netip.AddrPort, who *ClientTLS, data []byte) (*conn, End) {
	n := name{l, dest, dialled}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch other := s.names[n]; {
	case s.closed || !s.served:
		return nil, Closed
	case other != nil && other.who == who:
		return other, NotEnded
	case s.dialled >= s.limits.Dialled || s.dialling >= s.limits.Dialling:
		return nil, TooManyDialled
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{s: s, listener: l, remote: dest, who: who, cancel: cancel}
	c.keep(outgoing{dest, data}, false)
	now := s.now()
	c.used.Store(now)
	c.deadline.Store(now + int64(s.limits.Connect))
	s.dialled++
	s.dialling++
	s.all[c] = struct{}{}
	s.names[n] = c
	s.wg.Add(1)
	l.dialled.Add(1)
	go c.dial(ctx)
	return nil, NotEnded
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
func (c *conn) dial(ctx context.Context) {
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
	if c.who != nil {
		c.deadline.Store(c.s.now() + int64(c.s.limits.Handshake))
	}
	if !c.connected(tcp.(*net.TCPConn)) {
		c.end()
		return
	}
	if c.who == nil {
		c.begin(nil)
		return
	}
	c.shake(func(under net.Conn) *tls.Conn { return tls.Client(under, c.who.config) }, c.who.peer)
}
