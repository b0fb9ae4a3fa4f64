package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/inventory"
	"tandem/config/number"
	"tandem/config/store"
)

func TestNumbers(t *testing.T) {
	o := newOffice(t)
	support := o.ownerOf("", "support")
	var a NumbersAnswer
	o.does(200, "POST", "/v1/numbers", `{"numbers": ["+1 (555) 123.0001", "+15551230001", "+15551230100-+15551230199", "+1555124*", "007", "+15550000001"], "to": {"group": "support"}}`, &a)
	require.Equal(t, NumbersAnswer{Changed: 4, Unchanged: 1, Moves: []NumbersMove{{nil, support, 4}}, Failed: []FailedNumber{}}, a)

	var n ManagedNumber
	for text, kind := range map[string]string{"+15551230001": "exact", "+15551230100-+15551230199": "range", "+1555124*": "prefix", "007": "exact"} {
		res := o.does(200, "GET", "/v1/numbers/"+url.PathEscape(text), "", &n)
		require.Equal(t, []any{text, kind, support}, []any{n.Number, n.Kind, n.Owner})
		require.Equal(t, fmt.Sprintf(`"%d"`, n.Revision), res.Header.Get("ETag"))
	}

	o.does(200, "POST", "/v1/numbers/assign", `{"numbers": ["+15551230001", "+15550000009", "+19990000000"], "to": {"connector": "idle"}}`, &a)
	require.Equal(t, 1, a.Changed)
	require.Equal(t, []string{"taken", "not_found"}, []string{a.Failed[0].Code, a.Failed[1].Code})
	require.Equal(t, `belongs to group "support"; unassign it first, or force the assignment`, a.Failed[0].Text)
	o.does(200, "POST", "/v1/numbers/assign", `{"numbers": ["+15551230001", "+15550000009", "+19990000000", "+1999*"], "to": {"connector": "idle"}, "force": true, "add": true}`, &a)
	idle := o.ownerOf("idle", "")
	require.Equal(t, NumbersAnswer{Changed: 3, Unchanged: 1, Moves: []NumbersMove{{nil, idle, 2}, {support, idle, 1}}, Failed: []FailedNumber{}}, a)

	o.does(200, "POST", "/v1/numbers/remove", `{"numbers": ["+1999*", "+16660000000"]}`, &a)
	require.Equal(t, []string{"in_use", "not_found"}, []string{a.Failed[0].Code, a.Failed[1].Code})
	o.does(200, "POST", "/v1/numbers/unassign", `{"numbers": ["+1999*", "+19990000000"]}`, &a)
	require.Equal(t, []NumbersMove{{idle, nil, 2}}, a.Moves)
	o.does(200, "POST", "/v1/numbers/remove", `{"numbers": ["+1999*", "+19990000000"]}`, &a)
	require.Equal(t, []NumbersMove{{nil, nil, 2}}, a.Moves)
	require.Equal(t, "not_found", o.fails(404, "GET", "/v1/numbers/+19990000000", "").Code)

	o.does(200, "POST", "/v1/numbers/move", `{"from": {"connector": "idle"}, "to": {"group": "spare"}}`, &a)
	require.Equal(t, []NumbersMove{{idle, o.ownerOf("", "spare"), 2}}, a.Moves)
	o.does(200, "POST", "/v1/numbers/move", `{"numbers": ["+15550000001", "+15551230001"], "to": {"connector": "idle"}}`, &a)
	require.Len(t, a.Moves, 2)
}

func (o *office) ownerOf(connector, group string) *NumberOwner {
	s := o.manager.Snapshot()
	owner, err := s.OwnerOf(connector, group)
	require.NoError(o.t, err)
	return ownerOf(s, owner)
}

