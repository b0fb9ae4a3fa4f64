package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	tandemIP   = "127.88.0.1"
	kamailioIP = "127.88.0.2"
	callerIP   = "127.88.0.3"
	firstIP    = "127.88.0.11"
	secondIP   = "127.88.0.12"
	firstNum   = 15550010000 // +15550010000 and so on
)

// process is something the runner has started.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	log    string
}

// start runs a command in a process group of its own, on one CPU if pinned.
func start(s settings, cpu int, dir, name string, args ...string) (*process, error) {
	p := &process{exited: make(chan struct{}), log: filepath.Join(s.Work, fmt.Sprintf("%s-%d.log", filepath.Base(name), time.Now().UnixNano()))}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	if s.Pinned {
		name, args = "taskset", append([]string{"-c", strconv.Itoa(cpu), name}, args...)
	}
	p.cmd = exec.Command(name, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append(os.Environ(), "TERM=dumb")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// pid is that of the command itself: taskset, where there is one, becomes it.
func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.pid(), sig) }

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop asks twice, as SIPp wants it, then insists.
func (p *process) stop() {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGKILL} {
		if !p.running() {
			return
		}
		p.signal(sig)
		select {
		case <-p.exited:
			return
		case <-time.After(time.Second):
		}
	}
	<-p.exited
}

// proxy is one of the two that are compared.
type proxy struct {
	*process
	name string
	addr string
}

// startProxies starts both; they stay for the whole session, so that neither
// pays for its start.
func startProxies(ctx context.Context, s settings) (proxies []*proxy, err error) {
	defer func() {
		if err != nil {
			for _, p := range proxies {
				p.stop()
			}
		}
	}()
	type starter struct {
		name  string
		start func(context.Context, settings) (*proxy, error)
	}
	peer := starter{"kamailio", startKamailio}
	if s.Variant != "" {
		peer = starter{"variant", startVariant}
	}
	for _, one := range []starter{{"tandem", startTandem}, peer} {
		if s.Only != "" && s.Only != one.name {
			continue
		}
		p, err := one.start(ctx, s)
		if err != nil {
			return proxies, fmt.Errorf("%s: %w", one.name, err)
		}
		proxies = append(proxies, p)
	}
	if len(proxies) == 0 {
		return nil, fmt.Errorf("-only %s: there is tandem and kamailio", s.Only)
	}
	for _, p := range proxies {
		if err := answers(ctx, p); err != nil {
			text, _ := os.ReadFile(p.log)
			return proxies, fmt.Errorf("%s: %w\n%s", p.name, err, text)
		}
	}
	return proxies, nil
}

func startTandem(_ context.Context, s settings) (*proxy, error) {
	return startNode(s, "tandem", tandemIP, "")
}

// startVariant starts a second tandem where Kamailio would be.
func startVariant(_ context.Context, s settings) (*proxy, error) {
	return startNode(s, "variant", kamailioIP, s.Variant)
}

// startNode starts a tandem at ip, with more in its config.
func startNode(s settings, name, ip, more string) (*proxy, error) {
	dir := filepath.Join(s.Work, name)
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "tandem"), "./cmd/tandem")
	build.Dir = filepath.Dir(s.Bench)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	numbers := make([]string, s.Numbers)
	for i := range numbers {
		numbers[i] = fmt.Sprintf("%q", fmt.Sprintf("+%d", firstNum+i))
	}
	config := fmt.Sprintf(`listen: [udp://%s:5060]
admin: {listen: %s:8080}
state_dir: %s/state
trunks: [{name: load, sources: [127.0.0.0/8]}]
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:%s:5060"}]}
  - {name: second, region: west, hosts: [{uri: "sip:%s:5060"}]}
groups:
  - name: load
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: [%s]
`, ip, ip, dir, firstIP, secondIP, strings.Join(numbers, ", "))
	if s.Workers > 0 {
		config += fmt.Sprintf("workers: %d\n", s.Workers)
	}
	config += more + "\n"
	path := filepath.Join(dir, "tandem.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := start(s, s.ProxyCPU, dir, filepath.Join(dir, "tandem"), "serve", "--config", path)
	if err != nil {
		return nil, err
	}
	return &proxy{process: p, name: name, addr: ip + ":5060"}, nil
}

func startKamailio(_ context.Context, s settings) (*proxy, error) {
	dir := filepath.Join(s.Work, "kamailio")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	modules, err := filepath.Glob("/usr/lib/*/kamailio/modules")
	if err != nil || len(modules) == 0 {
		return nil, fmt.Errorf("no modules in /usr/lib/*/kamailio/modules")
	}
	template, err := os.ReadFile(filepath.Join(s.Bench, "kamailio", "kamailio.cfg"))
	if err != nil {
		return nil, err
	}
	var numbers strings.Builder
	numbers.WriteString("id(int,auto) key_name(string) key_type(int) value_type(int) key_value(string) expires(int)\n")
	for i := range s.Numbers {
		fmt.Fprintf(&numbers, "%d:+%d:0:1:1:0\n", i+1, firstNum+i)
	}
	forward := map[string]string{"stateless": "forward", "tm": "t_relay"}[s.Dialogs]
	for name, content := range map[string]string{
		"kamailio.cfg": strings.NewReplacer(
			"BENCH_CHILDREN", strconv.Itoa(s.Children), "BENCH_LISTEN", kamailioIP+":5060",
			"BENCH_MODULES", modules[0]+"/", "BENCH_FORWARD", forward, "BENCH_DIR", dir).Replace(string(template)),
		"dispatcher.list": fmt.Sprintf("1 sip:%s:5060 0 20\n1 sip:%s:5060 0 10\n", firstIP, secondIP),
		"numbers":         numbers.String(),
		"version":         "table_name(string) table_version(int)\nnumbers:2\nhtable:2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	p, err := start(s, s.ProxyCPU, dir, "kamailio", kamailioFlags(filepath.Join(dir, "kamailio.cfg"))...)
	if err != nil {
		return nil, err
	}
	return &proxy{process: p, name: "kamailio", addr: kamailioIP + ":5060"}, nil
}

// kamailioFlags: foreground, the fast allocator for both kinds of memory.
func kamailioFlags(config string) []string {
	return []string{"-f", config, "-DD", "-E", "-x", "fm", "-X", "fm", "-m", "1024", "-M", "32"}
}

// answers waits until a proxy answers OPTIONS.
func answers(ctx context.Context, p *proxy) error {
	conn, err := net.Dial("udp", p.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for try := range 50 {
		if !p.running() {
			return fmt.Errorf("has ended")
		}
		_, _ = fmt.Fprintf(conn, "OPTIONS sip:%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bKready%[3]d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:ready@%[2]s>;tag=1\r\nTo: <sip:%[1]s>\r\nCall-ID: ready-%[3]d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
			p.addr, conn.LocalAddr(), try)
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		buf := make([]byte, 2048)
		if n, err := conn.Read(buf); err == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 200") {
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("does not answer OPTIONS at %s", p.addr)
}
