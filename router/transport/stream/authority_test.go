package stream

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

// authority signs certificates for a test.
type authority struct {
	t testing.TB
	*certtest.Authority
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a, err := certtest.New(name, time.Now().Add(time.Hour))
	require.NoError(t, err)
	return &authority{t, a}
}

// dns makes a certificate for DNS names.
func dns(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func (a *authority) sign(what ...func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	c, err := a.Sign(what...)
	require.NoError(a.t, err)
	return c
}

// write puts a certificate and its key into the files of a pair.
func (a *authority) write(pair KeyPair, c tls.Certificate) {
	a.t.Helper()
	require.NoError(a.t, certtest.Write(c, pair.Certificate, pair.Key))
}

// issue makes Certificates of one that sign makes.
func (a *authority) issue(what ...func(*x509.Certificate)) *Certificates {
	a.t.Helper()
	dir := a.t.TempDir()
	pair := KeyPair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	a.write(pair, a.sign(what...))
	c, err := LoadCertificates(pair)
	require.NoError(a.t, err)
	return c
}

// roots are those who trust a.
func (a *authority) roots() *Roots {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "roots.pem")
	require.NoError(a.t, os.WriteFile(file, certtest.PEM(a.Cert.Raw), 0o600))
	r, err := LoadRoots(file)
	require.NoError(a.t, err)
	return r
}
