// Package stream carries SIP over TCP and TLS. It knows no more SIP than where a
// message ends (RFC 3261 18.3) and whether it is a response.
//
//	certs, err := stream.LoadCertificates(stream.KeyPair{Certificate: "cert.pem", Key: "key.pem"})
//	…
//	streams, err := stream.Listen(stream.Config{
//		Listeners: []stream.Listener{
//			{Index: 1, Addr: addr},                                           // TCP
//			{Index: 2, Addr: tlsAddr, TLS: &stream.ServerTLS{Certificates: certs}}, // TLS
//		},
//		Dial: func(listener int, dest netip.AddrPort) *stream.ClientTLS { … }, // who is at dest
//	})
//	…
//	err = streams.Serve(router, flush) // until streams.Close
//
// # Wiring
//
// A core works as beside package transport: what is received comes to its
// Handler, with Packet.Listener the Index of the listener, Packet.Source the
// address of the connection's other end and Packet.Peer what its certificate
// proves; what the Handler leaves in a transport.Batch is flushed. Indices share
// one numbering with the datagram listeners:
//
//	flush := func(now int64, out *transport.Batch) {
//		streams.Flush(out) // what is for its listeners
//		for i := range out.Len() {
//			if listener, dest, data := out.At(i); !isStream[listener] {
//				datagrams.SendFrom(listener, out.Local(i), dest, append(datagrams.Buf(), data...))
//			}
//		}
//		sender.Flush(now, &datagrams, router)
//		out.Reset()
//	}
//
// The same flush serves timers, and stands in front of the Sender of the
// Handler of datagrams. It is called by many goroutines at once, so the Sender
// and the Batch for datagrams come from a pool. Flush and Send may be called from
// any goroutine and never wait.
//
// A response is sent to the Packet.Source of its request and so goes back on the
// connection. Where that has ended, the core hears of it by Handler.Unreachable,
// with the cause transport.Gone and the whole response in Quote, and sends it to
// the address of the Via (RFC 3261 18.2.2) with Batch.Connect, should it want to.
// What the core writes for a stream must have a Content-Length.
//
// # What it does not do
//
// It does not resolve names, choose a destination or judge who may send, and it
// does not retransmit: a message that the system has taken may be lost with the
// connection, without a report. Close drops what waits.
package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"tandem/router/transport"
)

// Listener is an address that connections are accepted on, and that those that
// we open leave from.
type Listener struct {
	Index int            // Packet.Listener; each has its own
	Addr  netip.AddrPort // port 0 lets the system choose
	TLS   *ServerTLS     // nil: TCP
}

// Config is what Listen opens. Only Listeners is required.
type Config struct {
	Listeners []Listener
	// Dial says who is at dest, when a TLS listener has to open a connection
	// there, or has one: where Dial returns another ClientTLS than before, requests
	// go on a new connection. Without it, or where it returns nil, that listener
	// opens none, but by Stranger: there would be nobody to verify. It is called by
	// Send for each request over TLS and must not wait.
	Dial func(listener int, dest netip.AddrPort) *ClientTLS
	// Known says whether dest is one that we were told of by who runs us: others
	// are strangers (Limits.Strangers). Without it all are known. It must not wait.
	Known func(listener int, dest netip.AddrPort) bool
	// Stranger says how a TLS listener has a stranger prove that he is called name,
	// which Connect was given: nil is not at all, and no connection is opened. It
	// must not wait or keep name.
	Stranger func(listener int, name []byte) *ClientTLS
	Limits   Limits
	// Awake has Go's scheduler kept awake while messages come closely, for a
	// process with more Ps (GOMAXPROCS) than are used at once: see transport.Awake.
	Awake bool
	Log   *slog.Logger // nil: nothing is logged
	Now   func() int64 // nil: transport.Now
}

// Streams accepts, opens and serves connections.
type Streams struct {
	config    Config
	limits    Limits
	log       *failureLog
	now       func() int64
	listeners []*listener
	handler   transport.Handler                     // from Serve on
	flush     func(now int64, out *transport.Batch) // from Serve on
	batches   sync.Pool                             // *batch
	joins     sync.Pool                             // *[]byte
	flushes   sync.Pool                             // *flushing
	holding   atomic.Int64                          // bytes of Limits.Memory in use
	awake     transport.Awake
	stop      chan struct{}  // closed by Close
	wg        sync.WaitGroup // all goroutines; added to while one runs, or under mu
	reports   reports

	mu        sync.RWMutex
	served    bool
	closed    bool
	all       map[*conn]struct{}
	names     map[name]*conn
	sources   map[netip.Addr]*source // of accepted connections, by sourceOf
	accepted  int
	dialled   int
	dialling  int
	strangers strangers
}

// listener is a Listener that is bound.
type listener struct {
	Listener
	bound  netip.AddrPort
	tcp    *net.TCPListener
	config *tls.Config // nil: TCP
	counters
}

// name is what a connection is found by.
type name struct {
	listener *listener
	addr     netip.AddrPort
	by       relation
	who      *ClientTLS // that has to be there: of a TLS connection that we opened
}

