package stream

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

// certificates that are for far.example.com, and such that are not. A bad one is
// refused with an error that says wrong.
type judged struct {
	name  string
	what  []func(*x509.Certificate)
	names []string
	wrong string
}

func cn(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.CommonName = name }
}

func uri(text string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		u, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		c.URIs = append(c.URIs, u)
	}
}

func usage(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = u }
}

const far0 = "far.example.com"

func certificatesToJudge() []judged {
	is := func(what ...func(*x509.Certificate)) []func(*x509.Certificate) { return what }
	names := func(names ...string) []string { return names }
	return []judged{
		{"DNS name", is(dns(far0)), names(far0), ""},
		{"any case", is(dns("FAR.Example.com")), names(far0), ""},
		{"one of many", is(dns("a.example.com", far0, "b.example.com")), names("a.example.com", far0, "b.example.com"), ""},
		{"sip URI", is(uri("sip:far.example.com")), names(far0), ""},
		{"sip URI with port and parameters", is(uri("sip:far.example.com:5061;transport=tls")), names(far0), ""},
		{"URI and DNS name", is(uri("sip:far.example.com"), dns("host.example.com")), names(far0, "host.example.com"), ""},
		{"common name without others", is(cn(far0)), names(far0), ""},
		{"for servers only", is(dns(far0), usage(x509.ExtKeyUsageServerAuth)), names(far0), ""},
		{"for clients only", is(dns(far0), usage(x509.ExtKeyUsageClientAuth)), names(far0), ""},
		{"for anything", is(dns(far0), usage()), names(far0), ""},
		{"for SIP (RFC 5924)", is(dns(far0), usage(), func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{sipDomain}
		}), names(far0), ""},

		{"expired", is(dns(far0), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), nil, "expired"},
		{"not valid yet", is(dns(far0), func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), nil, "not yet valid"},
		{"for signing code", is(dns(far0), usage(x509.ExtKeyUsageCodeSigning)), nil, "incompatible key usage"},
		{"NUL in a DNS name", is(dns(far0 + "\x00.evil.example.org")), nil, "bytes that no name has"},
		{"NUL in a DNS name, beside a good one", is(dns(far0, far0+"\x00.evil.example.org")), nil, "bytes that no name has"},
		{"NUL in the common name", is(cn(far0 + "\x00.evil.example.org")), nil, "bytes that no name has"},
		{"no name", is(), nil, "names nobody"},
		{"wildcard", is(dns("*.example.com")), nil, "names nobody"},
		{"wildcard in the common name", is(cn("*.example.com")), nil, "names nobody"},
		{"wildcard in a URI", is(uri("sip:*.example.com")), nil, "names nobody"},
		{"sips URI", is(uri("sips:far.example.com")), nil, "names nobody"},
		{"URI of a user", is(uri("sip:bob@far.example.com")), nil, "names nobody"},
		{"URI of another scheme", is(uri("https://far.example.com")), nil, "names nobody"},
		{"common name beside a subjectAltName without names", is(cn(far0), func(c *x509.Certificate) { c.EmailAddresses = []string{"a@example.com"} }), nil, "names nobody"},
	}
}

// notFar are good certificates of others.
func certificatesOfOthers() []judged {
	is := func(what ...func(*x509.Certificate)) []func(*x509.Certificate) { return what }
	return []judged{
		{"wrong name", is(dns("other.example.com")), nil, `it is for "other.example.com", not for "far.example.com"`},
		{"a part of the name", is(dns("example.com")), nil, "not for"},
		{"more than the name", is(dns("very.far.example.com")), nil, "not for"},
		{"common name beside another DNS name", is(cn(far0), dns("other.example.com")), nil, "not for"},
		{"many names", is(dns("a.example.com", "b.example.com", "c.example.com", "d.example.com", "e.example.com")), nil, "1 more"},
	}
}

