package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/bench/node"
)

// These are whole-system tests: a real tandem, and SIPp as a connector.

func addr(ip string) netip.AddrPort { return netip.MustParseAddrPort(ip + ":5060") }

func TestThroughTandem(t *testing.T) {
	startTandem(t)
	for _, c := range []struct {
		name    string
		sources int
	}{{"one source", 1}, {"many sources", 50}} {
		t.Run(c.name, func(t *testing.T) {
			g, err := New(Config{Proxy: addr("127.89.0.1"), From: netip.MustParseAddrPort("127.89.0.2:0"), Sources: c.sources,
				Connectors: []netip.AddrPort{addr("127.89.0.11"), addr("127.89.0.12")},
				Number:     func(call int) []byte { return fmt.Appendf(nil, "+1555%07d", call%1000) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(g.Close)
			w := g.Window("tandem")
			run(t, g, 200, 400)
			r := w.Report()
			t.Log(r)
			n := r.Counts
			if n[Good] != 400 || n[Failed] != 0 || n[TryingLate]+n[RingingLate]+n[AckLate]+n[Duplicate]+n[WrongVia]+n[WrongTag]+n[WrongRoute]+n[Garbled] > 0 {
				t.Error("calls failed, or came out of order")
			}
			if r.Reached[0] != 400 || n[Trying] != 400 {
				t.Error("not all calls had a 100, or reached the first connector")
			}
		})
	}
}

// SIPp's connector is content with our caller, and counts as many calls.
func TestBesideSIPp(t *testing.T) {
	if _, err := exec.LookPath("sipp"); err != nil {
		t.Skip("sipp is not installed")
	}
	startTandem(t)
	for range 3 {
		if besideSIPp(t) {
			return
		}
		t.Log("SIPp forgot a call while it paused, and never sent its 200; once more")
	}
	t.Error("SIPp forgets calls each time")
}

// besideSIPp is false when SIPp has forgotten calls, as happens to it on a machine
// with much to do: by its own count it never sent the answers that are missing.
func besideSIPp(t *testing.T) bool {
	const calls = 200
	dir := t.TempDir()
	scenario, err := filepath.Abs("../sipp/connector.xml")
	if err != nil {
		t.Fatal(err)
	}
	// Probes count as calls with SIPp: the only ones here are of the config's interval, a minute.
	sipp := exec.Command("sipp", "-sf", scenario, "-i", "127.89.0.11", "-p", "5060", "-bind_local", "-ci", "127.89.0.11",
		"-nostdin", "-buff_size", "4194304", "-trace_err", "-trace_counts", "-fd", "1")
	sipp.Dir, sipp.Env = dir, append(os.Environ(), "TERM=dumb")
	if err := sipp.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = sipp.Wait(); close(ended) }()
	defer func() {
		_ = sipp.Process.Kill()
		<-ended
	}()
	await(t, "SIPp", func() bool {
		conn, err := net.ListenPacket("udp4", "127.89.0.11:5060")
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	g, err := New(Config{Proxy: addr("127.89.0.1"), From: netip.MustParseAddrPort("127.89.0.2:0"),
		Number: func(call int) []byte { return fmt.Appendf(nil, "+1555%07d", call%1000) }})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	w := g.Window("SIPp")
	run(t, g, 200, calls)
	r := w.Report()
	t.Log(r)
	if sent := sippSent(t, dir); sent < calls && r.Counts[Good] == sent {
		return false
	}
	if r.Counts[Good] != calls || r.Counts[Failed]+r.Counts[Duplicate] != 0 {
		t.Error("calls failed, or SIPp answered again")
	}
	_ = sipp.Process.Signal(syscall.SIGUSR1) // SIPp ends when its calls have
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("SIPp has calls that do not end")
	}
	if errors, _ := filepath.Glob(filepath.Join(dir, "*_errors.log")); len(errors) > 0 {
		text, _ := os.ReadFile(errors[0])
		t.Errorf("SIPp found errors: %s", text)
	}
	return true
}

// sippSent is how many calls SIPp has answered by its own count.
func sippSent(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_counts.csv"))
	if err != nil || len(files) != 1 {
		t.Fatalf("SIPp's counts: %v %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	names, values := strings.Split(lines[0], ";"), strings.Split(lines[len(lines)-1], ";")
	at := slices.Index(names, "4_200_Sent")
	if at < 0 || len(values) != len(names) {
		t.Fatalf("SIPp's counts: %s", text)
	}
	sent, err := strconv.Atoi(values[at])
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// startTandem runs a tandem at 127.89.0.1 until the test ends.
func startTandem(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	binary, err := node.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "tandem.yaml")
	text := fmt.Sprintf(`listen: [udp://127.89.0.1:5060]
admin: off
state_dir: %s
health: {interval: 1m}
trunks: [{name: load, sources: [127.0.0.0/8]}]
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:127.89.0.11:5060"}]}
  - {name: second, region: west, hosts: [{uri: "sip:127.89.0.12:5060"}]}
groups:
  - name: load
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+1555*"]
`, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(binary, config, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	if _, err := n.Wait(0, 30*time.Second, "serving"); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !done() {
		if ctx.Err() != nil {
			t.Fatalf("%s does not start", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
