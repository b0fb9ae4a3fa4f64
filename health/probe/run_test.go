package probe

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/health"
)

func TestRun_EndsAllThatItStarted(t *testing.T) {
	b := start(t, fast())
	good := newPeer(t, "127.0.0.1:0", always("200 OK"))
	mute := newPeer(t, "127.0.0.1:0", nothing)
	var targets []Target
	for i := range 50 {
		targets = append(targets,
			b.target(fmt.Sprintf("sip:good%d", i), good.addr()), b.target(fmt.Sprintf("sip:mute%d", i), mute.addr()))
	}
	require.NoError(t, b.SetTargets(targets))
	eventually(t, "probes", func() bool { return len(good.requests()) > 100 && len(mute.requests()) > 100 })
	require.ErrorIs(t, b.stop(), context.Canceled)
	require.False(t, b.socket.conn.Deliver([]byte("SIP/2.0 200 OK\r\n"), good.addr()))
	_, _, err := b.socket.conn.ReadFrom(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)

	// sipgo handles each response in a goroutine of its own, which may just
	// be ending. Other tests of this package do not run at this time.
	eventually(t, "no goroutine is left", func() bool {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		return !strings.Contains(stacks, "sipgo") && !strings.Contains(stacks, "(*scheduler)") &&
			!strings.Contains(stacks, "(*Prober)")
	})
}

func TestRun_EndsWhenAListenersConnectionIsClosed(t *testing.T) {
	b := start(t, once())
	ended := make(chan error, 1)
	p, err := New(Options{Registry: b.registry, Now: b.now, Listeners: []Listener{{Conn: newSocket(t, "127.0.0.1:0").conn, Advertise: "a:5060"}}})
	require.NoError(t, err)
	go func() { ended <- p.Run(context.Background()) }()
	require.NoError(t, p.agents[0].conn.Close())
	select {
	case err := <-ended:
		require.ErrorIs(t, err, errListener)
	case <-time.After(patience):
		require.Fail(t, "Run does not end")
	}
}

func TestRun_EndedBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	registry := health.NewRegistry(health.Options{Settings: once()})
	p, err := New(Options{Registry: registry, Now: func() int64 { return 1 },
		Listeners: []Listener{{Conn: newSocket(t, "127.0.0.1:0").conn, Advertise: "a:5060"}}})
	require.NoError(t, err)
	require.ErrorIs(t, p.Run(ctx), context.Canceled)
}
