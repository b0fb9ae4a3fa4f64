// Package load places calls through a SIP proxy and answers them: caller and
// connector in one process, over UDP, TCP or TLS, and IPv4.
//
//	g, err := load.New(load.Config{Proxy: proxy, From: caller, Connectors: []netip.AddrPort{connector}, Number: number})
//	defer g.Close()
//	before := g.Window("before")
//	err = g.Run(ctx, 500, 10000)
//	fmt.Println(before.Report())
//
// One call is INVITE, 100, 180, 200, ACK, BYE, 200. It is an open loop: calls
// begin by the clock, whatever becomes of those before. Times are taken from
// the moment just before the system call that sends, and again from the moment
// that the schedule wanted, so that no stall hides calls that should have begun
// in it; they end at the moment that the kernel received the datagram, so what
// keeps this process waiting is in neither.
//
// Over TCP and TLS callers have a connection each, which stays, to every proxy
// that calls were sent to; connectors take the connections that proxies open.
// There, times end when this process has read the message.
//
// It is no SIP stack. It reads what a good proxy sends, counts everything else,
// and sends nothing again unless it is told to. It knows no CANCEL, no re-INVITE
// and no names in routes.
package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"tandem/bench/mmsg"
)

// Config is what calls look like. Proxy, From and Number are needed.
type Config struct {
	Proxy      netip.AddrPort        // where INVITEs go
	From       netip.AddrPort        // of the first caller; with port 0 the kernel chooses
	Sources    int                   // callers take turns, a port each from From's on, or a connection each; 0 is 1
	Connectors []netip.AddrPort      // answer here; with none somebody else does
	Number     func(call int) []byte // the number that a call goes to, as its INVITE is made; calls count from 0
	Timeout    time.Duration         // a call has failed when an answer takes so long, to INVITE or BYE; 0 is 32 s
	Retransmit bool                  // INVITE and BYE by timers A and E of RFC 3261 17.1; answers are not sent again

	Transport string      // UDP, TCP or TLS; "" is UDP
	Client    *tls.Config // over TLS: callers'
	Server    *tls.Config // and connectors'

	NoRinging bool          // connectors send no 180
	Ringing   time.Duration // from 180 to the final answer
	Status    int           // the final answer; 0 is 200

	// Reached is told the connector that a call's first INVITE came to. It must
	// not call the generator; neither must Number. The two never run at once.
	Reached func(call, connector int)
}

const (
	timeout = 32 * time.Second // 64 * T1, RFC 3261 17.1.1.2
	t1      = 500 * time.Millisecond
	t2      = 4 * time.Second
)

// What calls go over.
const (
	UDP = "udp"
	TCP = "tcp"
	TLS = "tls"
)

// Generator places calls and answers them.
type Generator struct {
	cfg        Config
	proxy      address
	listeners  listeners // of connectors, over TCP and TLS
	run        string    // in every Call-ID, branch and tag
	sources    []*source
	connectors []*connector
	loop       *loop
	ended      chan struct{} // closed when the loop has
	msg        message       // these two are the loop's
	identity   [idLength]byte

	// mu is held for a batch of messages at a time, never during a system call
	// that sends or receives.
	mu        sync.Mutex
	calls     calls
	windows   []*Window // the last one takes new calls
	forgotten int       // windows that came before these
	routes    map[string]address
	kept      map[int]kept // to be retransmitted, by call
	repeats   [2][10][]repeat
	tended    int64 // when calls that wait were looked at
	err       error // that ended the loop
}

// New opens all sockets. Connectors answer from now on.
func New(cfg Config) (*Generator, error) {
	if cfg.Number == nil || !cfg.Proxy.Addr().Is4() || !cfg.From.Addr().Is4() {
		return nil, errors.New("load: Number, and Proxy and From of IPv4, are needed")
	}
	switch {
	case cfg.Transport == "":
		cfg.Transport = UDP
	case cfg.Transport != UDP && (cfg.Transport != TCP && cfg.Transport != TLS || cfg.Retransmit):
		return nil, fmt.Errorf("load: transport %q: there is udp, tcp and tls, and nothing is sent again over the last two", cfg.Transport)
	case cfg.Transport == TLS && (cfg.Client == nil || cfg.Server == nil):
		return nil, errors.New("load: Client and Server are needed over TLS")
	}
	if cfg.Sources == 0 {
		cfg.Sources = 1
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = timeout
	}
	if cfg.Status == 0 {
		cfg.Status = 200
	}
	g := &Generator{
		cfg: cfg, proxy: mmsg.Address(cfg.Proxy), run: fmt.Sprintf("%08x", rand.Uint32()),
		ended: make(chan struct{}), routes: make(map[string]address), kept: make(map[int]kept),
	}
	err := g.open()
	if err == nil {
		g.loop, err = newLoop(g)
	}
	if err != nil {
		g.closeSockets()
		return nil, err
	}
	g.Window("")
	go func() {
		g.loop.run()
		close(g.ended)
	}()
	g.listeners.serve(g)
	return g, nil
}

func (g *Generator) open() error {
	if g.cfg.Transport != UDP {
		return g.openStreams()
	}
	for i := range g.cfg.Sources {
		addr := g.cfg.From
		if addr.Port() != 0 {
			addr = netip.AddrPortFrom(addr.Addr(), addr.Port()+uint16(i))
		}
		sock, err := listen(addr)
		if err != nil {
			return fmt.Errorf("caller: %w", err)
		}
		g.sources = append(g.sources, newSource(g, sock))
	}
	for i, addr := range g.cfg.Connectors {
		sock, err := listen(addr)
		if err != nil {
			return fmt.Errorf("connector: %w", err)
		}
		g.connectors = append(g.connectors, newConnector(g, sock, sock.addr, i))
	}
	return nil
}

// Connector is the address of a connector, with the port that it got.
func (g *Generator) Connector(i int) netip.AddrPort { return g.connectors[i].addr }

// Aim sends calls to another proxy from now on. There must be no Run. It is an
// error when there is no connection to that proxy.
func (g *Generator) Aim(proxy netip.AddrPort) error {
	if g.cfg.Transport != UDP {
		return g.connect(proxy)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proxy = mmsg.Address(proxy)
	for _, s := range g.sources {
		s.text = newCallerText(UDP, s.sock.addr, proxy)
	}
	return nil
}

// Close ends it. Run has to have returned.
func (g *Generator) Close() {
	g.listeners.close()
	g.mu.Lock()
	g.loop.closing = true
	g.mu.Unlock()
	g.loop.ring()
	<-g.ended
	g.loop.close()
	g.closeSockets()
}

func (g *Generator) closeSockets() {
	if g.cfg.Transport != UDP {
		g.listeners.close()
		return
	}
	for _, s := range g.sources {
		s.sock.close()
	}
	for _, k := range g.connectors {
		k.sock.close()
	}
}

// drops is how many datagrams the kernel had no room for in our own sockets.
func (g *Generator) drops() int {
	if g.cfg.Transport != UDP {
		return 0
	}
	sum := 0
	for _, s := range g.sources {
		sum += s.sock.drops()
	}
	for _, k := range g.connectors {
		sum += k.sock.drops()
	}
	return sum
}
