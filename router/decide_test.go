package router

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// decideCase is one row of design section 5 in one situation. best is with
// exhausted_code: best, ringing with after_ringing: true.
type decideCase struct {
	name          string
	s             situation
	e             event
	best, ringing bool
	want          verdict
}

func (c decideCase) run(t *testing.T) {
	f := catalog.DefaultFailover()
	if c.best {
		f.ExhaustedCode = 0
	}
	f.AfterRinging = c.ringing
	require.Equal(t, c.want, decide(c.s, c.e, &f))
}

func runDecide(t *testing.T, cases []decideCase) {
	for _, c := range cases {
		t.Run(c.name, c.run)
	}
}

// of is an INVITE's situation with what set changes.
func of(set func(*situation)) situation {
	s := situation{invite: true}
	set(&s)
	return s
}

var (
	inviteAlone  = situation{invite: true}
	nonInvite    = situation{}
	leftBehind   = situation{invite: true, abandoned: true, pending: true}
	wasRinging   = situation{invite: true, ringing: true}
	wasAnswered  = situation{invite: true, answered: true, stopping: true}
	wasRefused   = situation{invite: true, refused: true, stopping: true}
	wasCancelled = situation{invite: true, cancelled: true, stopping: true, revoked: true}
	hadTimerC    = situation{invite: true, stopping: true, revoked: true}
)

func TestDecideProvisional(t *testing.T) {
	ring := event{kind: provisional, status: 180}
	trying := event{kind: provisional, status: 100}
	runDecide(t, []decideCase{
		{name: "16.7 step 5: 180 goes upstream at once", s: inviteAlone, e: ring, want: verdict{relay: true}},
		{name: "16.7 step 5: 183 after 180", s: wasRinging, e: event{kind: provisional, status: 183}, want: verdict{relay: true}},
		{name: "16.7 step 5: 199", s: inviteAlone, e: event{kind: provisional, status: 199}, want: verdict{relay: true}},
		{name: "16.7 step 5: 100 never goes upstream", s: inviteAlone, e: trying, want: verdict{}},
		{name: "non-INVITE 100", s: nonInvite, e: trying, want: verdict{}},
		{name: "late, of an attempt left behind", s: leftBehind, e: ring, want: verdict{cancel: true}},
		{name: "late 100, of an attempt left behind", s: leftBehind, e: trying, want: verdict{cancel: true}},
		{name: "late, CANCEL is on its way", s: of(func(s *situation) { s.abandoned, s.revoked = true, true }), e: ring, want: verdict{}},
		{name: "late, of a non-INVITE: there is no CANCEL", s: situation{abandoned: true, pending: true}, e: ring, want: verdict{}},
		{name: "another attempt answered", s: wasAnswered, e: ring, want: verdict{cancel: true}},
		{name: "another attempt answered, CANCEL is on its way", s: of(func(s *situation) { s.answered, s.stopping, s.revoked = true, true, true }), e: ring, want: verdict{}},
		{name: "the call was refused", s: wasRefused, e: ring, want: verdict{cancel: true}},
		{name: "the caller sent CANCEL", s: wasCancelled, e: ring, want: verdict{}},
		{name: "Timer C fired", s: hadTimerC, e: ring, want: verdict{}},
	})
}

func TestDecide2xx(t *testing.T) {
	ok := event{kind: final, status: 200}
	want := verdict{relay: true, stop: true, cancelOthers: true}
	runDecide(t, []decideCase{
		{name: "16.7 steps 5 and 10", s: inviteAlone, e: ok, want: want},
		{name: "202", s: inviteAlone, e: event{kind: final, status: 202}, want: want},
		{name: "after ringing", s: wasRinging, e: ok, want: want},
		{name: "late, of an attempt left behind", s: leftBehind, e: ok, want: want},
		{name: "late, of an attempt that we cancelled", s: of(func(s *situation) { s.abandoned, s.revoked, s.pending = true, true, true }), e: ok, want: want},
		{name: "a second one", s: wasAnswered, e: ok, want: want},
		{name: "after a refusal went upstream", s: wasRefused, e: ok, want: want},
		{name: "it crossed the caller's CANCEL", s: wasCancelled, e: ok, want: want},
		{name: "it crossed the CANCEL of Timer C", s: hadTimerC, e: ok, want: want},
		{name: "non-INVITE", s: nonInvite, e: ok, want: verdict{relay: true, stop: true}},
		{name: "17.2.2: non-INVITE, a second one", s: situation{answered: true, stopping: true}, e: ok, want: verdict{stop: true}},
		{name: "17.2.2: non-INVITE, after a refusal went upstream", s: situation{refused: true, stopping: true}, e: ok, want: verdict{stop: true}},
	})
}

