package stream

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

// A peer that does not read costs us the bytes that it may, then nothing: what
// has no room is reported, Send does not wait, and in the end so is the rest.
func TestSlowReader(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	_, dest := far(t, loopback4) // the system accepts for it, and nobody reads
	const size, most = 50000, 2000
	body := strings.Repeat("x", size)
	sent := 0
	r.beside(func() {
		more := func() {
			require.NoError(t, r.Send(7, dest, fmt.Appendf(nil, "MESSAGE sip:%d SIP/2.0\r\nContent-Length: %d\r\n\r\n%s", sent, size, body)))
			sent++
		}
		for r.stats().QueueFull == 0 {
			require.Less(t, sent, most, "nothing bounds the queue")
			more()
		}
		r.eventually(func() bool { return len(r.reported()) == 1 })
		require.True(t, strings.HasPrefix(r.reported()[0].data, fmt.Sprintf("MESSAGE sip:%d ", sent-1)))
		require.Equal(t, dest, r.reported()[0].dest)
		r.stalls(func() {
			if r.stats().Ended[Stalled] == 0 {
				more()
			}
		})
	})
	r.eventually(func() bool { // the last of them are reported behind the end
		return r.stats().Undelivered == uint64(len(r.reported())) && r.stats().Undelivered+delivered(r) == uint64(sent)
	})
	st := r.stats()
	seen := map[string]bool{}
	for _, v := range r.reported() {
		require.Len(t, v.data, len(v.data[:strings.Index(v.data, "\r\n\r\n")])+4+size)
		require.False(t, seen[v.data[:20]], "reported twice")
		seen[v.data[:20]] = true
	}
	require.LessOrEqual(t, len(seen)-int(st.QueueFull), 256<<10/size+1, "more waited than may")
}

// stalls lets time pass until a connection ends whose peer takes nothing, while
// more sends it more: the system's buffers grow a while before they are full.
func (r *rig) stalls(more func()) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		more()
		r.pass(10*time.Second + 1)
		return r.stats().Ended[Stalled] == 1
	}, 3*soon, 50*time.Millisecond)
}

// delivered is how many messages of TestSlowReader the system took: those that
// are no answers.
func delivered(r *rig) uint64 {
	st := r.stats()
	return st.Sent - uint64(len(r.received()))
}

// A slow reader of answers is read no faster than it takes them, in memory that
// is bounded.
func TestFlooderThatDoesNotRead(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	r.beside(func() {
		p := r.call()
		go func() {
			for {
				if _, err := p.Write([]byte(request(strings.Repeat("x", 10000)))); err != nil {
					return
				}
			}
		}()
		r.eventually(func() bool { return r.stats().QueueFull > 100 })
		require.Eventually(t, func() bool { // within a message or not
			r.pass(10*time.Second + 1)
			return r.stats().Ended[Stalled]+r.stats().Ended[SlowMessage] == 1
		}, soon, 50*time.Millisecond)
	})
}

// Pongs that wait for who does not read them are one entry of the queue, and are
// within its bound.
func TestPingsOfWhoDoesNotRead(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	p := r.call()
	p.echoes("first")
	for i := 0; r.stats().QueueFull == 0; i++ {
		require.NoError(t, r.Send(7, p.addr(), response(i, 20000)))
	}
	c := r.theOne()
	queue := func() (entries, bytes int) {
		c.writer.mu.Lock()
		defer c.writer.mu.Unlock()
		return len(c.queue), c.queued
	}
	entries, before := queue()
	for range 50_000 {
		require.True(t, c.send(r.now(), true, outgoing{dest: c.remote, data: crlfs[:2]}))
	}
	now, after := queue()
	require.Equal(t, entries+1, now)
	require.Greater(t, after, before)
	require.LessOrEqual(t, after, r.limits.Queue)
}

func TestConnectFails(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	ln, dest := far(t, loopback4)
	require.NoError(t, ln.Close())
	r.beside(func() {
		for i := range 5 {
			require.NoError(t, r.Send(7, dest, fmt.Appendf(nil, "message %d", i)))
		}
		r.eventually(func() bool { return len(r.reported()) == 5 })
	})
	var want []victim
	for i := range 5 {
		want = append(want, victim{dest, fmt.Sprintf("message %d", i)})
	}
	require.ElementsMatch(t, want, r.reported()) // by several dials, perhaps
	require.Contains(t, r.logs.lines()[0], "connect failed")
	require.Contains(t, r.logs.lines()[0], dest.String())
}

// What the Handler answers to a report is sent.
func TestAnswerToReport(t *testing.T) {
	other, second := far(t, loopback4)
	r := serve(t, tcp(Limits{}), func(r *rig) {
		r.answers = func(u transport.Unreachable, out *transport.Batch) {
			out.Send(7, second, append(out.Buf(), u.Quote...))
		}
	})
	ln, dest := far(t, loopback4)
	require.NoError(t, ln.Close())
	require.NoError(t, r.Send(7, dest, []byte(request("failed over"))))
	conn, err := other.Accept()
	require.NoError(t, err)
	_, body := newPhone(t, conn).read()
	require.Equal(t, "failed over", body)
}

