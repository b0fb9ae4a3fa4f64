package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/inventory"
	"tandem/config/store"
)

// A backup of a store that is in use is whole; restored, it is the store that was.
func TestStoreCommands(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "tandem.db"), filepath.Join(dir, "backup.db")
	db, err := store.Open(path, store.Options{})
	require.NoError(t, err)
	create(t, db, "support")
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		if err := db.Backup(r.Context(), w); err != nil {
			t.Error(err)
		}
	})
	out, errs, code := command(t, "store", "backup", backup, "--admin", node.URL)
	require.Equal(t, 0, code, errs)
	require.Equal(t, backup+" is whole: 0 connectors, 1 group, 0 numbers, revision 1\n", out)
	again, _, code := command(t, "store", "verify", backup)
	require.Equal(t, 0, code)
	require.Equal(t, out, again)

	create(t, db, "sales")
	_, errs, code = command(t, "store", "restore", backup, "--to", path, "--yes")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, path+" is open in ")
	require.NoError(t, db.Close())
	_, errs, code = command(t, "store", "restore", backup, "--to", path)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "--yes goes on without asking")
	out, errs, code = command(t, "store", "restore", backup, "--to", path, "--yes")
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, path+" is as in "+backup+"\nwhat was there is in "+path+".before-")
	out, _, _ = command(t, "store", "verify", path)
	require.Contains(t, out, " 1 group, ")

	text, err := os.ReadFile(backup)
	require.NoError(t, err)
	cut := filepath.Join(dir, "cut.db")
	require.NoError(t, os.WriteFile(cut, text[:len(text)/2], 0o600))
	for _, args := range [][]string{{"store", "restore", cut, "--to", path, "--yes"}, {"store", "verify", cut}, {"store", "verify", dir}} {
		_, errs, code = command(t, args...)
		require.Equal(t, exitFailed, code, args)
		require.NotEmpty(t, errs)
	}
	_, errs, code = command(t, "store", "restore", backup)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, `"to" not set`)
}

// What the node sends is looked at before it counts as a backup.
func TestStoreBackupIsVerified(t *testing.T) {
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "no store\n") })
	dir := t.TempDir()
	_, errs, code := command(t, "store", "backup", filepath.Join(dir, "backup.db"), "--admin", node.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "is not opened: ")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
}

func create(t *testing.T, db store.Store, group string) {
	t.Helper()
	s, _, err := db.Snapshot(context.Background())
	require.NoError(t, err)
	c, err := (&inventory.Editor{Snapshot: s, NewID: inventory.NewID}).CreateGroup(inventory.GroupSpec{Name: group})
	require.NoError(t, err)
	_, err = db.Commit(context.Background(), c)
	require.NoError(t, err)
}
