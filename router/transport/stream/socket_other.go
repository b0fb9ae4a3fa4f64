//go:build !unix

package stream

import (
	"net"
)

// socket is for developers' machines: a connection holds its buffers while it
// waits, and all that is written waits in a goroutine.
type socket struct {
	tcp  *net.TCPConn
	done bool // something was read in this fill
	try  func() bool
}

// init takes tcp over. try is what fill calls.
func (s *socket) init(tcp *net.TCPConn, try func() bool) error {
	s.tcp, s.try = tcp, try
	return nil
}

// fill calls try until it returns true. An error is that of a closed socket.
func (s *socket) fill() error {
	for s.done = false; !s.try(); s.done = false {
	}
	return nil
}

// read reads what is there, inside of fill: it waits for the first of it.
func (s *socket) read(p []byte) (int, error) {
	if s.done {
		return 0, errWait
	}
	s.done = true
	return s.tcp.Read(p)
}

// write writes nothing: here no write is sure not to wait.
func (s *socket) write([]byte) (int, error) { return 0, nil }

// writeSome waits until there is room.
func (s *socket) writeSome(p []byte) (int, error) { return s.tcp.Write(p) }
