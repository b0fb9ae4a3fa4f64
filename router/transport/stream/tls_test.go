package stream

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

// secured is a config of one TLS listener, number 7, whose certificate is for
// proxy.example.com.
func secured(a *authority, limits Limits) Config {
	cfg := tcp(limits)
	cfg.Listeners[0].TLS = &ServerTLS{Certificates: a.issue(dns("proxy.example.com"))}
	return cfg
}

// callTLS connects to the first listener.
func (r *rig) callTLS(a *authority, change ...func(*tls.Config)) *phone {
	r.t.Helper()
	cfg := &tls.Config{RootCAs: a.pool(), ServerName: "proxy.example.com"}
	for _, f := range change {
		f(cfg)
	}
	conn, err := tls.Dial("tcp", r.Addrs()[0].String(), cfg)
	require.NoError(r.t, err)
	return newPhone(r.t, conn)
}

func TestTLS(t *testing.T) {
	a := newAuthority(t, "ca")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			r := serve(t, secured(a, Limits{}))
			p := r.callTLS(a, func(c *tls.Config) { c.MaxVersion = version })
			require.Equal(t, version, p.Conn.(*tls.Conn).ConnectionState().Version)
			p.echoes("hello")
			p.echoes(strings.Repeat("x", 60000))
			p.echoes(strings.Repeat("y", 250000))
			require.Equal(t, &transport.Peer{TLS: true}, r.received()[0].peer)
			require.NoError(t, p.Close())
			r.ends(ByPeer, 1)
			require.EqualValues(t, 1, r.stats().Handshakes)
		})
	}
	t.Run("1.1 is refused", func(t *testing.T) {
		r := serve(t, secured(a, Limits{}))
		_, err := tls.Dial("tcp", r.Addrs()[0].String(), &tls.Config{RootCAs: a.pool(), ServerName: "proxy.example.com", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		require.ErrorContains(t, err, "protocol version")
		r.ends(HandshakeFailed, 1)
	})
}

func TestTLSPipelined(t *testing.T) {
	const count = 1000
	a := newAuthority(t, "ca")
	r := serve(t, secured(a, Limits{}))
	p := r.callTLS(a)
	go func() {
		var text strings.Builder
		for i := range count {
			text.WriteString(request(fmt.Sprint(i)))
		}
		_, _ = p.Write([]byte(text.String()))
	}()
	for i := range count {
		_, body := p.read()
		require.Equal(t, fmt.Sprint(i), body)
	}
	require.Less(t, r.calls(), count/2)
}

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

// A record that is left open is a message that is left open; what TLS says for
// itself is none.
func TestTLSRecordLeftOpen(t *testing.T) {
	a := newAuthority(t, "ca")
	r := serve(t, secured(a, Limits{}))
	conn, err := net.Dial("tcp", r.Addrs()[0].String())
	require.NoError(t, err)
	secure := tls.Client(conn, &tls.Config{RootCAs: a.pool(), ServerName: "proxy.example.com"})
	p := newPhone(t, secure)
	p.echoes("good")
	for range 3 {
		r.pass(10*time.Second + 1)
		r.sweep(r.now(), nil)
	}
	p.echoes("still there")
	_, err = conn.Write([]byte("\x17\x03\x03\x40"))
	require.NoError(t, err)
	r.eventually(func() bool { return r.begun() == 1 })
	r.pass(9 * time.Second)
	_, err = conn.Write([]byte("\x00half of it"))
	require.NoError(t, err)
	r.pass(time.Second + 1)
	r.ends(SlowMessage, 1)
}

// Records are followed however they are cut.
func TestRecordsAreFollowed(t *testing.T) {
	var text []byte
	ends := map[int]bool{0: true}
	for _, size := range []int{1, 5, 0, 256, 16640, 3, 300} {
		text = append(text, 0x17, 3, 3, byte(size>>8), byte(size))
		text = append(text, make([]byte, size)...)
		ends[len(text)] = true
	}
	for _, cut := range []int{1, 2, 3, 5, 7, 100, 20000} {
		var s secure
		for at := 0; at < len(text); {
			n := min(cut, len(text)-at)
			s.follow(text[at : at+n])
			at += n
			require.Equal(t, !ends[at], s.within(), "%d of it, cut by %d", at, cut)
		}
	}
}

func TestHalfOpenHandshakes(t *testing.T) {
	const count = 200
	a := newAuthority(t, "ca")
	r := serve(t, secured(a, Limits{}))
	good := r.callTLS(a)
	good.echoes("before")
	for i := range count {
		p := r.call()
		switch i % 3 {
		case 1:
			p.write("\x16\x03\x01\x02\x00\x01\x00") // as a handshake begins
		case 2:
			p.write("\x16")
		}
	}
	r.eventually(func() bool { return r.stats().Open == count+1 })
	r.callTLS(a).echoes("meanwhile")
	r.pass(5*time.Second + 1)
	r.ends(HandshakeSlow, count)
	good.echoes("after")
	require.LessOrEqual(t, len(r.logs.lines()), logBurst+1)
}

func TestNoTLS(t *testing.T) {
	a := newAuthority(t, "ca")
	r := serve(t, secured(a, Limits{}))
	p := r.call()
	p.write(request("plain"))
	p.closed()
	r.ends(HandshakeFailed, 1)

	// And over what was TLS.
	cfg := &tls.Config{RootCAs: a.pool(), ServerName: "proxy.example.com"}
	conn, err := net.Dial("tcp", r.Addrs()[0].String())
	require.NoError(t, err)
	secure := tls.Client(conn, cfg)
	require.NoError(t, secure.Handshake())
	newPhone(t, secure).echoes("good")
	_, err = conn.Write([]byte("\x17\x03\x03\x00\x20 these are 32 bytes of no record.."))
	require.NoError(t, err)
	newPhone(t, conn).closed()
	r.ends(Broken, 1)
	require.Empty(t, r.reported())
}

// Over TLS what does not fit waits as text, and the records of what was begun.
func TestTLSSlowReader(t *testing.T) {
	a := newAuthority(t, "ca")
	r := serve(t, secured(a, Limits{}))
	p := r.callTLS(a)
	p.echoes("first")
	source := r.received()[0].source
	const size = 20000
	sent := 0
	for r.stats().QueueFull == 0 {
		require.NoError(t, r.Send(7, source, response(sent, size)))
		sent++
		require.Less(t, sent, 5000)
	}
	for i := range sent - 1 { // all but the last come, whole and in order
		_, body := p.read()
		require.Equal(t, fmt.Sprintf("%08d", i), body[:8])
		require.Len(t, body, size)
	}
	r.eventually(func() bool { return !r.writing() })
	p.echoes("as ever")
	require.Len(t, r.reported(), 1)
	r.eventually(func() bool { return r.stats().Sent == uint64(sent-1+2) })

	r.stalls(func() { // and then it takes nothing
		if r.stats().Ended[Stalled] == 0 {
			require.NoError(t, r.Send(7, source, response(sent, size)))
			sent++
		}
	})
	r.eventually(func() bool { return r.stats().Sent+uint64(len(r.reported())) == uint64(sent+2) })
}

func response(i, size int) []byte {
	return fmt.Appendf(nil, "SIP/2.0 200 OK\r\nContent-Length: %d\r\n\r\n%08d%s", size, i, strings.Repeat("x", size-8))
}

// writing is whether a connection has something to write.
func (r *rig) writing() bool {
	c := r.theOne()
	c.writer.mu.Lock()
	defer c.writer.mu.Unlock()
	return c.writer.writing || len(c.queue) > 0
}

func TestCertificatesAreReloaded(t *testing.T) {
	a := newAuthority(t, "ca")
	dir := t.TempDir()
	file := KeyPair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	other := KeyPair{filepath.Join(dir, "cert2.pem"), filepath.Join(dir, "key2.pem")}
	a.write(file, a.sign(dns("proxy.example.com", "first.example.com")))
	a.write(other, a.sign(dns("other.example.com")))
	certs, err := LoadCertificates(file, other)
	require.NoError(t, err)
	cfg := tcp(Limits{})
	cfg.Listeners[0].TLS = &ServerTLS{Certificates: certs}
	r := serve(t, cfg)
	shown := func(name string) string {
		p := r.callTLS(a, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = name, true })
		names := p.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames
		return names[len(names)-1]
	}
	open := r.callTLS(a)
	require.Equal(t, "first.example.com", shown("proxy.example.com"))
	require.Equal(t, "other.example.com", shown("other.example.com"))
	require.Equal(t, "first.example.com", shown("nobody.example.com"))

	require.NoError(t, os.WriteFile(other.Certificate, []byte("no certificate"), 0o600))
	a.write(file, a.sign(dns("proxy.example.com", "second.example.com")))
	require.ErrorContains(t, certs.Reload(), other.Certificate)
	require.Equal(t, "first.example.com", shown("proxy.example.com"), "half of it was taken")
	require.Equal(t, "first.example.com", certs.Leaves()[0].DNSNames[1])

	a.write(other, a.sign(dns("other.example.com")))
	require.NoError(t, certs.Reload())
	require.Equal(t, "second.example.com", shown("proxy.example.com"))
	require.Equal(t, "second.example.com", certs.Leaves()[0].DNSNames[1])
	open.echoes("it was not touched")
}

