//go:build linux

package main_test

import (
	"context"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A command that waits for numbers on its standard input can be interrupted.
func TestE2E_InputThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	path := binary(t) // built before the time runs
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "number", "add", "--file", "-")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.WriteString(in, strings.Repeat("+15551\n", 1<<15)) // more than a pipe holds: it reads
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.EqualError(t, cmd.Wait(), "signal: terminated")
}
