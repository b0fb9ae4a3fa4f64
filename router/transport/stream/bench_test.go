package stream

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

// mirror sends every packet back as it is, and allocates nothing.
type mirror struct{ s *Streams }

func (m *mirror) Packets(_ int64, in []transport.Packet, out *transport.Batch) {
	for _, p := range in {
		out.Send(p.Listener, p.Source, append(out.Buf(), p.Data...))
	}
}

func (m *mirror) Unreachable(int64, transport.Unreachable, *transport.Batch) {}

func (m *mirror) flush(_ int64, out *transport.Batch) {
	m.s.Flush(out)
	out.Reset()
}

func mirrored(t testing.TB, cfg Config) *mirror {
	t.Helper()
	s, err := Listen(cfg)
	require.NoError(t, err)
	m := &mirror{s}
	done := make(chan error, 1)
	go func() { done <- s.Serve(m, m.flush) }()
	t.Cleanup(func() {
		s.Close()
		require.NoError(t, <-done)
	})
	return m
}

// bounce sends text and waits until it is back.
func bounce(t testing.TB, conn net.Conn, text, buf []byte) {
	if _, err := conn.Write(text); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, buf[:len(text)]); err != nil {
		t.Fatal(err)
	}
}

// What passes allocates nothing over TCP.
func TestPassingAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	m := mirrored(t, tcp(Limits{}))
	conn, err := net.Dial("tcp", m.s.Addrs()[0].String())
	require.NoError(t, err)
	p := newPhone(t, conn)
	text, buf := []byte(request(strings.Repeat("x", 500))), make([]byte, 1000)
	require.Less(t, testing.AllocsPerRun(2000, func() { bounce(t, p, text, buf) }), 0.5)
}

// BenchmarkPipeline is BenchmarkBounce with 20 messages at a time.
func BenchmarkPipeline(b *testing.B) {
	const at = 20
	text := []byte(strings.Repeat(request(strings.Repeat("x", 500)), at))
	buf := make([]byte, len(text))
	m := mirrored(b, tcp(Limits{}))
	conn, err := net.Dial("tcp", m.s.Addrs()[0].String())
	require.NoError(b, err)
	defer conn.Close()
	b.ReportAllocs()
	for n := 0; n < b.N; n += at {
		bounce(b, conn, text, buf)
	}
}

func BenchmarkBounce(b *testing.B) {
	text, buf := []byte(request(strings.Repeat("x", 500))), make([]byte, 1000)
	b.Run("TCP", func(b *testing.B) {
		m := mirrored(b, tcp(Limits{}))
		conn, err := net.Dial("tcp", m.s.Addrs()[0].String())
		require.NoError(b, err)
		defer conn.Close()
		b.ReportAllocs()
		for b.Loop() {
			bounce(b, conn, text, buf)
		}
	})
	b.Run("TLS", func(b *testing.B) {
		a := newAuthority(b, "ca")
		m := mirrored(b, secured(a, Limits{}))
		r := &rig{Streams: m.s, t: b}
		conn := r.callTLS(a)
		defer conn.Close()
		b.ReportAllocs()
		for b.Loop() {
			bounce(b, conn.Conn, text, buf)
		}
	})
	b.Run("plain net.Conn", func(b *testing.B) { // the floor
		ln, dest := far(b, loopback4)
		go func() {
			conn, err := ln.Accept()
			if err == nil {
				_, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
			}
		}()
		conn, err := net.Dial("tcp", dest.String())
		require.NoError(b, err)
		defer conn.Close()
		b.ReportAllocs()
		for b.Loop() {
			bounce(b, conn, text, buf)
		}
	})
}
