package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"tandem/bench/mmsg"
)

const connecting = 5 * time.Second // TLS included

// listeners are the ports of connectors over TCP and TLS.
type listeners struct {
	all     []*net.TCPListener
	cancel  context.CancelFunc
	serving sync.WaitGroup
}

// openStreams opens the ports of connectors. Callers connect when they have a
// proxy.
func (g *Generator) openStreams() error {
	for range g.cfg.Sources {
		g.sources = append(g.sources, newSource(g, nil))
	}
	for i, addr := range g.cfg.Connectors {
		ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(addr))
		if err != nil {
			return fmt.Errorf("connector: %w", err)
		}
		g.listeners.all = append(g.listeners.all, ln)
		g.connectors = append(g.connectors, newConnector(g, nil, ln.Addr().(*net.TCPAddr).AddrPort(), i))
	}
	return nil
}

// serve takes connections until close.
func (ls *listeners) serve(g *Generator) {
	var ctx context.Context
	ctx, ls.cancel = context.WithCancel(context.Background())
	for i, ln := range ls.all {
		ls.serving.Go(func() {
			for {
				conn, err := ln.AcceptTCP()
				if err != nil {
					return // closed
				}
				ls.serving.Go(func() {
					c, err := g.handshake(ctx, conn, g.connectors[i], func(w *wire) *tls.Conn { return tls.Server(w, g.cfg.Server) })
					if err != nil { // the proxy's to tell
						_ = conn.Close()
						return
					}
					g.add(c)
				})
			}
		})
	}
}

func (ls *listeners) close() {
	if ls.cancel != nil {
		ls.cancel()
	}
	for _, ln := range ls.all {
		_ = ln.Close()
	}
	ls.serving.Wait()
}

// handshake makes a stream of a connection.
func (g *Generator) handshake(ctx context.Context, conn *net.TCPConn, whose endpoint, secure func(*wire) *tls.Conn) (*stream, error) {
	w := &wire{Conn: conn}
	if g.cfg.Transport == TCP {
		return newStream(conn, w, nil, whose)
	}
	ctx, cancel := context.WithTimeout(ctx, connecting)
	defer cancel()
	over := secure(w)
	if err := over.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return newStream(conn, w, over, whose)
}

// add gives the loop a connection.
func (g *Generator) add(c *stream) {
	g.mu.Lock()
	g.loop.fresh = append(g.loop.fresh, c)
	g.mu.Unlock()
	g.loop.ring()
}

// connect gives each caller a connection to a proxy: the one that he has had, if
// it still stands.
func (g *Generator) connect(proxy netip.AddrPort) error {
	for _, s := range g.sources {
		g.mu.Lock()
		c := s.conns[proxy]
		stands := c != nil && !c.gone
		g.mu.Unlock()
		if !stands {
			var err error
			if c, err = g.dial(s, proxy); err != nil {
				return fmt.Errorf("caller: %w", err)
			}
		}
		g.mu.Lock()
		s.conns[proxy] = c
		s.to, s.text = hop{conn: c}, newCallerText(g.cfg.Transport, c.local, proxy)
		g.mu.Unlock()
		if !stands {
			g.add(c) // in use from now on, so its end counts
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proxy = mmsg.Address(proxy)
	return nil
}

// reach connects callers that have no connection yet, to the first proxy.
func (g *Generator) reach() error {
	g.mu.Lock()
	proxy := mmsg.AddrPort(&g.proxy)
	g.mu.Unlock()
	if g.cfg.Transport == UDP {
		return nil
	}
	return g.connect(proxy)
}

func (g *Generator) dial(s *source, proxy netip.AddrPort) (*stream, error) {
	from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(g.cfg.From.Addr(), 0)) // several connections, and to several proxies
	conn, err := (&net.Dialer{LocalAddr: from, Timeout: connecting}).Dial("tcp4", proxy.String())
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	c, err := g.handshake(context.Background(), tcp, s, func(w *wire) *tls.Conn {
		cfg := g.cfg.Client.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = proxy.Addr().String()
		}
		return tls.Client(w, cfg)
	})
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return c, nil
}

// welcome watches connections that are new. With the lock held.
func (l *loop) welcome() {
	for _, c := range l.fresh {
		if err := l.watch(c.fd, arrival{conn: c, endpoint: c.whose}); err != nil {
			l.drop(c)
		}
	}
	l.fresh = l.fresh[:0]
}

// read takes what has come on a connection.
func (l *loop) read(a *arrival) {
	c, endpoint := a.conn, a.endpoint
	stands := c.read(l.buf[:])
	at, from := now(), hop{conn: c}
	l.g.mu.Lock()
	place := 0
	for {
		msg, end, ok := c.next(place)
		stands = stands && ok
		if place = end; msg == nil {
			break
		}
		c.used = l.g.window()
		endpoint.receive(msg, at, &from)
	}
	c.in = c.in[:copy(c.in, c.in[place:])]
	if !stands {
		l.drop(c)
	}
	l.g.mu.Unlock()
	endpoint.flush()
}

// drop gives a connection up. It is counted when it is in use: a proxy that was
// measured before may end those that it has had. With the lock held.
func (l *loop) drop(c *stream) {
	if !c.gone {
		if s, ok := c.whose.(*source); ok && s.to.conn == c || c.used == l.g.window() {
			l.g.newest().Counts[Broken]++
		}
		if c.fd < len(l.arrivals) && l.arrivals[c.fd].conn == c {
			l.arrivals[c.fd] = arrival{}
		}
		c.close()
	}
}

// flushStreams writes everything, in order; messages to the same connection in
// one write. What waits for the peer is written later.
func (o *outbox) flushStreams() {
	if o.n == 0 {
		return
	}
	if o.timed {
		o.stamp(0)
	}
	l := o.g.loop
	for i := range o.n {
		o.to[i].conn.put(o.bufs[i])
	}
	for i := range o.n {
		c := o.to[i].conn
		if !c.stuck() { // written, with one before
			continue
		}
		if !c.flush() {
			o.g.mu.Lock()
			o.g.newest().Counts[SendFailed]++
			l.drop(c)
			o.g.mu.Unlock()
			c.out, c.wire.out = c.out[:0], c.wire.out[:0]
		} else if c.stuck() && !slices.Contains(l.stuck, c) {
			l.stuck = append(l.stuck, c)
		}
	}
	o.n, o.timed = 0, false
}

// unstick goes on with what peers did not take.
func (l *loop) unstick() {
	l.stuck = slices.DeleteFunc(l.stuck, func(c *stream) bool { return !c.flush() || !c.stuck() })
}
