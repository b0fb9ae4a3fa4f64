package config

import (
	"bytes"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what is found at the end of each testdata file; read the diff before you commit")

// Each file of testdata holds one defect, and at its end, as comments, all
// that is said about it: "# error: " or "# warning: " and the message.
func TestDefects(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			body, want := cutWant(text)
			got := verdict(filepath.Base(file), body)
			if *update {
				require.NoError(t, os.WriteFile(file, append(body, got...), 0o644))
				return
			}
			require.Equal(t, want, got)
		})
	}
}

// cutWant splits a file before its first comment about what is wrong.
func cutWant(text []byte) (body []byte, want string) {
	at := len(text)
	for _, mark := range []string{"# error: ", "# warning: "} {
		if i := bytes.Index(text, []byte(mark)); i >= 0 {
			at = min(at, i)
		}
	}
	return text[:at:at], string(text[at:])
}

// verdict is what is said about a file, as comments.
func verdict(file string, data []byte) string {
	cfg, err := parse(file, data, testWorld)
	var b strings.Builder
	if err != nil {
		for _, e := range err.(Errors) {
			b.WriteString("# error: " + e.Error() + "\n")
		}
		return b.String()
	}
	for _, w := range cfg.Warnings {
		b.WriteString("# warning: " + w.Error() + "\n")
	}
	return b.String()
}

// testEnv is an environment for tests.
func testEnv(name string) (string, bool) {
	value, ok := map[string]string{
		"SECRET": "0123456789abcdef0123456789abcdef",
		"SHORT":  "secret",
		"PORT":   "5061",
		"TWICE":  "${PORT}",
		"EMPTY":  "",
	}[name]
	return value, ok
}

// testWorld is what test data is read in; its numbers files are beside it.
var testWorld = world{env: testEnv, addrs: testAddrs, open: func(path string) (io.ReadCloser, int64, error) {
	return openNumbers(filepath.Join("testdata", path))
}}

// testAddrs is a machine for tests.
func testAddrs() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"),
		netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("fe80::1"),
	}
}
