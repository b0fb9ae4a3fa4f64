package stream

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// secure is the connection that crypto/tls works on. In the handshake it is
// just that, and waits. After it nothing waits: a read that finds nothing
// returns errWait, a temporary error, after which crypto/tls takes up where it
// was; what it writes is gathered, for the connection's writer to take.
type secure struct {
	net.Conn
	tls  *tls.Conn
	sock *socket // from the end of the handshake on

	// How far reading is within a record, which a peer could leave open.
	head [5]byte // its type, version and length
	have int     // bytes of head
	left int     // bytes behind the head

	mu       sync.Mutex // a leaf: crypto/tls writes answers of its own while it reads
	gathered []byte
}

const (
	// maxGathered bounds what one step gathers: a message with its records.
	maxGathered = 1 << 20
	// maxAnswers bounds what crypto/tls answers by itself to a peer that does not
	// take it.
	maxAnswers = 16 << 10
)

var errGathered = errors.New("the peer does not take what TLS answers")

// errWait is what a read returns that would have to wait.
var errWait net.Error = waitError{}

type waitError struct{}

func (waitError) Error() string   { return "nothing to read yet" }
func (waitError) Timeout() bool   { return true }
func (waitError) Temporary() bool { return true }

func (s *secure) Read(p []byte) (n int, err error) {
	if s.sock == nil {
		n, err = s.Conn.Read(p)
	} else {
		n, err = s.sock.read(p)
	}
	s.follow(p[:n])
	return n, err
}

// follow keeps count of records (RFC 8446 5.1).
func (s *secure) follow(p []byte) {
	for len(p) > 0 {
		n := 0
		if s.left > 0 {
			n = min(s.left, len(p))
			s.left -= n
		} else {
			n = copy(s.head[s.have:], p)
			if s.have += n; s.have == len(s.head) {
				s.have, s.left = 0, int(s.head[3])<<8|int(s.head[4])
			}
		}
		p = p[n:]
	}
}

// within reports whether a record has begun that is not whole.
func (s *secure) within() bool { return s.have > 0 || s.left > 0 }

func (s *secure) Write(p []byte) (int, error) {
	if s.sock == nil {
		return s.Conn.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gathered)+len(p) > maxGathered {
		return 0, errGathered
	}
	s.gathered = append(s.gathered, p...)
	return len(p), nil
}

// SetWriteDeadline is for the handshake: later nothing waits.
func (s *secure) SetWriteDeadline(t time.Time) error {
	if s.sock == nil {
		return s.Conn.SetWriteDeadline(t)
	}
	return nil
}

// seal returns the records of a message, behind what crypto/tls had to say.
func (s *secure) seal(data []byte) ([]byte, error) {
	_, err := s.tls.Write(data)
	return s.take(), err
}

// waiting is how many bytes were gathered.
func (s *secure) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gathered)
}

// take returns what was gathered.
func (s *secure) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.gathered
	s.gathered = nil
	return b
}
