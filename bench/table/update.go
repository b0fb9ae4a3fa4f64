package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"tandem/config/number"
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
	each := func(list [][length]byte, f func(k number.Key, i int)) (c cost) {
		for from := 0; from+stretch <= len(list); from += stretch {
			start := time.Now()
			for i := from; i < from+stretch; i++ {
				f(numberKey(list[i][:]), i)
			}
			c = append(c, float64(time.Since(start).Nanoseconds())/stretch)
		}
		return c
	}
	extra := n.draw(drawn/10, n.miss)
	for r := range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		u.move = append(u.move, each(hits, func(k number.Key, i int) { _ = t.Set(k, uint32(i%1000+r)) })...)
		runtime.ReadMemStats(&after)
		u.allocs = float64((after.Mallocs-before.Mallocs)/100) * 100 / drawn
		u.add = append(u.add, each(extra, func(k number.Key, _ int) { _ = t.Set(k, 1) })...)
		u.remove = append(u.remove, each(extra, func(k number.Key, _ int) { t.Delete(k) })...)
		for i := range min(20, n.count/blockSize) {
			first := i * blockSize
			for j := range blockSize {
				_ = t.Set(numberKey(n.hit(first+j)), 1)
			}
			start := time.Now()
			moved, err := t.Move(numberKey(n.hit(first)), numberKey(n.hit(first+blockSize-1)), 1, 2)
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
func (u *updates) resize(n *numbers, hits [][length]byte) error {
	for kind, clock := range []func() int64{wallClock, cpuClock} {
		t, err := buildTable(n)
		if err != nil {
			return err
		}
		full := fillUp(t)
		u.still[kind] = append(u.still[kind], timed(t, hits, clock, changing(t, full, nil), func() { time.Sleep(500 * time.Millisecond) })...)
		var grew time.Duration
		grow := func() { // one more number does it
			start := time.Now()
			_ = t.Set(extraNumber(full), 1)
			t.Settle()
			grew = time.Since(start)
		}
		u.resizing[kind] = append(u.resizing[kind], timed(t, hits, clock, changing(t, full, &u.updating), grow)...)
		u.resizes = append(u.resizes, grew)
	}
	return nil
}

// changing changes a number of the table's now and then, and sleeps, so that it
// is not one busy thread more; it keeps the CPU time that each change took.
func changing(t *table.Table, added int, took *latencies) func(over *atomic.Bool) {
	return func(over *atomic.Bool) {
		runtime.LockOSThread()
		for i := 0; !over.Load(); i++ {
			before := cpuClock()
			_ = t.Set(extraNumber(i%max(added, 1)), uint32(i))
			if took != nil {
				*took = append(*took, float64(cpuClock()-before))
			}
			time.Sleep(50 * time.Microsecond)
		}
	}
}

// timed times single lookups, on a thread of its own, until during has
// returned; beside runs meanwhile.
func timed(t *table.Table, hits [][length]byte, clock func() int64, beside func(over *atomic.Bool), during func()) latencies {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var over atomic.Bool
	var others sync.WaitGroup
	others.Go(func() { beside(&over) })
	others.Go(func() { during(); over.Store(true) })
	all := make(latencies, 0, 8_000_000) // what would grow would be timed too
	clear(all[:cap(all)])                // and so would its first use
	for i := 0; !over.Load() && len(all) < cap(all); i++ {
		k := numberKey(hits[i%drawn][:])
		before := clock()
		m, _ := t.Lookup(k)
		all = append(all, float64(clock()-before))
		runtime.KeepAlive(m)
	}
	others.Wait()
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

func extraNumber(i int) number.Key { return numberKey(fmt.Appendf(nil, "+44%09d", i)) }

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