func TestNumbersRefused(t *testing.T) {
	o := newOffice(t)
	many := `{"numbers": ["+1` + strings.Repeat(`", "+1`, mostNumbers) + `"]}`
	for _, c := range []struct {
		code               int
		method, path, body string
		word, field, text  string
	}{
		{400, "POST", "/v1/numbers", `{"numbers": []}`, "invalid", "numbers", "is empty"},
		{400, "POST", "/v1/numbers", `{}`, "invalid", "numbers", "is empty"},
		{400, "POST", "/v1/numbers", many, "invalid", "numbers", "at most 10000"},
		{400, "POST", "/v1/numbers", `{"numbers": ["+1555", "abc"]}`, "invalid", "numbers[1]", `"abc" holds 'a'`},
		{400, "POST", "/v1/numbers", `{"numbers": ["` + strings.Repeat("9", 1000) + `"]}`, "invalid", "numbers[0]", "more than 15 digits"},
		{400, "POST", "/v1/numbers", `{"numbers": [1555]}`, "invalid", "numbers[0]", "is a number; write a text"},
		{400, "POST", "/v1/numbers", `{"numbers": ["+1"], "to": {}}`, "invalid", "", "the owner is missing"},
		{400, "POST", "/v1/numbers", `{"numbers": ["+1"], "to": {"group": "support", "connector": "idle"}}`, "invalid", "", ""},
		{404, "POST", "/v1/numbers", `{"numbers": ["+1"], "to": {"group": "suport"}}`, "not_found", "", `did you mean "support"?`},
		{400, "POST", "/v1/numbers/assign", `{"numbers": ["+1"]}`, "invalid", "to", ""},
		{400, "POST", "/v1/numbers/assign", `{"numbers": ["+1"], "to": null}`, "invalid", "to", ""},
		{400, "POST", "/v1/numbers/unassign", `{"numbers": ["+1"], "to": {"group": "support"}}`, "invalid", "to", "is unknown"},
		{400, "POST", "/v1/numbers/move", `{"to": {"group": "support"}}`, "invalid", "from", ""},
		{400, "POST", "/v1/numbers/move", `{"from": {"group": "support"}, "numbers": ["+1"], "to": {"group": "spare"}}`, "invalid", "from", ""},
		{400, "POST", "/v1/numbers/move", `{"from": {"group": "support"}}`, "invalid", "to", ""},
		{404, "POST", "/v1/numbers/move", `{"from": {"group": "nobody"}, "to": {"group": "spare"}}`, "not_found", "", ""},
		{400, "GET", "/v1/numbers/abc", "", "invalid", "number", ""},
		{404, "GET", "/v1/numbers/+1555*", "", "not_found", "", "+1555* is not in the inventory"},
		{400, "GET", "/v1/numbers?group=support&unassigned=true", "", "invalid", "", "exclude each other"},
		{400, "GET", "/v1/numbers?digits=abc", "", "invalid", "digits", ""},
		{400, "GET", "/v1/numbers?digits=1234567890123456", "", "invalid", "digits", ""},
		{400, "GET", "/v1/numbers?after=%00", "", "invalid", "after", ""},
		{400, "GET", "/v1/numbers?after=eyJ4IjoxfQ", "", "invalid", "after", ""},
		{400, "GET", "/v1/numbers?limit=1000000000", "", "invalid", "limit", ""},
		{404, "GET", "/v1/numbers?group=suport", "", "not_found", "", ""},
	} {
		f := o.fails(c.code, c.method, c.path, c.body)
		require.Equal(t, []string{c.word, c.field}, []string{f.Code, f.Field}, "%s %s %.100s: %s", c.method, c.path, c.body, f.Text)
		require.Contains(t, f.Text, c.text)
	}
}

func TestNumbersArePaged(t *testing.T) {
	o := newOffice(t)
	o.does(200, "POST", "/v1/numbers", `{"numbers": ["+1555123*", "+15551230100-+15551230199", "+15551230003", "100"]}`, nil)
	read := func(query string) (numbers []string) {
		for after := ""; ; {
			var list NumberList
			o.does(200, "GET", "/v1/numbers?limit=2"+query+after, "", &list)
			for _, n := range list.Numbers {
				numbers = append(numbers, n.Number)
			}
			if list.Next == "" {
				return numbers
			}
			after = "&after=" + list.Next // as people write it: a + that means a space
		}
	}
	require.Equal(t, []string{"100", "+15550000001", "+15550000002", "+15550000009", "+15551230003", "+15551230100-+15551230199", "+1555123*"}, read(""))
	require.Equal(t, []string{"+15550000001", "+15550000002"}, read("&group=support"))
	require.Equal(t, []string{"100", "+15550000009", "+15551230003", "+15551230100-+15551230199", "+1555123*"}, read("&unassigned=true"))
	require.Equal(t, []string{"+15551230003", "+15551230100-+15551230199", "+1555123*"}, read("&digits=+1555123"))
	require.Empty(t, read("&connector=east"))
}

// More numbers than one change moves.
func TestMoveManyNumbers(t *testing.T) {
	o := newOffice(t)
	const n = 2*mostNumbers + 5
	var numbers []string
	for i := range n {
		numbers = append(numbers, fmt.Sprintf("+1666%07d", i))
	}
	for len(numbers) > 0 {
		part := numbers[:min(len(numbers), mostNumbers)]
		numbers = numbers[len(part):]
		body, err := json.Marshal(map[string]any{"numbers": part, "to": map[string]string{"group": "spare"}})
		require.NoError(t, err)
		o.does(200, "POST", "/v1/numbers", string(body), nil)
	}
	var a NumbersAnswer
	for _, dry := range []string{"?dry_run=true", ""} {
		o.does(200, "POST", "/v1/numbers/move"+dry, `{"from": {"group": "spare"}, "to": {"connector": "idle"}}`, &a)
		require.Equal(t, []any{n, 0, n}, []any{a.Changed, a.Unchanged, a.Moves[0].Numbers})
	}
	require.Equal(t, n, o.manager.Snapshot().Counts[inventory.Owner{Kind: inventory.ConnectorOwner, ID: o.ownerOf("idle", "").ID}])
}

