package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
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

// prepared is a list of numbers to look up, as text and as keys.
type prepared struct {
	text []byte
	keys []uint64
}

func prepare(text []byte) prepared {
	p := prepared{text: text}
	for at := 0; at < len(text); at += length {
		p.keys = append(p.keys, keyOf(text[at:at+length]))
	}
	return p
}

// zero is not known to the compiler to be 0, so the address of a dependent
// lookup waits for the lookup before.
var zero uint32

func overText(list prepared, count int, dependent bool, lookup func([]byte) (uint32, bool)) (c cost) {
	sum := uint32(0)
	for from := 0; from+stretch <= count; from += stretch {
		text := list.text[from*length : (from+stretch)*length]
		for _, c := range text { // a message that has just come is in the cache
			sum += uint32(c)
		}
		start := time.Now()
		if dependent {
			last := uint32(0)
			for at := 0; at+length <= len(text); at += length {
				skip := int(last & zero)
				last, _ = lookup(text[at+skip : at+length])
			}
			sum += last
		} else {
			for at := 0; at+length <= len(text); at += length {
				route, _ := lookup(text[at : at+length])
				sum += route
			}
		}
		c = append(c, float64(time.Since(start).Nanoseconds())/stretch)
	}
	runtime.KeepAlive(sum) // no lookup can be left out
	return c
}

func overKeys(list prepared, count int, dependent bool, s sketch) (c cost) {
	sum := uint32(0)
	for from := 0; from+stretch <= count; from += stretch {
		keys := list.keys[from : from+stretch]
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
	var lookups []func([]byte) (uint32, bool)
	for _, c := range contestants {
		before, start := heap(), time.Now()
		lookup, err := c.make(n)
		if err != nil {
			return nil, err
		}
		f := &figures{name: c.name, count: count, build: float64(time.Since(start).Nanoseconds()) / float64(count)}
		f.bytes = (heap() - before) / float64(count)
		for i := 0; i < count; i += 997 {
			if route, ok := lookup(n.hit(i)); !ok || route != routeOf(i) {
				return nil, fmt.Errorf("%s: %s leads to %d, %t", c.name, n.hit(i), route, ok)
			}
			if _, ok := lookup(n.miss(i)); ok {
				return nil, fmt.Errorf("%s: %s is there", c.name, n.miss(i))
			}
		}
		f.allocs = allocsOf(hits, lookup)
		all, lookups = append(all, f), append(lookups, lookup)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range rounds {
		for i, f := range all {
			f.hit = append(f.hit, overText(hits, drawn, false, lookups[i])...)
			f.miss = append(f.miss, overText(misses, drawn, false, lookups[i])...)
			f.dependent = append(f.dependent, overText(hits, keysRead, true, lookups[i])...)
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

func allocsOf(list prepared, lookup func([]byte) (uint32, bool)) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	overText(list, 100_000, false, lookup)
	runtime.ReadMemStats(&after)
	const own = 100 // of the list of costs
	if mallocs := after.Mallocs - before.Mallocs; mallocs > own {
		return float64(mallocs) / 100_000
	}
	return 0
}
