package main

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/admin"
)

// anOrder was given at a time that every zone writes the same way.
func anOrder(kind, name, state, note string) *admin.Order {
	return &admin.Order{Kind: kind, Name: name, State: state, At: time.Date(2026, 11, 23, 10, 0, 0, 0, time.Local), Note: note}
}

func sayOrder(t *testing.T, code int, value any, body *string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the Content-Type is %q", r.Header.Get("Content-Type"))
		}
		if body != nil {
			text, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			*body = r.Method + " " + string(text)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(value)
	}
}

func TestOrderCommands(t *testing.T) {
	hosts := []admin.HostStanding{
		{Connector: "support-east", Region: "us-east-1", Host: "sip:10.0.1.10:5060", State: "draining", Reason: "connector is draining (ordered …)"},
		{Connector: "support-west", Host: "sip:10.0.2.10", State: "enabled"},
	}
	const table = `  support-east  us-east-1  sip:10.0.1.10:5060  connector is draining (ordered …)
  support-west  -          sip:10.0.2.10       enabled
`
	for _, c := range []struct {
		args              []string
		answer            admin.OrderAnswer
		asked, body, want string
	}{
		{
			[]string{"connector", "drain", "support east", "--note", "maintenance 4711"},
			admin.OrderAnswer{Kind: "connector", Name: "support east", State: "draining", Was: "enabled", Changed: true,
				Order: anOrder("connector", "support east", "draining", "maintenance 4711"), Hosts: hosts},
			"/v1/connectors/support east/drain?", `POST {"note":"maintenance 4711"}`,
			"connector support east is draining, ordered 2026-11-23 10:00:00 (maintenance 4711); it was enabled\n" + table,
		},
		{
			[]string{"host", "disable", "sip:[::1]:5070;transport=udp", "--force"},
			admin.OrderAnswer{Kind: "host", Name: "[::1]:5070", State: "disabled", Was: "disabled", Order: anOrder("host", "[::1]:5070", "disabled", "")},
			"/v1/hosts/sip:[::1]:5070;transport=udp/disable?", `POST {"force":true}`,
			"host [::1]:5070 is disabled, ordered 2026-11-23 10:00:00: nothing changed\n",
		},
		{
			[]string{"region", "restore", "us-east-1"},
			admin.OrderAnswer{Kind: "region", Name: "us-east-1", State: "enabled", Was: "evacuated", Changed: true},
			"/v1/regions/us-east-1/restore?", "POST {}",
			"region us-east-1 is enabled: the order is taken back; it was evacuated\n",
		},
		{
			[]string{"connector", "enable", "a/b"},
			admin.OrderAnswer{Kind: "connector", Name: "a/b", State: "draining", Was: "draining"},
			"/v1/connectors/a/b/enable?", "POST {}",
			"connector a/b is draining: there was no order to take back\n",
		},
	} {
		var body string
		node := newFakeNode(t, sayOrder(t, http.StatusOK, c.answer, &body))
		out, errs, code := command(t, append(c.args, "--admin", node.URL)...)
		require.Equal(t, 0, code, errs)
		require.Empty(t, errs)
		require.Equal(t, c.want, out)
		require.Equal(t, c.asked, node.lastAsked())
		require.Equal(t, c.body, body)
	}
}

func TestOrderCommandWarns(t *testing.T) {
	answer := admin.OrderAnswer{Kind: "connector", Name: "east", State: "draining", Was: "enabled", Changed: true, Warnings: []string{"first", "sec\x1bond"}}
	node := newFakeNode(t, sayOrder(t, http.StatusOK, answer, nil))
	_, errs, code := command(t, "connector", "drain", "east", "--admin", node.Listener.Addr().String())
	require.Equal(t, 0, code)
	require.Equal(t, "warning: first\nwarning: sec\ufffdond\n", errs)

	out, errs, code := command(t, "connector", "drain", "east", "--json", "--admin", node.URL+"/")
	require.Equal(t, 0, code)
	require.Empty(t, errs, "JSON has them")
	var said admin.OrderAnswer
	require.NoError(t, json.Unmarshal([]byte(out), &said))
	require.Equal(t, answer, said)
}

func TestOrderCommandErrors(t *testing.T) {
	refusal := newFakeNode(t, sayOrder(t, http.StatusConflict, &admin.OrderRefusal{Text: "no host that works would be left", Stranded: []string{"group a"}}, nil)).URL
	missing := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }).URL
	other := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }).URL
	broken := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "on fire", http.StatusBadGateway) }).URL
	for _, c := range []struct{ at, want string }{
		{refusal, "no host that works would be left\n"},
		{missing, "has no /v1/regions/us/evacuate: this is no admin address"},
		{other, "has no /v1/regions/us/evacuate: this is no admin address"},
		{broken, "502 Bad Gateway: on fire\n"},
		{"127.0.0.1:1", "cannot be asked"},
		{"http://[", "--admin: "},
	} {
		out, errs, code := command(t, "region", "evacuate", "us", "--admin", c.at)
		require.Equal(t, exitFailed, code)
		require.Empty(t, out)
		require.Contains(t, errs, c.want)
	}
	for want, args := range map[string][]string{
		`unknown command "evacute" for "tandem region"`:           {"region", "evacute", "us"},
		"tandem host needs one of disable, drain, enable; tandem": {"host"},
		"accepts 1 arg(s), received 0":                            {"host", "drain"},
		"tandem region needs one of evacuate, restore; tandem re": {"region"},
	} {
		_, errs, code := command(t, args...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, errs, want)
	}
}

func TestOrdersCommand(t *testing.T) {
	gone := anOrder("connector", "gone", "disabled", "")
	gone.Missing = true
	list := admin.OrderList{Persistent: true, Orders: []admin.Order{*anOrder("region", "us-east-1", "evacuated", "fire drill"), *gone}}
	node := newFakeNode(t, sayOrder(t, http.StatusOK, &list, nil))
	out, errs, code := command(t, "orders", "--admin", node.URL)
	require.Equal(t, 0, code, errs)
	require.Empty(t, errs)
	require.Equal(t, `region     us-east-1  evacuated  2026-11-23 10:00:00 (fire drill)
connector  gone       disabled   2026-11-23 10:00:00; the config has no such connector: the order waits until it has
`, out)
	require.Equal(t, "/v1/orders?", node.lastAsked())

	list.Persistent, list.Problem = false, "disk full"
	_, errs, _ = command(t, "orders", "--admin", node.URL)
	require.Equal(t, "warning: a restart of the node will not know this: disk full\n", errs)
	out, _, code = command(t, "orders", "--json", "--admin", node.URL)
	require.Equal(t, 0, code)
	require.Contains(t, out, `"problem":"disk full"`)
}
