package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretIsMadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	first, err := keptSecret(dir)
	require.NoError(t, err)
	require.Len(t, first, secretBytes)
	info, err := os.Stat(filepath.Join(dir, "secret"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again, err := keptSecret(dir)
	require.NoError(t, err)
	require.Equal(t, first, again)

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left behind")

	other, err := keptSecret(t.TempDir())
	require.NoError(t, err)
	require.NotEqual(t, first, other)
}

func TestSecretThatIsThereIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	first := newSecret()
	require.NoError(t, writeSecret(path, first))
	require.ErrorIs(t, writeSecret(path, newSecret()), os.ErrExist)
	kept, err := readSecret(path)
	require.NoError(t, err)
	require.Equal(t, first, kept)
}

func TestSecretFileThatHoldsNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty":    "",
		"short":    strings.Repeat("ab", secretBytes-1),
		"long":     strings.Repeat("ab", secretBytes+1),
		"not hex":  strings.Repeat("zz", secretBytes),
		"NUL":      strings.Repeat("\x00", 2*secretBytes),
		"half hex": strings.Repeat("a", 2*secretBytes-1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "secret")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := keptSecret(dir)
			require.ErrorIs(t, err, errSecret)
			require.ErrorContains(t, err, path)
			kept, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, text, string(kept), "it is not touched")
		})
	}
}

func TestSecretFileEndsInALine(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("0f", secretBytes)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(text+"\r\n"), 0o600))
	secret, err := keptSecret(dir)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{0x0f}, secretBytes), secret)
}

func TestStateDirInTheOrderOfTheDesign(t *testing.T) {
	base := t.TempDir()
	env := func(vars ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(vars); i += 2 {
				if vars[i] == name {
					return vars[i+1]
				}
			}
			return ""
		}
	}
	dir, err := stateDir(filepath.Join(base, "config"), env("STATE_DIRECTORY", filepath.Join(base, "systemd")))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(base, "config"), dir)

	dir, err = stateDir("", env("STATE_DIRECTORY", filepath.Join(base, "systemd")+":"+filepath.Join(base, "second")))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(base, "systemd"), dir)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	require.Equal(t, filepath.Join(base, "xdg", "tandem"), userStateDir(env("XDG_STATE_HOME", filepath.Join(base, "xdg"), "HOME", base)))
	require.Equal(t, filepath.Join(base, ".local", "state", "tandem"), userStateDir(env("HOME", base)))
	require.Empty(t, userStateDir(env()))
}

// What a node has kept in the system's directory is not forgotten when that can
// only be read.
func TestStateDirKeepsWhatIsThere(t *testing.T) {
	was := systemStateDir
	defer func() { systemStateDir = was }()
	base := t.TempDir()
	home := func(name string) string { return map[string]string{"HOME": base}[name] }
	file := filepath.Join(base, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	systemStateDir = file
	dir, err := stateDir("", home)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(base, ".local", "state", "tandem"), dir, "it cannot be used, and has nothing")

	systemStateDir = filepath.Join(base, "system")
	require.False(t, keeps(systemStateDir))
	dir, err = stateDir("", home)
	require.NoError(t, err)
	require.Equal(t, systemStateDir, dir)
	require.NoError(t, os.WriteFile(filepath.Join(systemStateDir, ordersName), nil, 0o600))
	require.True(t, keeps(systemStateDir))
}

func TestStateDirThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	dir, err := stateDir(filepath.Join(file, "state"), func(string) string { return "" })
	require.Error(t, err)
	require.Equal(t, filepath.Join(file, "state"), dir)
}
