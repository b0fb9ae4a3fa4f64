//go:build linux

package main_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kamailioProxy starts a Kamailio with UDP and TCP at port 5060 and TLS at 5061,
// from which calls go on to next.
func (l *lab) kamailioProxy(a *authority, host, next string) {
	l.t.Helper()
	at := l.addr(host)
	is := at.Addr().String() // over TLS, too
	a.sign(is)
	dir := l.kamailioConfig(map[string]string{"kamailio.cfg": "proxy.cfg", "tls.cfg": "proxy-tls.cfg"},
		"PROXY_AT", is, "PROXY_NEXT", l.place(next), "PROXY_KEY", a.file(is+".key"),
		"PROXY_CERTIFICATE", a.file(is+".pem"), "PROXY_CA", a.ca)
	l.startKamailio(dir, at)
}

// needKamailio skips a test where there is none, or none with TLS.
func needKamailio(t testing.TB, module string) {
	t.Helper()
	_, err := exec.LookPath("kamailio")
	if modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules/" + module); err != nil || len(modules) == 0 {
		t.Skipf("kamailio with its module %s is not installed (make peer)", module)
	}
}

// kamailioConfig copies files of bench/kamailio into a new directory, by the names
// that they are to have, and fills them in. Values that end in DIR and MODULES
// are the directory itself and Kamailio's modules.
func (l *lab) kamailioConfig(files map[string]string, fill ...string) (dir string) {
	l.t.Helper()
	modules, err := filepath.Glob("/usr/lib/*/kamailio/modules")
	require.NoError(l.t, err)
	require.NotEmpty(l.t, modules)
	dir = l.t.TempDir()
	filler := strings.NewReplacer(append(fill, "PROXY_MODULES", modules[0]+"/", "REPLAY_MODULES", modules[0]+"/", "PROXY_DIR", dir)...)
	for name, file := range files {
		template, err := os.ReadFile(filepath.Join("..", "..", "bench", "kamailio", file))
		require.NoError(l.t, err)
		require.NoError(l.t, os.WriteFile(filepath.Join(dir, name), []byte(filler.Replace(string(template))), 0o600))
	}
	return dir
}

// startKamailio runs what is in a directory of kamailioConfig, until it answers at
// addr.
func (l *lab) startKamailio(dir string, addr netip.AddrPort) {
	l.t.Helper()
	cmd := exec.Command("kamailio", "-f", filepath.Join(dir, "kamailio.cfg"), "-DD", "-E", "-x", "fm", "-X", "fm", "-m", "64", "-M", "16", "-Y", dir, "-w", dir)
	said, ended := &buffer{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true} // it ends its processes
	require.NoError(l.t, cmd.Start())
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	l.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if l.t.Failed() {
			l.t.Logf("kamailio said:\n%s", said.tail(60))
		}
	})
	asks := l.peer("127.0.0.3")
	defer asks.close()
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		_, _ = asks.conn.WriteToUDPAddrPort([]byte(asks.ping(addr, fmt.Sprintf("up%d", time.Now().UnixNano()))), addr)
		select {
		case m := <-asks.inbox:
			require.Equal(l.t, "200 OPTIONS", m.what())
			return
		case <-ended:
			l.t.Fatalf("kamailio ended:\n%s", said)
		case <-time.After(50 * time.Millisecond):
		}
	}
	l.t.Fatalf("kamailio does not answer:\n%s", said.tail(30))
}

// Whole calls pass with Kamailio as the caller's proxy, which is no host of the
// node's, as the next hop, and as both, over TCP and over TLS. Every proxy is in the path of every request, and
// either side changes the call and ends it.
func TestE2E_Kamailio(t *testing.T) {
	t.Parallel()
	besideKamailio(t, 100, 50)
}

func besideKamailio(t *testing.T, calls, rate int) {
	needKamailio(t, "tls.so")
	for _, over := range []string{"tcp", "tls"} {
		t.Run(over, func(t *testing.T) {
			l, a := newLab(t), newAuthority(t)
			port := map[string]int{"tcp": 5060, "tls": 5061}[over]
			l.kamailioProxy(a, "127.0.0.20", fmt.Sprintf("sip:127.0.0.1:%d;transport=%s", port, over)) // the caller's
			l.kamailioProxy(a, "127.0.0.21", "sip:127.0.0.11:5060")                                    // the callee's
			who := ""
			if over == "tls" {
				who = "\n    tls: {ca: DIR/ca.pem, certificate: DIR/node.example.com.pem, key: DIR/node.example.com.key}"
			}
			n := l.serveTLS(a, "clients: required, client_ca: DIR/ca.pem", fmt.Sprintf(`
connectors:
  - {name: direct, region: here, hosts: ["sip:127.0.0.11:5060"]}
  - name: kamailio
    region: here
    hosts: ["sip:127.0.0.21:%d;transport=%s"]%s
groups:
  - {name: to-direct, connectors: [{connector: direct, priority: 1}], numbers: ["+15550000001"]}
  - {name: to-kamailio, connectors: [{connector: kamailio, priority: 1}], numbers: ["+15550000002"]}
`+patient, port, over, who))
			proxy := l.addr("127.0.0.20")
			for _, path := range []struct {
				name   string
				to     netip.AddrPort
				number string
			}{
				{"the caller's proxy", proxy, "+15550000001"},
				{"the next hop", n.addr, "+15550000002"},
				{"both", proxy, "+15550000002"},
			} {
				for _, side := range []struct {
					name, caller, connector string
					invites                 int // that the callee gets
				}{
					{"the caller changes and ends it", "caller-reinvite", "connector-reinvite", 2},
					{"the callee changes and ends it", "caller-callee-bye", "connector-bye", 1},
				} {
					t.Run(path.name+", "+side.name, func(t *testing.T) {
						callee := connectorSIPp(t, nil, side.connector, l.addr("127.0.0.11"))
						caller := callerSIPp(t, nil, side.caller, l.addr("127.0.0.2"), path.to, path.number, calls, rate, "-d", "20").finish()
						callee.stop()
						t.Logf("%d calls, %d failed, %d requests sent again", caller.stat("SuccessfulCall"), caller.stat("FailedCall"), caller.stat("Retransmissions"))
						caller.allSucceeded(calls)
						require.Equal(t, side.invites*calls, callee.count("INVITE_Recv")-callee.count("INVITE_Retrans"))
					})
				}
			}
		})
	}
}
