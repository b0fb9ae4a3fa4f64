package stream

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// lowat bounds what the kernel holds for a connection beyond what is on its
	// way. By itself it would take megabytes for a peer that does not read.
	lowat = 128 << 10
	// unacknowledged is how long sent bytes may go without an acknowledgement
	// before the kernel gives the connection up (RFC 5482): by itself a quarter
	// of an hour. In milliseconds.
	unacknowledged = 30_000
	// When nothing passes, the kernel asks after the peer after so many seconds,
	// and so often, so many seconds apart.
	probeIdle, probeEvery, probeCount = 60, 15, 4
)

// tuning sets what accepted sockets inherit from a listening one, or what a
// dialled one needs.
func tuning(dialled bool) func(network, address string, raw syscall.RawConn) error {
	return func(network, address string, raw syscall.RawConn) error {
		var failed error
		if err := raw.Control(func(fd uintptr) { failed = tune(int(fd), dialled) }); err != nil {
			return err
		}
		return failed
	}
}

func tune(fd int, dialled bool) error {
	type option struct {
		name              string
		level, opt, value int
	}
	options := []option{
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, lowat},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unacknowledged},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, probeIdle},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, probeEvery},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probeCount},
	}
	if dialled {
		// The port is chosen when it is known where to: the same one serves for
		// many destinations.
		options = append(options, option{"IP_BIND_ADDRESS_NO_PORT", unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	return nil
}
