package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRefusals(t *testing.T) {
	r := new(refusals)
	const key, other = 0x123456789abcdef0, 0x923456789abcdef0
	require.Zero(t, r.of(key, second))
	require.Zero(t, r.of(0, second), "an empty word says nothing")
	a := admission{status: 503, why: rejectRate}
	r.note(key, a, second)
	require.Equal(t, a, r.of(key, second))
	require.Equal(t, a, r.of(key, second+timerB))
	require.Zero(t, r.of(key, 2*second+timerB))
	require.Zero(t, r.of(other, second))
	for why, status := range refusalStatus {
		if status != 0 {
			r.note(key, admission{status: status, why: rejection(why)}, second)
			require.Equal(t, admission{status: status, why: rejection(why)}, r.of(key, second))
		}
	}
}

// An INVITE that was refused for a reason that has gone stays refused: its
// caller has heard so, and a phone must not ring for nobody.
func TestRetransmissionOfARefusedInvite(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].MaxCPS, p.Trunks[0].Burst = 1, 1
	g := newRig(t, p)
	g.call()
	require.Equal(t, "caller 503 INVITE", summary(g.nth(1))[0])
	g.now += 2 * second
	again := g.nth(1)
	require.Equal(t, []string{"caller 503 INVITE"}, summary(again))
	require.Equal(t, []string{"1"}, header(again[0].text, "Retry-After"))
	require.Equal(t, "east1 INVITE", summary(g.nth(2))[1], "the next call is let in")

	unknown := request("INVITE", "sip:+1999@198.51.100.1", "Call-ID: unknown")
	require.Equal(t, []string{"caller 404 INVITE"}, summary(g.from(caller, unknown)))
	require.NoError(t, g.r.Assign(g.now, Owner{Group: p.Catalog.Groups[0].Name}, key("+1999")))
	g.now += 2 * second
	require.Equal(t, []string{"caller 404 INVITE"}, summary(g.from(caller, unknown)))
	g.now += int64(33 * time.Second)
	require.Equal(t, "east1 INVITE", summary(g.from(caller, unknown))[1], "a new call long after")
}
