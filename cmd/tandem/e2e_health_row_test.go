//go:build linux && soak

package main_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// healthTableEnv names the Markdown file that rows are added to.
const healthTableEnv = "HEALTH_TABLE"

// row is what one experiment on health found.
type row struct {
	scenario       string
	made, lost     int
	waits          []time.Duration // of answered calls that were tried more than once: until the last attempt began
	detected, back string
	probes         string
	notes          []string
}

const rowHead = `Lost: calls that no answer reached. Waited: answered calls that were tried more than once; p50 and max are the time from the
INVITE to the last attempt. Detected and back count from the beginning and the end of the failure. An OPTIONS that is
not answered is sent, and counted, twice.

| scenario | calls | lost | waited | p50 | max | detected after | back after | OPTIONS sent | load average | notes |
|---|---|---|---|---|---|---|---|---|---|---|
`

func (r *row) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *row) String() string {
	p50, most := "-", "-"
	if n := len(r.waits); n > 0 {
		slices.Sort(r.waits)
		p50, most = seconds(r.waits[n/2]), seconds(r.waits[n-1])
	}
	average, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(average), " ")
	cells := []string{
		r.scenario, fmt.Sprint(r.made), fmt.Sprint(r.lost), fmt.Sprint(len(r.waits)), p50, most,
		dash(r.detected), dash(r.back), dash(r.probes), load, strings.Join(r.notes, "; "),
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

func seconds(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// write adds the row to the table, or to the test's log when there is none.
func (r *row) write(t *testing.T) {
	t.Helper()
	t.Logf("\n%s%s", rowHead, r)
	path := os.Getenv(healthTableEnv)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	// Several tests write at a time: one of them the head.
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	if !strings.Contains(string(text), rowHead) {
		_, err = f.WriteString(rowHead)
		require.NoError(t, err)
	}
	_, err = f.WriteString(r.String())
	require.NoError(t, err)
}
