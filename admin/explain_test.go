package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router"
)

func TestExplainPage(t *testing.T) {
	s, err := Listen(options(t))
	require.NoError(t, err)
	serving(t, s)
	res, err := http.Get("http://" + s.AdminAddr() + "/explain?number=1-0-0")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "application/json", res.Header.Get("Content-Type"))
	var ex router.Explanation
	require.NoError(t, json.NewDecoder(res.Body).Decode(&ex))
	require.Equal(t, "100", ex.Number)
	require.Equal(t, "support", ex.Group)
	require.Len(t, ex.Steps, 2)
	require.Equal(t, "up", ex.Steps[0].Health)
	require.Equal(t, "west", ex.Steps[1].Connector)

	code, text := get(t, s.AdminAddr(), "/explain?number=101")
	require.Equal(t, http.StatusNotFound, code)
	require.Equal(t, `{"number":"101"}`+"\n", text)
}

func TestExplainPageAsks(t *testing.T) {
	var number, trunk string
	server := httptest.NewServer(&explainPage{func(n, t string) (router.Explanation, error) {
		number, trunk = n, t
		if t == "nobody" {
			return router.Explanation{}, errors.New(`no trunk "nobody"; there are carrier-a, carrier-b`)
		}
		return router.Explanation{Number: n, Entry: n}, nil
	}})
	defer server.Close()
	for _, c := range []struct {
		query  string
		code   int
		number string
		trunk  string
		text   string
	}{
		{"number=%2B1+555-000-0001&trunk=carrier-a", 200, "+15550000001", "carrier-a", `{"number":"+15550000001","entry":"+15550000001"}`},
		{"number=+15550000001", 200, "+15550000001", "", `{"number":"+15550000001","entry":"+15550000001"}`},
		{"number=*98%23", 200, "*98#", "", `{"number":"*98#","entry":"*98#"}`},
		{"number=100&trunk=nobody", 400, "100", "nobody", `no trunk "nobody"; there are carrier-a, carrier-b`},
		{"", 400, "", "", "which number? Write /explain?number=%2B15550000001, and &trunk=NAME for a call from that trunk"},
		{"number=100&trunc=x", 400, "", "", `"trunc" is unknown; known are number, trunk`},
		{"number=100&trunk=", 400, "", "", "trunk is empty; give it a value, or leave it out"},
	} {
		number, trunk = "", ""
		code, text := get(t, server.Listener.Addr().String(), "/explain?"+c.query)
		require.Equal(t, c.code, code, c.query)
		require.Equal(t, c.text+"\n", text, c.query)
		require.Equal(t, c.number, number, c.query)
		require.Equal(t, c.trunk, trunk, c.query)
	}
}

// DNS rebinding: a web page's own name leads to this machine.
func TestPagesOfTheAdminAddressRefuseNames(t *testing.T) {
	s, err := Listen(options(t))
	require.NoError(t, err)
	serving(t, s)
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "127.0.0.1": 200, "[::1]:8080": 200, "[::1]": 200, "localhost:8080": 200, "LOCALHOST": 200, "10.0.0.1:80": 200,
		"evil.example": 403, "evil.example:8080": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:8080": 403, "node-1": 403,
	} {
		for _, path := range []string{"/calls", "/calls?follow=1&last=0", "/explain?number=100"} {
			if want == 200 && path == "/calls?follow=1&last=0" {
				continue
			}
			req, err := http.NewRequest(http.MethodGet, "http://"+s.AdminAddr()+path, nil)
			require.NoError(t, err)
			req.Host = host
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, want, res.StatusCode, "%s of %s", path, host)
		}
	}
	require.True(t, localHost(""), "HTTP/1.0 without a Host")
	require.True(t, localHost("fe80::1%eth0"))
	req, err := http.NewRequest(http.MethodGet, "http://"+s.AdminAddr()+"/healthz", nil)
	require.NoError(t, err)
	req.Host = "node-1"
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, "what a scraper asks for by name tells no secrets")
}
