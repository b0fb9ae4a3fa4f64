package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is the CPU time of a process tree: exact in all, and split by clock
// ticks, which are coarse.
type usage struct {
	total        time.Duration
	user, system uint64 // ticks
}

// measureCPU sums all threads of all processes of the tree.
func measureCPU(root int) (usage, error) {
	var u usage
	for _, pid := range tree(root) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return u, err
		}
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // the thread has ended
			}
			fields := strings.Fields(string(text))
			if len(fields) < 1 {
				return u, fmt.Errorf("%s: %q", task, text)
			}
			ns, err := strconv.ParseInt(fields[0], 10, 64)
			if err != nil {
				return u, err
			}
			u.total += time.Duration(ns)
		}
		stat, err := statFields(pid)
		if err != nil {
			continue
		}
		user, _ := strconv.ParseUint(stat[11], 10, 64)
		system, _ := strconv.ParseUint(stat[12], 10, 64)
		u.user, u.system = u.user+user, u.system+system
	}
	if u.total == 0 {
		return u, fmt.Errorf("process %d has no CPU time: has it ended?", root)
	}
	return u, nil
}

// statFields are the fields of /proc/PID/stat from the state on, number 3.
func statFields(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	return fields, nil
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
		fields, err := statFields(pid)
		if err != nil {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// receiveErrors is the count of datagrams that full socket buffers dropped.
func receiveErrors() (int, error) {
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0, err
	}
	var names []string
	for _, line := range strings.Split(string(text), "\n") {
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
