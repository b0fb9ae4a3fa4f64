package health

import "time"

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
	CallSilent // an attempt ended without any response
	CallStuck  // an attempt was answered 100, and then nothing more in time
	CallsStall // several attempts wait for long with nothing but 100, and none did better
	CallTrying // 100 to a call: the host is alive, and that is all it says
	// CallAnswered is a success: any other provisional response, or a final one
	// that does not move the call on. It is told once for each attempt, at the
	// first such response: a 200 to a call that has been ringing for a while
	// says nothing about those that begin now.
	CallAnswered
	CallFailed // a final response that moves the call on, with its Code and Number
	CallFull   // 503 to a call, with its RetryAfter if it had one

	RetryAfterOver // the time that a Retry-After asked for is over
	RampOver       // the host has been recovering for as long as slow_start says
	FailedCalls    // as many calls failed in a row as eject a host
	TrialFailed    // a trial call of an ejected host failed
	TrialAnswered  // a trial call of an ejected host was answered
	ProbesOff      // probing was switched off
	EjectionOff    // ejection was switched off
	Remembered     // it was ill before the program was started again, and that is long ago
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
	case CallStuck:
		return "nothing but 100 to a call"
	case CallsStall:
		return "nothing but 100 to calls for long"
	case CallTrying:
		return "100 to a call"
	case CallAnswered:
		return "answer to a call"
	case CallFailed:
		return "a call failed"
	case CallFull:
		return "503 to a call"
	case RetryAfterOver:
		return "Retry-After over"
	case RampOver:
		return "slow start over"
	case FailedCalls:
		return "failed calls"
	case TrialFailed:
		return "trial call failed"
	case TrialAnswered:
		return "trial call answered"
	case ProbesOff:
		return "probes switched off"
	case EjectionOff:
		return "ejection switched off"
	case Remembered:
		return "remembered"
	}
	return "unknown"
}

// fails says whether e is the failure of a call.
func (e Event) fails() bool {
	switch e {
	case CallUnreachable, CallSilent, CallStuck, CallFailed, CallFull:
		return true
	}
	return false
}

// Observation is one thing seen of a host.
type Observation struct {
	Event      Event
	Code       int           // of the response: ProbeOK, CallAnswered, CallFailed, CallFull
	RetryAfter time.Duration // CallFull; 0 when the response had none
	RTT        time.Duration // ProbeOK: from request to response
	Number     uint32        // CallFailed: a hash of the called number
	Count      int           // CallsStall: how many wait
	// Beyond says that the call got more than 100: of CallTrying, which all that
	// does not count as an outcome is told as.
	Beyond bool
	// Besides says that it is not the outcome of a call: it was told before, or
	// is of another request. It ejects nobody and decides no trial.
	Besides bool
	// Detour says that a call's response came over another transport than the host
	// is known by. Of the call it says as much as any; of the host's own way, which
	// silence and ICMP are of, nothing: while probes go there, they end that doubt.
	Detour bool
	// Began is when the attempt began that a call's event is of; 0 is now. The
	// outcome of calls that began before an ejection was over decides no trial.
	Began int64
}

// began returns when the call began that o tells of.
func (o *Observation) began(now int64) int64 {
	if o.Began != 0 {
		return o.Began
	}
	return now
}
