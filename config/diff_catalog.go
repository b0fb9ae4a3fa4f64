package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tandem/config/catalog"
)

func (d *differ) connectors(was, is []catalog.Connector) {
	match(was, is, func(c *catalog.Connector) string { return c.Name }, func(a, b *catalog.Connector) {
		if b == nil {
			d.say(connectorOwner(a), "", "removed")
			return
		}
		o := connectorOwner(b)
		if a == nil {
			text := "hosts " + listed(b.Hosts, func(h catalog.Host) string { return h.URI })
			if b.Region != "" {
				text = "region " + b.Region + ", " + text
			}
			if b.HasNumbers() {
				text += ", numbers " + allNumbers(b.Numbers, b.FileNumbers)
			}
			d.say(o, "", "added (%s)", text)
			a = plain(b) // what else it says follows
		}
		d.value(o, "region", orNone(a.Region), orNone(b.Region))
		d.hosts(o, a.Hosts, b.Hosts)
		d.numbers(o, catalog.Side{List: a.Numbers, Files: a.FileNumbers}, catalog.Side{List: b.Numbers, Files: b.FileNumbers})
		d.value(o, "request_uri", requestURIs[a.RequestURI], requestURIs[b.RequestURI])
		d.value(o, "number", numberForms[a.Number], numberForms[b.Number])
		d.value(o, "strip", quoted(a.Strip), quoted(b.Strip))
		d.value(o, "prepend", quoted(a.Prepend), quoted(b.Prepend))
		d.value(o, "listener", orNone(a.Listener), orNone(b.Listener))
		d.value(o, "tls.name", orNone(a.TLS.Name), orNone(b.TLS.Name))
		d.value(o, "tls.ca", orNone(a.TLS.CA), orNone(b.TLS.CA))
		d.value(o, "tls.certificate", orNone(a.TLS.Certificate), orNone(b.TLS.Certificate))
		d.value(o, "tls.key", orNone(a.TLS.Key), orNone(b.TLS.Key))
		d.large(o, a.Large, b.Large)
		d.value(o, "max_calls", count(a.Limits.MaxCalls), count(b.Limits.MaxCalls))
		d.value(o, "max_cps", count(a.Limits.MaxCPS), count(b.Limits.MaxCPS))
		d.failover(o, &a.Failover, &b.Failover)
		d.health(o, &a.Health, &b.Health)
		for _, key := range catalog.ProbeKeys {
			d.value(o, "probe."+key, orNotSet(a.Probe.Text(key)), orNotSet(b.Probe.Text(key)))
		}
		d.value(o, "state", a.State.String(), b.State.String())
	})
}

func connectorOwner(c *catalog.Connector) owner { return owner{"connectors", "connector", c.Name} }

// hosts compares the hosts of a connector by their addresses or names, and
// transports.
func (d *differ) hosts(o owner, was, is []catalog.Host) {
	match(was, is, func(h *catalog.Host) string { return strings.ToLower(h.Place()) + h.Transport.Param() }, func(a, b *catalog.Host) {
		switch {
		case b == nil:
			d.say(o, "hosts", "host %s removed", a.URI)
			return
		case a == nil:
			d.say(o, "hosts", "host %s added (priority %d, weight %d)", b.URI, b.Priority, b.Weight)
			return
		}
		if a.URI != b.URI || a.Name != b.Name || a.Port != b.Port || a.HostPort != b.HostPort || a.Params != b.Params {
			d.say(o, "hosts", "host %s -> %s", a.URI, b.URI)
		}
		if a.Priority != b.Priority {
			d.say(o, "hosts", "host %s priority %d -> %d", b.URI, a.Priority, b.Priority)
		}
		if a.Weight != b.Weight {
			d.say(o, "hosts", "host %s weight %d -> %d", b.URI, a.Weight, b.Weight)
		}
		if a.Limits.MaxCalls != b.Limits.MaxCalls {
			d.say(o, "hosts", "host %s max_calls %s -> %s", b.URI, count(a.Limits.MaxCalls), count(b.Limits.MaxCalls))
		}
		if a.Limits.MaxCPS != b.Limits.MaxCPS {
			d.say(o, "hosts", "host %s max_cps %s -> %s", b.URI, count(a.Limits.MaxCPS), count(b.Limits.MaxCPS))
		}
		if a.State != b.State {
			d.say(o, "hosts", "host %s state %s -> %s", b.URI, a.State, b.State)
		}
	})
}

// plain is a connector with the hosts and numbers of c and defaults else.
func plain(c *catalog.Connector) *catalog.Connector {
	p := &catalog.Connector{Name: c.Name, Region: c.Region, Numbers: c.Numbers, FileNumbers: c.FileNumbers}
	for _, h := range c.Hosts {
		h.Priority, h.Weight, h.State, h.Limits = 1, 1, catalog.Enabled, catalog.Limits{}
		p.Hosts = append(p.Hosts, h)
	}
	return p
}

