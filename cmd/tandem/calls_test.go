package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router"
)

var callBegan = time.Date(2026, 11, 22, 23, 41, 7, 120e6, time.Local)

// aCall is one to support from carrier-a that changes make another.
func aCall(outcome string, status int, took float64, change func(*router.CallRecord), attempts ...router.AttemptRecord) router.CallRecord {
	c := router.CallRecord{
		Began: callBegan.UTC(), Number: "+15550000001", Method: "INVITE", CallID: "1-2345@10.0.0.9", Trunk: "carrier-a",
		Source: "198.51.100.7:5060", Route: "support", Outcome: outcome, Status: status, Took: took,
	}
	for i := range attempts {
		a := attempts[i]
		a.Connector, a.Region, a.Host = []string{"support-east", "support-west"}[i%2], []string{"us-east-1", ""}[i%2], fmt.Sprintf("sip:10.0.%d.10:5060", i+1)
		c.Attempts = append(c.Attempts, a)
	}
	if change != nil {
		change(&c)
	}
	return c
}

// The words for every outcome of a call and of an attempt.
func TestCallStories(t *testing.T) {
	type attempt = router.AttemptRecord
	good := attempt{Outcome: "answered", Status: 200, Start: 500, First: 501, Progress: 520, End: 610}
	rang := func(c *router.CallRecord) { c.Progress = 520 }
	for _, c := range []struct {
		name string
		call router.CallRecord
		want string
	}{
		{"answered by the second", aCall("answered", 200, 610, rang, attempt{Outcome: "silent", End: 500}, good), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  answered 200 after 0.61 s, on attempt 2 of 2
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  no answer at all within 0.50 s: tried the next
  2  support-west  -          sip:10.0.2.10:5060  +0.50 s  ringing after 0.02 s, answered 200 after 0.11 s
  call-id 1-2345@10.0.0.9
`},
		{"answered at once", aCall("answered", 200, 4.2, nil, attempt{Outcome: "answered", Status: 200, End: 4.2}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  answered 200 after 4.2 ms
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  answered 200 after 4.2 ms
  call-id 1-2345@10.0.0.9
`},
		{"a late answer of the first", aCall("answered", 200, 700, nil,
			attempt{Outcome: "answered", Status: 200, End: 700}, attempt{Outcome: "pending", Start: 500, Progress: 600}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  answered 200 after 0.70 s, on attempt 1 of 2
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  answered 200 after 0.70 s: late, the next was tried already
  2  support-west  -          sip:10.0.2.10:5060  +0.50 s  ringing after 0.10 s, cancelled: another attempt was answered
  call-id 1-2345@10.0.0.9
`},
		{"whatever moves a call on", aCall("answered", 200, 610, nil,
			attempt{Outcome: "failed", Status: 503, End: 20}, attempt{Outcome: "failed", Status: 500, Start: 20, Progress: 40, End: 140},
			attempt{Outcome: "no_progress", Start: 140, First: 150, End: 12140}, attempt{Outcome: "no_answer", Start: 12140, Progress: 12540, End: 32140},
			attempt{Outcome: "icmp", Start: 32140, End: 32141}, attempt{Outcome: "send_error", Start: 32141, End: 32141}, good), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  answered 200 after 0.61 s, on attempt 7 of 7
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s   failed with 503 Service Unavailable after 0.02 s: tried the next
  2  support-west  -          sip:10.0.2.10:5060  +0.02 s   ringing after 0.02 s, failed with 500 Server Internal Error after 0.12 s: tried the next
  3  support-east  us-east-1  sip:10.0.3.10:5060  +0.14 s   nothing but 100 Trying within 12.00 s, cancelled: tried the next
  4  support-west  -          sip:10.0.4.10:5060  +12.14 s  ringing after 0.40 s, nobody answered within 20.00 s, cancelled: tried the next
  5  support-east  us-east-1  sip:10.0.5.10:5060  +32.14 s  unreachable: the network said so (ICMP) after 1.0 ms: tried the next
  6  support-west  -          sip:10.0.6.10:5060  +32.14 s  this machine could not send to it: tried the next
  7  support-east  us-east-1  sip:10.0.7.10:5060  +0.50 s   ringing after 0.02 s, answered 200 after 0.11 s
  call-id 1-2345@10.0.0.9
`},
		{"refused", aCall("refused", 486, 310, nil,
			attempt{Outcome: "silent", End: 200}, attempt{Outcome: "refused", Status: 486, Start: 200, Progress: 250, End: 310}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  refused with 486 Busy Here after 0.31 s, by support-west
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  no answer at all within 0.20 s: tried the next
  2  support-west  -          sip:10.0.2.10:5060  +0.20 s  ringing after 0.05 s, refused with 486 Busy Here after 0.11 s: passed on to the caller
  call-id 1-2345@10.0.0.9
`},
		{"exhausted", aCall("exhausted", 503, 4000, nil, attempt{Outcome: "silent", End: 2000}, attempt{Outcome: "failed", Status: 504, Start: 2000, End: 4000}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  FAILED with 503 Service Unavailable after 4.00 s: all 2 attempts failed
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  no answer at all within 2.00 s: tried the next
  2  support-west  -          sip:10.0.2.10:5060  +2.00 s  failed with 504 Server Time-out after 2.00 s: nothing left to try
  call-id 1-2345@10.0.0.9
`},
		{"exhausted at the only one", aCall("exhausted", 503, 1, nil, attempt{Outcome: "send_error", End: 1}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  FAILED with 503 Service Unavailable after 1.0 ms: its only attempt failed
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  this machine could not send to it: nothing left to try
  call-id 1-2345@10.0.0.9
`},
		{"exhausted before the first", aCall("exhausted", 503, 0, nil), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  FAILED with 503 Service Unavailable after 0.0 ms: there was no host to try
  call-id 1-2345@10.0.0.9
`},
		{"nothing but hosts that are down", aCall("exhausted", 503, 0, func(c *router.CallRecord) { c.Reason = "all is down" }), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  FAILED with 503 Service Unavailable after 0.0 ms: all is down
  call-id 1-2345@10.0.0.9
`},
		{"nothing else but hosts that are down", aCall("exhausted", 503, 2000, func(c *router.CallRecord) { c.Reason = "the rest is down" }, attempt{Outcome: "silent", End: 2000}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  FAILED with 503 Service Unavailable after 2.00 s: its only attempt failed; the rest is down
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  no answer at all within 2.00 s: nothing left to try
  call-id 1-2345@10.0.0.9
`},
		{"cancelled while it rang", aCall("cancelled", 487, 3200, rang, attempt{Outcome: "cancelled", Status: 487, Progress: 100, End: 3200}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  the caller gave up after 3.20 s, while it rang
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  ringing after 0.10 s, cancelled after 3.20 s: the caller gave up
  call-id 1-2345@10.0.0.9
`},
		{"cancelled before it rang", aCall("cancelled", 487, 3200, nil,
			attempt{Outcome: "cancelled", End: 3200}, attempt{Outcome: "pending", Start: 1000, First: 1100}, attempt{Outcome: "pending", Start: 3100}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  the caller gave up after 3.20 s, before it rang
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  no answer at all, cancelled after 3.20 s: the caller gave up
  2  support-west  -          sip:10.0.2.10:5060  +1.00 s  100 Trying after 0.10 s, cancelled: the caller gave up
  3  support-east  us-east-1  sip:10.0.3.10:5060  +3.10 s  no answer at all, cancelled: the caller gave up
  call-id 1-2345@10.0.0.9
`},
		{"timeout", aCall("timeout", 408, 185e3, rang, attempt{Outcome: "timeout", First: 10, Progress: 20, End: 185e3}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  FAILED with 408 Request Timeout after 185 s: it rang, and nobody answered
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  ringing after 0.02 s, no final answer within 185 s, cancelled
  call-id 1-2345@10.0.0.9
`},
		{"timeout without ringing", aCall("timeout", 408, 32e3, func(c *router.CallRecord) { c.Method = "MESSAGE" },
			attempt{Outcome: "timeout", First: 10, End: 32e3}, attempt{Outcome: "pending", Start: 1000}), `
2026-11-22 23:41:07.120  MESSAGE to +15550000001  carrier-a (198.51.100.7:5060) -> support  FAILED with 408 Request Timeout after 32.00 s: no final answer in time
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  100 Trying after 0.01 s, no final answer within 32.00 s, cancelled
  2  support-west  -          sip:10.0.2.10:5060  +1.00 s  no answer at all, without a final answer when the call was over
  call-id 1-2345@10.0.0.9
`},
		{"rejected", aCall("rejected", 404, 0, func(c *router.CallRecord) {
			c.Route, c.Reason = "", "no group and no connector has this number"
		}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060)  REJECTED with 404 Not Found: no group and no connector has this number
  call-id 1-2345@10.0.0.9
`},
		{"rejected, of nobody", aCall("rejected", 403, 0, func(c *router.CallRecord) {
			c.Route, c.Trunk, c.Number, c.CallID = "", "", "", ""
		}), `
2026-11-22 23:41:07.120  (no number)  no trunk (198.51.100.7:5060)  REJECTED with 403 Forbidden
  call-id -
`},
		{"a stranger's bytes", aCall("rejected", 404, 0, func(c *router.CallRecord) {
			c.Number, c.CallID, c.Reason = "al\x1b[2Jice", "a\r\nb\u009bc", "x\ty"
		}), "\n" + `2026-11-22 23:41:07.120  al` + "\ufffd" + `[2Jice  carrier-a (198.51.100.7:5060) -> support  REJECTED with 404 Not Found: x` + "\ufffd" + `y
  call-id a` + "\ufffd\ufffd" + `b` + "\ufffd" + `c
`},
		{"words of a newer node", aCall("lost", 0, 10, nil, attempt{Outcome: "mislaid"}), `
2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  lost, no response after 0.01 s
  1  support-east  us-east-1  sip:10.0.1.10:5060  +0.00 s  mislaid
  call-id 1-2345@10.0.0.9
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			writeCall(&out, &c.call)
			require.Equal(t, c.want, "\n"+out.String())
		})
	}
}

// fakeNode answers as a node's admin address does.
type fakeNode struct {
	*httptest.Server
	mu     sync.Mutex
	asked  string // path and query of the last request
	answer func(w http.ResponseWriter, r *http.Request)
}

func newFakeNode(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *fakeNode {
	t.Helper()
	n := &fakeNode{answer: answer}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		n.asked = r.URL.Path + "?" + r.URL.Query().Encode()
		n.mu.Unlock()
		n.answer(w, r)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *fakeNode) lastAsked() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func sayCalls(calls ...router.CallRecord) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(calls) }
}

func TestCallsCommand(t *testing.T) {
	node := newFakeNode(t, sayCalls(
		aCall("refused", 486, 20, func(c *router.CallRecord) { c.CallID = "second" }),
		aCall("answered", 200, 10, func(c *router.CallRecord) { c.CallID = "first" }),
	))
	out, errs, code := command(t, "calls", "--admin", node.URL)
	require.Equal(t, 0, code, errs)
	require.Equal(t, `2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  answered 200 after 0.01 s
  call-id first

2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  refused with 486 Busy Here after 0.02 s
  call-id second
`, out)
	require.Equal(t, "/calls?", node.lastAsked())

	out, _, code = command(t, "calls", "--json", "--admin", node.Listener.Addr().String()+"/")
	require.Equal(t, 0, code)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 2)
	for i, id := range []string{"first", "second"} {
		var c router.CallRecord
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &c))
		require.Equal(t, id, c.CallID)
	}

	_, _, code = command(t, "calls", "--last", "20", "--number", "+1 (555) 000-0001", "--call-id", "a&b=c", "--trunk", "t", "--route", "r",
		"--failed", "--failed-over", "--admin", node.URL)
	require.Equal(t, 0, code)
	require.Equal(t, "/calls?call_id=a%26b%3Dc&failed=1&failed_over=1&last=20&number=%2B1+%28555%29+000-0001&route=r&trunk=t", node.lastAsked())
}

func TestCallsCommandWithoutCalls(t *testing.T) {
	node := newFakeNode(t, sayCalls())
	for _, args := range [][]string{{}, {"--json"}} {
		out, errs, code := command(t, append([]string{"calls", "--admin", node.URL}, args...)...)
		require.Equal(t, exitFailed, code)
		require.Empty(t, out)
		require.Equal(t, "no call matches: a node keeps its newest calls only (recent_calls in its config), and each once its set-up is over; --follow waits for those to come\n", errs)
	}
}

// What is wrong is said so that one knows what to do.
func TestCallsCommandErrors(t *testing.T) {
	closed := newFakeNode(t, sayCalls())
	closed.Close()
	refuse := func(code int, text string) *fakeNode {
		return newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, code) })
	}
	for _, c := range []struct {
		name, admin string
		want        []string
	}{
		{"nobody there", closed.URL, []string{
			"the node at " + closed.URL + " cannot be asked: ", "connection refused\n", "Is it running", "--admin URL", `"admin: off"`,
		}},
		{"the metrics address", refuse(404, "404 page not found").URL, []string{" has no /calls: this is no admin address", "--admin URL"}},
		{"a bad value", refuse(400, `last="0": write how many`).URL, []string{` says: last="0": write how many` + "\n"}},
		{"too many followers", refuse(503, "8 clients follow").URL, []string{" says: 8 clients follow\n"}},
		{"no node at all", newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }).URL, []string{"the node's answer cannot be read: "}},
		{"no address", "http://\x7f", []string{"--admin: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"calls", "--admin", c.admin}
			if c.name == "too many followers" {
				args = append(args, "--follow")
			}
			out, errs, code := command(t, args...)
			require.Equal(t, exitFailed, code)
			require.Empty(t, out)
			for _, want := range c.want {
				require.Contains(t, errs, want)
			}
		})
	}
}

// stream answers with lines as they come, until the client or the test ends.
func streamed(lines <-chan string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case line, open := <-lines:
				if !open {
					return
				}
				fmt.Fprintln(w, line)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
}

func TestCallsCommandFollows(t *testing.T) {
	line := func(id string) string {
		text, err := json.Marshal(aCall("answered", 200, 10, func(c *router.CallRecord) { c.CallID = id }))
		require.NoError(t, err)
		return string(text)
	}
	const head = "2026-11-22 23:41:07.120  +15550000001  carrier-a (198.51.100.7:5060) -> support  answered 200 after 0.01 s\n"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"as stories": {nil, head + "  call-id 1\n\n-- 3 calls are not shown: they ended faster than they could be read\n\n" + head + "  call-id 2\n"},
		"as JSON":    {[]string{"--json"}, line("1") + "\n" + `{"missed":3}` + "\n" + line("2") + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := make(chan string)
			node := newFakeNode(t, streamed(lines))
			ctx, interrupt := context.WithCancel(t.Context())
			read, write := io.Pipe()
			done := make(chan int, 1)
			var errs bytes.Buffer
			go func() {
				done <- run(ctx, append([]string{"calls", "--follow", "--last", "5", "--admin", node.URL}, c.args...), write, &errs)
			}()
			go func() {
				for _, l := range []string{line("1"), "", `{"missed":3}`, "", line("2")} {
					lines <- l
				}
			}()
			got := make([]byte, len(c.want)) // it is printed as it comes, not at the end
			_, err := io.ReadFull(read, got)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
			require.Equal(t, "/calls?follow=1&last=5", node.lastAsked())
			interrupt()
			require.Equal(t, 0, <-done, "to be interrupted is how it ends: %s", errs.String())
		})
	}
}

func TestCallsCommandFollowsANodeThatStops(t *testing.T) {
	lines := make(chan string)
	close(lines)
	_, errs, code := command(t, "calls", "--follow", "--admin", newFakeNode(t, streamed(lines)).URL)
	require.Equal(t, exitFailed, code)
	require.Equal(t, "the node is not followed any more: it has stopped, or was restarted\n", errs)
}
