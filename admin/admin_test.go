package admin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router"
	"tandem/router/locate"
	"tandem/router/names"
	"tandem/router/transport"
	"tandem/router/transport/stream"
)

// options are those of a node with one host in each of two connectors.
func options(t testing.TB) Options {
	t.Helper()
	cat := &catalog.Catalog{}
	group := catalog.Group{Name: "support", Numbers: []catalog.Numbers{{First: "100"}}}
	for i, host := range []string{"127.0.0.1:5081", "127.0.0.1:5082"} {
		name := []string{"east", "west"}[i]
		cat.Connectors = append(cat.Connectors, catalog.Connector{Name: name, Region: "region-" + name, Hosts: []catalog.Host{{
			URI: "sip:" + host, Addr: netip.MustParseAddrPort(host), HostPort: host, Priority: 1, Weight: 1,
		}}})
		group.Connectors = append(group.Connectors, catalog.Member{Connector: name, Priority: i + 1})
	}
	cat.Groups = []catalog.Group{group}
	listen := netip.MustParseAddrPort("127.0.0.1:5060")
	r, err := router.New(router.Options{
		Listeners: []router.Listener{{Addr: listen}},
		Secrets:   [][]byte{bytes.Repeat([]byte{1}, 32)},
		Health:    health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()}),
		Now:       1,
	}, router.Policy{Catalog: cat, Failover: catalog.DefaultFailover()})
	require.NoError(t, err)
	return Options{
		Operator: &fakeOperator{router: r},
		Events:   NewEvents(func() int64 { return 2 }),

		Admin:  "127.0.0.1:0",
		Router: r,
		Transport: func() []transport.WorkerStats {
			return []transport.WorkerStats{{Received: 7, BytesIn: 700, KernelDrops: 2, Sent: 9}, {Worker: 1, ICMP: 3}}
		},
		Streams: func() []stream.Stats {
			s := stream.Stats{Open: 3, Dialled: 2, Accepted: 5, Connected: 4, Handshakes: 6, Resumed: 2, Received: 10, BytesIn: 1000}
			s.Ended[stream.BadCertificate] = 1
			return []stream.Stats{s}
		},
		Expiries: func() Expiries {
			return Expiries{map[string]time.Time{"cert.pem": time.Unix(1_800_000_000, 0)}, map[string]time.Time{"ca.pem": time.Unix(1_900_000_000, 0)}, map[string]bool{"cert.pem": true, "ca.pem": false}}
		},
		Listeners:       []netip.AddrPort{listen},
		Now:             func() int64 { return 2 },
		StatePersistent: true,
		Version:         "v0.0.0",
		Detection:       func() time.Duration { return 8700 * time.Millisecond },
		Names:           func() names.Stats { return names.Stats{Hits: 3, Lookups: 2, Failures: 1} },
		DNS:             func() DNS { return DNS{Names: locate.Stats{Targets: 3, Kept: 1, Empty: 1}} },
		Reloads:         func() Reloads { return Reloads{Taken: 1, OK: true} },
	}
}

func TestMetricsPassPromlint(t *testing.T) {
	opts := options(t)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, register(registry, &opts))
	gathered, err := registry.Gather()
	require.NoError(t, err, "a pedantic registry finds what is not described, and duplicates")
	problems, err := promlint.NewWithMetricFamilies(gathered).Lint()
	require.NoError(t, err)
	for _, p := range problems {
		require.False(t, strings.HasPrefix(p.Metric, "tandem_"), "%s: %s", p.Metric, p.Text)
	}
}

