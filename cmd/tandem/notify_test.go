package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// systemd is the socket that a service manager listens on.
type systemd struct {
	t    *testing.T
	conn *net.UnixConn
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") // a socket's path has 107 bytes at most
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", "")
	return &systemd{t, conn}
}

// heard is the next message.
func (s *systemd) heard() string {
	s.t.Helper()
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	buf := make([]byte, 4096)
	n, err := s.conn.Read(buf)
	require.NoError(s.t, err)
	return string(buf[:n])
}

func TestNotify(t *testing.T) {
	manager := newSystemd(t)
	n := notifier{slog.New(slog.DiscardHandler)}

	n.ready("2 groups, 12 numbers")
	require.Equal(t, "READY=1\nSTATUS=2 groups, 12 numbers", manager.heard())

	n.ready("one\nREADY=0 line")
	require.Equal(t, "READY=1\nSTATUS=one READY=0 line", manager.heard())

	n.stopping("draining: 3 calls in set-up")
	require.Equal(t, "STOPPING=1\nSTATUS=draining: 3 calls in set-up", manager.heard())

	n.reloading()
	said, usec, found := strings.Cut(manager.heard(), "\nMONOTONIC_USEC=")
	require.True(t, found)
	require.Equal(t, "RELOADING=1", said)
	first, err := strconv.ParseUint(usec, 10, 64)
	require.NoError(t, err)
	require.NotZero(t, first)
	n.reloading()
	_, usec, _ = strings.Cut(manager.heard(), "MONOTONIC_USEC=")
	second, err := strconv.ParseUint(usec, 10, 64)
	require.NoError(t, err)
	require.GreaterOrEqual(t, second, first, "it is a clock that only goes forward")
}

func TestNotifyNobody(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var log bytes.Buffer
	n := notifier{slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	n.ready("")
	n.reloading()
	n.stopping("")
	n.watchdog(t.Context(), func() bool { return true }) // returns
	require.Empty(t, log.String())
}

func TestNotifyErrorsAreForDebugging(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	t.Setenv("WATCHDOG_USEC", "soon")
	var log bytes.Buffer
	n := notifier{slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	n.ready("")
	require.Contains(t, log.String(), `level=DEBUG msg="systemd was not told" what="READY=1" error=`)
	n.watchdog(t.Context(), func() bool { return true })
	require.Contains(t, log.String(), "no watchdog")
	require.NotContains(t, log.String(), "level=ERROR")
}

func TestWatchdog(t *testing.T) {
	manager := newSystemd(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	var log bytes.Buffer
	n := notifier{slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	var hangs atomic.Bool
	var yes, no atomic.Int64
	begun := time.Now()
	var dog sync.WaitGroup
	dog.Go(func() {
		n.watchdog(ctx, func() bool {
			if hangs.Load() {
				no.Add(1)
				return false
			}
			yes.Add(1)
			return true
		})
	})
	const first = 5
	for range first {
		require.Equal(t, "WATCHDOG=1", manager.heard())
	}
	require.GreaterOrEqual(t, time.Since(begun), 40*time.Millisecond, "one at once, then four at half of the limit")

	hangs.Store(true)
	require.Eventually(t, func() bool { return no.Load() > 3 }, 10*time.Second, time.Millisecond)
	cancel()
	dog.Wait()
	require.Equal(t, 1, strings.Count(log.String(), "the node hangs"), "said once: %s", log.String())
	for range yes.Load() - first {
		require.Equal(t, "WATCHDOG=1", manager.heard())
	}
	n.stopping("end")
	require.Equal(t, "STOPPING=1\nSTATUS=end", manager.heard(), "a node that hangs says nothing")
}

// Of another process: what a child of the service inherits.
func TestWatchdogOfAnotherProcess(t *testing.T) {
	newSystemd(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "1")
	notifier{slog.New(slog.DiscardHandler)}.watchdog(t.Context(), func() bool { return true }) // returns
}
