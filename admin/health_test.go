package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router"
)

// ward is a node's health: east with two hosts of which max_calls are known,
// west with one, shared with other, which is in no region.
type ward struct {
	t    *testing.T
	opts Options
	page *healthPage
	now  int64
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t, now: int64(time.Hour)}
	host := func(addr string, limits catalog.Limits) catalog.Host {
		return catalog.Host{URI: "sip:" + addr + ";transport=udp", Addr: netip.MustParseAddrPort(addr), HostPort: addr, Priority: 1, Weight: 1, Limits: limits}
	}
	shared := host("127.0.0.1:5083", catalog.Limits{})
	cat := &catalog.Catalog{
		Connectors: []catalog.Connector{
			{Name: "east", Region: "us-east", Limits: catalog.Limits{MaxCalls: 100},
				Hosts: []catalog.Host{host("127.0.0.1:5081", catalog.Limits{MaxCalls: 60}), host("127.0.0.1:5082", catalog.Limits{})}},
			{Name: "west", Region: "us-west", Hosts: []catalog.Host{shared}},
			{Name: "other", Hosts: []catalog.Host{shared}},
		},
		Groups: []catalog.Group{{Name: "support", Numbers: []catalog.Numbers{{First: "100"}},
			Connectors: []catalog.Member{{Connector: "east", Priority: 1}, {Connector: "west", Priority: 2}, {Connector: "other", Priority: 3}}}},
	}
	w.opts = options(t)
	w.opts.Now = func() int64 { return w.now }
	w.opts.Events = NewEvents(w.opts.Now)
	registry := health.NewRegistry(health.Options{
		Settings: catalog.DefaultHealth(),
		OnFlip:   func(f health.Flip) { w.opts.Events.Host(&f, w.opts.Router.HostsOf(f.Key), 0) },
		OnRegion: func(f health.RegionFlip) { w.opts.Events.Region(&f, 0) },
	})
	var err error
	w.opts.Router, err = router.New(router.Options{
		Listeners: []router.Listener{{Addr: netip.MustParseAddrPort("127.0.0.1:5060")}},
		Secrets:   [][]byte{bytes.Repeat([]byte{1}, 32)},
		Health:    registry,
		Now:       w.now,
	}, router.Policy{Catalog: cat, Failover: catalog.DefaultFailover(), Health: catalog.DefaultHealth()})
	require.NoError(t, err)
	w.opts.Operator = &fakeOperator{router: w.opts.Router}
	w.page = newHealthPage(&w.opts)
	w.page.clock = func() time.Time { return noon }
	w.opts.Events.clock = w.page.clock
	return w
}

// sees lets a host be observed as it was ago.
func (w *ward) sees(host int, ago time.Duration, all ...health.Observation) {
	for _, o := range all {
		w.opts.Router.Hosts()[host].Health.Observe(w.now-int64(ago), o)
	}
}

func (w *ward) look(query string) (all Health) {
	w.t.Helper()
	q, err := parseHealthQuery(query, w.opts.Router.Catalog())
	require.NoError(w.t, err)
	text, err := json.Marshal(w.page.look(&q))
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal(text, &all))
	return all
}

func TestHealthBeforeAnythingHappens(t *testing.T) {
	w := newWard(t)
	fresh := HostHealth{
		Region: "us-east", Connector: "east", Host: "sip:127.0.0.1:5081;transport=udp", Address: "127.0.0.1:5081", Listener: "127.0.0.1:5060",
		State: "up", Reason: Reason{Text: "nothing seen yet", Event: "nothing"}, Share: 1, Operator: "enabled",
		Probed: true, DetectionSec: 8.7,
		Load: &CallLoad{0, 60}, ConnectorLoad: &CallLoad{0, 100},
	}
	all := w.look("")
	require.Equal(t, noon, all.Time)
	require.Equal(t, []RegionHealth{{Region: "us-east", Hosts: 2}, {Region: "us-west", Hosts: 1}}, all.Regions)
	require.Len(t, all.Hosts, 4)
	require.Equal(t, fresh, all.Hosts[0])
	require.Nil(t, all.Hosts[1].Load)
	require.Equal(t, &CallLoad{0, 100}, all.Hosts[1].ConnectorLoad)
	require.Equal(t, []string{"west", "us-west", "other", ""}, []string{all.Hosts[2].Connector, all.Hosts[2].Region, all.Hosts[3].Connector, all.Hosts[3].Region})
	require.Nil(t, all.Hosts[3].ConnectorLoad)
}

