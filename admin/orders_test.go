package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router"
)

// fakeOperator stores nothing.
type fakeOperator struct {
	router  *router.Router
	mu      sync.Mutex
	unsaved error
}

func (f *fakeOperator) InForce() (catalog.Orders, error) { return f.router.Orders(), f.unsaved }

func (f *fakeOperator) Change(change func(*catalog.Catalog, catalog.Orders) (catalog.Orders, error)) (unsaved, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := change(f.router.Catalog(), f.router.Orders())
	if err != nil {
		return nil, err
	}
	return f.unsaved, f.router.SetOrders(1, next)
}

// desk is a node's admin address.
type desk struct {
	t    testing.TB
	opts Options
	addr string
	log  bytes.Buffer
}

func newDesk(t *testing.T, change ...func(*Options)) *desk { return newDeskFor(t, change...) }

func newDeskFor(t testing.TB, change ...func(*Options)) *desk {
	d := &desk{t: t, opts: options(t)}
	d.opts.Log = slog.New(slog.NewJSONHandler(&d.log, nil))
	for _, f := range change {
		f(&d.opts)
	}
	s, err := Listen(d.opts)
	require.NoError(t, err)
	serving(t, s)
	d.addr = s.AdminAddr()
	return d
}

// post orders something, as a client that does all right unless it is changed.
func (d *desk) post(path, body string, change ...func(*http.Request)) (int, string) {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+d.addr+path, strings.NewReader(body))
	require.NoError(d.t, err)
	req.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(req)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(d.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	return res.StatusCode, string(text)
}

func (d *desk) answered(path, body string) (a OrderAnswer) {
	d.t.Helper()
	code, text := d.post(path, body)
	require.Equal(d.t, http.StatusOK, code, text)
	require.NoError(d.t, json.Unmarshal([]byte(text), &a))
	return a
}

func (d *desk) refused(code int, path, body string, change ...func(*http.Request)) (r OrderRefusal) {
	d.t.Helper()
	got, text := d.post(path, body, change...)
	require.Equal(d.t, code, got, text)
	require.NoError(d.t, json.Unmarshal([]byte(text), &r))
	require.Empty(d.t, d.opts.Router.Orders().List(), "nothing happened")
	return r
}

func (d *desk) list() (l OrderList) {
	d.t.Helper()
	code, text := get(d.t, d.addr, "/v1/orders")
	require.Equal(d.t, http.StatusOK, code)
	require.NoError(d.t, json.Unmarshal([]byte(text), &l))
	return l
}

func TestOrdersOfAConnector(t *testing.T) {
	d := newDesk(t)
	require.Equal(t, OrderList{Orders: []Order{}, Persistent: true}, d.list())

	a := d.answered("/v1/connectors/east/drain", `{"note": "maintenance 4711"}`)
	at := a.Order.At
	require.WithinDuration(t, time.Now(), at, 5*time.Second)
	order := Order{Kind: "connector", Name: "east", State: "draining", At: at, Note: "maintenance 4711"}
	why := "connector is draining (ordered " + at.Format(time.RFC3339) + ": maintenance 4711)"
	require.Equal(t, OrderAnswer{
		Kind: "connector", Name: "east", State: "draining", Was: "enabled", Changed: true, Order: &order, Persistent: true,
		Hosts: []HostStanding{{"east", "region-east", "sip:127.0.0.1:5081", "draining", why}},
	}, a)
	require.Equal(t, OrderList{Orders: []Order{order}, Persistent: true}, d.list())
	code, text := get(t, d.addr, "/explain?number=100")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, text, why)

	a = d.answered("/v1/connectors/east/drain", "")
	require.False(t, a.Changed, "it stands since then")
	require.Equal(t, order, *a.Order)
	a = d.answered("/v1/connectors/east/disable", `{}`)
	require.Equal(t, []string{"draining", "disabled"}, []string{a.Was, a.State})
	require.Empty(t, a.Order.Note)
	a = d.answered("/v1/connectors/east/enable", `{"note": "done"}`)
	require.Equal(t, OrderAnswer{
		Kind: "connector", Name: "east", State: "enabled", Was: "disabled", Changed: true, Persistent: true,
		Hosts: []HostStanding{{"east", "region-east", "sip:127.0.0.1:5081", "enabled", ""}},
	}, a)
	require.False(t, d.answered("/v1/connectors/east/enable", "").Changed)

	lines := strings.Split(strings.TrimSpace(d.log.String()), "\n")
	require.Len(t, lines, 3, "what changes something is logged")
	var said map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &said))
	require.Equal(t, "order taken: disable connector", said["msg"])
	require.Equal(t, []any{"east", "draining", "disabled", "draining (ordered " + at.Format(time.RFC3339) + ": maintenance 4711)"},
		[]any{said["connector"], said["was"], said["is"], said["order_before"]})
	require.Contains(t, said["by"], "127.0.0.1:")
}

