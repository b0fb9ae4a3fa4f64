package transport

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Receiving, handling, sending and reporting allocate nothing per datagram.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, c := range []struct {
		name       string
		listen, ip netip.Addr
		dead       bool
		bogus      netip.Addr
	}{
		{name: "live", listen: loopback6, ip: loopback6},
		{name: "with a dead destination", listen: loopback6, ip: loopback6, dead: true},
		{name: "wildcard", listen: wildcard4, ip: loopback4},
		{name: "wildcard with a dead destination", listen: wildcard6, ip: loopback6, dead: true},
		{name: "wildcard without the local address", listen: wildcard4, ip: loopback4, bogus: bogus4},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := listenOn(t, 1, c.listen)
			dead := closedPort(t, c.ip)
			serve(t, u, handler{packets: func(in []Packet, out *Batch) {
				if c.dead {
					out.SendFrom(0, in[0].Local, dead, append(out.Buf(), "dead"...))
				}
				if c.bogus.IsValid() {
					in[0].Local = c.bogus
				}
				echo(in, out)
			}})
			conn, _ := peer(t, c.ip)
			msg, buf := make([]byte, 900), make([]byte, 2000)
			dest := netip.AddrPortFrom(c.ip, u.Addrs()[0].Port())
			roundTrip := func() {
				for range 10 {
					_, err := conn.WriteToUDPAddrPort(msg, dest)
					if err == nil {
						_, _, err = conn.ReadFromUDPAddrPort(buf)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			roundTrip()
			require.Zero(t, testing.AllocsPerRun(100, roundTrip))
			if c.dead {
				require.NotZero(t, total(u).ICMP)
			}
			require.Equal(t, c.bogus.IsValid(), total(u).LocalRefused > 0)
		})
	}
}

func TestWriteToAllocatesNothing(t *testing.T) {
	u := listenOn(t, 1, loopback4)
	_, addr := peer(t, loopback4)
	msg := make([]byte, 400)
	require.NoError(t, u.WriteTo(0, msg, addr))
	// Less than one: the pool of senders may be emptied by a collection.
	require.Less(t, testing.AllocsPerRun(100, func() { _ = u.WriteTo(0, msg, addr) }), 1.0)
}

// BenchmarkEcho is one datagram of 900 bytes there and back, 32 under way:
// two sends and two receives, both ends in batches. A wildcard server reads the
// address each was sent to and answers from it.
func BenchmarkEcho(b *testing.B) {
	b.Run("bound", func(b *testing.B) { benchmarkEcho(b, loopback4, loopback4) })
	b.Run("wildcard", func(b *testing.B) { benchmarkEcho(b, wildcard4, loopback4) })
	b.Run("bound6", func(b *testing.B) { benchmarkEcho(b, loopback6, loopback6) })
	b.Run("wildcard6", func(b *testing.B) { benchmarkEcho(b, wildcard6, loopback6) })
}

func benchmarkEcho(b *testing.B, listen, ip netip.Addr) {
	const window = 32
	server, client := listenOn(b, 1, listen), listenOn(b, 1, ip)
	serve(b, server, handler{packets: echo})
	var left atomic.Int64
	done := make(chan struct{}, 1) // the last may be back before anybody waits
	serve(b, client, handler{packets: func(in []Packet, out *Batch) {
		echo(in, out)
		if left.Add(-int64(len(in))) <= 0 {
			select {
			case done <- struct{}{}:
			default:
			}
			out.Reset()
		}
	}})
	dest, msg := netip.AddrPortFrom(ip, server.Addrs()[0].Port()), make([]byte, 900)
	left.Store(int64(b.N))
	var out Batch
	for range min(window, b.N) {
		out.Send(0, dest, append(out.Buf(), msg...))
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	b.ResetTimer()
	client.Sender(0).Flush(Now(), &out, handler{})
	<-done
}

// BenchmarkSend is one datagram of 900 bytes sent in batches of 32.
func BenchmarkSend(b *testing.B) {
	b.Run("bound", func(b *testing.B) { benchmarkSend(b, loopback4, netip.Addr{}) })
	b.Run("wildcard", func(b *testing.B) { benchmarkSend(b, wildcard4, netip.Addr{}) })
	b.Run("wildcard from an address", func(b *testing.B) { benchmarkSend(b, wildcard4, loopback4) })
	b.Run("wildcard from a lost address", func(b *testing.B) { benchmarkSend(b, wildcard4, bogus4) })
}

func benchmarkSend(b *testing.B, listen, local netip.Addr) {
	const batch = 32
	u := listenOn(b, 1, listen)
	_, addr := peer(b, loopback4)
	s, msg := u.Sender(0), make([]byte, 900)
	var out Batch
	b.ReportAllocs()
	for i := 0; i < b.N; i += batch {
		for range batch {
			out.SendFrom(0, local, addr, append(out.Buf(), msg...))
		}
		s.Flush(Now(), &out, handler{})
	}
}
