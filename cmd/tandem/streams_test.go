package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/router"
	"tandem/router/transport/stream"
	"tandem/router/transport/stream/certtest"
)

// A host over UDP is no stranger over TCP when large requests may go there.
func TestLargeRequestsGoToKnownHosts(t *testing.T) {
	const udp, tcp = 0, 1
	at := netip.MustParseAddrPort("10.0.0.1:5060")
	s := new(streams)
	require.NoError(t, s.know([]router.HostInfo{{Addr: at, Listeners: []int{udp}, Large: []int{tcp}}}))
	require.Equal(t, []bool{false, true}, []bool{s.known(udp, at), s.known(tcp, at)})
	require.NoError(t, s.know([]router.HostInfo{{Addr: at, Listeners: []int{udp}, Transport: catalog.UDP}}))
	require.False(t, s.known(tcp, at))
}

// A reload that finds the certificates as they were leaves connections and sessions
// in use, or each reload would double the connections until those of before are idle.
func TestReloadOfCertificatesThatStay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cert.pem")
	a, err := certtest.New("authority of a test", time.Now().Add(time.Hour))
	require.NoError(t, err)
	issue := func() {
		c, err := a.Sign()
		require.NoError(t, err)
		require.NoError(t, certtest.Write(c, file, file))
	}
	issue()
	ours, err := serverTLS(config.ListenerTLS{Certificate: file, Key: file}, new(streams).certificates())
	require.NoError(t, err)
	s := &streams{servers: map[int]*stream.ServerTLS{1: ours}}
	at := netip.MustParseAddrPort("10.0.0.1:5061")
	says := catalog.PeerTLS{Name: "sbc.example.com", Certificate: file, Key: file}
	require.NoError(t, s.know([]router.HostInfo{{Addr: at, Listeners: []int{1}, Transport: catalog.TLS, TLS: says}}))
	both := func() [2]*stream.ClientTLS {
		return [2]*stream.ClientTLS{s.peer(1, at), s.stranger(1, []byte("phone.example.com"))}
	}
	before := both()
	again := func() {
		read, failed := s.reload()
		require.Equal(t, 1, read, "listener and host share the file")
		require.Empty(t, failed)
	}
	again()
	now := both()
	require.Same(t, before[0], now[0])
	require.Same(t, before[1], now[1])
	issue()
	again()
	now = both()
	require.NotSame(t, before[0], now[0])
	require.NotSame(t, before[1], now[1])
	require.NoError(t, os.WriteFile(file, []byte("half of a certi"), 0o600))
	_, failed := s.reload()
	require.Len(t, failed, 1)
	require.Same(t, now[0], s.peer(1, at))
}

// Who names the same file has the same certificates, an address that comes later
// too: a changed file is taken at a reload, for all of them.
func TestCertificatesAreShared(t *testing.T) {
	ours, next := anyCertificate(t), anyCertificate(t)
	says := catalog.PeerTLS{Name: "a.example.com", Certificate: ours.Certificate, Key: ours.Key, CA: ours.ClientCA}
	server, err := serverTLS(ours, new(streams).certificates())
	require.NoError(t, err)
	s := &streams{servers: map[int]*stream.ServerTLS{0: server}}
	var hosts []router.HostInfo
	know := func(addr string) error {
		at := netip.MustParseAddrPort(addr)
		hosts = append(hosts, router.HostInfo{Addr: at, Listeners: []int{0}, Transport: catalog.TLS, TLS: says})
		return s.know(hosts)
	}
	require.NoError(t, know("10.0.0.1:5061"))
	text, err := os.ReadFile(next.Certificate)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(ours.Certificate, text, 0o600))
	says.Name = "b.example.com"
	require.NoError(t, know("10.0.0.2:5061"))
	before := server.Certificates.Leaves()[0].SerialNumber
	for _, p := range *s.peers.Load() {
		require.Same(t, server.Certificates, p.ours)
		require.Same(t, server.Roots, p.roots)
	}

	read, failed := s.reload()
	require.Equal(t, 2, read, "the certificate and the authority")
	require.Empty(t, failed)
	require.NotEqual(t, before, server.Certificates.Leaves()[0].SerialNumber)

	require.NoError(t, os.Remove(ours.Certificate))
	require.NoError(t, know("10.0.0.3:5061"), "what is in use is good")
	says.CA = ours.Certificate + ".gone"
	require.ErrorContains(t, know("10.0.0.4:5061"), says.CA)
	_, failed = s.reload()
	require.Len(t, failed, 2)
}

// What is in use of a file is what it has until a reload cannot use it, and again
// when one can. Certificate, key and authority may be in one file: each counts.
func TestFilesThatAreNotReadAgain(t *testing.T) {
	ours, other := anyCertificate(t), anyCertificate(t)
	other.ClientCA = ours.Certificate
	server, err := serverTLS(other, new(streams).certificates())
	require.NoError(t, err)
	s := &streams{servers: map[int]*stream.ServerTLS{0: server}}
	at := netip.MustParseAddrPort("10.0.0.1:5061")
	says := catalog.PeerTLS{Name: "a.example.com", Certificate: ours.Certificate, Key: ours.Key}
	require.NoError(t, s.know([]router.HostInfo{{Addr: at, Listeners: []int{0}, Transport: catalog.TLS, TLS: says}}))
	good, err := os.ReadFile(ours.Certificate)
	require.NoError(t, err)
	_, key, found := bytes.Cut(good, []byte("-----END CERTIFICATE-----\n"))
	require.True(t, found && len(key) > 0)
	certificate := good[:len(good)-len(key)]
	for _, c := range []struct {
		what string
		has  []byte
		read bool
	}{
		{"as at the start", good, true}, {"cut short", good[:20], false}, {"once more", good[:20], false}, {"mended", good, true},
		{"without its key", certificate, false}, {"whole", good, true},
	} {
		require.NoError(t, os.WriteFile(ours.Certificate, c.has, 0o600))
		s.reload()
		require.Equal(t, map[string]bool{ours.Certificate: c.read, other.Certificate: true}, s.expiries().Read, c.what)
	}
	require.NoError(t, os.Remove(ours.Certificate))
	s.reload()
	require.False(t, s.expiries().Read[ours.Certificate])
	require.NoError(t, s.know(nil))
	require.False(t, s.expiries().Read[ours.Certificate], "the listener has it yet")
}
