package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"tandem/admin"
	"tandem/config"
	"tandem/config/catalog"
	"tandem/health"
	"tandem/health/probe"
	"tandem/router"
	"tandem/router/transport"
)

const patient = 10 * time.Second // for what must happen, on a busy machine too

// logText is a log that tests read.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// settings are a node on free ports of loopback that sends calls to host.
func settings(t *testing.T, host netip.AddrPort) *config.Config {
	cfg := &config.Config{
		File:         "test",
		Listen:       []config.Listener{{Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		Admin:        "127.0.0.1:0",
		Metrics:      "127.0.0.1:0",
		StateDir:     t.TempDir(),
		RecordRoute:  true,
		DrainTimeout: patient,
		Workers:      2,
		Failover:     catalog.DefaultFailover(),
		Health:       catalog.DefaultHealth(),
	}
	cfg.Catalog.Connectors = []catalog.Connector{{Name: "east", Region: "here", Hosts: []catalog.Host{{
		URI: "sip:" + host.String(), Addr: host, HostPort: host.String(), Priority: 1, Weight: 1,
	}}}}
	cfg.Catalog.Groups = []catalog.Group{{
		Name:       "support",
		Connectors: []catalog.Member{{Connector: "east", Priority: 1}},
		Numbers:    []catalog.Numbers{{Kind: catalog.Exact, First: "+15550000001"}},
	}}
	return cfg
}

// running is a node that runs.
type running struct {
	*node
	log        *logText
	stop, kill context.CancelFunc
	done       chan struct{}
	err        error
}

func start(t *testing.T, cfg *config.Config) *running {
	t.Helper()
	r := &running{log: &logText{}, done: make(chan struct{})}
	var err error
	r.node, err = newNode(cfg, r.log.logger())
	require.NoError(t, err)
	stop, cancelStop := context.WithCancel(context.Background())
	kill, cancelKill := context.WithCancel(context.Background())
	r.stop, r.kill = cancelStop, cancelKill
	go func() {
		defer close(r.done)
		r.err = r.run(stop, kill)
	}()
	t.Cleanup(func() {
		cancelStop()
		cancelKill()
		<-r.done
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	require.Eventually(t, func() bool { return r.get(t, "/readyz") == http.StatusOK }, patient, 10*time.Millisecond)
	return r
}

// get returns the status of an admin page, 0 when nobody answers.
func (r *running) get(t *testing.T, path string) int {
	res, err := http.Get("http://" + r.admin.AdminAddr() + path)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	return res.StatusCode
}

func (r *running) ended(t *testing.T) error {
	t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(patient):
		require.Fail(t, "the node still runs", r.log.String())
		return nil
	}
}

// sip is a UDP socket that sends requests and reads what comes.
type sipSocket struct {
	t    *testing.T
	conn *net.UDPConn
}

func newSIPSocket(t *testing.T) *sipSocket {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &sipSocket{t, conn}
}

func (s *sipSocket) addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (s *sipSocket) send(to netip.AddrPort, method, number string) {
	s.t.Helper()
	_, err := s.conn.WriteToUDPAddrPort(fmt.Appendf(nil, "%s sip:%s@%s SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP %s;branch=z9hG4bK-%s\r\nMax-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"+
		"Call-ID: %s\r\nCSeq: 1 %s\r\nContact: <sip:%s>\r\nContent-Length: 0\r\n\r\n",
		method, number, to, s.addr(), method, s.t.Name(), method, s.addr()), to)
	require.NoError(s.t, err)
}

// expect reads until a message begins with what is wanted.
func (s *sipSocket) expect(want string) {
	s.t.Helper()
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(patient)))
	buf := make([]byte, 65536)
	for {
		n, err := s.conn.Read(buf)
		require.NoError(s.t, err, "waiting for %q", want)
		if strings.HasPrefix(string(buf[:n]), want) {
			return
		}
	}
}

func TestNodeServesAndStops(t *testing.T) {
	host, caller := newSIPSocket(t), newSIPSocket(t)
	cfg := settings(t, host.addr())
	r := start(t, cfg)
	proxy := r.udp.Addrs()[0]

	host.expect("OPTIONS ") // a probe, from the calls' own address
	caller.send(proxy, "OPTIONS", "tandem")
	caller.expect("SIP/2.0 200 ")
	caller.send(proxy, "INVITE", "+15550009999")
	caller.expect("SIP/2.0 404 ")
	require.Equal(t, http.StatusOK, r.get(t, "/healthz"))
	require.Equal(t, http.StatusOK, r.get(t, "/metrics"))
	require.Equal(t, http.StatusNotFound, r.get(t, "/"))

	r.stop()
	require.NoError(t, r.ended(t))
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(proxy))
	require.NoError(t, err, "the address is free again")
	require.NoError(t, conn.Close())
	require.Contains(t, r.log.String(), `"msg":"serving"`)
	require.Contains(t, r.log.String(), `"detection":"8.7s"`)
	require.Contains(t, r.log.String(), `"msg":"stopped"`)
	require.FileExists(t, filepath.Join(cfg.StateDir, "secret"))
}