// Every series exists before anything has happened.
func TestMetricsAtTheFirstScrape(t *testing.T) {
	opts := options(t)
	registry := prometheus.NewRegistry()
	require.NoError(t, register(registry, &opts))
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP tandem_calls_live Calls in memory, those included that only wait for the last of their timers.
# TYPE tandem_calls_live gauge
tandem_calls_live 0
# HELP tandem_calls_total Calls that ended, by how they did for the caller: answered, refused (by a connector), exhausted, cancelled, timeout. The route is the group, or the connector of a number without one.
# TYPE tandem_calls_total counter
tandem_calls_total{outcome="answered",route="support"} 0
tandem_calls_total{outcome="cancelled",route="support"} 0
tandem_calls_total{outcome="exhausted",route="support"} 0
tandem_calls_total{outcome="refused",route="support"} 0
tandem_calls_total{outcome="timeout",route="support"} 0
# HELP tandem_health_detection_seconds Longest time until probes find a silent host down, by the global settings; 0 without probes.
# TYPE tandem_health_detection_seconds gauge
tandem_health_detection_seconds 8.7
# HELP tandem_host_probe_rtt_seconds Round trip of the last OPTIONS that was answered; NaN before the first.
# TYPE tandem_host_probe_rtt_seconds gauge
tandem_host_probe_rtt_seconds{connector="east",host="sip:127.0.0.1:5081",region="region-east"} NaN
tandem_host_probe_rtt_seconds{connector="west",host="sip:127.0.0.1:5082",region="region-west"} NaN
# HELP tandem_host_state 1 for the state that a host is in (up, recovering, doubtful, full, ejected, down), 0 for the others; of a disabled host nothing is known.
# TYPE tandem_host_state gauge
tandem_host_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="doubtful"} 0
tandem_host_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="down"} 0
tandem_host_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="ejected"} 0
tandem_host_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="full"} 0
tandem_host_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="recovering"} 0
tandem_host_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="up"} 1
tandem_host_state{connector="west",host="sip:127.0.0.1:5082",region="region-west",state="doubtful"} 0
tandem_host_state{connector="west",host="sip:127.0.0.1:5082",region="region-west",state="down"} 0
tandem_host_state{connector="west",host="sip:127.0.0.1:5082",region="region-west",state="ejected"} 0
tandem_host_state{connector="west",host="sip:127.0.0.1:5082",region="region-west",state="full"} 0
tandem_host_state{connector="west",host="sip:127.0.0.1:5082",region="region-west",state="recovering"} 0
tandem_host_state{connector="west",host="sip:127.0.0.1:5082",region="region-west",state="up"} 1
# HELP tandem_state_persistent 1 when a restart has the same secret; 0: it would break the BYE of calls that are up.
# TYPE tandem_state_persistent gauge
tandem_state_persistent 1
# HELP tandem_stream_connections Connections of TCP and TLS that are there, also those that are not ready yet: in (accepted), out (opened by the node).
# TYPE tandem_stream_connections gauge
tandem_stream_connections{direction="in",listener="127.0.0.1:5060"} 3
tandem_stream_connections{direction="out",listener="127.0.0.1:5060"} 2
# HELP tandem_stream_handshakes_total TLS handshakes that were done, both ways: full, resumed (a session was taken up again).
# TYPE tandem_stream_handshakes_total counter
tandem_stream_handshakes_total{kind="full",listener="127.0.0.1:5060"} 4
tandem_stream_handshakes_total{kind="resumed",listener="127.0.0.1:5060"} 2
# HELP tandem_udp_datagrams_total Datagrams received and sent.
# TYPE tandem_udp_datagrams_total counter
tandem_udp_datagrams_total{direction="in",listener="127.0.0.1:5060",worker="0"} 7
tandem_udp_datagrams_total{direction="in",listener="127.0.0.1:5060",worker="1"} 0
tandem_udp_datagrams_total{direction="out",listener="127.0.0.1:5060",worker="0"} 9
tandem_udp_datagrams_total{direction="out",listener="127.0.0.1:5060",worker="1"} 0
`), "tandem_calls_live", "tandem_calls_total", "tandem_health_detection_seconds", "tandem_host_probe_rtt_seconds", "tandem_host_state",
		"tandem_state_persistent", "tandem_stream_connections", "tandem_stream_handshakes_total", "tandem_udp_datagrams_total"))
}

// What the router counts has a name in metrics, all of it.
func TestMetricsShowAllCounts(t *testing.T) {
	opts := options(t)
	seen := make(map[string]bool)
	opts.Router.Counts(func(c router.Count) { seen[c.Name] = true })
	for name := range seen {
		require.Contains(t, counts, name)
	}
	for name := range counts {
		require.Contains(t, seen, name)
	}
	seen = make(map[string]bool)
	opts.Router.Histograms(func(h router.Histogram) { seen[h.Name] = true })
	require.Len(t, seen, len(histograms))
	for name := range seen {
		require.Contains(t, histograms, name)
	}
}

func TestMetricsFollowAHost(t *testing.T) {
	opts := options(t)
	host := opts.Router.Hosts()[0].Health
	host.Observe(1, health.Observation{Event: health.ProbeOK, Code: 200, RTT: 3 * time.Millisecond})
	host.Observe(1, health.Observation{Event: health.CallSilent})
	registry := prometheus.NewRegistry()
	require.NoError(t, register(registry, &opts))
	text := scraped(t, registry)
	require.Contains(t, text, `tandem_host_probe_rtt_seconds{connector="east",host="sip:127.0.0.1:5081",region="region-east"} 0.003`)
	require.Contains(t, text, `tandem_host_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="doubtful"} 1`)
	require.Contains(t, text, `tandem_host_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="up"} 0`)
}

func scraped(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	opts := options(t)
	opts.Metrics = "127.0.0.1:0"
	s := &Server{}
	var err error
	mux := http.NewServeMux()
	s.public(registry, &opts, mux.Handle)
	s.admin, err = open("admin", "127.0.0.1:0", mux, nil)
	require.NoError(t, err)
	serving(t, s)
	code, text := get(t, s.AdminAddr(), "/metrics")
	require.Equal(t, http.StatusOK, code)
	return text
}

func serving(t testing.TB, s *Server) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func get(t testing.TB, addr, path string) (int, string) {
	t.Helper()
	res, err := http.Get("http://" + addr + path)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

func TestPages(t *testing.T) {
	opts := options(t)
	opts.Metrics = "127.0.0.1:0"
	s, err := Listen(opts)
	require.NoError(t, err)
	serving(t, s)
	require.NotEqual(t, s.AdminAddr(), s.MetricsAddr())
	for _, addr := range []string{s.AdminAddr(), s.MetricsAddr()} {
		s.SetReady(false)
		code, text := get(t, addr, "/readyz")
		require.Equal(t, http.StatusServiceUnavailable, code)
		require.Equal(t, "starting\n", text)
		s.SetReady(true)
		code, text = get(t, addr, "/readyz")
		require.Equal(t, http.StatusOK, code)
		require.Equal(t, "ready\n", text)
		code, text = get(t, addr, "/healthz")
		require.Equal(t, http.StatusOK, code)
		require.Equal(t, "ok\n", text)
		code, text = get(t, addr, "/metrics")
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, text, "\ntandem_build_info{version=\"v0.0.0\"} 1\n")
		require.Contains(t, text, "\ngo_goroutines ")
		code, _ = get(t, addr, "/")
		require.Equal(t, http.StatusNotFound, code)
		res, err := http.Post("http://"+addr+"/readyz", "text/plain", nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
	}
	s.SetReady(false)
	opts.Router.Drain()
	_, text := get(t, s.AdminAddr(), "/readyz")
	require.Equal(t, "draining\n", text)
}

func TestListenErrorsFreeWhatWasOpened(t *testing.T) {
	opts := options(t)
	first, err := Listen(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, first.Close()) })

	taken := first.AdminAddr()
	opts.Admin = ""
	opts.Metrics = taken
	_, err = Listen(opts)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, "metrics: ")
	require.ErrorContains(t, err, taken)

	opts.Admin, opts.Metrics = taken, ""
	_, err = Listen(opts)
	require.ErrorContains(t, err, "admin: ")
}

func TestNoAddressAtAll(t *testing.T) {
	opts := options(t)
	opts.Admin = ""
	s, err := Listen(opts)
	require.NoError(t, err)
	require.Empty(t, s.AdminAddr())
	require.Empty(t, s.MetricsAddr())
	serving(t, s)
	require.NoError(t, s.Close())
}
