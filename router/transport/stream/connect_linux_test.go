package stream

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// blackHole returns an address where connecting takes for ever: a socket that
// listens, and has no room for one more.
func blackHole(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 0))
	name, err := unix.Getsockname(fd)
	require.NoError(t, err)
	at := name.(*unix.SockaddrInet4)
	for range 3 { // the first fills it
		client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		t.Cleanup(func() { _ = unix.Close(client) })
		if err := unix.Connect(client, at); err != nil {
			require.ErrorIs(t, err, unix.EINPROGRESS)
		}
	}
	return netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port))
}

// A dial that does not come to an end is given up, and its messages reported;
// how many may be under way is bounded.
func TestConnectIsSlow(t *testing.T) {
	dest := blackHole(t)
	r := serve(t, tcp(Limits{Dialling: 1, Queue: 1000}))
	r.beside(func() {
		require.NoError(t, r.Send(7, dest, []byte("waits")))
		require.NoError(t, r.Send(7, dest, []byte("waits too")))
		require.NoError(t, r.Send(7, dest, []byte(strings.Repeat("x", 1000))))
		r.eventually(func() bool { return len(r.reported()) == 1 })
		require.EqualValues(t, 1, r.stats().QueueFull)
		other := netip.AddrPortFrom(dest.Addr(), dest.Port()+1)
		require.NoError(t, r.Send(7, other, []byte("one too many")))
		r.ends(TooManyDialled, 1)
		r.eventually(func() bool { return len(r.reported()) == 2 })
		require.Equal(t, victim{other, "one too many"}, r.reported()[1])
		r.pass(5*time.Second + 1)
		r.ends(ConnectSlow, 1)
		r.eventually(func() bool { return len(r.reported()) == 4 })
		require.Equal(t, []victim{{dest, "waits"}, {dest, "waits too"}}, r.reported()[2:])
	})
}
