//go:build unix

package stream

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket reads and writes one connection without waiting, and waits without
// holding memory. A socket that has the poller's attention is read from inside
// the poller's callback: a read that finds nothing is what arms the poller.
type socket struct {
	raw syscall.RawConn
	fd  int // during fill

	// The write under way, of one caller at a time.
	out     []byte
	written int
	err     error

	// The callbacks are made once, so that nothing is allocated later.
	take, now, wait func(fd uintptr) bool
}

// init takes tcp over. try is what fill calls.
func (s *socket) init(tcp *net.TCPConn, try func() bool) error {
	raw, err := tcp.SyscallConn()
	s.raw = raw
	s.take = func(fd uintptr) bool {
		s.fd = int(fd)
		return try()
	}
	s.now = func(fd uintptr) bool {
		s.written, s.err = write(int(fd), s.out)
		return true
	}
	s.wait = func(fd uintptr) bool {
		s.written, s.err = write(int(fd), s.out)
		return s.err != nil || s.written > 0
	}
	return err
}

// fill calls try until it returns true, each time that there may be something
// to read. An error is that of a closed socket.
func (s *socket) fill() error { return s.raw.Read(s.take) }

// read reads what is there, inside of fill; errWait when there is nothing.
func (s *socket) read(p []byte) (int, error) {
	for {
		switch n, err := unix.Read(s.fd, p); {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, errWait
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// write writes what there is room for, perhaps nothing.
func (s *socket) write(p []byte) (int, error) { return s.run(p, s.now) }

// writeSome waits until there is room for something.
func (s *socket) writeSome(p []byte) (int, error) { return s.run(p, s.wait) }

func (s *socket) run(p []byte, f func(fd uintptr) bool) (int, error) {
	s.out, s.written, s.err = p, 0, nil
	err := s.raw.Write(f)
	s.out = nil
	if err == nil {
		err = s.err
	}
	return s.written, err
}

func write(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, nil
		case err != nil:
			return 0, err
		default:
			return n, nil
		}
	}
}
