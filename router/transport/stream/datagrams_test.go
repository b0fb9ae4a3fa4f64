package stream_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
	"tandem/router/transport/stream"
)

// A gateway is as the package doc says that a core is wired: one Handler for
// datagrams and streams. What comes by one leaves by the other.
type gateway struct {
	datagrams *transport.UDP
	streams   *stream.Streams
	senders   sync.Pool // *sending

	callee netip.AddrPort
	mu     sync.Mutex
	caller netip.AddrPort
}

type sending struct {
	*transport.Sender
	batch transport.Batch
}

func (g *gateway) Packets(_ int64, in []transport.Packet, out *transport.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range in {
		if p.Listener == 0 {
			g.caller = p.Source
			out.Send(1, g.callee, append(out.Buf(), p.Data...))
		} else {
			out.Send(0, g.caller, append(out.Buf(), p.Data...))
		}
	}
}

func (g *gateway) Unreachable(_ int64, u transport.Unreachable, out *transport.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out.Send(0, g.caller, fmt.Appendf(out.Buf(), "SIP/2.0 503 %s\r\nContent-Length: 0\r\n\r\n", u.Dest))
}

func (g *gateway) flush(now int64, out *transport.Batch) {
	g.streams.Flush(out)
	s := g.senders.Get().(*sending)
	for i := range out.Len() {
		if listener, dest, data := out.At(i); listener == 0 {
			s.batch.SendFrom(listener, out.Local(i), dest, append(s.batch.Buf(), data...))
		}
	}
	s.Flush(now, &s.batch, g)
	g.senders.Put(s)
	out.Reset()
}

// fromDatagrams is the Handler of the datagrams: what it leaves for streams is
// sent before the worker sends the rest, which is all that stays.
type fromDatagrams struct{ *gateway }

func (g fromDatagrams) Packets(now int64, in []transport.Packet, out *transport.Batch) {
	g.gateway.Packets(now, in, out)
	g.flush(now, out)
}

func TestBesideDatagrams(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	g := &gateway{callee: netip.MustParseAddrPort(ln.Addr().String())}
	for g.streams == nil { // the same port for both, which may be taken for one
		g.datagrams, err = transport.Listen(transport.Config{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
		require.NoError(t, err)
		g.streams, err = stream.Listen(stream.Config{Listeners: []stream.Listener{{Index: 1, Addr: g.datagrams.Addrs()[0]}}})
		if err != nil {
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			require.NoError(t, g.datagrams.Close())
		}
	}
	udp := g.datagrams
	g.senders.New = func() any { return &sending{Sender: udp.Sender(0)} }
	var served sync.WaitGroup
	served.Go(func() { _ = udp.Serve(fromDatagrams{g}) })
	served.Go(func() { _ = g.streams.Serve(g, g.flush) })
	t.Cleanup(func() {
		_ = udp.Close()
		g.streams.Close()
		served.Wait()
	})

	caller, err := net.Dial("udp", udp.Addrs()[0].String())
	require.NoError(t, err)
	defer caller.Close()
	require.NoError(t, caller.SetDeadline(time.Now().Add(10*time.Second)))
	says := func() string {
		buf := make([]byte, 1000)
		n, err := caller.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}

	const invite = "INVITE sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"
	for { // Serve has begun when it is not refused
		_, err = caller.Write([]byte(invite))
		require.NoError(t, err)
		require.NoError(t, ln.(*net.TCPListener).SetDeadline(time.Now().Add(100*time.Millisecond)))
		if conn, err := ln.Accept(); err == nil {
			defer conn.Close()
			r := bufio.NewReader(conn)
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "INVITE sip:a SIP/2.0\r\n", line)
			const ok = "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
			_, err = conn.Write([]byte(ok))
			require.NoError(t, err)
			require.Equal(t, ok, says())
			break
		}
	}

	require.NoError(t, ln.Close())
	g.mu.Lock()
	g.callee = netip.MustParseAddrPort("127.0.0.1:1") // nobody
	g.mu.Unlock()
	_, err = caller.Write([]byte(invite))
	require.NoError(t, err)
	require.Contains(t, says(), "503 127.0.0.1:1")
}