const importText = `
health: {interval: 3s}
connectors:
  - {name: east, region: region-east, hosts: ["sip:10.0.1.10:5060"]}
  - {name: north, region: eu-west-1, hosts: ["sip:10.0.3.10:5060"], numbers: ["+15559990001"]}
groups:
  - name: support
    connectors: [{connector: north, priority: 1}, {connector: east, priority: 2}]
    numbers: ["+15550000001", "+15559990002", "+15559990100-+15559990199"]
  - {name: sales, connectors: [{connector: west, priority: 1}], numbers: ["+1555888*"]}
numbers: ["+15550000002", "+15559990003"]
`

func TestImport(t *testing.T) {
	o := newOffice(t)
	yaml := header("Content-Type", "application/yaml")
	bring := func(query string) (a ImportAnswer) {
		res, text := o.ask("POST", "/v1/import"+query, importText, yaml)
		require.Equal(t, 200, res.StatusCode, text)
		require.NoError(t, json.Unmarshal([]byte(text), &a))
		return a
	}
	before := o.all()
	dry := bring("?dry_run=true")
	require.Equal(t, before, o.all())
	require.True(t, dry.DryRun)
	require.Equal(t, []string{"health"}, dry.LeftAlone)
	require.Equal(t, Counted{1, 1, 0}, dry.Groups)
	is := bring("")
	require.Equal(t, []Counted{{1, 0, 1}, {1, 1, 0}}, []Counted{is.Connectors, is.Groups})
	require.Equal(t, []int{5, 1, 1}, []int{is.Numbers.Changed, is.Numbers.Unchanged, len(is.Numbers.Failed)})
	require.Equal(t, []int{5, 1, 1}, []int{dry.Numbers.Changed, dry.Numbers.Unchanged, len(dry.Numbers.Failed)}, "as it was told")
	require.Equal(t, FailedNumber{"+15550000002", "taken", `it belongs to group "support"; with force it is unassigned`}, is.Numbers.Failed[0])
	require.Equal(t, 1, bring("?force=true").Numbers.Changed)
	again := bring("")
	require.Equal(t, []any{Counted{0, 0, 2}, Counted{0, 0, 2}, 0, 7}, []any{again.Connectors, again.Groups, again.Numbers.Changed, again.Numbers.Unchanged})

	for text, want := range map[string]string{
		"connectors: [{name: x, hosts: [nonsense]}]\ngroups: 1": "import:1: connectors[0].hosts[0]",
		"\x00":        "",
		"nonsense: 1": "nonsense",
		"groups: [":   "import:",
		"connectors: [{name: east, region: elsewhere, hosts: [\"sip:10.0.1.10\"]}]": "the region of connector",
		"connectors: [{name: x, region: \"${HOME}\"}]":                              "HOME",
		"groups: [{name: x, numbers_file: /etc/passwd}]":                            "cannot name files",
		"groups: [{name: x, connectors: [{connector: nobody, priority: 1}]}]":       "",
		"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b]": "",
	} {
		f := o.fails(o.status("POST", "/v1/import", text, yaml), "POST", "/v1/import", text, yaml)
		require.Contains(t, f.Error(), want, text)
	}
	o.fails(415, "POST", "/v1/import", "groups: []")
	o.fails(400, "POST", "/v1/import?force=2", "groups: []", yaml)
	require.Equal(t, "too_large", o.fails(413, "POST", "/v1/import", "x", yaml, func(r *http.Request) {
		r.ContentLength, r.Body = mostImport+1, io.NopCloser(io.LimitReader(zeros{}, mostImport+1))
	}).Code)
}

// An import that fails in the middle says how far it got, before its first number
// too.
func TestImportThatFails(t *testing.T) {
	for left, want := range map[int]string{
		0: "",
		1: " (changed before that, and it stays so: connectors and groups 4, numbers 0; doing it again goes on from there)",
		2: " (changed before that, and it stays so: connectors and groups 4, numbers 1; doing it again goes on from there)",
	} {
		o := newOffice(t)
		o.manager.Store = &failingStore{o.manager.Store, left}
		_, text := o.ask("POST", "/v1/import", strings.Replace(importText, "region-east, hosts", "region-east, max_calls: 5, hosts", 1), header("Content-Type", "application/yaml"))
		var f Failure
		require.NoError(t, json.Unmarshal([]byte(text), &f))
		require.Equal(t, map[bool]string{true: "nothing", false: "nothing more"}[left == 0]+" is changed, because the store fails: no space left"+want, f.Text)
	}
}

