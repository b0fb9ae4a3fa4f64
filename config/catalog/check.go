package catalog

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Limits of the catalog, those of voice connector groups where they have one.
const (
	MaxName          = 256 // characters of a name
	MaxGroupPriority = 99  // of a connector in a group
	MaxHostPriority  = 100 // of a host in a connector
	MaxWeight        = 100 // of a host
)

// Problem is one thing wrong with a catalog, or worth a second look.
type Problem struct {
	Path    string // where: "connectors[1].hosts[0].weight"
	Other   string // the path of the other place concerned, or ""
	Text    string // what is wrong; what to do
	Warning bool   // the catalog can be used all the same

	// Where in a file of numbers it is, and the other place; zero for what
	// stands in the catalog itself.
	At, OtherAt Place
	// More is how many further problems a file of numbers has that are not
	// named one by one; Path alone is set beside it.
	More int
}

// Check returns all problems of a catalog, those of connectors first, then
// those of groups, then those between numbers. It takes O(n log n) for n
// numbers.
func (c *Catalog) Check() []Problem {
	k := checker{catalog: c, connectors: make(map[string]int, len(c.Connectors)), groupsOf: make(map[string][]int), said: make(map[string]bool), found: make(map[ownersFile]int)}
	k.checkConnectors()
	k.checkGroups()
	k.checkMembership()
	k.checkOwners()
	return k.problems
}

// checker gathers the problems of one catalog.
type checker struct {
	catalog    *Catalog
	connectors map[string]int     // index of each connector by name
	groupsOf   map[string][]int   // groups that list a connector, by its name
	said       map[string]bool    // paths of groups' health that are reported already
	found      map[ownersFile]int // problems of each file of numbers
	problems   []Problem
}

