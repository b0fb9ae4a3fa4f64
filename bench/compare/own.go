package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tandem/bench/load"
	"tandem/bench/peer"
)

// ownLoad is our own generator, in this process.
type ownLoad struct {
	settings
	g *load.Generator
}

// patience is how long a call may wait for an answer before it has failed: more
// than any proxy that keeps up takes, little enough to go on soon.
const patience = 4 * time.Second

// newOwnLoad opens one. Of cfg only what belongs to a transport is set.
func newOwnLoad(s settings, cfg load.Config) (*ownLoad, error) {
	if s.Pinned {
		if err := pin(s.LoadCPU); err != nil {
			return nil, err
		}
		runtime.GOMAXPROCS(2) // the generator's thread and all that goes on beside it
	}
	numbers := make([][]byte, s.Numbers)
	for i := range numbers {
		numbers[i] = fmt.Appendf(nil, "+%d", peer.First+i)
	}
	cfg.Proxy, cfg.From, cfg.Sources = peer.Connectors[0], netip.AddrPortFrom(netip.MustParseAddr(callerIP), 5060), s.Sources
	cfg.Connectors, cfg.Timeout = peer.ConnectorsOver(cfg.Transport), patience
	cfg.Number = func(call int) []byte { return numbers[call%len(numbers)] }
	g, err := load.New(cfg)
	if err != nil {
		return nil, err
	}
	return &ownLoad{s, g}, nil
}

// pin pins all threads of this process, and so those that they begin, to a CPU.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, path := range threads {
		id, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
			return os.NewSyscallError("sched_setaffinity", err)
		}
	}
	return nil
}

func (l *ownLoad) name() string { return "own" }

func (l *ownLoad) close() { l.g.Close() }

// placing is calls that are on their way.
type placing struct {
	g    *load.Generator
	done chan error
}

// place begins calls through a proxy.
func (l *ownLoad) place(ctx context.Context, p target, rate float64, calls int) *placing {
	run := &placing{l.g, make(chan error, 1)}
	if err := l.g.Aim(p.Addr); err != nil {
		run.done <- err
		return run
	}
	go func() { run.done <- l.g.Run(ctx, rate, calls) }()
	return run
}

// block runs the load through one proxy.
func (l *ownLoad) block(ctx context.Context, p target, rate int) (block, error) {
	b := block{Proxy: p.Name, Rate: rate, At: time.Now().UTC().Format(time.RFC3339)}
	lostBefore, err := peer.ReceiveErrors()
	if err != nil {
		return b, err
	}
	warmup := l.Warmup / 2 // no processes to start
	calls := int((warmup + l.Window + l.Split).Seconds() * float64(rate))
	l.g.Forget()
	warm := l.g.Window("warm-up")
	run := l.place(ctx, p, float64(rate), calls)
	var window, after *load.Window
	err = sleep(ctx, warmup)
	var used usage
	if err == nil {
		used, err = l.watch(ctx, p, func() { window = l.g.Window("window") }, func() { after = l.g.Window("after") })
	}
	if ran := <-run.done; err == nil {
		err = ran
	}
	if err != nil {
		return b, err
	}
	lostAfter, err := peer.ReceiveErrors()
	if err != nil {
		return b, err
	}
	r := window.Report()
	all := warm.Report()
	all.Add(r)
	all.Add(after.Report())
	b.Seconds, b.Calls, b.Failed = r.Duration.Seconds(), r.Counts[load.Good], all.Counts[load.Failed]
	b.Retransmissions = again(all)
	b.Lost = lostAfter - lostBefore
	b.Generator = float64(r.CPUPerCall().Nanoseconds()) / 1e3
	if odd := all.Odd(); odd != "nothing" {
		b.Odd = odd
	}
	b.take(used)
	b.Void = l.void(b, calls, all.Counts[load.Good])
	return b, nil
}

// again is how many messages came to either side more than once.
func again(r load.Report) int {
	return r.Counts[load.Retransmitted] + r.Counts[load.Duplicate] + r.Counts[load.Elsewhere]
}

// steadily is what calls at a steady rate came to.
type steadily struct {
	window load.Report // those that began when the proxy was warm
	end    load.Report // of them, those of the last half second
	all    load.Report // with those of before and after
	cpu    time.Duration
	noise  peer.Noise
}

// steady places calls at a rate for some time, and measures all but the first
// of it.
func (l *ownLoad) steady(ctx context.Context, p target, rate float64, warmup, length time.Duration) (m steadily, err error) {
	l.g.Forget()
	before := l.g.Window("warm-up")
	lost, err := peer.ReceiveErrors()
	if err != nil {
		return m, err
	}
	run := l.place(ctx, p, rate, int((warmup+length).Seconds()*rate))
	windows, err := l.during(ctx, p, warmup, length, &m)
	if ran := <-run.done; err == nil {
		err = ran
	}
	if err != nil {
		return m, err
	}
	m.window, m.end, m.all = windows[0].Report(), windows[1].Report(), before.Report()
	m.window.Add(m.end)
	m.all.Add(m.window)
	m.all.Add(windows[2].Report())
	now, err := peer.ReceiveErrors()
	m.noise.Lost = now - lost
	return m, err
}

// during measures while calls run. Its windows are the most of the time, its
// end, and what comes after.
func (l *ownLoad) during(ctx context.Context, p target, warmup, length time.Duration, m *steadily) (windows [3]*load.Window, err error) {
	const ending = 500 * time.Millisecond
	if err := sleep(ctx, warmup); err != nil {
		return windows, err
	}
	look, err := peer.Look(p.others...)
	if err != nil {
		return windows, err
	}
	cpu, err := peer.CPU(p.PID())
	if err != nil {
		return windows, err
	}
	windows[0] = l.g.Window("window")
	if err := sleep(ctx, length-ending); err != nil {
		return windows, err
	}
	windows[1] = l.g.Window("end")
	if err := sleep(ctx, ending); err != nil {
		return windows, err
	}
	windows[2] = l.g.Window("after")
	after, err := peer.CPU(p.PID())
	if err != nil {
		return windows, err
	}
	m.cpu = after - cpu
	again, err := peer.Look(p.others...)
	m.noise = again.Since(look)
	return windows, err
}
