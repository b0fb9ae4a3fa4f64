package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tandem/config/catalog"
)

// Change is one thing that would change if a node took another config.
type Change struct {
	Field   string // "failover.first_response", "groups[support].numbers"
	Text    string // one line for people: what it was and what it becomes
	Restart bool   // it takes effect at the next start only
}

// Diff returns what would change if a node that runs old took new, in the order
// of the fields of Config, of the names in old for what goes and of those in
// new for the rest. The order of trunks, connectors, groups, hosts and numbers
// means nothing and is not compared. Secrets are never shown. It takes
// O(n log n) for n numbers.
func Diff(old, new *Config) []Change {
	var d differ
	d.node(old, new)
	d.trunks(old.Trunks, new.Trunks)
	d.waiting = movesHouse(old, new)
	d.connectors(old.Catalog.Connectors, new.Catalog.Connectors)
	d.groups(old.Catalog.Groups, new.Catalog.Groups)
	d.waiting = false
	d.large(owner{}, old.Large, new.Large)
	for _, f := range catalog.FailoverFields {
		d.global("failover."+f.Key(), old.Failover.Text(f), new.Failover.Text(f), old.FailoverSet&f != 0, new.FailoverSet&f != 0)
	}
	for _, f := range catalog.HealthFields {
		d.global("health."+f.Key(), old.Health.Text(f), new.Health.Text(f), old.HealthSet&f != 0, new.HealthSet&f != 0)
	}
	d.waiting = movesHouse(old, new)
	d.value(owner{}, "quotas.groups", count(old.Quotas.Groups), count(new.Quotas.Groups))
	d.value(owner{}, "quotas.connectors_per_group", count(old.Quotas.ConnectorsPerGroup), count(new.Quotas.ConnectorsPerGroup))
	return d.changes
}

// differ gathers changes.
type differ struct {
	changes []Change
	waiting bool // what is said now takes effect at the next start only
}

// owner is whose values are compared; the zero owner is the node.
type owner struct{ list, kind, name string }

func (o owner) field(key string) string {
	switch {
	case o.kind == "":
		return key
	case key == "":
		return o.list + "[" + o.name + "]"
	}
	return o.list + "[" + o.name + "]." + key
}

// say adds a change of a key, or of the owner as a whole.
func (d *differ) say(o owner, key, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	switch {
	case o.kind == "":
	case key == "":
		text = o.kind + " " + o.name + " " + text
	default:
		text = o.kind + " " + o.name + ": " + text
	}
	if d.waiting {
		text = "restart_needed: " + text
	}
	d.changes = append(d.changes, Change{Field: o.field(key), Text: oneLine(text), Restart: d.waiting})
}

// value compares two values as they are written.
func (d *differ) value(o owner, key, was, is string) {
	if was != is {
		d.say(o, key, "%s %s -> %s", key, was, is)
	}
}

// restart compares two values that are taken at a start only.
func (d *differ) restart(key, was, is string) {
	if was != is {
		d.changes = append(d.changes, Change{
			Field: key, Restart: true,
			Text: oneLine(fmt.Sprintf("restart_needed: %s %s -> %s", key, was, is)),
		})
	}
}

// global compares two values and whether they are written or defaults.
func (d *differ) global(key, was, is string, wasSet, isSet bool) {
	if was == is && wasSet != isSet {
		if wasSet {
			is += " by default"
		} else {
			was += " by default"
		}
	}
	d.value(owner{}, key, was, is)
}

// node compares what belongs to the node itself.
func (d *differ) node(old, new *Config) {
	d.restart("listen", joined(old.Listen, Listener.text), joined(new.Listen, Listener.text))
	d.restart("aliases", words(old.Aliases), words(new.Aliases))
	d.restart("admin", old.Admin, new.Admin)
	if !slices.Equal(old.AdminKeys, new.AdminKeys) {
		d.changes = append(d.changes, Change{Field: "admin.keys", Restart: true, Text: fmt.Sprintf("restart_needed: admin.keys are others (%s -> %s)",
			count(len(old.AdminKeys)), count(len(new.AdminKeys)))})
	}
	d.restart("metrics", orNone(old.Metrics), orNone(new.Metrics))
	d.restart("state_dir", orNone(old.StateDir), orNone(new.StateDir))
	d.restart("store.path", orNone(old.Store.Path), orNone(new.Store.Path))
	if !slices.EqualFunc(old.Secrets, new.Secrets, bytes.Equal) {
		d.changes = append(d.changes, Change{Field: "secrets", Restart: true, Text: fmt.Sprintf("restart_needed: secrets are others (%s -> %s)",
			count(len(old.Secrets)), count(len(new.Secrets)))})
	}
	d.restart("dns", old.DNS.text(), new.DNS.text())
	d.streams(&old.Streams, &new.Streams)
	d.restart("record_route", strconv.FormatBool(old.RecordRoute), strconv.FormatBool(new.RecordRoute))
	d.value(owner{}, "drain_timeout", catalog.Duration(old.DrainTimeout), catalog.Duration(new.DrainTimeout))
	d.value(owner{}, "untrusted", old.Untrusted.String(), new.Untrusted.String())
	d.value(owner{}, "trying_after", catalog.Duration(old.TryingAfter), catalog.Duration(new.TryingAfter))
	d.restart("workers", strconv.Itoa(old.Workers), strconv.Itoa(new.Workers))
	d.restart("segmentation", strconv.FormatBool(old.Segmentation), strconv.FormatBool(new.Segmentation))
	d.restart("recent_calls", strconv.Itoa(old.RecentCalls), strconv.Itoa(new.RecentCalls))
	d.restart("reload.watch", strconv.FormatBool(old.Reload.Watch), strconv.FormatBool(new.Reload.Watch))
}

