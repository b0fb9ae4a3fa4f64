package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config"
)

func TestImportCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "groups.yaml")
	require.NoError(t, os.WriteFile(file, []byte("groups: []\n"), 0o600))
	const report = `{"connectors":{"created":1,"updated":0,"unchanged":2},"groups":{"created":0,"updated":1,"unchanged":0},"numbers":{"changed":3,"unchanged":0,` + moved + `,"recent_calls":4}}`
	node := newScripted(t, map[string]string{
		"POST /v1/import?dry_run=true&force=true groups: []": "200 " + report,
		"POST /v1/import?force=true groups: []":              "200 " + report,
	})
	out, errs, code := commandAt(t, node, "", "import", file, "--dry-run")
	require.Equal(t, 0, code, errs)
	require.Equal(t, `dry run: connectors: 1 created, 0 changed, 2 as they were
dry run: groups: 0 created, 1 changed, 0 as they were
dry run: 3 numbers would be imported
  2 numbers: unassigned -> group support
  1 number: connector east -> group support
  recent calls to them: 4
`, out)
	out, errs, code = commandAt(t, node, "", "import", file)
	require.Equal(t, exitFailed, code)
	require.Empty(t, out)
	require.Contains(t, errs, "1 number: connector east -> group support\n")
	require.Contains(t, errs, "--yes goes on without asking")
	out, errs, code = commandAt(t, node, "groups: []\n", "import", "-", "--yes", "-o", "json")
	require.Equal(t, 0, code, errs)
	require.Equal(t, report+"\n", out)
	_, errs, code = commandAt(t, node, "", "import", file+"s")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no such file")
}

// A config is imported with the numbers of its files, and without what is not of
// an inventory. Its mistakes are told before a node is asked.
func TestImportOfAConfig(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tandem.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "numbers.csv"), []byte("+1555\n+1556*\n"), 0o600))
	require.NoError(t, os.WriteFile(file, []byte(`listen: [udp://127.0.0.1:5060]
connectors:
  - {name: east, hosts: ["sip:127.0.0.1:5081"], max_calls: 10}
groups:
  - name: support
    connectors: [{connector: east, priority: 1}]
    numbers: ["+15550000001"]
    numbers_file: numbers.csv
    failover: {no_answer: 20s}
`), 0o600))
	const report = `{"connectors":{"created":1},"groups":{"created":1},"numbers":{"changed":3}}`
	const document = `{"connectors":[{"name":"east","hosts":[{"uri":"sip:127.0.0.1:5081"}],"max_calls":10}],` +
		`"groups":[{"name":"support","connectors":[{"connector":"east","priority":1}],"failover":{"no_answer":"20s"},"numbers":["+15550000001","+1555","+1556*"]}]}`
	node := newScripted(t, map[string]string{"POST /v1/import?force=true " + document: "200 " + report})
	out, errs, code := commandAt(t, node, "", "import", file, "--yes")
	require.Equal(t, 0, code, errs)
	require.Equal(t, "left alone, because they are a node's own settings: listen\n", errs)
	require.Contains(t, out, "3 numbers are imported\n")
	again, err := config.ParseInventory("sent", []byte(document), config.ImportOptions{})
	require.NoError(t, err)
	require.Empty(t, again.LeftAlone)

	require.NoError(t, os.WriteFile(file, []byte("groups:\n  - name: support\n    colour: red\n"), 0o600))
	_, errs, code = commandAt(t, node, "", "import", file)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, file+":3: groups[0].colour: ")
}

// A download is whole, or it is none.
func TestExportCommand(t *testing.T) {
	cut := false
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "connectors: []\n")
		if cut {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	out, errs, code := command(t, "export", "--admin", node.URL)
	require.Equal(t, 0, code, errs)
	require.Equal(t, "connectors: []\n", out)
	require.Equal(t, "/v1/export?", node.lastAsked())
	dir := t.TempDir()
	file := filepath.Join(dir, "groups.yaml")
	for range 2 {
		_, errs, code = command(t, "export", "--file", file, "--admin", node.URL)
		require.Equal(t, 0, code, errs)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, "connectors: []\n", string(text))
	}
	cut = true
	_, errs, code = command(t, "export", "--file", filepath.Join(dir, "other.yaml"), "--admin", node.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "the node's answer is cut off, and not whole: ")
	_, errs, code = command(t, "store", "backup", filepath.Join(dir, "backup.db"), "--admin", node.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "cut off")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	_, errs, code = command(t, "store", "backup", file, "--admin", node.URL)
	require.Equal(t, exitFailed, code)
	require.Equal(t, file+" is there already; give a name that is new\n", errs)
}
