// Package peer starts the proxies that are compared and measures what they
// cost: tandem, Kamailio, a proxy made with sipgo, and the floor, which is what
// the kernel alone asks for the same datagrams. It places no calls.
//
// All are for loopback addresses 127.88.0.x, a proxy each, and all route to the
// same two connectors, of which the second stands by.
package peer

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tandem/bench/cert"
	"tandem/bench/load"
)

// First is the first of the numbers that proxies route: +15550010000 and so on.
const First = 15550010000

// Connectors are where all proxies route calls to over UDP and TCP, the first one
// first.
var Connectors = [2]netip.AddrPort{sip("127.88.0.11"), sip("127.88.0.12")}

func sip(ip string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(ip), 5060) }

// ConnectorsOver are where they are over a transport: TLS has a port of its own.
func ConnectorsOver(transport string) []netip.AddrPort {
	all := Connectors
	for i := range all {
		all[i] = over(all[i], transport)
	}
	return all[:]
}

func over(addr netip.AddrPort, transport string) netip.AddrPort {
	if transport == load.TLS {
		return netip.AddrPortFrom(addr.Addr(), addr.Port()+1)
	}
	return addr
}

// Certify makes the certificate that all proxies and connectors have, in the
// directory for work.
func (s Settings) Certify() (cert.Files, error) {
	var addrs []netip.Addr
	for _, k := range kinds() {
		addrs = append(addrs, k.addr.Addr())
	}
	for _, c := range Connectors {
		addrs = append(addrs, c.Addr())
	}
	return cert.Make(s.Work, addrs...)
}

// uri is a SIP URI of an address.
func uri(addr netip.AddrPort, transport string) string {
	if transport == load.UDP {
		return "sip:" + addr.String()
	}
	return fmt.Sprintf("sip:%s;transport=%s", addr, transport)
}

// Settings are what proxies are started with.
type Settings struct {
	Bench   string // the directory of this module
	Work    string // for configs, binaries and logs; over TLS, where Certify made the certificate
	CPU     int    // that all are pinned to; below 0: to none
	Numbers int    // how many are routed
	Dialogs string // how Kamailio forwards ACK and BYE: "stateless", as tandem does, or "tm"
	Workers int    // tandem's; 0 is its default
	Variant string // what the config of the variant has more than tandem's
}

// Proxy is one that runs.
type Proxy struct {
	*Process
	Name      string
	Addr      netip.AddrPort
	Transport string
}

// kind is a proxy that there is.
type kind struct {
	name      string
	addr      netip.AddrPort
	about     string // how it stands in a report
	start     func(Settings, kind) (*Process, error)
	transport string // on both sides
}

func kinds() []kind {
	all := []kind{
		{"tandem", sip("127.88.0.1"), "tandem", startTandem, load.UDP},
		{"variant", sip("127.88.0.4"), "a second tandem, with more in its config", startVariant, load.UDP},
		{"kamailio-1", sip("127.88.0.2"), "Kamailio with one child", startKamailio(1), load.UDP},
		{"kamailio-2", sip("127.88.0.5"), "Kamailio with two children", startKamailio(2), load.UDP},
		{"sipgo", sip("127.88.0.6"), "a plain proxy made with sipgo", startSipgo, load.UDP},
		{"floor", sip("127.88.0.7"), "the kernel floor, a system call a datagram", startFloor(), load.UDP},
		{"floor-batch", sip("127.88.0.8"), "the kernel floor, batched", startFloor("-batch"), load.UDP},
	}
	for i, transport := range []string{load.TCP, load.TLS} {
		for j, base := range []kind{all[0], all[2], all[3]} {
			addr := over(sip(fmt.Sprintf("127.88.0.%d", 21+10*i+j)), transport)
			all = append(all, kind{Over(base.name, transport), addr, base.about + " over " + strings.ToUpper(transport), base.start, transport})
		}
	}
	return all
}

// Names are those of all proxies over UDP that there are, in the order of reports.
func Names() (all []string) {
	for _, k := range kinds() {
		if k.transport == load.UDP {
			all = append(all, k.name)
		}
	}
	return all
}

// Over is the name of a proxy that has calls come and leave over a transport.
func Over(name, transport string) string {
	if transport == load.UDP {
		return name
	}
	return name + "-" + transport
}

// Transported are the names of proxies that there are over every transport.
func Transported() (all []string) {
	for _, k := range kinds() {
		if name, tcp := strings.CutSuffix(k.name, "-"+load.TCP); tcp {
			all = append(all, name)
		}
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
	if strings.HasPrefix(name, "kamailio") && strings.HasSuffix(name, load.TLS) {
		return map[string]string{"kamailio": "kamailio kamailio-tls-modules", "taskset": "util-linux"}
	}
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
		p := &Proxy{process, name, k.addr, k.transport}
		if err := p.answers(ctx, s); err != nil {
			p.Stop()
			return nil, fmt.Errorf("%s: %w\n%s", name, err, p.Log())
		}
		return p, nil
	}
	return nil, fmt.Errorf("there is no proxy %q, but %s, and over tcp and tls %s", name, strings.Join(Names(), ", "), strings.Join(Transported(), ", "))
}

// answers waits until a proxy answers OPTIONS.
func (p *Proxy) answers(ctx context.Context, s Settings) error {
	client := &tls.Config{}
	if p.Transport == load.TLS {
		var err error
		if client, _, err = cert.In(s.Work).Configs(); err != nil {
			return err
		}
		client.ServerName = p.Addr.Addr().String()
	}
	for try := range 50 {
		if !p.Running() {
			return fmt.Errorf("has ended")
		}
		if p.answered(client, try) {
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

// answered says whether an OPTIONS is.
func (p *Proxy) answered(client *tls.Config, try int) bool {
	network := map[string]string{load.UDP: "udp4", load.TCP: "tcp4", load.TLS: "tcp4"}[p.Transport]
	conn, err := net.Dial(network, p.Addr.String())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if p.Transport == load.TLS {
		conn = tls.Client(conn, client)
	}
	_, _ = fmt.Fprintf(conn, "OPTIONS sip:%[1]s SIP/2.0\r\nVia: SIP/2.0/%[4]s %[2]s;branch=z9hG4bKready%[3]d\r\nMax-Forwards: 70\r\n"+
		"From: <sip:ready@%[2]s>;tag=1\r\nTo: <sip:%[1]s>\r\nCall-ID: ready-%[3]d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		p.Addr, conn.LocalAddr(), try, strings.ToUpper(p.Transport))
	buf := make([]byte, 2048)
	n, err := conn.Read(buf)
	return err == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 200")
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
