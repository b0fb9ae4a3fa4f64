//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newTerminal returns both sides of a terminal: the user's, and the command's.
func newTerminal(t *testing.T) (user, command *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = user.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	command, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = command.Close() })
	return user, command
}

// On a terminal it is asked whether to go on, and only a yes is one.
func TestConfirmation(t *testing.T) {
	for said, done := range map[string]bool{"y\n": true, "YES\n": true, "\n": false, "n\n": false, "yep\n": false, "\x04": false} {
		user, terminal := newTerminal(t)
		_, err := user.WriteString(said)
		require.NoError(t, err)
		answers := map[string]string{"DELETE /v1/groups/empty?dry_run=true": `200 {"dry_run":true,"recent_calls":2}`}
		if done {
			answers["DELETE /v1/groups/empty"] = "204"
		}
		var out, errs bytes.Buffer
		root := newRoot()
		root.SetIn(terminal)
		code := runRoot(context.Background(), root, []string{"group", "delete", "empty", "--admin", newScripted(t, answers).URL}, &out, &errs)
		require.True(t, strings.HasPrefix(errs.String(), "group empty is to be deleted, for good.\n  recent calls to it: 2\nGo on? [y/N] "), errs.String())
		if done {
			require.Equal(t, 0, code)
			require.Equal(t, "group empty is deleted\n", out.String())
			continue
		}
		require.Equal(t, exitFailed, code)
		require.True(t, strings.HasSuffix(errs.String(), "nothing is changed\n"), errs.String())
		require.Empty(t, out.String())
	}
}

// Numbers of others are taken after a yes, and then from whoever has them.
func TestConfirmationOfNumbers(t *testing.T) {
	user, terminal := newTerminal(t)
	_, err := user.WriteString("y\n")
	require.NoError(t, err)
	node := newScripted(t, map[string]string{
		`POST /v1/numbers/assign?dry_run=true {"force":true,"numbers":["+15551"],"to":{"group":"support"}}`: `200 {"changed":3,` + moved + `,"recent_calls":4,"dry_run":true}`,
		`POST /v1/numbers/assign {"force":true,"numbers":["+15551"],"to":{"group":"support"}}`:              `200 {"changed":3,` + moved + `}`,
	})
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetIn(terminal)
	code := runRoot(context.Background(), root, []string{"number", "assign", "+15551", "--group", "support", "--admin", node.URL}, &out, &errs)
	require.Equal(t, 0, code, errs.String())
	require.Contains(t, errs.String(), "  1 number: connector east -> group support\n")
	require.Contains(t, out.String(), "3 numbers are assigned\n")
}

// A long change shows how far it is.
func TestProgress(t *testing.T) {
	user, terminal := newTerminal(t)
	p := newProgress(terminal, 3*pageOfNumbers, "done")
	p.tell(pageOfNumbers)
	p.tell(2 * pageOfNumbers)
	p.end()
	line, err := bufio.NewReader(user).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "\r10000 of 30000 numbers done\r20000 of 30000 numbers done\r\n", line)
	short := newProgress(terminal, pageOfNumbers, "done")
	require.Nil(t, short.out, "one page is not long")
}
