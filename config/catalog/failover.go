package catalog

import (
	"strconv"
	"strings"
	"time"
)

// Failover says when an attempt is given up for the next candidate.
type Failover struct {
	Codes         Codes         // final responses that move the call on
	FirstResponse time.Duration // an attempt without any response ends after this
	Progress      time.Duration // an attempt with nothing but 100 ends after this
	NoAnswer      time.Duration // an attempt that rings this long makes room for the next candidate, if there is one; 0: never
	TimerC        time.Duration // RFC 3261 16.6 step 11: longest time without a final response; more than 3 minutes
	MaxRing       time.Duration // however often its connector says 183, no attempt rings longer than this
	AfterRinging  bool          // fail over although a 101-199 was relayed

	// Of the whole call: no connector's alone.
	MaxAttempts   int           // attempts in all, 1 to MaxAttempts
	ExhaustedCode int           // sent when every candidate failed; 0 is the best response by RFC 3261 16.7
	SetupBudget   time.Duration // the time that the caller gives us until first progress; 0: no limit
	WhenAllDown   WhenAllDown   // what becomes of hosts that are down or ejected, when nothing else is left
}

// WhenAllDown says whether hosts that are down or ejected are tried when nothing
// better is left.
type WhenAllDown uint8

const (
	// TryDown tries them last: no probe is as sure as a call.
	TryDown WhenAllDown = iota
	// RejectDown leaves them out, so that the caller can go elsewhere at once. What
	// brings them back (probes, a trial call) does so all the same.
	RejectDown
)

// WhenAllDownWords are the words for the values, in their order.
var WhenAllDownWords = [...]string{"try", "reject"}

func (w WhenAllDown) String() string { return WhenAllDownWords[w] }

// MaxAttempts is the most attempts that one call can be configured to make.
const MaxAttempts = 8

// DefaultFailover returns the settings of a file that says nothing.
func DefaultFailover() Failover {
	return Failover{
		Codes:         NewCodes(408, 500, 502, 503, 504),
		FirstResponse: 2 * time.Second,
		Progress:      12 * time.Second,
		TimerC:        185 * time.Second,
		MaxRing:       30 * time.Minute,
		MaxAttempts:   6,
		ExhaustedCode: 503,
	}
}

// FailoverField names values of a Failover: one, or a set of them.
type FailoverField uint16

// Fields of a Failover.
const (
	FieldCodes FailoverField = 1 << iota
	FieldFirstResponse
	FieldProgress
	FieldNoAnswer
	FieldTimerC
	FieldMaxRing
	FieldAfterRinging
	FieldMaxAttempts
	FieldExhaustedCode
	FieldSetupBudget
	FieldWhenAllDown

	// OfTheCall are the fields that count for a call and not for one attempt: a
	// connector's own count for calls to its own numbers.
	OfTheCall = FieldMaxAttempts | FieldExhaustedCode | FieldSetupBudget | FieldWhenAllDown
	// OfAnAttempt are the others.
	OfAnAttempt = EveryField - OfTheCall
	// EveryField is both.
	EveryField = FieldWhenAllDown<<1 - 1
)

// FailoverPart is what one level (all, a trunk, a group, a connector) says of
// Failover: the values that Set names, and nothing of the others.
type FailoverPart struct {
	Set    FailoverField
	Values Failover
}

// With returns f with the values that p sets of those in fields.
func (f Failover) With(p FailoverPart, fields FailoverField) Failover {
	set := p.Set & fields
	if set&FieldCodes != 0 {
		f.Codes = p.Values.Codes
	}
	if set&FieldFirstResponse != 0 {
		f.FirstResponse = p.Values.FirstResponse
	}
	if set&FieldProgress != 0 {
		f.Progress = p.Values.Progress
	}
	if set&FieldNoAnswer != 0 {
		f.NoAnswer = p.Values.NoAnswer
	}
	if set&FieldTimerC != 0 {
		f.TimerC = p.Values.TimerC
	}
	if set&FieldMaxRing != 0 {
		f.MaxRing = p.Values.MaxRing
	}
	if set&FieldAfterRinging != 0 {
		f.AfterRinging = p.Values.AfterRinging
	}
	if set&FieldMaxAttempts != 0 {
		f.MaxAttempts = p.Values.MaxAttempts
	}
	if set&FieldExhaustedCode != 0 {
		f.ExhaustedCode = p.Values.ExhaustedCode
	}
	if set&FieldSetupBudget != 0 {
		f.SetupBudget = p.Values.SetupBudget
	}
	if set&FieldWhenAllDown != 0 {
		f.WhenAllDown = p.Values.WhenAllDown
	}
	return f
}

// FailoverFields are all fields, in the order in which they are shown.
var FailoverFields = [...]FailoverField{
	FieldCodes, FieldFirstResponse, FieldProgress, FieldNoAnswer, FieldTimerC, FieldMaxRing, FieldAfterRinging,
	FieldMaxAttempts, FieldExhaustedCode, FieldSetupBudget, FieldWhenAllDown,
}

// Key returns the key of one field in a failover block.
func (f FailoverField) Key() string {
	switch f {
	case FieldCodes:
		return "codes"
	case FieldFirstResponse:
		return "first_response"
	case FieldProgress:
		return "progress"
	case FieldNoAnswer:
		return "no_answer"
	case FieldTimerC:
		return "timer_c"
	case FieldMaxRing:
		return "max_ring"
	case FieldAfterRinging:
		return "after_ringing"
	case FieldMaxAttempts:
		return "max_attempts"
	case FieldExhaustedCode:
		return "exhausted_code"
	case FieldSetupBudget:
		return "setup_budget"
	case FieldWhenAllDown:
		return "when_all_down"
	}
	return ""
}

// Text returns the value of one field as it is written in a failover block.
func (f Failover) Text(field FailoverField) string {
	switch field {
	case FieldCodes:
		return f.Codes.String()
	case FieldFirstResponse:
		return Duration(f.FirstResponse)
	case FieldProgress:
		return Duration(f.Progress)
	case FieldNoAnswer:
		return durationOrOff(f.NoAnswer)
	case FieldTimerC:
		return Duration(f.TimerC)
	case FieldMaxRing:
		return Duration(f.MaxRing)
	case FieldAfterRinging:
		return strconv.FormatBool(f.AfterRinging)
	case FieldMaxAttempts:
		return strconv.Itoa(f.MaxAttempts)
	case FieldExhaustedCode:
		if f.ExhaustedCode == 0 {
			return "best"
		}
		return strconv.Itoa(f.ExhaustedCode)
	case FieldSetupBudget:
		return durationOrOff(f.SetupBudget)
	case FieldWhenAllDown:
		return f.WhenAllDown.String()
	}
	return ""
}

// Duration writes a time as people do: "185s", "30m" and "1h", not "3m5s",
// "30m0s" and "1h0m0s".
func Duration(t time.Duration) string {
	switch {
	case t == 0 || t%time.Second != 0:
		return t.String()
	case t%time.Minute != 0:
		return strconv.FormatInt(int64(t/time.Second), 10) + "s"
	}
	s := strings.TrimSuffix(t.String(), "0s")
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func countOrOff(n int) string {
	if n == 0 {
		return "off"
	}
	return strconv.Itoa(n)
}

func durationOrOff(t time.Duration) string {
	if t == 0 {
		return "off"
	}
	return Duration(t)
}
