package catalog

import "strconv"

// Probe is what the OPTIONS to a connector's hosts say, and where they leave
// from. The zero value is that of a file that says nothing.
type Probe struct {
	From           string // a SIP URI; "" is sip:tandem@ and the listener's advertised address
	To             string // a SIP URI; "" is the request-URI
	RequestURI     string // "" is the host's URI
	HasMaxForwards bool   // MaxForwards counts; else it is 70
	MaxForwards    int
	// Listener is the name of the listener that probes leave from; "" is that of
	// calls.
	Listener string
}

// ProbeKeys are the keys of a probe block, in the order in which they are shown.
var ProbeKeys = [...]string{"from", "to", "request_uri", "max_forwards", "listener"}

// Text returns the value of one key as it is written; "" when it is not.
func (p Probe) Text(key string) string {
	switch key {
	case "from":
		return p.From
	case "to":
		return p.To
	case "request_uri":
		return p.RequestURI
	case "max_forwards":
		if p.HasMaxForwards {
			return strconv.Itoa(p.MaxForwards)
		}
	case "listener":
		return p.Listener
	}
	return ""
}
