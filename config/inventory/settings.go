package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"tandem/config/catalog"
)

// normal returns a connector's spec in the one form that is kept, so that what
// means the same compares as the same and comes back from a store as it was.
func (c ConnectorSpec) normal() (ConnectorSpec, error) {
	c.Hosts = normalList(c.Hosts)
	for _, s := range []struct {
		field string
		value *json.RawMessage
	}{{"tls", &c.TLS}, {"failover", &c.Failover}, {"health", &c.Health}, {"probe", &c.Probe}} {
		var err error
		if *s.value, err = settings(s.field, *s.value); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (g GroupSpec) normal() (GroupSpec, error) {
	g.Connectors = normalList(g.Connectors)
	for _, s := range []struct {
		field string
		value *json.RawMessage
	}{{"failover", &g.Failover}, {"health", &g.Health}} {
		var err error
		if *s.value, err = settings(s.field, *s.value); err != nil {
			return g, err
		}
	}
	return g, nil
}

// normalList returns a copy, and nil for an empty list.
func normalList[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}

// settings returns a JSON object without blanks, its keys sorted; one without keys
// is none.
func settings(field string, raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var object map[string]any
	err := dec.Decode(&object)
	if err == nil {
		if _, end := dec.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("more follows")
		}
	}
	if err != nil {
		return nil, refuse(Invalid, field, "is not an object; write its settings as in a file, by their names")
	}
	if len(object) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, refuse(Invalid, field, "is not an object that can be kept: %v", err)
	}
	return text, nil
}

func checkName(field, name string) error {
	switch {
	case name == "":
		return refuse(Invalid, field, "is missing; write a name")
	case len(name) > catalog.MaxName:
		return refuse(Invalid, field, "%s has %d characters; a name has at most %d", quote(name), len(name), catalog.MaxName)
	case !catalog.ValidName(name):
		return refuse(Invalid, field, "%s is not a name; use letters, digits, space and _ . -", quote(name))
	case name == "." || name == "..": // RFC 3986 5.2.4: no client would send them in a path
		return refuse(Invalid, field, "%s is not a name, because it means something else in a URL; choose another", quote(name))
	case strings.TrimSpace(name) == "":
		return refuse(Invalid, field, "%s is not a name, because nobody can see it; choose another", quote(name))
	}
	return nil
}

// checkFree refuses a name that leads to another one of the list already.
func checkFree[T any](what, name, own string, list []T, meta func(*T) (id, name string)) error {
	other := lookup(list, name, meta)
	if other == nil {
		return nil
	}
	switch id, has := meta(other); {
	case id == own:
		return nil
	case has == name:
		return refuse(Taken, "name", "%s is the name of another %s; give each its own", quote(name), what)
	default:
		return refuse(Taken, "name", "%s is the ID of %s %s; choose another name", quote(name), what, quote(has))
	}
}
