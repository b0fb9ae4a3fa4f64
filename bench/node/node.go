// Package node builds tandem from this tree and runs it as a child process. It
// says nothing about what is measured.
package node

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build builds tandem into dir and returns the path of the binary.
func Build(dir string) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("node: where is the source?")
	}
	path := filepath.Join(dir, "tandem")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./cmd/tandem")
	build.Dir = filepath.Join(filepath.Dir(file), "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// Line is a line of the log, and when it was read.
type Line struct {
	At    time.Time
	Level string
	Msg   string
	Text  string
}

// Field is a number in the line, 0 if it has none.
func (l Line) Field(name string) float64 {
	fields := map[string]any{}
	_ = json.Unmarshal([]byte(l.Text), &fields)
	value, _ := fields[name].(float64)
	return value
}

// Node is a tandem that runs.
type Node struct {
	cmd    *exec.Cmd
	exited chan struct{}

	mu    sync.Mutex
	lines []Line
	more  chan struct{} // closed at each line, and made anew
}

// Start runs "tandem serve". With cpu of 0 or more it is pinned to that CPU.
func Start(binary, config string, cpu int) (*Node, error) {
	args := []string{binary, "serve", "--config", config}
	if cpu >= 0 {
		args = append([]string{"taskset", "-c", strconv.Itoa(cpu)}, args...)
	}
	n := &Node{cmd: exec.Command(args[0], args[1:]...), exited: make(chan struct{}), more: make(chan struct{})}
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is for us
	stderr, err := n.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		lines := bufio.NewReader(stderr)
		for {
			text, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			n.take(strings.TrimSpace(text))
		}
		_ = n.cmd.Wait()
		close(n.exited)
	}()
	return n, nil
}

func (n *Node) take(text string) {
	line := Line{At: time.Now(), Text: text}
	var fields struct {
		Level string `json:"level"`
		Msg   string `json:"msg"`
	}
	_ = json.Unmarshal([]byte(text), &fields)
	line.Level, line.Msg = fields.Level, fields.Msg
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
	close(n.more)
	n.more = make(chan struct{})
}

// Lines is how many lines of log there are so far.
func (n *Node) Lines() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.lines)
}

// Wait waits for a log line whose message begins so, from a line on.
func (n *Node) Wait(from int, most time.Duration, messages ...string) (Line, error) {
	limit := time.After(most)
	for {
		n.mu.Lock()
		more := n.more
		for ; from < len(n.lines); from++ {
			for _, message := range messages {
				if strings.HasPrefix(n.lines[from].Msg, message) {
					line := n.lines[from]
					n.mu.Unlock()
					return line, nil
				}
			}
		}
		n.mu.Unlock()
		select {
		case <-more:
		case <-n.exited:
			return Line{}, fmt.Errorf("tandem has ended:\n%s", n.Log())
		case <-limit:
			return Line{}, fmt.Errorf("no log line %q in %v:\n%s", messages, most, n.Log())
		}
	}
}

// Warnings are the lines of the log that are warnings or errors.
func (n *Node) Warnings() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, line := range n.lines {
		if line.Level == "WARN" || line.Level == "ERROR" {
			all = append(all, line.Text)
		}
	}
	return all
}

// Log is the end of the log.
func (n *Node) Log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for _, line := range n.lines[max(0, len(n.lines)-20):] {
		b.WriteString(line.Text + "\n")
	}
	return b.String()
}

// PID is that of tandem itself: taskset, where there is one, becomes it.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Reload asks it to read its config again.
func (n *Node) Reload() error { return n.cmd.Process.Signal(syscall.SIGHUP) }

// Stop drains it, and kills it when that takes longer than two seconds.
func (n *Node) Stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.exited:
		return
	case <-time.After(2 * time.Second):
	}
	_ = n.cmd.Process.Kill()
	<-n.exited
}

// Memory is what is resident now, and the most that was since ResetPeak, in bytes.
func (n *Node) Memory() (now, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kB, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			now = kB << 10
		case "VmHWM":
			peak = kB << 10
		}
	}
	return now, peak, nil
}

// ResetPeak begins the peak anew (proc_pid_clear_refs(5)).
func (n *Node) ResetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.PID()), []byte("5"), 0)
}
