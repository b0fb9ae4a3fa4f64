package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tandem/bench/describe"
	"tandem/bench/load"
	"tandem/bench/node"
)

var (
	proxy      = netip.MustParseAddrPort("127.90.0.1:5060")
	caller     = netip.MustParseAddrPort("127.90.0.2:0")
	connectors = []netip.AddrPort{netip.MustParseAddrPort("127.90.0.11:5060"), netip.MustParseAddrPort("127.90.0.12:5060")}
)

const (
	slowest = 5 * time.Minute // that a load may take
	warmUp  = 3 * time.Second // of calls before the first window
	checks  = 100             // calls to the block after a reload
)

// result is all that is measured, in the order of measurement.
type result struct {
	settings settings
	about    []string

	check       time.Duration // tandem check
	checkCPU    time.Duration
	checkMemory int64
	serving     time.Duration // start to the log line
	answered    time.Duration // start to the end of the first call that got through

	atStart, before, after memory
	settled                memory
	reloads                []reload

	windows      []load.Report // before, during and between in turn, after
	right, wrong int           // calls by whom they reached
}

// memory is resident, in bytes.
type memory struct{ now, peak int64 }

// reload is one of them.
type reload struct {
	seen   time.Duration // signal to the log line
	logged time.Duration // as the log line says
	peak   int64
	first  int // the first call to the block after it: 1 right, -1 wrong, 0 it was lost
}

func (r *result) measure(ctx context.Context, dir string) error {
	s := r.settings
	progress("writing %s numbers", describe.Number(s.numbers))
	all := numbers{s.numbers, dir}
	if err := all.write(); err != nil {
		return err
	}
	if err := all.give(0); err != nil {
		return err
	}
	binary, err := s.binary, error(nil)
	if binary == "" {
		if binary, err = node.Build(dir); err != nil {
			return err
		}
	}
	config, err := writeConfig(dir, all)
	if err != nil {
		return err
	}
	if err := r.runCheck(ctx, binary, config); err != nil {
		return err
	}

	cpu := -1
	if s.pin {
		cpu = proxyCPU
		if err := pinSelf(loadCPU); err != nil {
			return err
		}
	}
	n, err := r.start(ctx, binary, config, cpu)
	if err != nil {
		return err
	}
	defer n.Stop()
	if err := r.call(ctx, n, all); err != nil {
		return err
	}
	if s.settle > 0 {
		progress("nothing, for %v", s.settle)
		if err := sleep(ctx, s.settle); err != nil {
			return err
		}
		r.settled, err = memoryOf(n)
	}
	return err
}

func writeConfig(dir string, all numbers) (string, error) {
	path := filepath.Join(dir, "tandem.yaml")
	text := fmt.Sprintf(`listen: [udp://%s]
admin: off
state_dir: %s
trunks: [{name: load, sources: [127.0.0.0/8]}]
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:%s"}]}
  - {name: second, region: west, hosts: [{uri: "sip:%s"}]}
groups:
  - {name: first, connectors: [{connector: first, priority: 1}], numbers_file: %s}
  - {name: second, connectors: [{connector: second, priority: 1}], numbers_file: %s}
`, proxy, dir, connectors[0], connectors[1], all.path(0), all.path(1))
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// runCheck measures a load in a process of its own.
func (r *result) runCheck(ctx context.Context, binary, config string) error {
	began := time.Now()
	cmd := exec.CommandContext(ctx, binary, "check", config)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("tandem check: %w\n%s", err, out)
	}
	r.check = time.Since(began)
	r.checkCPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.checkMemory = usage.Maxrss << 10
	}
	progress("tandem check: %v, %v of CPU, %s", round(r.check), round(r.checkCPU), describe.Megabytes(r.checkMemory))
	return nil
}

// start starts tandem under calls, to see when the first one gets through.
func (r *result) start(ctx context.Context, binary, config string, cpu int) (*node.Node, error) {
	d := newDialer(numbers{count: r.settings.numbers})
	g, err := load.New(load.Config{Proxy: proxy, From: caller, Connectors: connectors, Number: d.number})
	if err != nil {
		return nil, err
	}
	defer g.Close()
	first, enough := context.WithTimeout(ctx, slowest)
	defer enough()
	var n *node.Node
	began := time.Now()
	r.answered, err = g.FirstCall(first, func() (err error) {
		n, err = node.Start(binary, config, cpu)
		return err
	})
	if n == nil {
		return nil, err
	}
	line, logged := n.Wait(0, time.Second, "serving")
	if err = errors.Join(err, logged); err == nil {
		r.serving = line.At.Sub(began)
		r.atStart, err = memoryOf(n)
	}
	if err != nil {
		n.Stop()
		return nil, err
	}
	progress("serving after %v, first call through after %v", round(r.serving), round(r.answered))
	return n, nil
}

