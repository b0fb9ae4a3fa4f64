package health

import (
	"strconv"
	"time"

	"tandem/config/catalog"
)

// Reason is why a host is in its state: an event, and what belongs to it.
type Reason struct {
	Event Event
	Last  Event // FailedCalls, TrialFailed: what the last call met; Remembered: what there was
	Code  int16 // status code of the response, if it was one
	// Count is of calls that failed in a row (FailedCalls) or stall (CallsStall), or how many times
	// the host went down, each time soon after its return (events of probes).
	Count  int32
	For    time.Duration // how long calls are kept away at least; 0 is until something is seen
	Within time.Duration // events of probes: how soon
}

// String writes the reason for a log line: "answer to OPTIONS (503)".
func (r Reason) String() string {
	switch r.Event {
	case FailedCalls:
		return strconv.Itoa(int(r.Count)) + " failed calls in a row, the last: " + r.met(r.Last) + "; ejected for " + catalog.Duration(r.For)
	case TrialFailed:
		return "trial call failed: " + r.met(r.Last) + "; ejected for " + catalog.Duration(r.For)
	case CallsStall:
		return strconv.Itoa(int(r.Count)) + " calls wait with nothing but 100, and none got more"
	case Remembered:
		return "before the restart: " + r.met(r.Last) + "; too long ago to be sure"
	}
	text := r.met(r.Event)
	if r.Count > 0 {
		text += "; kept down for " + catalog.Duration(r.For) + ": it went down " + strconv.Itoa(int(r.Count)) +
			" times, each within " + catalog.Duration(r.Within) + " of its return"
	}
	return text
}

// met writes an event with the code of the response, if it was one.
func (r Reason) met(e Event) string {
	switch {
	case e == CallFull && r.Event == CallFull && r.For > 0:
		return e.String() + ", Retry-After " + catalog.Duration(r.For)
	case r.Code == 0 || e == CallFull || e == CallTrying:
		return e.String()
	}
	return e.String() + " (" + strconv.Itoa(int(r.Code)) + ")"
}