func TestOrdersOfARegionAndAHost(t *testing.T) {
	d := newDesk(t)
	a := d.answered("/v1/regions/region-west/evacuate", `{"note": "fire"}`)
	require.Equal(t, []string{"enabled", "evacuated"}, []string{a.Was, a.State})
	require.Contains(t, a.Hosts[0].Reason, "region region-west is evacuated (ordered ")

	// Taken back, a host does not get calls while its region is evacuated.
	require.True(t, d.answered("/v1/hosts/sip:127.0.0.1:5082;transport=udp/disable", "").Changed)
	a = d.answered("/v1/hosts/127.0.0.1:5082/enable", "")
	require.Equal(t, []string{"disabled", "enabled"}, []string{a.Was, a.State})
	require.Len(t, a.Warnings, 1)
	require.Contains(t, a.Warnings[0], "sip:127.0.0.1:5082 of connector west still takes no new calls: region region-west is evacuated (ordered ")
	require.Len(t, d.list().Orders, 1)

	a = d.answered("/v1/regions/region-west/restore", "")
	require.Equal(t, []string{"evacuated", "enabled"}, []string{a.Was, a.State})
	require.Empty(t, a.Warnings)
	require.Empty(t, d.list().Orders)
}

// An order cannot give back what the file takes.
func TestOrdersBesideTheFile(t *testing.T) {
	d := newDesk(t)
	d.opts.Router.Catalog().Connectors[0].State = catalog.Draining // before anybody looks
	a := d.answered("/v1/connectors/east/enable", "")
	require.Equal(t, []any{"draining", false}, []any{a.State, a.Changed})
	require.Contains(t, a.Warnings, "the config itself says state: draining of connector east, and the stricter counts: change it there and reload")
	a = d.answered("/v1/connectors/east/disable", "")
	require.Equal(t, "disabled", a.State)
	require.Empty(t, a.Warnings)
}

func TestOrdersThatStrand(t *testing.T) {
	d := newDesk(t)
	hosts := d.opts.Router.Hosts()
	require.True(t, d.answered("/v1/connectors/east/drain", "").Changed)
	code, text := d.post("/v1/regions/region-west/evacuate", "")
	require.Equal(t, http.StatusConflict, code)
	require.JSONEq(t, `{"error": "region region-west stays as it is, since no host that works would be left to group support; with force (--force) it is done all the same", "stranded": ["group support"]}`, text)
	require.Len(t, d.list().Orders, 1)
	a := d.answered("/v1/regions/region-west/evacuate", `{"force": true}`)
	require.Equal(t, []string{"group support"}, a.Stranded)
	require.Equal(t, []string{"no host that works is left to group support"}, a.Warnings)
	require.Contains(t, d.log.String(), `"forced":true`)
	d.answered("/v1/regions/region-west/restore", "")
	d.answered("/v1/connectors/east/enable", "")

	hosts[1].Health.Configure(catalog.DefaultHealth(), 1)
	for range 3 {
		hosts[1].Health.Observe(1, health.Observation{Event: health.ProbeFailed})
	}
	require.Equal(t, []string{"group support (all hosts that are left are down or ejected)"}, d.refused(http.StatusConflict, "/v1/connectors/east/drain", "").Stranded)
}

