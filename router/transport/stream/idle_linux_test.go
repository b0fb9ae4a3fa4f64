package stream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"tandem/router/transport"
)

// TestIdleConnections measures what an idle connection costs, all in: with its
// goroutine's stack and what the runtime keeps for it. The peers are a process
// of their own, so that theirs is not counted. Each connection has carried a
// message before, as those of peers have. Good traffic passes beside them.
func TestIdleConnections(t *testing.T) {
	if addr := os.Getenv("STREAM_IDLE_ADDR"); addr != "" {
		idlePeers(addr)
		return
	}
	for _, c := range []struct {
		name   string
		secure bool
		count  int
		most   float64 // bytes a connection
	}{
		{"TCP", false, 10000, 8 << 10},
		{"TLS", true, 1000, 32 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			if raceDetector {
				c.count /= 10
			}
			moreFiles(t, uint64(c.count)+1000)
			a := newAuthority(t, "ca")
			limits := Limits{PerSource: c.count + 10}
			cfg := tcp(limits)
			if c.secure {
				cfg = secured(a, limits)
			}
			r := serve(t, cfg)
			good := r.call
			if c.secure {
				good = func() *phone { return r.callTLS(a) }
			}
			p := good()
			p.echoes("before")
			heap, resident := memory(t)

			hold := r.peers(c.count, c.secure)
			require.Equal(t, c.count+1, r.stats().Open)
			p.echoes("meanwhile")
			r.mu.Lock()
			r.packets = nil // the test's, not theirs
			r.mu.Unlock()

			heapAfter, residentAfter := memory(t)
			each := func(before, after uint64) float64 { return float64(int64(after-before)) / float64(c.count) }
			t.Logf("%d idle connections: %.0f bytes each of heap and stacks, %.0f resident", c.count, each(heap, heapAfter), each(resident, residentAfter))
			start := time.Now()
			r.sweep(r.now(), nil)
			t.Logf("watching them once takes %s", time.Since(start))
			if !raceDetector {
				require.LessOrEqual(t, each(heap, heapAfter), c.most)
				require.LessOrEqual(t, each(resident, residentAfter), c.most)
			}

			p.echoes("after")
			hold()
			r.ends(ByPeer, uint64(c.count))
			p.echoes("when they are gone")
		})
	}
}

// peers starts the process of idlePeers, waits until all are connected, and
// returns what ends it.
func (r *rig) peers(count int, secure bool) (end func()) {
	r.t.Helper()
	peers := exec.Command(os.Args[0], "-test.run=^TestIdleConnections$")
	peers.Env = append(os.Environ(), "STREAM_IDLE_ADDR="+r.Addrs()[0].String(), fmt.Sprint("STREAM_IDLE_COUNT=", count), fmt.Sprint("STREAM_IDLE_TLS=", secure))
	peers.Stderr = os.Stderr
	hold, err := peers.StdinPipe()
	require.NoError(r.t, err)
	says, err := peers.StdoutPipe()
	require.NoError(r.t, err)
	require.NoError(r.t, peers.Start())
	end = sync.OnceFunc(func() {
		_ = hold.Close()
		_ = peers.Wait()
	})
	r.t.Cleanup(end)
	line, err := bufio.NewReader(says).ReadString('\n')
	require.NoError(r.t, err)
	require.Equal(r.t, "ready\n", line)
	return end
}

// Where the system has no file left for a connection, those that are there go
// on, and the others are taken when there is one again.
func TestNoFileLeft(t *testing.T) {
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	restore := sync.OnceFunc(func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	t.Cleanup(restore)
	r := serve(t, tcp(Limits{}), func(r *rig) {
		r.answer = func(in []transport.Packet, out *transport.Batch) {
			if len(r.received()) == 4 { // peers wait for an answer before the next one connects
				require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}))
			}
			echo(in, out)
		}
	})
	p := r.call()
	p.echoes("before")
	go func() {
		for deadline := time.Now().Add(soon); r.stats().AcceptErrors < 3 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		restore()
	}()
	r.peers(20, false)
	require.GreaterOrEqual(t, r.stats().AcceptErrors, uint64(3))
	require.Contains(t, r.logs.lines()[0], "no connection can be accepted")
	p.echoes("after")
}

// Where it has none for a connection of ours, who is there is not to blame, host or
// stranger, and is connected to when there is one again.
func TestNoFileToDial(t *testing.T) {
	for what, known := range map[string]bool{"host": true, "stranger": false} {
		t.Run(what, func(t *testing.T) { noFileToDial(t, known) })
	}
}

func noFileToDial(t *testing.T, known bool) {
	cfg := tcp(Limits{})
	cfg.Known = func(int, netip.AddrPort) bool { return known }
	r := serve(t, cfg)
	_, dest := far(t, loopback4)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	restore := sync.OnceFunc(func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	t.Cleanup(restore)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}))
	require.NoError(t, r.Send(7, dest, []byte(request("lost"))))
	r.ends(NoSocket, 1)
	require.Equal(t, transport.SendError, r.reports(1))
	require.Contains(t, r.logs.lines()[0], "too many open files")
	restore()
	require.NoError(t, r.Send(7, dest, []byte(request("there"))))
	r.eventually(func() bool { return r.stats().Connected == 1 })
}

// memory returns the bytes of heap and stacks in use, and those of the process.
func memory(t testing.TB) (used, resident uint64) {
	t.Helper()
	for range 4 { // stacks shrink by half in each
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	pages, err := strconv.ParseUint(strings.Fields(string(text))[1], 10, 64)
	require.NoError(t, err)
	return m.HeapInuse + m.StackInuse, pages * uint64(os.Getpagesize())
}

// moreFiles lets this process and those it starts open so many files.
func moreFiles(t testing.TB, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur >= n {
		return
	}
	if limit.Max < n && os.Getenv("CI") != "true" {
		t.Skipf("needs %d open files, the system lets us have %d", n, limit.Max)
	}
	limit.Cur = n
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
}

// idlePeers connects, sends a message on each connection, and waits.
func idlePeers(addr string) {
	count, _ := strconv.Atoi(os.Getenv("STREAM_IDLE_COUNT"))
	conns := make([]net.Conn, count)
	buf := make([]byte, 1000)
	for i := range conns {
		conn, err := net.Dial("tcp", addr)
		if err == nil && os.Getenv("STREAM_IDLE_TLS") == "true" {
			// Whom it talks to is not what this is about.
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		if err == nil {
			_, err = io.WriteString(conn, request(strings.Repeat("x", 500)))
		}
		if err == nil {
			_, err = conn.Read(buf)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		conns[i] = conn
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(conns)
	os.Exit(0)
}
