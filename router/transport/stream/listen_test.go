package stream

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

func TestListenErrors(t *testing.T) {
	_, err := Listen(Config{})
	require.EqualError(t, err, "stream: no address to listen on")
	_, err = Listen(Config{Listeners: []Listener{{}}})
	require.ErrorContains(t, err, "not an address to listen on")
	free := netip.AddrPortFrom(loopback4, 0)
	_, err = Listen(Config{Listeners: []Listener{{Index: 3, Addr: free}, {Index: 3, Addr: free}}})
	require.ErrorContains(t, err, "index 3 is another listener's")
	_, err = Listen(Config{Listeners: []Listener{{Addr: free, TLS: new(ServerTLS)}}})
	require.ErrorContains(t, err, "no certificate")

	_, taken := far(t, loopback4)
	first := Listener{Index: 1, Addr: free}
	_, err = Listen(Config{Listeners: []Listener{first, {Index: 2, Addr: taken}}})
	require.EqualError(t, err, "tcp "+taken.String()+" is in use by another process: listen tcp4 "+taken.String()+": bind: address already in use")
	a := newAuthority(t, "ca")
	_, err = Listen(Config{Listeners: []Listener{{Addr: taken, TLS: &ServerTLS{Certificates: a.issue(dns("x"))}}}})
	require.ErrorContains(t, err, "tls "+taken.String()+" is in use")
}

// An address that was served is free again at once, whoever closed the
// connections.
func TestAddressIsFreeAfterClose(t *testing.T) {
	cfg := tcp(Limits{})
	for range 5 {
		s, err := Listen(cfg)
		require.NoError(t, err)
		done := make(chan error, 1)
		r := &rig{Streams: s, t: t}
		go func() { done <- s.Serve(r, r.flushTo) }()
		p := r.call()
		p.echoes("x")
		s.Close()
		require.NoError(t, <-done)
		p.closed()
		cfg.Listeners[0].Addr = s.Addrs()[0]
	}
}

func TestServeOnceAndClose(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	require.EqualError(t, r.Serve(r, r.flushTo), "stream: served already")
	r.Close()
	r.Close()
	require.ErrorIs(t, r.Send(7, r.Addrs()[0], []byte("x")), net.ErrClosed)
	require.EqualError(t, r.Send(8, r.Addrs()[0], []byte("x")), "stream: no listener 8")

	s, err := Listen(tcp(Limits{}))
	require.NoError(t, err)
	require.ErrorIs(t, s.Send(7, r.Addrs()[0], []byte("x")), net.ErrClosed, "before Serve")
	s.Close()
	require.NoError(t, s.Serve(r, r.flushTo))
}

// Several listeners are told apart, and a wildcard's connections by the address
// that they came to; what we open leaves from a listener's own address.
func TestListeners(t *testing.T) {
	other := netip.MustParseAddr("127.0.0.5")
	cfg := Config{Listeners: []Listener{
		{Index: 2, Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 0)},
		{Index: 5, Addr: netip.AddrPortFrom(other, 0)},
		{Index: 9, Addr: netip.AddrPortFrom(netip.IPv6Unspecified(), 0)},
	}}
	r := serve(t, cfg)
	addrs := r.Addrs()
	for i, c := range []struct {
		to    netip.AddrPort
		index int
		local netip.Addr
	}{
		{netip.AddrPortFrom(loopback4, addrs[0].Port()), 2, loopback4},
		{netip.AddrPortFrom(other, addrs[0].Port()), 2, other},
		{addrs[1], 5, netip.Addr{}},
		{netip.AddrPortFrom(loopback6, addrs[2].Port()), 9, loopback6},
	} {
		conn, err := net.Dial("tcp", c.to.String())
		require.NoError(t, err)
		p := newPhone(t, conn)
		p.echoes("x")
		got := r.received()[i]
		require.Equal(t, c.index, got.listener)
		require.Equal(t, c.local, got.local)
		require.Equal(t, p.addr(), got.source)
	}
	_, err := net.Dial("tcp", netip.AddrPortFrom(loopback4, addrs[2].Port()).String())
	require.Error(t, err, "an IPv6 listener takes no IPv4")
	for index, ip := range map[int]netip.Addr{2: loopback4, 5: other, 9: loopback6} {
		at := loopback4
		if ip.Is6() {
			at = loopback6
		}
		ln, dest := far(t, at)
		require.NoError(t, r.Send(index, dest, []byte(request("y"))))
		conn, err := ln.Accept()
		require.NoError(t, err)
		require.Equal(t, ip, unmap(conn.RemoteAddr().(*net.TCPAddr).AddrPort()).Addr())
		_ = conn.Close()
	}
}

// A peer whose messages take long to handle is read no faster than that; others
// do not wait for it, nor does what is sent to it.
func TestHandlerThatIsSlow(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	r := serve(t, tcp(Limits{}), func(r *rig) {
		r.answer = func(in []transport.Packet, out *transport.Batch) {
			if string(in[0].Data) == request("slow") {
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			echo(in, out)
		}
	})
	r.beside(func() {
		p := r.call()
		p.write(request("slow"))
		r.eventually(func() bool { return len(r.received()) > 1 })
		written := make(chan int, 1)
		go func() {
			_ = p.SetWriteDeadline(time.Now().Add(time.Second))
			n, chunk := 0, make([]byte, 1<<20)
			for {
				m, err := p.Write(chunk)
				if n += m; err != nil {
					written <- n
					return
				}
			}
		}()
		require.Less(t, <-written, 64<<20, "nobody holds it up")
		require.NoError(t, r.Send(7, p.addr(), []byte("SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\n")))
		head, _ := p.read()
		require.Contains(t, head, "100 Trying")
		close(release)
		_, body := p.read()
		require.Equal(t, "slow", body)
	})
}
