package stream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
			files := uint64(c.count) + 1000
			moreFiles(t, files)
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

			peers := exec.Command(os.Args[0], "-test.run=^TestIdleConnections$")
			peers.Env = append(os.Environ(), "STREAM_IDLE_ADDR="+r.Addrs()[0].String(), fmt.Sprint("STREAM_IDLE_COUNT=", c.count), fmt.Sprint("STREAM_IDLE_TLS=", c.secure))
			peers.Stderr = os.Stderr
			hold, err := peers.StdinPipe()
			require.NoError(t, err)
			says, err := peers.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, peers.Start())
			t.Cleanup(func() {
				_ = hold.Close()
				_ = peers.Wait()
			})
			line, err := bufio.NewReader(says).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "ready\n", line)
			require.Equal(t, c.count+1, r.stats().Open)
			p.echoes("meanwhile")
			r.mu.Lock()
			r.packets = nil // the test's, not theirs
			r.mu.Unlock()

			heapAfter, residentAfter := memory(t)
			each := func(before, after uint64) float64 { return float64(int64(after-before)) / float64(c.count) }
			t.Logf("%d idle connections: %.0f bytes each of heap and stacks, %.0f resident", c.count, each(heap, heapAfter), each(resident, residentAfter))
			if !raceDetector {
				require.LessOrEqual(t, each(heap, heapAfter), c.most)
				require.LessOrEqual(t, each(resident, residentAfter), c.most)
			}

			p.echoes("after")
			require.NoError(t, hold.Close())
			r.ends(ByPeer, uint64(c.count))
			p.echoes("when they are gone")
		})
	}
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
