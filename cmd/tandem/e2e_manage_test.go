//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// withStore is the rest of the config of a node that keeps its groups itself.
const withStore = "store: {path: tandem.db}\n"

// manage has a command change something that the node does not refuse.
func (n *node) manage(args ...string) string {
	n.t.Helper()
	out, code := run(n.t, append(args, "--admin", n.admin)...)
	require.Equal(n.t, 0, code, "%v: %s", args, out)
	return out
}

// refuses has a command try what the node refuses, with words that say why.
func (n *node) refuses(want string, args ...string) {
	n.t.Helper()
	out, code := run(n.t, append(args, "--admin", n.admin)...)
	require.Equal(n.t, 1, code, "%v: %s", args, out)
	require.Contains(n.t, out, want, args)
}

// managed is a node with a store, its connectors and somebody who calls.
type managed struct {
	*node
	caller *peer
	hosts  map[string]string // of connectors, by name
}

// goes holds that the very next call to a number is answered by a connector.
func (m *managed) goes(number, connector string) {
	m.t.Helper()
	require.Contains(m.t, m.whole(m.caller, number), "sip:"+m.lab.place(m.hosts[connector])+":5060", "the next call")
}

// nowhere holds that the very next call to a number is answered 404.
func (m *managed) nowhere(number string) {
	m.t.Helper()
	m.caller.call(m.addr, number).start().fails(404)
}

// All that is done to groups, with the command, while calls run: none of them
// fails, each change counts for the very next call, and what must not be done is
// refused with its reason.
func TestE2EManage_WalkThrough(t *testing.T) {
	t.Parallel()
	const a, b, c, ranged, rate = "+15550000001", "+15550000002", "+15550000003", "+15550001000-+15550001999", 100
	l := newLab(t)
	m := &managed{caller: l.peer("127.0.0.2"), hosts: map[string]string{"east": "127.0.0.11", "west": "127.0.0.12", "north": "127.0.0.13", "spare": "127.0.0.14"}}
	east := l.sippConnector("connector", m.hosts["east"], "-d", "20")
	for _, name := range []string{"west", "north"} {
		l.sippConnector("connector", m.hosts[name], "-d", "20")
	}
	m.node = l.serve(withStore)
	m.nowhere(a)

	// Connectors, a group, its first number.
	for name, host := range m.hosts {
		m.manage("connector", "create", name, "--region", "us-"+name, "--host", l.place("sip:"+host+":5060"))
	}
	m.refuses("is the name of another connector", "connector", "create", "east", "--region", "x", "--host", "sip:127.0.0.1:1")
	m.manage("group", "create", "support", "--connector", "east=1", "--connector", "west=2")
	m.refuses("is the name of another group", "group", "create", "support")
	m.refuses("did you mean", "group", "show", "suport")
	m.refuses("is not in the inventory", "number", "assign", a, "--group", "support")
	m.manage("number", "add", a, b, c, ranged)
	m.nowhere(a)
	m.manage("number", "assign", a, "--group", "support")
	m.goes(a, "east")

	// From here on calls to it never stop.
	load := l.endless("caller", "127.0.0.3", m.node, a, rate, "-d", "200")

	m.manage("group", "rename", "support", "help")
	m.goes(a, "east")
	newest := m.recent(a, time.Time{})
	require.Equal(t, "help", newest[0].Route)
	m.manage("group", "add-connector", "help", "north=3")
	m.refuses("quotas.connectors_per_group allows 3", "group", "add-connector", "help", "spare=4")
	m.refuses("would both have priority 3", "group", "set-priority", "help", "east=3")
	m.refuses("is not a priority", "group", "set-priority", "help", "east=100")
	before := m.manage("group", "show", "help", "-o", "json")
	require.Contains(t, m.manage("group", "set-priority", "help", "east=2", "west=1", "--dry-run"), "dry run: group help would be changed")
	require.Equal(t, before, m.manage("group", "show", "help", "-o", "json"))
	m.manage("group", "set-priority", "help", "east=2", "west=1")
	m.goes(a, "west")
	m.manage("group", "set-priority", "help", "east=1", "west=3", "north=2")
	m.goes(a, "east")
	m.manage("group", "remove-connector", "help", "east")
	m.goes(a, "north")
	m.manage("group", "add-connector", "help", "east=1")
	m.goes(a, "east")
	m.manage("group", "remove-connector", "help", "north")

	// Numbers from the inventory: exact ones, a range.
	m.manage("number", "assign", ranged, "--group", "help")
	m.goes("+15550001500", "east")
	m.manage("number", "assign", b, "--connector", "west")
	m.goes(b, "west")

	// Numbers of a connector and of another group are reassigned.
	m.manage("group", "create", "sales", "--connector", "north=1")
	m.refuses("one only", "group", "add-connector", "sales", "west=2")
	m.manage("number", "assign", c, "--group", "sales")
	m.goes(c, "north")
	m.refuses("--yes goes on without asking", "number", "assign", b, c, "--group", "help")
	m.goes(c, "north")
	require.Contains(t, m.manage("number", "assign", b, c, "--group", "help", "--dry-run"), "recent calls to them: 3")
	m.manage("number", "assign", b, "--group", "help", "--yes")
	m.goes(b, "east")
	m.manage("number", "assign", a, "--group", "sales", "--yes")
	m.goes(a, "north")
	m.refuses("--yes goes on without asking", "number", "move", "--from-group", "sales", "--group", "help")
	m.manage("number", "move", "--from-group", "sales", "--group", "help", "--yes")
	m.goes(a, "east")
	m.goes(c, "east")

	// A number of a connector whose region fails is routed through the other
	// region of its group, and the load goes on there.
	m.manage("group", "set-priority", "help", "west=1", "east=2")
	m.manage("number", "assign", b, "--connector", "east", "--yes")
	m.goes(b, "east")
	east.retire() // when the last call there is over: what is up at a host ends with it
	m.goes(b, "west")
	m.goes(a, "west")

	// Unassign, and delete what is empty.
	m.refuses("first", "number", "remove", b, "--yes")
	m.manage("number", "unassign", b)
	m.nowhere(b)
	m.manage("number", "remove", b, "--yes")
	m.refuses("is not in the inventory", "number", "show", b)
	m.refuses(`connector "north"`, "group", "delete", "sales", "--yes")
	m.refuses(a, "group", "delete", "help", "--yes")
	m.refuses(`group "help"`, "connector", "delete", "west", "--yes")
	m.manage("group", "remove-connector", "sales", "north")
	m.refuses("--yes goes on without asking", "group", "delete", "sales")
	m.manage("group", "delete", "sales", "--yes")
	m.manage("connector", "delete", "spare", "--yes")
	m.manage("group", "create", "second")
	m.manage("group", "create", "third")
	m.refuses("quotas.groups allows 3", "group", "create", "fourth")
	m.goes(c, "west")

	calls := load.wind()
	t.Logf("%d calls at %d a second, 0 failed", calls, rate)

	// All of it is there after a crash.
	groups, numbers := m.manage("group", "list"), m.manage("number", "list")
	m.crash()
	m.start()
	require.Equal(t, groups, m.manage("group", "list"))
	require.Equal(t, numbers, m.manage("number", "list"))
	m.goes(a, "west")
}

