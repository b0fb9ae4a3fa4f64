package main

import (
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
ok
`, out)

	out, _, code = command(t, "check", old, "--diff", old)
	require.Equal(t, 0, code)
	require.Equal(t, "nothing changes\nok\n", out)

	out, _, code = command(t, "check", old, "--diff", "/nowhere.yaml")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "/nowhere.yaml: cannot be read")
}
