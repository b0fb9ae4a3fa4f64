//go:build linux

package main_test

import (
	endian "encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sipp is a running SIPp with a scenario of bench/sipp.
type sipp struct {
	t        testing.TB
	scenario string
	dir      string // its own: statistics, counts, errors
	cmd      *exec.Cmd
	out      *buffer
	exited   chan struct{}
}

func startSIPp(t testing.TB, wrap []string, scenario string, at netip.AddrPort, args ...string) *sipp {
	t.Helper()
	program, err := exec.LookPath("sipp")
	if err != nil {
		t.Fatal(sippHint)
	}
	file, err := filepath.Abs(filepath.Join("..", "..", "bench", "sipp", scenario+".xml"))
	require.NoError(t, err)
	command := append([]string{}, wrap...)
	command = append(command, program, "-sf", file,
		"-i", at.Addr().String(), "-p", strconv.Itoa(int(at.Port())), "-bind_local", "-ci", at.Addr().String(),
		"-buff_size", "4194304", "-nostdin", "-trace_err", "-trace_stat", "-stf", "stat.csv", "-trace_counts", "-fd", "1")
	command = append(command, args...)
	s := &sipp{t: t, scenario: scenario, dir: t.TempDir(), out: &buffer{}, exited: make(chan struct{})}
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "TERM=dumb")
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.exited
		if t.Failed() {
			t.Logf("sipp %s said:\n%s", scenario, s.errors(4000))
		}
	})
	return s
}

// sippConnector starts the connector's side and waits until its port is open.
func (l *lab) sippConnector(scenario, host string, args ...string) *sipp {
	l.t.Helper()
	return connectorSIPp(l.t, nil, scenario, l.addr(host), args...)
}

func connectorSIPp(t testing.TB, wrap []string, scenario string, at netip.AddrPort, args ...string) *sipp {
	t.Helper()
	s := startSIPp(t, wrap, scenario, at, args...)
	require.Eventually(t, func() bool { return s.listens(at) }, patience, readyEvery, "sipp %s does not listen at %v:\n%s", scenario, at, s.out)
	return s
}

// listens reports whether a port is open where SIPp runs, which may be a network
// namespace.
func (s *sipp) listens(at netip.AddrPort) bool {
	address := hex.EncodeToString(hostOrder(at.Addr()))
	datagrams := strings.ToUpper(fmt.Sprintf(" %s:%04x ", address, at.Port()))
	streams := datagrams + strings.Repeat("0", len(address)) + ":0000 0A " // LISTEN
	for table, entry := range map[string]string{"udp": datagrams, "udp6": datagrams, "tcp": streams, "tcp6": streams} {
		open, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", s.cmd.Process.Pid, table))
		if strings.Contains(string(open), entry) {
			return true
		}
	}
	return false
}

// hostOrder is an address as /proc shows it: words of 32 bits, their bytes in
// this machine's order.
func hostOrder(a netip.Addr) []byte {
	words := a.AsSlice()
	for w := words; len(w) > 0; w = w[4:] {
		endian.NativeEndian.PutUint32(w, endian.BigEndian.Uint32(w))
	}
	return words
}

// sippCaller runs the caller's side to its end: calls in all, so many a second.
func (l *lab) sippCaller(scenario, host string, n *node, number string, calls, rate int, args ...string) *sipp {
	l.t.Helper()
	return callerSIPp(l.t, nil, scenario, l.addr(host), n.addr, number, calls, rate, args...).finish()
}

func callerSIPp(t testing.TB, wrap []string, scenario string, at, proxy netip.AddrPort, number string, calls, rate int, args ...string) *sipp {
	t.Helper()
	limit := calls/rate + 30
	return startSIPp(t, wrap, scenario, at, append([]string{
		proxy.String(), "-s", number, "-m", strconv.Itoa(calls), "-r", strconv.Itoa(rate), "-l", strconv.Itoa(10 * rate),
		"-timeout", strconv.Itoa(limit), "-timeout_error",
	}, args...)...)
}

// finish waits for the end of a run with -m.
func (s *sipp) finish() *sipp {
	s.t.Helper()
	<-s.exited // -timeout ends it
	return s
}

// stop ends a connector: the second SIGTERM does not wait for its calls.
func (s *sipp) stop() *sipp {
	s.t.Helper()
	for range 2 {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
			return s
		case <-time.After(300 * time.Millisecond):
		}
	}
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	return s
}

// retire ends a connector when its calls are over; the port is closed then.
func (s *sipp) retire() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGUSR1))
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.t.Fatalf("sipp %s still has calls:\n%s", s.scenario, s.out.tail(40))
	}
}

// stat returns a cumulated counter of -trace_stat: FailedCall, SuccessfulCall, Retransmissions.
func (s *sipp) stat(name string) int {
	s.t.Helper()
	return s.column(filepath.Join(s.dir, "stat.csv"), name+"(C)")
}

// count sums the columns of -trace_counts whose name ends so: "INVITE_Recv".
func (s *sipp) count(suffix string) int {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*_counts.csv"))
	require.NoError(s.t, err)
	require.Len(s.t, files, 1)
	return s.column(files[0], "_"+suffix)
}

// column sums the last row's columns whose name is or ends with the one given.
func (s *sipp) column(file, name string) int {
	s.t.Helper()
	f, err := os.Open(file)
	require.NoError(s.t, err)
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = ';', -1, true
	rows, err := r.ReadAll()
	require.NoError(s.t, err)
	require.Greater(s.t, len(rows), 1, "%s is empty:\n%s", file, s.out)
	sum, found := 0, false
	last := rows[len(rows)-1]
	for i, column := range rows[0] {
		if column == "" || !strings.HasSuffix(column, name) || i >= len(last) {
			continue
		}
		v, err := strconv.Atoi(last[i])
		require.NoError(s.t, err, column)
		sum, found = sum+v, true
	}
	require.True(s.t, found, "no column %s in %v", name, rows[0])
	return sum
}

// errors returns the beginning of what SIPp found wrong.
func (s *sipp) errors(limit int) string {
	var text strings.Builder
	files, _ := filepath.Glob(filepath.Join(s.dir, "*_errors.log"))
	for _, file := range files {
		content, _ := os.ReadFile(file)
		text.Write(content)
	}
	if text.Len() == 0 {
		return s.out.tail(30)
	}
	return text.String()[:min(limit, text.Len())]
}

// calm reports whether SIPp was scheduled often enough to judge timing: when
// the machine stalls it for longer than T1, requests are sent again.
func (s *sipp) calm() bool { return !strings.Contains(s.errors(1<<20), "watchdog") }

// notResent holds that a caller sent every request once, unless the machine
// stalled somebody for so long that it had to.
func (s *sipp) notResent(others ...*sipp) {
	s.t.Helper()
	for _, o := range append(others, s) {
		if !o.calm() {
			s.t.Logf("the machine stalled sipp for over 500 ms: %d retransmissions are not judged", s.stat("Retransmissions"))
			return
		}
	}
	require.Equal(s.t, 0, s.stat("Retransmissions"), "requests sent again")
}

// allSucceeded holds that every call of a caller ended as its scenario says.
func (s *sipp) allSucceeded(calls int) {
	s.t.Helper()
	require.Equal(s.t, 0, s.stat("FailedCall"), "failed calls:\n%s", s.errors(4000))
	require.Equal(s.t, calls, s.stat("SuccessfulCall"), "successful calls:\n%s", s.errors(4000))
	require.Equal(s.t, 0, s.cmd.ProcessState.ExitCode(), "exit code:\n%s", s.errors(4000))
}
