package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/admin"
)

var healthAt = time.Date(2026, 11, 23, 10, 0, 0, 0, time.Local)

// aHost is one that is up and was always, which changes make another.
func aHost(region, connector, address string, change func(*admin.HostHealth)) admin.HostHealth {
	h := admin.HostHealth{
		Region: region, Connector: connector, Host: "sip:" + address, Address: address, Listener: "10.0.0.9:5060",
		State: "up", Reason: admin.Reason{Text: "nothing seen yet", Event: "nothing"}, Share: 1, Operator: "enabled", Probed: true,
		LastProbe: &admin.Probe{Time: healthAt, Result: "probe_answered", Code: 200, RTT: 1.234}, Calls: admin.CallCounts{Answered: 100},
	}
	if change != nil {
		change(&h)
	}
	return h
}

// turned lets a host be in a state for a while.
func turned(h *admin.HostHealth, state string, since time.Duration, reason string) {
	at, sec := healthAt.Add(-since), since.Seconds()
	h.State, h.Since, h.SinceSec, h.Reason = state, &at, &sec, admin.Reason{Text: reason}
}

// atNight is a node of which a lot is wrong.
func atNight() *admin.Health {
	fireDrill := anOrder("region", "eu", "evacuated", "fire drill")
	return &admin.Health{
		Time: healthAt,
		Regions: []admin.RegionHealth{
			{Region: "us-east-1", Unhealthy: true, Bad: 2, Hosts: 3}, {Region: "us-west-2", Hosts: 2},
			{Region: "eu", Hosts: 1, Evacuated: true, Order: fireDrill},
		},
		Hosts: []admin.HostHealth{
			aHost("us-west-2", "support-west", "10.0.2.10:5060", nil),
			aHost("us-east-1", "support-east", "10.0.1.10:5060", func(h *admin.HostHealth) {
				h.Load, h.ConnectorLoad = &admin.CallLoad{Calls: 12, Max: 60}, &admin.CallLoad{Calls: 40, Max: 100}
				h.LastProbe.RTT = 48.6
			}),
			aHost("us-east-1", "support-east", "10.0.1.11:5060", func(h *admin.HostHealth) {
				turned(h, "down", 4*time.Minute+12*time.Second, "no answer to OPTIONS")
				h.LastProbe = &admin.Probe{Result: "probe_silent"}
				h.Calls = admin.CallCounts{}
				h.ConnectorLoad = &admin.CallLoad{Calls: 40, Max: 100}
			}),
			aHost("us-east-1", "support-east", "10.0.1.12:5060", func(h *admin.HostHealth) {
				turned(h, "ejected", 7*time.Second, "5 failed calls in a row, the last: a call failed (500); ejected for 10s")
				h.Calls = admin.CallCounts{Answered: 90, Failed: 10}
				h.History = []admin.HealthChange{
					{Time: healthAt.Add(-time.Hour), From: "up", To: "doubtful", Reason: admin.Reason{Text: "no answer to a call"}},
					{Time: healthAt.Add(-7 * time.Second), From: "up", To: "ejected", Reason: h.Reason},
				}
			}),
			aHost("eu", "support-eu", "10.0.3.10:5060", func(h *admin.HostHealth) {
				turned(h, "down", 3*time.Hour+4*time.Minute+59*time.Second, "OPTIONS undeliverable")
				h.Operator, h.OperatorReason = "draining", "region eu is evacuated (ordered 2026-11-23T10:00:00Z: fire drill)"
				h.LastProbe = &admin.Probe{Result: "probe_unreachable"}
			}),
			aHost("", "sales", "10.0.4.10:5060", func(h *admin.HostHealth) {
				turned(h, "recovering", 9*time.Second, "answer to OPTIONS (200)")
				h.Share = 0.349
			}),
			aHost("", "sales", "10.0.4.11:5060", func(h *admin.HostHealth) {
				turned(h, "up", 5*24*time.Hour+3*time.Hour, "slow start over")
				h.LastProbe = nil
			}),
			aHost("", "sales", "10.0.4.12:5060", func(h *admin.HostHealth) {
				turned(h, "down", time.Hour, "no answer to OPTIONS")
				h.Operator, h.OperatorReason, h.Probed = "disabled", "host is disabled", false
			}),
			aHost("us-west-2", "support-west", "10.0.2.11:5060", func(h *admin.HostHealth) {
				h.Operator, h.OperatorReason = "draining", "host is draining (ordered 2026-11-23T10:00:00Z: \x1b[2J)"
			}),
		},
	}
}

