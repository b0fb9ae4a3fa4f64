package store

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// fillUp commits numbers until there is no room, and returns how many commits were
// made, and why there are no more.
func fillUp(s Store, from int) (commits int, err error) {
	for {
		c := inventory.Change{}
		for i := range 2000 {
			c.Numbers = append(c.Numbers, inventory.NumberChange{After: &inventory.Number{
				Entry: entryAt(from*2000 + i), Owner: east, Created: someTime, Updated: someTime}})
		}
		if _, err := s.Commit(context.Background(), c); err != nil {
			return commits, err
		}
		commits, from = commits+1, from+1
	}
}

// A full disk refuses changes in words, and nothing else; once there is room there
// are changes again.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no file system of its own: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600))
	path := filepath.Join(dir, "store.db")
	s, err := Open(path, Options{})
	require.NoError(t, err)

	commits, err := fillUp(s, 0)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "the change could not be written to "+path+", and is not carried out: ")
	require.Positive(t, commits)
	requireFull := func() {
		snap, revision := snapshot(t, s)
		require.EqualValues(t, commits, revision)
		require.Equal(t, map[inventory.Owner]int{east: commits * 2000}, snap.Counts)
		n := 0
		_, err = s.Each(t.Context(), func(inventory.Number) error { n++; return nil })
		require.NoError(t, err)
		require.Equal(t, commits*2000, n)
	}
	requireFull()
	again, err := fillUp(s, commits)
	require.ErrorIs(t, err, syscall.ENOSPC)
	commits += again
	requireFull()

	require.NoError(t, os.Remove(ballast))
	more, err := fillUp(s, commits)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Positive(t, more)
	commits += more
	requireFull()
	require.NoError(t, s.Close())
	_, err = Verify(path)
	require.NoError(t, err)
	s, err = Open(path, Options{})
	require.NoError(t, err)
	requireFull()
	require.NoError(t, s.Close())
}

// The same of a file that may not grow.
func TestFileLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	out, err := child(t, "limit", path).Output()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "ok\n", string(out))
	_, err = Verify(path)
	require.NoError(t, err)
}

// reachLimit is run in a process of its own, whose files may not grow for a while.
func reachLimit(path string) {
	fail := func(what string, err error) {
		fmt.Println(what, err)
		os.Exit(1)
	}
	s, err := Open(path, Options{})
	if err != nil {
		fail("open", err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fail("getrlimit", err)
	}
	limit.Cur = 3 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fail("setrlimit", err)
	}
	commits, err := fillUp(s, 0)
	if commits == 0 {
		fail("no commits", err)
	}
	if again, err := fillUp(s, commits); again > 0 {
		fail("a commit after a failed one", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fail("setrlimit", err)
	}
	c := inventory.Change{Numbers: []inventory.NumberChange{{After: &inventory.Number{Entry: entryAt(commits * 2000), Owner: east}}}}
	revision, err := s.Commit(context.Background(), c)
	if err != nil || revision != uint64(commits+1) {
		fail("commit with room", err)
	}
	if err := s.Close(); err != nil {
		fail("close", err)
	}
	fmt.Println("ok")
}

// entryAt is a number that has no neighbours.
func entryAt(i int) catalog.Entry {
	return catalog.Entry{First: number.Key(21_000_000_000_000 + i*7919)}
}
