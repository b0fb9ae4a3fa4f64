package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// Import is what a YAML document says of an inventory.
type Import struct {
	Connectors []inventory.ConnectorSpec
	Groups     []inventory.GroupSpec
	Numbers    []OwnedNumbers // of connectors, of groups, then unassigned ones
	LeftAlone  []string       // the other sections of the document, which no inventory has

	lines map[string]int // of each connector and group, by its path
}

// OwnedNumbers is the numbers of one owner, one or more.
type OwnedNumbers struct {
	Owner inventory.OwnerKind
	Name  string // of the connector or group; "" for nobody

	path    string // of the list
	numbers catalog.Group
}

// Len is how many entries there are, a range or prefix as one.
func (o *OwnedNumbers) Len() int { return o.numbers.NumberCount() }

// Pages calls f with at most size entries at a time until it fails, in no order
// that means anything. f must not keep them.
func (o *OwnedNumbers) Pages(size int, f func([]catalog.Entry) error) error {
	page := make([]catalog.Entry, 0, min(size, o.Len()))
	err := o.numbers.EachNumber(func(e catalog.Entry) error {
		if page = append(page, e); len(page) < size {
			return nil
		}
		err := f(page)
		page = page[:0]
		return err
	})
	if err == nil && len(page) > 0 {
		err = f(page)
	}
	return err
}

// ImportOptions is what a document may ask of the machine that reads it. The zero
// value is for one that came from elsewhere: it learns nothing of this machine.
type ImportOptions struct {
	Env          func(string) (string, bool)    // looks up variables; nil has none
	NumbersFiles bool                           // may be named, and are read from the document's directory on
	Progress     func(file string, numbers int) // is told of long numbers files; may be nil
	MaxText      int                            // bytes beside its long lists of numbers; 0 is 2 MiB
}

const (
	// maxText is how much YAML is read that may have been made to take memory: some
	// hundred bytes for each of its own. It has room for thousands of connectors.
	maxText = 2 << 20
	// maxMistakes is how many mistakes of a document are named.
	maxMistakes = 100
)

// The keys of an inventory's YAML form. Those of a node's config are left alone.
var inventoryKeys = keys{
	known: append([]string{"connectors", "groups", "numbers", "numbers_file"},
		slices.DeleteFunc(slices.Clone(topKeys.known), func(key string) bool { return key == "connectors" || key == "groups" })...),
	later: topKeys.later,
}

// ParseInventory reads the connectors, groups and numbers of a YAML document, which
// may be a node's whole config; numbers: and numbers_file: of their own are
// unassigned ones. A connector may have no hosts, and a group connectors that
// only the inventory has. What depends on the node's settings is not checked. The
// error is Errors.
func ParseInventory(file string, data []byte, o ImportOptions) (*Import, error) {
	return parseInventory(file, data, o, leastLifted)
}

