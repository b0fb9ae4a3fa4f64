package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const moved = `"moves":[{"from":null,"to":{"group":"support","id":"g1"},"numbers":2},{"from":{"connector":"east","id":"c1"},"to":{"group":"support","id":"g1"},"numbers":1}]`

func TestNumberCommands(t *testing.T) {
	t.Setenv("TZ", "UTC")
	file := filepath.Join(t.TempDir(), "numbers.csv")
	require.NoError(t, os.WriteFile(file, []byte("number,customer\n+1 555,a\n# none\n1555*,b\n"), 0o600))
	one := `{"number":"+15550000001","kind":"exact","owner":{"group":"support","id":"g1"},"created":"2026-11-23T10:00:00Z","updated":"2026-11-23T11:00:00Z","revision":8}`
	two := `{"number":"+1555*","kind":"prefix","owner":null,"created":"2026-11-23T10:00:00Z","updated":"2026-11-23T10:00:00Z","revision":9}`
	for _, c := range []struct {
		name    string
		args    []string
		answers map[string]string
		out     string
	}{
		{"added", []string{"number", "add", "+1 (555) 1", "--file", file}, map[string]string{
			`POST /v1/numbers {"numbers":["+15551","+1555","1555*"]}`: `200 {"changed":3,"unchanged":0,"moves":[],"failed":[]}`,
		}, "3 numbers are added\n"},
		{"assigned, and none taken from others", []string{"number", "assign", "+15551", "+15552", "--group", "support"}, map[string]string{
			`POST /v1/numbers/assign?dry_run=true {"force":true,"numbers":["+15551","+15552"],"to":{"group":"support"}}`: `200 {"changed":1,"unchanged":1,"moves":[{"from":null,"to":{"group":"support"},"numbers":1}],"failed":[],"recent_calls":4,"dry_run":true}`,
			`POST /v1/numbers/assign {"numbers":["+15551","+15552"],"to":{"group":"support"}}`:                           `200 {"changed":1,"unchanged":1,"moves":[{"from":null,"to":{"group":"support"},"numbers":1}],"failed":[]}`,
		}, "1 number is assigned, 1 was so before\n  1 number: unassigned -> group support\n"},
		{"taken from others", []string{"number", "assign", "+15551", "--connector", "east", "--yes"}, map[string]string{
			`POST /v1/numbers/assign {"force":true,"numbers":["+15551"],"to":{"connector":"east"}}`: `200 {"changed":3,"unchanged":0,` + moved + `}`,
		}, "3 numbers are assigned\n  2 numbers: unassigned -> group support\n  1 number: connector east -> group support\n"},
		{"tried dry", []string{"number", "import", file, "--group", "support", "--dry-run"}, map[string]string{
			`POST /v1/numbers/assign?dry_run=true {"add":true,"force":true,"numbers":["+1555","1555*"],"to":{"group":"support"}}`: `200 {"changed":3,"unchanged":0,` + moved + `,"recent_calls":4,"dry_run":true}`,
		}, "dry run: 3 numbers would be assigned\n  2 numbers: unassigned -> group support\n  1 number: connector east -> group support\n  recent calls to them: 4\n"},
		{"unassigned", []string{"number", "unassign", "+15551"}, map[string]string{
			`POST /v1/numbers/unassign {"numbers":["+15551"]}`: `200 {"changed":1,"unchanged":0,"moves":[{"from":{"group":"support"},"to":null,"numbers":1}]}`,
		}, "1 number is unassigned\n  1 number: group support -> unassigned\n"},
		{"removed", []string{"number", "remove", "+15551", "-y"}, map[string]string{
			`POST /v1/numbers/remove {"numbers":["+15551"]}`: `200 {"changed":1,"unchanged":0,"moves":[{"from":null,"to":null,"numbers":1}]}`,
		}, "1 number is removed\n"},
		{"moved", []string{"number", "move", "--from-group", "sales", "--connector", "east", "--yes"}, map[string]string{
			`POST /v1/numbers/move {"from":{"group":"sales"},"to":{"connector":"east"}}`: `200 {"changed":5,"unchanged":0,"moves":[{"from":{"group":"sales"},"to":{"connector":"east"},"numbers":5}]}`,
		}, "5 numbers are moved\n  5 numbers: group sales -> connector east\n"},
		{"moved, dry, as JSON", []string{"number", "move", "--from-group", "sales", "--connector", "east", "--dry-run", "-o", "json"}, map[string]string{
			`POST /v1/numbers/move?dry_run=true {"from":{"group":"sales"},"to":{"connector":"east"}}`: `200 {"changed":0,"unchanged":0,"dry_run":true,"recent_calls":0}`,
		}, `{"changed":0,"unchanged":0,"moves":[],"failed":[],"dry_run":true,"recent_calls":0}` + "\n"},
		{"shown", []string{"number", "show", "+1 555 000 0001"}, map[string]string{
			"GET /v1/numbers/+15550000001": "200 " + one,
		}, "number   +15550000001\nkind     exact\nowner    group support\nadded    2026-11-23 10:00:00\nchanged  2026-11-23 11:00:00\n"},
		{"listed", []string{"number", "list", "--limit", "0", "--digits", "+1555"}, map[string]string{
			"GET /v1/numbers?digits=%2B1555&limit=1000":          `200 {"numbers":[` + one + `],"next":"n1"}`,
			"GET /v1/numbers?after=n1&digits=%2B1555&limit=1000": `200 {"numbers":[` + two + `]}`,
		}, "NUMBER        CHANGED              OWNER\n+15550000001  2026-11-23 11:00:00  group support\n+1555*        2026-11-23 10:00:00  unassigned\n"},
		{"listed for others", []string{"number", "list", "--unassigned", "-o", "lines"}, map[string]string{
			"GET /v1/numbers?limit=1000&unassigned=true": `200 {"numbers":[` + one + "," + two + `]}`,
		}, "+15550000001\n+1555*\n"},
		{"listed as JSON", []string{"number", "list", "--group", "support", "--limit", "1", "-o", "json"}, map[string]string{
			"GET /v1/numbers?group=support&limit=1": `200 {"numbers":[` + one + `],"next":"n1"}`,
		}, `{"numbers":[` + one + `],"next":"n1"}` + "\n"},
		{"none listed as JSON", []string{"number", "list", "-o", "json"}, map[string]string{
			"GET /v1/numbers?limit=1000": `200 {"numbers":[]}`,
		}, `{"numbers":[]}` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := commandAt(t, newScripted(t, c.answers), "", c.args...)
			require.Equal(t, 0, code, errs)
			require.Empty(t, errs)
			require.Equal(t, c.out, out)
		})
	}
}

