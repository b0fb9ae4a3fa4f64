package table

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"tandem/config/number"
)

// exact is the numbers of a Table. Any goroutine searches words; who changes
// them holds mu. When they are full, new ones are filled beside them, a few
// groups at a time between other changes, and take their place by one store. A
// reader that is still in the old ones finds what was true when they were left.
type exact struct {
	words atomic.Pointer[words]
	_     [56]byte // what the writer counts is not in a line that readers load

	mu      sync.Mutex
	waiting atomic.Int32 // writers that want mu while words are being moved
	used    int
	next    *words        // being filled, or nil
	moved   uint          // groups of words whose entries are in next too
	resized chan struct{} // closed when the goroutine that fills next has ended; nil without one
}

// movedAtOnce is how many groups are copied before others may change the table.
const movedAtOnce = 64

// set gives k an owner, in place of the one it has had.
func (e *exact) set(k number.Key, o owner) {
	e.lock()
	defer e.mu.Unlock()
	for !e.trySet(k, o) {
		e.resizeNow()
	}
	e.resizeIfFull()
}

// trySet reports false when words have no room for it.
func (e *exact) trySet(k number.Key, o owner) bool {
	a := e.words.Load()
	code, ok := a.encode(o)
	if !ok {
		return false
	}
	at, slot, had := a.find(k)
	if had {
		a.change(at, slot, code)
	} else {
		if at, ok = a.insert(k, code); !ok {
			return false
		}
		e.used++
	}
	if e.next != nil && at < e.moved && !put(e.next, k, o) {
		e.next = nil // what fills it will notice
	}
	return true
}

// change gives k another owner if it has the one given.
func (e *exact) change(k number.Key, from, to owner) bool {
	e.lock()
	defer e.mu.Unlock()
	return e.changeLocked(k, from, to)
}

func (e *exact) changeLocked(k number.Key, from, to owner) bool {
	if had, ok := e.words.Load().get(k); !ok || had != from {
		return false
	}
	for !e.trySet(k, to) {
		e.resizeNow()
	}
	return true
}

// move gives the keys from first to last another owner where they have the one
// given, and returns how many. Of few keys it tries each; of more than there
// are groups it looks who is there.
func (e *exact) move(first, last number.Key, from, to owner) (moved int) {
	if uint64(last-first) >= uint64(len(e.words.Load().groups)) {
		keys := e.present(first, last, from)
		for some := range slices.Chunk(keys, changedAtOnce) {
			moved += e.changeAll(slices.Values(some), from, to)
		}
		return moved
	}
	for k := first; k <= last; k += changedAtOnce {
		moved += e.changeAll(keysTo(k, min(k+changedAtOnce-1, last)), from, to)
	}
	return moved
}

// changedAtOnce is how many keys of a block change before other writers may.
const changedAtOnce = 256

func (e *exact) changeAll(keys iter.Seq[number.Key], from, to owner) (changed int) {
	e.lock()
	defer e.mu.Unlock()
	for k := range keys {
		if e.changeLocked(k, from, to) {
			changed++
		}
	}
	return changed
}

func keysTo(first, last number.Key) iter.Seq[number.Key] {
	return func(yield func(number.Key) bool) {
		for k := first; k <= last && yield(k); k++ {
		}
	}
}

// present lists the keys from first to last that have an owner, as a reader
// does: while others change them.
func (e *exact) present(first, last number.Key, from owner) (keys []number.Key) {
	a := e.words.Load()
	a.each(0, uint(len(a.groups)), func(_ uint, _ int, k number.Key, o owner) bool {
		if o == from && first <= k && k <= last {
			keys = append(keys, k)
		}
		return true
	})
	return keys
}

// remove reports whether k was there.
func (e *exact) remove(k number.Key) bool {
	e.lock()
	defer e.mu.Unlock()
	a := e.words.Load()
	at, slot, ok := a.find(k)
	if !ok {
		return false
	}
	a.remove(at, slot)
	e.used--
	if e.next != nil && at < e.moved {
		if at, slot, ok := e.next.find(k); ok {
			e.next.remove(at, slot)
		}
	}
	e.resizeIfFull()
	return true
}

func (e *exact) len() int {
	e.lock()
	defer e.mu.Unlock()
	return e.used
}

// lock lets who waits for it be seen, so that a resize gives way: a goroutine
// that unlocks and locks again at once would keep it for a millisecond.
func (e *exact) lock() {
	if e.mu.TryLock() {
		return
	}
	e.waiting.Add(1)
	e.mu.Lock()
	e.waiting.Add(-1)
}

// put is trySet for words that nobody reads yet.
func put(a *words, k number.Key, o owner) bool {
	code, ok := a.encode(o)
	if !ok {
		return false
	}
	if at, slot, had := a.find(k); had {
		a.change(at, slot, code)
		return true
	}
	_, ok = a.insert(k, code)
	return ok
}
