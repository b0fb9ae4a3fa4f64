package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config"
	"tandem/health"
)

// file is a config file of a node on free ports of loopback.
type file struct {
	t    *testing.T
	path string
}

func newFile(t *testing.T, text string) *file {
	f := &file{t, filepath.Join(t.TempDir(), "tandem.yaml")}
	f.write(text)
	return f
}

func (f *file) write(text string) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(f.path, []byte(text), 0o600))
}

// start runs a node by the file. The ports of its addresses are the system's
// choice, which a file cannot say: so they are changed after it is read.
func (f *file) start() *running {
	f.t.Helper()
	cfg, err := config.Load(f.path)
	require.NoError(f.t, err)
	for i := range cfg.Listen {
		cfg.Listen[i].Addr = netip.MustParseAddrPort("127.0.0.1:0")
	}
	cfg.Admin, cfg.Metrics, cfg.StateDir = "127.0.0.1:0", "", f.t.TempDir()
	return start(f.t, cfg)
}

func policy(hosts []netip.AddrPort, more string) string {
	var b strings.Builder
	b.WriteString("connectors:\n")
	for i, h := range hosts {
		fmt.Fprintf(&b, "  - {name: c%d, region: r%d, hosts: [\"sip:%s\"]}\n", i+1, i+1, h)
	}
	b.WriteString("groups:\n  - name: support\n    numbers: [\"+15550000001\"]\n    connectors:\n")
	for i := range hosts {
		fmt.Fprintf(&b, "      - {connector: c%d, priority: %d}\n", i+1, i+1)
	}
	return b.String() + more
}

