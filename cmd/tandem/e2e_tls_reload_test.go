//go:build linux

package main_test

import (
	"crypto/tls"
	"fmt"
	"math/big"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// SIGHUP reads the certificates again, the config being what it was: the next
// connections show them, also those to connectors, and those that are up stay.
func TestE2E_TLSReload(t *testing.T) {
	t.Parallel()
	l, a := newLab(t), newAuthority(t)
	caller, _ := l.streamPeer("127.0.0.2:5061", a.end("carrier.example.com", nodeName))
	first, socket := l.streamPeer("127.0.0.11:5061", a.end("first.example.com", nodeName))
	n := l.serveTLS(a, "clients: required, client_ca: DIR/ca.pem", tlsConnectors+"health: {probe: false}\n").over("127.0.0.1:5061")
	ends := func() float64 {
		return n.metric(`^tandem_tls_certificate_expires_timestamp_seconds\{file="` + regexp.QuoteMeta(a.file(nodeName+".pem")))
	}
	before := shown(t, n, a)
	was := ends()
	require.InDelta(t, time.Now().Add(60*24*time.Hour).Unix(), was, 60)
	require.NotContains(t, n.logs.String(), "expires on")
	n.goodCall(caller, first, "+15550000001")
	require.Equal(t, []*big.Int{before}, socket.serials(), "what the node shows to a connector")
	up := caller.call(n.addr, "+15550000001").start()
	first.pickUp()
	caller.expect("180 INVITE")
	up.established()
	first.expect("ACK")

	renewed := a.signFor(nodeName, -time.Hour, 10*24*time.Hour).Leaf.SerialNumber
	n.hup("certificates read again")
	require.InDelta(t, was-50*24*3600, ends(), 60)
	require.Contains(t, n.logged("expires on")["msg"], "in 9 days")
	require.Equal(t, renewed, shown(t, n, a))
	up.bye(first) // on a connection that was made by the new ones; the one of before is up
	require.EqualValues(t, 2, n.metric(`^tandem_stream_connections\{direction="out",listener="`+n.addr.String()))
	require.ElementsMatch(t, []*big.Int{before, renewed}, socket.serials())

	// What cannot be read changes nothing; the log names the file, and a metric.
	read := func() float64 {
		return n.metric(`^tandem_tls_last_reload_successful\{file="` + regexp.QuoteMeta(a.file(nodeName+".pem")))
	}
	require.EqualValues(t, 1, read())
	require.NoError(t, os.WriteFile(a.file(nodeName+".pem"), []byte("half of a certi"), 0o600))
	line := n.hup("certificates not read again")
	require.Len(t, line["mistakes"], 1, "listener and connector have the same file")
	require.Contains(t, fmt.Sprint(line["mistakes"]), a.file(nodeName+".pem"))
	require.Equal(t, renewed, shown(t, n, a))
	require.Zero(t, read())
	n.goodCall(caller, first, "+15550000001")
	a.signFor(nodeName, -time.Hour, 60*24*time.Hour)
	n.hup("certificates read again")
	require.EqualValues(t, 1, read())
}

// Who may have signed a certificate is read again too: a client that was known is
// not any more.
func TestE2E_TLSReloadRoots(t *testing.T) {
	t.Parallel()
	l, a, other := newLab(t), newAuthority(t), newAuthorityFor(t, 10*24*time.Hour)
	a.writeTo(other.file("clients.pem"))
	caller, socket := l.streamPeer("127.0.0.2:5061", a.end("carrier.example.com", nodeName))
	first, _ := l.streamPeer("127.0.0.11:5061", a.end("first.example.com", nodeName))
	n := l.serveTLS(a, "clients: required, client_ca: "+other.file("clients.pem"), tlsConnectors).over("127.0.0.1:5061")
	ends := func(file string) float64 {
		return n.metric(`^tandem_tls_authority_expires_timestamp_seconds\{file="` + regexp.QuoteMeta(file))
	}
	require.EqualValues(t, a.Cert.NotAfter.Unix(), ends(a.ca), "a connector's")
	require.EqualValues(t, a.Cert.NotAfter.Unix(), ends(other.file("clients.pem")), "a listener's")
	require.NotContains(t, n.logs.String(), "expires on")
	n.goodCall(caller, first, "+15550000001")
	other.writeTo(other.file("clients.pem"))
	n.hup("certificates read again")
	require.EqualValues(t, other.Cert.NotAfter.Unix(), ends(other.file("clients.pem")))
	require.Contains(t, n.logged("expires on")["msg"], other.file("clients.pem"))
	socket.drop()
	_, _ = socket.WriteToUDPAddrPort([]byte(caller.call(n.addr, "+15550000001").invite), n.addr)
	line := n.logged("certificate refused")
	require.Contains(t, line["error"], "unknown authority")
	first.quiet(settle)
}

// hup has the node read its files again, and returns the log line that says what
// came of the certificates.
func (n *node) hup(says string) map[string]any {
	n.t.Helper()
	have := func() int { return strings.Count(n.logs.String(), `"msg":"config reloaded"`) }
	before := have()
	n.signal(syscall.SIGHUP)
	require.Eventually(n.t, func() bool { return have() > before }, patience, readyEvery)
	return n.logged(says)
}

// shown is the certificate that a new connection is shown by the node, by its
// serial number.
func shown(t *testing.T, n *node, a *authority) *big.Int {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", n.addr.String(),
		&tls.Config{RootCAs: a.Pool(), ServerName: nodeName})
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// serials are the certificates that those have shown whose connections are up.
func (s *streamSocket) serials() (all []*big.Int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		if certs := conn.(*tls.Conn).ConnectionState().PeerCertificates; len(certs) > 0 {
			all = append(all, certs[0].SerialNumber)
		}
	}
	return all
}

// drop ends all connections.
func (s *streamSocket) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, conn := range s.conns {
		delete(s.conns, at)
		_ = conn.Close()
	}
}
