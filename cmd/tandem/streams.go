package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/router"
	"tandem/router/transport"
	"tandem/router/transport/stream"
)

// streams are the listeners of TCP and TLS. A nil one has none.
type streams struct {
	*stream.Streams
	servers   map[int]*stream.ServerTLS // by listener; read again at each reload
	peers     atomic.Pointer[map[peerAt]knownPeer]
	mu        sync.Mutex // of whoever changes peers
	strangers strangers

	limits config.Streams
	room   uint64 // bytes of memory that limits go by
	log    *slog.Logger
	told   string // what was last said of more hosts than connections; under mu
}

// knownPeer is a host; over TLS it has to prove who it is.
type knownPeer struct {
	says   catalog.PeerTLS
	client *stream.ClientTLS
	roots  *stream.Roots        // nil: the system's
	ours   *stream.Certificates // nil: we show none
}

// peerAt is who a listener may have to connect to.
type peerAt struct {
	listener int
	addr     netip.AddrPort
}

// byTransport has the listeners of UDP before the others: that is the order in
// which they are numbered.
func byTransport(listen []config.Listener) []config.Listener {
	sorted := slices.Clone(listen)
	slices.SortStableFunc(sorted, func(a, b config.Listener) int {
		switch {
		case a.Transport.Reliable() == b.Transport.Reliable():
			return 0
		case b.Transport.Reliable():
			return -1
		}
		return 1
	})
	return sorted
}

// openStreams opens what of listen is no datagram socket.
func openStreams(listen []config.Listener, limits config.Streams, awake bool, log *slog.Logger) (*streams, error) {
	s := &streams{servers: make(map[int]*stream.ServerTLS), limits: limits, room: room(), log: log}
	cfg := stream.Config{Log: log, Awake: awake, Limits: limitsOf(limits, s.room), Dial: s.peer, Known: s.known, Stranger: s.stranger}
	for i, l := range listen {
		if l.Transport == catalog.UDP {
			continue
		}
		sl := stream.Listener{Index: i, Addr: l.Addr}
		if l.Transport == catalog.TLS {
			var err error
			if sl.TLS, err = serverTLS(l.TLS, s.certificates()); err != nil {
				return nil, exitError{exitConfig, fmt.Errorf("listener tls://%s: %w", l.Addr, err)}
			}
			s.servers[i] = sl.TLS
		}
		cfg.Listeners = append(cfg.Listeners, sl)
	}
	if cfg.Listeners == nil {
		return nil, nil
	}
	var err error
	s.Streams, err = stream.Listen(cfg)
	return s, err
}

func serverTLS(l config.ListenerTLS, files certificates) (*stream.ServerTLS, error) {
	ours, err := files.pair(l.Certificate, l.Key)
	if err != nil {
		return nil, err
	}
	roots, err := files.authorities(l.ClientCA)
	if err != nil {
		return nil, err
	}
	return &stream.ServerTLS{Certificates: ours, Clients: stream.Clients(l.Clients), Roots: roots}, nil
}

// serve hands what comes to r; what r leaves goes out by udp, which knows what
// is for here.
func (s *streams) serve(r *router.Router, udp *transport.UDP) error {
	if s == nil {
		return nil
	}
	senders := sync.Pool{New: func() any { return udp.Sender(0) }}
	return s.Serve(r, func(now int64, out *transport.Batch) {
		sender := senders.Get().(*transport.Sender)
		sender.Flush(now, out, r)
		senders.Put(sender)
	})
}

// send sends message i of a batch, which is for a listener of ours. When it
// cannot be sent, the router hears of it, and it is counted.
func (s *streams) send(b *transport.Batch, i int) {
	_ = s.Deliver(b, i)
}

func (s *streams) write(listener int, dest netip.AddrPort, data []byte) error {
	return s.Send(listener, dest, data)
}

func (s *streams) addrs() []netip.AddrPort {
	if s == nil {
		return nil
	}
	return s.Addrs()
}

func (s *streams) close() {
	if s != nil {
		s.Close()
	}
}

