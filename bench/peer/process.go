package peer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Process is something that was started, in a process group of its own.
type Process struct {
	Exited chan struct{} // closed when it has
	cmd    *exec.Cmd
	log    string
}

// Start runs a command in dir, pinned to a CPU (below 0: to none). What it
// prints goes to a file in logs.
func Start(logs string, cpu int, dir, name string, args ...string) (*Process, error) {
	p := &Process{Exited: make(chan struct{})}
	out, err := os.CreateTemp(logs, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	p.log = out.Name()
	if cpu >= 0 {
		name, args = "taskset", append([]string{"-c", strconv.Itoa(cpu), name}, args...)
	}
	p.cmd = exec.Command(name, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append(os.Environ(), "TERM=dumb")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.Exited)
	}()
	return p, nil
}

// PID is that of the command itself: taskset, where there is one, becomes it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running says whether it has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.Exited:
		return false
	default:
		return true
	}
}

// Log is what it has printed, the end of it.
func (p *Process) Log() string {
	const most = 4096
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-most):])
}

// Stop asks twice, as SIPp wants it, then insists.
func (p *Process) Stop() {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGKILL} {
		if !p.Running() {
			return
		}
		_ = syscall.Kill(-p.PID(), sig)
		select {
		case <-p.Exited:
			return
		case <-time.After(time.Second):
		}
	}
	<-p.Exited
}

func (p *Process) String() string { return fmt.Sprintf("%s, process %d", p.cmd.Path, p.PID()) }