func (l Listener) text() string {
	text := l.Transport.String() + "://" + l.Addr.String()
	var more []string
	if l.Advertise != l.Addr.String() {
		more = append(more, "advertise "+l.Advertise)
	}
	if l.Name != "" {
		more = append(more, "name "+l.Name)
	}
	if t := l.TLS; t != (ListenerTLS{}) {
		more = append(more, "certificate "+t.Certificate, "key "+t.Key, "clients "+t.Clients.String())
		if t.ClientCA != "" {
			more = append(more, "client_ca "+t.ClientCA)
		}
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return text
}

func (d *differ) trunks(was, is []Trunk) {
	match(was, is, func(t *Trunk) string { return t.Name }, func(a, b *Trunk) {
		if b == nil {
			d.say(trunkOwner(a), "", "removed")
			return
		}
		o := trunkOwner(b)
		if a == nil {
			d.say(o, "", "added (%s)", b.who())
			a = &Trunk{Name: b.Name, Sources: b.Sources, TLS: b.TLS} // what else it says follows
		}
		gone, come := apart(a.Sources, b.Sources, netip.Prefix.Compare)
		d.entries(o, "sources", "source", listed(gone, netip.Prefix.String), len(gone), "removed")
		d.entries(o, "sources", "source", listed(come, netip.Prefix.String), len(come), "added")
		goneNames, comeNames := apart(a.TLS, b.TLS, strings.Compare)
		d.entries(o, "tls", "name", listed(goneNames, asWritten), len(goneNames), "removed")
		d.entries(o, "tls", "name", listed(comeNames, asWritten), len(comeNames), "added")
		d.value(o, "strip", quoted(a.Strip), quoted(b.Strip))
		d.value(o, "prepend", quoted(a.Prepend), quoted(b.Prepend))
		d.value(o, "symmetric", strconv.FormatBool(a.Symmetric), strconv.FormatBool(b.Symmetric))
		d.value(o, "max_cps", count(a.MaxCPS), count(b.MaxCPS))
		if a.Burst != a.MaxCPS || b.Burst != b.MaxCPS { // else both are the default
			d.value(o, "burst", count(a.Burst), count(b.Burst))
		}
		d.value(o, "untrusted", a.refusal(), b.refusal())
		d.failover(o, &a.Failover, &b.Failover)
	})
}

func trunkOwner(t *Trunk) owner { return owner{"trunks", "trunk", t.Name} }

func asWritten(s string) string { return s }

// who says whose calls are a trunk's.
func (t *Trunk) who() string {
	switch {
	case len(t.TLS) == 0:
		return "sources " + listed(t.Sources, netip.Prefix.String)
	case len(t.Sources) == 0:
		return "tls " + listed(t.TLS, asWritten)
	}
	return "tls " + listed(t.TLS, asWritten) + ", sources " + listed(t.Sources, netip.Prefix.String)
}

// refusal is what a trunk's untrusted says.
func (t *Trunk) refusal() string {
	if !t.Refused {
		return "none"
	}
	return t.Untrusted.String()
}

// failover compares what a level says of failover.
func (d *differ) failover(o owner, a, b *catalog.FailoverPart) {
	for _, f := range catalog.FailoverFields {
		was, is := notSet, notSet
		if a.Set&f != 0 {
			was = a.Values.Text(f)
		}
		if b.Set&f != 0 {
			is = b.Values.Text(f)
		}
		d.value(o, "failover."+f.Key(), was, is)
	}
}

// health compares what a level says of health.
func (d *differ) health(o owner, a, b *catalog.HealthPart) {
	for _, f := range catalog.HealthFields {
		was, is := notSet, notSet
		if a.Set&f != 0 {
			was = a.Values.Text(f)
		}
		if b.Set&f != 0 {
			is = b.Values.Text(f)
		}
		d.value(o, "health."+f.Key(), was, is)
	}
}
