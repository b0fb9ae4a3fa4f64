package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// scripted is a node as far as its answers go: what it is asked, as "POST
// /v1/groups?dry_run=true {body}", and what it says, as "201 {answer}". Several
// answers to the same are given in turn, the last one for ever. The commands
// against a real node are in the tests of the whole system.
type scripted struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newScripted(t *testing.T, answers map[string]string) *scripted {
	t.Helper()
	w := &scripted{}
	given := make(map[string]int)
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		ask := strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + r.Header.Get("If-Match") + string(body))
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked = append(w.asked, ask)
		all, ok := answers[ask]
		if !ok {
			t.Errorf("asked for %s", ask)
		}
		list := strings.Split(all, "\n")
		said := list[min(given[ask], len(list)-1)]
		given[ask]++
		status, text, _ := strings.Cut(said, " ")
		if etag, rest, found := strings.Cut(text, "|"); found {
			rw.Header().Set("ETag", etag)
			text = rest
		}
		rw.Header().Set("Content-Type", "application/json")
		code := map[string]int{"200": 200, "201": 201, "204": 204, "400": 400, "404": 404, "409": 409, "412": 412, "429": 429, "503": 503}[status]
		if code == http.StatusTooManyRequests {
			rw.Header().Set("Retry-After", "1")
		}
		if code == 0 {
			code = 500
		}
		rw.WriteHeader(code)
		_, _ = io.WriteString(rw, text)
	}))
	t.Cleanup(w.Close)
	return w
}

// commandAt runs a command against a node, with something on its standard input.
func commandAt(t *testing.T, w *scripted, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetIn(strings.NewReader(stdin))
	code = runRoot(context.Background(), root, append(args, "--admin", w.URL), &out, &errs)
	return out.String(), errs.String(), code
}

const (
	support = `{"name":"support","connectors":[{"connector":"west","priority":2},{"connector":"east","priority":1}],"failover":{"no_answer":"20s"},"id":"g1","revision":7,"created":"2026-11-23T10:00:00Z","updated":"2026-11-23T10:00:00Z","numbers":3}`
	empty   = `{"name":"empty","id":"g2","revision":9,"created":"2026-11-23T10:00:00Z","updated":"2026-11-23T10:00:00Z","numbers":0}`
	ranked  = `{"name":"support","connectors":[{"connector":"west","priority":1},{"connector":"east","priority":2}],"failover":{"no_answer":"20s"},"id":"g1","revision":8,"numbers":3,"dry_run":true,"recent_calls":4}`
	east    = `{"name":"east","region":"us-east-1","hosts":[{"uri":"sip:10.0.1.10:5060"},{"uri":"sip:10.0.1.11","priority":2}],"max_calls":10,"id":"c1","revision":3,"created":"2026-11-23T10:00:00Z","updated":"2026-11-23T10:00:00Z","numbers":1}`
)

