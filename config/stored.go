package config

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// Store is where connectors, groups and numbers are kept that are managed while
// calls run; the zero Store is none: they stand in the file.
type Store struct {
	Path string // of its file; relative to the state directory unless absolute
}

// AdminKey lets whoever has it use the admin server.
type AdminKey struct {
	Name   string   // whose it is, for the audit log
	SHA256 [32]byte // of the key
}

// The quotas of a node with a store that does not say others: the documented
// ones of voice connector groups.
const (
	defaultGroups             = 3
	defaultConnectorsPerGroup = 3
)

var storeKeys = keys{known: []string{"path"}, later: []string{"etcd"}}

// store reads where the store is. What it keeps cannot stand in the file too.
func (d *decoder) store(f map[string]node) Store {
	n := f["store"]
	if n.kind() == missing || n.kind() == null {
		return Store{}
	}
	path := d.fields(n, storeKeys)["path"]
	if path.kind() == missing && !d.failed[n.path] && !d.failed[child(n.path, "path")] {
		d.failAt(n.line(), child(n.path, "path"), "is missing; write the store's file, as in tandem.db")
	}
	for _, key := range []string{"connectors", "groups"} {
		if f[key].kind() != missing && f[key].kind() != null {
			d.fail(f[key], "stands in the file, and store says that it is kept there; remove one of the two (tandem import brings a file's into the store)")
		}
	}
	return Store{Path: d.text(path, "")}
}

var adminKeyKeys = keys{known: []string{"name", "sha256"}, later: []string{"role"}}

// adminKeys reads who may use the admin server.
func (d *decoder) adminKeys(n node) (all []AdminKey) {
	names := make(map[string]node)
	for _, item := range d.list(n) {
		f := d.fields(item, adminKeyKeys)
		k := AdminKey{Name: d.text(f["name"], "")}
		switch first, twice := names[k.Name]; {
		case d.failed[item.path]:
			continue
		case !catalog.ValidName(k.Name):
			d.failAt(item.line(), child(item.path, "name"), "%s is not a name; write whose key it is, with letters, digits, space and _ . -", quote(k.Name))
		case twice:
			d.fail(f["name"], "%s is the name of another key (line %d); give each its own", quote(k.Name), first.line())
		}
		names[k.Name] = f["name"]
		text := strings.TrimPrefix(d.text(f["sha256"], ""), "sha256:")
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != len(k.SHA256) {
			d.failAt(item.line(), child(item.path, "sha256"), "must be the SHA-256 of the key in 64 hexadecimal digits; tandem key makes both")
			continue
		}
		copy(k.SHA256[:], sum)
		all = append(all, k)
	}
	return all
}

// WithInventory returns what a node of this config routes by when its connectors
// and groups are those of an inventory; numbers are not looked at. What a file
// would not be accepted with is an *inventory.Refusal, which names the field.
func (cfg *Config) WithInventory(s *inventory.Snapshot) (*Config, error) {
	root, err := parseYAML(inventoryText(s))
	if err != nil {
		return nil, &inventory.Refusal{Reason: inventory.Invalid, Text: "the settings cannot be read as a file's: " + err.Text} // what JSON has and YAML has not
	}
	d := &decoder{
		world: world{addrs: machineAddrs, open: openNumbers}, root: root, unlined: true, told: time.Now(),
		failed: make(map[string]bool), warned: make(map[string]bool),
	}
	next := *cfg
	next.Catalog = catalog.Catalog{
		Managed:    true,
		Connectors: d.connectors(root.find("connectors")),
		Groups:     d.groups(root.find("groups")),
	}
	for i := range next.Catalog.Connectors {
		next.Catalog.Connectors[i].ID = s.Connectors[i].ID
	}
	for i := range next.Catalog.Groups {
		next.Catalog.Groups[i].ID = s.Groups[i].ID
	}
	d.checkCatalog(&next)
	d.checkFailover(&next)
	d.checkHealth(&next)
	d.checkListeners(&next)
	d.checkPeers(&next)
	d.checkLarge(&next)
	d.checkLoops(&next)
	d.checkMaxCalls(&next)
	if len(d.errs) > 0 {
		return nil, refusal(d.errs[0], &next.Catalog)
	}
	return &next, nil
}

// inventoryText writes connectors and groups as a file has them.
func inventoryText(s *inventory.Snapshot) []byte {
	var doc struct {
		Connectors []inventory.ConnectorSpec `json:"connectors"`
		Groups     []inventory.GroupSpec     `json:"groups"`
	}
	for i := range s.Connectors {
		doc.Connectors = append(doc.Connectors, s.Connectors[i].ConnectorSpec)
	}
	for i := range s.Groups {
		doc.Groups = append(doc.Groups, s.Groups[i].GroupSpec)
	}
	// Escapes that only JSON knows are written out on the way.
	text, _ := json.Marshal(doc) // specs hold nothing that has no JSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var plain any
	_ = d.Decode(&plain) // it is JSON
	text, _ = json.Marshal(plain)
	return escaped(text)
}

var onlyInJSON = regexp.MustCompile(`[\x7f-\x{9f}\x{feff}\x{fffe}\x{ffff}]`)

// escaped writes what YAML wants to see escaped, and JSON does not, so that it is
// the field it stands in that is found wrong.
func escaped(text []byte) []byte {
	return onlyInJSON.ReplaceAllFunc(text, func(r []byte) []byte {
		return fmt.Appendf(nil, `\u%04x`, []rune(string(r))[0])
	})
}

// refusal tells a mistake to whoever gave the settings of one connector or group:
// its field is that of the connector or group.
func refusal(e Error, c *catalog.Catalog) *inventory.Refusal {
	r := &inventory.Refusal{Reason: inventory.Invalid, Field: e.Field, Text: e.Text}
	for i := range c.Connectors {
		if field, ok := within(e.Field, element("connectors", i)); ok {
			r.Field, r.Text = field, fmt.Sprintf("%s (connector %s)", e.Text, quote(c.Connectors[i].Name))
		}
	}
	for i := range c.Groups {
		if field, ok := within(e.Field, element("groups", i)); ok {
			r.Field, r.Text = field, fmt.Sprintf("%s (group %s)", e.Text, quote(c.Groups[i].Name))
		}
	}
	return r
}

// within is the part of a path below that of an element.
func within(path, element string) (string, bool) {
	rest, ok := strings.CutPrefix(path, element)
	if !ok || rest != "" && rest[0] != '.' {
		return "", false
	}
	return strings.TrimPrefix(rest, "."), true
}
