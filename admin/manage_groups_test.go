package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/inventory"
)

func TestGroups(t *testing.T) {
	o := newOffice(t)
	var g ManagedGroup
	res := o.does(201, "POST", "/v1/groups", `{"name": "sales desk", "connectors": [{"connector": "idle", "priority": 5}], "failover": {"max_attempts": 3}}`, &g)
	require.Len(t, g.ID, 22)
	require.Equal(t, "/v1/groups/"+g.ID, res.Header.Get("Location"))
	require.Equal(t, fmt.Sprintf(`"%d"`, g.Revision), res.Header.Get("ETag"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	require.JSONEq(t, `{"max_attempts": 3}`, string(g.Failover))

	for _, ref := range []string{g.ID, "sales%20desk"} {
		var again ManagedGroup
		res = o.does(200, "GET", "/v1/groups/"+ref, "", &again)
		require.Equal(t, g, again)
		require.NotEmpty(t, res.Header.Get("ETag"))
	}

	var is ManagedGroup
	o.does(200, "PATCH", "/v1/groups/sales%20desk", `{"name": "sales", "failover": {"max_attempts": null, "first_response": "1s"}}`, &is)
	require.Equal(t, []any{"sales", g.ID, g.Connectors}, []any{is.Name, is.ID, is.Connectors})
	require.JSONEq(t, `{"first_response": "1s"}`, string(is.Failover))
	require.Greater(t, is.Revision, g.Revision)
	o.does(200, "PATCH", "/v1/groups/sales", `{"failover": null}`, &is)
	require.Nil(t, is.Failover)

	o.does(200, "PUT", "/v1/groups/sales/connectors/east", `{"priority": 2}`, &is)
	o.does(200, "PUT", "/v1/groups/sales/connectors/idle", `{"priority": 1}`, &is)
	require.Equal(t, []inventory.Member{{Connector: "idle", Priority: 1}, {Connector: "east", Priority: 2}}, is.Connectors)
	o.does(200, "PUT", "/v1/groups/sales/ranking", `{"east": 1, "idle": 2}`, &is)
	require.Equal(t, "east", is.Connectors[0].Connector)
	o.does(200, "DELETE", "/v1/groups/sales/connectors/east", "", &is)
	require.Len(t, is.Connectors, 1)

	require.Contains(t, o.fails(409, "DELETE", "/v1/groups/sales", "").Blocking, `connector "idle"`)
	o.does(200, "DELETE", "/v1/groups/sales/connectors/idle", "", nil)
	o.does(204, "DELETE", "/v1/groups/sales", "", nil)
	require.Equal(t, "not_found", o.fails(404, "GET", "/v1/groups/"+g.ID, "").Code)
}

func TestGroupsRefused(t *testing.T) {
	o := newOffice(t)
	for _, c := range []struct {
		code               int
		method, path, body string
		word, field, text  string
	}{
		{409, "POST", "/v1/groups", `{"name": "support"}`, "taken", "name", "is the name of another group"},
		{400, "POST", "/v1/groups", `{"name": "a/b"}`, "invalid", "name", "is not a name"},
		{400, "POST", "/v1/groups", `{}`, "invalid", "name", "is missing"},
		{400, "POST", "/v1/groups", `{"name": "x", "numbers": ["+1"]}`, "invalid", "numbers", "is unknown"},
		{404, "POST", "/v1/groups", `{"name": "x", "connectors": [{"connector": "esat", "priority": 1}]}`, "not_found", "connectors[0].connector", `did you mean "east"?`},
		{400, "POST", "/v1/groups", `{"name": "x", "connectors": [{"connector": "east", "priority": 0}]}`, "invalid", "connectors[0].priority", "0 is not a priority"},
		{400, "POST", "/v1/groups", `{"name": "x", "failover": {"codes": [99]}}`, "invalid", "failover.codes[0]", ""},
		{400, "POST", "/v1/groups", `{"name": "x", "failover": {"code": [503]}}`, "invalid", "failover.code", ""},
		{400, "POST", "/v1/groups", `{"name": "x", "failover": {"first_response": "${HOME}"}}`, "invalid", "failover.first_response", "HOME"},
		{404, "PATCH", "/v1/groups/suport", `{"name": "x"}`, "not_found", "", `did you mean "support"?`},
		{409, "PATCH", "/v1/groups/support", `{"name": "spare"}`, "taken", "name", ""},
		{400, "PATCH", "/v1/groups/support", `{"name": null}`, "invalid", "name", "is missing"},
		{400, "PATCH", "/v1/groups/support", `{"revision": 1}`, "invalid", "revision", "is unknown"},
		{400, "PATCH", "/v1/groups/support", `{"nmae": null}`, "invalid", "nmae", "is unknown"},
		{400, "PATCH", "/v1/groups/support", `["name"]`, "invalid", "", "is a list; write an object"},
		{409, "PUT", "/v1/groups/support/connectors/idle", `{"priority": 1}`, "taken", "priority", "connector"},
		{400, "PUT", "/v1/groups/support/connectors/idle", `{}`, "invalid", "priority", "is missing"},
		{400, "PUT", "/v1/groups/support/connectors/idle", `{"priority": 100}`, "invalid", "priority", ""},
		{404, "PUT", "/v1/groups/support/connectors/nobody", `{"priority": 3}`, "not_found", "", ""},
		{404, "DELETE", "/v1/groups/support/connectors/idle", "", "not_found", "", "is not in group"},
		{400, "PUT", "/v1/groups/support/ranking", `{"east": 3, "west": 3}`, "invalid", "west", ""},
		{409, "PUT", "/v1/groups/support/ranking", `{"east": 2}`, "taken", "east", ""},
		{409, "DELETE", "/v1/groups/support", "", "in_use", "", "has 2 connectors and 2 numbers"},
		{400, "GET", "/v1/groups?limit=0", "", "invalid", "limit", ""},
		{400, "GET", "/v1/groups?limit=-1", "", "invalid", "limit", ""},
		{400, "GET", "/v1/groups?limit=1001", "", "invalid", "limit", ""},
		{400, "GET", "/v1/groups?limit=99999999999999999999", "", "invalid", "limit", ""},
		{400, "GET", "/v1/groups?limit=1&limit=2", "", "invalid", "", "limit is given 2 times"},
		{400, "GET", "/v1/groups?after=a%2Fb", "", "invalid", "after", ""},
		{400, "GET", "/v1/groups?afte=a", "", "invalid", "", "known are limit, after"},
		{400, "GET", "/v1/groups/support?limit=1", "", "invalid", "", `"limit" is unknown; nothing stands`},
		{400, "GET", "/v1/groups?%zz", "", "invalid", "", "the query cannot be read"},
		{400, "POST", "/v1/groups?dry_run=maybe", `{"name": "x"}`, "invalid", "dry_run", ""},
	} {
		f := o.fails(c.code, c.method, c.path, c.body)
		require.Equal(t, []string{c.word, c.field}, []string{f.Code, f.Field}, "%s %s %s: %s", c.method, c.path, c.body, f.Text)
		require.Contains(t, f.Text, c.text)
	}
	o.does(201, "POST", "/v1/groups", `{"name": "third"}`, nil)
	require.Equal(t, "quota", o.fails(409, "POST", "/v1/groups", `{"name": "fourth"}`).Code)
	for _, path := range []string{"/v1/groups?" + strings.Repeat("x", 8000), "/v1/groups?dry_run=" + strings.Repeat("%41", 2000)} {
		f := o.fails(400, "DELETE", "/v1/groups/support"+strings.TrimPrefix(path, "/v1/groups"), "")
		require.Less(t, len(f.Text), 700)
	}
	long := strings.Repeat("x", 8000)
	require.Less(t, len(o.fails(403, "GET", "/v1/groups", "", func(r *http.Request) { r.Host = long }).Text), 700)
	require.Less(t, len(o.fails(415, "POST", "/v1/groups", "{}", header("Content-Type", long)).Text), 700)
	f := o.fails(409, "DELETE", "/v1/groups/support", "")
	require.Equal(t, []string{`connector "east"`, `connector "west"`, "2 numbers", "+15550000001", "+15550000002"}, f.Blocking)
}

// Two clients that change the same group: none takes back what the other did.
func TestIfMatch(t *testing.T) {
	o := newOffice(t)
	res := o.does(200, "GET", "/v1/groups/support", "", nil)
	tag := res.Header.Get("ETag")
	for _, c := range [][3]string{
		{"PATCH", "/v1/groups/support", `{"name": "x"}`},
		{"DELETE", "/v1/groups/support", ""},
		{"PUT", "/v1/groups/support/ranking", `{"east": 2, "west": 1}`},
		{"PUT", "/v1/groups/support/connectors/idle", `{"priority": 9}`},
		{"DELETE", "/v1/groups/support/connectors/east", ""},
		{"PATCH", "/v1/connectors/east", `{"state": "draining"}`},
		{"DELETE", "/v1/connectors/idle", ""},
	} {
		for _, stale := range []string{`"1000"`, `W/` + tag, `nonsense`, `""`} {
			require.Equal(t, "stale", o.fails(412, c[0], c[1], c[2], header("If-Match", stale)).Code)
		}
	}
	res, text := o.ask("PATCH", "/v1/groups/support", `{"name": "first"}`, header("If-Match", `"7", `+tag))
	require.Equal(t, 200, res.StatusCode, text)
	require.NotEqual(t, tag, res.Header.Get("ETag"))
	require.Equal(t, "stale", o.fails(412, "PATCH", "/v1/groups/first", `{"name": "second"}`, header("If-Match", tag)).Code)
	res, _ = o.ask("PATCH", "/v1/groups/first", `{"name": "second"}`, header("If-Match", "*"))
	require.Equal(t, 200, res.StatusCode)

	// Each adds to what it has read, and tries again when that is stale.
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 100 {
				res, text := o.ask("GET", "/v1/groups/spare", "")
				var g ManagedGroup
				if json.Unmarshal([]byte(text), &g) != nil {
					return
				}
				codes := struct{ Codes []int }{}
				_ = json.Unmarshal(g.Failover, &codes)
				patch, _ := json.Marshal(map[string]any{"failover": map[string]any{"codes": append(codes.Codes, 500+i)}})
				if res, _ = o.ask("PATCH", "/v1/groups/spare", string(patch), header("If-Match", res.Header.Get("ETag"))); res.StatusCode == 200 {
					return
				}
			}
		})
	}
	all.Wait()
	var g ManagedGroup
	o.does(200, "GET", "/v1/groups/spare", "", &g)
	for i := range 4 {
		require.Contains(t, string(g.Failover), fmt.Sprint(500+i))
	}
}

