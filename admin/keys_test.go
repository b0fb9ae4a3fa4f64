package admin

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// withKeys is an address that others reach, and two keys.
func withKeys(o *Options) {
	o.Admin = "0.0.0.0:0"
	o.Keys = []Key{{"ops", sha256.Sum256([]byte("token of ops"))}, {"console", sha256.Sum256([]byte("token of console"))}}
}

func (d *desk) onLoopback() {
	d.addr = "127.0.0.1" + d.addr[strings.LastIndexByte(d.addr, ':'):]
}

func TestKeys(t *testing.T) {
	o := newOffice(t, withKeys)
	o.onLoopback()
	o.opts.Keys[0].Name = "changed behind its back"
	for _, path := range []string{
		"/v1/groups", "/v1/numbers", "/v1/export", "/v1/backup", "/v1/openapi.json", "/voice-connectors", "/calls", "/explain?number=100", "/v1/orders",
		"/v1/health", "/v1/events", "/metrics", "/no/such/page", "/",
	} {
		res, text := o.ask(http.MethodGet, path, "")
		require.Equal(t, http.StatusUnauthorized, res.StatusCode, path)
		require.Equal(t, "Bearer", res.Header.Get("WWW-Authenticate"))
		require.NotContains(t, text, "10.0.")
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		res, _ := o.ask(http.MethodGet, path, "")
		require.NotEqual(t, http.StatusUnauthorized, res.StatusCode)
	}
	for _, given := range []string{"Bearer ", "Bearer token of op", "Bearer token of opss", "Basic token of ops", "AWS4-HMAC-SHA256 Credential=x"} {
		res, text := o.ask(http.MethodGet, "/v1/groups", "", header("Authorization", given))
		require.Equal(t, http.StatusUnauthorized, res.StatusCode, "%q: %s", given, text)
	}
}

// With a key, orders and changes come from anywhere, under any name of the host.
func TestKeysLetIn(t *testing.T) {
	o := newOffice(t, withKeys)
	o.onLoopback()
	for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
		key := header("Authorization", scheme+" token of ops")
		elsewhere := func(r *http.Request) { r.Host = "tandem.example.com" }
		res, text := o.ask(http.MethodGet, "/v1/groups", "", key, elsewhere)
		require.Equal(t, http.StatusOK, res.StatusCode, text)
		res, text = o.ask(http.MethodGet, "/calls", "", key, elsewhere)
		require.Equal(t, http.StatusOK, res.StatusCode, text)
		res, text = o.ask(http.MethodPost, "/v1/connectors/east/drain", "", key, elsewhere)
		require.Equal(t, http.StatusOK, res.StatusCode, text)
		res, text = o.ask(http.MethodPost, "/v1/connectors/east/drain", "", key, header("Origin", "http://evil.example"))
		require.Equal(t, http.StatusForbidden, res.StatusCode, text)
		res, text = o.ask(http.MethodPost, "/v1/connectors/east/drain", "", key, header("Content-Type", "text/plain"))
		require.Equal(t, http.StatusUnsupportedMediaType, res.StatusCode, text)
	}
	require.Contains(t, o.log.String(), `"by":"key ops from 127.0.0.1:`)
	require.NotContains(t, o.log.String(), "token of")
}

// Without keys, what is managed is for this machine's own programs.
func TestManagingWithoutKeys(t *testing.T) {
	o := newOffice(t)
	for _, path := range []string{"/v1/groups", "/voice-connectors"} {
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.Host = "evil.example" },
			func(r *http.Request) { r.Host = "192.0.2.1" },
		} {
			res, _ := o.ask(http.MethodGet, path, "", change)
			require.Equal(t, http.StatusForbidden, res.StatusCode)
		}
	}
	o.fails(http.StatusForbidden, http.MethodPost, "/v1/groups", `{"name": "x"}`, header("Origin", "http://evil.example"))
	o.fails(http.StatusForbidden, http.MethodDelete, "/v1/groups/spare", "", header("Sec-Fetch-Site", "cross-site"))
	o.fails(http.StatusUnsupportedMediaType, http.MethodPost, "/v1/groups", `{"name": "x"}`, header("Content-Type", "text/plain"))

	open := newOffice(t, func(opts *Options) { opts.Admin = "0.0.0.0:0" })
	open.onLoopback()
	f := open.fails(http.StatusForbidden, http.MethodGet, "/v1/groups", "")
	require.Contains(t, f.Text, "without admin.keys")
}