const nightTable = `9 hosts: 1 down, 1 ejected, 1 recovering, 2 draining, 1 disabled, 3 up
region us-east-1 is UNHEALTHY: 2 of 3 hosts down or ejected; the others are tried last
region eu is EVACUATED, ordered 2026-11-23 10:00:00 (fire drill)

REGION       CONNECTOR     HOST                STATE           SINCE  PROBE        CALLS    LOAD            REASON
us-east-1 !  support-east  sip:10.0.1.11:5060  down            4m12s  no answer    -        (40/100)        no answer to OPTIONS
us-east-1 !  support-east  sip:10.0.1.12:5060  ejected         7s     1.2 ms       90/100   -               5 failed calls in a row, the last: a call failed (500); ejected for 10s
    2026-11-23 09:00:00  up -> doubtful: no answer to a call
    2026-11-23 09:59:53  up -> ejected: 5 failed calls in a row, the last: a call failed (500); ejected for 10s
us-east-1 !  support-east  sip:10.0.1.10:5060  up              -      49 ms        100/100  12/60 (40/100)  -
-            sales         sip:10.0.4.10:5060  recovering 35%  9s     1.2 ms       100/100  -               answer to OPTIONS (200)
-            sales         sip:10.0.4.12:5060  disabled        1h00m  off          100/100  -               host is disabled
-            sales         sip:10.0.4.11:5060  up              5d03h  -            100/100  -               slow start over
us-west-2    support-west  sip:10.0.2.11:5060  draining        -      1.2 ms       100/100  -               host is draining (ordered 2026-11-23T10:00:00Z: ` + "\ufffd" + `[2J)
us-west-2    support-west  sip:10.0.2.10:5060  up              -      1.2 ms       100/100  -               -
eu !         support-eu    sip:10.0.3.10:5060  draining, down  3h04m  unreachable  100/100  -               region eu is evacuated (ordered 2026-11-23T10:00:00Z: fire drill); OPTIONS undeliverable
`

func TestHealthTable(t *testing.T) {
	require.Equal(t, nightTable, healthText(atNight(), false))
	require.Equal(t, "no hosts\n", healthText(&admin.Health{}, false))

	coloured := healthText(atNight(), true)
	require.Contains(t, coloured, "\x1b[1;31mregion us-east-1 is UNHEALTHY: 2 of 3 hosts down or ejected; the others are tried last\x1b[0m\n")
	require.Contains(t, coloured, "sip:10.0.1.11:5060  \x1b[1;31mdown\x1b[0m            4m12s")
	require.Contains(t, coloured, "\x1b[33mdraining, down\x1b[0m  3h04m")
	require.Contains(t, coloured, "\x1b[32mup\x1b[0m              -")
	plain := coloured
	for _, code := range []string{"\x1b[1;31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"} {
		plain = strings.ReplaceAll(plain, code, "")
	}
	require.Equal(t, nightTable, plain, "colours move nothing")
}

func TestHealthAgo(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Second, "59s": 59999 * time.Millisecond, "1m00s": time.Minute, "59m59s": time.Hour - 1, "1h00m": time.Hour,
		"23h59m": 24*time.Hour - 1, "1d00h": 24 * time.Hour, "400d01h": (400*24 + 1) * time.Hour,
	} {
		require.Equal(t, want, ago(d))
	}
}