// parseInventory lifts runs of numbers out that have least lines or more; none, if
// it is 0.
func parseInventory(file string, data []byte, o ImportOptions, least int) (*Import, error) {
	w := world{env: o.Env, addrs: machineAddrs, open: openNumbers, progress: o.Progress}
	if !o.NumbersFiles {
		w.open = func(string) (io.ReadCloser, int64, error) {
			return nil, 0, errors.New("a document that is sent cannot name files; list their numbers in it")
		}
	}
	d := &decoder{world: w, file: file, told: time.Now(), failed: make(map[string]bool), warned: make(map[string]bool)}
	text, lifted := data, new(lifted)
	if least > 0 {
		text, lifted = lift(data, least)
	}
	if most, size := cmp.Or(o.MaxText, maxText), len(text)-lifted.lines(); size > most {
		return nil, Errors{{File: file, Text: fmt.Sprintf("has %d bytes beside its long lists of numbers, one a line, and %d are read; divide it", size, most)}}
	}
	im := d.inventory(text, lifted)
	if im != nil && !lifted.all() {
		return parseInventory(file, data, o, 0)
	}
	errs, others := d.errs, Errors(nil)
	for _, f := range d.files {
		for _, e := range f.mistakes() {
			if f.path == file && e.Line > 0 {
				errs = append(errs, e)
			} else {
				others = append(others, e)
			}
		}
	}
	lifted.place(file, errs)
	lifted.place(file, others)
	errs = append(errs.sorted(), others...)
	if more := len(errs) - maxMistakes; more > 0 {
		errs = append(errs[:maxMistakes], Error{File: file, Text: "and " + count(more) + " more"})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return im, nil
}

func (d *decoder) inventory(data []byte, runs *lifted) *Import {
	root, err := parseYAML(data)
	if err != nil {
		d.failAt(err.Line, "", "%s", err.Text)
		return nil
	}
	d.root = root
	f := d.fields(root, inventoryKeys)
	c := catalog.Catalog{Managed: true, Connectors: d.connectors(f["connectors"]), Groups: d.groups(f["groups"])}
	unassigned := catalog.Group{Name: nobody, Numbers: d.numbers(f["numbers"]), FileNumbers: d.numbersFiles(f["numbers_file"])}
	for i, item := range elements(f["connectors"]) {
		c.Connectors[i].FileNumbers = runs.take(d, item, c.Connectors[i].FileNumbers)
	}
	for i, item := range elements(f["groups"]) {
		c.Groups[i].FileNumbers = runs.take(d, item, c.Groups[i].FileNumbers)
	}
	unassigned.FileNumbers = runs.take(d, root, unassigned.FileNumbers)
	d.checkImport(c, unassigned)
	if len(d.errs) > 0 {
		return nil
	}
	im := &Import{lines: make(map[string]int)}
	for key := range f {
		if !slices.Contains([]string{"connectors", "groups", "numbers", "numbers_file"}, key) {
			im.LeftAlone = append(im.LeftAlone, key)
		}
	}
	slices.Sort(im.LeftAlone)
	for i, item := range d.list(f["connectors"]) {
		im.lines[item.path] = item.line()
		im.Connectors = append(im.Connectors, d.connectorSpec(item))
		im.add(inventory.ConnectorOwner, item.path, catalog.Group{Name: c.Connectors[i].Name, Numbers: c.Connectors[i].Numbers, FileNumbers: c.Connectors[i].FileNumbers})
	}
	for i, item := range d.list(f["groups"]) {
		im.lines[item.path] = item.line()
		im.Groups = append(im.Groups, d.groupSpec(item))
		im.add(inventory.GroupOwner, item.path, c.Groups[i])
	}
	unassigned.Name = ""
	im.add(inventory.Nobody, "", unassigned)
	return im
}

// elements returns the elements of what is a list.
func elements(n node) (all []node) {
	if n.kind() == list {
		for _, item := range n.items() {
			all = append(all, item)
		}
	}
	return all
}

// add adds the numbers of an owner, if it has any.
func (im *Import) add(kind inventory.OwnerKind, path string, g catalog.Group) {
	g.FileNumbers.Seal()
	if g.HasNumbers() {
		numbers := catalog.Group{Numbers: g.Numbers, FileNumbers: g.FileNumbers}
		im.Numbers = append(im.Numbers, OwnedNumbers{kind, g.Name, child(path, "numbers"), numbers})
	}
}

// nobody stands for the name of a group while numbers are checked; none has it.
const nobody = "\x00"

// checkImport adds what the catalog finds wrong: unassigned numbers are those of
// one more group, so that each number stands once.
func (d *decoder) checkImport(c catalog.Catalog, unassigned catalog.Group) {
	last := element("groups", len(c.Groups))
	c.Groups = append(slices.Clip(c.Groups), unassigned)
	names := strings.NewReplacer("group "+quote(nobody), "the unassigned ones")
	for _, p := range c.Check() {
		switch {
		case p.Path == child(last, "name"):
			continue
		case strings.HasSuffix(p.Path, ".connector") && p.Other == "" && !d.isEmpty(p.Path):
			continue // the inventory may have it
		case p.Warning && strings.HasSuffix(p.Other, ".priority"):
			p.Warning = false // a ranking in an inventory has no equals
		case p.Warning:
			continue
		}
		p.Path, p.Other, p.Text = below(p.Path, last), below(p.Other, last), names.Replace(p.Text)
		d.problem(p)
	}
}

// below is a path without the element that it begins with, if it does.
func below(path, element string) string {
	if rest, ok := within(path, element); ok {
		return rest
	}
	return path
}

// isEmpty reports whether no text stands at a path.
func (d *decoder) isEmpty(path string) bool {
	n := d.root.find(path)
	if n.path != path || n.kind() != scalar {
		return true
	}
	text, _ := n.scalar()
	return text == ""
}

// connectorSpec reads a connector that has no mistakes, as it is written.
func (d *decoder) connectorSpec(n node) inventory.ConnectorSpec {
	f := d.fields(n, connectorKeys)
	limits := d.limits(f)
	c := inventory.ConnectorSpec{
		Name:       d.text(f["name"], ""),
		Region:     d.text(f["region"], ""),
		State:      d.text(f["state"], ""),
		RequestURI: d.text(f["request_uri"], ""),
		Number:     d.text(f["number"], ""),
		Strip:      d.text(f["strip"], ""),
		Prepend:    d.text(f["prepend"], ""),
		Listener:   d.text(f["listener"], ""),
		Large:      d.text(f["large_requests"], ""),
		UDPMTU:     d.large(f).MTU,
		MaxCalls:   limits.MaxCalls,
		MaxCPS:     limits.MaxCPS,
		TLS:        d.settings(f["tls"]),
		Failover:   d.settings(f["failover"]),
		Health:     d.settings(f["health"]),
		Probe:      d.settings(f["probe"]),
	}
	for _, host := range d.list(f["hosts"]) {
		if host.kind() == scalar {
			c.Hosts = append(c.Hosts, inventory.HostSpec{URI: d.text(host, "")})
			continue
		}
		f := d.fields(host, hostKeys)
		limits := d.limits(f)
		h := inventory.HostSpec{URI: d.text(f["uri"], ""), State: d.text(f["state"], ""), MaxCalls: limits.MaxCalls, MaxCPS: limits.MaxCPS}
		h.Priority, _ = d.whole(f["priority"])
		h.Weight, _ = d.whole(f["weight"])
		c.Hosts = append(c.Hosts, h)
	}
	return c
}

// groupSpec reads a group that has no mistakes, as it is written.
func (d *decoder) groupSpec(n node) inventory.GroupSpec {
	f := d.fields(n, groupKeys)
	g := inventory.GroupSpec{Name: d.text(f["name"], ""), Failover: d.settings(f["failover"]), Health: d.settings(f["health"])}
	for _, item := range d.list(f["connectors"]) {
		m := d.member(item)
		g.Connectors = append(g.Connectors, inventory.Member{Connector: m.Connector, Priority: m.Priority})
	}
	return g
}

// settings reads a block of settings as a JSON object; one that says nothing is
// nil.
func (d *decoder) settings(n node) json.RawMessage {
	object, _ := d.value(n).(map[string]any)
	if len(object) == 0 {
		return nil
	}
	for _, key := range []string{"codes", "down_codes"} {
		one, ok := object[key]
		if _, isList := one.([]any); ok && !isList {
			object[key] = []any{one} // written without brackets
		}
	}
	text, _ := json.Marshal(object) // texts, whole numbers, booleans, and lists of them
	return text
}

// value reads what a node says; keys without a value are left out.
func (d *decoder) value(n node) any {
	switch n.kind() {
	case mapping:
		object := make(map[string]any)
		for key, value := range n.pairs() {
			if name, _ := key.scalar(); value.kind() != null {
				object[name] = d.value(value)
			}
		}
		return object
	case list:
		all := []any{}
		for _, item := range n.items() {
			all = append(all, d.value(item))
		}
		return all
	case scalar:
		text, _ := d.scalar(n)
		switch _, tag := n.scalar(); tag {
		case "!!int":
			if v, err := strconv.Atoi(text); err == nil && strconv.Itoa(v) == text {
				return v
			}
		case "!!bool":
			return strings.EqualFold(text, "true")
		}
		return text
	}
	return nil
}

// Change makes one change of the connectors and groups: it creates what is missing,
// updates what differs and deletes nothing. Numbers are for the caller to add
// when it is committed; that their owners may have them is checked. The error is
// an *inventory.Refusal.
func (im *Import) Change(e *inventory.Editor) (inventory.Change, error) {
	c, err := e.Import(im.Connectors, im.Groups)
	if err != nil {
		return c, im.withLine(err)
	}
	after := *e
	after.Snapshot = e.Snapshot.With(c, e.Snapshot.Revision)
	for i := range im.Numbers {
		o := &im.Numbers[i]
		if o.Owner != inventory.ConnectorOwner {
			continue
		}
		owner, err := after.Snapshot.OwnerOf(o.Name, "")
		if err == nil {
			_, _, err = after.AddNumbers(nil, owner)
		}
		var r *inventory.Refusal
		if errors.As(err, &r) {
			r.Field = o.path
			return inventory.Change{}, im.withLine(r)
		}
	}
	return c, nil
}

// withLine adds the line of the connector or group that a refusal is about.
func (im *Import) withLine(err error) error {
	var r *inventory.Refusal
	if !errors.As(err, &r) {
		return err
	}
	end := strings.IndexByte(r.Field, ']') + 1
	line, ok := im.lines[r.Field[:end]]
	if !ok {
		return err
	}
	at := *r
	at.Text = fmt.Sprintf("%s (line %d)", r.Text, line)
	return &at
}
