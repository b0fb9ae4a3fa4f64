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
	for _, pid := range tree(root, processes()) {
		paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, path := range paths {
			if id, err := strconv.Atoi(filepath.Base(path)); err == nil {
				all = append(all, thread{id, path})
			}
		}
	}
	return all
}

// status is what /proc/PID/stat says of a process.
type status struct {
	parent int
	used   time.Duration // with what its children had used that have ended; to a hundredth of a second
}

func statusOf(pid int) (status, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return status{}, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // a name may have spaces
	fields := strings.Fields(rest)                // from the third on
	if len(fields) < 15 {
		return status{}, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var s status
	if s.parent, err = strconv.Atoi(fields[1]); err != nil {
		return s, err
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return s, err
		}
		s.used += time.Duration(ticks) * tick
	}
	return s, nil
}

const tick = 10 * time.Millisecond // USER_HZ is 100 for all programs

// processes are all that there are.
func processes() map[int]status {
	all := map[int]status{}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(filepath.Base(entry)); err == nil {
			if s, err := statusOf(pid); err == nil { // it may have ended
				all[pid] = s
			}
		}
	}
	return all
}

// tree is a process and all its descendants.
func tree(root int, of map[int]status) []int {
	children := map[int][]int{}
	for pid, s := range of {
		children[s.parent] = append(children[s.parent], pid)
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

// Moment is what a machine and a process had done at one time: two of them say
// what else went on between.
type Moment struct {
	At     time.Time
	Ran    time.Duration // all processes
	Ours   time.Duration // this process and what it started, but for others
	Stolen time.Duration // that this machine, a virtual one, did not get from its host
	Lost   int           // datagrams that full socket buffers dropped
}

// Look takes one. Of what this process has started, others are not ours: those
// that should do nothing.
func Look(others ...int) (m Moment, err error) {
	m.At = time.Now()
	all := processes()
	for _, s := range all {
		m.Ran += s.used
	}
	for _, pid := range tree(os.Getpid(), all) {
		m.Ours += all[pid].used
	}
	for _, other := range others {
		for _, pid := range tree(other, all) {
			m.Ours -= all[pid].used
		}
	}
	if m.Stolen, err = stolen(); err != nil {
		return m, err
	}
	m.Lost, err = ReceiveErrors()
	return m, err
}

// Noise is what else went on between two moments.
type Noise struct {
	Foreign float64 `json:"foreign_share"` // CPU time of processes that are not ours, in CPUs
	Stolen  float64 `json:"stolen_share"`  // by the host, in CPUs
	Lost    int     `json:"udp_receive_buffer_errors"`
}

// Since is what went on since a moment.
func (m Moment) Since(before Moment) Noise {
	seconds := m.At.Sub(before.At).Seconds()
	return Noise{
		Foreign: max((m.Ran-before.Ran-m.Ours+before.Ours).Seconds()/seconds, 0),
		Stolen:  (m.Stolen - before.Stolen).Seconds() / seconds,
		Lost:    m.Lost - before.Lost,
	}
}

// stolen is the steal time of all CPUs. The kernel takes it off the time of
// whoever runs, perhaps later than it was stolen.
func stolen() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	ticks, err := strconv.ParseInt(fields[8], 10, 64)
	return time.Duration(ticks) * tick, err
}