// Each field, of a host that is down, one that recovers, and one that is ejected.
func TestHealthOfHosts(t *testing.T) {
	w := newWard(t)
	failed := health.Observation{Event: health.ProbeFailed}
	good := health.Observation{Event: health.ProbeOK, Code: 200, RTT: 1234 * time.Microsecond}
	w.sees(0, 10*time.Minute, good)
	w.sees(0, 5*time.Minute, failed, failed, failed)
	w.sees(0, 1500*time.Millisecond, failed)

	w.sees(1, 5*time.Minute, failed, failed, failed)
	w.sees(1, 15*time.Second, good, good)
	w.sees(1, 0, health.Observation{Event: health.CallAnswered, Code: 180})

	silent := health.Observation{Event: health.CallSilent}
	w.sees(2, 3*time.Second, silent, silent, silent, silent, silent)

	all := w.look("history=1")
	down := all.Hosts[0]
	require.Equal(t, "down", down.State)
	require.Equal(t, noon.Add(-5*time.Minute), *down.Since)
	require.Equal(t, 300.0, *down.SinceSec)
	require.Equal(t, Reason{Text: "no answer to OPTIONS", Event: "probe_silent"}, down.Reason)
	require.Equal(t, &Probe{Time: noon.Add(-1500 * time.Millisecond), Result: "probe_silent"}, down.LastProbe, "an older code and round trip are not its own")
	require.Equal(t, []int{4, 0}, []int{down.Failures, down.Successes})
	require.Equal(t, []HealthChange{{noon.Add(-5 * time.Minute), "up", "down", down.Reason}}, down.History)

	back := all.Hosts[1]
	require.Equal(t, "recovering", back.State)
	require.InDelta(t, 0.5, back.Share, 0.01, "half of slow_start is over")
	require.Equal(t, &Probe{Time: noon.Add(-15 * time.Second), Result: "probe_answered", Code: 200, RTT: 1.234}, back.LastProbe)
	require.Equal(t, []int{0, 2}, []int{back.Failures, back.Successes})
	require.Equal(t, Reason{Text: "answer to OPTIONS (200)", Event: "probe_answered", Code: 200}, back.Reason)
	require.EqualValues(t, 1, back.Calls.Answered)
	require.Len(t, back.History, 2)
	require.Equal(t, []string{"down", "recovering"}, []string{back.History[1].From, back.History[1].To})

	ejected := all.Hosts[2]
	require.Equal(t, "ejected", ejected.State)
	require.Equal(t, Reason{
		Text: "5 failed calls in a row, the last: no answer to a call; ejected for 10s", Event: "failed_calls", Last: "call_silent", Count: 5, ForSec: 10,
	}, ejected.Reason)
	require.EqualValues(t, 5, ejected.Calls.Failed)
	require.Nil(t, ejected.LastProbe)
	shared := all.Hosts[3]
	shared.Region, shared.Connector = ejected.Region, ejected.Connector
	require.Equal(t, ejected, shared, "a host has one health, wherever it stands")

	require.Equal(t, []RegionHealth{{Region: "us-east", Bad: 1, Hosts: 2}, {Region: "us-west", Unhealthy: true, Bad: 1, Hosts: 1}}, all.Regions)
	require.Nil(t, w.look("").Hosts[0].History, "without being asked")

	w.now += int64(time.Minute)
	require.Equal(t, "up", w.look("").Hosts[1].State, "what time alone has ended is over")
}

func TestHealthOfWhatIsOutOfService(t *testing.T) {
	w := newWard(t)
	orders := catalog.Orders{}.
		With(catalog.Order{Subject: catalog.Subject{Kind: catalog.RegionKind, Name: "us-east"}, State: catalog.Draining, At: noon, Note: "fire"}).
		With(catalog.Order{Subject: catalog.Subject{Kind: catalog.ConnectorKind, Name: "other"}, State: catalog.Disabled, At: noon})
	require.NoError(t, w.opts.Router.SetOrders(w.now, orders))
	all := w.look("")
	order := Order{Kind: "region", Name: "us-east", State: "evacuated", At: noon, Note: "fire"}
	require.Equal(t, []RegionHealth{{Region: "us-east", Evacuated: true, Order: &order}, {Region: "us-west", Hosts: 1}}, all.Regions)
	require.Equal(t, []any{"draining", "region us-east is evacuated (ordered 2026-11-23T12:00:00Z: fire)", true, 8.7},
		[]any{all.Hosts[0].Operator, all.Hosts[0].OperatorReason, all.Hosts[0].Probed, all.Hosts[0].DetectionSec})
	require.Equal(t, []any{"disabled", "connector is disabled (ordered 2026-11-23T12:00:00Z)", false, 0.0},
		[]any{all.Hosts[3].Operator, all.Hosts[3].OperatorReason, all.Hosts[3].Probed, all.Hosts[3].DetectionSec})
	require.Equal(t, "enabled", all.Hosts[2].Operator)
}

