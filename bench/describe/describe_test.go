package describe

import (
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1_000_005: "1,000,005", 10_000_000: "10,000,000"} {
		if got := Number(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestRun(t *testing.T) {
	lines := Run("0123456789ab", "bench", "SIPp v3")
	for i, want := range []string{"commit 0123456789ab, 20", "load average at the start ", "; SIPp v3", "`go run ./bench"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want it to have %q", i, lines[i], want)
		}
	}
}

func TestCommitWithoutGit(t *testing.T) {
	if got := Commit(t.TempDir()); got != "unknown" {
		t.Errorf("the commit of no tree is %q", got)
	}
}
