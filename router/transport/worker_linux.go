package transport

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	receiveBatch = 32
	// maxDatagram is more than UDP carries: 65,507 bytes over IPv4, 65,527 over
	// IPv6. So nothing is truncated, short of a jumbogram.
	maxDatagram = 65535
	// recvRest is a pause after an error of the receive call that the error
	// queue does not explain (no memory, say), so as not to spin on it.
	recvRest = time.Millisecond
)

// worker receives on one socket, in one goroutine, and runs each batch to
// completion. How it waits is in wait_linux.go.
type worker struct {
	udp      *UDP
	listener int
	sock     *socket
	sender   *Sender
	zones    zoneCache
	size     int    // bytes for one datagram
	memory   []byte // receiveBatch times stride
	used     int    // headers that the last receive changed
	heads    [receiveBatch]mmsghdr
	envs     [receiveBatch]envelope
	controls []control // receiveBatch of them on a wildcard's socket, else nil
	packets  [receiveBatch]Packet
	out      Batch

	waiter
}

func newWorker(u *UDP, listener, index, size int) (*worker, error) {
	w := &worker{udp: u, listener: listener, sock: u.socks[listener][index], sender: u.Sender(index), size: size, used: receiveBatch}
	// Two megabytes of address space, but memory only for the pages that long
	// datagrams touch; with huge pages the first packet would cost all of it.
	stride := (size + 4095) &^ 4095
	memory, err := unix.Mmap(-1, 0, receiveBatch*stride, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("receive buffers: %w", err)
	}
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE) // EINVAL: the kernel has none
	w.memory = memory
	w.waiter.init(w)
	if u.wildcard(listener) {
		w.controls = make([]control, receiveBatch)
	}
	for i := range w.heads {
		w.heads[i].link(&w.envs[i])
		w.envs[i].iov.Base = &memory[i*stride]
		w.envs[i].iov.SetLen(size)
	}
	return w, nil
}

func (w *worker) close() { _ = unix.Munmap(w.memory) }

// run works until the transport is closed. An error means that the socket can
// no longer be used.
func (w *worker) run(h Handler) error {
	if !w.sock.acquire() {
		return nil
	}
	defer w.sock.release()
	w.sender.drain(Now(), w.sock, h) // the poller does not tell of what came before it was asked
	for !w.udp.closed.Load() {
		n, errno, err := w.receive()
		now := Now()
		w.woke(now)
		if err != nil && !w.udp.closed.Load() {
			return fmt.Errorf("receive on udp %s: %w", w.udp.addrs[w.listener], err)
		}
		switch errno {
		case 0:
			if packets := w.read(n); len(packets) > 0 {
				h.Packets(now, packets, &w.out)
				w.sender.Flush(now, &w.out, h)
			}
			w.yield(now)
		case unix.EBADF, unix.ENOTSOCK, unix.EFAULT, unix.EINVAL, unix.ENOSYS:
			return fmt.Errorf("receive on udp %s: %w", w.udp.addrs[w.listener], errno)
		default:
			w.sender.drain(now, w.sock, h)
			if blame(errno) == minTries {
				time.Sleep(recvRest)
			}
		}
	}
	return nil
}

// receive waits for datagrams and takes those that are there. An error is the
// poller's: it was closed, or cannot watch the socket.
func (w *worker) receive() (int, unix.Errno, error) {
	for i := range w.used {
		w.heads[i].Namelen = sizeofInet6
	}
	if w.controls != nil {
		for i := range w.used {
			w.heads[i].offer(&w.controls[i], sizeofControl)
		}
	}
	n, errno, err := w.wait(w)
	w.used = n
	return n, errno, err
}

// read makes packets of the first n headers.
func (w *worker) read(n int) []Packet {
	var bytes, truncated, empty uint64
	packets := w.packets[:0]
	for i := range n {
		m, e := &w.heads[i], &w.envs[i]
		switch {
		case m.Flags&unix.MSG_TRUNC != 0:
			truncated++
		case m.received == 0:
			empty++
		default:
			packets = append(packets, Packet{
				Data:     unsafe.Slice(e.iov.Base, w.size)[:m.received:m.received],
				Source:   e.name.get(&w.zones),
				Listener: w.listener,
			})
			if w.controls != nil {
				packets[len(packets)-1].Local = w.controls[i].local(int(m.Controllen), &w.zones)
			}
			bytes += uint64(m.received)
		}
	}
	if w.udp.closed.Load() {
		return nil // woken by Close: what was received is not a datagram
	}
	w.sock.receiveSizes.add(n)
	w.sock.received.Add(uint64(len(packets)))
	w.sock.bytesIn.Add(bytes)
	if truncated|empty != 0 {
		w.sock.truncated.Add(truncated)
		w.sock.empty.Add(empty)
	}
	return packets
}
