// Package cert makes a certificate authority, and one certificate that all sides
// of a measurement over TLS use: ECDSA on P-256, for some addresses, good for a
// day. Nothing of it is for anything but loopback.
package cert

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"tandem/router/transport/stream/certtest"
)

// Files are those of a certificate in a directory.
type Files struct {
	CA          string // the authority's
	Certificate string
	Key         string
}

// In says what files are called in a directory.
func In(dir string) Files {
	return Files{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")}
}

// Make writes them.
func Make(dir string, addrs ...netip.Addr) (f Files, err error) {
	f = In(dir)
	a, err := certtest.New("bench authority", time.Now().Add(24*time.Hour))
	if err != nil {
		return f, err
	}
	names := make([]string, len(addrs))
	for i, addr := range addrs {
		names[i] = addr.String()
	}
	c, err := a.Sign(certtest.For(names...))
	if err != nil {
		return f, err
	}
	if err := os.WriteFile(f.CA, certtest.PEM(a.Cert.Raw), 0o600); err != nil {
		return f, err
	}
	return f, certtest.Write(c, f.Certificate, f.Key)
}

// Suite is what every connection of a measurement has to agree on: TLS 1.3, with
// the one cipher that Go takes where the CPU has AES.
const Suite = tls.TLS_AES_128_GCM_SHA256

// Configs are those of who connects and of who is connected to. A handshake that
// agrees on anything else than Suite fails, so that nobody has a cheaper one.
func (f Files) Configs() (client, server *tls.Config, err error) {
	own, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, nil, err
	}
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	common := tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, RootCAs: roots,
		DynamicRecordSizingDisabled: true, // a message is a record, from the first one on
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.CipherSuite != Suite {
				return &otherSuite{s.CipherSuite}
			}
			return nil
		},
	}
	return &common, common.Clone(), nil
}

type otherSuite struct{ agreed uint16 }

func (o *otherSuite) Error() string {
	return "agreed on " + tls.CipherSuiteName(o.agreed) + ", not on " + tls.CipherSuiteName(Suite)
}