// A node that routes by a file shows its groups and says where they are changed.
func TestE2EManage_FileMode(t *testing.T) {
	t.Parallel()
	n := newLab(t).serve(twoConnectors)
	require.Contains(t, n.manage("group", "list"), "support")
	require.Contains(t, n.manage("connector", "show", "first"), "in group   support, priority 1")
	for _, args := range [][]string{
		{"group", "rename", "support", "help"}, {"group", "delete", "support", "--yes"}, {"number", "list"},
		{"number", "assign", "+15550000001", "--group", "support"}, {"export"}, {"store", "backup", filepath.Join(t.TempDir(), "x")},
	} {
		n.refuses("this node routes by its file", args...)
	}
}

// With keys nobody is answered without one.
func TestE2EManage_Key(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ops.key")
	out, code := run(t, "key", "ops", "--file", file)
	require.Equal(t, 0, code, out)
	_, line, found := strings.Cut(out, "config:\n")
	require.True(t, found, out)
	l := newLab(t)
	n := l.serveFile(l.addr("127.0.0.1"), l.admin(8080), strings.Replace(configHead, "{listen: ADMIN}", "\n  listen: ADMIN\n  keys:\n  "+line, 1)+withStore)
	for _, args := range [][]string{{"group", "list"}, {"orders"}, {"calls"}, {"health"}, {"explain", "100"}, {"export"}, {"number", "add", "100"}} {
		n.refuses("give the key by --key-file FILE, or in $TANDEM_KEY", args...)
	}
	n.manage("number", "add", "100", "--key-file", file)
	require.Contains(t, n.manage("health", "--key-file", file), "no hosts")
	require.Contains(t, n.logged("changed: add numbers")["who"], "key ops ")
	healthy, code := run(t, "healthcheck", "--admin", n.admin)
	require.Equal(t, 0, code, healthy)
	scrape, err := http.Get("http://" + n.admin + "/metrics")
	require.NoError(t, err)
	require.NoError(t, scrape.Body.Close())
	require.Equal(t, http.StatusUnauthorized, scrape.StatusCode)
}

