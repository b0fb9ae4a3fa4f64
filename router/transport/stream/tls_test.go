package stream

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
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
	cfg := &tls.Config{RootCAs: a.Pool(), ServerName: "proxy.example.com"}
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
		_, err := tls.Dial("tcp", r.Addrs()[0].String(), &tls.Config{RootCAs: a.Pool(), ServerName: "proxy.example.com", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
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

// A record that is left open is a message that is left open; what TLS says for
// itself is none.
func TestTLSRecordLeftOpen(t *testing.T) {
	a := newAuthority(t, "ca")
	r := serve(t, secured(a, Limits{}))
	conn, err := net.Dial("tcp", r.Addrs()[0].String())
	require.NoError(t, err)
	secure := tls.Client(conn, &tls.Config{RootCAs: a.Pool(), ServerName: "proxy.example.com"})
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
	cfg := &tls.Config{RootCAs: a.Pool(), ServerName: "proxy.example.com"}
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
	r.reports(1)
	r.eventually(func() bool { return r.stats().Sent == uint64(sent-1+2) })

	r.stalls(func() { // and then it takes nothing
		if r.stats().Ended[Stalled] == 0 {
			require.NoError(t, r.Send(7, source, response(sent, size)))
			sent++
		}
	})
	r.eventually(func() bool { return r.stats().Sent+uint64(len(r.reported())) == uint64(sent+2) })
}

// Who takes nothing cannot gather what TLS answers by itself without end.
func TestTLSAnswersToWhoDoesNotRead(t *testing.T) {
	a := newAuthority(t, "ca")
	r := serve(t, secured(a, Limits{}))
	p := r.callTLS(a)
	p.echoes("first")
	source := r.received()[0].source
	for i := 0; r.stats().QueueFull == 0; i++ {
		require.NoError(t, r.Send(7, source, response(i, 20000)))
	}
	c := r.theOne()
	_, err := c.secure.Write(make([]byte, maxAnswers)) // as crypto/tls does
	require.NoError(t, err)
	p.write(request("some"))
	r.arrive(1)
	_, err = c.secure.Write(make([]byte, 1))
	require.NoError(t, err)
	p.write(request("too much"))
	r.ends(Stalled, 1)
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

func TestLoadErrors(t *testing.T) {
	_, err := LoadCertificates()
	require.EqualError(t, err, "no certificate")
	_, err = LoadCertificates(KeyPair{"/nowhere/cert", "/nowhere/key"})
	require.ErrorContains(t, err, "/nowhere/cert")
	_, err = LoadRoots("/nowhere/roots")
	require.ErrorContains(t, err, "/nowhere/roots")
	file := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = LoadRoots(file)
	require.ErrorContains(t, err, "holds no certificate")
}
