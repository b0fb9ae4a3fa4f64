//go:build !linux

package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
)

// UDP receives and sends on a set of addresses: one plain socket and one worker
// for each. This is for developers' machines: ICMP errors are not seen, each
// datagram costs a system call, and a wildcard's answers leave from the address
// that the system routes them by.
type UDP struct {
	addrs  []netip.AddrPort
	conns  []*net.UDPConn
	counts []counters
	beyond func(b *Batch, i int)
	closed atomic.Bool
	done   chan struct{} // closed by Close
	served atomic.Bool
}

// maxDatagram is more than UDP carries.
const maxDatagram = 65535

// Listen opens the sockets. It fails if another process holds one of the
// addresses.
func Listen(cfg Config) (*UDP, error) {
	if len(cfg.Listen) == 0 && cfg.Beyond == nil {
		return nil, errors.New("udp: no address to listen on")
	}
	u := &UDP{beyond: cfg.Beyond, done: make(chan struct{}), counts: make([]counters, len(cfg.Listen))}
	for _, asked := range cfg.Listen {
		conn, err := listen(asked, cfg)
		if err != nil {
			_ = u.Close()
			return nil, err
		}
		u.conns = append(u.conns, conn)
		bound := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		u.addrs = append(u.addrs, netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port()))
	}
	return u, nil
}

func listen(addr netip.AddrPort, cfg Config) (*net.UDPConn, error) {
	if !addr.IsValid() {
		return nil, fmt.Errorf("udp: %q is not an address to listen on", addr)
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	network := "udp6"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("udp %s is in use by another process: %w", addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("udp %s: %w", addr, err)
	}
	if conn.SetReadBuffer(cfg.receiveBuffer()) != nil || conn.SetWriteBuffer(cfg.sendBuffer()) != nil {
		cfg.log().Warn("the system granted smaller socket buffers than asked; bursts may be lost", "listen", addr)
	}
	return conn, nil
}

// Addrs returns the bound addresses, in the order of Config.Listen: the index
// is the listener of packets and batches.
func (u *UDP) Addrs() []netip.AddrPort { return append([]netip.AddrPort(nil), u.addrs...) }

// Serve hands what is received to h until Close, then returns nil. It is called
// once.
func (u *UDP) Serve(h Handler) error {
	if u.served.Swap(true) {
		return errors.New("udp: served already")
	}
	if u.closed.Load() {
		return nil
	}
	errs := make(chan error)
	for listener := range u.conns {
		go func() {
			err := u.receive(listener, h)
			if err != nil {
				_ = u.Close()
			}
			errs <- err
		}()
	}
	var err error
	for range u.conns {
		err = errors.Join(err, <-errs)
	}
	<-u.done
	return err
}

func (u *UDP) receive(listener int, h Handler) error {
	conn, c := u.conns[listener], &u.counts[listener]
	sender := u.Sender(0)
	buf := make([]byte, maxDatagram)
	packets := make([]Packet, 1)
	var out Batch
	for {
		n, source, err := conn.ReadFromUDPAddrPort(buf)
		now := Now()
		switch {
		case u.closed.Load():
			return nil
		case err != nil && errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // some systems report a peer's closed port here
			continue
		case n == 0:
			c.empty.Add(1)
			continue
		}
		c.received.Add(1)
		c.receiveSizes.add(1)
		c.bytesIn.Add(uint64(n))
		packets[0] = Packet{Data: buf[:n:n], Source: netip.AddrPortFrom(source.Addr().Unmap(), source.Port()), Listener: listener}
		h.Packets(now, packets, &out)
		sender.Flush(now, &out, h)
	}
}

// maxRounds bounds the answers to errors of answers to errors.
const maxRounds = 32

// Sender sends batches. A Sender is used by one goroutine at a time.
type Sender struct {
	udp            *UDP
	extra, sending Batch
}

// Sender returns a new sender. There is one worker here: its index is not used.
func (u *UDP) Sender(int) *Sender { return &Sender{udp: u} }

// Flush sends the datagrams of b in their order and resets b. Errors go to h.
func (s *Sender) Flush(now int64, b *Batch, h Handler) {
	s.send(now, b, h)
	for round := 0; s.extra.Len() > 0 && round < maxRounds; round++ {
		s.extra, s.sending = s.sending, s.extra
		s.send(now, &s.sending, h)
	}
	s.extra.Reset()
}

func (s *Sender) send(now int64, b *Batch, h Handler) {
	for i := range b.Len() {
		listener, dest, data := b.At(i)
		if listener >= len(s.udp.conns) {
			s.udp.beyond(b, i)
			continue
		}
		if err := s.udp.WriteTo(listener, data, dest); err != nil && !errors.Is(err, net.ErrClosed) {
			h.Unreachable(now, Unreachable{Dest: dest, Code: SendError, Quote: data, Local: true}, &s.extra)
		}
	}
	b.Reset()
}

// WriteTo sends one datagram now. Any goroutine may call it. It tries twice:
// on some systems the first error is about an earlier datagram.
func (u *UDP) WriteTo(listener int, data []byte, dest netip.AddrPort) error {
	conn, c := u.conns[listener], &u.counts[listener]
	_, err := conn.WriteToUDPAddrPort(data, dest)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		_, err = conn.WriteToUDPAddrPort(data, dest)
	}
	switch {
	case err == nil:
		c.sent.Add(1)
		c.sendSizes.add(1)
		c.bytesOut.Add(uint64(len(data)))
		return nil
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, os.ErrDeadlineExceeded):
		c.sendDropped.Add(1)
		return nil
	}
	c.sendErrors.Add(1)
	return err
}

// Stats returns the figures of each socket.
func (u *UDP) Stats() []WorkerStats {
	var all []WorkerStats
	for listener := range u.conns {
		all = append(all, u.counts[listener].stats(listener, 0))
	}
	return all
}

// Close ends Serve, without waiting for it.
func (u *UDP) Close() error {
	if u.closed.Swap(true) {
		return nil
	}
	close(u.done)
	var err error
	for _, conn := range u.conns {
		err = errors.Join(err, conn.Close())
	}
	return err
}
