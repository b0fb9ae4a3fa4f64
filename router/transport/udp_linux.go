package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// UDP receives and sends on a set of addresses, with a socket for each address
// and worker.
type UDP struct {
	addrs   []netip.AddrPort
	socks   [][]*socket // by listener, worker
	log     *slog.Logger
	beyond  func(b *Batch, i int)
	closed  atomic.Bool
	done    chan struct{}           // closed by Close
	handler atomic.Pointer[Handler] // set by Serve
	senders sync.Pool               // *Sender, for WriteTo
}

// Listen opens the sockets. Datagrams wait in them until Serve. It fails if
// another process holds one of the addresses.
func Listen(cfg Config) (*UDP, error) {
	if len(cfg.Listen) == 0 && cfg.Beyond == nil {
		return nil, errors.New("udp: no address to listen on")
	}
	u := &UDP{beyond: cfg.Beyond, log: cfg.log(), done: make(chan struct{})}
	for _, asked := range cfg.Listen {
		if !asked.IsValid() {
			u.release()
			return nil, fmt.Errorf("udp: %q is not an address to listen on", asked)
		}
		asked = netip.AddrPortFrom(asked.Addr().Unmap(), asked.Port())
		if other, ok := u.overlap(asked); ok {
			u.release()
			return nil, fmt.Errorf("udp %s overlaps with %s, which is listened on too", asked, other)
		}
		socks, bound, err := openSockets(asked, cfg)
		if err != nil {
			u.release()
			return nil, err
		}
		u.socks, u.addrs = append(u.socks, socks), append(u.addrs, bound)
	}
	u.senders.New = func() any { return u.Sender(0) }
	return u, nil
}

// overlap finds an address already listened on that the kernel would not let
// a stand beside, so that the error does not speak of another process.
func (u *UDP) overlap(a netip.AddrPort) (netip.AddrPort, bool) {
	for _, b := range u.addrs {
		same := a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
		if same && a.Addr().Is4() == b.Addr().Is4() && a.Port() == b.Port() {
			return b, true
		}
	}
	return netip.AddrPort{}, false
}

// Addrs returns the bound addresses, in the order of Config.Listen: the index
// is the listener of packets and batches.
func (u *UDP) Addrs() []netip.AddrPort { return append([]netip.AddrPort(nil), u.addrs...) }

// wildcard says whether a listener has all addresses of the machine.
func (u *UDP) wildcard(listener int) bool { return u.addrs[listener].Addr().IsUnspecified() }

// Serve hands what is received to h until Close, then returns nil. All its
// goroutines have ended, and the addresses are free, when it returns. It is
// called once.
func (u *UDP) Serve(h Handler) error {
	if !u.handler.CompareAndSwap(nil, &h) {
		return errors.New("udp: served already")
	}
	if u.closed.Load() {
		return nil
	}
	workers, err := u.newWorkers()
	if err != nil {
		return errors.Join(err, u.Close())
	}
	errs := make(chan error)
	for _, w := range workers {
		go func() {
			err := w.run(h)
			if err != nil {
				_ = u.Close() // one deaf worker would swallow every n-th peer
			}
			errs <- err
		}()
	}
	for range workers {
		err = errors.Join(err, <-errs)
	}
	<-u.done
	for _, w := range workers {
		w.close()
	}
	return err
}

func (u *UDP) newWorkers() ([]*worker, error) {
	var workers []*worker
	for listener, socks := range u.socks {
		for index := range socks {
			w, err := newWorker(u, listener, index, maxDatagram)
			if err != nil {
				for _, w := range workers {
					w.close()
				}
				return nil, err
			}
			workers = append(workers, w)
		}
	}
	return workers, nil
}

// WriteTo sends one datagram now. Any goroutine may call it, a Handler too.
// A datagram that there is no room for is dropped without an error, as a
// network does.
func (u *UDP) WriteTo(listener int, data []byte, dest netip.AddrPort) error {
	sock := u.socks[listener][0]
	if !sock.acquire() {
		return net.ErrClosed
	}
	defer sock.release()
	s := u.senders.Get().(*Sender)
	defer u.senders.Put(s)
	if err := s.writeTo(Now(), sock, data, dest, u.currentHandler()); err != nil {
		return fmt.Errorf("udp %s to %s: %w", u.addrs[listener], dest, err)
	}
	return nil
}

// currentHandler is who hears of ICMP errors that WriteTo runs into; nil before
// Serve.
func (u *UDP) currentHandler() Handler {
	if h := u.handler.Load(); h != nil {
		return *h
	}
	return nil
}

// Stats returns the figures of each worker's socket, by listener and worker.
func (u *UDP) Stats() []WorkerStats {
	var all []WorkerStats
	for listener, socks := range u.socks {
		for worker, sock := range socks {
			st := sock.stats(listener, worker)
			st.KernelDrops = sock.kernelDrops()
			all = append(all, st)
		}
	}
	return all
}

// Close ends Serve, without waiting for it. Sends under way are finished.
func (u *UDP) Close() error {
	if u.closed.Swap(true) {
		return nil
	}
	close(u.done)
	for _, socks := range u.socks {
		for _, sock := range socks {
			sock.wake()
		}
	}
	u.release()
	return nil
}

func (u *UDP) release() {
	for _, socks := range u.socks {
		releaseAll(socks)
	}
}
