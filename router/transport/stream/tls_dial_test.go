package stream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
	"tandem/router/transport/stream/certtest"
)

// pair is two of ours: calls go from near to far, which is for far.example.com.
type pair struct {
	near, far *rig
	dest      netip.AddrPort
}

func newPair(t testing.TB, server *ServerTLS, client *ClientTLS, limits Limits) *pair {
	t.Helper()
	cfg := tcp(limits)
	cfg.Listeners[0].TLS = server
	p := &pair{far: serve(t, cfg)}
	p.dest = p.far.Addrs()[0]
	cfg = tcp(limits)
	cfg.Listeners[0].TLS = server
	cfg.Dial = func(listener int, dest netip.AddrPort) *ClientTLS {
		if listener == 7 && dest == p.dest {
			return client
		}
		return nil
	}
	p.near = serve(t, cfg)
	return p
}

func (p *pair) send(text string) {
	p.near.t.Helper()
	require.NoError(p.near.t, p.near.Send(7, p.dest, []byte(text)))
}

func TestTLSDial(t *testing.T) {
	a := newAuthority(t, "ca")
	server := &ServerTLS{Certificates: a.issue(dns("far.example.com")), Clients: Required, Roots: a.roots()}
	client := NewClientTLS("far.example.com", a.roots(), a.issue(dns("Near.Example.com", "two.example.com")))
	p := newPair(t, server, client, Limits{})
	p.send(request("one"))
	p.near.arrive(1) // the answer came back on the connection
	p.send(request(strings.Repeat("x", 60000)))
	p.near.arrive(1)
	require.Equal(t, &transport.Peer{Names: []string{"near.example.com", "two.example.com"}, TLS: true}, p.far.received()[0].peer)
	require.Equal(t, &transport.Peer{Names: []string{"far.example.com"}, TLS: true}, p.near.received()[0].peer)
	require.Equal(t, p.dest, p.near.received()[0].source)
	require.EqualValues(t, 1, p.far.stats().Accepted)

	// Another connection takes the session up again, with all its names.
	p.near.theOne().fail(Idle, nil)
	p.near.eventually(func() bool { return p.near.stats().Dialled == 0 })
	p.send(request("again"))
	p.near.arrive(1)
	require.EqualValues(t, 1, p.near.stats().Resumed)
	require.EqualValues(t, 1, p.far.stats().Resumed)
	require.Equal(t, []string{"near.example.com", "two.example.com"}, p.far.received()[2].peer.Names)
	require.Equal(t, []string{"far.example.com"}, p.near.received()[2].peer.Names)
	p.far.ends(ByPeer, 1) // it was told
	require.Empty(t, p.near.reported())
}

// Where other settings say who has to be there, what was verified by the old ones
// is not enough: requests go on another connection.
func TestTLSDialAfterChange(t *testing.T) {
	a := newAuthority(t, "ca")
	var who atomic.Pointer[ClientTLS]
	cfg := secured(a, Limits{})
	cfg.Dial = func(int, netip.AddrPort) *ClientTLS { return who.Load() }
	r := serve(t, cfg)
	server := tcp(Limits{})
	server.Listeners[0].TLS = &ServerTLS{Certificates: a.issue(dns("far.example.com", "two.example.com"))}
	farEnd := serve(t, server)
	dest := farEnd.Addrs()[0]
	for i, c := range []struct {
		who         *ClientTLS
		connections uint64
	}{
		{NewClientTLS("far.example.com", a.roots(), nil), 1},
		{NewClientTLS("two.example.com", a.roots(), nil), 2},
		{nil, 2}, // what is there may be used to its end
	} {
		who.Store(c.who)
		for range 3 {
			require.NoError(t, r.Send(7, dest, []byte(request(fmt.Sprint(i)))))
			r.arrive(1)
		}
		require.Equal(t, c.connections, farEnd.stats().Handshakes)
	}
	who.Store(NewClientTLS("third.example.com", a.roots(), nil))
	require.NoError(t, r.Send(7, dest, []byte(request("secret"))))
	r.ends(BadCertificate, 1)
	r.eventually(func() bool { return len(r.reported()) == 1 })
	r.pass(10*time.Minute + 1)
	r.ends(Idle, 2)
}