// call places calls through all windows.
func (r *result) call(ctx context.Context, n *node.Node, all numbers) error {
	s, d := r.settings, newDialer(all)
	g, err := load.New(load.Config{Proxy: proxy, From: caller, Sources: s.sources, Connectors: connectors, Number: d.number, Reached: d.reached})
	if err != nil {
		return err
	}
	defer g.Close()
	calling, enough := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- g.Run(calling, s.rate, 0) }()
	windows, err := r.story(ctx, g, d, n)
	enough()
	progress("waiting for the last calls")
	if err := errors.Join(err, <-ran); err != nil {
		return err
	}
	for _, w := range windows {
		r.windows = append(r.windows, w.Report())
	}
	r.right, r.wrong = d.verdicts()
	return nil
}

func (r *result) story(ctx context.Context, g *load.Generator, d *dialer, n *node.Node) (windows []*load.Window, err error) {
	s := r.settings
	d.check(0, checks)
	if err := sleep(ctx, warmUp); err != nil {
		return nil, err
	}
	if first, _ := d.checked(); first != 1 {
		return nil, fmt.Errorf("before any reload the block is not the first group's:\n%s", n.Log())
	}
	if r.before, err = memoryOf(n); err != nil {
		return nil, err
	}
	progress("calls, %g a second, for %v", s.rate, s.window)
	windows = append(windows, g.Window("before"))
	if err := sleep(ctx, s.window); err != nil {
		return nil, err
	}
	for i := range s.reloads {
		during, between, err := r.reload(ctx, g, d, n, i)
		if err != nil {
			return nil, err
		}
		windows = append(windows, during, between)
	}
	progress("calls for %v", s.window)
	windows = append(windows, g.Window("after"))
	if err := sleep(ctx, s.window); err != nil {
		return nil, err
	}
	g.Window("") // calls that only fill the time until the end
	r.after, err = memoryOf(n)
	return windows, err
}

// reload has the block change hands, and looks at calls until all is quiet.
func (r *result) reload(ctx context.Context, g *load.Generator, d *dialer, n *node.Node, i int) (during, between *load.Window, err error) {
	block := (i + 1) % 2
	if err := errors.Join(d.give(block), n.ResetPeak()); err != nil {
		return nil, nil, err
	}
	lines := n.Lines()
	during = g.Window(fmt.Sprintf("during %d", i+1))
	began := time.Now()
	if err := n.Reload(); err != nil {
		return nil, nil, err
	}
	line, err := n.Wait(lines, slowest, "config reloaded", "config not reloaded")
	d.check(block, checks) // from here on a call is to find the new owner
	between = g.Window(fmt.Sprintf("between %d", i+1))
	if err != nil {
		return nil, nil, err
	}
	if line.Msg != "config reloaded" {
		return nil, nil, errors.New(line.Text)
	}
	one := reload{seen: line.At.Sub(began), logged: time.Duration(line.Field("ms")) * time.Millisecond}
	if err := sleep(ctx, r.settings.quiet); err != nil {
		return nil, nil, err
	}
	first, all := d.checked()
	if !all {
		return nil, nil, fmt.Errorf("%v is too short for %d calls to the block", r.settings.quiet, checks)
	}
	one.first = first
	m, err := memoryOf(n)
	if err != nil {
		return nil, nil, err
	}
	one.peak = m.peak
	r.reloads = append(r.reloads, one)
	progress("reload %d: %v, %s at most; block: %s; %d calls failed so far", i+1, round(one.seen), describe.Megabytes(one.peak), verdict(first), during.Count(load.Failed))
	return during, between, nil
}

func memoryOf(n *node.Node) (memory, error) {
	now, peak, err := n.Memory()
	return memory{now, peak}, err
}

// pinSelf pins all threads of this process; those to come inherit it.
func pinSelf(cpu int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(cpu)
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
