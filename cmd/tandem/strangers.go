package main

import (
	"net/netip"
	"strings"
	"sync"

	"tandem/router/transport/stream"
)

// strangers are those whom dialogs lead to over TLS and who are no hosts: callers
// at the address of their Contact, mostly. All that is known of one is what the
// URI calls it, and for that it has to have a certificate (RFC 5922 7.3). Who is
// seldom connected to is forgotten, and with it the sessions to take up again.
type strangers struct {
	mu     sync.Mutex
	recent map[nameAt]*stream.ClientTLS
	before map[nameAt]*stream.ClientTLS // those that were recent before these
}

// nameAt is who a listener may have to connect to, in lower case.
type nameAt struct {
	listener int
	name     string
}

// maxStrangers is how many are kept, at most twice.
const maxStrangers = 1000

// stranger is how whoever is called name has to prove it to a TLS listener: by a
// certificate that those vouch for who may vouch for its clients.
func (s *streams) stranger(listener int, name []byte) *stream.ClientTLS {
	server := s.servers[listener]
	if server == nil {
		return nil
	}
	all := &s.strangers
	all.mu.Lock()
	defer all.mu.Unlock()
	if c := all.recent[nameAt{listener, string(name)}]; c != nil { // without a copy of name
		return c
	}
	at := nameAt{listener, hostName(name)}
	c := all.recent[at]
	if c == nil {
		if c = all.before[at]; c == nil {
			c = stream.NewClientTLS(at.name, server.Roots, server.Certificates)
		}
		if len(all.recent) >= maxStrangers || all.recent == nil {
			all.before, all.recent = all.recent, make(map[nameAt]*stream.ClientTLS)
		}
		all.recent[at] = c
	}
	return c
}

// hostName is the host of a URI as certificates have it.
func hostName(host []byte) string {
	text := strings.ToLower(strings.Trim(string(host), "[]"))
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Unmap().String()
	}
	return text
}

// forget has everybody prove it anew.
func (s *strangers) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent, s.before = nil, nil
}
