package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// fuzzed are where a body goes; each decides and does nothing.
var fuzzed = []struct{ method, path, kind string }{
	{"POST", "/v1/groups?dry_run=true", jsonType},
	{"PATCH", "/v1/groups/support?dry_run=true", patchType},
	{"PUT", "/v1/groups/support/connectors/idle?dry_run=true", jsonType},
	{"PUT", "/v1/groups/support/ranking?dry_run=true", jsonType},
	{"POST", "/v1/connectors?dry_run=true", jsonType},
	{"PATCH", "/v1/connectors/east?dry_run=true", patchType},
	{"POST", "/v1/numbers?dry_run=true", jsonType},
	{"POST", "/v1/numbers/assign?dry_run=true", jsonType},
	{"POST", "/v1/numbers/unassign?dry_run=true", jsonType},
	{"POST", "/v1/numbers/remove?dry_run=true", jsonType},
	{"POST", "/v1/numbers/move?dry_run=true", jsonType},
	{"POST", "/v1/import?dry_run=true", yamlTypes[0]},
	{"POST", "/voice-connectors?dry_run=true", jsonType},
	{"POST", "/voice-connector-groups?dry_run=true", jsonType},
	{"PUT", "/voice-connectors/east/origination?dry_run=true", jsonType},
	{"POST", "/phone-number-orders?dry_run=true", jsonType},
}

// Whatever a body is, the answer is JSON of a status that is somebody's fault
// but ours, it tells nothing of what is inside, and nothing has changed.
func FuzzBodies(f *testing.F) {
	for i, body := range []string{
		`{"name": "sales", "connectors": [{"connector": "east", "priority": 1}], "failover": {"codes": [503]}, "health": {}}`,
		`{"name": null, "failover": {"max_attempts": 3, "codes": null}}`,
		`{"priority": 3}`,
		`{"east": 2, "west": 1}`,
		`{"name": "north", "region": "eu-west-1", "hosts": [{"uri": "sip:10.0.3.10:5060;transport=udp", "weight": 10}], "probe": {"from": "sip:x@y"}}`,
		`{"hosts": [], "state": "draining", "number": "+e164", "max_calls": 1}`,
		`{"numbers": ["+15551230001", "+15551230100-+15551230199", "+1555124*"], "to": {"group": "support"}}`,
		`{"numbers": ["+15550000001"], "to": {"connector": "idle"}, "force": true, "add": true}`,
		`{"numbers": ["+15550000001"]}`,
		`{"numbers": ["+15550000009"]}`,
		`{"from": {"group": "support"}, "to": {"connector": "idle"}}`,
		importText,
		`{"Name": "north", "RequireEncryption": false, "AwsRegion": "eu-west-1", "Tags": []}`,
		`{"Name": "sales", "VoiceConnectorItems": [{"Priority": 1, "VoiceConnectorId": "east"}]}`,
		`{"Origination": {"Disabled": false, "Routes": [{"Host": "10.0.0.1", "Port": 5060, "Priority": 1, "Weight": 1, "Protocol": "UDP"}]}}`,
		`{"E164PhoneNumbers": ["+15550000001"], "ProductType": "VoiceConnector"}`,
	} {
		f.Add(uint8(i), body)
		f.Add(uint8(i), body[:len(body)/2])
	}
	f.Add(uint8(0), `{"name": "a", "name": "b"}`)
	f.Add(uint8(1), strings.Repeat(`{"failover":`, 40))
	o := &office{manager: newManager(f, io.Discard)}
	o.furnish(f)
	opts := options(f)
	opts.Manager = o.manager
	access := newAccess(&opts)
	access.loopback = true
	page := (&Server{}).pages(prometheus.NewRegistry(), &opts, access, newCallsPage(opts.Router), newEventsPage(opts.Events))
	revision := o.manager.Snapshot().Revision
	f.Fuzz(func(t *testing.T, where uint8, body string) {
		to := fuzzed[int(where)%len(fuzzed)]
		r := httptest.NewRequest(to.method, to.path, strings.NewReader(body))
		r.Host = "127.0.0.1:8080"
		r.Header.Set("Content-Type", to.kind)
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		text := w.Body.String()
		require.Less(t, w.Code, http.StatusInternalServerError, text)
		require.True(t, json.Valid(w.Body.Bytes()), text)
		require.Equal(t, revision, o.manager.Snapshot().Revision)
		if w.Code < 400 {
			return
		}
		var failed map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &failed))
		require.True(t, failed["error"] != nil || failed["Message"] != nil, text)
		for _, internal := range []string{"Go struct", "inventory.", "json:", "unmarshal", "RawMessage", "reflect"} {
			if !strings.Contains(body, internal) {
				require.NotContains(t, text, internal)
			}
		}
	})
}
