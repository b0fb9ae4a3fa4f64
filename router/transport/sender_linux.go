package transport

import (
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The path of a batch: Flush cuts it into parts of one listener; fill lays a
// part out, datagrams of one size to one peer in one header; transmit hands the
// headers to the kernel, in order, and survives errors of other datagrams;
// refuse reports a datagram that cannot be sent. What the Handler answers to
// errors is gathered in extra and sent before Flush returns.

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
	runs     runs
	heads    [sendBatch]mmsghdr // one for each run
	names    [sendBatch]sockaddr
	iovs     [sendBatch]unix.Iovec // one for each datagram, those of a run side by side
	controls [sendBatch]control
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
		s.heads[i].Name = (*byte)(unsafe.Pointer(&s.names[i]))
		s.heads[i].Control = (*byte)(unsafe.Pointer(&s.controls[i]))
	}
	return s
}

// Flush sends the datagrams of b, each flow in its order, and resets b. Errors go to h;
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
			if len(s.udp.socks) > 0 {
				s.udp.socks[0][s.worker].sendDropped.Add(uint64(s.sending.Len()))
			}
		}
		s.sending.Reset()
	}
}

func (s *Sender) send(now int64, b *Batch, h Handler) {
	for start := 0; start < b.Len(); {
		listener := b.msgs[start].listener
		if listener >= len(s.udp.socks) {
			s.udp.beyond(b, start)
			start++
			continue
		}
		end := start + 1
		for end < b.Len() && end-start < sendBatch && b.msgs[end].listener == listener {
			end++
		}
		sock := s.udp.socks[listener][s.worker]
		if !sock.acquire() {
			return // closed
		}
		s.fill(sock, b, start, end)
		s.run(now, sock, b, start, h)
		sock.release()
		start = end
	}
}

// fill lays out the datagrams from start to end, which leave from one listener.
func (s *Sender) fill(sock *socket, b *Batch, start, end int) {
	s.runs.plan(b, start, end, sock.whole.Load())
	used := 0
	for at := range s.runs.count {
		run := &s.runs.all[at]
		m := &b.msgs[start+int(run.first)]
		s.address(at, sock, m.dest, m.local)
		s.heads[at].Iov = &s.iovs[used]
		s.heads[at].SetIovlen(int(run.length))
		if run.length > 1 {
			s.heads[at].segment(&s.controls[at], run.size)
		}
		for i, left := run.first, run.length; left > 0; i, left = s.runs.next[i], left-1 {
			s.put(used, b.data(start+int(i)))
			used++
		}
	}
}

// address writes whom header at is to, and where it leaves from.
func (s *Sender) address(at int, sock *socket, dest netip.AddrPort, local netip.Addr) {
	s.heads[at].Namelen = s.names[at].put(dest, &s.zones)
	s.heads[at].SetControllen(0)
	if sock.wildcard && local.IsValid() {
		s.heads[at].SetControllen(s.controls[at].put(local, &s.zones))
	}
}

// readdress writes the addresses of header at again when errno may come of an
// interface that is gone, and one of its name is there: worth another try.
func (s *Sender) readdress(at int, sock *socket, dest netip.AddrPort, local netip.Addr, errno unix.Errno) bool {
	if !gone(errno) && !noRoute(errno) || !s.zones.moved(dest.Addr().Zone(), s.names[at].Scope_id) {
		return false
	}
	s.address(at, sock, dest, local)
	return true
}

// put lets vector i be data.
func (s *Sender) put(i int, data []byte) {
	s.iovs[i].Base = unsafe.SliceData(data)
	s.iovs[i].SetLen(len(data))
}

func (s *Sender) pinned(at int) bool { return s.heads[at].Controllen > 0 }

// segmented says whether header at is a run, which no datagram with a source
// address of its own is when it has been unpinned.
func (s *Sender) segmented(at int) bool { return s.heads[at].Iovlen > 1 }

// unpin lets header at leave from where the kernel routes it by: an answer from
// an unexpected address is better than none.
func (s *Sender) unpin(sock *socket, at int) {
	s.heads[at].SetControllen(0)
	sock.localRefused.Add(1)
}

// run sends what fill has laid out.
func (s *Sender) run(now int64, sock *socket, b *Batch, start int, h Handler) {
	count := s.runs.count
	for at := 0; at < count; {
		n, errno := s.transmit(now, sock, at, count, h)
		if at += n; at == count {
			return
		}
		if s.segmented(at) {
			s.apart(now, sock, b, start, at, errno, h)
		} else {
			m := &b.msgs[start+int(s.runs.all[at].first)]
			if s.readdress(at, sock, m.dest, m.local, errno) {
				continue
			}
			s.refuse(now, sock, m.dest, b.arena[m.start:m.end], errno, h)
		}
		at++
	}
}

// apart sends the datagrams of a run one by one: the kernel did not take them
// together. Where it takes each by itself it is not able to segment, or the
// device is not: they are whole from now on.
func (s *Sender) apart(now int64, sock *socket, b *Batch, start, at int, errno unix.Errno, h Handler) {
	run := s.runs.all[at]
	refused := 0
	s.heads[at].Iov = &s.iovs[0]
	s.heads[at].SetIovlen(1)
	for i, left := run.first, run.length; left > 0; i, left = s.runs.next[i], left-1 {
		m := &b.msgs[start+int(i)]
		s.address(at, sock, m.dest, m.local)
		s.put(0, b.data(start+int(i)))
		local := s.pinned(at)
		_, errno := s.transmit(now, sock, at, at+1, h)
		if errno != 0 && s.readdress(at, sock, m.dest, m.local, errno) {
			_, errno = s.transmit(now, sock, at, at+1, h)
			refused++ // it was the interface that was gone
		}
		if errno != 0 {
			s.refuse(now, sock, m.dest, b.data(start+int(i)), errno, h)
			refused++
		} else if local != s.pinned(at) {
			refused++ // it was its address that was wrong
		}
	}
	if unable(errno) && refused == 0 && !sock.whole.Swap(true) {
		s.udp.log.Warn("datagrams of one size leave one by one from now on: the kernel or the device does not segment them; segmentation: false says so from the start",
			"errno", errno.Error())
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
		case s.segmented(at) && blame(errno) != never:
			return at - first, errno // which of them is at fault?
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
	var datagrams, segments int
	var bytes uint64
	for i := from; i < to; i++ {
		n := int(s.heads[i].Iovlen)
		datagrams += n
		bytes += uint64(s.heads[i].received)
		if n > 1 {
			segments += n
		}
	}
	sock.sendSizes.add(datagrams)
	sock.sent.Add(uint64(datagrams))
	sock.bytesOut.Add(bytes)
	if segments > 0 {
		sock.segments.Add(uint64(segments))
	}
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
	s.address(0, sock, dest, netip.Addr{})
	s.heads[0].Iov = &s.iovs[0]
	s.heads[0].SetIovlen(1)
	s.put(0, data)
	_, errno := s.transmit(now, sock, 0, 1, h)
	if errno != 0 && s.readdress(0, sock, dest, netip.Addr{}, errno) {
		_, errno = s.transmit(now, sock, 0, 1, h)
	}
	s.iovs[0].Base = nil // a pooled Sender keeps nobody's memory
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
