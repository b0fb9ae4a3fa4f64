package health

import (
	"strconv"
	"time"
)

// Event is a thing that was seen of a host, or that time brought about.
type Event uint8

// Events. Those from ProbeOK to CallFull are what Host.Observe takes; the
// others appear only as the reason of a state.
const (
	Nothing Event = iota // nothing was seen yet

	ProbeOK          // a response to OPTIONS, with its Code
	ProbeFailed      // no response to OPTIONS in time
	ProbeUnreachable // OPTIONS could not be delivered: ICMP, or a send error

	// ICMP whose quote verifies as the request of a call's attempt. An error of
	// sending is this machine's own: the call moves on, and nothing was seen of
	// the host.
	CallUnreachable
	CallSilent   // an attempt ended without any response
	CallAnswered // any response to a request of a call
	CallFull     // 503 to a call, with its RetryAfter if it had one

	RetryAfterOver // the time that a Retry-After asked for is over
	ProbesOff      // probing was switched off
)

// String says what was seen, in the words of a log line.
func (e Event) String() string {
	switch e {
	case Nothing:
		return "nothing seen yet"
	case ProbeOK:
		return "answer to OPTIONS"
	case ProbeFailed:
		return "no answer to OPTIONS"
	case ProbeUnreachable:
		return "OPTIONS undeliverable"
	case CallUnreachable:
		return "a call undeliverable"
	case CallSilent:
		return "no answer to a call"
	case CallAnswered:
		return "answer to a call"
	case CallFull:
		return "Retry-After to a call"
	case RetryAfterOver:
		return "Retry-After over"
	case ProbesOff:
		return "probes switched off"
	}
	return "unknown"
}

// Observation is one thing seen of a host.
type Observation struct {
	Event      Event
	Code       int           // of the response: ProbeOK, CallFull
	RetryAfter time.Duration // CallFull; 0 when the response had none
	RTT        time.Duration // ProbeOK: from request to response
}

// Reason is why a host is in its state: an event and, if it had one, the status
// code of the response.
type Reason struct {
	Event Event
	Code  int16
}

// String writes the reason for a log line: "answer to OPTIONS (503)".
func (r Reason) String() string {
	if r.Code == 0 {
		return r.Event.String()
	}
	return r.Event.String() + " (" + strconv.Itoa(int(r.Code)) + ")"
}
