package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/router"
	"tandem/router/transport/stream"
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
	file, serial := write(t, ""), int64(0)
	issue := func() {
		serial++
		public, key, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(nil, template, template, public, key)
		require.NoError(t, err)
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		require.NoError(t, os.WriteFile(file, append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...), 0o600))
	}
	issue()
	ours, err := serverTLS(config.ListenerTLS{Certificate: file, Key: file})
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
		require.Equal(t, 2, read)
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
