package health

// State is what is known about a host. The order is the order in which calls
// try hosts.
type State uint8

// States of a host.
const (
	Up         State = iota // no reason to doubt it; a host starts here
	Recovering              // back from down or ejected: takes a share of calls that grows
	Doubtful                // a call got no answer from it: tried after the others
	Full                    // it answers, but takes no calls: tried after the doubtful
	Ejected                 // its calls fail, whatever its probes say: single trial calls find out
	Down                    // its probes fail
)

// States are all states, in the order in which calls try hosts.
var States = [...]State{Up, Recovering, Doubtful, Full, Ejected, Down}

// String returns the word for s.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Recovering:
		return "recovering"
	case Doubtful:
		return "doubtful"
	case Full:
		return "full"
	case Ejected:
		return "ejected"
	case Down:
		return "down"
	}
	return "unknown"
}

// bad says whether a host in this state counts against its region.
func (s State) bad() bool { return s == Ejected || s == Down }
