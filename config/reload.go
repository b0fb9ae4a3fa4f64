package config

import (
	"fmt"
	"slices"
)

// UntilRestart returns what a node that runs old takes of new by a reload: all
// but what needs a restart, which stays as it is in old. The error is Errors:
// what of new cannot run with what stays, so that the node takes nothing of it.
func UntilRestart(old, new *Config) (*Config, error) {
	next := *new
	next.Listen, next.Aliases, next.Admin, next.Metrics = old.Listen, old.Aliases, old.Admin, old.Metrics
	next.AdminKeys, next.Store = old.AdminKeys, old.Store
	next.DNS, next.Streams = old.DNS, old.Streams
	next.StateDir, next.Secrets, next.RecordRoute = old.StateDir, old.Secrets, old.RecordRoute
	next.Workers, next.Segmentation = old.Workers, old.Segmentation
	next.RecentCalls, next.Reload = old.RecentCalls, old.Reload
	if movesHouse(old, new) {
		next.Catalog, next.Quotas = old.Catalog, old.Quotas
	}

	var errs Errors
	fail := func(field, format string, args ...any) {
		errs = append(errs, Error{File: new.File, Field: field, Text: fmt.Sprintf(format, args...)})
	}
	for _, h := range next.loops(machineAddrs()) {
		fail(h.path(), "%s is this node itself until it listens elsewhere, which needs a restart: restart it to take this file", h.Place())
	}
	for _, clash := range next.Clashes(&next.Catalog) {
		fail((placed{connector: clash.Connector, host: clash.Host}).path(), "%s (until a restart brings the listeners of this file)", clash.text(&next.Catalog, ""))
	}
	for i, c := range next.Catalog.Connectors {
		for j, h := range c.Hosts {
			suits := func(name string) bool {
				return slices.ContainsFunc(next.Listen, func(l Listener) bool {
					if !h.Addr.IsValid() { // a name: DNS says the rest
						return (name == "" || l.Name == name) && (l.Transport == h.Transport || !fixesTransport(&h))
					}
					if name != "" {
						return l.Name == name && l.Transport == h.Transport && l.reaches(h.Addr.Addr())
					}
					return l.Transport == h.Transport && l.Addr.Addr().Is4() == h.Addr.Addr().Is4()
				})
			}
			if !suits(c.Listener) || !suits(c.Probe.Listener) {
				fail((placed{h, i, j}).path(), "the listener that reaches %s comes with a restart only: restart the node to take this file", h.Place())
			}
		}
	}
	for i, t := range next.Trunks {
		if len(t.TLS) > 0 && !next.asksForCertificates() {
			fail(child(element("trunks", i), "tls"), "the listener that asks for certificates comes with a restart only: restart the node to take this file")
		}
	}
	for _, l := range next.unreachedLarge() {
		fail(l.path, "the tcp:// listener%s that %s needs comes with a restart only: restart the node to take this file", l.at, l.host)
	}
	if len(errs) > 0 {
		return nil, slices.Clip(errs)
	}
	return &next, nil
}

// movesHouse reports whether connectors and groups go from the file to a store or
// back. The file that says so has none for the node that still runs by it.
func movesHouse(old, new *Config) bool { return (old.Store == Store{}) != (new.Store == Store{}) }
