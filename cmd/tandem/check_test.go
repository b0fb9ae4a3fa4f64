package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const running1 = `connectors:
  - {name: east, region: r1, hosts: ["sip:10.0.0.1"]}
  - {name: west, region: r2, hosts: ["sip:10.0.0.2"]}
groups:
  - name: support
    numbers: ["+15550000001", "+15550001000-+15550001999"]
    connectors: [{connector: east, priority: 1}, {connector: west, priority: 2}]
`

func TestCheckDiff(t *testing.T) {
	old := write(t, running1)
	changed := strings.NewReplacer("east, priority: 1", "east, priority: 3", `"+15550000001", `, "").Replace(running1) +
		"workers: 3\nfailover: {first_response: 1s}\n"
	out, _, code := command(t, "check", write(t, changed), "--diff", old)
	require.Equal(t, 0, code)
	require.Equal(t, `a reload changes:
  group support: connector east priority 1 -> 3
  group support: number +15550000001 removed
  failover.first_response 2s -> 1s
a restart is needed for:
  workers 0 -> 3
detection: a silent host is down after 8.7s at the latest
ok
`, out)

	out, _, code = command(t, "check", old, "--diff", old)
	require.Equal(t, 0, code)
	require.Equal(t, "nothing changes\ndetection: a silent host is down after 8.7s at the latest\nok\n", out)

	out, _, code = command(t, "check", old, "--diff", "/nowhere.yaml")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "/nowhere.yaml: cannot be read")
}

func TestCheckTellsTheDetectionTime(t *testing.T) {
	for changed, want := range map[string]string{
		"":                         "detection: a silent host is down after 8.7s at the latest\nok\n",
		"health: {probe: false}\n": "detection: a silent host is never down, because it is not probed\nok\n",
		"health: {interval: 1s, max_detection: 5s}\n": "detection: a silent host is down after 4.3s at the latest\nok\n",
	} {
		out, _, code := command(t, "check", write(t, running1+changed))
		require.Equal(t, 0, code, out)
		require.Equal(t, want, out)
	}
	several := strings.Replace(running1, `["sip:10.0.0.2"]}`, `["sip:10.0.0.2"], health: {interval: 10s}}`, 1)
	out, _, _ := command(t, "check", write(t, several))
	require.Equal(t, "detection: a silent host is down after 8.7s at the latest (east)\ndetection: a silent host is down after 14.2s at the latest (west)\nok\n", out)
	out, _, code := command(t, "check", write(t, running1+"health: {max_detection: 8s}\n"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "health.max_detection: a silent host of connector \"east\" is down after 8.7s at the latest, which exceeds max_detection, 8s: "+
		"interval 5s + 10 % of jitter, then 2 times fast_interval 1s + 10 % (down_after 3), then timeout 1s; lower")
}

// Numbers of a file lead where those of a list do, by the same lookup.
func TestExplainOfANumbersFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "numbers.csv"), []byte("number,owner\n+15550000007,a\n+1555100*,b\n# none\n0100-0199,c\n"), 0o600))
	path := filepath.Join(dir, "tandem.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(running1, "  - name: support\n", "  - name: support\n    numbers_file: numbers.csv\n", 1)), 0o600))
	for number, entry := range map[string]string{"+15550000007": "+15550000007 (exact)", "+15551005": "+1555100* (prefix)", "0150": "0100-0199 (range)", "+15550000001": "+15550000001 (exact)"} {
		out, _, code := command(t, "explain", "--config", path, number)
		require.Equal(t, 0, code, out)
		require.Contains(t, out, "matches  "+entry)
	}
	_, _, code := command(t, "explain", "--config", path, "+15550000008")
	require.Equal(t, exitFailed, code)
}
