//go:build linux

// System tests: the built binary, real sockets, SIPp. Each test has a network
// of its own inside 127.0.0.0/8 (see lab), so that tests run side by side and
// every peer has port 5060. Tests that need a real path, where ICMP behaves as
// it does between machines, run in network namespaces (see netns).
package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

const (
	patience   = 5 * time.Second        // the longest wait for what must happen
	settle     = 200 * time.Millisecond // how long what must not happen is watched for
	binaryEnv  = "TANDEM_E2E_BINARY"    // the binary under test, when it is built already
	sippHint   = "sipp is not installed. Run: apt-get install -y sip-tester"
	dropMetric = `^tandem_(udp_)?dropped_total`
	readyEvery = 20 * time.Millisecond
)

func TestMain(m *testing.M) {
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler)) // phones' connections say there what is no error
	code := m.Run()
	if dir := buildDir; dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

var buildDir string // set once by tandemBinary

// tandemBinary builds the command once for all tests.
var tandemBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryEnv); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "tandem-e2e-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	path := filepath.Join(dir, "tandem")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func binary(t testing.TB) string {
	t.Helper()
	path, err := tandemBinary()
	require.NoError(t, err)
	return path
}

// lab is a test's own network. Addresses are written as 127.0.0.N everywhere,
// in configs too; place maps them into the lab's own 127.x.y.0/24.
type lab struct {
	t   testing.TB
	net string // "127.x.y.", or another network's beginning
}

// admin is a loopback address everywhere, as the config demands.
func (l *lab) admin(port int) string {
	if !strings.HasPrefix(l.net, "127.") {
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	return fmt.Sprintf("%s1:%d", l.net, port)
}

var labs atomic.Uint32

func newLab(t testing.TB) *lab {
	t.Helper()
	for range 1000 {
		n := labs.Add(1)
		prefix := fmt.Sprintf("127.%d.%d.", 16+os.Getpid()%200, n%250+1)
		claim, err := net.Listen("tcp4", prefix+"254:65000") // says that this network is taken
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = claim.Close() })
		return &lab{t: t, net: prefix}
	}
	t.Fatal("no free 127.x.y.0/24")
	return nil
}

// place maps 127.0.0.N into the lab's network.
func (l *lab) place(text string) string {
	return strings.ReplaceAll(text, "127.0.0.", l.net)
}

func (l *lab) addr(hostport string) netip.AddrPort {
	l.t.Helper()
	if !strings.Contains(hostport, ":") {
		hostport += ":5060"
	}
	a, err := netip.ParseAddrPort(l.place(hostport))
	require.NoError(l.t, err)
	return a
}

