// Package inventory is what operators manage while calls run: connectors, groups
// that rank them, and the numbers of the account with whom each belongs to. Its
// operations are pure functions: each looks at a Snapshot and returns the Change
// that it would be, or a Refusal that says why not.
//
// It opens no file, keeps nothing and routes no call. What the settings of a
// connector or group mean is for package config to judge: here they stand as in
// a file.
package inventory

import (
	"encoding/json"
	"time"

	"tandem/config/catalog"
)

// Meta is what the store knows of a connector or a group beside its settings.
type Meta struct {
	ID       string    `json:"id"`       // 22 letters and digits; no other ever has it
	Revision uint64    `json:"revision"` // of the store, at its last change
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
}

// Connector is a connector of the account.
type Connector struct {
	Meta
	ConnectorSpec
}

// ConnectorSpec is a connector as it stands under connectors: in a file, without
// its numbers. A field that a file would not have is empty.
type ConnectorSpec struct {
	Name       string          `json:"name"`
	Region     string          `json:"region,omitempty"` // fixed once it is created
	Hosts      []HostSpec      `json:"hosts,omitempty"`
	State      string          `json:"state,omitempty"` // enabled unless set
	RequestURI string          `json:"request_uri,omitempty"`
	Number     string          `json:"number,omitempty"`
	Strip      string          `json:"strip,omitempty"`
	Prepend    string          `json:"prepend,omitempty"`
	Listener   string          `json:"listener,omitempty"`
	Large      string          `json:"large_requests,omitempty"`
	UDPMTU     int             `json:"udp_mtu,omitempty"`
	TLS        json.RawMessage `json:"tls,omitempty"`
	MaxCalls   int             `json:"max_calls,omitempty"`
	MaxCPS     int             `json:"max_cps,omitempty"`
	Failover   json.RawMessage `json:"failover,omitempty"` // an object, keys as in a file
	Health     json.RawMessage `json:"health,omitempty"`
	Probe      json.RawMessage `json:"probe,omitempty"`
}

// HostSpec is a host as it stands under hosts: in a file.
type HostSpec struct {
	URI      string `json:"uri"`
	Priority int    `json:"priority,omitempty"` // 1 unless set
	Weight   int    `json:"weight,omitempty"`   // 1 unless set
	State    string `json:"state,omitempty"`
	MaxCalls int    `json:"max_calls,omitempty"`
	MaxCPS   int    `json:"max_cps,omitempty"`
}

// Group is a group of the account.
type Group struct {
	Meta
	GroupSpec
}

// GroupSpec is a group as it stands under groups: in a file, without its numbers.
type GroupSpec struct {
	Name       string          `json:"name"`
	Connectors []Member        `json:"connectors,omitempty"`
	Failover   json.RawMessage `json:"failover,omitempty"`
	Health     json.RawMessage `json:"health,omitempty"`
}

// Member is a connector's place in a group: by its name, which follows when the
// connector is renamed.
type Member struct {
	Connector string `json:"connector"`
	Priority  int    `json:"priority"` // 1 to 99, 1 is tried first; each of a group has its own
}

// OwnerKind is what a number belongs to.
type OwnerKind uint8

// Kinds of owners.
const (
	Nobody OwnerKind = iota
	ConnectorOwner
	GroupOwner
)

// Owner is whom a number belongs to; the zero Owner is nobody: the number is in
// the inventory and unassigned, and calls to it are answered 404.
type Owner struct {
	Kind OwnerKind
	ID   string
}

// Number is a number of the account, or a range or prefix of them that is managed
// as one.
type Number struct {
	Entry    catalog.Entry
	Owner    Owner
	Revision uint64 // of the store, at its last change
	Created  time.Time
	Updated  time.Time // both in whole seconds
}

// Snapshot is all connectors and groups at one revision, and the numbers that
// are managed as ranges and prefixes. It is immutable.
type Snapshot struct {
	Revision   uint64        // of the last change of one of them
	Connectors []Connector   // by name
	Groups     []Group       // by name
	Spans      []Number      // ranges, then prefixes, each by key
	Counts     map[Owner]int // entries of numbers, by owner; unassigned ones under the zero Owner
}

// Change is what an operation does, in one transaction: all of it or nothing.
// Before is what the decision was made by, nil for nothing; After is what is to
// be, nil for nothing. A store that finds other Revisions refuses the change.
type Change struct {
	// Catalog is the Revision of the Snapshot that the decision was made by. A change
	// of exact numbers alone does not move it.
	Catalog    uint64
	Connectors []ConnectorChange
	Groups     []GroupChange
	Numbers    []NumberChange
	Empty      []Owner // who must have no numbers when it is committed
}

// ConnectorChange creates, changes or deletes a connector.
type ConnectorChange struct{ Before, After *Connector }

// GroupChange creates, changes or deletes a group.
type GroupChange struct{ Before, After *Group }

// NumberChange adds a number, gives it to another owner, or removes it.
type NumberChange struct{ Before, After *Number }

// None reports whether the change does nothing.
func (c *Change) None() bool {
	return len(c.Connectors) == 0 && len(c.Groups) == 0 && len(c.Numbers) == 0
}