// Sends to one destination at once make one dial, and all arrive.
func TestOneDialForAll(t *testing.T) {
	const count = 100
	r := serve(t, tcp(Limits{}))
	ln, dest := far(t, loopback4)
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { _ = r.Send(7, dest, []byte(request(fmt.Sprint(i)))) })
	}
	wg.Wait()
	conn, err := ln.Accept()
	require.NoError(t, err)
	p := newPhone(t, conn)
	seen := map[string]bool{}
	for range count {
		_, body := p.read()
		seen[body] = true
	}
	require.Len(t, seen, count)
	r.eventually(func() bool { return r.stats().Connected == 1 })
	require.Empty(t, r.reported())
}

// What was queued for a connection that is reset is reported, whole.
func TestResetWithQueue(t *testing.T) {
	r := serve(t, tcp(Limits{Queue: 1 << 20}))
	ln, dest := far(t, loopback4)
	require.NoError(t, r.Send(7, dest, []byte(request("first"))))
	conn, err := ln.Accept()
	require.NoError(t, err)
	p := newPhone(t, conn)
	p.read()
	p.echoes("it is there")
	body := strings.Repeat("x", 50000)
	sent := 2
	for r.stats().Queued < 12 {
		require.NoError(t, r.Send(7, dest, []byte(request(fmt.Sprint(sent, body)))))
		sent++
		require.Less(t, sent, 2000)
	}
	require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
	require.NoError(t, conn.Close())
	r.ends(Reset, 1)
	r.eventually(func() bool { return r.stats().Sent+uint64(len(r.reported())) == uint64(sent) })
	require.Equal(t, request(fmt.Sprint(sent-1, body)), r.reported()[len(r.reported())-1].data)
}

// A connection that the peer closed is not used again: the next message opens
// another one.
func TestNextMessageAfterClose(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	ln, dest := far(t, loopback4)
	for i := range 5 {
		require.NoError(t, r.Send(7, dest, []byte(request(fmt.Sprint(i)))))
		conn, err := ln.Accept()
		require.NoError(t, err)
		p := newPhone(t, conn)
		_, body := p.read()
		require.Equal(t, fmt.Sprint(i), body)
		p.write("SIP/2.0 100 Trying\r\nl:0\r\n\r\n")
		r.arrive(1)
		require.NoError(t, p.Close())
		r.ends(ByPeer, uint64(i+1))
	}
	require.Empty(t, r.reported())
}

func TestKeepAlive(t *testing.T) {
	dial := func(t *testing.T) (*rig, *phone) {
		r := serve(t, tcp(Limits{Keepalive: 30 * time.Second}))
		ln, dest := far(t, loopback4)
		require.NoError(t, r.Send(7, dest, []byte(request("x"))))
		conn, err := ln.Accept()
		require.NoError(t, err)
		p := newPhone(t, conn)
		p.read()
		return r, p
	}
	ping := func(r *rig, p *phone) {
		r.t.Helper()
		r.pass(30 * time.Second)
		got := make([]byte, 4)
		_, err := p.r.Read(got)
		require.NoError(r.t, err)
		require.Equal(r.t, "\r\n\r\n", string(got))
	}
	t.Run("answered, then not", func(t *testing.T) {
		r, p := dial(t)
		for range 3 {
			ping(r, p)
			p.write("\r\n")
			r.eventually(func() bool { return r.theOne().pinged.Load() == 0 })
		}
		ping(r, p)
		r.pass(10*time.Second + 1)
		p.closed()
		r.ends(NoPong, 1)
		require.EqualValues(t, 4, r.stats().PingsOut)
		require.Zero(t, r.stats().PingsIn)
	})
	t.Run("never answered", func(t *testing.T) {
		r, p := dial(t)
		for i := range 3 {
			ping(r, p)
			r.pass(10*time.Second + 1)
			r.eventually(func() bool { return r.stats().PingsIgnored == uint64(i+1) })
		}
		require.Equal(t, 1, r.stats().Dialled)
		for range 20 {
			r.pass(time.Minute)
		}
		p.closed()
		r.ends(Idle, 1) // our own pings are no use of it
	})
	t.Run("answered by a message first", func(t *testing.T) {
		r, p := dial(t)
		ping(r, p)
		p.write("\r\n")
		r.eventually(func() bool { return r.theOne().ponged.Load() })
		ping(r, p)
		r.pass(9 * time.Second)
		p.echoes("it lives")
		r.pass(9 * time.Second)
		r.sweep(r.now(), nil)
		p.echoes("it lives still")
		p.write("\r\n")
		r.eventually(func() bool { return r.theOne().pinged.Load() == 0 })
	})
}
