package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// command runs a command line in this process.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return out.String(), errs.String(), code
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tandem.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// Six different mistakes in one file: all six are told, each with its line.
func TestCheckTellsAllMistakes(t *testing.T) {
	path := write(t, `listen: [udp://0.0.0.0:5060]
colour: red
connectors:
  - name: east
    hosts: ["sip:10.0.0.1"]
  - name: east
    hosts: ["10.0.0.2"]
groups:
  - name: one
    connectors: [{connector: west, priority: 0}]
    numbers: ["+15550000001"]
  - name: two
    connectors: [{connector: east, priority: 1}]
    numbers: ["+15550000001"]
`)
	out, _, code := command(t, "check", path)
	require.Equal(t, exitFailed, code)
	for _, want := range []string{
		":1: listen[0]: 0.0.0.0 is every address",
		":2: colour: ",
		":6: connectors[1].name: ",
		":7: connectors[1].hosts[0]: ",
		":10: groups[0].connectors[0].connector: ",
		":10: groups[0].connectors[0].priority: ",
		":14: groups[1].numbers[0]: ",
	} {
		require.Contains(t, out, path+want)
	}
	require.NotContains(t, out, "ok")
}

func TestCheckTellsWarnings(t *testing.T) {
	out, _, code := command(t, "check", write(t, "listen: [udp://127.0.0.1:5060]\n"))
	require.Equal(t, 0, code)
	require.Contains(t, out, "warning: ")
	require.True(t, strings.HasSuffix(out, "ok\n"), out)
}

// What only the router finds is found by check too.
func TestCheckTellsWhatNoListenerReaches(t *testing.T) {
	out, _, code := command(t, "check", write(t, `listen: [udp://127.0.0.1:5060]
connectors:
  - {name: six, hosts: ["sip:[::1]:5081"], numbers: ["100"]}
`))
	require.Equal(t, exitFailed, code, out)
	require.Contains(t, out, "listen")
}

func TestCheckOfNoFile(t *testing.T) {
	out, _, code := command(t, "check", filepath.Join(t.TempDir(), "none.yaml"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "cannot be read")
}

func TestServeRefusesAWrongConfig(t *testing.T) {
	path := write(t, "colour: red\nlisten: [sctp://127.0.0.1:5060]\n")
	_, errs, code := command(t, "serve", "--config", path)
	require.Equal(t, exitConfig, code)
	require.Contains(t, errs, path+":1: ")
	require.Contains(t, errs, path+":2: ")
}

const explained = `listen: [udp://127.0.0.1:5060]
connectors:
  - {name: east, region: us-east-1, hosts: ["sip:127.0.0.1:5081", {uri: "sip:127.0.0.1:5082", priority: 2}], numbers: ["+15550009999"]}
  - {name: west, hosts: ["sip:127.0.0.1:5083", {uri: "sip:127.0.0.1:5084", state: disabled}]}
  - {name: alone, region: eu, state: draining, hosts: ["sip:127.0.0.1:5085"], numbers: ["100"]}
groups:
  - name: support
    connectors: [{connector: west, priority: 1}, {connector: east, priority: 2}]
    numbers: ["+15550001000-+15550001999", "+1777*"]
`

func TestExplain(t *testing.T) {
	path := write(t, explained)
	for _, c := range []struct {
		name, number, want string
		code               int
	}{
		{"a group's range", "+15550001234", `number   +15550001234
matches  +15550001000-+15550001999 (range)
route    group support
tried, in this order
  1  west  -          sip:127.0.0.1:5083  connector priority 1, host priority 1, weight 1
  2  east  us-east-1  sip:127.0.0.1:5081  connector priority 2, host priority 1, weight 1
  3  east  us-east-1  sip:127.0.0.1:5082  connector priority 2, host priority 2, weight 1
left out
  -  west  -  sip:127.0.0.1:5084  host is disabled
`, 0},
		{"a connector's own number", "+15550009999", `number   +15550009999
matches  +15550009999 (exact)
route    connector east, then the rest of group support
tried, in this order
  1  east  us-east-1  sip:127.0.0.1:5081  the number's own connector, host priority 1, weight 1
  2  east  us-east-1  sip:127.0.0.1:5082  the number's own connector, host priority 2, weight 1
  3  west  -          sip:127.0.0.1:5083  connector priority 1, host priority 1, weight 1
left out
  -  west  -  sip:127.0.0.1:5084  host is disabled
`, 0},
		{"nothing but what is left out", "100", `number   100
matches  100 (exact)
route    connector alone, in no group
but      there is no host to try: calls are answered 503
left out
  -  alone  eu  sip:127.0.0.1:5085  connector is draining
`, 0},
		{"a prefix, with separators", "+1 (777) 123", `number   +1777123
matches  +1777* (prefix)
route    group support
tried, in this order
  1  west  -          sip:127.0.0.1:5083  connector priority 1, host priority 1, weight 1
  2  east  us-east-1  sip:127.0.0.1:5081  connector priority 2, host priority 1, weight 1
  3  east  us-east-1  sip:127.0.0.1:5082  connector priority 2, host priority 2, weight 1
left out
  -  west  -  sip:127.0.0.1:5084  host is disabled
`, 0},
		{"nowhere", "+4930", "number   +4930\nmatches  nothing: a call to it is answered 404\n", exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := command(t, "explain", "--config", path, c.number)
			require.Equal(t, c.want, out)
			require.Empty(t, errs)
			require.Equal(t, c.code, code)
		})
	}
	_, errs, code := command(t, "explain", "--config", write(t, "x: 1"), "100")
	require.Equal(t, exitConfig, code)
	require.NotEmpty(t, errs)
}

