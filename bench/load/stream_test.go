package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/bench/cert"
)

// overStreams is a generator over TCP or TLS that calls an address, and answers
// at another.
func overStreams(t *testing.T, transport string, proxy, connector netip.AddrPort, callers int) *Generator {
	t.Helper()
	cfg := Config{Proxy: proxy, From: loopback, Connectors: []netip.AddrPort{connector}, Number: number, Transport: transport, Sources: callers}
	if transport == TLS {
		files, err := cert.Make(t.TempDir(), loopback.Addr(), netip.MustParseAddr("127.89.0.1"), netip.MustParseAddr("127.89.0.11"))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Client, cfg.Server, err = files.Configs(); err != nil {
			t.Fatal(err)
		}
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// Without a proxy between, all calls come through every connection.
func TestStreamsWithoutProxy(t *testing.T) {
	for _, transport := range []string{TCP, TLS} {
		t.Run(transport, func(t *testing.T) {
			g := overStreams(t, transport, loopback, loopback, 7)
			if err := g.Aim(g.Connector(0)); err != nil {
				t.Fatal(err)
			}
			w := g.Window("all")
			run(t, g, 1000, 1000)
			r := w.Report()
			t.Log(r)
			want := with(nil)
			for k := range want {
				want[k] *= 100
			}
			want[Trying] = 0
			counted(t, r, want)
			run(t, g, 1000, 10) // on the same connections
			if n := w.Count(Good); n != 1010 || len(g.sources[6].conns) != 1 {
				t.Errorf("%d calls, and %d connections of the last caller", n, len(g.sources[6].conns))
			}
		})
	}
}

// relay passes what callers send on to a connector and back, through a function,
// in pieces of any size.
func relay(t *testing.T, g *Generator, piece int, upstream func(io.Reader) io.Reader) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	pass := func(to net.Conn, from io.Reader) {
		buf := make([]byte, piece)
		for {
			n, err := from.Read(buf)
			if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
				_ = to.Close()
				return
			}
		}
	}
	go func() {
		for {
			caller, err := ln.Accept()
			if err != nil {
				return
			}
			connector, err := net.Dial("tcp4", g.Connector(0).String())
			if err != nil {
				_ = caller.Close()
				return
			}
			go pass(connector, caller)
			go pass(caller, upstream(connector))
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// Messages are found whatever they are cut into: their Contact leads to the
// connector and not to the relay, which is no proxy of theirs.
func TestStreamsCut(t *testing.T) {
	for _, piece := range []int{1, 7, 1000, 100_000} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			g := overStreams(t, TCP, loopback, loopback, 1)
			if err := g.Aim(relay(t, g, piece, func(r io.Reader) io.Reader { return r })); err != nil {
				t.Fatal(err)
			}
			g.cfg.Timeout = time.Second
			w := g.Window("all")
			run(t, g, 1000, some)
			counted(t, w.Report(), lost(map[Kind]int{LostAnswer: some, Trying: 0, WrongRoute: some}))
		})
	}
}

// What is no SIP ends its connection, and what was lost with it is counted. The
// next calls have a new one.
func TestStreamsGarbled(t *testing.T) {
	g := overStreams(t, TCP, loopback, loopback, 1)
	bad := true
	proxy := relay(t, g, 100_000, func(r io.Reader) io.Reader {
		if bad {
			bad = false
			return io.MultiReader(strings.NewReader("SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n"), r)
		}
		return r
	})
	w := g.Window("all")
	if err := g.Aim(proxy); err != nil {
		t.Fatal(err)
	}
	g.cfg.Timeout = time.Second
	comes(t, w, Broken, 1)
	run(t, g, 1000, some)
	if r := w.Report(); r.Counts[Forwarded] != some || r.Counts[SendFailed] != 0 {
		t.Error(r)
	}
}

// A connection that breaks is no success.
func TestStreamsBroken(t *testing.T) {
	g := overStreams(t, TCP, loopback, loopback, 2)
	proxy := relay(t, g, 100_000, func(io.Reader) io.Reader { return strings.NewReader("") })
	if err := g.Aim(proxy); err != nil {
		t.Fatal(err)
	}
	g.cfg.Timeout = time.Second
	w := g.Window("all")
	run(t, g, 1000, some)
	if r := w.Report(); r.Counts[Good] != 0 || r.Counts[Failed] != some || r.Counts[Broken] < 2 {
		t.Error(r)
	}
	if err := g.Aim(loopback); err == nil {
		t.Error("there is a connection to nobody")
	}
}

// Connections that end when calls have gone to another proxy since are not
// counted: nobody uses them.
func TestStreamsLeft(t *testing.T) {
	g := overStreams(t, TCP, loopback, loopback, 1)
	end := make(chan struct{})
	left := relay(t, g, 100_000, func(r io.Reader) io.Reader {
		return readerFunc(func([]byte) (int, error) {
			<-end
			_ = r.(io.Closer).Close() // the connector's too
			return 0, io.EOF
		})
	})
	if err := g.Aim(left); err != nil {
		t.Fatal(err)
	}
	if err := g.Aim(relay(t, g, 100_000, func(r io.Reader) io.Reader { return r })); err != nil {
		t.Fatal(err)
	}
	w := g.Window("all")
	g.mu.Lock()
	c := g.sources[0].conns[left]
	g.mu.Unlock()
	close(end)
	for gone := false; !gone; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		gone = c.gone
		g.mu.Unlock()
	}
	if r := w.Report(); r.Counts[Broken] != 0 {
		t.Error(r)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// A handshake that agrees on another cipher than all others have is none.
func TestStreamsSuite(t *testing.T) {
	g := overStreams(t, TLS, loopback, loopback, 1)
	cfg := g.cfg.Client.Clone()
	cfg.ServerName, cfg.MinVersion, cfg.MaxVersion = loopback.Addr().String(), tls.VersionTLS12, tls.VersionTLS12
	cfg.VerifyConnection = nil
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp4", g.Connector(0).String()); err == nil {
		t.Error("TLS 1.2 is taken")
	}
}

func TestStreamSettings(t *testing.T) {
	for _, cfg := range []Config{{Transport: "sctp"}, {Transport: TLS}, {Transport: TCP, Retransmit: true}} {
		cfg.Proxy, cfg.From, cfg.Number = loopback, loopback, number
		if g, err := New(cfg); err == nil {
			g.Close()
			t.Errorf("%+v is taken", cfg)
		}
	}
}
