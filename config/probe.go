package config

import "tandem/config/catalog"

var probeKeys = keys{known: catalog.ProbeKeys[:]}

// probe reads what OPTIONS to a connector's hosts say.
func (d *decoder) probe(n node) catalog.Probe {
	if n.kind() == scalar {
		d.fail(n, `must be a block of keys, as in "max_forwards: 1"; to switch probes on or off write health: {probe: ...}`)
		return catalog.Probe{}
	}
	const most = 255 // RFC 3261 20.22
	f := d.fields(n, probeKeys)
	p := catalog.Probe{
		From:        d.partyURI(f["from"]),
		To:          d.partyURI(f["to"]),
		RequestURI:  d.partyURI(f["request_uri"]),
		MaxForwards: d.integer(f["max_forwards"], 0, 0, most),
		Listener:    d.text(f["listener"], ""),
	}
	p.HasMaxForwards = d.says(f["max_forwards"])
	return p
}