// failingStore takes so many changes more.
type failingStore struct {
	store.Store
	left int
}

func (s *failingStore) Commit(ctx context.Context, c inventory.Change) (uint64, error) {
	if s.left--; s.left < 0 {
		return 0, errors.New("no space left")
	}
	return s.Store.Commit(ctx, c)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// status is that of a request that fails.
func (o *office) status(method, path, body string, change ...func(*http.Request)) int {
	res, _ := o.ask(method, path, body, change...)
	require.GreaterOrEqual(o.t, res.StatusCode, 400)
	require.Less(o.t, res.StatusCode, 500)
	return res.StatusCode
}

// What is exported can be imported elsewhere, and is the same there.
func TestExport(t *testing.T) {
	o := newOffice(t)
	o.does(200, "POST", "/v1/numbers", `{"numbers": ["+1555123*", "+15551230100-+15551230199"], "to": {"connector": "idle"}}`, nil)
	res, text := o.ask("GET", "/v1/export", "")
	require.Equal(t, []any{200, "application/yaml"}, []any{res.StatusCode, res.Header.Get("Content-Type")})
	other := &office{manager: newManager(t, io.Discard)}
	other.desk = newDeskFor(t, func(opts *Options) { opts.Manager = other.manager })
	res, answer := other.ask("POST", "/v1/import", text, header("Content-Type", "application/yaml"))
	require.Equal(t, 200, res.StatusCode, answer)
	_, again := other.ask("GET", "/v1/export", "")
	require.Equal(t, text, again)
}

func TestBackup(t *testing.T) {
	o := newOffice(t)
	res, text := o.ask("GET", "/v1/backup", "")
	require.Equal(t, []any{200, "application/octet-stream"}, []any{res.StatusCode, res.Header.Get("Content-Type")})
	file := filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	kept, err := store.Open(file, store.Options{})
	require.NoError(t, err)
	s, _, err := kept.Snapshot(context.Background())
	require.NoError(t, err)
	require.Equal(t, o.manager.Snapshot().Groups, s.Groups)
	require.NoError(t, kept.Close())
}

// A few transfers at a time; the others are told to wait.
func TestTransfersAreFew(t *testing.T) {
	p := &managed{manager: newManager(t, io.Discard)}
	places := make(chan struct{}, 1)
	places <- struct{}{}
	err := p.transfer(places, p.backup)(nil, nil)
	var f *Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, http.StatusServiceUnavailable, f.status)
	require.NotZero(t, f.after)
}

// Large bodies are read by a few at a time; small ones wait for nobody.
func TestLargeBodiesAreFew(t *testing.T) {
	p := newManaged(&Options{}, &access{loopback: true, log: slog.New(slog.DiscardHandler)})
	read := 0
	page := p.page(func(http.ResponseWriter, *http.Request) error { read++; return nil }, 20*time.Millisecond, jsonType)
	try := func(size int) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "http://127.0.0.1/v1/numbers", strings.NewReader(strings.Repeat(" ", size)))
		r.Header.Set("Content-Type", jsonType)
		page(w, r)
		return w.Code
	}
	for range mostLarge {
		p.large <- struct{}{}
	}
	require.Equal(t, http.StatusOK, try(smallBody))
	require.Equal(t, http.StatusServiceUnavailable, try(smallBody+1))
	require.Equal(t, 1, read)
	<-p.large
	require.Equal(t, http.StatusOK, try(smallBody+1))
	require.Len(t, p.large, mostLarge-1, "the place is free again")
}

// Calls are concerned by what leads them: nothing more specific does.
func TestRecentCallsConcerned(t *testing.T) {
	o := newOffice(t)
	o.does(200, "POST", "/v1/numbers", `{"numbers": ["+1555*", "+155512*", "+15551230100-+15551230199", "+15551230150"]}`, nil)
	key := func(text string) number.Key {
		k, ok := number.Parse([]byte(text))
		require.True(t, ok)
		return k
	}
	recent := recentNumbers{key("+15550000001"): 1, key("+15551230150"): 2, key("+15551230151"): 4, key("+15551239999"): 8, key("+15559999999"): 16, key("+16"): 32}
	for text, want := range map[string]int{
		"+15551230150": 2, "+15551230100-+15551230199": 4, "+155512*": 8, "+1555*": 16, "+16": 32, "+1*": 32, "+15551239999": 8, "+15551239990-+15551239999": 8, "+1556*": 0,
	} {
		entries, err := entriesOf([]string{text})
		require.NoError(t, err)
		got, err := recent.concerned(context.Background(), o.manager, []inventory.NumberChange{{After: &inventory.Number{Entry: entries[0]}}})
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
}
