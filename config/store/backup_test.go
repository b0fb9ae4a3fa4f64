package store

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/inventory"
)

// dump is all that a store has.
func dump(t testing.TB, path string) (*inventory.Snapshot, []inventory.Number) {
	t.Helper()
	s, err := Open(path, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	snap, _ := snapshot(t, s)
	var all []inventory.Number
	_, err = s.Each(t.Context(), func(n inventory.Number) error {
		all = append(all, n)
		return nil
	})
	require.NoError(t, err)
	return snap, all
}

// backup returns a backup of a store, which has another commit since.
func backup(t testing.TB, path string) []byte {
	t.Helper()
	s, err := Open(path, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	var w bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &w))
	snap, _ := snapshot(t, s)
	commit(t, s, adding(t, snap.Revision, east, "+1999000111"))
	return w.Bytes()
}

func TestRestore(t *testing.T) {
	path := filled(t)
	snap, all := dump(t, path)
	file := filepath.Join(t.TempDir(), "backup")
	require.NoError(t, os.WriteFile(file, backup(t, path), 0o644))
	info, err := Verify(file)
	require.NoError(t, err)
	require.Equal(t, Info{Schema: 1, Revision: snap.Revision, Connectors: len(snap.Connectors), Groups: 30, Numbers: len(all)}, info)
	_, later := dump(t, path)
	require.Len(t, later, len(all)+1)

	kept, err := Restore(file, path)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(kept, path+".before-"), kept)
	snapAgain, allAgain := dump(t, path)
	require.Equal(t, snap, snapAgain)
	require.Equal(t, all, allAgain)
	stat, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), stat.Mode().Perm())
	_, keptNumbers := dump(t, kept)
	require.Equal(t, later, keptNumbers)

	keptToo, err := Restore(file, path)
	require.NoError(t, err)
	require.NotEqual(t, kept, keptToo)
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 3, "no others are left")

	other := filepath.Join(t.TempDir(), "store.db")
	kept, err = Restore(file, other)
	require.NoError(t, err)
	require.Empty(t, kept)
	_, numbers := dump(t, other)
	require.Equal(t, all, numbers)

	// A backup is a store as it is, and so is a copy of one that is not open.
	s, err := Open(file, Options{})
	require.NoError(t, err)
	commit(t, s, adding(t, snap.Revision, east, "+1999000111"))
	require.NoError(t, s.Close())
	info, err = Verify(file)
	require.NoError(t, err)
	require.Equal(t, len(all)+1, info.Numbers)
	_, err = Restore(file, other)
	require.NoError(t, err)
	_, numbers = dump(t, other)
	require.Equal(t, later[len(later)-1].Entry, numbers[len(numbers)-1].Entry)
	_, err = Restore(keptToo, other)
	require.NoError(t, err)
}

// A store that is a symbolic link stays one.
func TestRestoreLinked(t *testing.T) {
	path := filled(t)
	file, link := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.WriteFile(file, backup(t, path), 0o600))
	require.NoError(t, os.Symlink(path, link))
	kept, err := Restore(file, link)
	require.NoError(t, err)
	require.Equal(t, filepath.Dir(path), filepath.Dir(kept))
	real, err := filepath.EvalSymlinks(link)
	require.NoError(t, err)
	require.Equal(t, path, real)
}

// What is damaged can be replaced, and is kept.
func TestRestoreOverDamaged(t *testing.T) {
	path := filled(t)
	file := filepath.Join(t.TempDir(), "backup")
	require.NoError(t, os.WriteFile(file, backup(t, path), 0o600))
	for _, data := range []string{"", "something else"} {
		require.NoError(t, os.WriteFile(path, []byte(data), 0o600))
		kept, err := Restore(file, path)
		require.NoError(t, err)
		was, err := os.ReadFile(kept)
		require.NoError(t, err)
		require.Equal(t, data, string(was))
		_, err = Verify(path)
		require.NoError(t, err)
	}
}

// A single bit of a backup that is not as it was is found, and so is a missing
// piece; the store stays as it is.
func TestRestoreDamagedBackup(t *testing.T) {
	path := filled(t)
	whole := backup(t, path)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "backup")
	page := os.Getpagesize()
	for at := 0; at < len(whole); at += page/2 + 7 {
		data := bytes.Clone(whole)
		data[at] ^= 1
		require.NoError(t, os.WriteFile(file, data, 0o600))
		_, err := Restore(file, path)
		require.ErrorContains(t, err, file+" is not restored: ", "byte %d", at)
		_, err = Verify(file)
		require.Error(t, err, "byte %d", at)
	}
	for _, length := range []int{0, 1, page, 2 * page, len(whole) / 2, len(whole) - backupEnd - 1} {
		require.NoError(t, os.WriteFile(file, whole[:length], 0o600))
		_, err := Restore(file, path)
		require.ErrorContains(t, err, file+" is not restored: ", "%d bytes", length)
	}
	_, err = Restore(filepath.Join(t.TempDir(), "none"), path)
	require.ErrorIs(t, err, os.ErrNotExist)
	now, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, now))
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing is left")
}