// Whom nobody vouches for is not connected to over TLS.
func TestTLSDialToUnknown(t *testing.T) {
	a := newAuthority(t, "ca")
	r := serve(t, secured(a, Limits{}))
	ln, dest := far(t, loopback4)
	require.NoError(t, r.Send(7, dest, []byte("x")))
	r.eventually(func() bool { return len(r.reported()) == 1 })
	require.Equal(t, []victim{{dest, "x"}}, r.reported())
	r.ends(Unknown, 1)
	require.NoError(t, ln.SetDeadline(time.Unix(1, 0)))
	_, err := ln.Accept()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// A request for a peer that has to prove who it is does not go to whoever
// connected from its address; a response does go back.
func TestRequestNeedsProof(t *testing.T) {
	a := newAuthority(t, "ca")
	for name, c := range map[string]struct {
		shown  []string
		reused bool
	}{
		"no certificate":    {nil, false},
		"another name":      {[]string{"other.example.com"}, false},
		"who has to be":     {[]string{"far.example.com"}, true},
		"one of many names": {[]string{"other.example.com", "FAR.example.com"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := NewClientTLS("far.example.com", a.roots(), nil)
			cfg := tcp(Limits{})
			cfg.Listeners[0].TLS = &ServerTLS{Certificates: a.issue(dns("proxy.example.com")), Clients: Optional, Roots: a.roots()}
			cfg.Dial = func(int, netip.AddrPort) *ClientTLS { return client }
			r := serve(t, cfg)
			p := r.callTLS(a, func(c2 *tls.Config) {
				if c.shown != nil {
					c2.Certificates = []tls.Certificate{a.sign(dns(c.shown...))}
				}
			})
			p.echoes("a response comes back")
			from := unmap(p.LocalAddr().(*net.TCPAddr).AddrPort())
			require.NoError(t, r.Send(7, from, []byte(request("secret"))))
			if c.reused {
				_, body := p.read()
				require.Equal(t, "secret", body)
				return
			}
			r.eventually(func() bool { return len(r.reported()) == 1 }) // nobody listens there
			p.echoes("nothing else came")
		})
	}
}

// A peer with names may have requests for an address of its own sent on the
// connection that it opened, and nothing else.
func TestAlias(t *testing.T) {
	a := newAuthority(t, "ca")
	own, others := netip.MustParseAddrPort("192.0.2.1:5061"), netip.MustParseAddrPort("192.0.2.2:5061")
	clients := map[netip.AddrPort]*ClientTLS{
		own:    NewClientTLS("far.example.com", a.roots(), nil),
		others: NewClientTLS("other.example.com", a.roots(), nil),
	}
	cfg := tcp(Limits{Dialling: 1})
	cfg.Listeners[0].TLS = &ServerTLS{Certificates: a.issue(dns("proxy.example.com")), Clients: Optional, Roots: a.roots()}
	cfg.Listeners = append(cfg.Listeners, Listener{Index: 8, Addr: cfg.Listeners[0].Addr})
	cfg.Dial = func(_ int, dest netip.AddrPort) *ClientTLS { return clients[dest] }
	r := serve(t, cfg)
	p := r.callTLS(a, func(c *tls.Config) { c.Certificates = []tls.Certificate{a.sign(dns("far.example.com"))} })
	q := r.callTLS(a)
	p.echoes("p")
	q.echoes("q")
	pSource, qSource := r.received()[0].source, r.received()[1].source
	require.False(t, r.Alias(7, qSource, own), "it has no name")
	require.False(t, r.Alias(8, pSource, own), "it came to another listener")
	require.False(t, r.Alias(9, pSource, own), "no listener")
	require.False(t, r.Alias(7, own, own), "no connection")
	require.True(t, r.Alias(7, pSource, own))
	require.True(t, r.Alias(7, pSource, own))
	require.True(t, r.Alias(7, pSource, others))
	require.True(t, r.Alias(7, pSource, qSource))

	require.NoError(t, r.Send(7, own, []byte(request("for p"))))
	_, body := p.read()
	require.Equal(t, "for p", body)
	q.echoes("q has its own answers")
	require.NoError(t, r.Send(7, qSource, []byte(request("for q"))))
	_, body = q.read()
	require.Equal(t, "for q", body)
	require.NoError(t, r.Send(7, others, []byte(request("for another")))) // dials
	r.eventually(func() bool { return r.stats().Dialled+int(r.stats().Ended[ConnectFailed]) == 1 })

	require.True(t, r.Alias(7, pSource, netip.MustParseAddrPort("192.0.2.3:1")))
	require.False(t, r.Alias(7, pSource, netip.MustParseAddrPort("192.0.2.4:1")), "too many")
	require.NoError(t, p.Close())
	r.ends(ByPeer, 1)
	r.Streams.mu.RLock()
	require.Len(t, r.names, 1+r.Streams.dialled)
	r.Streams.mu.RUnlock()
}

// A connection of ours on which nothing comes back before it is closed has
// delivered nothing: the messages are reported. So over TLS 1.3, where a server
// that wants a certificate says so after it was sent something.
func TestUnprovenMessages(t *testing.T) {
	a := newAuthority(t, "ca")
	t.Run("our certificate is missing", func(t *testing.T) {
		server := &ServerTLS{Certificates: a.issue(dns("far.example.com")), Clients: Required, Roots: a.roots()}
		p := newPair(t, server, NewClientTLS("far.example.com", a.roots(), nil), Limits{})
		p.send(request("one"))
		p.near.eventually(func() bool { return len(p.near.reported()) == 1 })
		require.Equal(t, []victim{{p.dest, request("one")}}, p.near.reported())
		require.Empty(t, p.far.received())
		p.far.oneLine(t, "certificate refused", "shows no certificate")
	})
	t.Run("closed by who accepted it", func(t *testing.T) {
		r := serve(t, tcp(Limits{}))
		ln, dest := far(t, loopback4)
		require.NoError(t, r.Send(7, dest, []byte(request("one"))))
		conn, err := ln.Accept()
		require.NoError(t, err)
		newPhone(t, conn).read()
		require.NoError(t, r.Send(7, dest, []byte(request("two"))))
		require.NoError(t, conn.Close())
		r.eventually(func() bool { return len(r.reported()) == 2 })
		require.Equal(t, []victim{{dest, request("one")}, {dest, request("two")}}, r.reported())
	})
	t.Run("not when something came back", func(t *testing.T) {
		r := serve(t, tcp(Limits{}))
		ln, dest := far(t, loopback4)
		require.NoError(t, r.Send(7, dest, []byte(request("one"))))
		conn, err := ln.Accept()
		require.NoError(t, err)
		p := newPhone(t, conn)
		p.read()
		p.write("SIP/2.0 100 Trying\r\nl:0\r\n\r\n")
		r.arrive(1)
		require.NoError(t, r.Send(7, dest, []byte(request("two"))))
		p.read()
		require.NoError(t, conn.Close())
		r.ends(ByPeer, 1)
		require.Zero(t, r.stats().Undelivered)
	})
	t.Run("nor when we close it", func(t *testing.T) {
		r := serve(t, tcp(Limits{}))
		ln, dest := far(t, loopback4)
		require.NoError(t, r.Send(7, dest, []byte(request("one"))))
		conn, err := ln.Accept()
		require.NoError(t, err)
		newPhone(t, conn).read()
		r.pass(10*time.Minute + 1)
		r.ends(Idle, 1)
		require.Zero(t, r.stats().Undelivered)
	})
}

// Whom we trust can change: also those who were trusted in a session before.
func TestRootsAreReloaded(t *testing.T) {
	old, next := newAuthority(t, "old"), newAuthority(t, "new")
	roots := old.roots()
	server := &ServerTLS{Certificates: old.issue(dns("far.example.com"))}
	p := newPair(t, server, NewClientTLS("far.example.com", roots, nil), Limits{})
	p.send(request("trusted"))
	p.near.arrive(1)
	require.NoError(t, os.WriteFile(roots.file, nil, 0o600))
	require.Error(t, roots.Reload())
	require.NotNil(t, roots.pool())
	text, err := os.ReadFile(next.roots().file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(roots.file, text, 0o600))
	require.NoError(t, roots.Reload())
	p.send(request("still open"))
	p.near.arrive(1)
	p.near.theOne().fail(Idle, nil)
	p.near.eventually(func() bool { return p.near.stats().Dialled == 0 })
	p.send(request("no more"))
	p.near.ends(BadCertificate, 1)
	p.near.eventually(func() bool { return len(p.near.reported()) == 1 })
}

// The last of several to end is the end, wherever it stands in the file.
func TestEndOfRoots(t *testing.T) {
	a, file := newAuthority(t, "a"), filepath.Join(t.TempDir(), "roots.pem")
	until := func(left time.Duration) []byte {
		c := a.sign(func(c *x509.Certificate) { c.NotAfter = time.Unix(2_000_000_000, 0).Add(left) })
		return certtest.PEM(c.Certificate...)
	}
	noCertificate := certtest.PEM([]byte("none"))
	write := func(blocks ...[]byte) {
		require.NoError(t, os.WriteFile(file, slices.Concat(blocks...), 0o600))
	}
	write(noCertificate, until(0), until(time.Hour), until(-time.Hour))
	r, err := LoadRoots(file)
	require.NoError(t, err)
	require.Equal(t, []any{file, int64(2_000_003_600)}, []any{r.File(), r.End().Unix()})
	write(noCertificate)
	require.ErrorContains(t, r.Reload(), "holds no certificate")
	require.EqualValues(t, 2_000_003_600, r.End().Unix(), "those before are in use")
	write(until(0))
	require.NoError(t, r.Reload())
	require.EqualValues(t, 2_000_000_000, r.End().Unix())
}
