package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// later is a schema as a later tandem may have it, two versions on.
func later() schema {
	return schema{version: currentSchema.version + 2, steps: map[uint64]func(*bbolt.Tx) error{
		currentSchema.version: func(t *bbolt.Tx) error { return t.Bucket(metaBucket).Put([]byte("first"), eightBytes(1)) },
		currentSchema.version + 1: func(t *bbolt.Tx) error {
			return t.Bucket(metaBucket).Put([]byte("second"), t.Bucket(metaBucket).Get([]byte("first")))
		},
	}}
}

// A file of an older version becomes one of this, with all that it has; as it was
// it is kept beside. The older tandem says that it cannot read the new one.
func TestMigrate(t *testing.T) {
	path := filled(t)
	_, all := dump(t, path)
	s, err := open(path, Options{}, later())
	require.NoError(t, err)
	require.NoError(t, s.db.View(func(t2 *bbolt.Tx) error {
		meta := t2.Bucket(metaBucket)
		require.Equal(t, eightBytes(1), meta.Get([]byte("second")))
		version, ok := readNumber(meta, schemaName)
		require.True(t, ok)
		require.Equal(t, later().version, version)
		return nil
	}))
	require.NoError(t, s.Close())

	_, err = Open(path, Options{})
	require.ErrorContains(t, err, "is not opened: a newer tandem wrote it (version 3 of its contents, this one knows up to 1); start that one, or restore a backup of before")
	_, err = Verify(path)
	require.ErrorContains(t, err, "a newer tandem wrote it")
	_, err = Restore(path, filepath.Join(t.TempDir(), "store.db"))
	require.ErrorContains(t, err, "a newer tandem wrote it")

	_, kept := dump(t, path+".version-1")
	require.Equal(t, all, kept)
	_, err = Restore(path+".version-1", path)
	require.NoError(t, err)
	_, kept = dump(t, path)
	require.Equal(t, all, kept)
}

// A step that fails leaves the file as it was.
func TestMigrateFails(t *testing.T) {
	path := filled(t)
	_, all := dump(t, path)
	broken := later()
	broken.steps[currentSchema.version+1] = func(*bbolt.Tx) error { return errors.New("no idea how") }
	_, err := open(path, Options{}, broken)
	require.ErrorContains(t, err, "from version 2 to 3: no idea how")
	_, now := dump(t, path)
	require.Equal(t, all, now)

	broken.steps[currentSchema.version+1] = nil
	_, err = open(path, Options{}, broken)
	require.ErrorContains(t, err, "it is of version 1, which this tandem no longer reads; open it with an older one first")
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 2)
}
