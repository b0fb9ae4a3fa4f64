package table

import (
	"runtime"

	"tandem/config/number"
)

// resizeIfFull starts a goroutine that makes words larger, or much too large
// ones smaller, and ends with that. Called with mu held.
func (e *exact) resizeIfFull() {
	now := e.words.Load().bits
	full := e.used >= fullAt(now)
	empty := now > leastBits && e.used < fullAt(now-3)
	if e.resized == nil && (full || empty) {
		e.resized = make(chan struct{})
		go e.resize(e.words.Load(), bitsFor(roomy(e.used)), e.resized)
	}
}

// resize replaces old by words of 2^groupBits groups, unless a writer who could
// not wait does so before.
func (e *exact) resize(old *words, groupBits int, done chan struct{}) {
	defer close(done)
	next := newWords(groupBits, old.mixer)
	for e.fill(old, next) {
		groupBits++ // it was too small after all, or its mixer a bad one
		next = newWords(groupBits, newMixer())
	}
	e.lock()
	e.resized = nil
	e.resizeIfFull() // it may have changed much meanwhile
	e.mu.Unlock()
}

// fill moves all entries of old to next. It reports true when they do not fit.
func (e *exact) fill(old, next *words) (again bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.words.Load() != old {
		return false
	}
	e.next, e.moved = next, 0
	for {
		if !e.advance() {
			e.next = nil
			return true
		}
		if e.moved == uint(len(old.groups)) {
			e.words.Store(next)
			e.next = nil
			return false
		}
		// Others go first: who waits for mu, and, where there are few processors,
		// who has a call to look up; it would wait for the end of a time slice.
		e.mu.Unlock()
		runtime.Gosched()
		for e.waiting.Load() > 0 {
			runtime.Gosched()
		}
		e.mu.Lock()
		if e.words.Load() != old {
			return false
		}
		if e.next != next {
			return true
		}
	}
}

// advance copies the next few groups to next. It reports false when they do not
// fit.
func (e *exact) advance() bool {
	old, next := e.words.Load(), e.next
	to := min(e.moved+movedAtOnce, uint(len(old.groups)))
	fits := old.each(e.moved, to, func(_ uint, _ int, k number.Key, o owner) bool {
		return next.add(k, o)
	})
	e.moved = to
	return fits
}

// resizeNow replaces words by new ones while the writer waits: when there is no
// room for an entry near its home, or for the id of a route. Called with mu held.
func (e *exact) resizeNow() {
	e.words.Store(copied(e.words.Load(), roomy(e.used), newMixer()))
	e.next = nil
}

// roomy is how many entries to have room for where there are n. Words that n
// entries fill to a half become larger; from others, other mixers, and leaving
// out the ids of routes that are no more, are all that they need.
func roomy(n int) int { return n + n/2 + 1 }

// copied returns words with the entries of old, and room for n. A mixer that is
// old's makes it quick, because the entries come in the order of their places.
func copied(old *words, n int, m mixer) *words {
	for groupBits := bitsFor(n); ; groupBits++ {
		next := newWords(groupBits, m)
		fits := old.each(0, uint(len(old.groups)), func(_ uint, _ int, k number.Key, o owner) bool {
			return put(next, k, o)
		})
		if fits {
			return next
		}
		m = newMixer()
	}
}

// settle waits until no goroutine resizes.
func (e *exact) settle() {
	for {
		e.lock()
		done := e.resized
		e.mu.Unlock()
		if done == nil {
			return
		}
		<-done
	}
}
