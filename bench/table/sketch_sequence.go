package main

import (
	"math/bits"
	"sync/atomic"
)

// sequenced is entries of 16 bytes: the key, and a word of a sequence and the
// route. The sequence is odd while the entry changes; a reader reads the word,
// the key and the word again, so places can be used for other keys.
type sequenced struct {
	entries []seqEntry
}

type seqEntry struct {
	key  atomic.Uint64 // 0 is empty
	word atomic.Uint64 // sequence << 32 | route
}

func newSequenced(n int) sketch { return &sequenced{make([]seqEntry, n*10/8+8)} }

func (s *sequenced) bytes() int { return len(s.entries) * 16 }

func (s *sequenced) get(key uint64) (uint32, bool) {
	home, _ := bits.Mul64(hashOf(key), uint64(len(s.entries)))
	for at := int(home); ; {
		e := &s.entries[at]
		word := e.word.Load()
		k := e.key.Load()
		if e.word.Load() != word || word>>32&1 != 0 {
			continue
		}
		switch k {
		case key:
			return uint32(word), true
		case 0:
			return 0, false
		}
		if at++; at == len(s.entries) {
			at = 0
		}
	}
}

func (s *sequenced) put(key uint64, route uint32) bool {
	home, _ := bits.Mul64(hashOf(key), uint64(len(s.entries)))
	for at := int(home); ; {
		e := &s.entries[at]
		if k := e.key.Load(); k == key || k == 0 {
			sequence := e.word.Load() >> 32
			e.word.Store((sequence+1)<<32 | uint64(route))
			e.key.Store(key)
			e.word.Store((sequence+2)<<32 | uint64(route))
			return true
		}
		if at++; at == len(s.entries) {
			at = 0
		}
	}
}
