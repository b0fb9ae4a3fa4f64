package stream

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"tandem/router/transport"
)

// acceptRest is how long accepting rests at most when the system has nothing to
// give: files, mostly.
const acceptRest = time.Second

// accept takes connections until Close.
func (s *Streams) accept(l *listener) {
	defer s.wg.Done()
	rest := time.Duration(0)
	for {
		tcp, err := l.tcp.AcceptTCP()
		if err != nil {
			select {
			case <-s.stop:
				return
			default:
			}
			l.acceptErrors.Add(1)
			s.log.accept(l, err)
			rest = min(max(2*rest, 5*time.Millisecond), acceptRest)
			select {
			case <-s.stop:
				return
			case <-time.After(rest):
			}
			continue
		}
		rest = 0
		l.accepted.Add(1)
		s.admit(l, tcp)
	}
}

// admit serves a connection, or refuses it.
func (s *Streams) admit(l *listener, tcp *net.TCPConn) {
	remote := unmap(tcp.RemoteAddr().(*net.TCPAddr).AddrPort())
	c := &conn{s: s, listener: l, remote: remote}
	if l.wildcard() {
		c.local = unmap(tcp.LocalAddr().(*net.TCPAddr).AddrPort()).Addr()
	}
	now := s.now()
	c.used.Store(now)
	if l.TLS != nil {
		c.deadline.Store(now + int64(s.limits.Handshake))
	}
	if why := s.addAccepted(c); why != NotEnded {
		_ = tcp.SetLinger(0) // nothing stays behind, not here either
		_ = tcp.Close()
		s.ended(l, remote, false, why, nil)
		return
	}
	switch {
	case !c.connected(tcp):
		c.end()
	case l.TLS != nil:
		go c.shake(func(under net.Conn) *tls.Conn { return tls.Server(under, l.config) }, l.TLS.peer)
	default:
		c.begin(nil)
	}
}

// addAccepted enters c, unless there is no room for it.
func (s *Streams) addAccepted(c *conn) End {
	at := sourceOf(c.remote.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.sources[at]
	if of == nil {
		of = new(source)
	}
	switch {
	case s.closed:
		return Closed
	case s.accepted >= s.limits.Connections:
		return TooMany
	case of.accepted >= s.limits.PerSource:
		return TooManyOfSource
	}
	s.accepted++
	s.sources[at] = of
	of.accepted++
	c.holds = &of.holding
	s.all[c] = struct{}{}
	s.wg.Add(1)
	c.listener.open.Add(1)
	return NotEnded
}

// source is what one address has.
type source struct {
	accepted int          // connections
	holding  atomic.Int64 // of Streams.holding
}

// sourceOf is what connections are counted by: whoever has an IPv6 address has
// the 2**64 beside it.
func sourceOf(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return ip
	}
	p, _ := ip.WithZone("").Prefix(64)
	return p.Addr().WithZone(ip.Zone())
}

// publish lets Send find an accepted connection. Of two with one address, which
// is possible where they came to different addresses of ours, the later one is
// found.
func (s *Streams) publish(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name{c.listener, c.remote, accepted, nil}] = c
}

// forget lets Send find c no longer.
func (s *Streams) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unname(c)
}

func (s *Streams) unname(c *conn) {
	drop := func(addr netip.AddrPort, by relation, who *ClientTLS) {
		if n := (name{c.listener, addr, by, who}); s.names[n] == c {
			delete(s.names, n)
		}
	}
	if c.dialled() {
		drop(c.remote, dialled, c.who)
		drop(c.remote, dialled, nil)
		return
	}
	drop(c.remote, accepted, nil)
	for _, addr := range c.aliases {
		drop(addr, aliased, nil)
	}
}

// remove takes c out of all tables.
func (s *Streams) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unname(c)
	delete(s.all, c)
	if c.dialled() {
		s.dialled--
		if !c.arrived {
			s.dialling--
		}
		if c.stranger != nil {
			s.strangers.left(c, c.ending.Load().why, s.now()+int64(s.limits.BackOff))
		}
		c.listener.dialled.Add(-1)
		return
	}
	s.accepted--
	at := sourceOf(c.remote.Addr())
	if of := s.sources[at]; of.accepted > 1 {
		of.accepted--
	} else {
		delete(s.sources, at)
	}
	c.listener.open.Add(-1)
}

// shake does the TLS handshake of c, which ends by itself only when c fails.
func (c *conn) shake(wrap func(net.Conn) *tls.Conn, who func(tls.ConnectionState) *transport.Peer) {
	sec := &secure{Conn: c.tcp.Load()}
	sec.tls = wrap(sec)
	if err := sec.tls.Handshake(); err != nil {
		c.fail(handshakeEnd(err), err)
		c.end()
		return
	}
	state := sec.tls.ConnectionState()
	c.peer = who(state)
	c.listener.handshakes.Add(1)
	if state.DidResume {
		c.listener.resumed.Add(1)
	}
	c.begin(sec)
}