// node is a running tandem.
type node struct {
	lab    *lab
	t      testing.TB
	addr   netip.AddrPort // where it takes calls
	admin  string         // host:port
	config string         // path
	state  string         // its directory
	cmd    *exec.Cmd
	logs   *buffer
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// Every test's config begins with these lines; place maps the addresses.
const configHead = `
listen: ["udp://LISTEN"]
admin: {listen: ADMIN}
state_dir: STATE
`

// twoConnectors is the rest of the config most tests use: a group of two
// connectors of one host each, first at 127.0.0.11, second at 127.0.0.12.
const twoConnectors = `
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:127.0.0.11:5060"}]}
  - {name: second, region: west, hosts: [{uri: "sip:127.0.0.12:5060"}]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
`

// serve writes the config (configHead and what is given) and starts a node with it.
func (l *lab) serve(config string) *node {
	l.t.Helper()
	return l.serveAt(l.place("127.0.0.1:5060"), config)
}

func (l *lab) serveAt(listen, config string) *node {
	l.t.Helper()
	addr, err := netip.ParseAddrPort(listen)
	require.NoError(l.t, err)
	return l.serveFile(addr, l.admin(8080), configHead+config)
}

// serveFile writes a whole config and starts a node with it. LISTEN, ADMIN and
// STATE in it are what is given and a new directory.
func (l *lab) serveFile(listen netip.AddrPort, admin, config string) *node {
	l.t.Helper()
	dir := l.t.TempDir()
	n := &node{lab: l, t: l.t, addr: listen, admin: admin, config: filepath.Join(dir, "tandem.yaml")}
	n.state = filepath.Join(dir, "state")
	require.NoError(l.t, os.Mkdir(n.state, 0o700))
	require.NoError(l.t, os.WriteFile(n.config, []byte(n.fill(config)), 0o600))
	n.start()
	return n
}

// fill completes a whole config with what is the node's own.
func (n *node) fill(config string) string {
	own := strings.NewReplacer("LISTEN", n.addr.String(), "STATE", n.state, "ADMIN", n.admin)
	return own.Replace(n.lab.place(config))
}

// rewrite puts another config (configHead and what is given) in place of the
// node's, as an editor does: a new file, renamed over the old one.
func (n *node) rewrite(config string) {
	n.t.Helper()
	next := n.config + ".next"
	require.NoError(n.t, os.WriteFile(next, []byte(n.fill(configHead+config)), 0o600))
	require.NoError(n.t, os.Rename(next, n.config))
}

// start runs the node's config, at first or again, and waits until it is ready.
func (n *node) start() {
	n.t.Helper()
	n.launch()
	deadline := time.Now().Add(10 * time.Second)
	for {
		resp, err := http.Get("http://" + n.admin + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-n.exited:
			n.t.Fatalf("serve ended (%v) before it was ready:\n%s", n.err, n.logs)
		case <-time.After(readyEvery):
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("serve is not ready after 10 s (last: %v):\n%s", err, n.logs)
		}
	}
}

func (n *node) launch() {
	n.t.Helper()
	cmd := exec.Command(binary(n.t), "serve", "--config", n.config)
	logs := &buffer{}
	cmd.Stderr, cmd.Stdout = logs, logs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(n.t, cmd.Start())
	exited := make(chan struct{})
	n.cmd, n.logs, n.exited, n.err = cmd, logs, exited, nil
	go func() {
		n.err = cmd.Wait()
		close(exited)
	}()
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if n.t.Failed() {
			n.t.Logf("tandem said:\n%s", logs.tail(60))
		}
	})
}

// crash ends the node without a chance to tidy up.
func (n *node) crash() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	n.wait(patience)
}

// stop ends the node by SIGTERM and returns its exit code.
func (n *node) stop() int {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	return n.wait(patience)
}

func (n *node) signal(sig syscall.Signal) {
	n.t.Helper()
	require.NoError(n.t, n.cmd.Process.Signal(sig))
}

// wait returns the exit code, -1 after a signal.
func (n *node) wait(limit time.Duration) int {
	n.t.Helper()
	select {
	case <-n.exited:
		return n.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		n.t.Fatalf("tandem still runs %v after it should have ended:\n%s", limit, n.logs.tail(40))
		return 0
	}
}

func (n *node) alive() bool {
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// metric returns the sum of all series whose name and labels match the expression.
func (n *node) metric(expr string) float64 {
	n.t.Helper()
	series := regexp.MustCompile(expr)
	resp, err := http.Get("http://" + n.admin + "/metrics")
	require.NoError(n.t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(n.t, http.StatusOK, resp.StatusCode)
	sum := 0.0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 || !series.MatchString(line[:at]) {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		require.NoError(n.t, err, line)
		sum += value
	}
	require.NoError(n.t, lines.Err())
	return sum
}

// logged waits for a JSON log line whose text matches, and returns it.
func (n *node) logged(expr string) map[string]any {
	n.t.Helper()
	want := regexp.MustCompile(expr)
	var found map[string]any
	require.Eventually(n.t, func() bool {
		for _, line := range strings.Split(n.logs.String(), "\n") {
			if want.MatchString(line) {
				return json.Unmarshal([]byte(line), &found) == nil
			}
		}
		return false
	}, patience, readyEvery, "no JSON log line matches %s in:\n%s", expr, n.logs)
	return found
}

// run runs another command of the binary and returns its output and exit code.
func run(t testing.TB, args ...string) (output string, code int) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// buffer gathers a process's output.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

var _ io.Writer = (*buffer)(nil)

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *buffer) tail(lines int) string {
	all := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
