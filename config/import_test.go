package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// imported is the numbers of an import, by owner, sorted.
func imported(t *testing.T, im *Import) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for i := range im.Numbers {
		o := &im.Numbers[i]
		key := []string{"", "connector ", "group "}[o.Owner] + o.Name
		require.NoError(t, o.Pages(2, func(page []catalog.Entry) error {
			require.LessOrEqual(t, len(page), 2)
			require.NotEmpty(t, page)
			for _, e := range page {
				all[key] = append(all[key], e.String())
			}
			return nil
		}))
		require.Len(t, all[key], o.Len())
		slices.Sort(all[key])
	}
	return all
}

func TestParseInventory(t *testing.T) {
	im, err := ParseInventory("inventory.yaml", []byte(`
listen: [not looked at]
store: {path: tandem.db}
failover: {codes: [503]}
connectors:
  - name: support-east
    region: us-east-1
    hosts: ["sip:10.0.0.1", {uri: "sip:10.0.0.2:5070", priority: 2, weight: 10, state: draining, max_calls: 1, max_cps: 2}]
    numbers: ["+1 (555) 0009999"]
    state: disabled
    request_uri: keep
    number: +e164
    strip: 00
    prepend: "+"
    listener: 5060
    max_calls: 3
    max_cps: 4
    failover: {codes: 503, no_answer: off, after_ringing: yes, exhausted_code: best, max_attempts: 007}
    health: {probe: false, interval: 10s, eject_after: 0, down_codes: []}
    probe: {from: "sip:a@b.example", max_forwards: 0, listener: 1.50}
  - {name: "no hosts", failover: {}, health: {down_codes: }, probe: }
groups:
  - name: support
    connectors: [{connector: support-east, priority: 1}, {connector: only the inventory has it, priority: 2}]
    numbers: ["+15550000001", "+15550001000-+15550001999", "+1555100*"]
    failover: {first_response: 1s}
    health: {down_after: 3}
  - name: empty
numbers: ["+15550000002", 112]
`), ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, []inventory.ConnectorSpec{
		{
			Name: "support-east", Region: "us-east-1",
			Hosts: []inventory.HostSpec{{URI: "sip:10.0.0.1"}, {URI: "sip:10.0.0.2:5070", Priority: 2, Weight: 10, State: "draining", MaxCalls: 1, MaxCPS: 2}},
			State: "disabled", RequestURI: "keep", Number: "+e164", Strip: "00", Prepend: "+", Listener: "5060", MaxCalls: 3, MaxCPS: 4,
			Failover: json.RawMessage(`{"after_ringing":"yes","codes":[503],"exhausted_code":"best","max_attempts":"007","no_answer":"off"}`),
			Health:   json.RawMessage(`{"down_codes":[],"eject_after":0,"interval":"10s","probe":false}`),
			Probe:    json.RawMessage(`{"from":"sip:a@b.example","listener":"1.50","max_forwards":0}`),
		},
		{Name: "no hosts"},
	}, im.Connectors)
	require.Equal(t, []inventory.GroupSpec{
		{
			Name: "support", Connectors: []inventory.Member{{Connector: "support-east", Priority: 1}, {Connector: "only the inventory has it", Priority: 2}},
			Failover: json.RawMessage(`{"first_response":"1s"}`), Health: json.RawMessage(`{"down_after":3}`),
		},
		{Name: "empty"},
	}, im.Groups)
	require.Equal(t, map[string][]string{
		"connector support-east": {"+15550009999"},
		"group support":          {"+15550000001", "+15550001000-+15550001999", "+1555100*"},
		"":                       {"+15550000002", "112"},
	}, imported(t, im))
	require.Equal(t, []string{"failover", "listen", "store"}, im.LeftAlone)
}

func TestParseInventoryEmpty(t *testing.T) {
	for _, text := range []string{"", "connectors: []\ngroups: []\n", "listen: udp://127.0.0.1"} {
		im, err := ParseInventory("a.yaml", []byte(text), ImportOptions{})
		require.NoError(t, err)
		require.Empty(t, im.Connectors)
		require.Empty(t, im.Groups)
		require.Empty(t, im.Numbers)
		c, err := im.Change(&inventory.Editor{Snapshot: &inventory.Snapshot{}})
		require.NoError(t, err)
		require.Equal(t, inventory.Change{}, c)
	}
}