func TestConnectors(t *testing.T) {
	o := newOffice(t)
	var c ManagedConnector
	res := o.does(201, "POST", "/v1/connectors", `{"name": "north", "region": "eu-west-1"}`, &c)
	require.Equal(t, "/v1/connectors/"+c.ID, res.Header.Get("Location"))
	require.Empty(t, c.Hosts)
	o.does(200, "PATCH", "/v1/connectors/north", `{"hosts": [{"uri": "sip:10.0.3.10", "max_calls": 5}], "state": "draining"}`, &c)
	require.Equal(t, []inventory.HostSpec{{URI: "sip:10.0.3.10", MaxCalls: 5}}, c.Hosts)
	o.does(200, "PATCH", "/v1/connectors/"+c.ID, `{"state": null}`, &c)
	require.Empty(t, c.State)

	o.does(200, "PATCH", "/v1/connectors/east", `{"name": "support-east"}`, &c)
	require.Equal(t, []string{"support"}, c.Groups)
	var g ManagedGroup
	o.does(200, "GET", "/v1/groups/support", "", &g)
	require.Equal(t, "support-east", g.Connectors[0].Connector, "groups follow")

	for _, c := range []struct {
		code                      int
		method, path, body, field string
	}{
		{400, "POST", "/v1/connectors", `{"name": "x", "hosts": [{"uri": "10.0.0.1"}]}`, "hosts[0].uri"},
		{400, "POST", "/v1/connectors", `{"name": "x", "hosts": [{"uri": "sip:10.0.0.1", "weight": -1}]}`, "hosts[0].weight"},
		{400, "POST", "/v1/connectors", `{"name": "x", "state": "off"}`, "state"},
		{400, "POST", "/v1/connectors", `{"name": "x", "listener": "nowhere"}`, "listener"},
		{400, "PATCH", "/v1/connectors/west", `{"region": "elsewhere"}`, "region"},
		{409, "POST", "/v1/connectors", `{"name": "west"}`, "name"},
		{409, "DELETE", "/v1/connectors/west", "", ""},
		{404, "DELETE", "/v1/connectors/wets", "", ""},
	} {
		require.Equal(t, c.field, o.fails(c.code, c.method, c.path, c.body).Field, c.body)
	}
	require.Equal(t, []string{`group "support"`}, o.fails(409, "DELETE", "/v1/connectors/west", "").Blocking)
	o.does(204, "DELETE", "/v1/connectors/north", "", nil)
}