func TestRateLimits(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimits(2, 3)
	l.now = func() time.Time { return now }
	for range 3 {
		require.Nil(t, l.take("a"))
	}
	f := l.take("a")
	require.Equal(t, http.StatusTooManyRequests, f.status)
	require.Equal(t, 500*time.Millisecond, f.after)
	require.Equal(t, 500*time.Millisecond, l.take("a").after, "what is refused does not count")
	require.Nil(t, l.take("b"))
	w := httptest.NewRecorder()
	f.answer(w, httptest.NewRequest(http.MethodGet, "/v1/groups", nil))
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	now = now.Add(500 * time.Millisecond)
	require.Nil(t, l.take("a"))
	require.NotNil(t, l.take("a"))
}

// However many sources there are, the memory for them is bounded, and none is
// without a limit.
func TestRateLimitsAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimits(1, 2)
	l.now = func() time.Time { return now }
	refused := 0
	for i := range 3 * mostSources {
		if l.take(fmt.Sprint("source ", i)) != nil {
			refused++
		}
	}
	require.Len(t, l.of, mostSources)
	require.Equal(t, 2*mostSources-2, refused, "those without a place share a limit")
	now = now.Add(time.Minute)
	require.Nil(t, l.take("another"))
	require.Len(t, l.of, 1, "who was quiet is forgotten")
}

func TestLimitKey(t *testing.T) {
	for want, c := range map[string][2]string{
		"key ops":           {"ops", "127.0.0.1:1"},
		"192.0.2.1":         {"", "192.0.2.1:99"},
		"2001:db8:1:2::/64": {"", "[2001:db8:1:2:3:4:5:6]:99"},
	} {
		require.Equal(t, want, limitKey(c[0], c[1]))
	}
	require.Equal(t, limitKey("", "[2001:db8::1]:1"), limitKey("", "[2001:db8::2]:2"))
}

// Whoever guesses tokens is slowed down, and keeps nobody out who has one.
func TestGuessingIsSlow(t *testing.T) {
	opts := Options{Keys: []Key{{"ops", sha256.Sum256([]byte("right"))}}}
	a := newAccess(&opts)
	now := time.Unix(1000, 0)
	a.strangers.now = func() time.Time { return now }
	a.callers.now = a.strangers.now
	page := a.gate(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "in") }))
	try := func(path, token string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		page.ServeHTTP(w, r)
		return w
	}
	for range strangerBurst {
		require.Equal(t, http.StatusUnauthorized, try("/v1/groups", "wrong").Code)
	}
	require.Equal(t, http.StatusTooManyRequests, try("/v1/groups", "wrong").Code)
	require.Equal(t, http.StatusOK, try("/v1/groups", "right").Code)
	for range callerBurst - 1 {
		require.Equal(t, http.StatusOK, try("/v1/groups", "right").Code)
	}
	w := try("/voice-connectors", "right")
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Equal(t, "ThrottledClientException", w.Header().Get("X-Amzn-Errortype"))
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), `"Code":"Throttled"`)
}

func TestPaths(t *testing.T) {
	o := newOffice(t)
	for _, path := range []string{
		"/v1/groups/..", "/v1/groups/%2e%2e", "/v1/groups/%2E%2E/connectors", "/v1/./groups", "//v1/groups", "/v1//groups", "/v1/groups//", "/v1/groups/..%2f..",
		"/v1/groups/a%2F..%2Fb", "/v1/groups/a%00b", "/v1/groups/%0d%0aX", "/v1/groups/%ff", "/v1/groups/%E2%80%AE", "/v1/groups/support/",
		"/v1/groups/a%2Fb", "/v1/groups/%252e%252e", "/voice-connectors/%2e%2e", "/v1/groups/a%5Cb", "/v1/groups/" + strings.Repeat("x", 300),
	} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			before := o.all()
			res, text := o.ask(method, path, "")
			require.GreaterOrEqual(t, res.StatusCode, 400, path)
			require.Less(t, res.StatusCode, 500, path)
			require.Equal(t, "application/json", res.Header.Get("Content-Type"), path)
			require.NotEmpty(t, text)
			require.Equal(t, before, o.all())
		}
	}
	require.Equal(t, "there is no /v1/nothing", o.fails(http.StatusNotFound, http.MethodGet, "/v1/nothing", "").Text)
	for path, allow := range map[string]string{"/v1/groups": "GET, HEAD, POST", "/v1/groups/support": "DELETE, GET, HEAD, PATCH", "/v1/numbers/assign": "GET, HEAD, POST"} {
		res, text := o.ask(http.MethodPut, path, `{}`)
		require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, path)
		require.Equal(t, allow, res.Header.Get("Allow"))
		require.Contains(t, text, `"code":"method"`)
	}
	res, text := o.ask(http.MethodPost, "/v1/groups/support/ranking", `{}`)
	require.Equal(t, []any{http.StatusMethodNotAllowed, "PUT"}, []any{res.StatusCode, res.Header.Get("Allow")}, text)
}