func TestParseInventoryMistakes(t *testing.T) {
	t.Setenv("TANDEM_TEST_SECRET", "hunter2")
	for _, test := range []struct{ text, want string }{
		{"connectors: {", "a.yaml:1: is not YAML: did not find expected node content"},
		{"conectors: []", `a.yaml:1: conectors: is an unknown key; did you mean "connectors"?`},
		{"tls: {}", `a.yaml:1: tls: this version does not have it; remove it`},
		{"- a", `a.yaml:1: must be a block of keys, as in "connectors: ..."`},
		{"connectors:\n- {name: a, hosts: [{uri: sip:10.0.0.1, weight: x}]}", `a.yaml:2: connectors[0].hosts[0].weight: "x" is not a whole number; write it in digits`},
		{"connectors:\n- {name: a}\n- {name: a}", `a.yaml:3: connectors[1].name: "a" is the name of another connector; give each its own (see line 2)`},
		{"connectors:\n- {name: a, numbers: [1+]}", `a.yaml:2: connectors[0].numbers[0]: "1+" holds '+'; write digits with or without a leading "+"`},
		{"groups:\n- {name: a, connectors: [{priority: 1}]}", `a.yaml:2: groups[0].connectors[0].connector: the connector's name is missing; write the name of one under connectors`},
		{"groups:\n- {name: a, connectors: [{connector: a, priority: 1}, {connector: a, priority: 2}]}",
			`a.yaml:2: groups[0].connectors[1].connector: "a" is in this group already; list each connector once (see line 2)`},
		{"groups:\n- {name: a, connectors: [{connector: a, priority: 1}, {connector: b, priority: 1}]}",
			`a.yaml:2: groups[0].connectors[1].priority: connectors "a" and "b" have the same priority 1 and share the calls; give each its own to rank them (see line 2)`},
		{"groups:\n- {name: a, connectors: [{connector: a, priority: 100}]}", `a.yaml:2: groups[0].connectors[0].priority: 100 is not a priority; write 1 (tried first) to 99`},
		{"groups:\n- {name: a, numbers: [1-5]}\nnumbers:\n- 112\n- 5-6\n- 7*\n- 8\n- 7*\n- 985-995\n- 99*", `a.yaml:5: numbers[1]: range 5-6 overlaps 1-5 of group "a"; a number has one owner, so let them not overlap (see line 2)
a.yaml:8: numbers[4]: prefix 7* is listed twice; remove one (see line 6)
a.yaml:10: numbers[6]: prefix 99* of the unassigned ones overlaps range 985-995 of the unassigned ones; put the range wholly inside the prefix or wholly outside (see line 9)`},
		{"groups:\n- {name: a, numbers: [1]}\nnumbers: [1]", `a.yaml:3: numbers[0]: number 1 belongs to group "a" already; a number has one owner, so remove it from one of them (see line 2)`},
		{"numbers_file: /etc/passwd", `a.yaml:1: numbers_file[0]: "/etc/passwd" cannot be read: a document that is sent cannot name files; list their numbers in it`},
		{"groups:\n- {name: \"${TANDEM_TEST_SECRET}\"}", `a.yaml:2: groups[0].name: the variable TANDEM_TEST_SECRET is not looked up for a client; write its value, or $${ for the characters themselves`},
		{"connectors:\n- {name: a, numbers: [1]}\ngroups:\n- {name: a, connectors: [{connector: a, priority: 1}]}\n- {name: b, connectors: [{connector: a, priority: 1}]}",
			`a.yaml:2: connectors[0].numbers: a connector with numbers of its own falls back on its group, but "a" is in 2 groups ("a" and "b"); move the numbers to one of them`},
	} {
		im, err := ParseInventory("a.yaml", []byte(test.text), ImportOptions{})
		require.EqualError(t, err, test.want, test.text)
		require.IsType(t, Errors{}, err)
		require.Nil(t, im)
	}
}