func TestHealthFilters(t *testing.T) {
	w := newWard(t)
	failed := health.Observation{Event: health.ProbeFailed}
	w.sees(1, time.Second, failed, failed, failed)
	require.NoError(t, w.opts.Router.SetOrders(w.now, catalog.Orders{}.With(
		catalog.Order{Subject: catalog.Subject{Kind: catalog.ConnectorKind, Name: "west"}, State: catalog.Draining, At: noon})))
	for query, want := range map[string]string{
		"":                              "east:5081 east:5082 west:5083 other:5083; us-east us-west",
		"history=0":                     "east:5081 east:5082 west:5083 other:5083; us-east us-west",
		"region=us-east":                "east:5081 east:5082; us-east",
		"connector=other":               "other:5083; ",
		"state=down":                    "east:5082; us-east",
		"state=draining":                "west:5083; us-west",
		"state=up&region=us-east":       "east:5081; us-east",
		"state=ejected":                 "; ",
		"connector=west&region=us-east": "; ",
	} {
		all := w.look(query)
		var hosts, regions []string
		for _, h := range all.Hosts {
			hosts = append(hosts, h.Connector+h.Address[len("127.0.0.1"):])
		}
		for _, r := range all.Regions {
			regions = append(regions, r.Region)
		}
		require.Equal(t, want, strings.Join(hosts, " ")+"; "+strings.Join(regions, " "), query)
	}
	for query, want := range map[string]string{
		"regoin=us-east":    `"regoin" is unknown; known are region, connector, state, history`,
		"region=us-eats":    `there is no region "us-eats"; did you mean "us-east"?`,
		"connector=eest":    `there is no connector "eest"; did you mean "east"?`,
		"state=dead":        `state="dead": the states are up, recovering, doubtful, full, ejected, down, enabled, draining, disabled`,
		"history=yes":       `history="yes": write history=1, or leave it out`,
		"state=up&state=up": "state is given 2 times; once is right",
	} {
		_, err := parseHealthQuery(query, w.opts.Router.Catalog())
		require.EqualError(t, err, want)
	}
}

// Programs tell events by words that are all different.
func TestHealthEventWords(t *testing.T) {
	seen := map[string]bool{"unknown": true}
	for e := health.Nothing; e.String() != "unknown"; e++ {
		require.False(t, seen[e.Word()], "%s: %s", e, e.Word())
		seen[e.Word()] = true
	}
	require.Equal(t, "unknown", health.Event(255).Word())
}

func TestHealthOverHTTP(t *testing.T) {
	opts := options(t)
	opts.Metrics = "127.0.0.1:0"
	s, err := Listen(opts)
	require.NoError(t, err)
	serving(t, s)
	code, text := get(t, s.AdminAddr(), "/v1/health?connector=west")
	require.Equal(t, http.StatusOK, code)
	var all Health
	require.NoError(t, json.Unmarshal([]byte(text), &all))
	require.Len(t, all.Hosts, 1)
	require.WithinDuration(t, time.Now(), all.Time, 5*time.Second)
	code, text = get(t, s.AdminAddr(), "/v1/health?connector=wets")
	require.Equal(t, http.StatusBadRequest, code)
	require.Equal(t, "there is no connector \"wets\"; did you mean \"west\"?\n", text)
	for _, path := range []string{"/v1/health", "/v1/events"} {
		code, _ = get(t, s.MetricsAddr(), path)
		require.Equal(t, http.StatusNotFound, code, path)
		req, err := http.NewRequest(http.MethodGet, "http://"+s.AdminAddr()+path, nil)
		require.NoError(t, err)
		req.Host = "evil.example"
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusForbidden, res.StatusCode, path)
	}
}