// peer is who is at an address that a TLS listener has to connect to.
func (s *streams) peer(listener int, addr netip.AddrPort) *stream.ClientTLS {
	if peers := s.peers.Load(); peers != nil {
		return (*peers)[peerAt{listener, addr}].client
	}
	return nil
}

// known says whether addr is a host's.
func (s *streams) known(listener int, addr netip.AddrPort) bool {
	peers := s.peers.Load()
	if peers == nil {
		return false
	}
	_, ok := (*peers)[peerAt{listener, addr}]
	return ok
}

// alias lets requests to addr go on a connection that came from source.
func (s *streams) alias(listener int, source, addr netip.AddrPort) {
	s.Alias(listener, source, addr)
}

// know takes note of who is at the other end of connections to hosts. One whose
// settings stay keeps its sessions.
func (s *streams) know(hosts []router.HostInfo) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(outgoingTo(hosts).warning(s.limits, s.room))
	var errs []error
	before, peers, files := s.peers.Load(), make(map[peerAt]knownPeer), s.certificates()
	for _, h := range hosts {
		for _, listener := range h.Large {
			peers[peerAt{listener, h.Addr}] = knownPeer{}
		}
		if !h.Transport.Reliable() {
			continue
		}
		for _, listener := range h.Listeners {
			at := peerAt{listener, h.Addr}
			if h.Transport == catalog.TCP {
				peers[at] = knownPeer{}
				continue
			}
			if before != nil && (*before)[at].says == h.TLS {
				peers[at] = (*before)[at]
				continue
			}
			p, err := newPeer(h.TLS, files)
			if err != nil {
				errs = append(errs, fmt.Errorf("connector %q: host %s: %w", h.Connector, h.URI, err))
				if before != nil && (*before)[at].client != nil {
					peers[at] = (*before)[at]
				}
				continue
			}
			peers[at] = p
		}
	}
	s.peers.Store(&peers)
	return errors.Join(errs...)
}

// tell logs a warning of more hosts than connections, unless it was the last.
func (s *streams) tell(warning string) {
	if warning != "" && warning != s.told {
		s.log.Warn("config: "+warning, "field", outgoingField)
	}
	s.told = warning
}

// tellAgain has a reload say what stands as it was.
func (s *streams) tellAgain() {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = ""
	}
}

func newPeer(says catalog.PeerTLS, files certificates) (p knownPeer, err error) {
	p.says = says
	if p.roots, err = files.authorities(says.CA); err != nil {
		return p, err
	}
	if p.ours, err = files.pair(says.Certificate, says.Key); err != nil {
		return p, err
	}
	p.client = stream.NewClientTLS(says.Name, p.roots, p.ours)
	return p, nil
}

// limitsOf are the limits of connections that a config has, with so many bytes of
// memory.
func limitsOf(s config.Streams, room uint64) stream.Limits {
	others, ours := mostConnections(room)
	if s.Connections == 0 {
		s.Connections = others
	}
	if s.Outgoing == 0 {
		s.Outgoing = ours
	}
	if s.PerSource == 0 { // no address has so many that others find none
		s.PerSource = min(2000, max(1, s.Connections/2))
	}
	return stream.Limits{
		Connections: s.Connections, PerSource: min(s.PerSource, s.Connections), Dialled: s.Outgoing, Header: s.Header, Body: s.Body,
		Idle: s.Idle, Connect: s.Connect, Handshake: s.Handshake, Complete: s.Message, Keepalive: s.KeepAlive,
	}
}

// reload reads all certificates again, those of the listeners and those that
// connectors are known by. Those that cannot be used stay as they were, and
// failed says why. Who is shown another than before is connected to anew: sessions
// of before would show the one of before.
func (s *streams) reload() (read int, failed []string) {
	if s == nil {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	read, others, failed := s.certificates().reload()
	for _, server := range s.servers {
		if others[server.Certificates] {
			s.strangers.forget()
		}
	}
	peers := make(map[peerAt]knownPeer)
	if before := s.peers.Load(); before != nil {
		maps.Copy(peers, *before)
	}
	for at, p := range peers {
		if others[p.ours] {
			p.client = stream.NewClientTLS(p.says.Name, p.roots, p.ours)
			peers[at] = p
		}
	}
	s.peers.Store(&peers)
	return read, failed
}