func (d *differ) groups(was, is []catalog.Group) {
	match(was, is, func(g *catalog.Group) string { return g.Name }, func(a, b *catalog.Group) {
		if b == nil {
			d.say(groupOwner(a), "", "removed")
			return
		}
		o := groupOwner(b)
		if a == nil {
			d.say(o, "", "added (connectors %s, numbers %s)", listed(b.Connectors, func(m catalog.Member) string {
				return fmt.Sprintf("%s priority %d", m.Connector, m.Priority)
			}), allNumbers(b.Numbers, b.FileNumbers))
			a = &catalog.Group{Name: b.Name, Connectors: b.Connectors, Numbers: b.Numbers, FileNumbers: b.FileNumbers} // what else it says follows
		}
		d.members(o, a.Connectors, b.Connectors)
		d.numbers(o, catalog.Side{List: a.Numbers, Files: a.FileNumbers}, catalog.Side{List: b.Numbers, Files: b.FileNumbers})
		d.failover(o, &a.Failover, &b.Failover)
		d.health(o, &a.Health, &b.Health)
	})
}

func groupOwner(g *catalog.Group) owner { return owner{"groups", "group", g.Name} }

// members compares the connectors of a group.
func (d *differ) members(o owner, was, is []catalog.Member) {
	match(was, is, func(m *catalog.Member) string { return m.Connector }, func(a, b *catalog.Member) {
		switch {
		case b == nil:
			d.say(o, "connectors", "connector %s removed", a.Connector)
		case a == nil:
			d.say(o, "connectors", "connector %s added (priority %d)", b.Connector, b.Priority)
		case a.Priority != b.Priority:
			d.say(o, "connectors", "connector %s priority %d -> %d", b.Connector, a.Priority, b.Priority)
		}
	})
}

// numbers compares the numbers of an owner, of which there may be millions. It
// does not matter whether they are listed or come from a file.
func (d *differ) numbers(o owner, was, is catalog.Side) {
	gone, come := catalog.Apart(was, is, mostListed)
	d.entries(o, "numbers", "number", part(gone), gone.Count, "removed")
	d.entries(o, "numbers", "number", part(come), come.Count, "added")
}

// allNumbers writes the first numbers of an owner.
func allNumbers(list []catalog.Numbers, files *catalog.NumberSet) string {
	_, all := catalog.Apart(catalog.Side{}, catalog.Side{List: list, Files: files}, mostListed)
	return part(all)
}

func part(p catalog.Part) string {
	text := joined(p.First, catalog.Entry.String)
	if more := p.Count - len(p.First); more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	return text
}

// entries says that some entries of a list came or went; one is their word.
func (d *differ) entries(o owner, key, one, list string, n int, what string) {
	switch n {
	case 0:
	case 1:
		d.say(o, key, "%s %s %s", one, list, what)
	default:
		d.say(o, key, "%ss %s: %s", one, what, list)
	}
}

// match calls f for each element by its key: with no new one for what goes, in
// the old order, then in the new order with no old one for what comes.
func match[T any, K comparable](was, is []T, key func(*T) K, f func(a, b *T)) {
	old, new := make(map[K]*T, len(was)), make(map[K]*T, len(is))
	for i := range was {
		old[key(&was[i])] = &was[i]
	}
	for i := range is {
		new[key(&is[i])] = &is[i]
	}
	for i := range was {
		if new[key(&was[i])] == nil {
			f(&was[i], nil)
		}
	}
	for i := range is {
		f(old[key(&is[i])], &is[i])
	}
}

// apart returns what is in one of two lists alone, sorted.
func apart[T any](was, is []T, compare func(a, b T) int) (gone, come []T) {
	was, is = slices.Clone(was), slices.Clone(is)
	slices.SortFunc(was, compare)
	slices.SortFunc(is, compare)
	for len(was) > 0 && len(is) > 0 {
		switch c := compare(was[0], is[0]); {
		case c < 0:
			gone, was = append(gone, was[0]), was[1:]
		case c > 0:
			come, is = append(come, is[0]), is[1:]
		default:
			was, is = was[1:], is[1:]
		}
	}
	return append(gone, was...), append(come, is...)
}

const notSet = "not set"

// mostListed is how many elements of a list are named.
const mostListed = 5

// listed writes the first elements of a list.
func listed[T any](list []T, text func(T) string) string {
	if more := len(list) - mostListed; more > 0 {
		return joined(list[:mostListed], text) + " and " + strconv.Itoa(more) + " more"
	}
	return joined(list, text)
}

func joined[T any](list []T, text func(T) string) string {
	if len(list) == 0 {
		return "none"
	}
	parts := make([]string, len(list))
	for i := range list {
		parts[i] = text(list[i])
	}
	return strings.Join(parts, ", ")
}

func words(list []string) string { return joined(list, asWritten) }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func orNotSet(s string) string {
	if s == "" {
		return notSet
	}
	return s
}

func quoted(s string) string {
	if s == "" {
		return "none"
	}
	return strconv.Quote(s)
}

func count(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}
