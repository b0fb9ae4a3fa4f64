package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeGo lists three packages with a fuzz target or two each, as far as they
// build, and says which it runs.
const fakeGo = `#!/bin/sh
case "$*" in
"list "*) [ "$MODULE" = broken ] && exit 1; echo a; echo b; echo c;;
*-list*b) [ "$B" = broken ] && echo "FAIL b [build failed]" && exit 1; echo FuzzB; echo "ok b 0.1s";;
*-list*) [ "$TARGETS" = none ] || printf 'FuzzX\nFuzzY\n'; echo "ok";;
*) echo "ran $*"; case "$*" in *"^$FAILING\$"*a) exit 1;; esac;;
esac
`

// make fuzz fails when anything does, says what, and gives the others their time.
func TestMakeFuzz(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	fake := filepath.Join(t.TempDir(), "go")
	require.NoError(t, os.WriteFile(fake, []byte(fakeGo), 0o755))
	const last = "ran test -run ^$ -fuzz ^FuzzY$ -fuzztime 30s -fuzzminimizetime 20x c\n"
	for _, c := range []struct {
		env  string
		ok   bool
		says []string
	}{
		{"FAILING=none", true, []string{"fuzz targets: 5, each 30s\n", last}},
		{"FAILING=FuzzX", false, []string{"Failed: a/FuzzX\n", last}},
		{"B=broken", false, []string{"b [build failed]\n", "Failed: b\n", last}},
		{"MODULE=broken", false, nil},
		{"TARGETS=none", true, []string{"fuzz targets: 1,"}},
	} {
		cmd := exec.Command("make", "-s", "-C", "../..", "fuzz", "GO="+fake, "FUZZTIME=30s")
		cmd.Env = append(os.Environ(), "FAILING=none", c.env)
		out, err := cmd.CombinedOutput()
		require.Equal(t, c.ok, err == nil, "%s: %s", c.env, out)
		for _, s := range c.says {
			require.Contains(t, string(out), s, c.env)
		}
	}
}