func TestOrdersRefused(t *testing.T) {
	d := newDesk(t)
	const drain = "/v1/connectors/east/drain"
	for _, c := range []struct {
		code             int
		path, body, want string
	}{
		{400, drain, "x", "the body is not as"},
		{400, drain, `{"note": "x"} {}`, "the body has more behind its JSON value"},
		{400, drain, `{"nota": "x"}`, `or nothing: nota: is unknown; did you mean "note"?`},
		{400, drain, `{"note": 1}`, "or nothing: note: is a number; write a text"},
		{400, drain, `{"note": "x", "note": "y"}`, "or nothing: note: is given twice"},
		{400, drain, `{"note": "a\u001b[2J"}`, "the note holds"},
		{400, drain, `{"note": "` + strings.Repeat("x", catalog.MaxNote+1) + `"}`, "at most 200"},
		{413, drain, `{"note": "` + strings.Repeat("x", 2*mostOrder) + `"}`, "more than 4096 bytes"},
		{400, "/v1/connectors/a%0Ab/drain", "", "the path holds what no path here has"},
		{400, "/v1/connectors/a%2Fb/drain", "", `"a/b" is not the name of a connector`},
		{400, "/v1/hosts/10.0.1/drain", "", `"10.0.1" is not a host; write its address or its URI`},
		{404, "/v1/connectors/esat/drain", "", `there is no connector "esat"; did you mean "east"?`},
		{404, "/v1/connectors/esat/enable", "", `there is no connector "esat"; did you mean "east"?`},
		{404, "/v1/regions/region-eats/evacuate", "", `did you mean "region-east"?`},
		{404, "/v1/hosts/127.0.0.1:5083/drain", "", `there is no host "127.0.0.1:5083"; did you mean "127.0.0.1:5081"?`},
		{404, "/v1/regions/region-east/drain", "", "there is no /v1/regions/region-east/drain; there are /v1/regions/NAME/evacuate"},
		{404, "/v1/groups/support/drain", "", "there is no /v1/groups/support/drain"},
	} {
		require.Contains(t, d.refused(c.code, c.path, c.body).Text, c.want, c.path)
	}
	require.Empty(t, d.log.String())
}

// Nobody is asked for a key, so nobody but this machine's own programs may order.
func TestOrdersRefuseStrangers(t *testing.T) {
	d := newDesk(t)
	const drain = "/v1/connectors/east/drain"
	for want, c := range map[string]struct {
		code   int
		change func(*http.Request)
	}{
		"this takes application/json":                {415, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		`the Content-Type is ""`:                     {415, func(r *http.Request) { r.Header.Del("Content-Type") }},
		"application/x-www-form-urlencoded":          {415, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }},
		`the Host header is "evil.example"`:          {403, func(r *http.Request) { r.Host = "evil.example" }},
		`the Host header is "192.0.2.1:8080"`:        {403, func(r *http.Request) { r.Host = "192.0.2.1:8080" }},
		`the Host header is "localhost.evil.example`: {403, func(r *http.Request) { r.Host = "localhost.evil.example" }},
		"a web page of another origin":               {403, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }},
		"can change nothing":                         {403, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
	} {
		require.Contains(t, d.refused(c.code, drain, "", c.change).Text, want)
	}
	for _, host := range []string{"localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080"} {
		code, text := d.post(drain, "", func(r *http.Request) { r.Host = host })
		require.Equal(t, 200, code, text)
	}
	require.False(t, loopbackHost(""))

	res, err := http.Get("http://" + d.addr + drain)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, "a link orders nothing")
}

func TestOrdersOnAnAddressThatOthersReach(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.Admin = "0.0.0.0:0" })
	d.addr = "127.0.0.1:" + fmt.Sprint(netip.MustParseAddrPort(strings.Replace(d.addr, "[::]", "0.0.0.0", 1)).Port())
	r := d.refused(http.StatusForbidden, "/v1/connectors/east/drain", "")
	require.Equal(t, "without admin.keys this is for a loopback address only, since nobody is asked for a key: set them, or set admin.listen to one, as 127.0.0.1:8080", r.Text)
}

func TestOrdersAreNotOnTheMetricsAddress(t *testing.T) {
	opts := options(t)
	opts.Metrics = "127.0.0.1:0"
	s, err := Listen(opts)
	require.NoError(t, err)
	serving(t, s)
	d := &desk{t: t, opts: opts, addr: s.MetricsAddr()}
	code, _ := d.post("/v1/connectors/east/drain", "")
	require.Equal(t, http.StatusNotFound, code)
	code, _ = get(t, d.addr, "/v1/orders")
	require.Equal(t, http.StatusNotFound, code)
}

