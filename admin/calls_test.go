package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router"
)

// ring stands for the router's: it keeps calls in the order of their end.
type ring struct {
	mu      sync.Mutex
	calls   []router.CallRecord
	missed  uint64
	reading func() // called in the middle of Recent, once the calls are noted
}

func (r *ring) end(calls ...router.CallRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, calls...)
}

func (r *ring) recent(limit int, match func(*router.CallRecord) bool) (found []router.CallRecord) {
	if r.reading != nil {
		r.reading()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.calls) - 1; i >= 0 && len(found) < limit; i-- {
		if match == nil || match(&r.calls[i]) {
			found = append(found, r.calls[i])
		}
	}
	return found
}

type ringFollower struct {
	r  *ring
	at int
}

func (r *ring) follow() follower {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &ringFollower{r, len(r.calls)}
}

func (f *ringFollower) Next() ([]router.CallRecord, uint64) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	calls := slices.Clone(f.r.calls[f.at:])
	f.at = len(f.r.calls)
	missed := f.r.missed
	f.r.missed = 0
	return calls, missed
}

// page is /calls of r with a server whose limits a follower outlives.
func page(t *testing.T, r *ring, change ...func(*callsPage)) *httptest.Server {
	t.Helper()
	p := newCallsPage(options(t).Router)
	p.recent, p.follow, p.poll = r.recent, r.follow, time.Millisecond
	for _, f := range change {
		f(p)
	}
	server := httptest.NewUnstartedServer(local(p))
	server.Config.ReadTimeout, server.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	server.Config.RegisterOnShutdown(p.stop)
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(p.stop)
	return server
}

var beginning = time.Date(2026, 11, 22, 23, 41, 7, 120e6, time.UTC)

