package transport

import (
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The path of a batch: Flush cuts it into runs of one listener; send fills the
// headers; transmit hands them to the kernel, in order, and survives errors of
// other datagrams; refuse reports the one that cannot be sent. What the Handler
// answers to errors is gathered in extra and sent before Flush returns.

const (
	sendBatch = 64
	// patience is how long one Flush waits, in all, for room in a socket or a
	// device: after that a datagram is dropped like any that a network loses.
	patience = time.Millisecond
	patches  = 5 // waits that make up patience
	// maxPending is how often one datagram may fail for ICMP errors of others
	// before it is dropped. Each visit to the error queue takes up to drainLimit
	// of them, so it takes a storm from several threads to get there.
	maxPending = 32
	// maxRounds bounds the answers to errors of answers to errors.
	maxRounds = 32
)

// Sender sends batches through the sockets of one worker. A Sender is used by
// one goroutine at a time; there may be several for a worker.
type Sender struct {
	udp      *UDP
	worker   int
	heads    [sendBatch]mmsghdr
	envs     [sendBatch]envelope
	controls []control // sendBatch of them where a listener is a wildcard, else nil
	zones    zoneCache
	errs     errQueue
	waits    int   // left in this Flush
	extra    Batch // what the Handler answers to errors while a batch is sent
	sending  Batch // extra, while it is sent itself
	poll     [1]unix.PollFd
}

// Sender returns a new sender on the sockets of the given worker.
func (u *UDP) Sender(worker int) *Sender {
	s := &Sender{udp: u, worker: worker}
	for i := range s.heads {
		s.heads[i].link(&s.envs[i])
	}
	for listener := range u.addrs {
		if u.wildcard(listener) {
			s.controls = make([]control, sendBatch)
			break
		}
	}
	return s
}

// Flush sends the datagrams of b in their order and resets b. Errors go to h;
// so do ICMP errors that are found on the way, whichever datagram they are
// about. After Close it drops the batch.
func (s *Sender) Flush(now int64, b *Batch, h Handler) {
	if b.Len() == 0 {
		return
	}
	s.waits = patches
	s.send(now, b, h)
	b.Reset()
	s.sendExtra(now, h)
}

func (s *Sender) sendExtra(now int64, h Handler) {
	for round := 0; s.extra.Len() > 0; round++ {
		s.extra, s.sending = s.sending, s.extra
		if round < maxRounds {
			s.send(now, &s.sending, h)
		} else {
			s.udp.socks[0][s.worker].sendDropped.Add(uint64(s.sending.Len()))
		}
		s.sending.Reset()
	}
}

func (s *Sender) send(now int64, b *Batch, h Handler) {
	for start := 0; start < b.Len(); {
		listener, end := s.fill(b, start)
		sock := s.udp.socks[listener][s.worker]
		if !sock.acquire() {
			return // closed
		}
		s.run(now, sock, b, start, end, h)
		sock.release()
		start = end
	}
}

// fill lays out the datagrams from start that leave from one listener.
func (s *Sender) fill(b *Batch, start int) (listener, end int) {
	listener, _, _ = b.At(start)
	wildcard := s.udp.wildcard(listener)
	for end = start; end < b.Len() && end-start < sendBatch; end++ {
		l, dest, data := b.At(end)
		if l != listener {
			break
		}
		s.put(end-start, dest, data)
		if local := b.Local(end); wildcard && local.IsValid() {
			s.pin(end-start, local)
		}
	}
	return listener, end
}

func (s *Sender) put(i int, dest netip.AddrPort, data []byte) {
	e := &s.envs[i]
	s.heads[i].Namelen = e.name.put(dest, &s.zones)
	e.iov.Base = nil
	if len(data) > 0 {
		e.iov.Base = &data[0]
	}
	e.iov.SetLen(len(data))
	s.heads[i].SetControllen(0)
}

// pin makes datagram i, which put has laid out, leave from local.
func (s *Sender) pin(i int, local netip.Addr) {
	s.heads[i].offer(&s.controls[i], s.controls[i].put(local, &s.zones))
}

func (s *Sender) pinned(i int) bool { return s.heads[i].Controllen > 0 }

// unpin lets datagram i leave from where the kernel routes it by: an answer from
// an unexpected address is better than none.
func (s *Sender) unpin(sock *socket, i int) {
	s.heads[i].SetControllen(0)
	sock.localRefused.Add(1)
}

// run sends datagrams start to end of b, which fill has laid out.
func (s *Sender) run(now int64, sock *socket, b *Batch, start, end int, h Handler) {
	for i := start; i < end; i++ {
		n, errno := s.transmit(now, sock, i-start, end-start, h)
		if i += n; i < end {
			_, dest, data := b.At(i)
			s.refuse(now, sock, dest, data, errno, h)
		}
	}
}

// transmit sends heads[at:end] until all are gone or one cannot be sent, and
// returns how many were and that one's errno.
//
// An ICMP error that came for an earlier datagram makes the next send fail,
// whomever it is to, and that datagram is not sent. So a failure says nothing
// about the datagram at hand until it comes again with the error queue empty
// (see blame). And where the datagram has a source address of its own, that may
// be what the kernel refuses, so it is tried without before it is given up.
func (s *Sender) transmit(now int64, sock *socket, at, end int, h Handler) (int, unix.Errno) {
	first, strikes, others := at, 0, 0
	for at < end {
		before := sock.icmp.Load()
		n, errno := sendmmsg(sock.fd, s.heads[at:end])
		switch {
		case errno == 0:
			sock.sendSizes.add(n)
			s.count(sock, at, at+n)
			at, strikes, others = at+n, 0, 0
			if at < end {
				// The kernel stopped early and kept the errno to itself; a
				// pending ICMP error is used up with its entry still queued.
				s.errs.drain(now, sock, &s.zones, h, &s.extra)
			}
		case errno == unix.EINTR:
		case errno == unix.EAGAIN || errno == unix.ENOBUFS:
			if !s.wait(sock, errno) {
				return at - first, errno
			}
		case gone(errno) && s.pinned(at):
			s.unpin(sock, at)
		default:
			s.errs.drain(now, sock, &s.zones, h, &s.extra)
			tries := blame(errno)
			if tries == never || tries > minTries && sock.icmp.Load() != before {
				if others++; others == maxPending {
					return at - first, unix.EAGAIN // drop it, and blame nobody
				}
			} else if strikes++; strikes == tries {
				if !noRoute(errno) || !s.pinned(at) {
					return at - first, errno
				}
				s.unpin(sock, at)
				strikes, others = 0, 0
			}
		}
	}
	return at - first, 0
}

func (s *Sender) count(sock *socket, from, to int) {
	var bytes uint64
	for i := from; i < to; i++ {
		bytes += uint64(s.envs[i].iov.Len)
	}
	sock.sent.Add(uint64(to - from))
	sock.bytesOut.Add(bytes)
}

// wait waits a moment for room; false when patience has run out.
func (s *Sender) wait(sock *socket, errno unix.Errno) bool {
	if s.waits == 0 {
		return false
	}
	s.waits--
	pause := unix.NsecToTimespec(int64(patience / patches))
	if errno == unix.ENOBUFS { // the device's queue: poll cannot see it
		_ = unix.Nanosleep(&pause, nil)
		return true
	}
	s.poll[0] = unix.PollFd{Fd: int32(sock.fd), Events: unix.POLLOUT}
	_, _ = unix.Ppoll(s.poll[:], &pause, nil)
	return true
}

func (s *Sender) refuse(now int64, sock *socket, dest netip.AddrPort, data []byte, errno unix.Errno, h Handler) {
	if errno == unix.EAGAIN || errno == unix.ENOBUFS {
		sock.sendDropped.Add(1)
		return
	}
	sock.sendErrors.Add(1)
	h.Unreachable(now, Unreachable{Dest: dest, Code: SendError, Quote: data, Local: true}, &s.extra)
}

// writeTo sends one datagram that stands in no batch.
func (s *Sender) writeTo(now int64, sock *socket, data []byte, dest netip.AddrPort, h Handler) error {
	s.waits = patches
	s.put(0, dest, data)
	_, errno := s.transmit(now, sock, 0, 1, h)
	s.envs[0].iov.Base = nil // a pooled Sender keeps nobody's memory
	s.sendExtra(now, h)
	switch errno {
	case 0:
		return nil
	case unix.EAGAIN, unix.ENOBUFS:
		sock.sendDropped.Add(1)
		return nil
	}
	sock.sendErrors.Add(1)
	return os.NewSyscallError("sendmsg", errno)
}

// drain reads the socket's error queue and sends what h answers.
func (s *Sender) drain(now int64, sock *socket, h Handler) {
	s.waits = patches
	s.errs.drain(now, sock, &s.zones, h, &s.extra)
	s.sendExtra(now, h)
}
