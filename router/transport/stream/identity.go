package stream

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// CertificateError is why a peer's certificate was refused, or that it showed
// none.
type CertificateError struct {
	Subject string // what it calls itself, quoted where it is not plain; empty: there is none
	Err     error
}

func (e *CertificateError) Error() string {
	if e.Subject == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("certificate of %s: %v", e.Subject, e.Err)
}

func (e *CertificateError) Unwrap() error { return e.Err }

// verify checks the chain of a certificate against the roots, and that it may be
// used for SIP. It returns the names of RFC 5922 7.1, in lower case.
func verify(chain []*x509.Certificate, roots *x509.CertPool) ([]string, error) {
	leaf := chain[0]
	names, err := identities(leaf)
	if err != nil {
		return nil, &CertificateError{subject(leaf), err}
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: usages(leaf)}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(options); err != nil {
		return nil, &CertificateError{subject(leaf), err}
	}
	if len(names) == 0 {
		return nil, &CertificateError{subject(leaf), errNobody}
	}
	return names, nil
}

// usages are what a certificate may be made for. Both ends of a SIP connection
// call the other, so either has one for servers, and few have one for clients;
// RFC 5924 has a usage of its own for SIP, which x509 does not know.
func usages(leaf *x509.Certificate) []x509.ExtKeyUsage {
	if slices.ContainsFunc(leaf.UnknownExtKeyUsage, sipDomain.Equal) {
		return []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
}

var (
	sipDomain  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20}
	subjectAlt = asn1.ObjectIdentifier{2, 5, 29, 17}
)

var (
	errName   = errors.New("a name in it has bytes that no name has")
	errNobody = errors.New("it names nobody (RFC 5922 7.1)")
)

// identities returns what a certificate says that its owner is (RFC 5922 7.1):
// the hosts of sip URIs and the DNS names of its subjectAltName, and IP
// addresses, which a connector may be named by; the common name only if there
// is no subjectAltName at all. A wildcard names nobody (7.2). A name with a byte
// that no name has, a NUL above all, was made to be read differently by others:
// no name of such a certificate counts.
func identities(leaf *x509.Certificate) (names []string, err error) {
	add := func(name string) {
		name = strings.ToLower(name)
		switch {
		case !plain(name):
			err = errName
		case strings.Contains(name, "*") || slices.Contains(names, name):
		default:
			names = append(names, name)
		}
	}
	san := false
	for _, e := range leaf.Extensions {
		san = san || e.Id.Equal(subjectAlt)
	}
	if !san {
		if leaf.Subject.CommonName != "" {
			add(leaf.Subject.CommonName)
		}
		return names, err
	}
	for _, u := range leaf.URIs {
		if host, ok := sipHost(u); ok {
			add(host)
		}
	}
	for _, name := range leaf.DNSNames {
		add(name)
	}
	for _, ip := range leaf.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			add(addr.Unmap().String())
		}
	}
	return names, err
}

// sipHost returns the host of a sip URI that names a domain: one with a user
// names that user alone, and a sips URI names nobody (RFC 5922 7.1).
func sipHost(u *url.URL) (string, bool) {
	if !strings.EqualFold(u.Scheme, "sip") || u.User != nil {
		return "", false
	}
	rest := u.Opaque // "sip:example.com" has no slashes
	if rest == "" {
		rest = u.Host
	}
	if strings.ContainsAny(rest, "@%") {
		return "", false
	}
	if at := strings.IndexAny(rest, ";?"); at >= 0 {
		rest = rest[:at]
	}
	if strings.HasPrefix(rest, "[") {
		if end := strings.IndexByte(rest, ']'); end > 0 {
			return rest[1:end], true
		}
		return "", false
	}
	host, _, _ := strings.Cut(rest, ":")
	return host, host != ""
}

// plain holds for what can stand in the name of a host, or in a common name
// that is shown to people.
func plain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// named reports whether one of names is name: the whole of it, in any case.
func named(names []string, name string) bool {
	return slices.Contains(names, strings.ToLower(strings.TrimSuffix(name, ".")))
}

// subject is what a log calls a certificate.
func subject(leaf *x509.Certificate) string {
	text := leaf.Subject.String()
	if text == "" && len(leaf.DNSNames) > 0 {
		text = leaf.DNSNames[0]
	}
	if text == "" {
		text = "serial " + leaf.SerialNumber.String()
	}
	const most = 200
	if len(text) > most {
		text = text[:most]
	}
	return fmt.Sprintf("%q", text)
}
