package peer

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/bench/load"
)

// CPU of this process and of what it has started.
func TestCPU(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
	}
	after, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("%v of CPU after 20 ms of work, %v before", after, before)
	}
}

// What this process does is no noise.
func TestNoise(t *testing.T) {
	before, err := Look()
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 200*time.Millisecond; {
	}
	after, err := Look()
	if err != nil {
		t.Fatal(err)
	}
	if ours := after.Ours - before.Ours; ours <= 0 || after.Ran-before.Ran < ours {
		t.Errorf("%v of our own, %v of all", ours, after.Ran-before.Ran)
	}
	m := Moment{At: time.Unix(100, 0), Ran: 9 * time.Second, Ours: 5 * time.Second, Stolen: time.Second, Lost: 7}
	later := Moment{At: time.Unix(110, 0), Ran: 20 * time.Second, Ours: 14 * time.Second, Stolen: 2 * time.Second, Lost: 10}
	if got := later.Since(m); got != (Noise{Foreign: 0.2, Stolen: 0.1, Lost: 3}) {
		t.Errorf("%+v", got)
	}
}

// What spins in user code is seen there, what copies in the kernel is seen
// there.
func TestSplit(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		user bool
	}{
		"user":   {[]string{"sh", "-c", "while :; do :; done"}, true},
		"kernel": {[]string{"dd", "if=/dev/zero", "of=/dev/null", "bs=16M"}, false},
	} {
		p, err := Start(t.TempDir(), -1, "", c.args[0], c.args[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Stop)
		s, err := Sample(p.PID())
		if err != nil {
			t.Skip(err) // not root, and the kernel does not let others
		}
		time.Sleep(300 * time.Millisecond)
		user, kernel := s.Stop()
		t.Logf("%s: %d samples in user code, %d in the kernel", name, user, kernel)
		if user+kernel < 20 || c.user != (user > 4*kernel) || c.user == (kernel > 4*user) {
			t.Errorf("%s: %d samples in user code, %d in the kernel", name, user, kernel)
		}
	}
}

func TestUnknown(t *testing.T) {
	if _, err := StartProxy(t.Context(), Settings{}, "nobody"); err == nil || !strings.Contains(err.Error(), "floor-batch") {
		t.Error(err)
	}
}

// Calls pass through every proxy that there is, and what it costs is seen.
func TestCalls(t *testing.T) {
	bench, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	settings := Settings{Bench: bench, Work: t.TempDir(), CPU: -1, Numbers: 1000, Dialogs: "stateless", Variant: "recent_calls: off"}
	files, err := settings.Certify()
	if err != nil {
		t.Fatal(err)
	}
	generators := map[string]*load.Generator{}
	for _, transport := range []string{load.UDP, load.TCP, load.TLS} {
		cfg := load.Config{
			Proxy: sip("127.88.0.1"), From: netip.MustParseAddrPort("127.88.0.3:0"), Connectors: ConnectorsOver(transport), Sources: 3,
			Number: func(call int) []byte { return fmt.Appendf(nil, "+%d", First+call%1000) }, Transport: transport,
		}
		if cfg.Client, cfg.Server, err = files.Configs(); err != nil {
			t.Fatal(err)
		}
		if generators[transport], err = load.New(cfg); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(generators[transport].Close)
	}
	for _, k := range kinds() {
		name, g := k.name, generators[k.transport]
		t.Run(name, func(t *testing.T) {
			for program := range Needs(name) {
				if _, err := exec.LookPath(program); err != nil {
					t.Skip(err)
				}
			}
			p, err := StartProxy(t.Context(), settings, name)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Stop)
			before, err := CPU(p.PID())
			if err != nil {
				t.Fatal(err)
			}
			w := g.Window(name)
			if err := g.Aim(p.Addr); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := g.Run(ctx, 100, 100); err != nil {
				t.Fatal(err)
			}
			r := w.Report()
			after, err := CPU(p.PID())
			if err != nil || after <= before {
				t.Errorf("%v of CPU after 100 calls, %v before: %v", after, before, err)
			}
			if r.Counts[load.Good] != 100 || r.Counts[load.Trying] != 100 || r.Counts[load.Retransmitted]+r.Counts[load.Broken] != 0 || r.Reached[0] != 100 {
				t.Error(r, p.Log())
			}
		})
	}
}
