package stream

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// KeyPair names the PEM files of a certificate, with what its issuers' chain
// needs behind it, and of its key. They may be one file.
type KeyPair struct{ Certificate, Key string }

// Certificates are ours, read from files: again on Reload, while connections are
// made. They are for any number of goroutines.
type Certificates struct {
	pairs   []KeyPair
	current atomic.Pointer[[]tls.Certificate]
	stale   atomic.Bool
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
func (c *Certificates) Reload() (err error) {
	defer func() { c.stale.Store(err != nil) }()
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

// Stale reports whether the last Reload failed: what is in use is of before.
func (c *Certificates) Stale() bool { return c.stale.Load() }

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

// Roots are those whose signatures count, read from a file: again on Reload.
// They are for any number of goroutines. A nil *Roots is the system's.
type Roots struct {
	file    string
	current atomic.Pointer[rootsRead]
	stale   atomic.Bool
}

type rootsRead struct {
	pool *x509.CertPool
	end  time.Time
}

// LoadRoots reads a PEM file of certificates.
func LoadRoots(file string) (*Roots, error) {
	r := &Roots{file: file}
	return r, r.Reload()
}

// Reload reads the file again. On an error all stays as it was. What is no
// certificate is passed over.
func (r *Roots) Reload() (err error) {
	defer func() { r.stale.Store(err != nil) }()
	text, err := os.ReadFile(r.file)
	if err != nil {
		return fmt.Errorf("roots: %w", err)
	}
	read := rootsRead{pool: x509.NewCertPool()}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		read.pool.AddCert(c)
		if c.NotAfter.After(read.end) {
			read.end = c.NotAfter
		}
	}
	if read.end.IsZero() {
		return fmt.Errorf("roots: %s holds no certificate", r.file)
	}
	r.current.Store(&read)
	return nil
}

// Stale reports whether the last Reload failed: those in use are of before.
func (r *Roots) Stale() bool { return r.stale.Load() }

// File is where they are read from.
func (r *Roots) File() string { return r.file }

// End is when the last of those in use ends, and with it all trust. A file that
// has an old one beside a new one, while peers move, is good until the new one
// ends.
func (r *Roots) End() time.Time { return r.current.Load().end }

// pool is nil for the system's.
func (r *Roots) pool() *x509.CertPool {
	if r == nil {
		return nil
	}
	return r.current.Load().pool
}
