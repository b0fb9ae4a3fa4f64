//go:build linux

package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates for a test. Its own is in the file ca.
type authority struct {
	t    testing.TB
	dir  string
	ca   string // path
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	return newAuthorityFor(t, 60*24*time.Hour)
}

// newAuthorityFor is newAuthority of one that ends so long from now.
func newAuthorityFor(t testing.TB, until time.Duration) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.ca = filepath.Join(a.dir, "ca.pem")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(until),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.write(a.ca, "CERTIFICATE", der)
	return a
}

func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	bytes, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	a.write(a.file(name+".pem"), "CERTIFICATE", der)
	a.write(a.file(name+".key"), "PRIVATE KEY", bytes)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// end is a peer with a certificate for name, which wants to see one of node's.
func (a *authority) end(name, node string) *endTLS {
	a.t.Helper()
	certs := []tls.Certificate{a.sign(name)}
	return &endTLS{
		server: &tls.Config{Certificates: certs, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool()},
		client: &tls.Config{Certificates: certs, RootCAs: a.pool(), ServerName: node},
	}
}

// open lets others come without a certificate, and shows none to the node.
func (e *endTLS) open() *endTLS {
	e.server.ClientAuth = tls.NoClientCert
	e.client.Certificates = nil
	return e
}