// Each command says what it should to the node, and then to the user.
func TestManageCommands(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for _, c := range []struct {
		name    string
		args    []string
		answers map[string]string
		out     string
	}{
		{"groups are listed page by page", []string{"group", "list"}, map[string]string{
			"GET /v1/groups":             `200 {"groups":[` + empty + `],"next":"empty"}`,
			"GET /v1/groups?after=empty": `200 {"groups":[` + support + `]}`,
		}, "NAME     NUMBERS  CONNECTORS\nempty    0        -\nsupport  3        1 east, 2 west\n"},
		{"as JSON", []string{"group", "list", "-o", "json"}, map[string]string{
			"GET /v1/groups": `200 {"groups":[` + empty + `]}`,
		}, `{"groups":[` + empty + "]}\n"},
		{"a group is created", []string{"group", "create", "support", "--connector", "east=1", "--connector", "my west=2", "--failover", `{"no_answer":"20s"}`}, map[string]string{
			`POST /v1/groups {"name":"support","connectors":[{"connector":"east","priority":1},{"connector":"my west","priority":2}],"failover":{"no_answer":"20s"}}`: "201 " + support,
		}, "group support is created\n  connectors: 1 east, 2 west\n  failover: {\"no_answer\":\"20s\"}\n"},
		{"and renamed", []string{"group", "rename", "my group", "help"}, map[string]string{
			"GET /v1/groups/my%20group":                   "200 " + support,
			`PATCH /v1/groups/my%20group {"name":"help"}`: "200 " + strings.Replace(support, `"support"`, `"help"`, 1),
		}, "group support is changed\n  name: support -> help\n"},
		{"a ranking is tried dry", []string{"group", "set-priority", "support", "east=2", "west=1", "--dry-run"}, map[string]string{
			"GET /v1/groups/support": "200 " + support,
			`PUT /v1/groups/support/ranking?dry_run=true {"east":2,"west":1}`: "200 " + ranked,
		}, "dry run: group support would be changed\n  connectors: 1 east, 2 west -> 1 west, 2 east\n  recent calls to it: 4\n"},
		{"a connector is added", []string{"group", "add-connector", "empty", "east=1"}, map[string]string{
			"GET /v1/groups/empty":                                "200 " + empty,
			`PUT /v1/groups/empty/connectors/east {"priority":1}`: "200 " + strings.Replace(empty, `"id"`, `"connectors":[{"connector":"east","priority":1}],"id"`, 1),
		}, "group empty is changed\n  connectors: none -> 1 east\n"},
		{"and taken out", []string{"group", "remove-connector", "support", "north"}, map[string]string{
			"GET /v1/groups/support":                     "200 " + support,
			"DELETE /v1/groups/support/connectors/north": "200 " + support,
		}, "group support: nothing changes\n"},
		{"settings are set and taken away", []string{"group", "update", "support", "--failover", `{"no_answer":null}`, "--health", "null"}, map[string]string{
			"GET /v1/groups/support": "200 " + support,
			`PATCH /v1/groups/support {"failover":{"no_answer":null},"health":null}`: "200 " + strings.Replace(support, `{"no_answer":"20s"}`, "{}", 1),
		}, "group support is changed\n  failover: {\"no_answer\":\"20s\"} -> none\n"},
		{"a group is deleted", []string{"group", "delete", "empty", "--yes"}, map[string]string{
			"DELETE /v1/groups/empty": "204",
		}, "group empty is deleted\n"},
		{"or would be", []string{"group", "delete", "empty", "--dry-run"}, map[string]string{
			"DELETE /v1/groups/empty?dry_run=true": `200 {"dry_run":true,"recent_calls":2}`,
		}, "dry run: group empty would be deleted\n  recent calls to it: 2\n"},
		{"connectors are listed", []string{"connector", "list"}, map[string]string{
			"GET /v1/connectors": `200 {"connectors":[` + east + `]}`,
		}, "NAME  REGION     STATE    NUMBERS  HOSTS\neast  us-east-1  enabled  1        sip:10.0.1.10:5060, sip:10.0.1.11 priority=2\n"},
		{"a connector is shown", []string{"connector", "show", "east"}, map[string]string{
			"GET /v1/connectors/east": "200 " + east,
			"GET /v1/groups":          `200 {"groups":[` + support + `]}`,
		}, `connector  east
region     us-east-1
state      enabled
host       sip:10.0.1.10:5060
host       sip:10.0.1.11 priority=2
in group   support, priority 1
numbers    1
max_calls  10
id         c1
created    2026-11-23 10:00:00
changed    2026-11-23 10:00:00
`},
		{"a group is shown", []string{"group", "show", "support"}, map[string]string{
			"GET /v1/groups/support": "200 " + support,
		}, `group       support
connectors  1 east, 2 west
numbers     3
failover    {"no_answer":"20s"}
id          g1
created     2026-11-23 10:00:00
changed     2026-11-23 10:00:00
`},
		{"a connector is created", []string{"connector", "create", "east", "--region", "us-east-1", "--host", "sip:10.0.1.10:5060", "--host", "sip:10.0.1.11 priority=2 weight=3 state=draining", "--max-calls", "10"}, map[string]string{
			`POST /v1/connectors {"hosts":[{"uri":"sip:10.0.1.10:5060"},{"uri":"sip:10.0.1.11","priority":2,"weight":3,"state":"draining"}],"max_calls":10,"name":"east","region":"us-east-1"}`: "201 " + east,
		}, "connector east is created\n  hosts: sip:10.0.1.10:5060, sip:10.0.1.11 priority=2\n  max_calls: 10\n  region: us-east-1\n"},
		{"its settings are changed", []string{"connector", "update", "east", "--max-calls", "0", "--max-cps", "5", "--strip", "", "--state", "disabled", "--probe", "null"}, map[string]string{
			"GET /v1/connectors/east": "200 " + east,
			`PATCH /v1/connectors/east {"max_calls":null,"max_cps":5,"probe":null,"state":"disabled","strip":null}`: "200 " + strings.Replace(east, `"max_calls":10`, `"max_cps":5,"state":"disabled"`, 1),
		}, "connector east is changed\n  max_calls: 10 -> none\n  max_cps: none -> 5\n  state: none -> disabled\n"},
		{"a host is added to the list as it is", []string{"connector", "add-host", "east", "sip:10.0.1.12", "weight=5"}, map[string]string{
			"GET /v1/connectors/east": `200 "3"|` + east,
			`PATCH /v1/connectors/east "3"{"hosts":[{"uri":"sip:10.0.1.10:5060"},{"uri":"sip:10.0.1.11","priority":2},{"uri":"sip:10.0.1.12","weight":5}]}`: "200 " + east,
		}, "connector east: nothing changes\n"},
		{"again when somebody else was faster", []string{"connector", "remove-host", "east", "10.0.1.11:5060"}, map[string]string{
			"GET /v1/connectors/east": `200 "3"|` + east + "\n" + `200 "4"|` + strings.Replace(east, `{"uri":"sip:10.0.1.10:5060"},`, "", 1),
			`PATCH /v1/connectors/east "3"{"hosts":[{"uri":"sip:10.0.1.10:5060"}]}`: `412 {"error":"it has changed","code":"stale"}`,
			`PATCH /v1/connectors/east "4"{"hosts":[]}`:                             "200 " + strings.Replace(east, `[{"uri":"sip:10.0.1.10:5060"},{"uri":"sip:10.0.1.11","priority":2}]`, "[]", 1),
		}, "connector east is changed\n  hosts: sip:10.0.1.11 priority=2 -> none\n"},
		{"a host is changed", []string{"connector", "update-host", "east", "sip:10.0.1.11", "priority=1", "max_calls=7", "max_cps=8"}, map[string]string{
			"GET /v1/connectors/east": `200 "3"|` + east,
			`PATCH /v1/connectors/east "3"{"hosts":[{"uri":"sip:10.0.1.10:5060"},{"uri":"sip:10.0.1.11","priority":1,"max_calls":7,"max_cps":8}]}`: "200 " + east,
		}, "connector east: nothing changes\n"},
		{"the node wants it later", []string{"group", "delete", "empty", "--yes"}, map[string]string{
			"DELETE /v1/groups/empty": "429 {\"error\":\"too many\"}\n204",
		}, "group empty is deleted\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := commandAt(t, newScripted(t, c.answers), "", c.args...)
			require.Equal(t, 0, code, errs)
			require.Empty(t, errs)
			require.Equal(t, c.out, out)
		})
	}
}

