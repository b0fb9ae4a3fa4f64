package store

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// openBolt opens a new store that is closed after the test, and must be sound then.
func openBolt(t testing.TB) *Bolt {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	b, err := Open(path, Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		_, err := Verify(path)
		require.NoError(t, err)
	})
	return b
}

func TestBolt(t *testing.T) {
	testStore(t, func(t *testing.T) Store { return openBolt(t) })
}