// A document of a client takes neither all memory nor a page of mistakes for each
// of its lines.
func TestParseInventoryBounds(t *testing.T) {
	_, err := ParseInventory("a.yaml", []byte("numbers:\n"+strings.Repeat("- 1\n", 1<<19)), ImportOptions{})
	require.EqualError(t, err, "a.yaml: has 2097161 bytes beside its long lists of numbers, one a line, and 2097152 are read; divide it")
	many := strings.Repeat("- 12345\n", 20)
	_, err = ParseInventory("a.yaml", []byte("trunks:\n"+many), ImportOptions{MaxText: 100})
	require.ErrorContains(t, err, "has 168 bytes", "they are no list of numbers, so they count")
	_, err = ParseInventory("a.yaml", []byte("numbers:\n"+strings.Repeat("- x\n", 1000)), ImportOptions{})
	require.Len(t, err, 101)
	require.EqualError(t, err.(Errors)[100], "a.yaml: and 900 more")
	im, err := ParseInventory("a.yaml", []byte("numbers:\n- 12345\n"+strings.ReplaceAll(many, "5", "6")[:8]), ImportOptions{MaxText: 100})
	require.NoError(t, err)
	require.Len(t, im.Numbers, 1)
}

// Here, and of one's own files, variables and numbers files are read.
func TestParseInventoryHere(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("+15550000001\n+15550000002\n+1556*\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.txt"), []byte("+15550000003\n"), 0o600))
	text := "groups:\n- {name: '${NAME}', numbers_file: a.txt, numbers: [112]}\nnumbers_file: [b.txt]\n"
	o := ImportOptions{NumbersFiles: true, Env: func(string) (string, bool) { return "sales", true }}
	im, err := ParseInventory(filepath.Join(dir, "tandem.yaml"), []byte(text), o)
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"group sales": {"+15550000001", "+15550000002", "+1556*", "112"}, "": {"+15550000003"}}, imported(t, im))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.txt"), []byte("+1\n\n+15550000001\n"), 0o600))
	_, err = ParseInventory(filepath.Join(dir, "tandem.yaml"), []byte(text), o)
	require.EqualError(t, err, filepath.Join(dir, "b.txt")+":3: numbers_file[0]: number +15550000001 belongs to group \"sales\" already; a number has one owner, so remove it from one of them (see "+
		filepath.Join(dir, "a.txt")+":1)")
}

// What is in the examples can be imported.
func TestParseInventoryOfExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		im, err := ParseInventory(file, data, ImportOptions{Env: testEnv, NumbersFiles: true})
		require.NoError(t, err)
		cfg, err := Parse(file, data, testEnv)
		require.NoError(t, err)
		require.Len(t, im.Connectors, len(cfg.Catalog.Connectors), file)
		require.Len(t, im.Groups, len(cfg.Catalog.Groups), file)
	}
}

func TestImportChange(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	e := &inventory.Editor{Snapshot: &inventory.Snapshot{Revision: 5}, Now: now}
	read := func(text string) *Import {
		im, err := ParseInventory("a.yaml", []byte(strings.TrimPrefix(text, "\n")), ImportOptions{})
		require.NoError(t, err)
		return im
	}
	c, err := read(`
connectors:
- {name: east, region: r1, numbers: ["+1"]}
- {name: west, region: r2}
groups:
- {name: support, connectors: [{connector: west, priority: 2}, {connector: east, priority: 1}], numbers: ["+2"]}
- {name: sales, connectors: [{connector: west, priority: 1}]}
`).Change(e)
	require.NoError(t, err)
	require.Len(t, c.Connectors, 2)
	require.Len(t, c.Groups, 2)
	require.Equal(t, uint64(5), c.Catalog)
	e.Snapshot = e.Snapshot.With(c, 6)

	for _, test := range []struct{ text, want string }{
		{"connectors:\n- {name: east, region: r1}\n- {name: west}",
			`connectors[1].region: the region of connector "west" is "r2" and fixed since it was created; leave it, or create another connector (line 3)`},
		{"groups:\n- {name: a, connectors: [{connector: eas, priority: 1}]}", `groups[0].connectors[0].connector: there is no connector "eas"; did you mean "east"? (line 2)`},
		{"connectors:\n- {name: east, region: r1}\n- {name: west, region: r2, numbers: [1]}",
			`connectors[1].numbers: a connector with numbers of its own falls back on its group, but "west" is in 2 groups (group "sales", group "support"); remove it from all but one, or assign the numbers to a group (line 3)`},
	} {
		c, err := read(test.text).Change(e)
		require.EqualError(t, err, test.want)
		require.IsType(t, (*inventory.Refusal)(nil), err)
		require.Equal(t, inventory.Change{}, c)
	}
	c, err = read("connectors:\n- {name: west, region: r2, numbers: [1]}\ngroups:\n- {name: sales}").Change(e)
	require.NoError(t, err, "it is in one group then")
	require.Len(t, c.Groups, 1)
	require.Empty(t, c.Connectors)
}
