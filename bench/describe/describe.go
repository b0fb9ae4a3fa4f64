// Package describe writes what the reports of all benches say alike: of which
// commit, on what machine and by which command a result is, and its figures.
package describe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Run is what a result is worthless without, in lines for the head of a report.
// program is its directory in bench.
func Run(commit, program string, versions ...string) []string {
	return []string{
		fmt.Sprintf("commit %s, %s", commit, Date()),
		Machine(),
		strings.Join(append([]string{runtime.Version()}, versions...), "; "),
		"`" + Command(program) + "`, in bench/",
	}
}

// Commit is that of the tree that holds dir. It is "-modified" when git status
// with these arguments finds something.
func Commit(dir string, status ...string) string {
	commit := Output(dir, "git", "rev-parse", "--short=12", "HEAD")
	if commit == "" {
		return "unknown"
	}
	if Output(dir, "git", append([]string{"status", "--porcelain"}, status...)...) != "" {
		commit += "-modified"
	}
	return commit
}

// Built is the commit of tandem as it is built from this tree, or what a binary
// that was given says of itself. Results that are not committed yet do not count.
func Built(binary string) string {
	if binary != "" {
		return "a binary that was given, `" + Output("", binary, "version") + "`"
	}
	return Commit("", "--untracked-files=no", "--", "..")
}

// Date is now.
func Date() string { return time.Now().UTC().Format(time.RFC3339) }

// Machine is what this runs on, and how busy that is.
func Machine() string {
	cpu := "unknown CPU"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d x %s, Linux %s, load average at the start %s", runtime.NumCPU(), cpu, strings.TrimSpace(string(kernel)), LoadAverage())
}

// LoadAverage is that of the last 1, 5 and 15 minutes.
func LoadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(text) + " ? ? ?")[:3], " ")
}

// Command is how a program of bench was called.
func Command(program string) string {
	return strings.TrimSpace("go run ./" + program + " " + strings.Join(os.Args[1:], " "))
}

// Output is what a command says, in a directory, whatever it ends with.
func Output(dir, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, _ := cmd.Output()
	return strings.TrimSpace(string(out))
}

// Keep writes a report, of its name and today's date, into a directory of
// results, and returns its path.
func Keep(dir, name, text string) (path string, err error) {
	path = filepath.Join(dir, name+"-"+time.Now().UTC().Format(time.DateOnly)+".md")
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// Number writes n with commas.
func Number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", Number(n/1000), n%1000)
}

// Milliseconds writes nanoseconds as milliseconds.
func Milliseconds(ns int64) string { return fmt.Sprintf("%.3f", float64(ns)/1e6) }

// Megabytes writes bytes as megabytes, of 2^20 each.
func Megabytes(bytes int64) string { return fmt.Sprintf("%d MB", bytes>>20) }
