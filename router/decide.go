package router

import "tandem/config/catalog"

// event is something that happened to an attempt.
type event struct {
	kind   eventKind
	status int // of provisional and final
}

type eventKind uint8

const (
	provisional  eventKind = iota // a 1xx
	final                         // a 2xx-6xx, its first arrival
	silence                       // no response at all within first_response
	noProgress                    // nothing but 100 within progress
	noAnswer                      // it rings, and there is another candidate
	timerC                        // no final within timer_c (RFC 3261 16.8)
	unreachable                   // ICMP for its request, or it could not be sent
	cancelUnsure                  // our CANCEL brought no final within 64·T1
)

// situation is what a decision depends on besides the event.
type situation struct {
	invite    bool
	answered  bool // a 2xx went upstream
	refused   bool // a final response other than 2xx went upstream
	stopping  bool // nothing new may start: CANCEL, a 6xx, or Timer C
	cancelled bool // the caller sent CANCEL
	ringing   bool // a 101-199 was relayed
	// Of the attempt that the event is about:
	abandoned bool // left behind for the next candidate
	revoked   bool // we sent CANCEL for it, or will at its first provisional
	// Of the other attempts:
	pending    bool // one is live and not abandoned
	unresolved bool // one that was abandoned has no final response yet
}

// verdict is what is to be done, in the order of its fields.
type verdict struct {
	relay        bool // this response goes upstream now
	keep         bool // it competes for the best response (RFC 3261 16.7 step 6)
	stop         bool // start nothing new from now on
	cancel       bool // CANCEL this attempt
	cancelOthers bool // CANCEL every other attempt
	abandon      bool // leave this attempt behind; a late answer is still known
	next         bool // try the next candidate
	settle       bool // answer upstream with the best that there is
}

// decide is design section 5: what an event means for the call. It touches no
// socket and no clock.
func decide(s situation, e event, f *catalog.Failover) verdict {
	switch e.kind {
	case provisional:
		return decideProvisional(s, e.status)
	case final:
		if e.status < 300 {
			// RFC 3261 16.7 step 5 and 10: every 2xx to an INVITE, at once, and the
			// others end. Anything else gets one final response.
			first := !s.answered && !s.refused
			return verdict{relay: s.invite || first, stop: true, cancelOthers: s.invite}
		}
		return decideRefusal(s, e.status, f)
	}
	if s.answered || s.refused {
		// Nobody waits for it any more: what has begun is cancelled, what has not
		// is not sent again.
		begun := e.kind == timerC || e.kind == noProgress || e.kind == noAnswer
		return verdict{cancel: begun, abandon: !begun && e.kind != cancelUnsure}
	}
	switch e.kind {
	case silence, unreachable:
		if s.abandoned {
			return verdict{}
		}
		if s.stopping {
			return verdict{abandon: true, settle: !s.pending}
		}
		return verdict{abandon: true, next: true}
	case noProgress, noAnswer:
		if s.abandoned || s.stopping {
			return verdict{cancel: true}
		}
		return verdict{cancel: true, abandon: true, next: true}
	case timerC:
		return verdict{cancel: true, stop: true}
	case cancelUnsure:
		if s.abandoned {
			return verdict{}
		}
		return verdict{abandon: true, settle: !s.pending}
	}
	return verdict{}
}

func decideProvisional(s situation, status int) verdict {
	switch {
	case s.answered, s.refused, s.abandoned:
		return verdict{cancel: s.invite && !s.revoked} // late: nobody waits for it any more
	case status == 100, s.stopping, !s.invite: // RFC 4320 4.1: a non-INVITE has no provisional but 100
		return verdict{}
	}
	return verdict{relay: true}
}

func decideRefusal(s situation, status int, f *catalog.Failover) verdict {
	if s.answered || s.refused {
		return verdict{} // its ACK is all it gets
	}
	// A 487 that we provoked by leaving an attempt behind says nothing about the call.
	provoked := status == 487 && s.revoked && !s.cancelled
	failover := f.Codes.Has(status) || status == 482 && s.unresolved
	switch {
	case status >= 600:
		// RFC 3261 16.7 step 5: end the pending ones, then relay.
		return verdict{keep: true, stop: true, cancelOthers: true, settle: !s.pending}
	case s.abandoned:
		return verdict{keep: !provoked && (!failover || f.ExhaustedCode == 0)}
	case s.cancelled:
		return verdict{keep: !failover, settle: !s.pending} // its 487 decides; a failure becomes our 487
	case s.stopping:
		return verdict{keep: !provoked, settle: !s.pending}
	case failover && (!s.ringing || f.AfterRinging):
		return verdict{keep: f.ExhaustedCode == 0, next: true}
	}
	return verdict{keep: true, stop: true, settle: true}
}

// better reports whether a final response with status b is to be preferred to
// one with status a, which came earlier (RFC 3261 16.7 step 6).
func better(a, b int) bool {
	if a == 0 {
		return true
	}
	if (a >= 600) != (b >= 600) {
		return b >= 600
	}
	if a/100 != b/100 {
		return b/100 < a/100
	}
	if a == 503 && b != 503 {
		return true // a 503 speaks for one host only
	}
	return preferred(b) && !preferred(a)
}

// preferred are the 4xx that tell the caller what to do differently.
func preferred(status int) bool {
	switch status {
	case 401, 407, 415, 420, 484:
		return true
	}
	return false
}
