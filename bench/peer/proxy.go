// Package peer starts the proxies that are compared and measures what they
// cost: tandem, Kamailio, a proxy made with sipgo, and the floor, which is what
// the kernel alone asks for the same datagrams. It places no calls.
//
// All are for loopback addresses 127.88.0.x, a proxy each, and all route to the
// same two connectors, of which the second stands by.
package peer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// First is the first of the numbers that proxies route: +15550010000 and so on.
const First = 15550010000

// Connectors are where all proxies route calls to, the first one first.
var Connectors = [2]netip.AddrPort{sip("127.88.0.11"), sip("127.88.0.12")}

func sip(ip string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(ip), 5060) }

// Settings are what proxies are started with.
type Settings struct {
	Bench   string // the directory of this module
	Work    string // for configs, binaries and logs
	CPU     int    // that all are pinned to; below 0: to none
	Numbers int    // how many are routed
	Dialogs string // how Kamailio forwards ACK and BYE: "stateless", as tandem does, or "tm"
	Workers int    // tandem's; 0 is its default
	Variant string // what the config of the variant has more than tandem's
}

// Proxy is one that runs.
type Proxy struct {
	*Process
	Name string
	Addr netip.AddrPort
}

// kind is a proxy that there is.
type kind struct {
	name  string
	addr  netip.AddrPort
	about string // how it stands in a report
	start func(Settings, kind) (*Process, error)
}

func kinds() []kind {
	return []kind{
		{"tandem", sip("127.88.0.1"), "tandem", startTandem},
		{"variant", sip("127.88.0.4"), "a second tandem, with more in its config", startVariant},
		{"kamailio-1", sip("127.88.0.2"), "Kamailio with one child", startKamailio(1)},
		{"kamailio-2", sip("127.88.0.5"), "Kamailio with two children", startKamailio(2)},
		{"sipgo", sip("127.88.0.6"), "a plain proxy made with sipgo", startSipgo},
		{"floor", sip("127.88.0.7"), "the kernel floor, a system call a datagram", startFloor()},
		{"floor-batch", sip("127.88.0.8"), "the kernel floor, batched", startFloor("-batch")},
	}
}

// Names are those of all proxies that there are, in the order of reports.
func Names() (all []string) {
	for _, k := range kinds() {
		all = append(all, k.name)
	}
	return all
}

// About says in words what a name stands for.
func About(name string) string {
	for _, k := range kinds() {
		if k.name == name {
			return k.about
		}
	}
	return name
}

// Needs are the programs that a proxy of that name needs, and the Debian
// packages they are in.
func Needs(name string) map[string]string {
	if strings.HasPrefix(name, "kamailio") {
		return map[string]string{"kamailio": "kamailio", "taskset": "util-linux"}
	}
	return map[string]string{"taskset": "util-linux"}
}

// StartProxy starts one by its name and waits until it answers.
func StartProxy(ctx context.Context, s Settings, name string) (*Proxy, error) {
	for _, k := range kinds() {
		if k.name != name {
			continue
		}
		process, err := k.start(s, k)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p := &Proxy{process, name, k.addr}
		if err := p.answers(ctx); err != nil {
			p.Stop()
			return nil, fmt.Errorf("%s: %w\n%s", name, err, p.Log())
		}
		return p, nil
	}
	return nil, fmt.Errorf("there is no proxy %q, but %s", name, strings.Join(Names(), ", "))
}

// answers waits until a proxy answers OPTIONS.
func (p *Proxy) answers(ctx context.Context) error {
	conn, err := net.Dial("udp", p.Addr.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for try := range 50 {
		if !p.Running() {
			return fmt.Errorf("has ended")
		}
		_, _ = fmt.Fprintf(conn, "OPTIONS sip:%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bKready%[3]d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:ready@%[2]s>;tag=1\r\nTo: <sip:%[1]s>\r\nCall-ID: ready-%[3]d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
			p.Addr, conn.LocalAddr(), try)
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		buf := make([]byte, 2048)
		if n, err := conn.Read(buf); err == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 200") {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond): // a refused port answers at once
		}
	}
	return fmt.Errorf("does not answer OPTIONS at %s", p.Addr)
}

// directory makes one for a proxy's files.
func (s Settings) directory(name string) (string, error) {
	dir := filepath.Join(s.Work, name)
	return dir, os.MkdirAll(dir, 0o700)
}

// build builds a program of the module in dir and returns its path.
func (s Settings) build(dir, program string) (string, error) {
	path := filepath.Join(s.Work, filepath.Base(program)+".bin")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, program)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}