// A server with a bad certificate gets nothing from us, and one line is logged.
func TestServersAreVerified(t *testing.T) {
	good, bad := newAuthority(t, "good"), newAuthority(t, "bad")
	check := func(a *authority, c judged) {
		t.Run(c.name, func(t *testing.T) {
			server := &ServerTLS{Certificates: a.issue(c.what...)}
			p := newPair(t, server, NewClientTLS(far0, good.roots(), nil), Limits{})
			p.send(request("secret"))
			if c.wrong == "" {
				p.near.arrive(1)
				require.Equal(t, &transport.Peer{Names: c.names, TLS: true}, p.near.received()[0].peer)
				return
			}
			p.near.ends(BadCertificate, 1)
			p.near.eventually(func() bool { return len(p.near.reported()) == 1 })
			require.Equal(t, []victim{{p.dest, request("secret")}}, p.near.reported())
			p.near.oneLine(t, "certificate refused", c.wrong, "peer="+p.dest.String())
			p.far.ends(HandshakeFailed, 1)
			require.Empty(t, p.far.received())
		})
	}
	for _, c := range append(certificatesToJudge(), certificatesOfOthers()...) {
		check(good, c)
	}
	check(bad, judged{"unknown CA", []func(*x509.Certificate){dns(far0)}, nil, "unknown authority"})
}

// Nor does a client with a bad one, or with none where one has to be.
func TestClientsAreVerified(t *testing.T) {
	good, bad := newAuthority(t, "good"), newAuthority(t, "bad")
	for _, asked := range []Clients{Optional, Required} {
		check := func(a *authority, c judged) {
			t.Run(c.name, func(t *testing.T) {
				cfg := tcp(Limits{})
				cfg.Listeners[0].TLS = &ServerTLS{Certificates: good.issue(dns("proxy.example.com")), Clients: asked, Roots: good.roots()}
				r := serve(t, cfg)
				conn, err := tls.Dial("tcp", r.Addrs()[0].String(), &tls.Config{
					RootCAs: good.Pool(), ServerName: "proxy.example.com",
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if a == nil {
							return new(tls.Certificate), nil
						}
						cert := a.sign(c.what...)
						return &cert, nil
					},
				})
				require.NoError(t, err) // over TLS 1.3 it learns later
				p := newPhone(t, conn)
				if c.wrong == "" {
					p.echoes("hello")
					require.Equal(t, &transport.Peer{Names: c.names, TLS: true}, r.received()[0].peer)
					return
				}
				_, _ = p.Write([]byte(request("let me in")))
				p.closed()
				r.ends(BadCertificate, 1)
				r.oneLine(t, "certificate refused", c.wrong, "peer="+unmap(p.LocalAddr().(*net.TCPAddr).AddrPort()).String())
				require.Empty(t, r.received())
			})
		}
		for _, c := range certificatesToJudge() {
			check(good, c)
		}
		check(bad, judged{"unknown CA", []func(*x509.Certificate){dns(far0)}, nil, "unknown authority"})
		none := judged{"none", nil, nil, ""}
		if asked == Required {
			none.wrong = "shows no certificate"
		}
		check(nil, none)
	}
}

// oneLine checks that one line was logged, which has all of that.
func (r *rig) oneLine(t testing.TB, all ...string) {
	t.Helper()
	r.eventually(func() bool { return r.logs.lines()[0] != "" })
	require.Len(t, r.logs.lines(), 1)
	for _, text := range all {
		require.Contains(t, strings.ReplaceAll(r.logs.lines()[0], `\"`, `"`), text)
	}
}

// A server that is named by its address has a certificate for it.
func TestServerNamedByAddress(t *testing.T) {
	a := newAuthority(t, "ca")
	for _, c := range []struct {
		ip string
		ok bool
	}{{"127.0.0.1", true}, {"127.0.0.2", false}} {
		server := &ServerTLS{Certificates: a.issue(func(x *x509.Certificate) { x.IPAddresses = []net.IP{net.ParseIP(c.ip)} })}
		p := newPair(t, server, NewClientTLS("127.0.0.1", a.roots(), nil), Limits{})
		p.send(request("x"))
		if c.ok {
			p.near.arrive(1)
		} else {
			p.near.ends(BadCertificate, 1)
		}
	}
}

// The system's roots count where no others are named: they know none of ours.
func TestSystemRoots(t *testing.T) {
	a := newAuthority(t, "ca")
	p := newPair(t, &ServerTLS{Certificates: a.issue(dns(far0))}, NewClientTLS(far0, nil, nil), Limits{})
	p.send(request("x"))
	p.near.ends(BadCertificate, 1)
}

func TestSourceOf(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"fe80::1%eth0":         "fe80::%eth0",
	} {
		require.Equal(t, netip.MustParseAddr(want), sourceOf(netip.MustParseAddr(ip)))
	}
}
