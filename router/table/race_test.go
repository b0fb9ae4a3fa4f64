package table

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

// The tests of this file let readers look numbers up while writers change them.
// A common clock counts changes. A writer notes its value before and after each
// change, a reader before and after each lookup; afterwards every answer is
// held against what the number's history says was true at some moment between.

// version is an answer and when it became true: between from and to.
type version struct {
	from, to uint64
	answer   Match
	found    bool
}

// seen is what a reader got.
type seen struct {
	number   int
	from, to uint64
	answer   Match
	found    bool
}

type history struct {
	clock    atomic.Uint64
	numbers  [][]byte
	versions [][]version // by number; each is one writer's
}

func (h *history) change(n int, answer Match, found bool, f func(number.Key)) {
	h.changeMany([]int{n}, answer, found, func() { f(keyOf(string(h.numbers[n]))) })
}

func (h *history) changeMany(numbers []int, answer Match, found bool, f func()) {
	from := h.clock.Add(1)
	f()
	to := h.clock.Add(1)
	for _, n := range numbers {
		h.versions[n] = append(h.versions[n], version{from, to, Match{Route: answer.Route, Kind: answer.Kind}, found})
	}
}

func (h *history) read(table *Table, number int) seen {
	from := h.clock.Load()
	m, ok := lookup(table, string(h.numbers[number]))
	return seen{number, from, h.clock.Load(), Match{Route: m.Route, Kind: m.Kind}, ok}
}

// explains reports whether s was true at some moment while it was looked up.
func (h *history) explains(s seen) bool {
	versions := h.versions[s.number]
	for i, v := range versions {
		over := ^uint64(0) // when it was true no more, at the latest
		if i+1 < len(versions) {
			over = versions[i+1].to
		}
		if v.from <= s.to && s.from <= over && v.answer == s.answer && v.found == s.found {
			return true
		}
	}
	return false
}

// TestConcurrent_EveryAnswerWasTrue: two writers add, remove, exclude and move
// numbers, their own each, waxing and waning so that the words grow and shrink
// all the time; a third block is moved to and fro and always has an owner.
func TestConcurrent_EveryAnswerWasTrue(t *testing.T) {
	const own, block, rounds, reads = 1500, 300, 12, 60_000
	var b Builder
	require.NoError(t, b.AddRange(keyOf("+1555500000"), keyOf("+1555500500"), 9))
	h := &history{}
	var blockNumbers []int
	for i := range 2*own + block {
		h.numbers = append(h.numbers, fmt.Appendf(nil, "+1555%06d", i*1000%1_000_003))
		if i >= 2*own {
			h.numbers[i] = fmt.Appendf(nil, "+1666%06d", i)
			blockNumbers = append(blockNumbers, i)
			require.NoError(t, b.Add(keyOf(string(h.numbers[i])), 1))
		}
	}
	table, err := b.Build()
	require.NoError(t, err)
	without := make([]seen, len(h.numbers)) // the answer where there is no exact number
	h.versions = make([][]version, len(h.numbers))
	for i := range h.numbers {
		without[i] = h.read(table, i)
		h.versions[i] = []version{{answer: without[i].answer, found: without[i].found}}
	}

	var writers, readers sync.WaitGroup
	var over atomic.Bool
	writers.Add(2)
	for w := range 2 {
		go func() {
			defer writers.Done()
			rnd := rand.New(rand.NewPCG(uint64(w), 5))
			for i := range rounds * own {
				n, route := w*own+rnd.IntN(own), rnd.Uint32N(300)
				if rnd.IntN(4) == 0 {
					route += 1 << 31
				}
				adding := i/own%2 == 0
				switch op := rnd.IntN(10); {
				case op == 0:
					h.change(n, Match{Kind: Excluded}, false, func(k number.Key) { _ = table.Exclude(k) })
				case (op < 8) == adding:
					h.change(n, Match{Route: route}, true, func(k number.Key) { _ = table.Set(k, route) })
				default:
					h.change(n, without[n].answer, without[n].found, func(k number.Key) { table.Delete(k) })
				}
			}
		}()
	}
	writers.Add(1)
	go func() {
		defer writers.Done()
		first, last := keyOf(string(h.numbers[2*own])), keyOf(string(h.numbers[2*own+block-1]))
		for route := uint32(1); route < 200; route++ {
			h.changeMany(blockNumbers, Match{Route: route + 1}, true, func() {
				_, _ = table.Move(first, last, route, route+1)
			})
		}
	}()
	go func() { writers.Wait(); over.Store(true) }()

	logs := make([][]seen, 3)
	for r := range logs {
		readers.Add(1)
		go func() {
			defer readers.Done()
			rnd := rand.New(rand.NewPCG(uint64(r), 6))
			for i := 0; i < reads || !over.Load(); i++ {
				s := h.read(table, rnd.IntN(len(h.numbers)))
				if len(logs[r]) < 4*reads {
					logs[r] = append(logs[r], s)
				}
				if s.number >= 2*own && !s.found {
					t.Errorf("%s had no owner during a move", h.numbers[s.number])
					return
				}
			}
		}()
	}
	readers.Wait()
	table.Settle()

	for _, log := range logs {
		for _, s := range log {
			if !h.explains(s) {
				t.Fatalf("%s: %+v between %d and %d was never true then; its history is %+v",
					h.numbers[s.number], s.answer, s.from, s.to, h.versions[s.number])
			}
		}
	}
	for n, versions := range h.versions {
		s := h.read(table, n)
		last := versions[len(versions)-1]
		require.Equal(t, last.answer, s.answer, string(h.numbers[n]))
		require.Equal(t, last.found, s.found, string(h.numbers[n]))
	}
}

