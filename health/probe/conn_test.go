package probe

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	hostAddr     = netip.MustParseAddrPort("192.0.2.1:5060")
	strangerAddr = netip.MustParseAddrPort("192.0.2.1:5061")
	answer       = []byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK.x\r\n\r\n")
)

func newTestConn(sent *[]netip.AddrPort) *Conn {
	c := NewConn(net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:5060")), func(_ []byte, dest netip.AddrPort) error {
		*sent = append(*sent, dest)
		return nil
	})
	c.sources.Store(&map[netip.AddrPort]netip.AddrPort{hostAddr: hostAddr})
	return c
}

func TestConn_DeliversAnswersOfHostsOnly(t *testing.T) {
	var c = newTestConn(nil)
	require.False(t, c.Deliver(answer, strangerAddr), "a stranger")
	require.False(t, c.Deliver([]byte("OPTIONS sip:a SIP/2.0\r\n"), hostAddr), "a request")
	require.False(t, c.Deliver(nil, hostAddr))
	require.Zero(t, c.Dropped(), "none of them was for us")
	require.False(t, c.Deliver(append(answer[:len(answer):len(answer)], make([]byte, maxResponse)...), hostAddr), "too long")
	require.EqualValues(t, 1, c.Dropped())
	require.Empty(t, c.queue)

	data := append([]byte(nil), answer...)
	mapped := netip.AddrPortFrom(netip.AddrFrom16(hostAddr.Addr().As16()), hostAddr.Port())
	require.True(t, c.Deliver(data, mapped), "an IPv4 address in IPv6 form")
	clear(data)
	buf := make([]byte, 100)
	n, src, err := c.ReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, string(answer), string(buf[:n]), "copied")
	require.Equal(t, hostAddr.String(), src.String())
}

func TestConn_NeverBlocks(t *testing.T) {
	c := newTestConn(nil)
	for range queueLength {
		require.True(t, c.Deliver(answer, hostAddr))
	}
	require.False(t, c.Deliver(answer, hostAddr))
	require.EqualValues(t, 1, c.Dropped())
	_, _, err := c.ReadFrom(make([]byte, 1))
	require.NoError(t, err)
	require.True(t, c.Deliver(answer, hostAddr))
}

func TestConn_WritesByTheSocket(t *testing.T) {
	var sent []netip.AddrPort
	c := newTestConn(&sent)
	n, err := c.WriteTo([]byte("abc"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5060}) // 16 bytes long
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []netip.AddrPort{hostAddr}, sent)
	_, err = c.WriteTo([]byte("abc"), &net.TCPAddr{})
	require.Error(t, err)

	broken := errors.New("broken")
	c = NewConn(c.LocalAddr(), func([]byte, netip.AddrPort) error { return broken })
	_, err = c.WriteTo([]byte("abc"), net.UDPAddrFromAddrPort(hostAddr))
	require.ErrorIs(t, err, broken)
}

func TestConn_Close(t *testing.T) {
	var sent []netip.AddrPort
	c := newTestConn(&sent)
	read := make(chan error)
	go func() {
		_, _, err := c.ReadFrom(make([]byte, 1))
		read <- err
	}()
	<-c.reading
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-read, net.ErrClosed)
	require.False(t, c.Deliver(answer, hostAddr))
	_, err := c.WriteTo([]byte("abc"), net.UDPAddrFromAddrPort(hostAddr))
	require.ErrorIs(t, err, net.ErrClosed)
	require.Empty(t, sent)
}

func TestConn_LocalAddr(t *testing.T) {
	for local, want := range map[string]string{
		"127.0.0.1:5060":          "127.0.0.1:5060",
		"[::ffff:127.0.0.1]:5060": "127.0.0.1:5060",
		"[fe80::1%lo]:5060":       "[fe80::1]:5060",
		"[::]:5060":               "[::]:5060",
		"0.0.0.0:5060":            "0.0.0.0:5060",
	} {
		c := NewConn(net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local)), nil)
		require.Equal(t, want, c.LocalAddr().String())
		a, err := newAgent(Listener{Conn: c, Advertise: "a:5060"})
		require.NoError(t, err)
		require.Equal(t, want, a.laddr.String(), "sipgo looks the connection up by this text")
	}
}
