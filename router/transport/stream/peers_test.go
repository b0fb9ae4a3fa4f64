package stream

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// beside runs good traffic on a connection of its own while f runs, and checks
// that it passed, before, meanwhile and after.
func (r *rig) beside(f func()) {
	r.t.Helper()
	p := r.call()
	p.echoes("before")
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			body := fmt.Sprint("good ", i)
			if _, err := io.WriteString(p, request(body)); err != nil {
				done <- err
				return
			}
			if _, got, err := p.tryRead(); err != nil || got != body {
				done <- fmt.Errorf("%q instead of %q: %w", got, body, err)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	f()
	close(stop)
	require.NoError(r.t, <-done, "good traffic beside")
	p.echoes("after")
	_ = p.Close()
}

func TestBadFraming(t *testing.T) {
	for why, text := range map[End]string{
		LongHeader: "INVITE sip:a SIP/2.0\r\nX: " + strings.Repeat("x", 16<<10),
		LongBody:   "INVITE sip:a SIP/2.0\r\nContent-Length: 262145\r\n\r\n",
		NoLength:   "INVITE sip:a SIP/2.0\r\n\r\n",
		BadLength:  "INVITE sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n",
	} {
		t.Run(why.String(), func(t *testing.T) {
			r := serve(t, tcp(Limits{}))
			r.beside(func() {
				p := r.call()
				p.write(request("good") + text)
				_, body := p.read() // what came before is answered
				require.Equal(t, "good", body)
				p.closed()
				r.ends(why, 1)
			})
			require.Contains(t, strings.Join(r.logs.lines(), "\n"), why.String())
			for _, packet := range r.received() {
				require.NotContains(t, packet.data, "sip:a", "the bad one was handed on")
			}
		})
	}
}

// A header without an end is not read to its end.
func TestEndlessHeader(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	r.beside(func() {
		p := r.call()
		sent := 0
		for {
			n, err := io.WriteString(p, strings.Repeat("X: y\r\n", 1000))
			if sent += n; err != nil {
				break
			}
			require.Less(t, sent, 64<<20)
		}
		r.ends(LongHeader, 1)
	})
}

// A Content-Length that is too small makes a body the next message: whatever
// that is, the framing says so or the core does.
func TestContentLengthTooSmall(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	p := r.call()
	p.write("INVITE sip:a SIP/2.0\r\nContent-Length: 2\r\n\r\nabXYZ\r\n\r\n")
	_, body := p.read()
	require.Equal(t, "ab", body)
	p.closed()
	r.ends(NoLength, 1)
}

// One that is too great makes us wait, but not for long; so does a peer that
// sends a byte a second, wherever in a message it does.
func TestSlowMessage(t *testing.T) {
	for name, text := range map[string]string{
		"body that never comes":   "INVITE sip:a SIP/2.0\r\nContent-Length: 999\r\n\r\nabc",
		"long one that stops":     "INVITE sip:a SIP/2.0\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 150000),
		"header that never ends":  "INVITE sip:a SIP/2.0\r\nX: y",
		"one letter":              "I",
		"long header that stops":  "INVITE sip:a SIP/2.0\r\nX: " + strings.Repeat("y", 15000),
		"carriage return and end": "\r",
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, tcp(Limits{}))
			r.beside(func() {
				p := r.call()
				p.echoes("first")
				p.write(text)
				r.eventually(func() bool { return r.begun() == 1 })
				r.pass(10 * time.Second)
				r.sweep(r.now(), nil)
				require.Zero(t, r.stats().Ended[SlowMessage])
				r.pass(time.Nanosecond)
				p.closed()
				r.ends(SlowMessage, 1)
			})
		})
	}
}

// begun is how many connections are within a message.
func (r *rig) begun() (n int) {
	r.Streams.mu.RLock()
	defer r.Streams.mu.RUnlock()
	for c := range r.all {
		if c.begun.Load() != 0 {
			n++
		}
	}
	return n
}

func TestOneByteASecond(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	p := r.call()
	text := request("in time")
	for i := range text { // within the time for a message
		p.write(text[i : i+1])
		r.pass(10 * time.Second / time.Duration(len(text)+1))
	}
	_, body := p.read()
	require.Equal(t, "in time", body)
	conn := r.theOne()
	for at := 0; ; at = (at + 1) % len(text) { // a byte a second
		p.write(text[at : at+1])
		if at == 0 {
			r.eventually(func() bool { return conn.begun.Load() != 0 })
		}
		r.pass(time.Second)
		if r.sweep(r.now(), nil); conn.ending.Load() != nil {
			require.Equal(t, 10, at)
			break
		}
	}
	p.closed()
	r.ends(SlowMessage, 1)
}

// theOne is the only connection.
func (r *rig) theOne() (one *conn) {
	r.t.Helper()
	r.Streams.mu.RLock()
	defer r.Streams.mu.RUnlock()
	require.Len(r.t, r.all, 1)
	for one = range r.all {
	}
	return one
}

