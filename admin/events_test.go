package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/health"
)

// serverLimit is what a server gives a request, of which a stream knows nothing.
const serverLimit = 250 * time.Millisecond

// eventsServer is /v1/events with a server whose limits a listener outlives.
func eventsServer(t *testing.T, e *Events, change ...func(*eventsPage)) *httptest.Server {
	t.Helper()
	p := newEventsPage(e)
	for _, f := range change {
		f(p)
	}
	server := httptest.NewUnstartedServer(local(p))
	server.Config.ReadTimeout, server.Config.WriteTimeout = serverLimit, serverLimit
	server.Config.RegisterOnShutdown(p.stop)
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(p.stop)
	return server
}

// listening is a client of /v1/events.
type listening struct {
	t     *testing.T
	res   *http.Response
	lines *bufio.Scanner
	leave context.CancelFunc
}

func listen(t *testing.T, url, lastID string) *listening {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/events", nil)
	require.NoError(t, err)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	return &listening{t, res, lines, cancel}
}

// block is the next part of the stream, its lines by their names.
func (l *listening) block() map[string]string {
	l.t.Helper()
	block := make(map[string]string)
	for l.lines.Scan() {
		if l.lines.Text() == "" {
			return block
		}
		name, value, _ := strings.Cut(l.lines.Text(), ":")
		block[name] = strings.TrimPrefix(value, " ")
	}
	require.Fail(l.t, "the stream ended", "%v", l.lines.Err())
	return nil
}

// event is the next one, which must be of a kind.
func (l *listening) event(kind string) (e Event) {
	l.t.Helper()
	b := l.block()
	require.Equal(l.t, kind, b["event"])
	require.NoError(l.t, json.Unmarshal([]byte(b["data"]), &e))
	require.Equal(l.t, b["id"], e.ID)
	return e
}

// numbered is a region's change whose reason tells which one it is.
func numbered(e *Events, n int) {
	e.Region(&health.RegionFlip{Region: "east", Unhealthy: true, Bad: n, Hosts: n, At: e.now()}, 0)
}

func newTestEvents() *Events { return NewEvents(func() int64 { return 5 }) }

// What a real registry says of hosts and regions, and an order, in their order.
func TestEventsTellWhatChanges(t *testing.T) {
	w := newWard(t)
	w.page.clock, w.opts.Events.clock = time.Now, time.Now
	s, err := Listen(w.opts)
	require.NoError(t, err)
	serving(t, s)
	l := listen(t, "http://"+s.AdminAddr(), "")
	require.Equal(t, "text/event-stream", l.res.Header.Get("Content-Type"))
	first := l.block()
	require.Regexp(t, `^[0-9a-z]+-0$`, first["id"])
	require.NotContains(t, first, "data")

	failed := health.Observation{Event: health.ProbeFailed}
	w.sees(2, 2*time.Second, health.Observation{Event: health.CallSilent})
	w.sees(2, time.Second, failed, failed, failed)
	e := l.event("host")
	require.WithinDuration(t, time.Now().Add(-2*time.Second), e.Time, time.Second)
	e.ID, e.Time = "", time.Time{}
	require.Equal(t, Event{
		Kind: "host", Subject: "sip:127.0.0.1:5083;transport=udp", Connectors: []string{"west", "other"}, Regions: []string{"us-west"},
		From: "up", To: "doubtful", Reason: Reason{Text: "no answer to a call", Event: "call_silent"},
	}, e)
	e = l.event("host")
	require.Equal(t, []string{"doubtful", "down"}, []string{e.From, e.To})
	e = l.event("region")
	require.Equal(t, []string{"us-west", "healthy", "unhealthy", "1 of 1 hosts down or ejected"}, []string{e.Subject, e.From, e.To, e.Reason.Text})

	d := &desk{t: t, opts: w.opts, addr: s.AdminAddr()}
	d.answered("/v1/connectors/west/drain", `{"note": "maintenance 4711"}`)
	d.answered("/v1/connectors/west/drain", `{"note": "maintenance 4711"}`) // changes nothing
	e = l.event("region")
	require.Equal(t, []string{"us-west", "healthy", "none of its hosts is in service"}, []string{e.Subject, e.To, e.Reason.Text})
	e = l.event("order")
	require.Equal(t, []string{"connector west", "enabled", "draining", "maintenance 4711"}, []string{e.Subject, e.From, e.To, e.Reason.Text})
	require.Equal(t, []string{"west", "us-west"}, append(e.Connectors, e.Regions...))
	d.answered("/v1/connectors/west/enable", "")
	e = l.event("region")
	require.Equal(t, []string{"us-west", "unhealthy"}, []string{e.Subject, e.To})
	e = l.event("order")
	require.Equal(t, []string{"draining", "enabled", "ordered"}, []string{e.From, e.To, e.Reason.Text})
	require.Regexp(t, `-7$`, e.ID)
}

func TestEventsNameAHostThatIsGone(t *testing.T) {
	e := newTestEvents()
	e.Host(&health.Flip{Key: health.Key{URI: "sip:10.0.0.1:5060"}, To: health.Down, At: 5}, nil, 3)
	events, _, _ := e.after(0)
	require.Equal(t, []any{"sip:10.0.0.1:5060", 3}, []any{events[0].Subject, events[0].NotShown})
	require.Nil(t, events[0].Connectors)
}