// Whom we trust can change: also those who were trusted in a session before.
func TestRootsAreReloaded(t *testing.T) {
	old, next := newAuthority(t, "old"), newAuthority(t, "new")
	roots := old.roots()
	server := &ServerTLS{Certificates: old.issue(dns("far.example.com"))}
	p := newPair(t, server, NewClientTLS("far.example.com", roots, nil), Limits{})
	p.send(request("trusted"))
	p.near.arrive(1)
	require.NoError(t, os.WriteFile(roots.files[0], nil, 0o600))
	require.Error(t, roots.Reload())
	require.NotNil(t, roots.pool())
	text, err := os.ReadFile(next.roots().files[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(roots.files[0], text, 0o600))
	require.NoError(t, roots.Reload())
	p.send(request("still open"))
	p.near.arrive(1)
	p.near.theOne().fail(Idle, nil)
	p.near.eventually(func() bool { return p.near.stats().Dialled == 0 })
	p.send(request("no more"))
	p.near.ends(BadCertificate, 1)
	p.near.eventually(func() bool { return len(p.near.reported()) == 1 })
}

func TestLoadErrors(t *testing.T) {
	_, err := LoadCertificates()
	require.EqualError(t, err, "no certificate")
	_, err = LoadCertificates(KeyPair{"/nowhere/cert", "/nowhere/key"})
	require.ErrorContains(t, err, "/nowhere/cert")
	_, err = LoadRoots()
	require.EqualError(t, err, "no file of roots")
	_, err = LoadRoots("/nowhere/roots")
	require.ErrorContains(t, err, "/nowhere/roots")
	file := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = LoadRoots(file)
	require.ErrorContains(t, err, "holds no certificate")
}