// Many change the hosts of one connector at the same time: none of the changes is
// lost, and the names are completed.
func TestE2EManage_AtTheSameTime(t *testing.T) {
	t.Parallel()
	const many = 8
	l := newLab(t)
	n := l.serve(withStore)
	n.manage("connector", "create", "east", "--region", "us-east-1", "--host", l.place("sip:127.0.0.10:5060"))
	said := make(chan string, many)
	for i := range many {
		go func() {
			host := l.place(fmt.Sprintf("sip:127.0.0.%d:5060", 11+i))
			out, err := exec.Command(binary(t), "connector", "add-host", "east", host, "--admin", n.admin).CombinedOutput()
			if err == nil {
				out = nil
			}
			said <- string(out)
		}()
	}
	for range many {
		require.Empty(t, <-said)
	}
	require.Equal(t, many+1, strings.Count(n.manage("connector", "show", "east"), "\nhost "))
	out, code := run(t, "__complete", "connector", "remove-host", "--admin", n.admin, "east", l.place("sip:127.0.0.1"))
	require.Equal(t, 0, code)
	require.Equal(t, many+1, strings.Count(out, l.place("sip:127.0.0.1")), out)
}

// What one node has becomes what another has: by a backup as it is, by a file as
// its settings are. A long list of numbers goes there page by page.
func TestE2EManage_BackupAndImport(t *testing.T) {
	t.Parallel()
	const many = 12_000
	dir := t.TempDir()
	var lines strings.Builder
	lines.WriteString("number,customer\n")
	for i := range many {
		fmt.Fprintf(&lines, "+1777%07d,nobody\n", i)
	}
	csv, backup, yaml := filepath.Join(dir, "numbers.csv"), filepath.Join(dir, "backup.db"), filepath.Join(dir, "groups.yaml")
	require.NoError(t, os.WriteFile(csv, []byte(lines.String()), 0o600))

	l := newLab(t)
	first := l.serve(withStore)
	first.manage("connector", "create", "east", "--region", "us-east-1", "--host", l.place("sip:127.0.0.11:5060"), "--failover", `{"first_response": "4s"}`)
	first.manage("group", "create", "support", "--connector", "east=1", "--health", `{"interval": "10s"}`)
	first.manage("number", "add", "+15550000001", "+1666*")
	require.Contains(t, first.manage("number", "import", csv, "--group", "support"), "12000 numbers are assigned\n")
	require.Contains(t, first.manage("number", "import", csv, "--group", "support"), "0 numbers are assigned, 12000 were so before\n")
	all := first.manage("number", "list", "--limit", "0", "-o", "lines")
	require.Equal(t, many+2, strings.Count(all, "\n"))
	require.Contains(t, first.manage("number", "list"), "there are more: ")
	first.manage("store", "backup", backup)
	first.manage("export", "--file", yaml)
	groups := first.manage("group", "list", "-o", "json")
	require.Equal(t, 0, first.stop())

	first.manage0("store", "restore", backup, "--to", filepath.Join(first.state, "tandem.db"), "--yes")
	first.start()
	require.Equal(t, groups, first.manage("group", "list", "-o", "json"), "with its IDs and times")

	second := l.serveFile(l.addr("127.0.0.5"), l.admin(8081), configHead+withStore)
	require.Contains(t, second.manage("import", yaml, "--dry-run"), "dry run: connectors: 1 created, 0 changed, 0 as they were\n")
	second.manage("import", yaml)
	require.Equal(t, all, second.manage("number", "list", "--limit", "0", "-o", "lines"))
	require.Equal(t, exported(t, yaml), second.manage("export"))
	require.Contains(t, second.manage("import", yaml), "groups: 0 created, 0 changed, 1 as they were\n0 numbers are imported, 12002 were so before\n")
	require.Equal(t, 0, second.stop())
}

func exported(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// manage0 is a command that asks no node.
func (n *node) manage0(args ...string) string {
	n.t.Helper()
	out, code := run(n.t, args...)
	require.Equal(n.t, 0, code, "%v: %s", args, out)
	return out
}

var times = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

// chapter is a part of the README.
func chapter(t *testing.T, title string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "\n## "+title+"\n")
	require.True(t, found)
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// The chapter of the README on managing groups is true, word for word: each of
// its commands prints what stands behind it.
func TestE2EManage_Readme(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.serve(withStore)
	did := 0
	for i, block := range strings.Split(chapter(t, "Managing groups"), "```") {
		if i%2 == 0 || !strings.HasPrefix(block, "\n$ ") {
			continue
		}
		for _, entry := range strings.Split(strings.TrimPrefix(block, "\n$ "), "\n$ ") {
			line, want, _ := strings.Cut(entry, "\n")
			cmd := exec.Command("sh", "-c", `tandem() { command "$TANDEM" "$@" --admin "$ADMIN"; }; `+l.place(line))
			cmd.Env = append(os.Environ(), "TANDEM="+binary(t), "ADMIN="+n.admin)
			said, _ := cmd.CombinedOutput() // what is refused is in the text
			require.Equal(t, times.ReplaceAllString(l.place(strings.TrimSuffix(want, "\n")), "TIME"),
				times.ReplaceAllString(strings.TrimSuffix(string(said), "\n"), "TIME"), line)
			did++
		}
	}
	require.Greater(t, did, 20)
}
