package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"tandem/config/number"
)

// cost is nanoseconds a lookup of one kind, of every stretch of a thousand or
// more. The machine is shared: a stretch is shorter than a time slice, so the
// median is of stretches that ran alone unless most did not.
type cost []float64

func (c cost) median() float64 { return at(c, 0.5) }
func (c cost) least() float64  { return at(c, 0) }

// at is the value that a fraction of all is below of.
func at(values []float64, fraction float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(fraction*float64(len(sorted)-1))]
}

// figures are what is measured of one contestant or sketch at one size.
type figures struct {
	name                 string
	count                int
	bytes                float64 // of heap, a number
	build                float64 // ns a number
	hit, miss, dependent cost
	allocs               float64
}

const (
	stretch  = 1000 // lookups
	drawn    = 2_000_000
	keysRead = 500_000 // of drawn, in a round of dependent lookups
)

// prepared is a list of numbers to look up, and the keys that sketches have for
// them.
type prepared struct {
	asked
	sketched []uint64
}

func prepare(text [][length]byte) prepared {
	p := prepared{asked: asked{text: text}}
	for i := range text {
		p.keys = append(p.keys, numberKey(text[i][:]))
		p.sketched = append(p.sketched, keyOf(text[i][:]))
	}
	return p
}

// zero is not known to the compiler to be 0, so the address of a dependent
// lookup waits for the lookup before.
var zero uint32

func overNumbers(list prepared, count int, dependent bool, m lookups) (c cost) {
	sum := uint32(0)
	for from := 0; from+stretch <= count; from += stretch {
		these := asked{list.text[from : from+stretch], list.keys[from : from+stretch]}
		for i, text := range these.text { // a message that has just come is in the cache
			sum += uint32(text[0]) + uint32(these.keys[i])
		}
		start := time.Now()
		if dependent {
			last := uint32(0)
			for i := range these.text {
				last, _ = m.one(these.text[i][last&zero:], these.keys[i]+number.Key(last&zero))
			}
			sum += last
		} else {
			sum += m.all(these)
		}
		c = append(c, float64(time.Since(start).Nanoseconds())/stretch)
	}
	runtime.KeepAlive(sum) // no lookup can be left out
	return c
}

func overKeys(list prepared, count int, dependent bool, s sketch) (c cost) {
	sum := uint32(0)
	for from := 0; from+stretch <= count; from += stretch {
		keys := list.sketched[from : from+stretch]
		for _, key := range keys {
			sum += uint32(key)
		}
		start := time.Now()
		if dependent {
			last := uint32(0)
			for _, key := range keys {
				last, _ = s.get(key + uint64(last&zero))
			}
			sum += last
		} else {
			for _, key := range keys {
				route, _ := s.get(key)
				sum += route
			}
		}
		c = append(c, float64(time.Since(start).Nanoseconds())/stretch)
	}
	runtime.KeepAlive(sum) // no lookup can be left out
	return c
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// measureContestants builds all of them and goes round: the machine's moods are shared.
func measureContestants(count, rounds int) ([]*figures, error) {
	n := newNumbers(count)
	hits, misses := prepare(n.draw(drawn, n.hit)), prepare(n.draw(drawn, n.miss))
	var all []*figures
	var made []lookups
	for _, c := range contestants {
		before, start := heap(), time.Now()
		m, err := c.make(n)
		if err != nil {
			return nil, err
		}
		f := &figures{name: c.name, count: count, build: float64(time.Since(start).Nanoseconds()) / float64(count)}
		f.bytes = (heap() - before) / float64(count)
		for i := 0; i < count; i += 997 {
			if route, ok := m.one(n.hit(i), numberKey(n.hit(i))); !ok || route != routeOf(i) {
				return nil, fmt.Errorf("%s: %s leads to %d, %t", c.name, n.hit(i), route, ok)
			}
			if _, ok := m.one(n.miss(i), numberKey(n.miss(i))); ok {
				return nil, fmt.Errorf("%s: %s is there", c.name, n.miss(i))
			}
		}
		f.allocs = allocsOf(hits, m)
		all, made = append(all, f), append(made, m)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range rounds {
		for i, f := range all {
			f.hit = append(f.hit, overNumbers(hits, drawn, false, made[i])...)
			f.miss = append(f.miss, overNumbers(misses, drawn, false, made[i])...)
			f.dependent = append(f.dependent, overNumbers(hits, keysRead, true, made[i])...)
			runtime.GC()
		}
	}
	return all, nil
}

func measureSketches(count, rounds int) ([]*figures, error) {
	n := newNumbers(count)
	hits, misses := prepare(n.draw(drawn, n.hit)), prepare(n.draw(drawn, n.miss))
	var all []*figures
	var made []sketch
	for _, c := range sketches {
		start := time.Now()
		s := c.make(count)
		for i := range count {
			if !s.put(keyOf(n.hit(i)), routeOf(i)) {
				return nil, fmt.Errorf("%s is full at %d", c.name, i)
			}
		}
		f := &figures{name: c.name, count: count, build: float64(time.Since(start).Nanoseconds()) / float64(count)}
		f.bytes = float64(s.bytes()) / float64(count)
		for i := 0; i < count; i += 997 {
			if route, ok := s.get(keyOf(n.hit(i))); !ok || route != routeOf(i) {
				return nil, fmt.Errorf("%s: %s leads to %d, %t", c.name, n.hit(i), route, ok)
			}
		}
		all, made = append(all, f), append(made, s)
	}
	for range rounds {
		for i, f := range all {
			f.hit = append(f.hit, overKeys(hits, drawn, false, made[i])...)
			f.miss = append(f.miss, overKeys(misses, drawn, false, made[i])...)
			f.dependent = append(f.dependent, overKeys(hits, keysRead, true, made[i])...)
		}
	}
	return all, nil
}

func allocsOf(list prepared, m lookups) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	overNumbers(list, 100_000, false, m)
	runtime.ReadMemStats(&after)
	const own = 100 // of the list of costs
	if mallocs := after.Mallocs - before.Mallocs; mallocs > own {
		return float64(mallocs) / 100_000
	}
	return 0
}
