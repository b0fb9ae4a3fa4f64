//go:build linux

package main_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The defaults: secrets in state_dir, so a restart loses no dialog.
func TestE2E_RestartBetweenAnswerAndBye(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
			n := l.serve(twoConnectors)
			d := caller.call(n.addr, "+15550000001").start()
			first.pickUp()
			caller.expect("180 INVITE")
			d.established()
			first.expect("ACK")

			n.signal(sig)
			code := n.wait(patience)
			if sig == syscall.SIGTERM {
				require.Equal(t, 0, code, "no set-up is under way: it ends at once")
			}
			n.start()
			d.bye(first)
		})
	}
}

// A call that is answered across a restart: the 200 finds its way by the next
// Via, because branches survive.
func TestE2E_RestartBetweenInviteAndAnswer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	d := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	first.answer(invite, 180, "Ringing", first.contact())
	caller.expect("180 INVITE")
	n.crash()
	n.start()
	first.answer(invite, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	d.established()
	first.expect("ACK")
	d.bye(first)
}

func TestE2E_SigtermDrains(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors + "drain_timeout: 20s\n")
	ringing := caller.call(n.addr, "+15550000001").start()
	invite := first.expect("INVITE")
	first.answer(invite, 180, "Ringing", first.contact())
	caller.expect("180 INVITE")

	n.signal(syscall.SIGTERM)
	require.Eventually(t, func() bool { // readiness says it first
		resp, err := http.Get("http://" + n.admin + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	}, patience, readyEvery)

	// OPTIONS and new calls are told; what began goes on.
	caller.send(n.addr, caller.ping(n.addr, "drain"))
	caller.expect("503 OPTIONS")
	caller.call(n.addr, "+15550000001").start().fails(503)
	require.True(t, n.alive(), "it waits for the call in set-up")

	first.answer(invite, 200, "OK", first.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	time.Sleep(300 * time.Millisecond) // the caller is far away
	ringing.established()
	first.expect("ACK")
	require.Equal(t, 0, n.wait(patience))
}

func TestE2E_DrainTimeout(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors + "drain_timeout: 500ms\n")
	caller.call(n.addr, "+15550000001").start()
	first.answer(first.expect("INVITE"), 180, "Ringing", first.contact())
	caller.expect("180 INVITE")
	begin := time.Now()
	require.Equal(t, 0, n.stop())
	require.Greater(t, time.Since(begin), 400*time.Millisecond)
}

// SO_REUSEPORT would let a second process take half of the calls.
func TestE2E_SecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)

	text, err := os.ReadFile(n.config)
	require.NoError(t, err)
	other := t.TempDir() // another state directory and admin address: only the listener is the same
	second := strings.Replace(string(text), l.admin(8080), l.admin(8081), 1)
	second = regexp.MustCompile(`(?m)^state_dir: .*$`).ReplaceAllString(second, "state_dir: "+other)
	path := filepath.Join(other, "second.yaml")
	require.NoError(t, os.WriteFile(path, []byte(second), 0o600))
	out, code := run(t, "serve", "--config", path)
	require.NotEqual(t, 0, code)
	require.Contains(t, out, n.addr.String(), "says which address")
	require.True(t, n.alive())
	for range 5 { // and no call goes astray
		n.goodCall(caller, first, "+15550000001")
	}
}

const sixMistakes = `listen: [udp://127.0.0.1:5060]
lissen: [udp://127.0.0.1:5062]
connectors:
  - {name: first, hosts: [{uri: "sip:127.0.0.11:99999"}]}
  - {name: second, hosts: [{uri: "sip:127.0.0.12:5060"}]}
  - {name: second, hosts: [{uri: "sip:127.0.0.13:5060"}]}
groups:
  - name: support
    connectors: [{connector: second, priority: 0}]
    numbers: ["+15550000001"]
  - name: sales
    connectors: [{connector: third, priority: 1}]
    numbers: ["+15550000001"]
`

func TestE2E_CheckPrintsSixMistakes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "six.yaml")
	require.NoError(t, os.WriteFile(path, []byte(sixMistakes), 0o600))
	out, code := run(t, "check", path)
	require.Equal(t, 1, code)
	for line, word := range map[int]string{2: "lissen", 4: "99999", 6: "second", 9: "priority", 12: "third", 13: "+15550000001"} {
		expr := fmt.Sprintf(`(?m)^.*six\.yaml:%d:.*%s.*$`, line, regexp.QuoteMeta(word))
		require.Regexp(t, expr, out)
	}
	require.Len(t, regexp.MustCompile(`(?m)^.*six\.yaml:\d+`).FindAllString(out, -1), 6, "six errors, a line each:\n%s", out)

	out, code = run(t, "serve", "--config", path)
	require.Equal(t, 2, code, "serve exits 2 on a bad config")
	require.Contains(t, out, "lissen")
}

func TestE2E_CheckOK(t *testing.T) {
	t.Parallel()
	for _, example := range []string{"quickstart", "two-regions"} {
		out, code := run(t, "check", filepath.Join("..", "..", "examples", example+".yaml"))
		require.Equal(t, 0, code, out)
		require.Contains(t, out, "ok")
	}
}

func TestE2E_Explain(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.serve(twoConnectors)
	out, code := run(t, "explain", "--config", n.config, "+15550000001")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "support")
	require.Less(t, strings.Index(out, "first"), strings.Index(out, "second"), "candidates in try order:\n%s", out)
	require.Contains(t, out, l.place("127.0.0.11"))
}

func TestE2E_HealthcheckAndVersion(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.serve(twoConnectors)
	out, code := run(t, "healthcheck", "--admin", "http://"+n.admin)
	require.Equal(t, 0, code, out)
	require.Equal(t, 0, n.stop())
	_, code = run(t, "healthcheck", "--admin", "http://"+n.admin)
	require.NotEqual(t, 0, code)
	out, code = run(t, "version")
	require.Equal(t, 0, code)
	require.Contains(t, out, "tandem")
}

// Every series exists from the first scrape on.
func TestE2E_MetricsFromTheFirstScrape(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
	n := l.serve(twoConnectors)
	resp, err := http.Get("http://" + n.admin + "/metrics")
	require.NoError(t, err)
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	for _, series := range []string{
		`^tandem_calls_total{outcome="answered",route="support"}`,
		`^tandem_attempts_total{connector="first",outcome="answered"}`,
		`^tandem_attempts_total{connector="second",outcome="silent"}`,
		`^tandem_failovers_total{reason="icmp"}`,
		`^tandem_host_state{connector="second",.*state="down"}`,
		`^tandem_dropped_total{reason="not_sip"}`,
	} {
		require.Zero(t, n.metric(series))
		require.Regexp(t, "(?m)"+series, string(page))
	}
	require.Regexp(t, `(?m)^tandem_host_probe_rtt_seconds{connector="second",`, string(page))
	n.goodCall(caller, first, "+15550000001")
	require.Equal(t, 1.0, n.metric(`^tandem_calls_total{outcome="answered",route="support"}`))
	require.Equal(t, 1.0, n.metric(`^tandem_calls_total`))
	require.Equal(t, 1.0, n.metric(`^tandem_attempts_total{connector="first",outcome="answered"}`))
}