// A drain answers new calls 503 and lasts until the set-ups are over.
func TestNodeDrains(t *testing.T) {
	host, caller := newSIPSocket(t), newSIPSocket(t)
	r := start(t, settings(t, host.addr()))
	proxy := r.udp.Addrs()[0]
	caller.send(proxy, "INVITE", "+15550000001")
	host.expect("INVITE ")

	r.stop()
	require.Eventually(t, func() bool { return r.get(t, "/readyz") == http.StatusServiceUnavailable }, patient, 10*time.Millisecond)
	other := newSIPSocket(t)
	other.send(proxy, "OPTIONS", "tandem")
	other.expect("SIP/2.0 503 ")
	require.Equal(t, 1, r.router.Setups())

	caller.expect("SIP/2.0 503 ") // the one host stays silent: exhausted
	final := time.Now()
	require.NoError(t, r.ended(t))
	require.Greater(t, time.Since(final), drainLinger/2, "an ACK would still be served")
	require.NotContains(t, r.log.String(), "ending with calls in set-up")
}

// The time after the last set-up ends with a second signal, and with the drain
// timeout.
func TestNodeLingersNoLonger(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		end     func(*running)
	}{
		"second signal": {patient, func(r *running) { r.kill() }},
		"drain timeout": {50 * time.Millisecond, func(*running) {}},
	} {
		t.Run(name, func(t *testing.T) {
			host, caller := newSIPSocket(t), newSIPSocket(t)
			cfg := settings(t, host.addr())
			cfg.Failover.FirstResponse = 50 * time.Millisecond
			cfg.DrainTimeout = c.timeout
			r := start(t, cfg)
			caller.send(r.udp.Addrs()[0], "INVITE", "+15550000001")
			caller.expect("SIP/2.0 503 ")
			require.Equal(t, 1, r.router.Live())
			began := time.Now()
			r.stop()
			c.end(r)
			require.NoError(t, r.ended(t))
			require.Less(t, time.Since(began), drainLinger)
		})
	}
}

func TestNodeEndsAtOnce(t *testing.T) {
	host, caller := newSIPSocket(t), newSIPSocket(t)
	r := start(t, settings(t, host.addr()))
	caller.send(r.udp.Addrs()[0], "INVITE", "+15550000001")
	host.expect("INVITE ")
	r.stop()
	r.kill()
	require.NoError(t, r.ended(t))
	require.Contains(t, r.log.String(), "ending with calls in set-up")
}

// The branches that sipgo makes are those that the router takes for a probe's,
// and no branch of a call is.
func TestNodeTellsProbesFromCalls(t *testing.T) {
	require.True(t, strings.HasPrefix(sip.GenerateBranch(), probe.BranchPrefix))

	host := netip.MustParseAddrPort("192.0.2.1:5060")
	var answered, failed []string
	listener := router.Listener{Addr: netip.MustParseAddrPort("198.51.100.1:5060")}
	r, err := router.New(router.Options{
		Listeners: []router.Listener{listener},
		Secrets:   [][]byte{newSecret()},
		Health:    health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()}),
		Log:       quiet,
		Now:       1,
		Probe: func(_ int, data []byte, _ netip.AddrPort) bool {
			answered = append(answered, string(data))
			return true
		},
		ProbeFailed: func(_ netip.AddrPort, branch []byte) bool {
			failed = append(failed, string(branch))
			return true
		},
	}, policyOf(settings(t, host)))
	require.NoError(t, err)

	sipgos := sip.GenerateBranch()
	for _, branch := range []string{sipgos, probe.BranchPrefix + "1", strings.ReplaceAll(sipgos, ".", ""), "z9hG4bK-1"} {
		via := fmt.Sprintf("Via: SIP/2.0/UDP %v;branch=%s;rport\r\n", listener.Addr, branch)
		rest := "From: <sip:tandem@198.51.100.1>;tag=1\r\nTo: <sip:192.0.2.1>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
		response := "SIP/2.0 200 OK\r\n" + via + rest
		var out transport.Batch
		answered, failed = nil, nil
		r.Packets(2, []transport.Packet{{Data: []byte(response), Source: host}}, &out)
		r.Unreachable(2, transport.Unreachable{Dest: host, Code: transport.NoPort, Quote: []byte("OPTIONS sip:192.0.2.1 SIP/2.0\r\n" + via + rest)}, &out)
		if strings.HasPrefix(branch, probe.BranchPrefix) {
			require.Equal(t, []string{response}, answered)
			require.Equal(t, []string{branch}, failed)
		} else {
			require.Empty(t, answered, branch)
			require.Empty(t, failed, branch)
		}
	}
}

