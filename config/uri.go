package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"

	"tandem/config/catalog"
)

// hostURI reads the URI of a connector's host.
func (d *decoder) hostURI(n node, h *catalog.Host) {
	text := d.text(n, "")
	if d.failed[n.path] {
		return
	}
	if err := parseHostURI(text, h); err != nil {
		d.fail(n, "%v", err)
	}
}

// parseHostURI fills in what a host's URI says: sip: or sips:, an IP address or a name, a transport.
func parseHostURI(text string, h *catalog.Host) error {
	scheme, rest, found := strings.Cut(text, ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips":
	default:
		if _, err := netip.ParseAddrPort(text); err == nil || !found {
			return fmt.Errorf("%s is not a SIP URI; write sip:%s", quote(text), printable(text))
		}
		return fmt.Errorf("%s is not a SIP URI; write one as in sip:10.0.1.10:%d", quote(text), sipPort)
	}
	if i := strings.IndexFunc(rest, notInURI); i >= 0 {
		return fmt.Errorf("%s holds %q, which cannot stand in a URI", quote(text), []rune(rest[i:])[0])
	}
	switch {
	case strings.HasPrefix(rest, "//"):
		return fmt.Errorf(`%s has "//"; write sip:%s`, quote(text), strings.TrimLeft(rest, "/"))
	case strings.Contains(rest, "@"):
		return errors.New("a host has no user part: that of the call is kept; remove everything up to the @")
	case strings.Contains(rest, "?"):
		return errors.New(`a host has no headers; remove everything from the "?"`)
	}
	hostport, params := rest, ""
	if i := strings.IndexByte(rest, ';'); i >= 0 {
		hostport, params = rest[:i], rest[i:]
	}
	first, _, _, err := parseHostAddr(hostport, catalog.UDP)
	if err != nil {
		return err // it says more than what follows
	}
	var uri sip.Uri
	if err := sip.ParseUri(withoutZone(text, first), &uri); err != nil {
		return fmt.Errorf("%s is not a SIP URI (%w); write one as in sip:10.0.1.10:%d", quote(text), err, sipPort)
	}
	transport, err := hostTransport(uri.UriParams, len(scheme) == len("sips"))
	if err != nil {
		return err
	}
	addr, name, port, err := parseHostAddr(hostport, transport)
	if err != nil {
		return err
	}
	if strings.Contains(params+";", ";;") || strings.Contains(params, ";=") {
		return fmt.Errorf(`%s has an empty parameter; remove a ";"`, quote(text))
	}
	h.Transport = transport
	h.URI, h.HostPort, h.Params = text, withoutZone(hostport, addr), params
	h.Addr, h.Name, h.Port = addr, name, port
	return nil
}

// parseHostAddr reads a host's address and port; of a name it returns the name, in
// lower case, and the port, 0 for none.
func parseHostAddr(hostport string, t catalog.Transport) (addr netip.AddrPort, name string, port uint16, err error) {
	host, port, err := splitHostPort(hostport)
	if err != nil {
		return addr, "", 0, err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if err := checkHost(host); err != nil {
			return addr, "", 0, err
		}
		if len(host) > maxHostName {
			return addr, "", 0, fmt.Errorf("%s has %d characters; a name has at most %d", quote(host), len(host), maxHostName)
		}
		return addr, strings.ToLower(host), port, nil
	}
	switch {
	case ip.Zone() != "" && !ip.IsLinkLocalUnicast():
		return addr, "", 0, fmt.Errorf("%s has a zone, which link-local addresses alone have (fe80::/10); remove it", quote(host))
	case ip.Zone() == "" && ip.Is6() && ip.IsLinkLocalUnicast():
		return addr, "", 0, fmt.Errorf("%s is on a link, and does not say on which; write the interface too, as in [%s%%eth0]", ip, ip)
	case ip.IsUnspecified(), ip.IsMulticast():
		return addr, "", 0, fmt.Errorf("no call can be sent to %s; write the host's own address", ip)
	}
	if port == 0 {
		port = t.Port()
	}
	return netip.AddrPortFrom(ip.Unmap(), port), "", 0, nil
}

