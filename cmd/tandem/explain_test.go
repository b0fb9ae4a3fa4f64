package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router"
)

// anExplanation is of a node that has two connectors and something to say on
// every level.
func anExplanation() router.Explanation {
	attempt := func(firstResponse, origin string) []router.Setting {
		return []router.Setting{
			{Name: "failover.codes", Value: "[408, 500, 502, 503, 504]", Origin: "default"},
			{Name: "failover.first_response", Value: firstResponse, Origin: origin},
			{Name: "health.interval", Value: "2s", Origin: "global"},
		}
	}
	return router.Explanation{
		Number: "+15550000001", Trunk: "carrier-a", Entry: "+1555*", Kind: "prefix", Group: "support",
		Settings: []router.Setting{
			{Name: "failover.max_attempts", Value: "3", Origin: "trunk carrier-a"},
			{Name: "failover.exhausted_code", Value: "503", Origin: "default"},
		},
		Steps: []router.Step{
			{Place: 1, Connector: "west", Host: "sip:10.0.2.10:5060", Health: "up", Reason: "connector priority 2", Settings: attempt("1s", "group support")},
			{Place: 2, Connector: "west", Host: "sip:10.0.2.11:5060", Health: "up", Reason: "connector priority 2", Settings: attempt("1s", "group support")},
			{Place: 3, Connector: "far", Region: "eu", Host: "sip:10.0.3.10:5060", Health: "full", Reason: "connector priority 3", Settings: attempt("1s", "group support")},
			{Place: 4, Connector: "east", Region: "us-east-1", Host: "sip:10.0.1.10:5060", Health: "down", Reason: "connector priority 1; down (no answer): behind every healthier host",
				Settings: attempt("500ms", "connector east")},
			{Connector: "east", Region: "us-east-1", Host: "sip:10.0.1.11:5060", Health: "doubtful", Reason: "host is draining", Settings: attempt("1s", "group support")},
		},
	}
}

const explainedLive = `number   +15550000001
trunk    carrier-a, which dials 001 555 000-0001
matches  +1555* (prefix)
route    group support
tried, in this order
  1  west  -          sip:10.0.2.10:5060  up    connector priority 2
  2  west  -          sip:10.0.2.11:5060  up    connector priority 2
  3  far   eu         sip:10.0.3.10:5060  full  connector priority 3
  4  east  us-east-1  sip:10.0.1.10:5060  down  connector priority 1; down (no answer): behind every healthier host
left out
  -  east  us-east-1  sip:10.0.1.11:5060  doubtful  host is draining
`

func sayExplanation(code int, ex router.Explanation) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(ex)
	}
}

func TestExplainLive(t *testing.T) {
	node := newFakeNode(t, sayExplanation(http.StatusOK, anExplanation()))
	out, errs, code := command(t, "explain", "--admin", node.URL, "--trunk", "carrier-a", "001 555 000-0001")
	require.Equal(t, 0, code, errs)
	require.Equal(t, explainedLive+`settings of the call
  failover.max_attempts 3 (trunk carrier-a)
settings at west, far, east sip:10.0.1.11:5060
  failover.first_response 1s (group support)
  health.interval 2s (global)
settings at east
  failover.first_response 500ms (connector east)
  health.interval 2s (global)
`, out)
	require.Equal(t, "/explain?"+url.Values{"number": {"001 555 000-0001"}, "trunk": {"carrier-a"}}.Encode(), node.lastAsked())

	out, _, code = command(t, "explain", "--admin", node.Listener.Addr().String(), "--trunk", "carrier-a", "--settings", "001 555 000-0001")
	require.Equal(t, 0, code)
	require.Equal(t, explainedLive+`settings of the call
  failover.max_attempts 3 (trunk carrier-a)
  failover.exhausted_code 503 (default)
settings at west, far, east sip:10.0.1.11:5060
  failover.codes [408, 500, 502, 503, 504] (default)
  failover.first_response 1s (group support)
  health.interval 2s (global)
settings at east
  failover.codes [408, 500, 502, 503, 504] (default)
  failover.first_response 500ms (connector east)
  health.interval 2s (global)
`, out)

	out, _, code = command(t, "explain", "--admin", node.URL, "--json", "+15550000001")
	require.Equal(t, 0, code)
	var ex router.Explanation
	require.NoError(t, json.Unmarshal([]byte(out), &ex))
	require.Equal(t, anExplanation(), ex)
	require.Equal(t, "/explain?number=%2B15550000001", node.lastAsked())
}

