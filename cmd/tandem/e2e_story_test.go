//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What became of a call is told in five places: the log, tandem calls for
// people and as JSON, /calls, /metrics and tandem explain. They have to agree.

const storyConfig = twoConnectors + `
trunks:
  - {name: carrier, sources: [127.0.0.2]}
  - {name: bursty, sources: [127.0.0.3], max_cps: 1, burst: 1}
failover: {first_response: 500ms}
health: {probe: false}
`

// story is a call as the JSON of its places has it.
type story map[string]any

// stories asks the node for the calls with a Call-ID, over HTTP.
func (n *node) stories(callID string) []story {
	n.t.Helper()
	resp, err := http.Get("http://" + n.admin + "/calls?call_id=" + url.QueryEscape(callID))
	require.NoError(n.t, err)
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	require.NoError(n.t, err)
	require.Equal(n.t, http.StatusOK, resp.StatusCode, string(page))
	var all []story
	require.NoError(n.t, json.Unmarshal(page, &all))
	return all
}

// told returns the story of a call, which is the same over HTTP, from tandem
// calls --json, and in the log when it is a story for the log.
func (n *node) told(d *dialog, logged string) story {
	n.t.Helper()
	all := n.stories(d.id)
	require.Len(n.t, all, 1)
	out, code := run(n.t, "calls", "--admin", n.admin, "--call-id", d.id, "--json")
	require.Equal(n.t, 0, code, out)
	var printed story
	require.NoError(n.t, json.Unmarshal([]byte(out), &printed))
	require.Equal(n.t, all[0], printed)
	if logged == "" {
		require.NotContains(n.t, n.logs.String(), d.id, "calls that are not let in would flood the log")
		return printed
	}
	line := n.logged(regexp.QuoteMeta(d.id))
	require.Equal(n.t, logged, line["msg"])
	require.Equal(n.t, 1, strings.Count(n.logs.String(), d.id), "one line")
	for _, key := range []string{"number", "route", "trunk", "source", "method", "call_id", "outcome", "status", "took_ms", "attempts"} {
		require.Contains(n.t, line, key)
		require.Equal(n.t, printed[key], line[key], key)
	}
	return printed
}

// brief is what of a story does not depend on time: how it ended, and for each
// attempt the connector, the host and its end.
func (s story) brief() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v %v %v %v", s["number"], s["trunk"], s["route"], s["outcome"], s["status"])
	if s["reason"] != nil {
		fmt.Fprintf(&b, " (%v)", s["reason"])
	}
	attempts, _ := s["attempts"].([]any)
	for _, a := range attempts {
		a := story(a.(map[string]any))
		fmt.Fprintf(&b, "; %v %v %v %v", a["connector"], a["host"], a["outcome"], a["status"])
	}
	return b.String()
}

// masked is a text for people without what differs from run to run.
func (l *lab) masked(text string) string {
	text = strings.ReplaceAll(text, l.net, "127.0.0.")
	for _, m := range [][2]string{
		{`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}`, "DATE TIME"},
		{`\+\d+\.\d\d s`, "+START"},
		{`(after|within) [\d.]+ m?s`, "$1 TIME"},
		{`(?m)^  call-id \S+$`, "  call-id ID"},
	} {
		text = regexp.MustCompile(m[0]).ReplaceAllString(text, m[1])
	}
	return text
}

const storyForPeople = `DATE TIME  +15550000001  carrier (127.0.0.2:5060) -> support  FAILED with 503 Service Unavailable after TIME: all 2 attempts failed
  1  first   east  sip:127.0.0.11:5060  +START  failed with 503 Service Unavailable after TIME: tried the next
  2  second  west  sip:127.0.0.12:5060  +START  failed with 503 Service Unavailable after TIME: nothing left to try
  call-id ID

DATE TIME  +15550000001  carrier (127.0.0.2:5060) -> support  answered 200 after TIME, on attempt 2 of 2
  1  first   east  sip:127.0.0.11:5060  +START  no answer at all within TIME: tried the next
  2  second  west  sip:127.0.0.12:5060  +START  ringing after TIME, answered 200 after TIME
  call-id ID

DATE TIME  +15559999999  carrier (127.0.0.2:5060)  REJECTED with 404 Not Found: no group and no connector has this number
  call-id ID

DATE TIME  +15559999999  bursty (127.0.0.3:5060)  REJECTED with 404 Not Found: no group and no connector has this number
  call-id ID

DATE TIME  +15550000001  bursty (127.0.0.3:5060) -> support  REJECTED with 503 Service Unavailable: the trunk is over its max_cps
  call-id ID

DATE TIME  +15550000001  bursty (127.0.0.3:5060) -> support  answered 200 after TIME
  1  second  west  sip:127.0.0.12:5060  +START  ringing after TIME, answered 200 after TIME
  call-id ID
`

