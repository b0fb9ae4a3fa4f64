package transport

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Receiving, handling, sending and reporting allocate nothing per datagram.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		dead bool
	}{{"live", false}, {"with a dead destination", true}} {
		t.Run(c.name, func(t *testing.T) {
			u := listenOn(t, 1, loopback6)
			dead := closedPort(t, loopback6)
			serve(t, u, handler{packets: func(in []Packet, out *Batch) {
				if c.dead {
					out.Send(0, dead, append(out.Buf(), "dead"...))
				}
				echo(in, out)
			}})
			conn, _ := peer(t, loopback6)
			msg, buf := make([]byte, 900), make([]byte, 2000)
			dest := u.Addrs()[0]
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
// two sends and two receives, both ends in batches.
func BenchmarkEcho(b *testing.B) {
	const window = 32
	server, client := listenOn(b, 1, loopback4), listenOn(b, 1, loopback4)
	serve(b, server, handler{packets: echo})
	var left atomic.Int64
	done := make(chan struct{})
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
	dest, msg := server.Addrs()[0], make([]byte, 900)
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
	const batch = 32
	u := listenOn(b, 1, loopback4)
	_, addr := peer(b, loopback4)
	s, msg := u.Sender(0), make([]byte, 900)
	var out Batch
	b.ReportAllocs()
	for i := 0; i < b.N; i += batch {
		for range batch {
			out.Send(0, addr, append(out.Buf(), msg...))
		}
		s.Flush(Now(), &out, handler{})
	}
}
