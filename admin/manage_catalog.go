package admin

import (
	"cmp"
	"encoding/json"
	"slices"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// snapshotOf is a catalog as an inventory has it. What stands in a file has no
// ID: its name is in the place of it.
func snapshotOf(cat *catalog.Catalog) *inventory.Snapshot {
	s := &inventory.Snapshot{Counts: make(map[inventory.Owner]int)}
	for i := range cat.Connectors {
		c := &cat.Connectors[i]
		s.Connectors = append(s.Connectors, inventory.Connector{Meta: inventory.Meta{ID: c.Name}, ConnectorSpec: connectorSpec(c)})
		s.Counts[inventory.Owner{Kind: inventory.ConnectorOwner, ID: c.Name}] = len(c.Numbers) + c.FileNumbers.Len()
	}
	for i := range cat.Groups {
		g := &cat.Groups[i]
		spec := inventory.GroupSpec{Name: g.Name, Failover: failoverBlock(g.Failover), Health: healthBlock(g.Health)}
		for _, m := range g.Connectors {
			spec.Connectors = append(spec.Connectors, inventory.Member{Connector: m.Connector, Priority: m.Priority})
		}
		s.Groups = append(s.Groups, inventory.Group{Meta: inventory.Meta{ID: g.Name}, GroupSpec: spec})
		s.Counts[inventory.Owner{Kind: inventory.GroupOwner, ID: g.Name}] = len(g.Numbers) + g.FileNumbers.Len()
	}
	slices.SortFunc(s.Connectors, func(a, b inventory.Connector) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Groups, func(a, b inventory.Group) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func connectorSpec(c *catalog.Connector) inventory.ConnectorSpec {
	spec := inventory.ConnectorSpec{
		Name: c.Name, Region: c.Region, Strip: c.Strip, Prepend: c.Prepend, Listener: c.Listener,
		Large: c.Large.Requests.String(), UDPMTU: c.Large.MTU, TLS: tlsBlock(c.TLS),
		State: stateSpec(c.State), MaxCalls: c.Limits.MaxCalls, MaxCPS: c.Limits.MaxCPS,
		Failover: failoverBlock(c.Failover), Health: healthBlock(c.Health), Probe: probeBlock(c.Probe),
		RequestURI: [...]string{catalog.RewriteHost: "", catalog.KeepURI: "keep"}[c.RequestURI],
		Number:     [...]string{catalog.AsReceived: "", catalog.PlusE164: "+e164", catalog.E164: "e164"}[c.Number],
	}
	for _, h := range c.Hosts {
		spec.Hosts = append(spec.Hosts, inventory.HostSpec{
			URI: h.URI, Priority: h.Priority, Weight: h.Weight, State: stateSpec(h.State), MaxCalls: h.Limits.MaxCalls, MaxCPS: h.Limits.MaxCPS,
		})
	}
	return spec
}

func stateSpec(s catalog.State) string {
	if s == catalog.Enabled {
		return ""
	}
	return s.String()
}

func failoverBlock(p catalog.FailoverPart) json.RawMessage {
	block := make(map[string]json.RawMessage)
	for _, field := range catalog.FailoverFields {
		if p.Set&field != 0 {
			block[field.Key()] = scalarJSON(p.Values.Text(field))
		}
	}
	return blockJSON(block)
}

func healthBlock(p catalog.HealthPart) json.RawMessage {
	block := make(map[string]json.RawMessage)
	for _, field := range catalog.HealthFields {
		if p.Set&field != 0 {
			block[field.Key()] = scalarJSON(p.Values.Text(field))
		}
	}
	return blockJSON(block)
}

func probeBlock(p catalog.Probe) json.RawMessage {
	block := make(map[string]json.RawMessage)
	for _, key := range catalog.ProbeKeys {
		if text := p.Text(key); text != "" {
			block[key] = scalarJSON(text)
		}
	}
	return blockJSON(block)
}

func tlsBlock(p catalog.PeerTLS) json.RawMessage {
	block := make(map[string]json.RawMessage)
	for key, text := range map[string]string{"name": p.Name, "ca": p.CA, "certificate": p.Certificate, "key": p.Key} {
		if text != "" {
			block[key], _ = json.Marshal(text) // a text has JSON
		}
	}
	return blockJSON(block)
}

// scalarJSON is a value as it is written in a file: true, 3 and [408, 500] are
// themselves, all else is text.
func scalarJSON(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, _ := json.Marshal(text) // a text has JSON
	return quoted
}

func blockJSON(block map[string]json.RawMessage) json.RawMessage {
	if len(block) == 0 {
		return nil
	}
	text, _ := json.Marshal(block) // its values are JSON
	return text
}