// Messages that are there at once come in few calls, in their order, whatever
// the pieces they come in, and so do the answers.
func TestPipelined(t *testing.T) {
	for _, piece := range []int{1 << 30, 1400, 7} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			const count = 1000
			r := serve(t, tcp(Limits{}))
			r.beside(func() {
				p := r.call()
				var text strings.Builder
				for i := range count {
					text.WriteString(request(fmt.Sprintf("%d %s", i, strings.Repeat("x", i%300))))
				}
				go func() {
					all := text.String()
					for len(all) > 0 {
						n, err := io.WriteString(p, all[:min(piece, len(all))])
						if err != nil {
							return // the reads tell
						}
						all = all[n:]
					}
				}()
				for i := range count {
					_, body := p.read()
					require.True(t, strings.HasPrefix(body, fmt.Sprint(i, " ")), "%d: %.20q", i, body)
				}
			})
			if piece == 1<<30 {
				require.Less(t, r.calls(), len(r.received())-count/2, "calls of the Handler")
			}
		})
	}
}

// A connection that is reset within a message costs nobody anything.
func TestResetWithinMessage(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	r.beside(func() {
		for range 20 {
			p := r.call()
			p.write("INVITE sip:a SIP/2.0\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000))
			r.eventually(func() bool { return r.begun() >= 1 })
			require.NoError(t, p.Conn.(*net.TCPConn).SetLinger(0))
			require.NoError(t, p.Close())
		}
		r.ends(Reset, 20)
	})
	for range 5 { // closed, not reset
		p := r.call()
		p.write("INVITE sip:a SIP/2.0\r\nContent-Length: 100\r\n\r\n")
		require.NoError(t, p.Close())
	}
	r.ends(CutShort, 5)
}

func TestIdleConnectionIsClosed(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	quiet, pinging, talking := r.call(), r.call(), r.call()
	for range 5 {
		r.pass(4 * time.Minute)
		pinging.write("\r\n\r\n")
		pong := make([]byte, 2)
		_, err := io.ReadFull(pinging.r, pong)
		require.NoError(t, err)
		require.Equal(t, "\r\n", string(pong))
		talking.echoes("x")
	}
	quiet.closed()
	r.ends(Idle, 1)
	require.EqualValues(t, 5, r.stats().PingsIn)
	require.Equal(t, 2, r.stats().Open)
	require.Empty(t, r.logs.lines()[0], "ordinary, and logged")
}

// refused is a call that is not taken.
func (r *rig) refused() {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Addrs()[0].String())
	if err == nil { // else it was reset already
		newPhone(r.t, conn).closed()
	}
}

func TestConnectionLimits(t *testing.T) {
	t.Run("total", func(t *testing.T) {
		r := serve(t, tcp(Limits{Connections: 3}))
		a, b, c := r.call(), r.call(), r.call()
		c.echoes("it is there")
		r.refused()
		r.ends(TooMany, 1)
		a.echoes("one")
		b.echoes("two")
		require.NoError(t, a.Close())
		r.ends(ByPeer, 1)
		r.call().echoes("room again")
	})
	t.Run("of a source", func(t *testing.T) {
		r := serve(t, tcp(Limits{PerSource: 2}))
		a, b := r.call(), r.call()
		b.echoes("it is there")
		for range 30 {
			r.refused()
		}
		r.ends(TooManyOfSource, 30)
		a.echoes("one")
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		conn, err := d.Dial("tcp", r.Addrs()[0].String())
		require.NoError(t, err)
		newPhone(t, conn).echoes("another source")
		require.LessOrEqual(t, len(r.logs.lines()), logBurst+1)
	})
}

// Incomplete messages of all connections together are bounded, and those of one
// address to a quarter; others pass.
func TestMemoryOfIncompleteMessages(t *testing.T) {
	const half, most = 100_000, 1 << 20
	r := serve(t, tcp(Limits{Memory: most}))
	from := func(address string) *phone {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		conn, err := d.Dial("tcp", r.Addrs()[0].String())
		require.NoError(t, err)
		return newPhone(t, conn)
	}
	begin := func(p *phone) { // may be refused before all is written
		_, _ = io.WriteString(p, fmt.Sprintf("INVITE sip:a SIP/2.0\r\nContent-Length: %d\r\n\r\n%s", 2*half, strings.Repeat("x", half)))
	}
	r.beside(func() {
		for range 20 {
			begin(from("127.0.0.9"))
		}
		r.eventually(func() bool { return r.stats().Ended[NoMemory] >= 20-most/memoryShare/half })
		require.LessOrEqual(t, r.holding.Load(), int64(most/memoryShare))
		was, other := r.holding.Load(), from("127.0.0.10")
		begin(other)
		r.eventually(func() bool { return r.holding.Load() >= was+half })
		other.write(strings.Repeat("x", half))
		_, body := other.read()
		require.Len(t, body, 2*half)

		for i := range 20 {
			begin(from(fmt.Sprint("127.0.1.", i+1)))
		}
		r.eventually(func() bool { return r.stats().Ended[NoMemory] >= 40-most/memoryShare/half-most/half })
		require.LessOrEqual(t, r.holding.Load(), int64(most))
	})
}

// What is held is by what came, and not by what its length says.
func TestMemoryOfALengthAlone(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	p, begun := r.call(), "INVITE sip:a SIP/2.0\r\nContent-Length: 250000\r\n\r\n"+strings.Repeat("x", 3000)
	p.write(begun)
	r.eventually(func() bool { return r.holding.Load() > 0 })
	require.LessOrEqual(t, r.holding.Load(), int64(2*len(begun)))
	p.write(strings.Repeat("x", 247_000))
	_, body := p.read()
	require.Len(t, body, 250_000)
}