// TestConcurrent_GroupFullOfChanges has all numbers meet in a few groups, where
// places are left by one and taken by another number at once.
func TestConcurrent_GroupFullOfChanges(t *testing.T) {
	const count = 56 // of 64 places
	table, err := new(Builder).Build()
	require.NoError(t, err)
	h := &history{versions: make([][]version, count)}
	for i := range count {
		h.numbers = append(h.numbers, fmt.Appendf(nil, "%d", 100+i))
		h.versions[i] = []version{{}}
		h.versions[i][0].answer = Match{}
	}
	// As full as this no table gets by itself: the writer is exact's, without its resizing.
	var over atomic.Bool
	var readers sync.WaitGroup
	logs := make([][]seen, 3)
	for r := range logs {
		readers.Add(1)
		go func() {
			defer readers.Done()
			rnd := rand.New(rand.NewPCG(uint64(r), 7))
			for !over.Load() {
				if s := h.read(table, rnd.IntN(count)); len(logs[r]) < 200_000 {
					logs[r] = append(logs[r], s)
				}
			}
		}()
	}
	rnd := rand.New(rand.NewPCG(1, 8))
	for range 60_000 {
		n := rnd.IntN(count)
		if rnd.IntN(8) > 0 {
			route := rnd.Uint32N(100)
			h.change(n, Match{Route: route}, true, func(k number.Key) {
				table.exact.mu.Lock()
				defer table.exact.mu.Unlock()
				if !table.exact.trySet(k, owner(route)) {
					t.Error("no room")
				}
			})
		} else {
			h.change(n, Match{}, false, func(k number.Key) {
				table.exact.mu.Lock()
				defer table.exact.mu.Unlock()
				if at, slot, ok := table.exact.words.Load().find(k); ok {
					table.exact.words.Load().remove(at, slot)
					table.exact.used--
				}
			})
		}
	}
	over.Store(true)
	readers.Wait()
	for _, log := range logs {
		for _, s := range log {
			if !h.explains(s) {
				t.Fatalf("%s: %+v between %d and %d was never true then; its history is %+v",
					h.numbers[s.number], s.answer, s.from, s.to, h.versions[s.number])
			}
		}
	}
}