func TestListsArePaged(t *testing.T) {
	o := newOffice(t)
	var names []string
	for after := ""; ; {
		var list ConnectorList
		o.does(200, "GET", "/v1/connectors?limit=1"+after, "", &list)
		require.Len(t, list.Connectors, 1)
		names = append(names, list.Connectors[0].Name)
		if list.Next == "" {
			break
		}
		after = "&after=" + list.Next
	}
	require.Equal(t, []string{"east", "idle", "west"}, names)
	var list GroupList
	o.does(200, "GET", "/v1/groups?after=support", "", &list)
	require.Equal(t, GroupList{Groups: []ManagedGroup{}}, list)
}

// A dry run tells what would be, and is not.
func TestDryRun(t *testing.T) {
	o := newOffice(t)
	before := o.all()
	var g ManagedGroup
	o.does(200, "POST", "/v1/groups?dry_run=true", `{"name": "x"}`, &g)
	require.True(t, g.DryRun)
	res := o.does(200, "PATCH", "/v1/groups/support?dry_run=true", `{"name": "helpdesk"}`, &g)
	require.Equal(t, []any{"helpdesk", 2, true, 0}, []any{g.Name, g.Numbers, g.DryRun, *g.RecentCalls})
	require.Empty(t, res.Header.Get("ETag"))
	var p Preview
	o.does(200, "DELETE", "/v1/connectors/idle?dry_run=true", "", &p)
	require.True(t, p.DryRun)
	o.does(200, "DELETE", "/v1/groups/spare?dry_run=1", "", &p)
	var a NumbersAnswer
	o.does(200, "POST", "/v1/numbers/move?dry_run=true", `{"from": {"group": "support"}, "to": {"connector": "idle"}}`, &a)
	require.Equal(t, []any{2, true, 0}, []any{a.Changed, a.DryRun, *a.RecentCalls})
	require.Equal(t, before, o.all())
	o.fails(409, "POST", "/v1/groups?dry_run=true", `{"name": "support"}`)
}

