package stream

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMessagesComeAndGo(t *testing.T) {
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		cfg := tcp(Limits{})
		cfg.Listeners[0].Addr = netip.AddrPortFrom(ip, 0)
		r := serve(t, cfg)
		p := r.call()
		p.echoes("")
		p.echoes("hello")
		p.echoes(strings.Repeat("x", 60000))
		got := r.received()
		require.Len(t, got, 3)
		require.Equal(t, packet{data: request("hello"), source: p.addr(), listener: 7}, got[1])
		require.NoError(t, p.Close())
		r.ends(ByPeer, 1)
		st := r.stats()
		require.EqualValues(t, 1, st.Accepted)
		require.EqualValues(t, 3, st.Received)
		require.EqualValues(t, 3, st.Sent)
		require.EqualValues(t, 1, st.Sum())
	}
}

// What we send to an address without a connection opens one, from the address
// of the listener; what comes back on it is received, and what follows takes it.
func TestSendDials(t *testing.T) {
	for _, ip := range []netip.Addr{loopback4, netip.MustParseAddr("127.0.0.9"), loopback6} {
		cfg := tcp(Limits{})
		cfg.Listeners[0].Addr = netip.AddrPortFrom(ip, 0)
		r := serve(t, cfg)
		ln, dest := far(t, ip)
		require.NoError(t, r.Send(7, dest, []byte(request("one"))))
		conn, err := ln.Accept()
		require.NoError(t, err)
		p := newPhone(t, conn)
		from := unmap(conn.RemoteAddr().(*net.TCPAddr).AddrPort())
		require.Equal(t, ip, from.Addr())
		require.NotEqual(t, r.Addrs()[0].Port(), from.Port())
		_, body := p.read()
		require.Equal(t, "one", body)
		for i := range 100 {
			require.NoError(t, r.Send(7, dest, fmt.Appendf(nil, "ACK sip:x SIP/2.0\r\nContent-Length: 3\r\n\r\n%03d", i)))
			_, body := p.read()
			require.Equal(t, fmt.Sprintf("%03d", i), body)
		}
		p.write("SIP/2.0 200 OK\r\nl:0\r\n\r\n")
		r.arrive(1)
		require.Equal(t, dest, r.received()[0].source)
		p.echoes("a request on it")
		require.EqualValues(t, 1, r.stats().Connected)
		require.EqualValues(t, 1, r.stats().Dialled)
		require.Zero(t, r.stats().Undelivered)
	}
}

// far is a listener of somebody else's.
func far(t testing.TB, ip netip.Addr) (*net.TCPListener, netip.AddrPort) {
	t.Helper()
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	return ln, unmap(ln.Addr().(*net.TCPAddr).AddrPort())
}
