//go:build linux

package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport/stream/certtest"
)

// authority signs certificates for a test. Its own is in the file ca.
type authority struct {
	*certtest.Authority
	t   testing.TB
	dir string
	ca  string // path
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	return newAuthorityFor(t, 60*24*time.Hour)
}

// newAuthorityFor is newAuthority of one that ends so long from now.
func newAuthorityFor(t testing.TB, until time.Duration) *authority {
	t.Helper()
	made, err := certtest.New("authority of a test", time.Now().Add(until))
	require.NoError(t, err)
	a := &authority{Authority: made, t: t, dir: t.TempDir()}
	a.ca = a.file("ca.pem")
	a.writeTo(a.ca)
	return a
}

// writeTo puts its certificate into a file.
func (a *authority) writeTo(path string) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(path, certtest.PEM(a.Cert.Raw), 0o600))
}

// sign makes a certificate for a DNS name or an IP address, for both ends of connections, and puts
// it into a file NAME.pem with its key in NAME.key, in place of one that is there.
func (a *authority) sign(name string) tls.Certificate {
	a.t.Helper()
	return a.signFor(name, -time.Hour, 60*24*time.Hour)
}

// signFor is sign of one that is valid between two times from now.
func (a *authority) signFor(name string, from, until time.Duration) tls.Certificate {
	a.t.Helper()
	c, err := a.Sign(certtest.For(name), func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until) })
	require.NoError(a.t, err)
	require.NoError(a.t, certtest.Write(c, a.file(name+".pem"), a.file(name+".key")))
	return c
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// end is a peer with a certificate for name, which wants to see one of node's.
func (a *authority) end(name, node string) *endTLS {
	a.t.Helper()
	certs := []tls.Certificate{a.sign(name)}
	return &endTLS{
		server: &tls.Config{Certificates: certs, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()},
		client: &tls.Config{Certificates: certs, RootCAs: a.Pool(), ServerName: node},
	}
}

// open lets others come without a certificate, and shows none to the node.
func (e *endTLS) open() *endTLS {
	e.server.ClientAuth = tls.NoClientCert
	e.client.Certificates = nil
	return e
}