func TestHealthCommand(t *testing.T) {
	node := newFakeNode(t, sayOrder(t, http.StatusOK, atNight(), nil))
	out, errs, code := command(t, "health", "--admin", node.URL)
	require.Equal(t, 0, code, errs)
	require.Equal(t, nightTable, out)
	require.Equal(t, "/v1/health?", node.lastAsked())

	out, _, code = command(t, "health", "--json", "--admin", node.Listener.Addr().String()+"/", "--region", "eu west", "--connector", "a", "--history")
	require.Equal(t, 0, code)
	require.Equal(t, "/v1/health?connector=a&history=1&region=eu+west", node.lastAsked())
	want, err := json.Marshal(atNight())
	require.NoError(t, err)
	require.JSONEq(t, string(want), out)
	require.Equal(t, 1, strings.Count(out, "\n"))

	for name, want := range map[string]string{
		"us-east-1": "3 hosts: 1 down, 1 ejected, 1 up\nregion us-east-1 ", "sales": "3 hosts: 1 recovering, 1 disabled, 1 up\n\nREGION",
		"10.0.3.10": "1 host: 1 draining\nregion eu is", "sip:10.0.2.11:5060": "1 host: 1 draining\n\nREGION", "10.0.2.10:5060": "1 host: 1 up\n",
	} {
		out, errs, code = command(t, "health", name, "--admin", node.URL)
		require.Equal(t, 0, code, errs)
		require.True(t, strings.HasPrefix(out, want), out)
	}
	out, _, _ = command(t, "health", "sales", "10.0.3.10", "--json", "--admin", node.URL)
	var some admin.Health
	require.NoError(t, json.Unmarshal([]byte(out), &some))
	require.Len(t, some.Hosts, 4)
	require.Len(t, some.Regions, 1)
}

func TestHealthCommandErrors(t *testing.T) {
	node := newFakeNode(t, sayOrder(t, http.StatusOK, atNight(), nil)).URL
	missing := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }).URL
	refusing := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there is no region", http.StatusBadRequest)
	}).URL
	for want, args := range map[string][]string{
		`no region, connector or host is called "support-esat"; did you mean "support-east"?`: {"health", "sales", "support-esat", "--admin", node},
		`no region, connector or host is called "10.9.9.9"; without a name all are shown`:     {"health", "10.9.9.9", "--admin", node},
		"has no /v1/health: this is no admin address":                                         {"health", "--admin", missing},
		"400 Bad Request: there is no region":                                                 {"health", "--watch", "--admin", refusing},
		"cannot be asked":                                                                     {"health", "--watch", "--admin", "127.0.0.1:1"},
	} {
		out, errs, code := command(t, args...)
		require.Equal(t, exitFailed, code)
		require.Empty(t, out)
		require.Contains(t, errs, want)
	}
}

// aStream is a node that tells of events, and ends.
func aStream(events ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/health" {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(atNight())
			return
		}
		_, _ = io.WriteString(w, "id: x-0\n\n: nothing changes\n\n"+strings.Join(events, ""))
	}
}

func anEvent(e admin.Event) string {
	e.Time = callBegan
	data, _ := json.Marshal(e)
	return fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, data)
}

var someEvents = []string{
	anEvent(admin.Event{Kind: "host", Subject: "sip:10.0.1.10:5060", Connectors: []string{"support-east"}, Regions: []string{"us-east-1"},
		From: "up", To: "doubtful", Reason: admin.Reason{Text: "no answer to a call"}}),
	": nothing changes\n\n",
	anEvent(admin.Event{Kind: "host", Subject: "sip:10.0.4.10:5060", Connectors: []string{"sales"}, From: "doubtful", To: "down",
		Reason: admin.Reason{Text: "no answer to OPTIONS"}, NotShown: 2}),
	"event: lost\ndata: {\"lost\":7,\"reason\":\"only the newest 1024 changes are kept\"}\n\n",
	anEvent(admin.Event{Kind: "region", Subject: "us-east-1", Regions: []string{"us-east-1"}, From: "healthy", To: "unhealthy",
		Reason: admin.Reason{Text: "2 of 3 hosts down or ejected"}}),
	anEvent(admin.Event{Kind: "order", Subject: "host 10.0.1.10:5060", Connectors: []string{"support-east"}, Regions: []string{"us-east-1"},
		From: "enabled", To: "draining", Reason: admin.Reason{Text: "new\x1bsoftware"}}),
}