// relation is what an address is to a connection. That of one may be another's
// in another way, and they are not the same to TLS.
type relation uint8

const (
	accepted relation = iota // it came from there
	dialled                  // we opened it to there
	aliased                  // it asks for requests to there
)

// Listen binds the addresses. Connections wait in the system until Serve. It
// fails if another process holds one of the addresses.
func Listen(cfg Config) (*Streams, error) {
	s := &Streams{
		config:  cfg,
		limits:  cfg.Limits.withDefaults(),
		now:     cfg.Now,
		stop:    make(chan struct{}),
		all:     make(map[*conn]struct{}),
		names:   make(map[name]*conn),
		sources: make(map[netip.Addr]*source),
	}
	if s.now == nil {
		s.now = transport.Now
	}
	s.strangers.init(s.limits.StrangersRate)
	s.log = newFailureLog(cfg.Log, s.now)
	s.batches.New = func() any { return new(batch) }
	s.joins.New = func() any { return new([]byte) }
	s.flushes.New = func() any { return new(flushing) }
	s.reports.wake = make(chan struct{}, 1)
	if len(cfg.Listeners) == 0 {
		return nil, errors.New("stream: no address to listen on")
	}
	for _, asked := range cfg.Listeners {
		l, err := bind(asked)
		if err == nil && s.listener(asked.Index) != nil {
			err = fmt.Errorf("%s: index %d is another listener's", l.what(), asked.Index)
			_ = l.tcp.Close()
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

func bind(asked Listener) (*listener, error) {
	l := &listener{Listener: asked}
	if !asked.Addr.IsValid() {
		return nil, fmt.Errorf("%s: not an address to listen on", l.what())
	}
	if asked.TLS != nil && asked.TLS.Certificates == nil {
		return nil, fmt.Errorf("%s: no certificate", l.what())
	}
	l.Addr = unmap(asked.Addr)
	network := "tcp6" // and nothing of IPv4, also on a wildcard
	if l.Addr.Addr().Is4() {
		network = "tcp4"
	}
	lc := net.ListenConfig{Control: tuning(false), KeepAlive: -1} // tuning does it
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), network, l.Addr.String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another process: %w", l.what(), err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", l.what(), err)
	}
	if asked.TLS != nil {
		l.config = asked.TLS.config()
	}
	l.tcp = ln.(*net.TCPListener)
	l.bound = unmap(l.tcp.Addr().(*net.TCPAddr).AddrPort())
	return l, nil
}

// what names l as a config does.
func (l *listener) what() string {
	if l.TLS != nil {
		return "tls " + l.Addr.String()
	}
	return "tcp " + l.Addr.String()
}

// wildcard says whether l has all addresses of the machine.
func (l *listener) wildcard() bool { return l.bound.Addr().IsUnspecified() }

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// listener finds a listener by its index; nil if there is none.
func (s *Streams) listener(index int) *listener {
	for _, l := range s.listeners { // a handful
		if l.Index == index {
			return l
		}
	}
	return nil
}

// Addrs returns the bound addresses, in the order of Config.Listeners.
func (s *Streams) Addrs() (all []netip.AddrPort) {
	for _, l := range s.listeners {
		all = append(all, l.bound)
	}
	return all
}

// Serve hands what is received to h until Close, then returns nil. Messages of
// one connection are handled in their order, those that are there at once in one
// call; what h leaves is given to flush, which sends and resets it, and is called
// from many goroutines at once. All goroutines have ended, and the addresses are
// free, when Serve returns. It is called once.
func (s *Streams) Serve(h transport.Handler, flush func(now int64, out *transport.Batch)) error {
	s.mu.Lock()
	switch {
	case s.served:
		s.mu.Unlock()
		return errors.New("stream: served already")
	case s.closed:
		s.mu.Unlock()
		return nil
	}
	s.handler, s.flush, s.served = h, flush, true
	s.wg.Add(2 + len(s.listeners))
	s.mu.Unlock()
	go s.watch()
	go s.report()
	for _, l := range s.listeners {
		go s.accept(l)
	}
	s.wg.Wait()
	return nil
}

// Close ends Serve and all connections, without waiting for it.
func (s *Streams) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.stop)
	var all []*conn
	for c := range s.all {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, l := range s.listeners {
		_ = l.tcp.Close()
	}
	for _, c := range all {
		c.fail(Closed, nil)
	}
}

// Stats returns the figures of each listener.
func (s *Streams) Stats() (all []Stats) {
	for _, l := range s.listeners {
		all = append(all, l.stats(l.Index))
	}
	return all
}

// count counts a message that the system has taken.
func (l *listener) count(data []byte, own bool) {
	if !own {
		l.sent.Add(1)
		l.bytesOut.Add(uint64(len(data)))
	}
}

// ended counts and logs the end of a connection.
func (s *Streams) ended(l *listener, remote netip.AddrPort, dialled bool, why End, err error) {
	l.ended[why].Add(1)
	if !why.ordinary() {
		s.log.failed(l, remote, dialled, why, err)
	}
}
