package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tandem/config/catalog"
)

const sipPort = 5060 // RFC 3261 19.1.2

// defaultListen is where a node listens whose file says nothing.
var defaultListen = netip.MustParseAddrPort("127.0.0.1:5060")

// parseListen reads "udp://address:port", tcp:// or tls://.
func parseListen(text string) (t catalog.Transport, addr netip.AddrPort, err error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return t, addr, fmt.Errorf("%s has no transport; write udp://address:port", quote(text))
	}
	if t, found = catalog.ParseTransport([]byte(scheme)); !found {
		switch strings.ToLower(scheme) {
		case "ws", "wss", "sctp":
			return t, addr, fmt.Errorf("%s:// is not supported; there is udp://, tcp:// and tls://", scheme)
		}
		return t, addr, fmt.Errorf("%s is not a transport; write udp://address:port, tcp:// or tls://", quote(scheme))
	}
	addr, err = parseListenAddr(rest, t)
	return t, addr, err
}

func parseListenAddr(text string, t catalog.Transport) (netip.AddrPort, error) {
	host, port, err := splitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s is not an IP address; write one of this machine, as in udp://%s", quote(host), defaultListen)
	}
	if ip.IsMulticast() {
		return netip.AddrPort{}, fmt.Errorf("%s is a multicast address; write one of this machine", ip)
	}
	if port == 0 {
		port = t.Port()
	}
	return netip.AddrPortFrom(ip.Unmap(), port), nil
}

// splitHostPort reads "host", "host:port", "[v6]" or "[v6]:port"; the port is 0
// when there is none.
func splitHostPort(s string) (host string, port uint16, err error) {
	host, digits := s, ""
	switch {
	case s == "":
		return "", 0, fmt.Errorf("has no address; write one, as in %s", defaultListen)
	case strings.HasPrefix(s, "["):
		inside, after, closed := strings.Cut(s[1:], "]")
		if !closed {
			return "", 0, fmt.Errorf(`%s has no closing "]"`, quote(s))
		}
		if ip, err := netip.ParseAddr(inside); err != nil || !ip.Is6() {
			return "", 0, fmt.Errorf("%s is not an IPv6 address", quote(inside))
		}
		host = inside
		if after == "" {
			return host, 0, nil
		}
		if digits = strings.TrimPrefix(after, ":"); digits == after {
			return "", 0, fmt.Errorf("%s is not an address and port; write [%s]:%d", quote(s), inside, sipPort)
		}
	case strings.Count(s, ":") > 1:
		return "", 0, fmt.Errorf("%s is not an address and port; write an IPv6 address in brackets, as in [2001:db8::1]:%d", quote(s), sipPort)
	default:
		var found bool
		if host, digits, found = strings.Cut(s, ":"); !found {
			digits = ""
			break
		}
		if digits == "" {
			return "", 0, fmt.Errorf(`%s ends in ":"; write a port after it, or remove it`, quote(s))
		}
	}
	if host == "" {
		return "", 0, fmt.Errorf("%s has no address; write one before the port", quote(s))
	}
	if digits == "" {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%s is not a port; write 1 to 65535", quote(digits))
	}
	return host, uint16(n), nil
}

// publicAddr is one element of advertise: an address or a name that peers reach
// us by, with the listener's port unless it has one.
type publicAddr struct {
	node node
	ip   netip.Addr // not valid for a name
	host string
	port uint16
}

func (d *decoder) publicAddrs(n node) []publicAddr {
	var public []publicAddr
	for _, item := range d.list(n) {
		text := d.text(item, "")
		if d.failed[item.path] {
			continue
		}
		p, err := parsePublic(item, text)
		if err != nil {
			d.fail(item, "%v", err)
			continue
		}
		if i := slices.IndexFunc(public, func(q publicAddr) bool { return p.family() == q.family() }); i >= 0 {
			d.fail(item, "%s is advertised already (line %d); write at most one IPv4 address, one IPv6 address and one name",
				public[i].host, public[i].node.line())
			continue
		}
		public = append(public, p)
	}
	return public
}

// parsePublic reads an address or name that peers reach us by.
func parsePublic(n node, text string) (publicAddr, error) {
	host, port, err := splitHostPort(text)
	if err == nil {
		err = checkHost(host)
	}
	if err != nil {
		return publicAddr{}, err
	}
	p := publicAddr{node: n, host: host, port: port}
	if ip, err := netip.ParseAddr(host); err == nil {
		p.ip = ip.Unmap()
		if p.ip.IsUnspecified() || p.ip.IsMulticast() {
			return publicAddr{}, fmt.Errorf("peers cannot reach %s; write the address that they see", p.ip)
		}
	}
	return p, nil
}

// of returns what Via and Record-Route of a listener say.
func (p publicAddr) of(l *Listener) string {
	port := p.port
	if port == 0 {
		port = l.Addr.Port()
	}
	return net.JoinHostPort(p.host, strconv.Itoa(int(port)))
}

// suits reports whether p is a name, or an address of the listener's family.
func (p publicAddr) suits(l *Listener) bool {
	return !p.ip.IsValid() || p.ip.Is4() == l.Addr.Addr().Is4()
}

// family is 4 or 6 for an address, 0 for a name.
func (p publicAddr) family() int {
	switch {
	case !p.ip.IsValid():
		return 0
	case p.ip.Is4():
		return 4
	}
	return 6
}

// ownAddrs lists this machine's addresses of a family: those that others can
// reach, and those that they cannot.
func (d *decoder) ownAddrs(is4 bool) (far, near []string) {
	for _, a := range d.addrs() {
		switch {
		case a.Is4() != is4:
		case a.IsLoopback(), a.IsLinkLocalUnicast():
			near = append(near, a.String())
		default:
			far = append(far, a.String())
		}
	}
	return far, near
}

// tellAddrs lists this machine's addresses of a family for a message: those
// that others can reach if there are any.
func (d *decoder) tellAddrs(is4 bool) string {
	far, near := d.ownAddrs(is4)
	if len(far) == 0 {
		far = near
	}
	if len(far) == 0 {
		return "this machine has none of this family"
	}
	return "this machine has " + strings.Join(far, ", ")
}

// checkHost accepts an IP address or a host name.
func checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return fmt.Errorf("%s has a zone, which means nothing to peers; remove it", quote(host))
		}
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%s is neither an IP address nor a host name", quote(host))
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" { // RFC 3261 25.1: toplabel
		return fmt.Errorf("%s is neither an IP address nor a host name", quote(host))
	}
	return nil
}

// aliases reads other names and addresses of the node.
func (d *decoder) aliases(n node) []string {
	var aliases []string
	for _, item := range d.list(n) {
		text := d.text(item, "")
		if d.failed[item.path] {
			continue
		}
		host, _, err := splitHostPort(text)
		if err == nil {
			err = checkHost(host)
		}
		if err != nil {
			d.fail(item, "%v", err)
			continue
		}
		aliases = append(aliases, text)
	}
	return aliases
}