// Without a terminal each change is a line, from now on.
func TestHealthWatchLines(t *testing.T) {
	node := newFakeNode(t, aStream(someEvents...))
	const host, sales, lost, region, ordered = "2026-11-22 23:41:07.120  host sip:10.0.1.10:5060 (support-east, us-east-1)  up -> doubtful: no answer to a call\n",
		"2026-11-22 23:41:07.120  host sip:10.0.4.10:5060 (sales)  doubtful -> down: no answer to OPTIONS (2 changes before this came too fast to be told)\n",
		"-- 7 changes are not shown: they came faster than they could be read\n",
		"2026-11-22 23:41:07.120  region us-east-1  healthy -> unhealthy: 2 of 3 hosts down or ejected\n",
		"2026-11-22 23:41:07.120  order: host 10.0.1.10:5060  enabled -> draining: new\ufffdsoftware\n"
	for filter, want := range map[string]string{
		"":                         host + sales + lost + region + ordered,
		"--region us-east-1":       host + lost + region + ordered,
		"--connector sales":        sales + lost,
		"10.0.1.10:5060 us-west-2": host + lost + ordered,
	} {
		out, errs, code := command(t, append([]string{"health", "--watch", "--admin", node.URL}, strings.Fields(filter)...)...)
		require.Equal(t, exitFailed, code)
		require.Equal(t, "the node is not followed any more: it has stopped, or was restarted\n", errs)
		require.Equal(t, want, out, filter)
	}

	out, _, _ := command(t, "health", "--watch", "--json", "--admin", node.URL, "sales")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 2)
	require.JSONEq(t, `{"lost": 7, "reason": "only the newest 1024 changes are kept"}`, lines[1])
	var e admin.Event
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &e))
	require.Equal(t, "down", e.To)

	node = newFakeNode(t, aStream("event: host\ndata: x\n\n"))
	_, errs, _ := command(t, "health", "--watch", "--admin", node.URL)
	require.Contains(t, errs, "the node's answer cannot be read")
}

// On a terminal the table is drawn anew when something changes.
func TestHealthWatchScreen(t *testing.T) {
	var mu sync.Mutex
	drawn := new(bytes.Buffer)
	text := func() string { mu.Lock(); defer mu.Unlock(); return drawn.String() }
	change, asked := make(chan string), make(chan struct{}, 100)
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/health" {
			asked <- struct{}{}
			aStream()(w, r)
			return
		}
		control := http.NewResponseController(w)
		_ = control.Flush()
		for {
			select {
			case event := <-change:
				_, _ = io.WriteString(w, event)
				_ = control.Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	s := &screen{out: lockedWriter{&mu, drawn}, terminal: true, colours: true, height: func() int { return 6 }}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- watchScreen(ctx, s, &healthQuery{node: target{url: node.URL}}) }()
	<-asked
	change <- someEvents[0]
	<-asked
	<-asked // a second later
	stop()
	require.NoError(t, <-done)
	got := text()
	require.True(t, strings.HasPrefix(got, "\x1b[?25l\x1b[?7l\x1b[2J\x1b[H9 hosts: "), got)
	require.True(t, strings.HasSuffix(got, "\x1b[K\nand 12 more lines\x1b[K\n\x1b[J\x1b[?7h\x1b[?25h"), got)
	require.GreaterOrEqual(t, strings.Count(got, "9 hosts: "), 2)

	// The node goes.
	node = newFakeNode(t, aStream())
	s.out = io.Discard
	require.EqualError(t, watchScreen(context.Background(), s, &healthQuery{node: target{url: node.URL}}),
		"the node is not followed any more: it has stopped, or was restarted")
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func TestFitLines(t *testing.T) {
	const text = "1\n2\n3\n4\n5\n"
	for height, want := range map[int]string{0: text, 2: text, 3: "1\nand 4 more lines\n", 5: "1\n2\n3\nand 2 more lines\n", 6: text, 100: text} {
		require.Equal(t, want, fitLines(text, height))
	}
	require.Equal(t, "", fitLines("", 10))
	require.False(t, newScreen(io.Discard).terminal)
}