// A node without a store shows what its file has, and changes nothing.
func TestWithoutAStore(t *testing.T) {
	d := newDesk(t)
	var list GroupList
	d.does(200, "GET", "/v1/groups", "", &list)
	require.Equal(t, GroupList{Groups: []ManagedGroup{{
		GroupSpec: inventory.GroupSpec{Name: "support", Connectors: []inventory.Member{{Connector: "east", Priority: 1}, {Connector: "west", Priority: 2}}}, Numbers: 1,
	}}}, list)
	_, text := d.ask("GET", "/v1/connectors/west", "")
	require.JSONEq(t, `{"name": "west", "region": "region-west", "hosts": [{"uri": "sip:127.0.0.1:5082", "priority": 1, "weight": 1}], "groups": ["support"], "numbers": 0}`, text)
	for path, method := range map[string]string{
		"/v1/groups": "POST", "/v1/groups/support": "PATCH", "/v1/groups/support/ranking": "PUT", "/v1/connectors/east": "DELETE", "/v1/numbers": "GET", "/v1/numbers/1": "GET",
		"/v1/numbers/assign": "POST", "/v1/numbers/move": "POST", "/v1/export": "GET", "/v1/backup": "GET",
	} {
		res, text := d.ask(method, path, `{"name": "x"}`)
		require.Equal(t, http.StatusConflict, res.StatusCode, "%s: %s", path, text)
		require.Contains(t, text, `"code":"no_store"`)
		require.True(t, strings.HasPrefix(text, `{"error":"this node routes by its file: `), text)
	}
	res, _ := d.ask("GET", "/voice-connector-groups/support", "")
	require.Equal(t, 200, res.StatusCode)
	res, _ = d.ask("POST", "/voice-connector-groups", `{"Name": "x"}`)
	require.Equal(t, 403, res.StatusCode)
	require.Equal(t, "ForbiddenException", res.Header.Get("X-Amzn-Errortype"))
}

func TestBodies(t *testing.T) {
	o := newOffice(t)
	huge := `{"name": "` + strings.Repeat("x", mostBody) + `"}`
	for path, method := range map[string]string{
		"/v1/groups": "POST", "/v1/groups/support": "PATCH", "/v1/connectors": "POST", "/v1/numbers": "POST", "/v1/numbers/move": "POST", "/v1/groups/support/ranking": "PUT",
	} {
		require.Equal(t, "too_large", o.fails(413, method, path, huge).Code)
		require.Equal(t, "too_large", o.fails(413, method, path, huge, func(r *http.Request) { r.ContentLength = -1 }).Code)
		for _, body := range []string{
			`{"name": "a`, `{"name": "a", "name": "b"}`, `[[[[`, strings.Repeat(`{"a":`, 5000), `"x"`, `1`, `null`, "\x00", "{\"name\": \"\xff\"}", `{"name": "a"} 1`, `{"x": 1}}`,
		} {
			require.Equal(t, "invalid", o.fails(400, method, path, body).Code, "%s %s", path, body)
		}
		require.Equal(t, "invalid", o.fails(400, method, path, "", header("Content-Type", "application/json")).Code, path)
		require.Equal(t, "media_type", o.fails(415, method, path, `{}`, header("Content-Type", "application/xml")).Code)
		require.Equal(t, "media_type", o.fails(415, method, path, `{}`, header("Content-Type", "application/json, text/plain")).Code)
	}
}
