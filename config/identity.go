package config

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"tandem/config/catalog"
)

// identities reads the names that a trunk proves by its certificate (RFC 5922);
// owners holds those of all trunks.
func (d *decoder) identities(n node, owners map[string]node) []string {
	items := d.list(n)
	if len(items) == 0 && n.kind() != missing && !d.failed[n.path] {
		d.fail(n, "is empty; write the names of the trunk's certificate, as in [sip.carrier.example], or remove it")
	}
	var names []string
	for _, item := range items {
		text := d.text(item, "")
		if d.failed[item.path] {
			continue
		}
		if err := checkIdentity(text); err != nil {
			d.fail(item, "%v", err)
			continue
		}
		name := identity(text)
		if first, ok := owners[name]; ok {
			d.fail(item, "%s is a trunk's already (line %d); a name belongs to one trunk", name, first.line())
			continue
		}
		owners[name] = item
		names = append(names, name)
	}
	return names
}

// identity is a name as certificates are looked at: in lower case, an address in
// its usual form.
func identity(text string) string {
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(text, "."))
}

var errWildcard = errors.New(`"*" stands for no name here (RFC 5922 7.2); write each name whole`)

// checkIdentity accepts what a certificate can be for: a host name or an IP
// address, and no pattern (RFC 5922 7.2).
func checkIdentity(text string) error {
	if strings.Contains(text, "*") {
		return errWildcard
	}
	return checkHost(text)
}

// checkIdentities finds trunks that nobody can be, as no listener asks for
// certificates.
func (d *decoder) checkIdentities(cfg *Config) {
	if d.failedUnder("listen") || cfg.asksForCertificates() {
		return
	}
	for i, t := range cfg.Trunks {
		if n := d.root.find(child(element("trunks", i), "tls")); len(t.TLS) > 0 {
			d.fail(n, "no listener asks for certificates; write clients: required, or optional, in the tls block of a tls:// listener")
		}
	}
}

func (cfg *Config) asksForCertificates() bool {
	return slices.ContainsFunc(cfg.Listen, func(l Listener) bool { return l.Transport == catalog.TLS && l.TLS.Clients != ClientsAny })
}
