package stream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

const okText = "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"

// A response whose connection has ended is handed back at once: nobody listens
// at the port of the moment that it came from. A connection to where somebody
// does is opened when the core says so.
func TestResponseWhoseConnectionHasEnded(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	p := r.call()
	p.echoes("there")
	gone := p.addr()
	require.NoError(t, p.Close())
	r.ends(ByPeer, 1)

	require.NoError(t, r.Send(7, gone, []byte(okText)))
	require.Equal(t, transport.Gone, r.reports(1))
	require.Equal(t, victim{gone, okText}, r.reported()[0])
	r.ends(Gone, 1)
	require.Zero(t, r.stats().Ended[ConnectFailed], "nobody was called")

	ln, dest := far(t, loopback4)
	require.NoError(t, r.Connect(7, dest, []byte(okText), []byte("far.example.com")))
	conn, err := ln.Accept()
	require.NoError(t, err)
	head, _ := newPhone(t, conn).read()
	require.Equal(t, okText, head)

	var out transport.Batch // the same in a batch
	out.Send(7, dest, append(out.Buf(), okText...))
	other, second := far(t, loopback4)
	out.Send(7, second, append(out.Buf(), okText...))
	out.Connect(nil)
	r.flushTo(0, &out)
	conn, err = other.Accept()
	require.NoError(t, err)
	newPhone(t, conn).read()

	require.NoError(t, ln.Close())
	require.NoError(t, r.Connect(7, gone, []byte(okText), nil))
	require.Equal(t, transport.NoHost, r.reports(2), "it was tried")
}

// A request that goes back as a response does takes the connection that its
// destination opened, and is handed back when that has ended: nobody is called.
func TestRequestThatGoesBack(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	p := r.call()
	p.echoes("there")
	var out transport.Batch
	bye := "BYE sip:caller@10.0.0.7 SIP/2.0\r\nContent-Length: 0\r\n\r\n"
	out.Send(7, p.addr(), append(out.Buf(), bye...))
	out.Back()
	r.Flush(&out)
	head, _ := p.read()
	require.Equal(t, bye, head)
	require.NoError(t, r.Deliver(&out, 0))
	head, _ = p.read()
	require.Equal(t, bye, head)

	gone := p.addr()
	require.NoError(t, p.Close())
	r.ends(ByPeer, 1)
	r.Flush(&out)
	require.Equal(t, transport.SendError, r.reports(1))
	require.Equal(t, victim{gone, bye}, r.reported()[0])
	r.ends(Gone, 1)
	require.Zero(t, r.stats().Ended[ConnectFailed], "nobody was called")
}