// metric is the value of a series as it is scraped.
func (r *running) metric(t *testing.T, series string) string {
	t.Helper()
	res, err := http.Get("http://" + r.admin.AdminAddr() + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (.*)$`).FindSubmatch(text)
	require.NotNil(t, m, series)
	return string(m[1])
}

// lastLine is the newest log line with that text.
func (r *running) lastLine(t *testing.T, msg string) map[string]any {
	t.Helper()
	line := r.findLine(t, msg)
	if line == nil {
		t.Fatalf("no line %q in\n%s", msg, r.log.String())
	}
	return line
}

// soonLine is lastLine, for what another goroutine is about to log.
func (r *running) soonLine(t *testing.T, msg string) map[string]any {
	t.Helper()
	deadline := time.Now().Add(4 * patient)
	for r.findLine(t, msg) == nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	return r.lastLine(t, msg)
}

func (r *running) findLine(t *testing.T, msg string) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &line))
		if strings.HasPrefix(line["msg"].(string), msg) {
			return line
		}
	}
	return nil
}

func TestReloadTakesTheNewFile(t *testing.T) {
	east, west, caller := newSIPSocket(t), newSIPSocket(t), newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "health: {probe: false}\n"))
	r := f.start()
	require.Equal(t, "1", r.metric(t, "tandem_config_last_reload_successful"))

	f.write(policy([]netip.AddrPort{west.addr(), east.addr()}, "health: {probe: false}\nworkers: 7\n"))
	r.reload.take("test")
	caller.send(r.udp.Addrs()[0], "INVITE", "+15550000001")
	west.expect("INVITE ")
	line := r.lastLine(t, "config reloaded")
	require.Equal(t, "WARN", line["level"])
	require.Contains(t, fmt.Sprint(line["needs_restart"]), "workers")
	require.NotContains(t, fmt.Sprint(line["changed"]), "workers")
	require.Contains(t, fmt.Sprint(line["changed"]), "c2")
	require.Equal(t, "1", r.metric(t, `tandem_config_reloads_total{result="taken"}`))

	r.reload.take("test") // what needs a restart stays named until there is one
	require.Contains(t, fmt.Sprint(r.lastLine(t, "config reloaded")["needs_restart"]), "workers")
	require.EqualValues(t, 0, r.lastLine(t, "config reloaded")["changes"])
}

func TestReloadOfAFileWithMistakes(t *testing.T) {
	east := newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "health: {probe: false}\n"))
	r := f.start()
	before := r.router.Hosts()
	for _, wrong := range []string{"listen: [", "groups: [{name: x, connectors: [{connector: nobody, priority: 1}]}]\nfailover: {codes: [200]}\n"} {
		f.write(wrong)
		r.reload.take("test")
		require.Equal(t, before, r.router.Hosts())
		require.Equal(t, "0", r.metric(t, "tandem_config_last_reload_successful"))
	}
	line := r.lastLine(t, "config not reloaded")
	require.Len(t, line["mistakes"], 2, "all at once")
	require.Contains(t, fmt.Sprint(line["mistakes"]), `:1: `)
	require.Equal(t, "2", r.metric(t, `tandem_config_reloads_total{result="failed"}`))

	require.NoError(t, os.Remove(f.path))
	r.reload.take("test")
	require.Contains(t, fmt.Sprint(r.lastLine(t, "config not reloaded")["mistakes"]), "cannot be read")

	f.write(policy([]netip.AddrPort{east.addr()}, "health: {probe: false}\n"))
	r.reload.take("test")
	require.Equal(t, "1", r.metric(t, "tandem_config_last_reload_successful"))
}

// A connector may choose a listener that only a restart would bring.
func TestReloadOfAListenerThatIsNotThereYet(t *testing.T) {
	east := newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "health: {probe: false}\n"))
	r := f.start()
	f.write("listen: [{address: \"udp://127.0.0.1:5060\", name: inside}]\n" +
		strings.Replace(policy([]netip.AddrPort{east.addr()}, ""), "name: c1,", "name: c1, listener: inside,", 1))
	r.reload.take("test")
	require.Contains(t, fmt.Sprint(r.lastLine(t, "config not reloaded")["mistakes"]), "comes with a restart only: restart the node to take this file")
}

// Certificates are read again after the config, which may name other files: one that
// was renamed with it is not missed. What cannot be used is told of at its line.
func TestReloadOfCertificates(t *testing.T) {
	ours, ca := anyCertificate(t).Certificate, anyCertificate(t).Certificate
	with := func(ca string) string {
		return fmt.Sprintf("listen: [udp://127.0.0.1:5060, {address: \"tls://127.0.0.1:5061\", tls: {certificate: %s}}]\nhealth: {probe: false}\n", ours) +
			fmt.Sprintf("connectors:\n  - {name: c1, hosts: [\"sip:127.0.0.1:5999;transport=tls\"], tls: {ca: %s}}\n", ca) +
			"groups: [{name: g, numbers: [\"+1555\"], connectors: [{connector: c1, priority: 1}]}]\n"
	}
	f := newFile(t, with(ca))
	r := f.start()

	require.NoError(t, os.Rename(ca, ca+".new"))
	f.write(with(ca + ".new"))
	r.reload.take("test")
	r.lastLine(t, "config reloaded")
	r.lastLine(t, "certificates read again")
	require.Nil(t, r.findLine(t, "certificates not read again"))

	f.write(with(f.path)) // no certificate
	r.reload.take("test")
	require.Contains(t, fmt.Sprint(r.lastLine(t, "config not reloaded")["mistakes"]),
		fmt.Sprintf("%[1]s:4: connectors[0].tls.ca: %[1]s holds no certificate in PEM", f.path))
	require.Nil(t, r.findLine(t, "certificates not read again"), "those in force are good")

	f.write(with(ca + ".new"))
	require.NoError(t, os.WriteFile(ours, []byte("half of a certi"), 0o600))
	r.reload.take("test")
	require.Contains(t, fmt.Sprint(r.lastLine(t, "certificates not read again")["mistakes"]), ours)
	line := r.lastLine(t, "config: "+ours)
	require.Equal(t, []any{"listen[1].tls.certificate", 1.0}, []any{line["field"], line["line"]})
	require.Equal(t, "1", r.metric(t, "tandem_config_last_reload_successful"), "the ones before stay in use")
}

// Hosts that stay keep their health; those that come are up.
func TestReloadKeepsHealth(t *testing.T) {
	east, west := newSIPSocket(t), newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "health: {probe: false}\n"))
	r := f.start()
	r.router.Hosts()[0].Health.Observe(1, health.Observation{Event: health.CallSilent})
	f.write(policy([]netip.AddrPort{west.addr(), east.addr()}, "health: {probe: false, doubt_hold: 20s}\n"))
	r.reload.take("test")
	hosts := r.router.Hosts()
	require.Equal(t, health.Up, hosts[0].Health.Status().State)
	require.Equal(t, health.Doubtful, hosts[1].Health.Status().State)
	require.Equal(t, 20*time.Second, hosts[1].Health.Settings().DoubtHold)
}

// Probes begin and end with the file, without a restart.
func TestReloadOfProbes(t *testing.T) {
	east := newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "health: {probe: false}\n"))
	r := f.start()
	require.NoError(t, east.conn.SetReadDeadline(time.Now().Add(1200*time.Millisecond)))
	_, err := east.conn.Read(make([]byte, 2048))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the first probe would have left within a second")
	f.write(policy([]netip.AddrPort{east.addr()}, ""))
	r.reload.take("test")
	east.expect("OPTIONS ")
}

func TestReloadWhenTheFileChanges(t *testing.T) {
	east, west := newSIPSocket(t), newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "reload: {watch: true}\n"))
	r := f.start()
	f.write(policy([]netip.AddrPort{east.addr(), west.addr()}, "reload: {watch: true}\n"))
	require.Eventually(t, func() bool { return len(r.router.Hosts()) == 2 }, 4*patient, 10*time.Millisecond)
	require.Equal(t, "the file changed", r.soonLine(t, "config reloaded")["because"])
}

// A directory that is swapped for another ends a watch, and begins the next.
func TestReloadAfterTheDirectoryWasSwapped(t *testing.T) {
	east, west := newSIPSocket(t), newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "reload: {watch: true}\n"))
	dir := filepath.Join(filepath.Dir(f.path), "etc")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.Rename(f.path, filepath.Join(dir, "tandem.yaml")))
	f.path = filepath.Join(dir, "tandem.yaml")
	r := f.start()
	require.Equal(t, "1", r.metric(t, "tandem_config_watched"))
	require.NoError(t, os.Rename(dir, dir+".old"))
	require.Eventually(t, func() bool { return r.metric(t, "tandem_config_watched") == "0" }, patient, 10*time.Millisecond)
	require.NoError(t, os.Mkdir(dir, 0o755))
	f.write(policy([]netip.AddrPort{east.addr(), west.addr()}, "reload: {watch: true}\n"))
	require.Eventually(t, func() bool { return len(r.router.Hosts()) == 2 }, 4*patient, 10*time.Millisecond)
	require.Equal(t, "1", r.metric(t, "tandem_config_watched"))
}

func TestNoReloadWhileDraining(t *testing.T) {
	east := newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "health: {probe: false}\n"))
	r := f.start()
	r.router.Drain()
	r.reload.ask("test")
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "config not reloaded: the node is about to stop") }, patient, 10*time.Millisecond)
}
