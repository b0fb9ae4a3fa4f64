package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxNote is how many bytes a note of an order may have.
const MaxNote = 200

// Order is what an operator ordered of a subject while the node ran.
type Order struct {
	Subject Subject
	State   State // Draining or Disabled; a region's is Draining: it is evacuated
	At      time.Time
	Note    string // why, in the operator's words; "" for none
}

// Word is the state as operators call it: "draining", "disabled", "evacuated".
func (o Order) Word() string {
	if o.Subject.Kind == RegionKind {
		return "evacuated"
	}
	return o.State.String()
}

// String is the order in an explanation.
func (o Order) String() string {
	text := o.Word() + " (ordered " + o.At.UTC().Format(time.RFC3339)
	if o.Note != "" {
		text += ": " + o.Note
	}
	return text + ")"
}

// Check says what keeps o from being an order.
func (o Order) Check() error {
	if err := o.Subject.check(); err != nil {
		return err
	}
	switch {
	case o.State != Draining && (o.State != Disabled || o.Subject.Kind == RegionKind):
		return fmt.Errorf("%s: %q cannot be ordered", o.Subject, o.State)
	case o.At.IsZero():
		return fmt.Errorf("%s: the order has no time", o.Subject)
	}
	return checkNote(o.Note)
}

// checkNote keeps out what a terminal or a log would be disturbed by.
func checkNote(note string) error {
	switch {
	case len(note) > MaxNote:
		return fmt.Errorf("the note has %d bytes; at most %d are kept", len(note), MaxNote)
	case !utf8.ValidString(note):
		return errors.New("the note is not UTF-8")
	}
	for _, r := range note {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("the note holds %q; write it on one line, in printable characters", r)
		}
	}
	return nil
}

// Orders is what operators ordered, laid over what the catalog says: the
// stricter of the two counts, so that an order only takes away. It is immutable;
// the zero value is no orders.
type Orders struct{ of map[Subject]Order }

// With returns the orders with one more, which replaces what was ordered of the
// same subject before.
func (o Orders) With(order Order) Orders {
	next := make(map[Subject]Order, len(o.of)+1)
	maps.Copy(next, o.of)
	next[order.Subject] = order
	return Orders{next}
}

// Without returns the orders but for the one of a subject.
func (o Orders) Without(s Subject) Orders {
	next := maps.Clone(o.of)
	delete(next, s)
	return Orders{next}
}

// Renamed returns the orders after a subject has got another name. Of what was
// ordered of the two the stricter stays.
func (o Orders) Renamed(from, to Subject) Orders {
	order, ok := o.of[from]
	if !ok || from == to {
		return o
	}
	next := o.Without(from)
	if other, ok := o.of[to]; ok && other.State > order.State {
		return next
	}
	order.Subject = to
	return next.With(order)
}

// Equal reports whether both are the same orders.
func (o Orders) Equal(other Orders) bool { return maps.Equal(o.of, other.of) }

// Of returns the order of a subject.
func (o Orders) Of(s Subject) (Order, bool) {
	order, ok := o.of[s]
	return order, ok
}

// List returns all orders: regions, connectors, hosts, each by name.
func (o Orders) List() []Order {
	return slices.SortedFunc(maps.Values(o.of), func(a, b Order) int {
		return cmp.Or(cmp.Compare(a.Subject.Kind, b.Subject.Kind), cmp.Compare(a.Subject.Name, b.Subject.Name))
	})
}

// Standing is the state of a connector or a host that is in force.
type Standing struct {
	State State
	Why   string // what makes it so: "connector is draining (ordered …)"; "" when it is enabled
}

// OfConnector lays the orders over a connector: its own, and that of its region.
func (o Orders) OfConnector(c *Connector) Standing {
	s := o.lay(c.State, Subject{ConnectorKind, c.Name})
	if region, ok := o.of[Subject{RegionKind, c.Region}]; ok {
		s.State = max(s.State, region.State)
		if s.Why != "" {
			s.Why += "; "
		}
		s.Why += "region " + c.Region + " is " + region.String()
	}
	return s
}

// OfHost lays the orders of a host over it: the stricter of that of its address
// and that of its name. What its connector's say counts too, beside this.
func (o Orders) OfHost(h *Host) Standing {
	s := o.lay(h.State, h.Subject())
	if h.Name == "" {
		return s
	}
	if named := o.lay(h.State, Subject{HostKind, h.Named()}); named.State > s.State {
		return named
	}
	return s
}

// lay is the stricter of what the catalog says of a subject and the order.
func (o Orders) lay(file State, s Subject) Standing {
	if order, ok := o.of[s]; ok && order.State > file {
		return Standing{order.State, s.Kind.String() + " is " + order.String()}
	}
	if file == Enabled {
		return Standing{}
	}
	return Standing{file, s.Kind.String() + " is " + file.String()}
}
