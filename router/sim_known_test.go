package router

import "os"

// simKnown is a defect that the simulation found and that is not mended yet. It
// is let pass until it is, so that others are found meanwhile:
//
//	SIM_STRICT=1 go test -run '^TestSim$' ./router
//
// shows those that are left. With a defect goes its line here.
type simKnown uint8

const (
	// "Frag needed" for an attempt that was given up sends its request again.
	simTooBigAfterTheEnd simKnown = iota
	// A 408 to a non-INVITE whose call is not here is relayed soon after a start
	// (RFC 4320 4.2).
	simStateless408
	// The ACK of an answer of our own without state (503 for max_cps, 400 for what
	// is cut) is forwarded when a retransmission was let in and answered meanwhile.
	simAckOfOwn
	// exhausted_code best, a non-INVITE: a 408 that came first keeps another 4xx
	// from being the best response, and is then not relayed itself.
	simBest408
	// A late response of an attempt makes the call live longer, and Timer G goes
	// on with it: Timer H does not end it 64*T1 after the refusal.
	simTimerH
)

// known reports whether to let a defect pass.
func (k *simChecker) known(simKnown) bool { return !k.strict }

func simStrict() bool { return os.Getenv("SIM_STRICT") != "" }
