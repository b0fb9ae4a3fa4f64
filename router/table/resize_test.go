package table

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/number"
)

// TestResize grows and shrinks a table by its numbers, and by ids of routes
// that are too large for its words.
func TestResize(t *testing.T) {
	table, err := new(Builder).Build()
	require.NoError(t, err)
	want := make(map[number.Key]owner)
	keyAt := func(i int) number.Key { return plus(10, uint64(1555000000+i)) }
	set := func(i int, route uint32) {
		require.NoError(t, table.Set(keyAt(i), route))
		want[keyAt(i)] = owner(route)
	}
	verify := func() {
		table.Settle()
		check(t, table.exact.words.Load(), want)
		require.Equal(t, len(want), table.Len())
	}
	for i := range 50_000 {
		set(i, uint32(i))
	}
	verify()
	require.Equal(t, bitsFor(50_000), table.exact.words.Load().bits)
	for i := range 49_900 {
		require.True(t, table.Delete(keyAt(i)))
		delete(want, keyAt(i))
	}
	verify()
	notTooLarge := func(what string) {
		// How large exactly depends on how many were left when the last resize began.
		require.GreaterOrEqual(t, len(want), fullAt(table.exact.words.Load().bits-3), what)
	}
	notTooLarge("it became smaller")
	for i := range 100_000 {
		set(49_900+i%100, 1<<31+uint32(i))
	}
	verify()
	notTooLarge("ids of routes that are no more cost nothing")
}

// TestResize_BadMixer: numbers that all meet in one group are mixed anew.
func TestResize_BadMixer(t *testing.T) {
	var b Builder
	b.exact.words = newWords(14, mixerOf(1, 1))
	want := make(map[number.Key]owner)
	add := func(i int, add func(number.Key, uint32) error) {
		k := plus(10, uint64(1555000000+i))
		require.NoError(t, add(k, uint32(i)))
		want[k] = owner(i)
	}
	for i := range 5000 {
		add(i, b.Add)
	}
	table, err := b.Build()
	require.NoError(t, err)
	require.NotEqual(t, mixerOf(1, 1), table.exact.words.Load().mixer)
	check(t, table.exact.words.Load(), want)

	words := newWords(14, mixerOf(1, 1))
	table.exact.words.Store(words)
	table.exact.used = 0
	clear(want)
	for i := range 5000 {
		add(i, table.Set)
	}
	table.Settle()
	require.NotSame(t, words, table.exact.words.Load())
	check(t, table.exact.words.Load(), want)
}

// TestResize_ChangesBetweenSteps changes numbers between the steps of a resize:
// after each, the new words have what the groups that were copied have.
func TestResize_ChangesBetweenSteps(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		table, err := new(Builder).Build()
		require.NoError(t, err)
		e := &table.exact
		e.resized = make(chan struct{}) // none but ours
		e.words.Store(newWords(10, newMixer()))
		e.next = newWords(11, newMixer())
		change := func() {
			k := plus(4, rnd.Uint64N(4000))
			o := owner(rnd.Uint32())
			switch rnd.IntN(4) {
			case 0:
				e.remove(k)
			case 1:
				e.set(k, excluded)
			default:
				e.set(k, o)
			}
		}
		for range 3000 {
			change()
		}
		for e.moved < uint(len(e.words.Load().groups)) {
			require.True(t, e.advance())
			for range 300 {
				change()
			}
			want := make(map[number.Key]owner)
			e.words.Load().each(0, e.moved, func(_ uint, _ int, k number.Key, o owner) bool {
				want[k] = o
				return true
			})
			check(t, e.next, want)
		}
		require.Equal(t, e.used, countOf(e.next))
	}
}

func countOf(a *words) (count int) {
	a.each(0, uint(len(a.groups)), func(uint, int, number.Key, owner) bool {
		count++
		return true
	})
	return count
}

// TestResize_Disturbed pauses a resize after its first step, as a writer that
// waits does, and takes from it what it was doing.
func TestResize_Disturbed(t *testing.T) {
	for _, c := range []struct {
		name    string
		disturb func(e *exact)
		again   bool
		changes bool // of words
	}{
		{"nothing happens", func(*exact) {}, false, true},
		{"a number does not fit into the new words", func(e *exact) { e.next = nil }, true, false},
		{"a number did not fit into the old ones", (*exact).resizeNow, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := build(t, 2000)
			e := &table.exact
			e.resized = make(chan struct{}) // none but ours
			old, next := e.words.Load(), newWords(12, newMixer())
			e.waiting.Add(1)
			again := make(chan bool)
			go func() { again <- e.fill(old, next) }()
			for paused := false; !paused; {
				e.mu.Lock()
				if paused = e.moved > 0; paused {
					require.Less(t, e.moved, uint(len(old.groups)))
					c.disturb(e)
				}
				e.mu.Unlock()
			}
			e.waiting.Add(-1)
			require.Equal(t, c.again, <-again)
			require.Equal(t, c.changes, e.words.Load() != old)
			require.Nil(t, e.next)
			require.Equal(t, 2000, countOf(e.words.Load()))
		})
	}
}

// TestResize_TooSmall: what does not fit is tried again with more room.
func TestResize_TooSmall(t *testing.T) {
	table := build(t, 2000)
	e := &table.exact
	e.resized = make(chan struct{})
	e.resize(e.words.Load(), leastBits, e.resized)
	table.Settle() // it may have begun another one
	require.Less(t, 2000, fullAt(e.words.Load().bits))
	require.Equal(t, 2000, countOf(e.words.Load()))
}
