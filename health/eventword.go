package health

// Word is the name of an event for programs and files: it stays when its text gets
// better.
func (e Event) Word() string {
	switch e {
	case Nothing:
		return "nothing"
	case ProbeOK:
		return "probe_answered"
	case ProbeFailed:
		return "probe_silent"
	case ProbeUnreachable:
		return "probe_unreachable"
	case CallUnreachable:
		return "call_unreachable"
	case CallSilent:
		return "call_silent"
	case CallStuck:
		return "call_stuck"
	case CallsStall:
		return "calls_stall"
	case CallTrying:
		return "call_trying"
	case CallAnswered:
		return "call_answered"
	case CallFailed:
		return "call_failed"
	case CallFull:
		return "call_full"
	case RetryAfterOver:
		return "retry_after_over"
	case RampOver:
		return "slow_start_over"
	case FailedCalls:
		return "failed_calls"
	case TrialFailed:
		return "trial_failed"
	case TrialAnswered:
		return "trial_answered"
	case ProbesOff:
		return "probes_off"
	case EjectionOff:
		return "ejection_off"
	case Remembered:
		return "remembered"
	}
	return "unknown"
}

// EventOf returns the event of a word.
func EventOf(word string) (Event, bool) {
	for e := Nothing; e.String() != "unknown"; e++ {
		if e.Word() == word {
			return e, true
		}
	}
	return Nothing, false
}

// StateOf returns the state of a word.
func StateOf(word string) (State, bool) {
	for _, s := range States {
		if s.String() == word {
			return s, true
		}
	}
	return Up, false
}