// What cannot be stored is in force, and everybody is told.
func TestOrdersThatDoNotLast(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.Operator.(*fakeOperator).unsaved = errors.New("disk full") })
	a := d.answered("/v1/connectors/east/drain", "")
	require.False(t, a.Persistent)
	require.Equal(t, []string{"this is in force now but cannot be kept, and a restart of the node will not know it: disk full"}, a.Warnings)
	require.Equal(t, "draining", a.State)
	require.Equal(t, "disk full", d.list().Problem)
	require.Contains(t, d.log.String(), `"level":"WARN","msg":"order taken: drain connector"`)
	_, text := get(t, d.addr, "/metrics")
	require.Contains(t, text, "\ntandem_orders_persistent 0\n")
}

// An order for what has left the catalog stays, and can be taken back only.
func TestOrdersForWhatIsGone(t *testing.T) {
	d := newDesk(t)
	gone := catalog.Subject{Kind: catalog.ConnectorKind, Name: "gone"}
	order := catalog.Order{Subject: gone, State: catalog.Draining, At: time.Unix(1, 0)}
	require.NoError(t, d.opts.Router.SetOrders(1, catalog.Orders{}.With(order)))
	require.Equal(t, []Order{{Kind: "connector", Name: "gone", State: "draining", At: time.Unix(1, 0).UTC(), Missing: true}}, d.list().Orders)
	code, _ := d.post("/v1/connectors/gone/disable", "")
	require.Equal(t, http.StatusNotFound, code)
	require.True(t, d.answered("/v1/connectors/gone/enable", "").Changed)
	require.Empty(t, d.list().Orders)
}

func TestOrdersAtTheSameTime(t *testing.T) {
	d := newDesk(t)
	var all sync.WaitGroup
	var changed sync.Map
	for i := range 20 {
		all.Go(func() {
			if d.answered("/v1/connectors/east/drain", `{"note": "the same"}`).Changed {
				changed.Store(i, true)
			}
		})
	}
	all.Wait()
	count := 0
	changed.Range(func(any, any) bool { count++; return true })
	require.Equal(t, 1, count, "one of them changed something")
}

func TestOrdersInMetrics(t *testing.T) {
	opts := options(t)
	registry := prometheus.NewRegistry()
	require.NoError(t, register(registry, &opts))
	series := func(state string, n int) string { return fmt.Sprintf("\ntandem_orders{%s} %d\n", state, n) }
	text := scraped(t, registry)
	for _, state := range []string{
		`kind="region",state="evacuated"`, `kind="connector",state="draining"`, `kind="connector",state="disabled"`,
		`kind="host",state="draining"`, `kind="host",state="disabled"`,
	} {
		require.Contains(t, text, series(state, 0))
	}
	require.Contains(t, text, "\ntandem_orders_persistent 1\n")

	at := time.Unix(1, 0)
	region := catalog.Subject{Kind: catalog.RegionKind, Name: "region-east"}
	require.NoError(t, opts.Router.SetOrders(1, catalog.Orders{}.With(catalog.Order{Subject: region, State: catalog.Draining, At: at}).
		With(catalog.Order{Subject: catalog.HostSubject(netip.MustParseAddrPort("127.0.0.1:5082"), catalog.UDP), State: catalog.Disabled, At: at})))
	text = scraped(t, registry)
	require.Contains(t, text, series(`kind="region",state="evacuated"`, 1))
	require.Contains(t, text, series(`kind="host",state="disabled"`, 1))
	require.Contains(t, text, `tandem_host_operator_state{connector="east",host="sip:127.0.0.1:5081",region="region-east",state="draining"} 1`)
	require.Contains(t, text, `tandem_host_operator_state{connector="west",host="sip:127.0.0.1:5082",region="region-west",state="disabled"} 1`)
	require.NotRegexp(t, `tandem_host_state\{connector="west".*\} 1`, text, "of a disabled host nothing is known")
}