func TestE2E_OneStoryEverywhere(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, bursty, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.3"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(storyConfig)
	const number = "+15550000001"
	explained := func() string {
		out, code := run(t, "explain", "--admin", n.admin, number)
		require.Equal(t, 0, code, out)
		require.Contains(t, out, "number   "+number+"\n")
		require.Contains(t, out, "route    group support\n")
		return l.masked(out)
	}
	count := func(series string) float64 { return n.metric("^tandem_" + series) }

	// Everybody says 503. Explain has the hosts in the order of the attempts.
	before := explained()
	require.Regexp(t, `(?m)^  1  first +east +sip:127\.0\.0\.11:5060 +up +connector priority 1,.*\n  2  second +west +sip:127\.0\.0\.12:5060 +up +connector priority 2,`, before)
	failed := caller.call(n.addr, number).start()
	first.answer(first.expect("INVITE"), 503, reasons[503])
	second.answer(second.expect("INVITE"), 503, reasons[503])
	first.expect("ACK")
	second.expect("ACK")
	require.Empty(t, failed.fails(503).headers("Retry-After"))
	require.Equal(t, l.place("+15550000001 carrier support exhausted 503; first sip:127.0.0.11:5060 failed 503; second sip:127.0.0.12:5060 failed 503"),
		n.told(failed, "call failed").brief())
	require.Equal(t, 1.0, count(`calls_total{outcome="exhausted",route="support"}`))
	require.Equal(t, 1.0, count(`trunk_calls_total{outcome="exhausted",trunk="carrier"}`))
	require.Equal(t, 1.0, count(`calls_total`))
	for _, connector := range []string{"first", "second"} {
		require.Equal(t, 1.0, count(`attempts_total{connector="`+connector+`",outcome="failed"}`))
	}
	require.Equal(t, 2.0, count(`attempts_total`))
	require.Equal(t, 1.0, count(`failovers_total{reason="code"}`), "there was no next for the second")
	require.Zero(t, count(`failover_delay_seconds_count`), "it did not get through")
	require.Equal(t, before, explained(), "a 503 without Retry-After changes no order")

	// The first is silent.
	over := caller.call(n.addr, number).start()
	first.expect("INVITE")
	second.pickUp()
	caller.expect("180 INVITE")
	over.established()
	second.expect("ACK")
	told := n.told(over, "call failed over")
	require.Equal(t, l.place("+15550000001 carrier support answered 200; first sip:127.0.0.11:5060 silent <nil>; second sip:127.0.0.12:5060 answered 200"), told.brief())
	silent, answered := told["attempts"].([]any)[0].(map[string]any), told["attempts"].([]any)[1].(map[string]any)
	require.GreaterOrEqual(t, silent["end_ms"], 500.0, "first_response")
	require.Equal(t, silent["end_ms"], answered["start_ms"])
	require.Equal(t, told["progress_ms"], answered["progress_ms"])
	require.Equal(t, told["took_ms"], answered["end_ms"])
	require.Equal(t, 1.0, count(`calls_total{outcome="answered",route="support"}`))
	require.Equal(t, 1.0, count(`trunk_calls_total{outcome="answered",trunk="carrier"}`))
	require.Equal(t, 1.0, count(`attempts_total{connector="first",outcome="silent"}`))
	require.Equal(t, 1.0, count(`attempts_total{connector="second",outcome="answered"}`))
	require.Equal(t, 1.0, count(`failovers_total{reason="silent"}`))
	require.Equal(t, 1.0, count(`failover_delay_seconds_count{route="support"}`))
	require.InDelta(t, answered["start_ms"].(float64)/1000, count(`failover_delay_seconds_sum{route="support"}`), 0.001)
	require.InDelta(t, told["took_ms"].(float64)/1000, count(`setup_answer_seconds_sum{route="support"}`), 0.001)
	require.Equal(t, 1.0, count(`host_state{connector="first",.*state="doubtful"}`))
	require.Regexp(t, `(?m)^  1  second .*\n  2  first +east +sip:127\.0\.0\.11:5060 +doubtful +.*doubtful \(.*\): behind every healthier host$`, explained())
	over.bye(second)
	first.drain()

	// To nowhere.
	lost := caller.call(n.addr, "+15559999999").start()
	lost.fails(404)
	require.Equal(t, "+15559999999 carrier <nil> rejected 404 (no group and no connector has this number)", n.told(lost, "").brief())
	out, code := run(t, "explain", "--admin", n.admin, "+15559999999")
	require.Equal(t, 1, code)
	require.Contains(t, out, "404")
	require.Equal(t, 1.0, count(`rejected_total{reason="no_route"}`))

	// Over the trunk's rate, for which calls to nowhere do not count.
	bursty.call(n.addr, "+15559999999").start().fails(404)
	let, refused := bursty.call(n.addr, number).start(), bursty.call(n.addr, number).start()
	require.Equal(t, "1", refused.fails(503).header("Retry-After"))
	second.pickUp()
	bursty.expect("180 INVITE")
	let.established()
	second.expect("ACK")
	let.bye(second)
	require.Equal(t, "+15550000001 bursty support rejected 503 (the trunk is over its max_cps)", n.told(refused, "").brief())
	require.Equal(t, 1.0, count(`rejected_total{reason="max_cps"}`))
	require.Equal(t, 1.0, count(`trunk_over_rate_total{trunk="bursty"}`))
	require.Equal(t, 3.0, count(`calls_total`), "none of those that were not let in")
	first.quiet(0)

	out, code = run(t, "calls", "--admin", n.admin)
	require.Equal(t, 0, code, out)
	require.Equal(t, storyForPeople, l.masked(out))
}