func TestHealthcheck(t *testing.T) {
	status := http.StatusOK
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("what it says\n"))
	}))
	defer node.Close()
	for _, address := range []string{node.URL, node.URL + "/", strings.TrimPrefix(node.URL, "http://")} {
		out, _, code := command(t, "healthcheck", "--admin", address)
		require.Equal(t, 0, code)
		require.Equal(t, "what it says\n", out)
	}

	status = http.StatusServiceUnavailable
	_, errs, code := command(t, "healthcheck", "--admin", node.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "503")
	require.Contains(t, errs, "what it says")

	node.Close()
	_, errs, code = command(t, "healthcheck", "--admin", node.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "refused")
}

func TestVersion(t *testing.T) {
	out, _, code := command(t, "version")
	require.Equal(t, 0, code)
	require.True(t, strings.HasPrefix(out, "tandem "), out)

	built := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: "true"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"},
	}}
	require.Equal(t, "0123456789ab", shortVersion(built))
	require.Equal(t, "0123456789ab revision 0123456789abcdef0123 (modified) of 2026-01-02T03:04:05Z go1.26.0", describe(built))
	built.Main.Version = "v1.2.3"
	require.Equal(t, "v1.2.3", shortVersion(built))
	require.Equal(t, "devel", describe(nil))
}

func TestUnknownCommand(t *testing.T) {
	_, errs, code := command(t, "nonsense")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "nonsense")
}

func TestDemoRefusesWhatItCannotShow(t *testing.T) {
	for _, args := range [][]string{{"--duration", "1s"}, {"--rate", "0"}, {"--rate", "100000"}} {
		_, errs, code := command(t, append([]string{"demo"}, args...)...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, errs, "demo: need")
	}
}

// The whole demo: real sockets, a connector that dies and comes back.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 7 seconds")
	}
	t.Parallel()
	out, errs, code := command(t, "demo", "--duration", "6s", "--rate", "10")
	t.Log(out)
	require.Empty(t, errs)
	require.Equal(t, 0, code, "a call was lost")
	for _, want := range []string{"support-east DIES", "tandem: support-east is d", "support-east is BACK", " 0 lost"} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "\x1b", "no colours where there is no screen")
}

// Ctrl-C ends the demo early, and its calls in order.
func TestDemoIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	stopper := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("    1s")) {
			cancel()
		}
		return out.Write(p)
	})
	var errs bytes.Buffer
	code := run(ctx, []string{"demo"}, stopper, &errs)
	require.Equal(t, 0, code, errs.String())
	require.Contains(t, out.String(), "stopped; waiting")
	require.Contains(t, out.String(), " 0 lost")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
