package config

import (
	"fmt"
	"net/netip"
	"strings"

	"tandem/config/catalog"
)

var trunkKeys = keys{
	known: []string{"name", "sources", "tls", "strip", "prepend", "symmetric", "max_cps", "burst", "untrusted", "failover"},
	later: []string{"max_calls", "identities", "codecs", "auth"},
	elsewhere: map[string]string{
		"health":       "does not belong here: whether a host is up does not depend on who calls; write it at the top of the file, in a group or in a connector",
		"setup_budget": "belongs into this trunk's failover block; write failover: {setup_budget: ...}",
	},
}

const maxCPS = 1_000_000 // of one trunk

// trunks reads who may call in.
func (d *decoder) trunks(n node) []Trunk {
	var trunks []Trunk
	names := make(map[string]node)
	owners, proved := make(map[netip.Prefix]node), make(map[string]node)
	for _, item := range d.list(n) {
		f := d.fields(item, trunkKeys)
		t := Trunk{
			Name:      d.text(f["name"], ""),
			Strip:     d.stripped(f["strip"]),
			Prepend:   d.prepended(f["prepend"]),
			Symmetric: d.boolean(f["symmetric"], false),
			MaxCPS:    d.integer(f["max_cps"], 0, 1, maxCPS),
			Refused:   d.says(f["untrusted"]),
			Untrusted: Untrusted(d.choice(f["untrusted"], untrusted...)),
			Failover:  d.failover(f["failover"]),
		}
		t.Burst = d.integer(f["burst"], t.MaxCPS, 1, maxCPS)
		if item.kind() == mapping {
			d.checkTrunkName(item, f["name"], t.Name, names)
			if t.TLS = d.identities(f["tls"], proved); f["tls"].kind() == missing {
				t.Sources = d.sources(item, f["sources"], owners, t.Refused)
			} else if f["sources"].kind() != missing {
				// They only say where its certificate counts: others may have the same.
				t.Sources = d.sources(item, f["sources"], make(map[netip.Prefix]node), true)
			}
		}
		d.checkLimits(f, &t)
		trunks = append(trunks, t)
	}
	return trunks
}

// checkLimits checks that the keys of a trunk go together.
func (d *decoder) checkLimits(f map[string]node, t *Trunk) {
	if t.Refused {
		for _, key := range []string{"strip", "prepend", "max_cps", "burst", "failover"} {
			if n := f[key]; n.kind() != missing && !d.failed[n.path] {
				d.fail(n, "is for calls, and untrusted refuses them all; remove one of the two")
			}
		}
		return
	}
	if n := f["burst"]; f["max_cps"].kind() == missing && d.says(n) {
		d.fail(n, "is how many calls may come at once under max_cps, which is not set; set it, or remove this")
	}
}

func (d *decoder) checkTrunkName(trunk, n node, name string, names map[string]node) {
	path := child(trunk.path, "name")
	if n.kind() == missing {
		n = trunk.as(path)
	}
	first, twice := names[name]
	switch {
	case d.failed[path]:
	case name == "":
		d.fail(n, "is missing; write a name")
	case !catalog.ValidName(name):
		d.fail(n, "%s is not a name; use 1 to %d letters, digits, space and _ . -", quote(name), catalog.MaxName)
	case twice:
		d.fail(n, "%s is the name of another trunk (line %d); give each its own", quote(name), first.line())
	default:
		names[name] = n
	}
}

// sources reads the source prefixes of a trunk; owners holds those of all. All
// addresses there are get a warning, unless that is safe.
func (d *decoder) sources(trunk, n node, owners map[netip.Prefix]node, safe bool) []netip.Prefix {
	path := child(trunk.path, "sources")
	items := d.list(n)
	if len(items) == 0 && !d.failed[path] {
		d.failAt(trunk.line(), path, "a trunk needs at least one source; write the addresses that its calls come from, as in [198.51.100.0/24], or tls with the names of its certificate")
	}
	var sources []netip.Prefix
	for _, item := range items {
		text := d.text(item, "")
		if d.failed[item.path] {
			continue
		}
		p, err := parseSource(text)
		if err != nil {
			d.fail(item, "%v", err)
			continue
		}
		if p != p.Masked() {
			d.warnAt(item.line(), item.path, "%s is read as %s; write it so, or %s for the one address", text, p.Masked(), p.Addr())
			p = p.Masked()
		}
		if first, ok := owners[p]; ok {
			d.fail(item, "%s is a source already (line %d); a source belongs to one trunk", p, first.line())
			continue
		}
		owners[p] = item
		if p.Bits() == 0 && !safe {
			d.warnAt(item.line(), item.path, "%s is everyone: whoever reaches this node can place calls; list the carrier's addresses instead", p)
		}
		sources = append(sources, p)
	}
	return sources
}

// parseSource reads a prefix or a single address.
func parseSource(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not an address or prefix; write one as in 198.51.100.7 or 198.51.100.0/24", quote(text))
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

const maxAffix = 32 // characters of strip and prepend

// stripped reads the prefix that is removed from numbers.
func (d *decoder) stripped(n node) string { return d.affix(n, "+*#", "digits, letters, + * and #") }

// prepended reads what is put before numbers. It goes into a request-URI as it
// is, where "#" cannot stand (RFC 3261 25.1).
func (d *decoder) prepended(n node) string { return d.affix(n, "+*", "digits, letters, + and *") }

func (d *decoder) affix(n node, signs, allowed string) string {
	text := d.text(n, "")
	for _, r := range text {
		switch {
		case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', strings.ContainsRune(signs, r):
		default:
			d.fail(n, "%s holds %q; use %s", quote(text), r, allowed)
			return ""
		}
	}
	if len(text) > maxAffix {
		d.fail(n, "has %d characters; use at most %d", len(text), maxAffix)
		return ""
	}
	return text
}
