// Package catalog is the model that an operator edits: connectors, groups and
// the numbers that lead to them, with the settings that decide how a call is
// tried. It holds values and rules only: it reads no file, opens no socket and
// routes no call.
package catalog

import (
	"net/netip"
	"strconv"
	"strings"
)

// Catalog is all connectors and groups of a node. It is immutable once it is
// handed to the router.
type Catalog struct {
	Connectors []Connector
	Groups     []Group
	// Managed is one that is edited step by step while calls run: a connector may
	// have no hosts yet.
	Managed bool
}

// Connector is a destination in one region, made of one or more hosts.
type Connector struct {
	Name   string
	ID     string // what its numbers know it by when its name changes; "" is its name
	Region string
	Hosts  []Host
	// Numbers that lead to this connector first, then to the rest of its group:
	// those that are listed and those of files.
	Numbers     []Numbers
	FileNumbers *NumberSet

	RequestURI RequestURI // what becomes of the request-URI's host part
	Number     NumberForm // how the user part is presented to the hosts
	Strip      string     // prefix removed where it stands
	Prepend    string     // put before a number that has no "+"

	// Listener is the name of the listener that calls to the hosts leave from, and
	// probes unless Probe has another; "" is the one that the call came to.
	Listener string

	TLS PeerTLS // of hosts over TLS; without a Name each has that of its URI

	Large Large // of its hosts over UDP

	Limits Limits // of all its hosts together

	Failover FailoverPart // of attempts on this connector
	Health   HealthPart   // of its hosts
	Probe    Probe        // of its hosts

	State State
}

// Host is one SIP address of a connector, or a name that stands for several.
type Host struct {
	URI       string         // as written: "sip:10.0.1.10:5060;transport=udp"
	Addr      netip.AddrPort // where messages go; port 5060 unless the URI has one. Not valid for a name whose addresses are not known
	Transport Transport      // what messages travel over
	Name      string         // the URI's host in lower case when it is a name; "" for an address
	Port      uint16         // that the URI of a name has; 0 for none
	HostPort  string         // the URI's host and port as written, for the request-URI
	Params    string         // the URI's parameters as written, with their leading ";", or ""
	Priority  int            // 1 is tried first
	Weight    int            // share among hosts of equal priority, 1 or more
	// Order ranks the addresses of a name, below Priority: 0, up to 255, is tried first.
	// Share is the part of Weight that is an address's; 0 is all of it.
	Order  int
	Share  float64
	Limits Limits
	State  State
}

// Label names the host: by its URI, and an address of a name by that too, so that
// each has a label of its own.
func (h *Host) Label() string {
	if h.Name == "" || !h.Addr.IsValid() {
		return h.URI
	}
	return h.URI + " (" + h.Addr.String() + ")"
}

// SaysTransport reports whether the URI says over what the host is reached; where
// that of a name does not, DNS does.
func (h *Host) SaysTransport() bool {
	if len(h.URI) > len("sips:") && strings.EqualFold(h.URI[:len("sips:")], "sips:") {
		return true
	}
	for param := range strings.SplitSeq(h.Params, ";") {
		if name, _, _ := strings.Cut(param, "="); strings.EqualFold(name, "transport") {
			return true
		}
	}
	return false
}

// Place is where the host is: its address and port, or the name and port of its
// URI while no address of it is known.
func (h *Host) Place() string {
	if h.Name != "" && !h.Addr.IsValid() {
		return h.HostPort
	}
	return h.Addr.String()
}

// Limits are how many calls a connector or a host is given; 0 is no limit. The
// others of a group are tried for those above.
type Limits struct {
	MaxCalls int // at a time
	MaxCPS   int // a second
}

// Group owns numbers and ranks connectors.
type Group struct {
	Name        string
	ID          string // what its numbers know it by when its name changes; "" is its name
	Connectors  []Member
	Numbers     []Numbers  // that are listed
	FileNumbers *NumberSet // that come from files; nil for none

	Failover FailoverPart // of calls to this group's numbers
	Health   HealthPart   // of the hosts of its connectors
}

// Member is a connector's place in a group.
type Member struct {
	Connector string // its name
	Priority  int    // 1 is tried first; equal priorities share by weight
}

// Group returns the group of a name, or nil.
func (c *Catalog) Group(name string) *Group {
	for i := range c.Groups {
		if c.Groups[i].Name == name {
			return &c.Groups[i]
		}
	}
	return nil
}

// has reports whether a connector is in the group.
func (g *Group) has(connector string) bool {
	for i := range g.Connectors {
		if g.Connectors[i].Connector == connector {
			return true
		}
	}
	return false
}

// State is what the operator wants of a connector or host, whatever its health.
type State uint8

// Operator states.
const (
	Enabled  State = iota
	Draining       // no new calls
	Disabled       // no new calls, no probes
)

func (s State) String() string {
	switch s {
	case Draining:
		return "draining"
	case Disabled:
		return "disabled"
	}
	return "enabled"
}

// RequestURI says what becomes of the host part of the request-URI.
type RequestURI uint8

// RequestURI modes.
const (
	RewriteHost RequestURI = iota // host, port and parameters from the host's URI
	KeepURI                       // unchanged: only the next hop is the host
)

// NumberForm is the form in which connectors want numbers.
type NumberForm uint8

// Number forms.
const (
	AsReceived NumberForm = iota
	PlusE164              // with a leading "+"
	E164                  // without
)

// Codes is a set of SIP status codes, 100 to 699. It is comparable.
type Codes [10]uint64

// NewCodes returns the set of the codes given; codes outside 100-699 are left out.
func NewCodes(codes ...int) Codes {
	var c Codes
	for _, code := range codes {
		if code >= 100 && code <= 699 {
			c[(code-100)/64] |= 1 << ((code - 100) % 64)
		}
	}
	return c
}

// Has reports whether the set contains code.
func (c *Codes) Has(code int) bool {
	return code >= 100 && code <= 699 && c[(code-100)/64]&(1<<((code-100)%64)) != 0
}

// List returns the codes in ascending order.
func (c *Codes) List() []int {
	var codes []int
	for code := 100; code <= 699; code++ {
		if c.Has(code) {
			codes = append(codes, code)
		}
	}
	return codes
}

// String writes the set as it is written in a file: "[408, 500]".
func (c Codes) String() string {
	var words []string
	for _, code := range c.List() {
		words = append(words, strconv.Itoa(code))
	}
	return "[" + strings.Join(words, ", ") + "]"
}