// What the node refuses is told word for word, what is wrong by itself is not
// asked for, and nothing waits for an answer that nobody can give.
func TestManageRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		args    []string
		answers map[string]string
		errs    string
	}{
		{"a field", []string{"group", "create", "x"}, map[string]string{
			`POST /v1/groups {"name":"x"}`: `400 {"error":"is too short","field":"name","code":"invalid"}`,
		}, "name: is too short\n"},
		{"what is in the way", []string{"connector", "delete", "east", "--yes"}, map[string]string{
			"DELETE /v1/connectors/east": `409 {"error":"connector \"east\" is in group \"support\"","blocking":["group \"support\"","+15550000001"],"code":"in_use"}`,
		}, "connector \"east\" is in group \"support\"\nin the way: +15550000001\n"},
		{"before anybody is asked", []string{"group", "delete", "support"}, map[string]string{
			"DELETE /v1/groups/support?dry_run=true": `409 {"error":"it has numbers","code":"in_use"}`,
		}, "it has numbers\n"},
		{"where nobody can be asked", []string{"group", "delete", "empty"}, map[string]string{
			"DELETE /v1/groups/empty?dry_run=true": `200 {"dry_run":true,"recent_calls":2}`,
		}, "group empty is to be deleted, for good.\n  recent calls to it: 2\nnothing is changed: there is no terminal to ask on; --yes goes on without asking\n"},
		{"a connector that is there", []string{"group", "add-connector", "support", "east=3"}, map[string]string{
			"GET /v1/groups/support": "200 " + support,
		}, "connector east is in group support already, with priority 1; to change that: tandem group set-priority\n"},
		{"a host that is there", []string{"connector", "add-host", "east", "sip:10.0.1.11:5060"}, map[string]string{
			"GET /v1/connectors/east": "200 " + east,
		}, "connector east has host sip:10.0.1.11:5060 already; to change it: tandem connector update-host\n"},
		{"a host that is not", []string{"connector", "remove-host", "east", "sip:10.9.9.9"}, map[string]string{
			"GET /v1/connectors/east": "200 " + east,
		}, "connector east has no host sip:10.9.9.9; it has sip:10.0.1.10:5060, sip:10.0.1.11 priority=2\n"},
		{"a node with a file", []string{"group", "rename", "support", "x"}, map[string]string{
			"GET /v1/groups/support":                "200 " + support,
			`PATCH /v1/groups/support {"name":"x"}`: `409 {"error":"this node routes by its file: tandem.yaml","code":"no_store"}`,
		}, "this node routes by its file: tandem.yaml\n"},
		{"no rank", []string{"group", "set-priority", "support", "east"}, nil, "\"east\" is no CONNECTOR=PRIORITY; write east=1\n"},
		{"two ranks", []string{"group", "create", "support", "--connector", "east=1", "--connector", "east=2"}, nil, "connector east is there twice\n"},
		{"no setting", []string{"connector", "create", "x", "--host", "sip:10.0.0.1 prio=1"}, nil,
			"\"prio=1\" is no setting of a host; there are priority, weight, max_calls, max_cps and state, as in priority=2\n"},
		{"no share", []string{"connector", "create", "x", "--host", "sip:10.0.0.1 weight=0"}, nil,
			"\"weight=0\" is out of range; write 1 to 100, or state=draining for a host that is to get no calls\n"},
		{"no name", []string{"group", "show", ""}, nil, "a name is empty: give one, and quote it if it has spaces\n"},
		{"no name in between", []string{"connector", "drain", ""}, nil, "a name is empty: give one, and quote it if it has spaces\n"},
		{"no new name", []string{"group", "rename", "support"}, nil, "accepts 2 arg(s), received 1; write: tandem group rename GROUP NEW-NAME [flags]\n"},
		{"no such flag", []string{"number", "assign", "+1", "--grup", "a"}, nil, "unknown flag: --grup; tandem number assign --help lists what there is\n"},
		{"no count", []string{"connector", "create", "x", "--host", "sip:10.0.0.1 weight=much"}, nil, "\"weight=much\" is no weight=NUMBER\n"},
		{"no host", []string{"connector", "create", "x", "--host", " "}, nil, "a host without a URI; write sip:10.0.1.10:5060\n"},
		{"nothing to change", []string{"connector", "update", "x"}, nil, "nothing to change is given; tandem connector update --help lists what can be\n"},
		{"no object", []string{"group", "update", "x", "--failover", "20s"}, nil, "--failover: \"20s\" is no JSON object like {\"key\": \"value\"}: invalid character 's' after top-level value\n"},
		{"no output", []string{"group", "list", "-o", "xml"}, nil, "--output: \"xml\" is none of table, json\n"},
		{"no verb", []string{"group"}, nil, "tandem group needs one of add-connector, create, delete, list, remove-connector, rename, set-priority, show, update; tandem group --help tells more\n"},
		{"no such verb", []string{"group", "lst"}, nil, "unknown command \"lst\" for \"tandem group\": tandem group needs one of add-connector, create, delete, list, remove-connector, rename, set-priority, show, update; tandem group --help tells more\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if strings.Contains(c.name, "verb") { // with no flag of a node
				_, errs, code := command(t, args...)
				require.Equal(t, exitFailed, code)
				require.Equal(t, c.errs, errs)
				return
			}
			out, errs, code := commandAt(t, newScripted(t, c.answers), "y\n", args...)
			require.Equal(t, exitFailed, code)
			require.Empty(t, out)
			require.Equal(t, c.errs, errs)
		})
	}
}

func TestKeyCommand(t *testing.T) {
	out, errs, code := command(t, "key", "ops")
	require.Equal(t, 0, code, errs)
	require.Regexp(t, `^key   [A-Z2-7]{52}\nline  for keys: of admin: in the node's config:\n  - \{name: "ops", sha256: [0-9a-f]{64}\}\n$`, out)

	file := filepath.Join(t.TempDir(), "ops.key")
	out, _, code = command(t, "key", "ops", "--file", file)
	require.Equal(t, 0, code)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, out, strings.TrimSpace(string(text)))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, errs, code = command(t, "key", "ops", "--file", file)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "file exists")
	_, errs, code = command(t, "key", "a/b")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, `"a/b" is not a name`)
}