// withoutZone is a URI, or a part of one, as others may see it: which interface of
// this machine a link is at says nothing to them, and no SIP URI has room for it
// (RFC 3261 25.1).
func withoutZone(text string, addr netip.AddrPort) string {
	if zone := addr.Addr().Zone(); zone != "" {
		return strings.Replace(text, "%"+zone+"]", "]", 1)
	}
	return text
}

// maxHostName leaves room for the labels of SRV records before a name (RFC 1035
// 2.3.4: 253 in all).
const maxHostName = 253 - len("_sips._tcp.")

// partyURI reads a SIP URI that a request of our own says. Nothing is sent to it.
func (d *decoder) partyURI(n node) string {
	text := d.text(n, "")
	if text == "" || d.failed[n.path] {
		return ""
	}
	if err := checkPartyURI(text); err != nil {
		d.fail(n, "%v", err)
		return ""
	}
	return text
}

// checkPartyURI accepts sip:, a user part or none, an address or a name.
func checkPartyURI(text string) error {
	scheme, rest, _ := strings.Cut(text, ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips":
	default:
		return fmt.Errorf("%s is not a SIP URI; write one as in sip:ping@example.com", quote(text))
	}
	if i := strings.IndexFunc(rest, notInURI); i >= 0 {
		return fmt.Errorf("%s holds %q, which cannot stand in a URI", quote(text), []rune(rest[i:])[0])
	}
	if strings.Contains(rest, "?") {
		return errors.New(`the URI has headers, which a request cannot have there (RFC 3261 19.1.1); remove everything from the "?"`)
	}
	host := rest
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if at == 0 || strings.IndexByte(rest, '@') < at {
			return fmt.Errorf("%s is not a SIP URI; write one user part before one @, or neither", quote(text))
		}
		host = rest[at+1:]
	}
	params := ""
	if i := strings.IndexByte(host, ';'); i >= 0 {
		host, params = host[:i], host[i:]
	}
	name, _, err := splitHostPort(host)
	if err == nil {
		err = checkHost(name)
	}
	if err != nil {
		return err
	}
	var uri sip.Uri
	if err := sip.ParseUri(text, &uri); err != nil {
		return fmt.Errorf("%s is not a SIP URI (%w); write one as in sip:ping@example.com", quote(text), err)
	}
	if err := checkURIParams(uri.UriParams); err != nil {
		return err
	}
	if strings.Contains(params+";", ";;") || strings.Contains(params, ";=") {
		return fmt.Errorf(`%s has an empty parameter; remove a ";"`, quote(text))
	}
	return nil
}

// hostTransport is what a host's URI wants to be reached over (RFC 3261 19.1.1).
func hostTransport(params sip.HeaderParams, secure bool) (t catalog.Transport, err error) {
	said := false
	for _, p := range params {
		switch strings.ToLower(p.K) {
		case "transport":
			if t, said = catalog.ParseTransport([]byte(p.V)); !said {
				return t, fmt.Errorf("%s is not a transport; write transport=udp, tcp or tls", quote(p.V))
			}
		case "maddr":
			return t, errors.New("maddr is not supported; write the address that calls go to as the host")
		}
	}
	switch {
	case secure && said && t == catalog.UDP:
		return t, errors.New("sips: is never reached over UDP; remove transport=udp, or write sip: in its place")
	case secure:
		return catalog.TLS, nil
	}
	return t, nil
}

// checkURIParams accepts parameters that do not change where calls go, or how.
func checkURIParams(params sip.HeaderParams) error {
	_, err := hostTransport(params, false)
	return err
}

// notInURI reports whether r cannot stand in a host's URI: RFC 3261 25.1,
// without the quotes that some parsers let pass.
func notInURI(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|},#", r)
}
