package catalog

// Stranded is who has numbers and nobody to take their calls.
type Stranded struct {
	Group     string // one of the two
	Connector string // in no group, with numbers of its own
	Broken    bool   // there are hosts to try, and none of them works
}

// String names it as an operator does.
func (s Stranded) String() string {
	text := "group " + s.Group
	if s.Group == "" {
		text = "connector " + s.Connector
	}
	if s.Broken {
		return text + " (all hosts that are left are down or ejected)"
	}
	return text
}

// Stranded returns the groups, and the connectors with numbers of their own,
// that other orders would bring from hosts that work to none, or from hosts to
// try at all to none. broken tells whether a host is known not to work.
func (c *Catalog) Stranded(before, after Orders, broken func(*Host) bool) (all []Stranded) {
	was, is := c.reach(before, broken), c.reach(after, broken)
	grouped := make(map[string]bool)
	for i := range c.Groups {
		g := &c.Groups[i]
		from, to := none, none
		for _, m := range g.Connectors {
			grouped[m.Connector] = true
			from, to = max(from, was[m.Connector]), max(to, is[m.Connector])
		}
		if to < from {
			all = append(all, Stranded{Group: g.Name, Broken: to == onlyBroken})
		}
	}
	for i := range c.Connectors {
		cc := &c.Connectors[i]
		if from, to := was[cc.Name], is[cc.Name]; to < from && !grouped[cc.Name] && cc.HasNumbers() {
			all = append(all, Stranded{Connector: cc.Name, Broken: to == onlyBroken})
		}
	}
	return all
}

// reach is what calls to a connector find.
type reach uint8

const (
	none       reach = iota // no host to try
	onlyBroken              // hosts to try, none of which works
	working                 // one that does
)

// reach returns what calls find at each connector by its name.
func (c *Catalog) reach(orders Orders, broken func(*Host) bool) map[string]reach {
	all := make(map[string]reach, len(c.Connectors))
	for i := range c.Connectors {
		cc := &c.Connectors[i]
		if orders.OfConnector(cc).State != Enabled {
			continue
		}
		for j := range cc.Hosts {
			h := &cc.Hosts[j]
			switch {
			case !h.Addr.IsValid(): // a name whose addresses are not known
			case orders.OfHost(h).State != Enabled:
			case broken(h):
				all[cc.Name] = max(all[cc.Name], onlyBroken)
			default:
				all[cc.Name] = working
			}
		}
	}
	return all
}
