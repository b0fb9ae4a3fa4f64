package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/config/store"
)

// office is the admin address of a node with a store: connectors east and west in
// group support, idle in none, and group spare with nothing.
type office struct {
	*desk
	manager *manage.Manager
	audit   *bytes.Buffer // what the manager logs
}

func newOffice(t testing.TB, change ...func(*Options)) *office {
	o := &office{audit: new(bytes.Buffer)}
	o.manager = newManager(t, o.audit)
	o.furnish(t)
	o.desk = newDeskFor(t, append([]func(*Options){func(opts *Options) { opts.Manager = o.manager }}, change...)...)
	return o
}

// newManager is a real one on a real store, with the checks of a config.
func newManager(t testing.TB, log io.Writer) *manage.Manager {
	kept, err := store.Open(filepath.Join(t.TempDir(), "tandem.db"), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kept.Close()) })
	cfg := &config.Config{RecordRoute: true}
	m, err := manage.Open(context.Background(), manage.Options{
		Store:  kept,
		Quotas: func() inventory.Quotas { return inventory.Quotas{Groups: 3, ConnectorsPerGroup: 3} },
		Prepare: func(_ *inventory.Change, s *inventory.Snapshot) (func() error, error) {
			_, err := cfg.WithInventory(s)
			return func() error { return nil }, err
		},
		Now: time.Now,
		Log: slog.New(slog.NewJSONHandler(log, nil)),
	})
	require.NoError(t, err)
	return m
}

func (o *office) furnish(t testing.TB) {
	edit := func(op func(*inventory.Editor) (inventory.Change, error)) {
		_, err := o.manager.Edit(context.Background(), manage.Action{Who: "test"}, op)
		require.NoError(t, err)
	}
	for name, host := range map[string]string{"east": "sip:10.0.1.10:5060", "west": "sip:10.0.2.10:5060", "idle": "sip:10.0.9.10:5060"} {
		edit(func(e *inventory.Editor) (inventory.Change, error) {
			return e.CreateConnector(inventory.ConnectorSpec{Name: name, Region: "region-" + name, Hosts: []inventory.HostSpec{{URI: host}}})
		})
	}
	edit(func(e *inventory.Editor) (inventory.Change, error) {
		return e.CreateGroup(inventory.GroupSpec{Name: "support", Connectors: []inventory.Member{{Connector: "east", Priority: 1}, {Connector: "west", Priority: 2}}})
	})
	edit(func(e *inventory.Editor) (inventory.Change, error) {
		return e.CreateGroup(inventory.GroupSpec{Name: "spare"})
	})
	for owner, numbers := range map[string][]string{"support": {"+15550000001", "+15550000002"}, "": {"+15550000009"}} {
		entries, err := entriesOf(numbers)
		require.NoError(t, err)
		_, refusals, err := o.manager.EditNumbers(context.Background(), manage.Action{Who: "test"}, entries,
			func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
				var to inventory.Owner
				if owner != "" {
					to, err = e.Snapshot.OwnerOf("", owner)
				}
				return e.AddNumbers(found, to)
			})
		require.NoError(t, err)
		require.Empty(t, refusals)
	}
}

// ask sends a request as a client that does all right unless it is changed.
func (d *desk) ask(method, path, body string, change ...func(*http.Request)) (*http.Response, string) {
	d.t.Helper()
	req, err := http.NewRequest(method, "http://"+d.addr+path, strings.NewReader(body))
	require.NoError(d.t, err)
	if body != "" || method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, f := range change {
		f(req)
	}
	res, err := http.DefaultTransport.RoundTrip(req) // follows nothing
	require.NoError(d.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	return res, string(text)
}

// does asks for something that succeeds.
func (d *desk) does(code int, method, path, body string, answer any) *http.Response {
	d.t.Helper()
	res, text := d.ask(method, path, body)
	require.Equal(d.t, code, res.StatusCode, "%s %s: %s", method, path, text)
	if answer != nil {
		reflect.ValueOf(answer).Elem().SetZero()
		require.NoError(d.t, json.Unmarshal([]byte(text), answer))
	}
	return res
}

// fails asks for something that does not, and changes nothing.
func (o *office) fails(code int, method, path, body string, change ...func(*http.Request)) (f Failure) {
	o.t.Helper()
	before := o.all()
	res, text := o.ask(method, path, body, change...)
	require.Equal(o.t, code, res.StatusCode, "%s %s: %s", method, path, text)
	require.Equal(o.t, "application/json", res.Header.Get("Content-Type"))
	require.NoError(o.t, json.Unmarshal([]byte(text), &f), text)
	require.NotEmpty(o.t, f.Text)
	require.NotEmpty(o.t, f.Code)
	for _, internal := range []string{"struct", "inventory.", "admin.F", "json:", "/tmp", ".go", "unmarshal", "RawMessage", "bolt"} {
		require.NotContains(o.t, text, internal)
	}
	require.Equal(o.t, before, o.all(), "%s %s changed something", method, path)
	return f
}

// all is what there is.
func (o *office) all() (list []any) {
	s := o.manager.Snapshot()
	list = append(list, s.Connectors, s.Groups, s.Counts)
	require.NoError(o.t, o.manager.Each(context.Background(), func(n inventory.Number) error {
		list = append(list, n)
		return nil
	}))
	return list
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// Each change is logged with who, what, before and after.
func TestChangesAreLogged(t *testing.T) {
	o := newOffice(t, withKeys)
	o.onLoopback()
	o.audit.Reset()
	res, text := o.ask("PATCH", "/v1/groups/support", `{"name": "helpdesk"}`, header("Authorization", "Bearer token of ops"))
	require.Equal(t, http.StatusOK, res.StatusCode, text)
	var said map[string]any
	require.NoError(t, json.Unmarshal(o.audit.Bytes(), &said))
	require.Equal(t, []any{"changed: update group", "helpdesk"}, []any{said["msg"], said["group"]})
	require.Contains(t, said["who"], "key ops from 127.0.0.1:")
	require.Contains(t, said["before"], `"name":"support"`)
	require.Contains(t, said["after"], `"name":"helpdesk"`)
}

// A store that fails refuses changes with the reason, and does not say where it
// is.
func TestAStoreThatFails(t *testing.T) {
	o := newOffice(t)
	require.NoError(t, o.manager.Store.Close())
	for path, method := range map[string]string{"/v1/groups": "POST", "/v1/numbers": "GET", "/v1/numbers/1": "GET", "/v1/backup": "GET", "/v1/export": "GET", "/phone-numbers": "GET"} {
		res, text := o.ask(method, path, `{"name": "x"}`)
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, "%s: %s", path, text)
		require.Equal(t, "1", res.Header.Get("Retry-After"), path)
		require.NotContains(t, text, "/tmp")
	}
	o.does(http.StatusOK, "GET", "/v1/groups", "", nil)
	require.Equal(t, "the store fails: write its file: no space left", withoutPaths("the store fails: write /var/lib/tandem/tandem.db: no space left"))
}