func (k *checker) fail(path, format string, args ...any) {
	k.problems = append(k.problems, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (k *checker) failWith(path, other, format string, args ...any) {
	k.problems = append(k.problems, Problem{Path: path, Other: other, Text: fmt.Sprintf(format, args...)})
}

func (k *checker) warn(path, other, format string, args ...any) {
	k.problems = append(k.problems, Problem{Path: path, Other: other, Text: fmt.Sprintf(format, args...), Warning: true})
}

func (k *checker) checkConnectors() {
	for i := range k.catalog.Connectors {
		c := &k.catalog.Connectors[i]
		path := at("connectors", i)
		k.checkName(path+".name", c.Name)
		if first, seen := k.connectors[c.Name]; !seen {
			k.connectors[c.Name] = i
		} else if c.Name != "" {
			k.failWith(path+".name", at("connectors", first)+".name",
				"%s is the name of another connector; give each its own", quote(c.Name))
		}
		if c.Region != "" {
			k.checkName(path+".region", c.Region)
		}
		if len(c.Hosts) == 0 && !k.catalog.Managed {
			k.fail(path+".hosts", `a connector needs at least one host; add one, as in "sip:10.0.1.10:5060"`)
		}
		k.checkHosts(path, c.Hosts)
	}
}

func (k *checker) checkHosts(connector string, hosts []Host) {
	seen := make(map[hostPlace]int, len(hosts))
	for i := range hosts {
		h := &hosts[i]
		path := at(connector+".hosts", i)
		if h.Priority < 1 || h.Priority > MaxHostPriority {
			k.fail(path+".priority", "%d is not a priority; write 1 (tried first) to %d", h.Priority, MaxHostPriority)
		}
		if h.Weight < 1 || h.Weight > MaxWeight {
			k.fail(path+".weight", "%d is not a weight; write 1 to %d, and state: disabled for a host that gets no calls", h.Weight, MaxWeight)
		}
		place := hostPlace{h.Addr, h.Transport, h.Name, h.Port}
		if !h.Addr.IsValid() && h.Name == "" {
			continue
		}
		if first, ok := seen[place]; ok {
			k.failWith(path+".uri", at(connector+".hosts", first)+".uri",
				"%s is a host of this connector already; give it a higher weight instead of a second entry", h.Place())
			continue
		}
		seen[place] = i
	}
}

// hostPlace is what makes hosts of a connector the same.
type hostPlace struct {
	addr netip.AddrPort
	over Transport
	name string
	port uint16
}

func (k *checker) checkGroups() {
	names := make(map[string]int, len(k.catalog.Groups))
	for i := range k.catalog.Groups {
		g := &k.catalog.Groups[i]
		path := at("groups", i)
		k.checkName(path+".name", g.Name)
		if first, seen := names[g.Name]; !seen {
			names[g.Name] = i
		} else if g.Name != "" {
			k.failWith(path+".name", at("groups", first)+".name",
				"%s is the name of another group; give each its own", quote(g.Name))
		}
		k.checkMembers(i, g)
		if len(g.Connectors) == 0 && g.HasNumbers() {
			k.warn(path, "", "group %s has numbers but no connectors: calls to them fail; add a connector", quote(g.Name))
		}
	}
}

func (k *checker) checkMembers(group int, g *Group) {
	members := make(map[string]int, len(g.Connectors))
	priorities := make(map[int]int, len(g.Connectors))
	for i, m := range g.Connectors {
		path := at(at("groups", group)+".connectors", i)
		if m.Priority < 1 || m.Priority > MaxGroupPriority {
			k.fail(path+".priority", "%d is not a priority; write 1 (tried first) to %d", m.Priority, MaxGroupPriority)
		} else if first, ok := priorities[m.Priority]; ok {
			k.warn(path+".priority", at(at("groups", group)+".connectors", first)+".priority",
				"connectors %s and %s have the same priority %d and share the calls; give each its own to rank them",
				quote(g.Connectors[first].Connector), quote(m.Connector), m.Priority)
		} else {
			priorities[m.Priority] = i
		}

		if first, ok := members[m.Connector]; ok {
			k.failWith(path+".connector", at(at("groups", group)+".connectors", first)+".connector",
				"%s is in this group already; list each connector once", quote(m.Connector))
			continue
		}
		members[m.Connector] = i
		if _, ok := k.connectors[m.Connector]; !ok {
			k.fail(path+".connector", "%s", k.unknownConnector(m.Connector))
			continue
		}
		k.groupsOf[m.Connector] = append(k.groupsOf[m.Connector], group)
	}
}

func (k *checker) unknownConnector(name string) string {
	if name == "" {
		return "the connector's name is missing; write the name of one under connectors"
	}
	names := make([]string, 0, len(k.catalog.Connectors))
	for i := range k.catalog.Connectors {
		names = append(names, k.catalog.Connectors[i].Name)
	}
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf("there is no connector %s; did you mean %s?", quote(name), quote(near))
	}
	return fmt.Sprintf("there is no connector %s; define it under connectors, or correct the name", quote(name))
}

// checkMembership checks what depends on the groups that a connector is in.
func (k *checker) checkMembership() {
	for i := range k.catalog.Connectors {
		c := &k.catalog.Connectors[i]
		if k.connectors[c.Name] != i {
			continue // a duplicate: reported already
		}
		groups := k.groupsOf[c.Name]
		k.checkGroupsHealth(c, groups)
		switch {
		case len(groups) > 1 && c.HasNumbers():
			field := ".numbers"
			if len(c.Numbers) == 0 {
				field = ".numbers_file"
			}
			k.fail(at("connectors", i)+field,
				"a connector with numbers of its own falls back on its group, but %s is in %d groups (%s and %s); move the numbers to one of them",
				quote(c.Name), len(groups), quote(k.catalog.Groups[groups[0]].Name), quote(k.catalog.Groups[groups[1]].Name))
		case len(groups) == 0 && !c.HasNumbers():
			k.warn(at("connectors", i), "", "no call reaches connector %s: it is in no group and has no numbers", quote(c.Name))
		}
	}
}

// checkGroupsHealth finds groups that want the hosts of one connector to be
// judged differently.
func (k *checker) checkGroupsHealth(c *Connector, groups []int) {
	for _, field := range HealthFields {
		if c.Health.Set&field != 0 {
			continue
		}
		first := -1
		for _, i := range groups {
			g := &k.catalog.Groups[i]
			if g.Health.Set&field == 0 {
				continue
			}
			if first < 0 {
				first = i
				continue
			}
			was, is := k.catalog.Groups[first].Health.Values.Text(field), g.Health.Values.Text(field)
			if path := at("groups", i) + ".health." + field.Key(); was != is && !k.said[path] {
				k.said[path] = true
				k.failWith(path, at("groups", first)+".health."+field.Key(),
					"%s here and %s in group %s, but connector %s is in both groups, and its hosts have one health; set %s in the health of the connector",
					is, was, quote(k.catalog.Groups[first].Name), quote(c.Name), field.Key())
			}
		}
	}
}

func (k *checker) checkName(path, name string) {
	if name == "" {
		k.fail(path, "is missing; write a name")
		return
	}
	if len(name) > MaxName {
		k.fail(path, "%s has %d characters; a name has at most %d", quote(name), len(name), MaxName)
		return
	}
	if !ValidName(name) {
		k.fail(path, "%s is not a name; use letters, digits, space and _ . -", quote(name))
	}
}

// ValidName reports whether name has 1 to MaxName characters of
// [a-zA-Z0-9 _.-].
func ValidName(name string) bool {
	for i := range len(name) {
		switch b := name[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case b == ' ', b == '_', b == '.', b == '-':
		default:
			return false
		}
	}
	return len(name) > 0 && len(name) <= MaxName
}

// at returns the path of an element of a list.
func at(list string, i int) string {
	return list + "[" + strconv.Itoa(i) + "]"
}
