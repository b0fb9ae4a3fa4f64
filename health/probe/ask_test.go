package probe

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// A question is answered by whoever understands it, and by nobody else.
func TestAsk(t *testing.T) {
	b := start(t, fast())
	<-b.agents[0].conn.reading
	for status, want := range map[string]bool{
		"200 OK": true, "404 Not Found": true, "486 Busy Here": true,
		"408 Request Timeout": false, "500 Server Internal Error": false, "503 Service Unavailable": false,
	} {
		p := newPeer(t, "127.0.0.1:0", always(status))
		got := false
		b.answer(t.Context(), Question{
			Addr: p.addr(), URI: "sip:" + p.addr().String(), Says: catalog.Probe{From: "sip:who@example.com"}, Answered: func() { got = true },
		})
		require.Equal(t, want, got, status)
		require.Contains(t, p.requests()[0].request, "\r\nFrom: <sip:who@example.com>;tag=")
		require.Empty(t, b.agents[0].conn.asked.at)
		require.False(t, b.agents[0].conn.Deliver([]byte("SIP/2.0 200 OK\r\n\r\n"), p.addr()), "it is no host that is probed")
	}
	// Nobody answers: it ends with the wait, or when nobody can be there.
	for name, end := range map[string]func(p *peer, stop func()){
		"silence":     func(_ *peer, stop func()) { stop() },
		"unreachable": func(p *peer, _ func()) { require.True(t, b.Unreachable(p.addr(), p.branch(t))) },
	} {
		p := newPeer(t, "127.0.0.1:0", nothing)
		waiting, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.answer(waiting, Question{Addr: p.addr(), URI: "sip:host", Answered: func() { t.Error(name) }})
		}()
		eventually(t, "the question arrives", func() bool { return len(p.requests()) > 0 })
		end(p, stop)
		<-done
		stop()
	}
	b.answer(t.Context(), Question{URI: "sip:host", Answered: func() { t.Error("there is no address") }})
}

// A question goes to the link that the address is on, and the answer comes from
// there, until the last one to it is answered.
func TestAsk_LinkLocal(t *testing.T) {
	b := start(t, fast())
	c, to, sent := b.agents[0].conn, netip.MustParseAddrPort("[fe80::1%eth1]:5060"), make(chan netip.AddrPort, 1)
	<-c.reading
	c.write = func(_ []byte, dest netip.AddrPort) error {
		select {
		case sent <- dest:
		default:
		}
		return nil
	}
	waiting, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.answer(waiting, Question{Addr: to, URI: "sip:[fe80::1%eth1]:5060", Answered: func() { t.Error("answered") }})
	}()
	require.Equal(t, to, <-sent)
	another := c.asked.add(to)
	stop()
	<-done
	require.True(t, c.Deliver(answer, to))
	another()
	require.False(t, c.Deliver(answer, to))
	require.Empty(t, c.asked.at)
}

// What is asked while the prober runs is asked at once and by nobody who waits.
func TestAsk_InTheBackground(t *testing.T) {
	b := start(t, fast())
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	answered := make(chan netip.AddrPort, 1)
	require.True(t, b.Ask(Question{Addr: p.addr(), URI: "sip:host", Answered: func() { answered <- p.addr() }}))
	select {
	case <-answered:
	case <-time.After(patience):
		t.Fatal("no answer")
	}
}

// More questions than there is room for are not asked.
func TestAsk_Full(t *testing.T) {
	socket := newSocket(t, "127.0.0.1:0")
	p, err := New(Options{Registry: health.NewRegistry(health.Options{Settings: fast()}), Listeners: []Listener{{Conn: socket.conn, Advertise: "sbc.example.com:5060"}}, Now: func() int64 { return 0 }})
	require.NoError(t, err)
	for range maxAsked {
		require.True(t, p.Ask(Question{}))
	}
	require.False(t, p.Ask(Question{}))
}
