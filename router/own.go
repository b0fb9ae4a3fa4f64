package router

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"tandem/config/catalog"
	"tandem/router/wire"
)

// alias is a host, or host and port, that is ours besides the listeners.
type alias struct {
	host []byte
	port uint16 // 0: any port that we listen on
}

func newAlias(s string) alias {
	host, port := splitHostPort(s)
	return alias{[]byte(host), port}
}

func newListener(l Listener) (listener, error) {
	own := listener{Listener: l}
	sentBy := l.Advertise
	if sentBy == "" {
		sentBy = l.Addr.String()
	}
	host, port := splitHostPort(sentBy)
	if host == "" {
		return own, fmt.Errorf("router: advertised address %q has no host", sentBy)
	}
	own.host, own.port = []byte(host), port
	if own.port == 0 {
		own.port = l.Addr.Port()
	}
	own.sentBy = fmt.Appendf(nil, "%s:%d", host, own.port)
	name := l.Transport.String()
	own.sent = fmt.Appendf(nil, "SIP/2.0/%s %s;branch=", strings.ToUpper(name), own.sentBy)
	own.route = fmt.Appendf(nil, "@%s", own.sentBy)
	own.route = append(own.route, l.Transport.Param()+";lr>\r\n"...)
	return own, nil
}

// splitHostPort takes "host", "host:port", "[v6]" or "[v6]:port" apart; the
// brackets stay. No port is 0.
func splitHostPort(s string) (host string, port uint16) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, 0
	}
	p, ok := parsePort([]byte(s[i+1:]))
	if !ok {
		return s, 0
	}
	return s[:i], p
}

// own finds the listener that a host and port, as written in a URI or Via,
// mean: of those that the same address has, the one of transport t if there is
// one. Port 0 is the default port.
func (r *Router) own(host []byte, port uint16, t catalog.Transport) (found int, ok bool) {
	p := port
	if p == 0 {
		p = t.Port()
	}
	for i := range r.listeners {
		l := &r.listeners[i]
		switch {
		case ok && l.Transport != t:
		case p == l.port && sameHost(host, l.host),
			p == l.Addr.Port() && (sameAddr(host, l.Addr.Addr()) || l.Addr.Addr().IsUnspecified() && r.onWildcard(host, l)):
			if found, ok = i, true; l.Transport == t {
				return found, true
			}
		}
	}
	if ok {
		return found, true
	}
	for _, a := range r.aliases {
		if !sameHost(host, a.host) {
			continue
		}
		for i := range r.listeners {
			l := &r.listeners[i]
			if a.port != p && (a.port != 0 || p != l.port && port != 0) || ok && l.Transport != t {
				continue
			}
			if found, ok = i, true; l.Transport == t {
				return found, true
			}
		}
	}
	return found, ok
}

// onWildcard reports whether host is an address of this machine that the
// wildcard listener l is reached by.
func (r *Router) onWildcard(host []byte, l *listener) bool {
	a, ok := parseAddr(host)
	return ok && a.Is4() == l.Addr.Addr().Is4() && (a.IsLoopback() || r.machine.has(a))
}

func (r *Router) ownURI(m *wire.Message, u *wire.URI) (int, bool) {
	if u.Scheme != wire.SIP && u.Scheme != wire.SIPS {
		return 0, false
	}
	t, _ := r.transportOf(m, u)
	return r.own(m.Bytes(u.Host), u.Port, t)
}

// transportOf is what a URI wants to be reached over (RFC 3261 19.1.1, 26.2.2):
// false when we do not have that.
func (r *Router) transportOf(m *wire.Message, u *wire.URI) (catalog.Transport, bool) {
	secure := u.Scheme == wire.SIPS
	name, ok := wire.Param(m.Data, u.Params, "transport")
	if !ok {
		if secure {
			return catalog.TLS, r.mixed
		}
		return catalog.UDP, true
	}
	t, ok := catalog.ParseTransport(m.Bytes(name))
	if secure && t == catalog.TCP {
		t = catalog.TLS // RFC 3261 26.2.2: sips and transport=tcp is TLS
	}
	return t, ok && (t != catalog.UDP || !secure) && (t == catalog.UDP || r.mixed)
}

func sameHost(a, b []byte) bool {
	if bytes.Equal(a, b) || bytes.EqualFold(a, b) { // nearly always the first
		return true
	}
	if len(a) == 0 || a[0] != '[' {
		return false
	}
	x, ok1 := parseAddr(a)
	y, ok2 := parseAddr(b)
	return ok1 && ok2 && x == y
}

func sameAddr(host []byte, addr netip.Addr) bool {
	x, ok := parseAddr(host)
	return ok && x == addr
}

// ownDest reports whether a message to dest would come back to us.
func (r *Router) ownDest(dest netip.AddrPort) bool {
	bare := dest.Addr().WithZone("")
	for i := range r.listeners {
		l := &r.listeners[i]
		if dest == l.Addr || dest.Port() == l.port && sameAddr(l.host, bare) {
			return true
		}
		if l.Addr.Addr().IsUnspecified() && dest.Port() == l.Addr.Port() &&
			(bare.IsLoopback() || r.machine.has(bare)) {
			return true
		}
	}
	return false
}

// zoned gives a link-local address of IPv6, which was written in a message and so
// has no zone, that of the link it is on: the listener's that it is reached from,
// else that of the host which has the address, else that of local, where a message
// of the dialog came to.
func (r *Router) zoned(s *scratch, dest netip.AddrPort, listener int, local netip.Addr) netip.AddrPort {
	a := dest.Addr()
	if !a.IsLinkLocalUnicast() || a.Zone() != "" {
		return dest
	}
	zone := r.listeners[listener].Addr.Addr().Zone()
	if zone == "" {
		zone = s.plan.known.zones[a]
	}
	if zone == "" {
		zone = local.Zone()
	}
	return netip.AddrPortFrom(a.WithZone(zone), dest.Port())
}