func TestDecideFailoverCode(t *testing.T) {
	for _, status := range []int{408, 500, 502, 503, 504} {
		e := event{kind: final, status: status}
		runDecide(t, []decideCase{
			{name: "before ringing", s: inviteAlone, e: e, want: verdict{next: true}},
			{name: "best: it competes", s: inviteAlone, e: e, best: true, want: verdict{keep: true, next: true}},
			{name: "non-INVITE", s: nonInvite, e: e, want: verdict{next: true}},
			{name: "an attempt left behind is unresolved", s: of(func(s *situation) { s.unresolved = true }), e: e, want: verdict{next: true}},
			{name: "after ringing", s: wasRinging, e: e, want: verdict{keep: true, stop: true, settle: true}},
			{name: "after_ringing", s: wasRinging, e: e, ringing: true, want: verdict{next: true}},
			{name: "late, of an attempt left behind", s: leftBehind, e: e, want: verdict{}},
			{name: "late, of an attempt left behind, best: it competes", s: leftBehind, e: e, best: true, want: verdict{keep: true}},
			{name: "the caller sent CANCEL", s: wasCancelled, e: e, want: verdict{settle: true}},
			{name: "the caller sent CANCEL, another attempt is live", s: of(func(s *situation) { s.cancelled, s.stopping, s.pending = true, true, true }), e: e, want: verdict{}},
			{name: "Timer C fired", s: hadTimerC, e: e, want: verdict{keep: true, settle: true}},
			{name: "the call is over: ACK only", s: wasAnswered, e: e, want: verdict{}},
			{name: "the call was refused: ACK only", s: wasRefused, e: e, want: verdict{}},
		})
	}
}

func TestDecide482(t *testing.T) {
	loop := event{kind: final, status: 482}
	runDecide(t, []decideCase{
		{name: "an earlier attempt may have made the second a merged one", s: of(func(s *situation) { s.unresolved = true }), e: loop, want: verdict{next: true}},
		{name: "every earlier attempt is over: a loop", s: inviteAlone, e: loop, want: verdict{keep: true, stop: true, settle: true}},
		{name: "after ringing", s: of(func(s *situation) { s.unresolved, s.ringing = true, true }), e: loop, want: verdict{keep: true, stop: true, settle: true}},
	})
}

func TestDecideRefusal(t *testing.T) {
	for _, status := range []int{302, 401, 404, 407, 480, 486, 487, 501, 505} {
		e := event{kind: final, status: status}
		runDecide(t, []decideCase{
			{name: "it stops the search", s: inviteAlone, e: e, want: verdict{keep: true, stop: true, settle: true}},
			{name: "after ringing", s: wasRinging, e: e, want: verdict{keep: true, stop: true, settle: true}},
			{name: "non-INVITE", s: nonInvite, e: e, want: verdict{keep: true, stop: true, settle: true}},
			{name: "an attempt left behind is unresolved", s: of(func(s *situation) { s.unresolved = true }), e: e, want: verdict{keep: true, stop: true, settle: true}},
			{name: "late, of an attempt left behind: it competes", s: leftBehind, e: e, want: verdict{keep: true}},
			{name: "the caller sent CANCEL: it decides", s: wasCancelled, e: e, want: verdict{keep: true, settle: true}},
			{name: "the caller sent CANCEL, another attempt is live", s: of(func(s *situation) { s.cancelled, s.stopping, s.pending = true, true, true }), e: e, want: verdict{keep: true}},
			{name: "the call is over: ACK only", s: wasAnswered, e: e, want: verdict{}},
			{name: "the call was refused: ACK only", s: wasRefused, e: e, want: verdict{}},
		})
	}
}

func TestDecide487ThatWeProvoked(t *testing.T) {
	e := event{kind: final, status: 487}
	runDecide(t, []decideCase{
		{name: "by leaving the attempt behind", s: of(func(s *situation) { s.abandoned, s.revoked, s.pending = true, true, true }), e: e, want: verdict{}},
		{name: "by Timer C", s: hadTimerC, e: e, want: verdict{settle: true}},
		{name: "by Timer C, another attempt is live", s: of(func(s *situation) { s.stopping, s.revoked, s.pending = true, true, true }), e: e, want: verdict{}},
		{name: "for the caller: his own", s: wasCancelled, e: e, want: verdict{keep: true, settle: true}},
	})
}

