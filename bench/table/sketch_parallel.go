package main

import (
	"math/bits"
	"sync/atomic"
)

// parallel is an array of keys and one of routes, probed linearly. A place that
// a key has taken is the key's until the next rehash, so that a reader who has
// seen the key may read the route: deleting leaves a tombstone.
type parallel struct {
	keys   []atomic.Uint64 // 0 is empty
	routes []atomic.Uint32 // 0 is a tombstone, else the route plus 1
}

// The sizes are no powers of two, so that ten million fit into 20 bytes each.
func newParallel(n int) sketch {
	size := n*10/7 + 8
	return &parallel{keys: make([]atomic.Uint64, size), routes: make([]atomic.Uint32, size)}
}

func (p *parallel) bytes() int { return len(p.keys) * 12 }

func (p *parallel) get(key uint64) (uint32, bool) {
	home, _ := bits.Mul64(hashOf(key), uint64(len(p.keys)))
	for at := int(home); ; {
		switch p.keys[at].Load() {
		case key:
			r := p.routes[at].Load()
			return r - 1, r != 0
		case 0:
			return 0, false
		}
		if at++; at == len(p.keys) {
			at = 0
		}
	}
}

func (p *parallel) put(key uint64, route uint32) bool {
	home, _ := bits.Mul64(hashOf(key), uint64(len(p.keys)))
	for at := int(home); ; {
		switch p.keys[at].Load() {
		case key:
			p.routes[at].Store(route + 1)
			return true
		case 0:
			p.routes[at].Store(route + 1)
			p.keys[at].Store(key)
			return true
		}
		if at++; at == len(p.keys) {
			at = 0
		}
	}
}
