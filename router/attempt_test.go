package router

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

func TestLosingAttemptIsNotSentAgain(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	g.pass(2100 * time.Millisecond) // west has the INVITE, and says nothing
	require.Equal(t, []string{"caller 200 INVITE"}, summary(g.from(east1, respond(first, 200))))
	require.Len(t, g.pass(2*time.Second), 2, "Timer A until first_response")
	require.Empty(t, g.pass(40*time.Second))
	require.Zero(t, g.r.Live())
}

func TestLateRefusalIsAcknowledgedEachTime(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	all := g.pass(2100 * time.Millisecond)
	second := all[len(all)-1]
	g.from(west1, respond(second, 180))
	require.Equal(t, []string{"caller 200 INVITE", "west1 CANCEL"}, summary(g.from(east1, respond(first, 200))))
	ack := []string{"west1 ACK"}
	require.Equal(t, ack, summary(g.from(west1, respond(second, 487))))
	require.Equal(t, ack, summary(g.from(west1, respond(second, 487))), "the first ACK may be lost")
}

func TestFailoverResponseIsAcknowledgedAfterTheAnswer(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	second := g.from(east1, respond(first, 503))[1]
	g.from(west1, respond(second, 200))
	require.Equal(t, []string{"east1 ACK"}, summary(g.from(east1, respond(first, 503))))
}

// A host that answered nothing 64·T1 after our CANCEL, and then does, has a
// call: the other one must not have it too.
func TestAnswerOfAnAttemptThatWasGivenUp(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	g.from(east1, respond(first, 100))
	all := g.pass(12100 * time.Millisecond)
	require.Equal(t, []string{"east1 CANCEL", "west1 INVITE"}, summary(all[len(all)-2:]))
	second := all[len(all)-1]
	g.from(west1, respond(second, 180))
	g.pass(40 * time.Second)
	all = g.from(east1, respond(first, 200))
	require.Equal(t, []string{"caller 200 INVITE", "west1 CANCEL"}, summary(all))
}

// A client that uses the INVITE's branch again for the ACK of a 2xx reaches
// the host that answered, late or not.
func TestAckWithTheBranchOfTheInviteAfterALateAnswer(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	g.pass(2100 * time.Millisecond)
	g.from(east1, respond(first, 200))
	require.Equal(t, []string{"east1 ACK"}, summary(g.from(caller, request("ACK", dialled, "To: <sip:+15550000001@198.51.100.1>;tag=calleetag"))))
}

func TestAttemptsAreCountedOnce(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	all := g.pass(2100 * time.Millisecond)
	second := all[len(all)-1]
	g.from(west1, respond(second, 180))
	g.from(east1, respond(first, 200))
	g.from(west1, respond(second, 487))
	require.Equal(t, map[string]uint64{"east silent": 1, "west cancelled": 1}, g.counts(CountAttempts))
}

func TestTimedOutAttemptIsCountedOnce(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	g.from(east1, respond(first, 180))
	require.Equal(t, []string{"east1 CANCEL"}, summary(g.pass(185010*time.Millisecond)))
	require.Equal(t, []string{"east1 ACK", "caller 408 INVITE"}, summary(g.from(east1, respond(first, 487))))
	require.Equal(t, map[string]uint64{"east timeout": 1}, g.counts(CountAttempts))
	require.Equal(t, map[string]uint64{"support timeout": 1}, g.counts(CountCalls))
}

func TestConnectorThatNeverAnswersTheCancel(t *testing.T) {
	g := newRig(t, twoRegions())
	first := g.call()
	g.from(east1, respond(first, 180))
	g.from(caller, request("CANCEL", dialled))
	require.Contains(t, summary(g.pass(32010*time.Millisecond)), "caller 487 INVITE")
	require.Equal(t, map[string]uint64{"east cancelled": 1}, g.counts(CountAttempts))
}

func TestBranchInUpperCaseIsOurs(t *testing.T) {
	g := newRig(t, twoRegions())
	text := respond(g.call(), 180)
	via := header(text, "Via")[0]
	at := strings.Index(via, "branch=") + len("branch=")
	text = strings.Replace(text, via, via[:at]+strings.ToUpper(via[at:]), 1)
	require.Equal(t, []string{"caller 180 INVITE"}, summary(g.from(east1, text)))
}

func TestRequestThatIsTooBigIsSentAgain(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	require.Equal(t, []sent{inv}, g.unreachable(inv, transport.TooBig))
}

// counts are the counters of that name that are not zero, by their labels.
func (g *rig) counts(name string) map[string]uint64 {
	counts := map[string]uint64{}
	g.r.Counts(func(c Count) {
		if c.Name == name && c.Value > 0 {
			counts[strings.TrimSpace(strings.Join(c.Labels[:], " "))] = c.Value
		}
	})
	return counts
}