func TestDecide6xx(t *testing.T) {
	for _, status := range []int{600, 603, 604, 606, 607} {
		e := event{kind: final, status: status}
		runDecide(t, []decideCase{
			{name: "16.7 step 5", s: inviteAlone, e: e, want: verdict{keep: true, stop: true, cancelOthers: true, settle: true}},
			{name: "after ringing", s: wasRinging, e: e, want: verdict{keep: true, stop: true, cancelOthers: true, settle: true}},
			{name: "late: the live one is cancelled, its final is waited for", s: leftBehind, e: e, want: verdict{keep: true, stop: true, cancelOthers: true}},
			{name: "the caller sent CANCEL", s: wasCancelled, e: e, want: verdict{keep: true, stop: true, cancelOthers: true, settle: true}},
			{name: "the call is over: ACK only", s: wasAnswered, e: e, want: verdict{}},
		})
	}
}

func TestDecideSilence(t *testing.T) {
	e := event{kind: silence}
	runDecide(t, []decideCase{
		{name: "next", s: inviteAlone, e: e, want: verdict{abandon: true, next: true}},
		{name: "non-INVITE", s: nonInvite, e: e, want: verdict{abandon: true, next: true}},
		{name: "another host rang once", s: wasRinging, e: e, want: verdict{abandon: true, next: true}},
		{name: "the caller sent CANCEL: our 487", s: wasCancelled, e: e, want: verdict{abandon: true, settle: true}},
		{name: "the caller sent CANCEL, another attempt is live", s: of(func(s *situation) { s.cancelled, s.stopping, s.pending = true, true, true }), e: e, want: verdict{abandon: true}},
		{name: "a 6xx came from another", s: of(func(s *situation) { s.stopping, s.revoked = true, true }), e: e, want: verdict{abandon: true, settle: true}},
		{name: "left behind before", s: leftBehind, e: e, want: verdict{}},
		{name: "another attempt answered: no more retransmissions", s: wasAnswered, e: e, want: verdict{abandon: true}},
		{name: "the call was refused: no more retransmissions", s: wasRefused, e: e, want: verdict{abandon: true}},
	})
}

func TestDecideUnreachable(t *testing.T) {
	e := event{kind: unreachable}
	runDecide(t, []decideCase{
		{name: "next at once", s: inviteAlone, e: e, want: verdict{abandon: true, next: true}},
		{name: "a local send error", s: inviteAlone, e: event{kind: unreachable, status: 1}, want: verdict{abandon: true, next: true}},
		{name: "non-INVITE", s: nonInvite, e: e, want: verdict{abandon: true, next: true}},
		{name: "the caller sent CANCEL: our 487", s: wasCancelled, e: e, want: verdict{abandon: true, settle: true}},
		{name: "the caller sent CANCEL, another attempt is live", s: of(func(s *situation) { s.cancelled, s.stopping, s.pending = true, true, true }), e: e, want: verdict{abandon: true}},
		{name: "left behind before", s: leftBehind, e: e, want: verdict{}},
		{name: "another attempt answered: no more retransmissions", s: wasAnswered, e: e, want: verdict{abandon: true}},
	})
}

func TestDecideNoProgress(t *testing.T) {
	e := event{kind: noProgress}
	runDecide(t, []decideCase{
		{name: "CANCEL, next without waiting for the 487", s: inviteAlone, e: e, want: verdict{cancel: true, abandon: true, next: true}},
		{name: "another host rang once", s: wasRinging, e: e, want: verdict{cancel: true, abandon: true, next: true}},
		{name: "nothing new may start", s: of(func(s *situation) { s.stopping = true }), e: e, want: verdict{cancel: true}},
		{name: "left behind before", s: leftBehind, e: e, want: verdict{cancel: true}},
		{name: "another attempt answered", s: wasAnswered, e: e, want: verdict{cancel: true}},
	})
}

func TestDecideTimerC(t *testing.T) {
	e := event{kind: timerC}
	runDecide(t, []decideCase{
		{name: "16.8: CANCEL, no failover", s: inviteAlone, e: e, want: verdict{cancel: true, stop: true}},
		{name: "after ringing", s: wasRinging, e: e, want: verdict{cancel: true, stop: true}},
		{name: "another attempt answered", s: wasAnswered, e: e, want: verdict{cancel: true}},
	})
}

