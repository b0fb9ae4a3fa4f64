//go:build linux

package main_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// levels is a config of three groups. Two have a carrier that is slow in its
// own way, and a failover block of their own for it; the third has a connector
// that takes longer to ring than the others' blocks allow. The one that never
// gets beyond 100 is not ejected for it, so that each call meets it.
const levels = `
failover: {progress: 10s}
connectors:
  - {name: trying-only, region: east, hosts: [{uri: "sip:127.0.0.11:5060"}], health: {eject_after: off}}
  - {name: ringing-only, region: east, hosts: [{uri: "sip:127.0.0.12:5060"}], failover: {no_answer: 1s}}
  - {name: deliberate, region: east, hosts: [{uri: "sip:127.0.0.13:5060"}]}
  - {name: quick, region: east, hosts: [{uri: "sip:127.0.0.14:5060"}]}
  - {name: standby, region: west, hosts: [{uri: "sip:127.0.0.15:5060"}]}
groups:
  - name: slow
    connectors: [{connector: trying-only, priority: 1}, {connector: standby, priority: 2}]
    numbers: ["+15550000001"]
    failover: {first_response: 500ms, progress: 1s}
  - name: unanswered
    connectors: [{connector: ringing-only, priority: 1}, {connector: standby, priority: 2}]
    numbers: ["+15550000002"]
    failover: {no_answer: 5s}
  - name: patient
    connectors: [{connector: deliberate, priority: 1}, {connector: standby, priority: 2}]
    numbers: ["+15550000003"]
  - name: other
    connectors: [{connector: quick, priority: 1}, {connector: standby, priority: 2}]
    numbers: ["+15550000004"]
`

// A slow carrier is a matter of its own group: what its calls wait for, and
// when they move on, is that group's, and nobody else's calls wait or move.
func TestE2E_SlowCarrierInOneGroup(t *testing.T) {
	t.Parallel()
	const calls, rate = 60, 20
	l := newLab(t)
	trying := l.sippConnector(scenario(t, "connector-trying", rewritten(t, "connector-cancel", "180 Ringing", "100 Trying")), "127.0.0.11")
	ringing := l.sippConnector("connector-cancel", "127.0.0.12")
	deliberate := l.sippConnector(scenario(t, "connector-deliberate", rewritten(t, "connector",
		`<recv request="INVITE" rrs="true"/>`, `<recv request="INVITE" rrs="true"/>`+trying100+`<pause milliseconds="2500"/>`)), "127.0.0.13")
	quick := l.sippConnector("connector", "127.0.0.14", "-d", "200")
	standby := l.sippConnector("connector", "127.0.0.15")
	n := l.serve(levels)
	groups := []struct{ name, number, host, scenario string }{
		{"slow", "+15550000001", "127.0.0.2:5061", "caller"},
		{"unanswered", "+15550000002", "127.0.0.2:5062", scenario(t, "caller-twice-rung",
			rewritten(t, "caller", `<recv response="180"/>`, `<recv response="180"/>`+"\n  "+`<recv response="180"/>`))},
		{"patient", "+15550000003", "127.0.0.2:5063", "caller"},
		{"other", "+15550000004", "127.0.0.2:5064", "caller"},
	}
	var callers []*sipp
	for _, g := range groups {
		callers = append(callers, callerSIPp(t, nil, g.scenario, l.addr(g.host), n.addr, g.number, calls, rate))
	}
	for _, c := range callers {
		c.finish().allSucceeded(calls)
	}

	// Of the calls of a route: how many set-ups there were, and how many of them
	// took at most so many seconds.
	within := func(histogram, route, seconds string) float64 {
		return n.metric(`^tandem_setup_` + histogram + `_seconds_bucket{route="` + route + `",le="` + seconds + `"}`)
	}
	for _, g := range groups {
		require.EqualValues(t, calls, n.metric(`^tandem_calls_total{outcome="answered",route="`+g.name+`"}`), g.name)
		require.EqualValues(t, calls, within("progress", g.name, `\+Inf`), g.name)
	}
	require.Zero(t, within("progress", "slow", "0.5"), "the group's progress is 1 s")
	require.EqualValues(t, calls, within("progress", "slow", "3"), "and not the global one, 10 s")
	require.Zero(t, within("answer", "unanswered", "0.5"), "the connector's no_answer is 1 s")
	require.EqualValues(t, calls, within("answer", "unanswered", "3"), "and not the group's, 5 s")
	require.Zero(t, within("progress", "patient", "2"), "it rings after 2.5 s")
	require.EqualValues(t, calls, within("progress", "other", "1"), "less than any of the others may take")
	require.EqualValues(t, calls, within("answer", "other", "1"))

	// How many attempts each had, and what became of them.
	for _, g := range groups {
		first := map[string]string{"slow": "no_progress", "unanswered": "no_answer", "patient": "answered", "other": "answered"}[g.name]
		all := n.recent(g.number, time.Time{})
		require.Len(t, all, calls, g.name)
		for _, c := range all {
			require.Equal(t, first, c.Attempts[0].Outcome, g.name)
			if first == "answered" {
				require.Len(t, c.Attempts, 1, g.name)
			} else {
				require.Len(t, c.Attempts, 2, g.name)
				require.GreaterOrEqual(t, c.Attempts[1].Start, 1000.0, g.name)
			}
		}
	}
	require.EqualValues(t, calls, n.metric(`^tandem_failovers_total{reason="no_progress"}`))
	require.EqualValues(t, calls, n.metric(`^tandem_failovers_total{reason="no_answer"}`))
	require.EqualValues(t, 2*calls, n.metric(`^tandem_failovers_total`))

	// What the connectors themselves say.
	require.Equal(t, calls, trying.stop().count("CANCEL_Recv"))
	require.Equal(t, calls, ringing.stop().count("CANCEL_Recv"))
	require.Equal(t, calls, deliberate.stop().count("INVITE_Recv"))
	require.Equal(t, calls, quick.stop().count("INVITE_Recv"))
	require.Equal(t, 2*calls, standby.stop().count("INVITE_Recv"), "the slow groups' calls, and no others")
	t.Logf("%d calls each: slow %v, unanswered %v failed over; patient 0, other 0; other's set-ups within 1 s: %v, within 0.5 s: %v",
		calls, n.metric(`^tandem_failovers_total{reason="no_progress"}`), n.metric(`^tandem_failovers_total{reason="no_answer"}`),
		within("answer", "other", "1"), within("answer", "other", "0.5"))
}

const trying100 = `
  <send>
    <![CDATA[

      SIP/2.0 100 Trying
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

    ]]>
  </send>
  `
