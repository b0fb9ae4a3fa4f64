package health

// State is what is known about a host. The order is the order in which calls
// try hosts.
type State uint8

// States of a host.
const (
	Up       State = iota // no reason to doubt it; a host starts here
	Doubtful              // a call got no answer from it: tried after the others
	Full                  // it answers, but takes no calls: tried after the doubtful
	Down                  // its probes fail
)

// String returns the word for s.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Doubtful:
		return "doubtful"
	case Full:
		return "full"
	case Down:
		return "down"
	}
	return "unknown"
}