func TestDecideCancelThatBroughtNothing(t *testing.T) {
	e := event{kind: cancelUnsure}
	runDecide(t, []decideCase{
		{name: "9.1: 64*T1 after our CANCEL the attempt is over", s: wasCancelled, e: e, want: verdict{abandon: true, settle: true}},
		{name: "after Timer C", s: hadTimerC, e: e, want: verdict{abandon: true, settle: true}},
		{name: "another attempt is live", s: of(func(s *situation) { s.cancelled, s.stopping, s.revoked, s.pending = true, true, true, true }), e: e, want: verdict{abandon: true}},
		{name: "left behind before", s: leftBehind, e: e, want: verdict{}},
		{name: "another attempt answered", s: wasAnswered, e: e, want: verdict{}},
	})
}

// TestDecideNothingNewAfterTheEnd goes through all situations: whatever
// happens, no attempt starts after CANCEL, a 2xx, a 6xx or a final response,
// and an attempt that is left behind moves nothing.
func TestDecideNothingNewAfterTheEnd(t *testing.T) {
	everySituation(func(s situation, e event, f *catalog.Failover) {
		v := decide(s, e, f)
		if s.answered || s.refused {
			require.False(t, v.next || v.settle, "%+v %+v", s, e)
		}
		if s.stopping || s.abandoned {
			require.False(t, v.next, "%+v %+v", s, e)
		}
		require.False(t, v.next && v.settle, "%+v %+v", s, e)
		require.False(t, v.next && v.stop, "%+v %+v", s, e)
		if e.kind == final && e.status < 300 {
			require.Equal(t, s.invite || !s.answered && !s.refused, v.relay, "%+v %+v", s, e)
		}
		if e.kind == final && e.status >= 300 || e.kind > final {
			require.False(t, v.relay, "%+v %+v", s, e)
		}
		if !s.invite && (e.kind == provisional || e.kind == final) && e.status/100 != 6 {
			require.False(t, v.cancel || v.cancelOthers, "%+v %+v", s, e)
		}
	})
}

// everySituation calls f with all situations that a call can be in.
func everySituation(f func(situation, event, *catalog.Failover)) {
	events := []event{{kind: silence}, {kind: noProgress}, {kind: timerC}, {kind: unreachable}, {kind: cancelUnsure}}
	for _, status := range []int{100, 180, 199} {
		events = append(events, event{provisional, status})
	}
	for _, status := range []int{200, 302, 401, 408, 482, 486, 487, 500, 503, 603} {
		events = append(events, event{final, status})
	}
	fo := catalog.DefaultFailover()
	for bits := range 1 << 10 {
		on := func(i int) bool { return bits>>i&1 == 1 }
		s := situation{on(0), on(1), on(2), on(3), on(4), on(5), on(6), on(7), on(8), on(9)}
		if s.answered || s.refused || s.cancelled {
			s.stopping = true
		}
		for _, e := range events {
			f(s, e, &fo)
		}
	}
}

// RFC 3261 16.7 step 6: 6xx before all, then the lowest class; within one the
// first, but 401, 407, 415, 420 and 484 before others of their class.
func TestBetter(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b int
		want bool
	}{
		{"the first", 0, 503, true},
		{"6xx before 3xx", 302, 603, true},
		{"nothing before 6xx", 603, 302, false},
		{"the first 6xx", 600, 603, false},
		{"lower class", 503, 404, true},
		{"higher class", 404, 503, false},
		{"3xx before 4xx", 486, 302, true},
		{"4xx before 3xx", 302, 486, false},
		{"the first of a class", 404, 486, false},
		{"401 tells what to do", 486, 401, true},
		{"407 tells what to do", 404, 407, true},
		{"415 tells what to do", 404, 415, true},
		{"420 tells what to do", 404, 420, true},
		{"484 tells what to do", 404, 484, true},
		{"the first that tells", 401, 484, false},
		{"what tells stays", 484, 404, false},
		{"the first of 5xx", 502, 500, false},
		{"a 503 speaks for one host only", 503, 500, true},
		{"another 5xx stays", 504, 503, false},
	} {
		require.Equal(t, c.want, better(c.a, c.b), c.name)
	}
}