func TestEventsResume(t *testing.T) {
	e := newTestEvents()
	server := eventsServer(t, e)
	l := listen(t, server.URL, "")
	start := l.block()["id"]
	for i := range 3 {
		numbered(e, i+1)
	}
	l.event("region")
	second := l.event("region")
	l.leave()

	l = listen(t, server.URL, second.ID)
	l.block()
	require.Equal(t, "3 of 3 hosts down or ejected", l.event("region").Reason.Text, "what came after the last that was seen")
	numbered(e, 4)
	require.Equal(t, "4 of 4 hosts down or ejected", l.event("region").Reason.Text)

	l = listen(t, server.URL, start)
	l.block()
	require.Equal(t, "1 of 1 hosts down or ejected", l.event("region").Reason.Text, "also when nothing was seen yet")

	l = listen(t, server.URL, "")
	require.Equal(t, e.id(4), l.block()["id"])
	numbered(e, 5)
	require.Equal(t, "5 of 5 hosts down or ejected", l.event("region").Reason.Text, "who does not ask begins now")
}

func TestEventsResumeTellsWhatIsLost(t *testing.T) {
	e := newTestEvents()
	server := eventsServer(t, e)
	for i := range eventsKept + 7 {
		numbered(e, i+1)
	}
	l := listen(t, server.URL, e.id(2))
	l.block()
	b := l.block()
	require.Equal(t, "lost", b["event"])
	require.NotContains(t, b, "id")
	require.JSONEq(t, `{"lost": 5, "reason": "only the newest 1024 changes are kept"}`, b["data"])
	require.Equal(t, e.id(8), l.event("region").ID)
	for range eventsKept - 1 {
		l.event("region")
	}
	numbered(e, 1)
	require.Equal(t, e.id(eventsKept+8), l.event("region").ID)

	// IDs of another process, of none, and of what has not happened yet.
	for _, id := range []string{"other-3", "x", "-", e.id(1 << 40), e.run, e.run + "-x"} {
		l = listen(t, server.URL, id)
		b = l.block()
		require.Equal(t, "lost", b["event"], id)
		require.JSONEq(t, `{"reason": "the node was started again since: what happened before is not known any more"}`, b["data"])
		require.JSONEq(t, `{"lost": 8, "reason": "only the newest 1024 changes are kept"}`, l.block()["data"])
		require.Equal(t, e.id(9), l.event("region").ID)
	}
}

func TestEventsKeepAlive(t *testing.T) {
	l := listen(t, eventsServer(t, newTestEvents(), func(p *eventsPage) { p.keepAlive = 10 * time.Millisecond }).URL, "")
	l.block()
	for begun := time.Now(); time.Since(begun) < 3*serverLimit; { // it outlives them
		require.Equal(t, map[string]string{"": "nothing changes"}, l.block())
	}
}

// Who takes nothing is left, and nobody waits for it meanwhile.
func TestEventsDropASlowReader(t *testing.T) {
	e := newTestEvents()
	var p *eventsPage
	server := eventsServer(t, e, func(page *eventsPage) { page.writeLimit = 50 * time.Millisecond; p = page })
	slow, quick := listen(t, server.URL, ""), listen(t, server.URL, "")
	quick.block()
	require.Len(t, p.places, 2)
	long := strings.Repeat("x", 1<<20)
	for i := 1; len(p.places) == 2; i++ {
		require.Less(t, i, 1000)
		e.publish(Event{Kind: "region", Reason: Reason{Text: long}}, 0)
		require.Equal(t, e.id(uint64(i)), quick.event("region").ID)
	}
	slow.leave()
}

// A flood that a reader cannot follow costs it changes, and it is told how many.
func TestEventsOfAFloodAreCounted(t *testing.T) {
	e := newTestEvents()
	l := listen(t, eventsServer(t, e).URL, "")
	l.block()
	const flood = 20 * eventsKept
	go func() {
		for i := range flood {
			numbered(e, i+1)
		}
	}()
	for seen := uint64(0); seen < flood; {
		b := l.block()
		if b["event"] == "lost" {
			var lost Lost
			require.NoError(t, json.Unmarshal([]byte(b["data"]), &lost))
			seen += lost.Lost
			continue
		}
		seen++
		require.Equal(t, e.id(seen), b["id"])
	}
}

func TestEventsListenersAreFew(t *testing.T) {
	var p *eventsPage
	server := eventsServer(t, newTestEvents(), func(page *eventsPage) { p = page })
	all := make([]*listening, maxListening)
	for i := range all {
		all[i] = listen(t, server.URL, "")
	}
	code, text := get(t, server.Listener.Addr().String(), "/v1/events")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "16 clients listen to the events already, and more are not served: end one of them\n", text)
	all[3].leave()
	require.Eventually(t, func() bool { return len(p.places) < maxListening }, 10*time.Second, time.Millisecond, "a client that goes is noticed")
	require.Equal(t, http.StatusOK, listen(t, server.URL, "").res.StatusCode)
}

func TestEventsRefuseAQuery(t *testing.T) {
	server := eventsServer(t, newTestEvents())
	code, text := get(t, server.Listener.Addr().String(), "/v1/events?region=east")
	require.Equal(t, http.StatusBadRequest, code)
	require.Equal(t, "the events have no filters: remove the query\n", text)
	res, err := http.Head(server.URL + "/v1/events")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
}

// A node that stops does not wait for listeners.
func TestEventsEndWithTheServer(t *testing.T) {
	s, err := Listen(options(t))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	l := listen(t, "http://"+s.AdminAddr(), "")
	l.block()
	begun := time.Now()
	stop()
	require.False(t, l.lines.Scan())
	require.NoError(t, l.lines.Err(), "it ends in order")
	require.NoError(t, <-done)
	require.Less(t, time.Since(begun), shutdownGrace)
}