// call is one that was answered; id makes it another.
func call(id int, change ...func(*router.CallRecord)) router.CallRecord {
	c := router.CallRecord{
		Began: beginning.Add(time.Duration(id) * time.Second), CallID: fmt.Sprint(id), Number: "+15550000001", Method: "INVITE",
		Trunk: "carrier-a", Source: "198.51.100.7:5060", Route: "support", Outcome: "answered", Status: 200, Took: 610,
		Attempts: []router.AttemptRecord{{Connector: "east", Host: "sip:10.0.1.10:5060", Outcome: "answered", Status: 200, End: 610}},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

// ask returns the Call-IDs that /calls answers with, or the text of an error.
func ask(t *testing.T, server *httptest.Server, query string) (ids []string, text string) {
	t.Helper()
	code, body := get(t, server.Listener.Addr().String(), "/calls"+query)
	if code != http.StatusOK {
		require.Equal(t, http.StatusBadRequest, code)
		return nil, body
	}
	var calls []router.CallRecord
	require.NoError(t, json.Unmarshal([]byte(body), &calls))
	for _, c := range calls {
		ids = append(ids, c.CallID)
	}
	return ids, ""
}

func TestCallsFilters(t *testing.T) {
	r := new(ring)
	for i, change := range []func(*router.CallRecord){
		func(c *router.CallRecord) {},
		func(c *router.CallRecord) { c.Number = "15550000001" },
		func(c *router.CallRecord) { c.Number = "+15550000002"; c.Trunk = "carrier-b" },
		func(c *router.CallRecord) { c.Route = "sales"; c.Attempts = append(c.Attempts, c.Attempts...) },
		func(c *router.CallRecord) { c.Outcome, c.Status, c.Route = "exhausted", 503, "sales" },
		func(c *router.CallRecord) { c.Outcome, c.Status = "timeout", 408 },
		func(c *router.CallRecord) {
			c.Outcome, c.Status, c.Reason, c.Route, c.Attempts = "rejected", 404, "no route", "", nil
		},
		func(c *router.CallRecord) { c.Outcome, c.Status = "refused", 486 },
		func(c *router.CallRecord) { c.Outcome, c.Status, c.CallID = "cancelled", 487, "7+&%@host" },
	} {
		r.end(call(i, change))
	}
	server := page(t, r)
	for query, want := range map[string]string{
		"":                             "7+&%@host 7 6 5 4 3 2 1 0",
		"?last=2":                      "7+&%@host 7",
		"?last=10000":                  "7+&%@host 7 6 5 4 3 2 1 0",
		"?follow=0&failed=0":           "7+&%@host 7 6 5 4 3 2 1 0",
		"?call_id=7%2B%26%25%40host":   "7+&%@host",
		"?call_id=8":                   "",
		"?trunk=carrier-b":             "2",
		"?trunk=carrier":               "",
		"?route=sales":                 "4 3",
		"?failed=1":                    "7+&%@host 6 5 4", // given up before anything rang
		"?failed_over=1":               "3",
		"?failed=1&route=sales&last=5": "4",
		"?number=%2B15550000002":       "2",
		"?number=+15550000002":         "2", // a shell's user forgets that "+" is a space
		"?number=%2B1+(555)+000-0002":  "2",
		"?number=%2B1-5550000002":      "2",
		"?number=1-555-000-0001":       "1",
		"?number=1555":                 "",
		"?number=%2B15550000001&last=1&trunk=none": "",
	} {
		ids, text := ask(t, server, query)
		require.Empty(t, text, query)
		require.Equal(t, want, strings.Join(ids, " "), query)
	}
}

func TestCallsRefuseWhatTheyDoNotKnow(t *testing.T) {
	server := page(t, new(ring))
	for query, want := range map[string]string{
		"?lst=3":                     `"lst" is unknown; known are last, number, call_id, trunk, route, failed, failed_over, follow`,
		"?last=x":                    `last="x": write how many calls, from 1 to 10000`,
		"?last=0":                    `last="0": write how many calls, from 1 to 10000`,
		"?last=-1&follow=1":          `last="-1": write how many calls, from 1 to 10000, or 0 for none of those that are over`,
		"?last=10001":                `last="10001": write how many calls, from 1 to 10000`,
		"?last=1&last=2":             "last is given 2 times; once is right",
		"?trunk=":                    "trunk is empty; give it a value, or leave it out",
		"?failed=yes":                `failed="yes": write failed=1, or leave it out`,
		"?failed_over":               "failed_over is empty; give it a value, or leave it out",
		"?number=1555*":              "number: write one number, no prefix",
		"?number=alice":              `number: "alice" holds 'a'; write digits with or without a leading "+"`,
		"?number=%2B1-%2B2":          `number: "+1+2" holds '+'; write digits with or without a leading "+"`,
		"?number=1;last=2":           "the query cannot be read: invalid semicolon separator in query",
		"?number=1234567890123456":   "number: 1234567890123456 has more than 15 digits, the longest that E.164 allows",
		"?zzz=1&aaa=2&failed=perhap": `"aaa" is unknown; known are last, number, call_id, trunk, route, failed, failed_over, follow`,
	} {
		_, text := ask(t, server, query)
		if strings.Contains(text, "15 digits") {
			text, want = "long", "long" // its words are the catalog's
		}
		require.Equal(t, strings.TrimSuffix(want, "\n"), strings.TrimSuffix(text, "\n"), query)
	}
}

func TestCallsAreOneJSONArray(t *testing.T) {
	server := page(t, new(ring))
	res, err := http.Get(server.URL + "/calls")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "application/json", res.Header.Get("Content-Type"))
	_, text := get(t, server.Listener.Addr().String(), "/calls")
	require.Equal(t, "[]\n", text)

	r := new(ring)
	r.end(call(0, func(c *router.CallRecord) { c.CallID = "\xff\x00<\x1b[2J" }))
	_, text = get(t, page(t, r).Listener.Addr().String(), "/calls")
	require.Equal(t, `[{"began":"2026-11-22T23:41:07.12Z","number":"+15550000001","method":"INVITE","call_id":"\ufffd\u0000\u003c\u001b[2J",`+
		`"trunk":"carrier-a","source":"198.51.100.7:5060","route":"support","outcome":"answered","status":200,"took_ms":610,`+
		`"attempts":[{"connector":"east","host":"sip:10.0.1.10:5060","outcome":"answered","status":200,"start_ms":0,"end_ms":610}]}]`+"\n", text)
}

// following is a client of /calls?follow=1.
type following struct {
	t     *testing.T
	res   *http.Response
	lines *bufio.Scanner
	leave context.CancelFunc
}

func follow(t *testing.T, server *httptest.Server, query string) *following {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/calls?follow=1"+query, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	return &following{t, res, bufio.NewScanner(res.Body), cancel}
}

// line is the next one, that of a call as its Call-ID.
func (f *following) line() string {
	f.t.Helper()
	require.True(f.t, f.lines.Scan(), "the stream ended: %v", f.lines.Err())
	text := f.lines.Text()
	var c router.CallRecord
	if json.Unmarshal([]byte(text), &c) == nil && c.CallID != "" {
		return c.CallID
	}
	return text
}

func (f *following) require(want ...string) {
	f.t.Helper()
	for _, w := range want {
		require.Equal(f.t, w, f.line())
	}
}

func TestCallsFollow(t *testing.T) {
	r := new(ring)
	r.end(call(1), call(2), call(3))
	f := follow(t, page(t, r), "&last=2")
	require.Equal(t, http.StatusOK, f.res.StatusCode)
	require.Equal(t, "application/x-ndjson", f.res.Header.Get("Content-Type"))
	f.require("2", "3")
	r.end(call(4))
	f.require("4")
	r.end(call(5), call(6))
	f.require("5", "6")
}

func TestCallsFollowFilters(t *testing.T) {
	other := func(c *router.CallRecord) { c.Number = "100" }
	r := new(ring)
	r.end(call(1), call(2, other), call(3))
	f := follow(t, page(t, r), "&last=1&number=100")
	f.require("2")
	r.end(call(4), call(5, other))
	f.require("5")
}

func TestCallsFollowNoneOfThoseThatAreOver(t *testing.T) {
	r := new(ring)
	r.end(call(1))
	f := follow(t, page(t, r), "&last=0") // its head has arrived: it follows
	r.end(call(2))
	f.require("2")
}

func TestCallsFollowTellsWhatItMissed(t *testing.T) {
	r := &ring{missed: 2}
	r.end(call(1))
	f := follow(t, page(t, r), "")
	f.require("1", `{"missed":2}`)
	r.mu.Lock()
	r.missed = 7
	r.calls = append(r.calls, call(8))
	r.mu.Unlock()
	f.require(`{"missed":7}`, "8")
	r.mu.Lock()
	r.missed = 1
	r.mu.Unlock()
	f.require(`{"missed":1}`)
}

// Calls that end while those kept are read are shown once, and in their order.
func TestCallsFollowMissesNothingBetween(t *testing.T) {
	for name, last := range map[string]string{"fewer than were asked for": "", "more than were asked for": "&last=1", "none was asked for": "&last=0"} {
		t.Run(name, func(t *testing.T) {
			r := new(ring)
			twin := call(4) // the same in all that is known, and another one
			r.end(call(1), call(2))
			r.reading = sync.OnceFunc(func() { r.end(call(3), twin, twin) })
			f := follow(t, page(t, r), last)
			if last == "" {
				f.require("1", "2")
			}
			f.require("3", "4", "4")
			r.end(call(5))
			f.require("5")
		})
	}
}

func TestCallsFollowKeepAlive(t *testing.T) {
	f := follow(t, page(t, new(ring), func(p *callsPage) { p.keepAlive = 5 * time.Millisecond }), "")
	f.require("", "", "")
}

// The server's limits on a request, 50 ms here, do not end a follower.
func TestCallsFollowOutlivesTheTimeouts(t *testing.T) {
	r := new(ring)
	begun := time.Now()
	f := follow(t, page(t, r, func(p *callsPage) { p.keepAlive = 10 * time.Millisecond }), "")
	for time.Since(begun) < 300*time.Millisecond {
		f.require("")
	}
	// Nor does a silence that is longer than they are.
	f = follow(t, page(t, r, func(p *callsPage) { p.keepAlive = 200 * time.Millisecond }), "")
	f.require("", "")
}

// A client that takes nothing is left after a while: its place is needed.
func TestCallsFollowLeavesAClientThatDoesNotRead(t *testing.T) {
	r := new(ring)
	var p *callsPage
	server := page(t, r, func(page *callsPage) { page.writeLimit = 50 * time.Millisecond; p = page })
	f := follow(t, server, "")
	require.Len(t, p.followers, 1)
	long := strings.Repeat("x", 1<<20)
	require.Eventually(t, func() bool {
		r.end(call(1, func(c *router.CallRecord) { c.Reason = long }))
		return len(p.followers) == 0
	}, 20*time.Second, 5*time.Millisecond)
	f.leave()
}

func TestCallsFollowersAreFew(t *testing.T) {
	var p *callsPage
	server := page(t, new(ring), func(page *callsPage) { p = page })
	all := make([]*following, maxFollowers)
	for i := range all {
		all[i] = follow(t, server, "")
	}
	code, text := get(t, server.Listener.Addr().String(), "/calls?follow=1")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "8 clients follow the calls already, and more are not served: end one of them\n", text)
	code, _ = get(t, server.Listener.Addr().String(), "/calls")
	require.Equal(t, http.StatusOK, code, "who only looks is served")

	all[3].leave()
	require.Eventually(t, func() bool { return len(p.followers) < maxFollowers }, 10*time.Second, time.Millisecond, "a client that goes is noticed")
	require.Equal(t, http.StatusOK, follow(t, server, "").res.StatusCode)
}

