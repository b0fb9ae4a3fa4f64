package catalog

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// SubjectKind is a kind of what orders are about.
type SubjectKind uint8

// Kinds of subjects.
const (
	RegionKind SubjectKind = iota + 1
	ConnectorKind
	HostKind
)

func (k SubjectKind) String() string {
	switch k {
	case RegionKind:
		return "region"
	case ConnectorKind:
		return "connector"
	case HostKind:
		return "host"
	}
	return "nothing"
}

// Subject is what an order is about.
type Subject struct {
	Kind SubjectKind
	// Name of a region or a connector; a host's address and port, with the
	// transport when that is not UDP, or its name and the port that its URI has.
	Name string
}

// HostSubject is the host at an address, reached over t, in whichever connectors it
// stands: "10.0.1.10:5060", "10.0.1.10:5060;transport=tcp".
func HostSubject(a netip.AddrPort, t Transport) Subject {
	return Subject{HostKind, a.String() + t.Param()}
}

// Subject is what orders of the host's address are about.
func (h *Host) Subject() Subject { return HostSubject(h.Addr, h.Transport) }

// Named is how orders name all addresses of a host with a name; "" for an address.
func (h *Host) Named() string {
	if h.Name == "" {
		return ""
	}
	return strings.ToLower(h.HostPort)
}

// Is reports whether a subject is the host: by its address and transport, or by its
// name, whether that has an address or not.
func (h *Host) Is(s Subject) bool {
	return s.Kind == HostKind && (h.Addr.IsValid() && s == h.Subject() || h.Name != "" && s.Name == h.Named())
}

// String names the subject as an operator does.
func (s Subject) String() string { return s.Kind.String() + " " + s.Name }

func (s Subject) check() error {
	switch s.Kind {
	case RegionKind, ConnectorKind:
		if !ValidName(s.Name) {
			return fmt.Errorf("%s is not the name of a %s", quote(s.Name), s.Kind)
		}
		return nil
	case HostKind:
		text, t, ok := cutTransport(s.Name)
		if a, err := netip.ParseAddrPort(text); (!ok || err != nil || HostSubject(a, t) != s) && !hostName(s.Name) {
			return fmt.Errorf("%s is not the address and port of a host, nor its name", quote(s.Name))
		}
		return nil
	}
	return fmt.Errorf("%s: there are no such subjects", quote(s.Name))
}

// hostName reports whether text is a host's name in lower case, with or without a
// port, and no address: its last label is no number (RFC 3261 25.1).
func hostName(text string) bool {
	name, port, found := strings.Cut(text, ":")
	if n, err := strconv.ParseUint(port, 10, 16); found && (err != nil || n == 0 || strconv.FormatUint(n, 10) != port) {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, label := range labels {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// cutTransport takes the transport off what names a host: UDP when nothing is said.
// Other parameters of a URI mean nothing here.
func cutTransport(text string) (host string, t Transport, ok bool) {
	host, params, _ := strings.Cut(text, ";")
	for param := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(param, "="); strings.EqualFold(name, "transport") {
			t, ok = ParseTransport([]byte(value))
			return host, t, ok
		}
	}
	return host, UDP, true
}

// ParseSubject reads the name of a subject as it is typed: that of a region or
// a connector; a host's URI, or its address or name, with or without the port. The
// transport of an address counts, all addresses of a name are meant.
func ParseSubject(kind SubjectKind, text string) (Subject, error) {
	s := Subject{kind, text}
	if kind != HostKind {
		return s, s.check()
	}
	s, _, err := parseHost(text)
	return s, err
}

// SameHost reports whether two texts that ParseSubject takes are one host of a
// connector: those of a name are told apart by their transports too.
func SameHost(a, b string) bool {
	one, over, err := parseHost(a)
	other, otherOver, otherErr := parseHost(b)
	return err == nil && otherErr == nil && one == other && over == otherOver
}

func parseHost(text string) (s Subject, t Transport, err error) {
	typed := text
	scheme, rest, found := strings.Cut(text, ":")
	secure := found && strings.EqualFold(scheme, "sips")
	if rest != "" && (secure || strings.EqualFold(scheme, "sip")) {
		text = rest
	}
	host, t, ok := cutTransport(text)
	if secure {
		t = TLS // RFC 3261 26.2.2
	}
	if a, err := netip.ParseAddrPort(host); ok && err == nil {
		s = HostSubject(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), t)
	} else if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); ok && err == nil {
		s = HostSubject(netip.AddrPortFrom(ip.Unmap(), t.Port()), t)
	} else if name := strings.ToLower(host); ok && hostName(name) {
		s = Subject{HostKind, name}
	} else {
		return s, t, fmt.Errorf("%s is not a host; write its address or its URI, as in 10.0.1.10:5060", quote(typed))
	}
	return s, t, s.check()
}

// Has reports whether a subject is in the catalog.
func (c *Catalog) Has(s Subject) bool {
	return slices.ContainsFunc(c.Connectors, func(cc Connector) bool { return cc.concerns(s) })
}

// concerns reports whether the subject is the connector, its region or a host.
func (c *Connector) concerns(s Subject) bool {
	switch s.Kind {
	case RegionKind:
		return c.Region == s.Name && c.Region != ""
	case ConnectorKind:
		return c.Name == s.Name
	}
	return slices.ContainsFunc(c.Hosts, func(h Host) bool { return h.Is(s) })
}

// Unknown says that the catalog has no such subject, and what may be meant.
func (c *Catalog) Unknown(s Subject) error {
	var names []string
	for i := range c.Connectors {
		cc := &c.Connectors[i]
		switch {
		case s.Kind == ConnectorKind:
			names = append(names, cc.Name)
		case s.Kind == HostKind:
			for j := range cc.Hosts {
				h := &cc.Hosts[j]
				if h.Addr.IsValid() {
					names = append(names, h.Subject().Name)
				}
				if h.Name != "" {
					names = append(names, h.Named())
				}
			}
		case cc.Region != "":
			names = append(names, cc.Region)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	const few = 5 // names that are worth a list
	over := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, s.Name+";") })
	switch near := Nearest(s.Name, names); {
	case over >= 0: // the address, over another transport
		return fmt.Errorf("there is no %s %s; did you mean %s?", s.Kind, quote(s.Name), quote(names[over]))
	case near != "":
		return fmt.Errorf("there is no %s %s; did you mean %s?", s.Kind, quote(s.Name), quote(near))
	case len(names) == 0:
		return fmt.Errorf("there is no %s %s: the config has none", s.Kind, quote(s.Name))
	case len(names) <= few:
		return fmt.Errorf("there is no %s %s; there are %s", s.Kind, quote(s.Name), strings.Join(names, ", "))
	}
	return fmt.Errorf("there is no %s %s in the config", s.Kind, quote(s.Name))
}