func TestNodeLeavesDisabledHostsAlone(t *testing.T) {
	cfg := settings(t, newSIPSocket(t).addr())
	cfg.Catalog.Connectors[0].Hosts[0].State = catalog.Disabled
	r := start(t, cfg)
	require.Empty(t, targets(r.router.Hosts()))
}

func TestNodeNeedsItsAddresses(t *testing.T) {
	first := start(t, settings(t, newSIPSocket(t).addr()))

	cfg := settings(t, newSIPSocket(t).addr())
	cfg.Listen[0].Addr = first.udp.Addrs()[0]
	_, err := newNode(cfg, quiet)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, first.udp.Addrs()[0].String())

	cfg = settings(t, newSIPSocket(t).addr())
	cfg.Metrics = first.admin.MetricsAddr()
	_, err = newNode(cfg, quiet)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, cfg.Metrics)
	require.ErrorContains(t, err, "metrics")
}

func TestNodeWithoutAStateDirIsLoud(t *testing.T) {
	cfg := settings(t, newSIPSocket(t).addr())
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	cfg.StateDir = filepath.Join(file, "state")
	log := &logText{}
	secrets, persistent, err := secretsOf(cfg, log.logger())
	require.NoError(t, err)
	require.Len(t, secrets, 1)
	require.False(t, persistent)
	require.Contains(t, log.String(), `"level":"ERROR"`)
	require.Contains(t, log.String(), cfg.StateDir)

	cfg.Secrets = [][]byte{newSecret(), newSecret()}
	secrets, persistent, err = secretsOf(cfg, quiet)
	require.NoError(t, err)
	require.Equal(t, cfg.Secrets, secrets)
	require.True(t, persistent)
}

func TestNodeWithACorruptSecretDoesNotStart(t *testing.T) {
	cfg := settings(t, newSIPSocket(t).addr())
	require.NoError(t, os.WriteFile(filepath.Join(cfg.StateDir, "secret"), []byte("nothing"), 0o600))
	_, err := newNode(cfg, quiet)
	require.ErrorIs(t, err, errSecret)
}

func TestSignals(t *testing.T) {
	signals, done := make(chan os.Signal), make(chan struct{})
	reload, drain, end := make(chan string, 3), make(chan string, 1), make(chan string, 1)
	log := &logText{}
	go func() {
		defer close(end)
		hear(signals, done, log.logger(), func(why string) { reload <- why }, func() { drain <- "drain" }, func() { end <- "end" })
	}()
	signals <- syscall.SIGHUP
	signals <- syscall.SIGHUP
	require.Equal(t, []string{"SIGHUP", "SIGHUP"}, []string{<-reload, <-reload})
	require.Empty(t, drain, "SIGHUP does not end a node")
	signals <- syscall.SIGTERM
	require.Equal(t, "drain", <-drain)
	signals <- syscall.SIGHUP
	require.Empty(t, end)
	signals <- syscall.SIGINT
	require.Equal(t, "end", <-end)
	close(done)
	<-end
	require.Contains(t, log.String(), "second signal: ending at once")
}

func TestFlipsAreLoggedOnceEach(t *testing.T) {
	f, log := newFlips(), &logText{}
	key := health.Key{URI: "sip:10.0.0.1", Addr: netip.MustParseAddrPort("10.0.0.1:5060"), Listener: "10.0.0.9:5060"}
	for range flipRoom + 3 {
		f.offerHost(health.Flip{Key: key, To: health.Down, Reason: health.Reason{Event: health.ProbeFailed}})
	}
	ended, end := context.WithCancel(context.Background())
	end()
	events := admin.NewEvents(transport.Now)
	f.run(ended, log.logger(), events, func(of health.Key) []router.HostInfo {
		require.Equal(t, key, of)
		return []router.HostInfo{{Connector: "east", Region: "here", URI: key.URI, Key: key}}
	})
	require.Equal(t, flipRoom, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(), `"level":"WARN","msg":"host is down","host":"sip:10.0.0.1","from":"up","to":"down","reason":"no answer to OPTIONS"`)
	require.Contains(t, log.String(), `"connector":"east","region":"here"`)
	require.Equal(t, 1, strings.Count(log.String(), `"not_shown":3`))
}