func TestNumberRefusals(t *testing.T) {
	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong.csv")
	require.NoError(t, os.WriteFile(wrong, []byte("+1555\nx\n"+strings.Repeat("+12-\n", 25)), 0o600))
	for _, c := range []struct {
		name      string
		args      []string
		answers   map[string]string
		out, errs string
	}{
		{"where nobody can be asked", []string{"number", "assign", "+15551", "--group", "support"}, map[string]string{
			`POST /v1/numbers/assign?dry_run=true {"force":true,"numbers":["+15551"],"to":{"group":"support"}}`: `200 {"changed":3,"unchanged":0,` + moved + `,"recent_calls":4,"dry_run":true}`,
		}, "", `numbers are to be taken from another owner:
  1 number: connector east -> group support
  recent calls to all that are given: 4
nothing is changed: there is no terminal to ask on; --yes goes on without asking
`},
		{"number by number", []string{"number", "add", "+15551", "+15552"}, map[string]string{
			`POST /v1/numbers {"numbers":["+15551","+15552"]}`: `200 {"changed":1,"unchanged":0,"moves":[],"failed":[{"number":"+15552","code":"invalid","error":"overlaps +15550-+15559"}]}`,
		}, "1 number is added, 1 refused\n", "+15552: overlaps +15550-+15559\n"},
		{"more than are named", []string{"number", "move", "--from-group", "a", "--group", "b", "--yes"}, map[string]string{
			`POST /v1/numbers/move {"from":{"group":"a"},"to":{"group":"b"}}`: `200 {"changed":0,"unchanged":0,"moves":[],"failed":[{"number":"+15552","code":"invalid","error":"no"}],"not_shown":990}`,
		}, "0 numbers are moved, 991 refused\n", "+15552: no\nand 990 more\n"},
		{"removal", []string{"number", "remove", "+15551", "+15552"}, nil, "",
			"2 numbers are to be removed from the inventory.\nnothing is changed: there is no terminal to ask on; --yes goes on without asking\n"},
		{"two owners", []string{"number", "assign", "+15551", "--group", "a", "--connector", "b"}, nil, "", "a number has one owner: give --group or --connector, not both\n"},
		{"no owner", []string{"number", "move", "--group", "a"}, nil, "", "whose? give --from-group or --from-connector\n"},
		{"no number", []string{"number", "unassign", "x"}, nil, "", "\"x\" holds 'x'; write digits with or without a leading \"+\"\n"},
		{"the numbers of nobody that is named", []string{"number", "list", "--group", "", "-o", "lines"}, nil, "", "--group is empty; give it a value, or leave it out\n"},
		{"digits that are none", []string{"number", "list", "--digits", ""}, nil, "", "--digits is empty; give it a value, or leave it out\n"},
		{"an empty number", []string{"number", "unassign", "+1555", ""}, nil, "", "\"\" is empty; write a number, a range A-B or a prefix X*\n"},
		{"no digits", []string{"number", "show", "*"}, nil, "", "\"*\" has no digits; write a number, a range A-B or a prefix X* with at least one digit\n"},
		{"no numbers", []string{"number", "unassign"}, nil, "", "there are no numbers: give them as arguments, or a file of them by --file\n"},
		{"no file", []string{"number", "import", filepath.Join(dir, "none"), "--group", "a"}, nil, "", "open " + filepath.Join(dir, "none") + ": no such file or directory\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := commandAt(t, newScripted(t, c.answers), "", c.args...)
			require.Equal(t, exitFailed, code)
			require.Equal(t, c.out, out)
			require.Equal(t, c.errs, errs)
		})
	}
	_, errs, code := commandAt(t, newScripted(t, nil), "", "number", "import", wrong, "--group", "a")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, wrong+":2: ")
	require.Contains(t, errs, "and 6 more like these\nnothing is changed\n")
}

