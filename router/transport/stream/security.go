package stream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"tandem/router/transport"
)

// Clients is what a TLS listener asks of those who connect.
type Clients uint8

// What is asked.
const (
	NoCertificate Clients = iota // nothing: whoever connects has no names
	Optional                     // a certificate that is shown is verified
	Required                     // who shows none is refused
)

// ServerTLS is how a listener shows itself, and what it asks.
type ServerTLS struct {
	Certificates *Certificates
	Clients      Clients
	Roots        *Roots // who may have signed a client's certificate; nil: the system's
}

// ClientTLS is who has to be at the other end of a connection that we open. It
// keeps sessions to take up again, and a connection is one ClientTLS's: so one
// peer has one, for as long as its settings stand. It is for any number of
// goroutines.
type ClientTLS struct {
	name   string
	roots  *Roots
	config *tls.Config
}

// sessions is how many of one peer are kept: it has a few addresses.
const sessions = 16

// NewClientTLS makes one for a peer that has to have a certificate for name, a
// domain or an IP address: that of the URI that the peer was found by, not one
// that the DNS led to (RFC 5922 7.3). Roots are who may have signed it, nil the
// system's; ours is what we show if asked, nil nothing.
func NewClientTLS(name string, roots *Roots, ours *Certificates) *ClientTLS {
	c := &ClientTLS{name: name, roots: roots}
	c.config = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         name,
		ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
		// Records as long as messages are: they are written in one call anyway.
		DynamicRecordSizingDisabled: true,
		// crypto/tls would accept wildcards and knows no names in URIs. What it
		// leaves out VerifyConnection does, of sessions taken up again too.
		InsecureSkipVerify: true,
		VerifyConnection:   c.verify,
	}
	if ours != nil {
		c.config.GetClientCertificate = ours.forServer
	}
	return c
}

func (c *ClientTLS) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return &CertificateError{Err: errors.New("the server shows no certificate")}
	}
	names, err := verify(state.PeerCertificates, c.roots.pool())
	if err == nil && !named(names, c.name) {
		err = &CertificateError{subject(state.PeerCertificates[0]),
			fmt.Errorf("it is for %s, not for %q", list(names), c.name)}
	}
	return err
}

// peer is who was found there, after verify.
func (c *ClientTLS) peer(state tls.ConnectionState) *transport.Peer { return peerOf(state) }

// isPeer reports whether p has proved to be who has to be there.
func (c *ClientTLS) isPeer(p *transport.Peer) bool { return p != nil && named(p.Names, c.name) }

func (s *ServerTLS) config() *tls.Config {
	config := &tls.Config{
		MinVersion:                  tls.VersionTLS12,
		GetCertificate:              s.Certificates.forClient,
		DynamicRecordSizingDisabled: true,
	}
	if s.Clients != NoCertificate {
		// Whether one has to be there, and is good, is for verify to say.
		config.ClientAuth = tls.RequestClientCert
		config.VerifyConnection = s.verify
	}
	return config
}

func (s *ServerTLS) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		if s.Clients == Required {
			return &CertificateError{Err: errors.New("the client shows no certificate, and has to")}
		}
		return nil
	}
	_, err := verify(state.PeerCertificates, s.Roots.pool())
	return err
}

// peer is who connected, after verify.
func (s *ServerTLS) peer(state tls.ConnectionState) *transport.Peer {
	if s.Clients == NoCertificate {
		return &anonymous
	}
	return peerOf(state)
}

// peerOf names the owner of a certificate that was verified.
func peerOf(state tls.ConnectionState) *transport.Peer {
	if len(state.PeerCertificates) == 0 {
		return &anonymous
	}
	names, err := identities(state.PeerCertificates[0])
	if err != nil || len(names) == 0 {
		return &anonymous
	}
	return &transport.Peer{Names: names, TLS: true}
}

// anonymous is who has proved nothing. Nobody changes it.
var anonymous = transport.Peer{TLS: true}

// handshakeEnd is why a handshake failed.
func handshakeEnd(err error) End {
	var refused *CertificateError
	if errors.As(err, &refused) {
		return BadCertificate
	}
	return HandshakeFailed
}

// list names a few.
func list(names []string) string {
	switch {
	case len(names) == 0:
		return "nobody"
	case len(names) > 4:
		return fmt.Sprintf("%q and %d more", names[:4], len(names)-4)
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}
