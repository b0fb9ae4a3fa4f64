package table

import "sync/atomic"

// An owner is what a number has: the id of a route, or, as an exception to the
// ranges and prefixes that hold the number, none.
type owner uint64

const excluded owner = 1 << 32

// A word has 3+g bits for the owner: 7 in the smallest table, 25 at ten million
// numbers. The lower half of what they can say is ids of routes, all ones are
// excluded, and what is left are indices into distant, for larger ids.
func (a *words) decode(w uint64) owner {
	w &= a.step - 1
	code := w >> 1
	switch {
	case w < a.ids:
		return owner(code)
	case code == a.excludedCode():
		return excluded
	}
	return owner((*a.distant.routes.Load())[code-a.idCodes()])
}

func (a *words) idCodes() uint64      { return a.ids >> 1 }
func (a *words) excludedCode() uint64 { return a.step>>1 - 1 }

// encode is for the writer. It reports false when too many large ids have been
// in use since the words were made.
func (a *words) encode(o owner) (code uint64, ok bool) {
	if o == excluded {
		return a.excludedCode(), true
	}
	if uint64(o) < a.idCodes() {
		return uint64(o), true
	}
	index, ok := a.distant.add(uint32(o), uint32(min(a.idCodes()-1, 1<<31)))
	return a.idCodes() + uint64(index), ok
}

// distant is a list of route ids that grows only: an index stays what it was
// as long as someone may search the words it belongs to.
type distant struct {
	routes atomic.Pointer[[]uint32]
	index  map[uint32]uint32 // the writer's
}

func (d *distant) add(route, limit uint32) (uint32, bool) {
	if i, ok := d.index[route]; ok {
		return i, true
	}
	var routes []uint32
	if had := d.routes.Load(); had != nil {
		routes = *had
	}
	if uint32(len(routes)) >= limit {
		return 0, false
	}
	if d.index == nil {
		d.index = make(map[uint32]uint32)
	}
	i := uint32(len(routes))
	d.index[route] = i
	routes = append(routes, route) // behind what readers know of
	d.routes.Store(&routes)
	return i, true
}