func TestCallsFollowHead(t *testing.T) {
	res, err := http.Head(page(t, new(ring)).URL + "/calls?follow=1")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "application/x-ndjson", res.Header.Get("Content-Type"))
}

// A node that stops does not wait for followers, nor cuts a line of theirs.
func TestCallsFollowEndsWithTheServer(t *testing.T) {
	s, err := Listen(options(t))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	res, err := http.Get("http://" + s.AdminAddr() + "/calls?follow=1")
	require.NoError(t, err)
	defer res.Body.Close()
	begun := time.Now()
	stop()
	_, err = bufio.NewReader(res.Body).ReadString('\n')
	require.EqualError(t, err, "EOF", "it ends in order")
	require.NoError(t, <-done)
	require.Less(t, time.Since(begun), shutdownGrace)
}

func TestCallsAndExplainAreOnTheAdminAddressAlone(t *testing.T) {
	opts := options(t)
	opts.Metrics = "127.0.0.1:0"
	s, err := Listen(opts)
	require.NoError(t, err)
	serving(t, s)
	for _, path := range []string{"/calls", "/explain?number=100"} {
		code, _ := get(t, s.AdminAddr(), path)
		require.Equal(t, http.StatusOK, code, path)
		code, _ = get(t, s.MetricsAddr(), path)
		require.Equal(t, http.StatusNotFound, code, path)
		res, err := http.Post("http://"+s.AdminAddr()+path, "text/plain", nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, path)
	}
}
