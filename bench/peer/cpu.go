package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU is what a process and all that it has started have used: all threads, by
// /proc/PID/task/*/schedstat, in nanoseconds. root is the process.
func CPU(root int) (time.Duration, error) {
	var sum time.Duration
	for _, thread := range threads(root) {
		text, err := os.ReadFile(thread.path + "/schedstat")
		if err != nil {
			continue // the thread has ended
		}
		fields := strings.Fields(string(text))
		if len(fields) < 1 {
			return 0, fmt.Errorf("%s/schedstat: %q", thread.path, text)
		}
		ns, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	if sum == 0 {
		return 0, fmt.Errorf("process %d has no CPU time: has it ended?", root)
	}
	return sum, nil
}

// thread is one of a process.
type thread struct {
	id   int
	path string // in /proc
}

// threads are those of a process and all its descendants.
func threads(root int) (all []thread) {
	for _, pid := range tree(root) {
		paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, path := range paths {
			if id, err := strconv.Atoi(filepath.Base(path)); err == nil {
				all = append(all, thread{id, path})
			}
		}
	}
	return all
}

// parent is that of a process, the fourth field of /proc/PID/stat.
func parent(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	return strconv.Atoi(fields[1])
}

// tree is a process and all its descendants.
func tree(root int) []int {
	children := map[int][]int{}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if of, err := parent(pid); err == nil {
			children[of] = append(children[of], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// ReceiveErrors is the count of datagrams that full socket buffers of this
// machine dropped, RcvbufErrors of /proc/net/snmp.
func ReceiveErrors() (int, error) {
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names {
			if name == "RcvbufErrors" && i < len(fields) {
				return strconv.Atoi(fields[i])
			}
		}
	}
	return 0, fmt.Errorf("no RcvbufErrors in /proc/net/snmp")
}

// Stolen is the CPU time that this machine, a virtual one, did not get from its
// host, of all CPUs together; 0 on others. The kernel takes it off the time of
// whoever runs, perhaps later than it was stolen.
func Stolen() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 for all programs
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	ticks, err := strconv.ParseInt(fields[8], 10, 64)
	return time.Duration(ticks) * tick, err
}
