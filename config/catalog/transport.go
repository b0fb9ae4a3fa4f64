package catalog

import (
	"cmp"
	"strings"
)

// Transport is what SIP messages travel over (RFC 3261 18).
type Transport uint8

// Transports.
const (
	UDP Transport = iota
	TCP
	TLS // over TCP
	Transports
)

var transportNames = [Transports]string{"udp", "tcp", "tls"}

// String is the transport as URIs and listeners write it.
func (t Transport) String() string { return transportNames[t] }

// Param is how a URI, or the name of a host, says the transport, if it has to.
func (t Transport) Param() string {
	if t == UDP {
		return ""
	}
	return ";transport=" + t.String()
}

// Reliable reports whether the transport delivers what it was given, or says
// that it cannot: then nothing is sent again (RFC 3261 17).
func (t Transport) Reliable() bool { return t != UDP }

// Port is the default port (RFC 3261 19.1.2).
func (t Transport) Port() uint16 {
	if t == TLS {
		return 5061
	}
	return 5060
}

// ParseTransport reads a name, in any case.
func ParseTransport(name []byte) (Transport, bool) {
	for t, known := range transportNames {
		if len(name) == len(known) && equalFold(name, known) {
			return Transport(t), true
		}
	}
	return 0, false
}

// PeerTLS is who has to be at the other end of a connection over TLS, and who we
// are there.
type PeerTLS struct {
	Name             string // in its certificate (RFC 5922 7.3)
	CA               string // PEM file of who may have signed it; "" is the system's
	Certificate, Key string // PEM files of ours; "" for none
}

// Peer is who has to be at a host of c over TLS: whom the connector names, else whom
// the host's URI does.
func (c *Connector) Peer(h *Host) PeerTLS {
	who := c.TLS
	if who.Name == "" {
		who.Name = cmp.Or(strings.TrimSuffix(h.Name, "."), h.Addr.Addr().String())
	}
	return who
}

// equalFold compares with a name in lower case, of the same length.
func equalFold(b []byte, name string) bool {
	for i := range b {
		if b[i]|0x20 != name[i] {
			return false
		}
	}
	return true
}