// Many numbers go page by page; when that fails in the middle it is said how far
// it got.
func TestNumberPages(t *testing.T) {
	const all = 2*pageOfNumbers + 7
	var lines strings.Builder
	lines.WriteString("number\n")
	for i := range all {
		fmt.Fprintf(&lines, "+1555%07d\n", i)
	}
	file := filepath.Join(t.TempDir(), "numbers.txt")
	require.NoError(t, os.WriteFile(file, []byte(lines.String()), 0o600))
	var pages []int
	fails := 0
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Numbers []string `json:"numbers"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		if pages = append(pages, len(body.Numbers)); len(pages) == fails {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":"the disk is full","code":"closed"}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"changed":%d,"unchanged":0,"moves":[{"from":null,"to":{"group":"support"},"numbers":%[1]d}],"failed":[]}`, len(body.Numbers))
	})
	out, errs, code := command(t, "number", "import", file, "--group", "support", "--yes", "--admin", node.URL)
	require.Equal(t, 0, code, errs)
	require.Empty(t, errs, "there is no terminal to show progress on")
	require.Equal(t, "20007 numbers are assigned\n  20007 numbers: unassigned -> group support\n", out)
	require.Equal(t, []int{pageOfNumbers, pageOfNumbers, 7}, pages)

	pages, fails = nil, 2
	out, errs, code = command(t, "number", "import", file, "--group", "support", "--yes", "--admin", node.URL)
	require.Equal(t, exitFailed, code)
	require.Empty(t, out)
	require.Equal(t, "the disk is full\n10000 of 20007 are done, to line 10001 of "+file+
		"; of the next 10000 all are done or none. Running it again is safe: what is done stays as it is\n", errs)

	pages, fails = nil, 0
	out, errs, code = command(t, "number", "import", file, "--group", "support", "--dry-run", "--admin", node.URL)
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "dry run: 20007 numbers would be assigned\n")
	require.Contains(t, errs, "each page of 10000 numbers was tried by itself", "it does not promise more than it knows")

	pages, fails = nil, 1
	_, errs, _ = command(t, "number", "unassign", "--file", file, "--admin", node.URL)
	require.Contains(t, errs, "the disk is full\nnone of them is done; of the next 10000 all")
}

// Whoever interrupts a long change is told how far it got, too.
func TestNumberPagesInterrupted(t *testing.T) {
	var lines strings.Builder
	for i := range 2 * pageOfNumbers {
		fmt.Fprintf(&lines, "+1555%07d\n", i)
	}
	file := filepath.Join(t.TempDir(), "numbers.txt")
	require.NoError(t, os.WriteFile(file, []byte(lines.String()), 0o600))
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	pages := 0
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that the client has gone
		if pages++; pages == 2 {
			interrupt()
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"changed":10000}`)
	})
	var out, errs bytes.Buffer
	code := run(ctx, []string{"number", "add", "--file", file, "--admin", node.URL}, &out, &errs)
	require.Equal(t, exitFailed, code)
	require.Equal(t, "interrupted\n10000 of 20000 are done, to line 10000 of "+file+
		"; of the next 10000 all are done or none. Running it again is safe: what is done stays as it is\n", errs.String())
}

// What can be read only once is kept.
func TestNumbersOfAPipe(t *testing.T) {
	node := newScripted(t, map[string]string{`POST /v1/numbers/unassign {"numbers":["+15551","+15552"]}`: `200 {"changed":2}`})
	out, errs, code := commandAt(t, node, "+15551\n+15552\n", "number", "unassign", "--file", "-")
	require.Equal(t, 0, code, errs)
	require.Equal(t, "2 numbers are unassigned\n", out)

	r, w, err := os.Pipe()
	require.NoError(t, err)
	_, err = io.WriteString(w, "+15551\n+15552\n")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	defer r.Close()
	out, errs, code = commandAt(t, node, "", "number", "unassign", "--file", fmt.Sprintf("/dev/fd/%d", r.Fd()))
	require.Equal(t, 0, code, errs)
	require.Equal(t, "2 numbers are unassigned\n", out)
}