// Where nothing differs from the defaults, nothing is said of settings.
func TestExplainSettingsAtTheirDefaults(t *testing.T) {
	ex := router.Explanation{
		Number: "100", Entry: "100", Kind: "exact", Group: "support",
		Settings: []router.Setting{{Name: "failover.max_attempts", Value: "6", Origin: "default"}},
		Steps:    []router.Step{{Place: 1, Connector: "east", Host: "sip:10.0.1.10:5060", Health: "up", Reason: "connector priority 1"}},
	}
	out, _, code := command(t, "explain", "--admin", newFakeNode(t, sayExplanation(http.StatusOK, ex)).URL, "100")
	require.Equal(t, 0, code)
	require.Equal(t, `number   100
matches  100 (exact)
route    group support
tried, in this order
  1  east  -  sip:10.0.1.10:5060  up  connector priority 1
`, out)
}

func TestExplainLiveNowhere(t *testing.T) {
	node := newFakeNode(t, sayExplanation(http.StatusNotFound, router.Explanation{Number: "+4930"}))
	out, errs, code := command(t, "explain", "--admin", node.URL, "+4930")
	require.Equal(t, exitFailed, code)
	require.Empty(t, errs)
	require.Equal(t, "number   +4930\nmatches  nothing: a call to it is answered 404\n", out)

	out, _, code = command(t, "explain", "--admin", node.URL, "--json", "+4930")
	require.Equal(t, exitFailed, code)
	require.JSONEq(t, `{"number":"+4930"}`, out)
}

func TestExplainErrors(t *testing.T) {
	file := write(t, explained)
	missing := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }).URL
	unknown := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `there is no trunk "x"`, http.StatusBadRequest)
	}).URL
	closed := newFakeNode(t, nil)
	closed.Close()
	const oneOf = "explain needs one of --config FILE, to ask a file offline, and --admin URL, to ask a running node (http://127.0.0.1:8080)\n"
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"neither file nor node", oneOf, nil},
		{"both", oneOf, []string{"--config", file, "--admin", missing}},
		{"no such page", "has no /explain: this is no admin address", []string{"--admin", missing}},
		{"the node's own words", `says: there is no trunk "x"` + "\n", []string{"--admin", unknown, "--trunk", "x"}},
		{"nobody there", "Is it running", []string{"--admin", closed.URL}},
		{"a file whose numbers are in a store", "ask the node, with --admin URL\n", []string{"--config", write(t, withStore)}},
		{"no trunk in the file", `there is no trunk "x"` + "\n", []string{"--config", file, "--trunk", "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := command(t, append([]string{"explain", "100"}, c.args...)...)
			require.Equal(t, exitFailed, code)
			require.Empty(t, out)
			require.Contains(t, errs, c.want)
		})
	}
}

// Offline too: as a trunk dials, with the settings in force.
func TestExplainOfflineForATrunk(t *testing.T) {
	path := write(t, explained+`trunks:
  - {name: carrier-a, sources: [198.51.100.0/24], strip: "00", prepend: "+"}
`)
	out, errs, code := command(t, "explain", "--config", path, "--trunk", "carrier-a", "001 777 123")
	require.Equal(t, 0, code, errs)
	require.Equal(t, `number   +1777123
trunk    carrier-a, which dials 001 777 123
matches  +1777* (prefix)
route    group support
tried, in this order
  1  west  -          sip:127.0.0.1:5083  connector priority 1, host priority 1, weight 1
  2  east  us-east-1  sip:127.0.0.1:5081  connector priority 2, host priority 1, weight 1
  3  east  us-east-1  sip:127.0.0.1:5082  connector priority 2, host priority 2, weight 1
left out
  -  west  -  sip:127.0.0.1:5084  host is disabled
`, out)

	out, _, code = command(t, "explain", "--config", path, "--settings", "+1777123")
	require.Equal(t, 0, code)
	require.Contains(t, out, "\nsettings of the call\n")
	require.Contains(t, out, "\n  failover.max_attempts 6 (default)\n")
	require.Contains(t, out, "\nsettings at west, east\n")
	require.Contains(t, out, "\n  failover.first_response 2s (default)\n")

	out, _, code = command(t, "explain", "--config", path, "--json", "+1777123")
	require.Equal(t, 0, code)
	var ex router.Explanation
	require.NoError(t, json.Unmarshal([]byte(out), &ex))
	require.Equal(t, "+1777*", ex.Entry)
	require.NotEmpty(t, ex.Settings)
}

// A connector that is reached from a listener by its name.
func TestExplainOfflineWithNamedListeners(t *testing.T) {
	path := write(t, `listen: [{address: "udp://127.0.0.1:5060", name: edge}, {address: "udp://127.0.0.2:5060", name: inner}]
connectors: [{name: east, hosts: ["sip:127.0.0.1:5081"], numbers: ["100"], listener: inner}]
`)
	_, errs, code := command(t, "explain", "--config", path, "100")
	require.Equal(t, 0, code, errs)
}