// What waits for a connection of the peer's when that ends is as if it had come
// later.
func TestResponseThatWaitsForAConnectionThatEnds(t *testing.T) {
	r := serve(t, tcp(Limits{Queue: 1 << 20}))
	p := r.call()
	p.echoes("there")
	sent := 0
	for r.stats().Queued < 5 {
		require.NoError(t, r.Send(7, p.addr(), response(sent, 50000)))
		sent++
		require.Less(t, sent, 2000)
	}
	require.NoError(t, p.Conn.(*net.TCPConn).SetLinger(0))
	require.NoError(t, p.Close())
	r.eventually(func() bool { return len(r.reported()) > 0 && r.stats().Open == 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, why := range r.causes {
		require.Equal(t, transport.Gone, why)
	}
}

// Strangers are dialled within bounds of their own, and leave hosts their room.
func TestStrangers(t *testing.T) {
	host, known := far(t, loopback4)
	defer host.Close()
	limited := func(t *testing.T, limits Limits) *rig {
		cfg := tcp(limits)
		cfg.Known = func(listener int, dest netip.AddrPort) bool { return listener == 7 && dest == known }
		return serve(t, cfg)
	}
	send := func(r *rig, dest netip.AddrPort) { require.NoError(r.t, r.Send(7, dest, []byte(request("x")))) }
	refused := func(t *testing.T) netip.AddrPort {
		ln, dest := far(t, loopback4)
		require.NoError(t, ln.Close())
		return dest
	}

	t.Run("open at once to an address", func(t *testing.T) {
		r := limited(t, Limits{Strangers: 20})
		_, one := far(t, loopback4)
		_, two := far(t, loopback4)
		_, three := far(t, loopback4)
		send(r, one)
		send(r, two)
		r.eventually(func() bool { return r.stats().Connected == 2 })
		send(r, three)
		r.ends(TooManyStrangers, 1)
		require.Equal(t, transport.SendError, r.reports(1))
		send(r, one) // what is there serves
		send(r, known)
		r.eventually(func() bool { return r.stats().Connected == 3 })
		r.pass(10*time.Minute + 1)
		r.ends(Idle, 3)
		send(r, three)
		r.eventually(func() bool { return r.stats().Connected == 4 })
	})
	t.Run("within a second to an address", func(t *testing.T) {
		r := limited(t, Limits{StrangersRate: 30})
		for range 5 {
			_, dest := far(t, loopback4)
			send(r, dest)
		}
		r.ends(TooManyStrangers, 2)
		send(r, known)
		r.eventually(func() bool { return r.stats().Connected == 4 })
		r.pass(time.Second)
		_, dest := far(t, loopback4)
		send(r, dest)
		r.eventually(func() bool { return r.stats().Connected == 5 })
	})
	t.Run("who could not be connected to is left alone for a while", func(t *testing.T) {
		r := limited(t, Limits{})
		dest := refused(t)
		send(r, dest)
		r.ends(ConnectFailed, 1)
		for n := range 3 {
			send(r, dest)
			r.ends(FailedBefore, uint64(n+1))
		}
		r.reports(4)
		send(r, refused(t))
		r.ends(ConnectFailed, 2)
		r.pass(5*time.Second + 1)
		send(r, dest)
		r.ends(ConnectFailed, 3)
		r.pass(5*time.Second + 1)
		r.eventually(func() bool {
			r.Streams.mu.RLock()
			defer r.Streams.mu.RUnlock()
			return len(r.strangers.failed)+len(r.strangers.shares) == 0
		}, "nothing is kept")
		r.Streams.mu.RLock()
		defer r.Streams.mu.RUnlock()
		require.Empty(t, r.strangers.shares)
		require.Zero(t, r.strangers.open)
		require.Zero(t, r.strangers.dialling)
	})
	t.Run("a host is dialled again at once", func(t *testing.T) {
		cfg := tcp(Limits{})
		dest := refused(t)
		cfg.Known = func(int, netip.AddrPort) bool { return true }
		r := serve(t, cfg)
		for n := range 3 {
			send(r, dest)
			r.ends(ConnectFailed, uint64(n+1))
		}
	})
}

// One address has a tenth of what all have, however many ports it names, and in
// IPv6 however many addresses of its /64.
func TestStrangers_OneAddress(t *testing.T) {
	const second = int64(time.Second)
	admitted := func(s *strangers, now int64, limits *Limits, dest func(i int) string) (n int) {
		for i := range 1000 {
			if of, why := s.admit(name{addr: netip.MustParseAddrPort(dest(i))}, now, limits); why == NotEnded {
				s.arrived(of)
				n++
			}
		}
		return n
	}
	ports := func(i int) string { return fmt.Sprintf("203.0.113.1:%d", 1000+i) }
	others := func(i int) string { return fmt.Sprintf("198.51.%d.%d:5060", i/250, i%250) }
	for name, one := range map[string]func(i int) string{
		"ports":     ports,
		"addresses": func(i int) string { return fmt.Sprintf("[2001:db8::%x]:5060", i) },
	} {
		t.Run(name, func(t *testing.T) {
			limits := Limits{Strangers: 200, StrangersRate: 150}.withDefaults()
			var s strangers
			s.init(limits.StrangersRate)
			require.Equal(t, 15, admitted(&s, second, &limits, one), "of the rate")
			require.Equal(t, 135, admitted(&s, second, &limits, others), "the rest is others'")
			require.Equal(t, 5, admitted(&s, 2*second, &limits, one), "of those that are open")
			require.Equal(t, 45, admitted(&s, 2*second, &limits, func(i int) string { return others(i)[1:] }))
			require.Equal(t, 200, s.open)
			c := &conn{stranger: s.shares[sourceOf(netip.MustParseAddrPort(one(0)).Addr())], arrived: true}
			for range 20 {
				s.left(c, ConnectFailed, 0)
			}
			require.Equal(t, 15, admitted(&s, 3*second, &limits, one))
		})
	}
	t.Run("not connected yet", func(t *testing.T) {
		limits := Limits{StrangersDialling: 20, StrangersRate: 1000}.withDefaults()
		var s strangers
		s.init(limits.StrangersRate)
		dial := func(n int) (*share, End) {
			return s.admit(name{addr: netip.MustParseAddrPort(ports(n))}, second, &limits)
		}
		first, why := dial(0)
		require.Equal(t, NotEnded, why)
		_, why = dial(1)
		require.Equal(t, NotEnded, why)
		_, why = dial(2)
		require.Equal(t, TooManyStrangers, why)
		_, why = s.admit(name{addr: netip.MustParseAddrPort(others(0))}, second, &limits)
		require.Equal(t, NotEnded, why, "others have their share")
		s.arrived(first)
		_, why = dial(2)
		require.Equal(t, NotEnded, why)
		s.left(&conn{stranger: first}, ConnectFailed, 0)
		require.Equal(t, []int{2, 1, 3, 2}, []int{first.open, first.dialling, s.open, s.dialling})
	})
	t.Run("who is refused is not kept", func(t *testing.T) {
		limits := Limits{StrangersRate: 1}.withDefaults()
		var s strangers
		s.init(limits.StrangersRate)
		require.Equal(t, 1, admitted(&s, second, &limits, others))
		require.Len(t, s.shares, 1)
	})
}

// Strangers leave hosts their room, however little there is.
func TestStrangers_OfFewConnections(t *testing.T) {
	for _, c := range []struct{ dialled, dialling, strangers, strangersDialling int }{
		{0, 0, 1000, 100}, {500, 0, 100, 100}, {500, 50, 100, 10}, {3, 3, 1, 1}, {100_000, 5000, 1000, 100},
	} {
		l := Limits{Dialled: c.dialled, Dialling: c.dialling}.withDefaults()
		require.Equal(t, []int{c.strangers, c.strangersDialling}, []int{l.Strangers, l.StrangersDialling}, c)
	}
}

// A stranger has no more of the memory for messages that are not whole than other
// addresses have, and a host may have all of it.
func TestStrangers_Memory(t *testing.T) {
	host, known := far(t, loopback4)
	stranger, unknown := far(t, loopback4)
	cfg := tcp(Limits{Memory: 512 << 10})
	cfg.Known = func(_ int, dest netip.AddrPort) bool { return dest == known }
	r := serve(t, cfg)
	long := string(response(0, 200_000))
	for dest, ln := range map[netip.AddrPort]*net.TCPListener{known: host, unknown: stranger} {
		require.NoError(t, r.Send(7, dest, []byte(request("x"))))
		conn, err := ln.Accept()
		require.NoError(t, err)
		p := newPhone(t, conn)
		p.read()
		_, _ = p.Write([]byte(long[:150_000])) // more than a quarter; it may be refused before all is written
		if dest == known {
			r.eventually(func() bool { return r.holding.Load() >= 150_000 })
			p.write(long[150_000:])
			r.arrive(1)
		} else {
			r.ends(NoMemory, 1)
		}
	}
}

// Over TLS a stranger has to prove that he is who the message says, by name or by
// address; connections are kept apart by that.
func TestTLSStranger(t *testing.T) {
	a := newAuthority(t, "ca")
	server := &ServerTLS{Certificates: a.issue(dns("one.example.com", "two.example.com"), func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })}
	cfg := tcp(Limits{})
	cfg.Listeners[0].TLS = server
	there := serve(t, cfg)
	dest := there.Addrs()[0]
	clients := map[string]*ClientTLS{}
	for _, name := range []string{"one.example.com", "two.example.com", "other.example.com", "127.0.0.1", "127.0.0.2"} {
		clients[name] = NewClientTLS(name, a.roots(), nil)
	}
	here := func(t *testing.T) *rig {
		cfg := tcp(Limits{})
		cfg.Listeners[0].TLS = &ServerTLS{Certificates: a.issue(dns("proxy.example.com"))}
		cfg.Dial = func(int, netip.AddrPort) *ClientTLS { return nil }
		cfg.Stranger = func(listener int, name []byte) *ClientTLS {
			require.Equal(t, 7, listener)
			return clients[string(name)]
		}
		return serve(t, cfg)
	}
	for name, proved := range map[string]bool{
		"one.example.com": true, "two.example.com": true, "127.0.0.1": true, "other.example.com": false, "127.0.0.2": false,
	} {
		t.Run(name, func(t *testing.T) {
			r := here(t)
			require.NoError(t, r.Connect(7, dest, []byte(request(name)), []byte(name)))
			if proved {
				r.arrive(1)
				require.Contains(t, r.received()[0].peer.Names, name)
				return
			}
			r.ends(BadCertificate, 1)
			require.Equal(t, transport.NoHost, r.reports(1))
		})
	}
	t.Run("two at one address", func(t *testing.T) {
		r := here(t)
		for range 2 {
			for _, name := range []string{"one.example.com", "two.example.com"} {
				require.NoError(t, r.Connect(7, dest, []byte(request(name)), []byte(name)))
				r.arrive(1)
			}
		}
		require.EqualValues(t, 2, r.stats().Connected)
		require.NoError(t, r.Connect(7, dest, []byte(request("x")), []byte("other.example.com")))
		r.ends(BadCertificate, 1)
		require.NoError(t, r.Send(7, dest, []byte(request("nobody in particular"))))
		r.arrive(1)
	})
	t.Run("nobody says how", func(t *testing.T) {
		r := here(t)
		require.NoError(t, r.Connect(7, dest, []byte(request("x")), []byte("unknown.example.com")))
		require.NoError(t, r.Connect(7, dest, []byte(request("x")), nil))
		r.ends(Unknown, 2)
		r.reports(2)
	})
	t.Run("at the other end of his own connection", func(t *testing.T) {
		r := here(t)
		p := r.callTLS(a)
		p.echoes("a phone without a certificate")
		from := r.received()[0].source
		require.NoError(t, r.Connect(7, from, []byte(request("for him")), []byte("127.0.0.1")))
		_, body := p.read()
		require.Equal(t, "for him", body)
	})
	t.Run("by an alias", func(t *testing.T) {
		cfg := tcp(Limits{})
		cfg.Listeners[0].TLS = &ServerTLS{Certificates: a.issue(dns("proxy.example.com")), Clients: Required, Roots: a.roots()}
		cfg.Stranger = func(_ int, name []byte) *ClientTLS { return clients[string(name)] }
		r := serve(t, cfg)
		p := r.callTLS(a, func(c *tls.Config) { c.Certificates = []tls.Certificate{a.sign(dns("one.example.com"))} })
		p.echoes("x")
		ln, listens := far(t, loopback4)
		require.True(t, r.Alias(7, r.received()[0].source, listens))
		require.NoError(t, r.Connect(7, listens, []byte(request("back")), []byte("one.example.com")))
		_, body := p.read()
		require.Equal(t, "back", body)
		require.NoError(t, r.Connect(7, listens, []byte(okText), []byte("one.example.com")))
		head, _ := p.read()
		require.Equal(t, okText, head)
		require.NoError(t, ln.SetDeadline(time.Unix(1, 0)))
		_, err := ln.Accept()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}
