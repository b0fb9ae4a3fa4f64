package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// Send sends data to dest on a connection of the listener, or opens one. It
// copies data, does not wait, and may be called from any goroutine, a Handler's
// too. An error is that of a listener that does not exist, or of a closed one;
// everything else that keeps data from being sent is told to Handler.Unreachable.
//
// A response goes back on the accepted connection of that address, or on one
// that we opened. No other is opened for it: the address is a port of the moment,
// mostly, and the Handler hears that it is transport.Gone. A request goes on the
// connection that we opened. It goes on an accepted one where there is no other:
// over TLS only if nobody in particular has to be at dest (Config.Dial), or the
// peer has proved to be it (RFC 5923).
func (s *Streams) Send(index int, dest netip.AddrPort, data []byte) error {
	return s.deliver(index, outgoing{dest: dest, data: data})
}

// Connect is Send, and opens a connection for a response too, and over TLS to
// whom Config.Dial does not know, if he has a certificate for name (see
// transport.Batch.Connect).
func (s *Streams) Connect(index int, dest netip.AddrPort, data, name []byte) error {
	return s.deliver(index, outgoing{dest: dest, data: data, connect: true, name: name})
}

func (s *Streams) deliver(index int, m outgoing) error {
	l := s.listener(index)
	if l == nil {
		return fmt.Errorf("stream: no listener %d", index)
	}
	m.dest = unmap(m.dest)
	for range maxTries {
		c, who, why := s.find(l, &m)
		if c == nil && why == NotEnded {
			if c, why = s.open(l, m, who); c == nil && why == NotEnded {
				return nil
			}
		}
		switch {
		case why == Closed:
			return net.ErrClosed
		case c == nil:
			s.ended(l, m.dest, true, why, nil)
			left := m.copied()
			left.ours = true
			s.undelivered(l, []waiting{left}, why == Gone)
			return nil
		case c.send(s.now(), false, m):
			return nil
		}
		s.forget(c) // it is at its end
	}
	s.undelivered(l, []waiting{m.copied()}, false)
	return nil
}

var responseStart = []byte("SIP/2.0 ")

func isResponse(data []byte) bool { return bytes.HasPrefix(data, responseStart) }

// maxTries is how many connections one message may find at their end.
const maxTries = 3

// find returns the connection for a message, or who it is that one is to be
// opened to, or why there can be none.
func (s *Streams) find(l *listener, m *outgoing) (c *conn, who *ClientTLS, why End) {
	response, known := isResponse(m.data) || m.back, false
	if l.TLS != nil && (!response || m.connect) {
		who, known = s.who(l, m)
	}
	s.mu.RLock()
	ours, theirs := s.names[name{l, m.dest, dialled, who}], s.names[name{l, m.dest, accepted, nil}]
	alias := s.names[name{l, m.dest, aliased, nil}]
	s.mu.RUnlock()
	switch {
	case theirs != nil && (response || ours == nil && (!known || who.isPeer(theirs.peer))):
		return theirs, nil, NotEnded
	case ours != nil:
		return ours, nil, NotEnded
	case response && !m.connect:
		return nil, nil, Gone
	case l.TLS == nil:
		return nil, nil, NotEnded
	case who == nil:
		return nil, nil, Unknown
	case alias != nil && who.isPeer(alias.peer):
		return alias, nil, NotEnded
	}
	return nil, who, NotEnded
}

// who is who has to be at the other end of a TLS connection that we open; known
// when Config.Dial says so, and not the message.
func (s *Streams) who(l *listener, m *outgoing) (who *ClientTLS, known bool) {
	if s.config.Dial != nil {
		if who = s.config.Dial(l.Index, m.dest); who != nil {
			return who, true
		}
	}
	if m.connect && len(m.name) > 0 && s.config.Stranger != nil {
		who = s.config.Stranger(l.Index, m.name)
	}
	return who, false
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
	s.mu.RLock()
	c := s.names[name{l, source, accepted, nil}]
	before := c != nil && s.names[name{l, addr, aliased, nil}] == c
	s.mu.RUnlock()
	if before {
		return true // as with each request but the first
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.names[name{l, source, accepted, nil}]
	switch {
	case c == nil || len(c.peer.Names) == 0:
		return false
	case slices.Contains(c.aliases, addr): // it was another's meanwhile
	case len(c.aliases) >= maxAliases:
		return false
	default:
		c.aliases = append(c.aliases, addr)
	}
	s.names[name{l, addr, aliased, nil}] = c
	return true
}

// maxAliases bounds the names that a peer can take.
const maxAliases = 4

// open starts to dial, with a message to send when somebody is there. If another
// just did, it returns that connection, and the message is still to be sent.
func (s *Streams) open(l *listener, m outgoing, who *ClientTLS) (*conn, End) {
	n := name{l, m.dest, dialled, who}
	known := s.config.Known == nil || s.config.Known(l.Index, m.dest)
	now := s.now()
	var of *share
	s.mu.Lock()
	defer s.mu.Unlock()
	switch other := s.names[n]; {
	case s.closed || !s.served:
		return nil, Closed
	case other != nil:
		return other, NotEnded
	case s.dialled >= s.limits.Dialled || s.dialling >= s.limits.Dialling:
		return nil, TooManyDialled
	case !known:
		var why End
		if of, why = s.strangers.admit(n, now, &s.limits); why != NotEnded {
			return nil, why
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{s: s, listener: l, remote: m.dest, cancel: cancel, who: who, stranger: of}
	if of != nil {
		c.holds = &of.holding
	}
	c.keep(m, false)
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

// arrive counts c as dialled. It is found without a name too, unless another is:
// for responses, and where nobody says any more who has to be there.
func (s *Streams) arrive(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := (name{c.listener, c.remote, dialled, nil}); s.names[n] == nil {
		s.names[n] = c
	}
	s.dialling--
	if c.stranger != nil {
		s.strangers.arrived(c.stranger)
	}
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
		c.fail(dialEnd(err), err)
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

// dialEnd is why a dial failed: because of us, and no host is to blame, or not.
func dialEnd(err error) End {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, errno) {
			return NoSocket
		}
	}
	return ConnectFailed
}
