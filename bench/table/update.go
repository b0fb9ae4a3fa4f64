package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"tandem/router/table"
)

// updates are what changing a table of count numbers costs.
type updates struct {
	count             int
	move, remove, add cost         // ns each, by stretches
	allocs            float64      // a move
	block             []float64    // ms to move ten thousand numbers
	still, resizing   [2]latencies // of lookups, by clock and by CPU time
	updating          latencies    // of updates during the resizes
	resizes           []time.Duration
}

// latencies are of single lookups, in ns.
type latencies []float64

func measureUpdates(count, rounds int) (*updates, error) {
	n := newNumbers(count)
	t, err := buildTable(n)
	if err != nil {
		return nil, err
	}
	u := &updates{count: count}
	hits := n.draw(drawn, n.hit)
	text := func(list []byte, i int) string { // without a copy: the list stays
		return unsafe.String(&list[i*length], length)
	}
	each := func(list []byte, f func(number string, i int)) (c cost) {
		for from := 0; (from+stretch)*length <= len(list); from += stretch {
			start := time.Now()
			for i := from; i < from+stretch; i++ {
				f(text(list, i), i)
			}
			c = append(c, float64(time.Since(start).Nanoseconds())/stretch)
		}
		return c
	}
	extra := n.draw(drawn/10, n.miss)
	for r := range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		u.move = append(u.move, each(hits, func(number string, i int) { _ = t.Set(number, uint32(i%1000+r)) })...)
		runtime.ReadMemStats(&after)
		u.allocs = float64((after.Mallocs-before.Mallocs)/100) * 100 / drawn
		u.add = append(u.add, each(extra, func(number string, _ int) { _ = t.Set(number, 1) })...)
		u.remove = append(u.remove, each(extra, func(number string, _ int) { _, _ = t.Delete(number) })...)
		for i := range min(20, n.count/blockSize) {
			first := i * blockSize
			for j := range blockSize {
				_ = t.Set(string(n.hit(first+j)), 1)
			}
			start := time.Now()
			moved, err := t.Move(string(n.hit(first)), string(n.hit(first+blockSize-1)), 1, 2)
			if err != nil || moved != blockSize {
				return nil, fmt.Errorf("moved %d of a block, %v", moved, err)
			}
			u.block = append(u.block, float64(time.Since(start).Microseconds())/1000)
		}
	}
	t.Settle()
	for range min(rounds, 3) {
		if err := u.resize(n, hits); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// resize fills a table to the point at which it grows, and looks numbers up,
// one by one, before and while it does.
func (u *updates) resize(n *numbers, hits []byte) error {
	for kind, clock := range []func() int64{wallClock, cpuClock} {
		t, err := buildTable(n)
		if err != nil {
			return err
		}
		full := fillUp(t)
		u.still[kind] = append(u.still[kind], timed(t, hits, clock, func(i int) bool { return i < 1_000_000 })...)
		var over atomic.Bool
		done := make(chan time.Duration)
		go func() { // one more makes it grow; others follow until it has
			runtime.LockOSThread()
			start := time.Now()
			_ = t.Set(extraNumber(full), 1)
			go func() { t.Settle(); over.Store(true) }()
			for i := full + 1; !over.Load(); i++ {
				before := cpuClock()
				_ = t.Set(extraNumber(full+i%1000), uint32(i))
				if len(u.updating) < 5_000_000 {
					u.updating = append(u.updating, float64(cpuClock()-before))
				}
				for wait := time.Now(); time.Since(wait) < 20*time.Microsecond; {
					runtime.Gosched()
				}
			}
			done <- time.Since(start)
		}()
		u.resizing[kind] = append(u.resizing[kind], timed(t, hits, clock, func(int) bool { return !over.Load() })...)
		u.resizes = append(u.resizes, <-done)
	}
	return nil
}

// timed times single lookups on a thread of its own.
func timed(t *table.Table, hits []byte, clock func() int64, more func(i int) bool) (all latencies) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all = make(latencies, 0, 8_000_000) // what would grow would be timed too
	for i := 0; more(i) && len(all) < cap(all); i++ {
		at := i % drawn * length
		before := clock()
		m, _ := t.Lookup(hits[at : at+length])
		all = append(all, float64(clock()-before))
		runtime.KeepAlive(m)
	}
	return all
}

// fillUp adds numbers until the table is about to grow.
func fillUp(t *table.Table) (added int) {
	for grown := 3 << 4; ; grown *= 2 {
		if missing := grown - t.Len() - 1; missing >= 0 {
			for i := range missing {
				_ = t.Set(extraNumber(i), 1)
			}
			return missing
		}
	}
}

func extraNumber(i int) string { return fmt.Sprintf("+44%09d", i) }

var began = time.Now()

func wallClock() int64 { return time.Since(began).Nanoseconds() }

// cpuClock is the time that this thread has run: what other processes take of
// the machine is not in it.
func cpuClock() int64 {
	const threadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var t syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}
