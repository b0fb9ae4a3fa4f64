package stream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// KeyPair names the PEM files of a certificate, with what its issuers' chain
// needs behind it, and of its key. They may be one file.
type KeyPair struct{ Certificate, Key string }

// Certificates are ours, read from files: again on Reload, while connections are
// made. They are for any number of goroutines.
type Certificates struct {
	pairs   []KeyPair
	current atomic.Pointer[[]tls.Certificate]
}

// LoadCertificates reads them. The first is shown where no other fits better.
func LoadCertificates(pairs ...KeyPair) (*Certificates, error) {
	if len(pairs) == 0 {
		return nil, errors.New("no certificate")
	}
	c := &Certificates{pairs: pairs}
	return c, c.Reload()
}

// Reload reads the files again. On an error all stays as it was. Connections
// that are open keep what they were made with.
func (c *Certificates) Reload() error {
	all := make([]tls.Certificate, len(c.pairs))
	for i, p := range c.pairs {
		pair, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
		if err != nil {
			return fmt.Errorf("certificate %s with key %s: %w", p.Certificate, p.Key, err)
		}
		all[i] = pair
	}
	c.current.Store(&all)
	return nil
}

// Leaves returns the certificates in use, for whoever watches when they expire.
func (c *Certificates) Leaves() (all []*x509.Certificate) {
	for _, pair := range *c.current.Load() {
		all = append(all, pair.Leaf)
	}
	return all
}

// Pairs returns the files that they are read from, in the order of Leaves.
func (c *Certificates) Pairs() []KeyPair { return c.pairs }

// forClient chooses for who connects: the first for the name that it asks for,
// else the first of all.
func (c *Certificates) forClient(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := *c.current.Load()
	first := -1
	for i := range all {
		if hello.SupportsCertificate(&all[i]) == nil {
			return &all[i], nil
		}
		names, err := identities(all[i].Leaf)
		if first < 0 && err == nil && named(names, hello.ServerName) {
			first = i
		}
	}
	return &all[max(first, 0)], nil
}

// forServer chooses for who we connect to.
func (c *Certificates) forServer(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	all := *c.current.Load()
	for i := range all {
		if info.SupportsCertificate(&all[i]) == nil {
			return &all[i], nil
		}
	}
	return &all[0], nil // it may know more than it says
}

// Roots are those whose signatures count, read from files: again on Reload.
// They are for any number of goroutines. A nil *Roots is the system's.
type Roots struct {
	files   []string
	current atomic.Pointer[x509.CertPool]
}

// LoadRoots reads PEM files of certificates.
func LoadRoots(files ...string) (*Roots, error) {
	if len(files) == 0 {
		return nil, errors.New("no file of roots")
	}
	r := &Roots{files: files}
	return r, r.Reload()
}

// Reload reads the files again. On an error all stays as it was.
func (r *Roots) Reload() error {
	pool := x509.NewCertPool()
	for _, file := range r.files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("roots: %w", err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return fmt.Errorf("roots: %s holds no certificate", file)
		}
	}
	r.current.Store(pool)
	return nil
}

// pool is nil for the system's.
func (r *Roots) pool() *x509.CertPool {
	if r == nil {
		return nil
	}
	return r.current.Load()
}
