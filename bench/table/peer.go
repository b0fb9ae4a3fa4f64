package main

import (
	"sync"

	xsync3 "github.com/puzpuzpuz/xsync/v3"
	xsync4 "github.com/puzpuzpuz/xsync/v4"

	"tandem/config/number"
	"tandem/router/table"
)

// contestant is something that leads from a number, as text, to a route.
type contestant struct {
	name string
	make func(numbers *numbers) (lookups, error)
	note string
}

// lookups are one, and one after the other. All of a list are looked up in a loop
// of the contestant's own, so that what stands between the loop and the lookup is
// nothing, and not a call more for some than for others; all returns the sum of
// the routes.
type lookups struct {
	one func(number []byte) (route uint32, ok bool)
	all func(list [][length]byte) (sum uint32)
}

var contestants = []contestant{
	{"tandem", makeTandem, "router/table; ranges and prefixes are looked at on a miss"},
	{"map", makeMap, "map[uint64]uint32; cannot be changed while it is read"},
	{"xsync v3", makeXsync3, "MapOf[uint64, uint32]"},
	{"xsync v4", makeXsync4, "Map[uint64, uint32]"},
	{"sync.Map", makeSyncMap, "key and value in interfaces"},
}

func makeTandem(numbers *numbers) (lookups, error) {
	t, err := buildTable(numbers)
	if err != nil {
		return lookups{}, err
	}
	return lookups{
		func(number []byte) (uint32, bool) {
			m, ok := t.Lookup(number)
			return m.Route, ok
		},
		func(list [][length]byte) (sum uint32) {
			for i := range list {
				m, _ := t.Lookup(list[i][:])
				sum += m.Route
			}
			return sum
		},
	}, nil
}

func buildTable(numbers *numbers) (*table.Table, error) {
	var b table.Builder
	b.Grow(numbers.count)
	for i := range numbers.count {
		if err := b.Add(numberKey(numbers.hit(i)), routeOf(i)); err != nil {
			return nil, err
		}
	}
	return b.Build()
}

// numberKey is the key that tandem has for a number.
func numberKey(text []byte) number.Key {
	k, _ := number.Parse(text)
	return k
}

func makeMap(numbers *numbers) (lookups, error) {
	m := make(map[uint64]uint32, numbers.count)
	for i := range numbers.count {
		m[keyOf(numbers.hit(i))] = routeOf(i)
	}
	return lookups{
		func(number []byte) (uint32, bool) {
			route, ok := m[keyOf(number)]
			return route, ok
		},
		func(list [][length]byte) (sum uint32) {
			for i := range list {
				sum += m[keyOf(list[i][:])]
			}
			return sum
		},
	}, nil
}

func makeXsync3(numbers *numbers) (lookups, error) {
	m := xsync3.NewMapOf[uint64, uint32](xsync3.WithPresize(numbers.count))
	for i := range numbers.count {
		m.Store(keyOf(numbers.hit(i)), routeOf(i))
	}
	return lookups{
		func(number []byte) (uint32, bool) { return m.Load(keyOf(number)) },
		func(list [][length]byte) (sum uint32) {
			for i := range list {
				route, _ := m.Load(keyOf(list[i][:]))
				sum += route
			}
			return sum
		},
	}, nil
}

func makeXsync4(numbers *numbers) (lookups, error) {
	m := xsync4.NewMap[uint64, uint32](xsync4.WithPresize(numbers.count))
	for i := range numbers.count {
		m.Store(keyOf(numbers.hit(i)), routeOf(i))
	}
	return lookups{
		func(number []byte) (uint32, bool) { return m.Load(keyOf(number)) },
		func(list [][length]byte) (sum uint32) {
			for i := range list {
				route, _ := m.Load(keyOf(list[i][:]))
				sum += route
			}
			return sum
		},
	}, nil
}

func makeSyncMap(numbers *numbers) (lookups, error) {
	var m sync.Map
	for i := range numbers.count {
		m.Store(keyOf(numbers.hit(i)), routeOf(i))
	}
	return lookups{
		func(number []byte) (uint32, bool) {
			route, ok := m.Load(keyOf(number))
			if !ok {
				return 0, false
			}
			return route.(uint32), true
		},
		func(list [][length]byte) (sum uint32) {
			for i := range list {
				if route, ok := m.Load(keyOf(list[i][:])); ok {
					sum += route.(uint32)
				}
			}
			return sum
		},
	}, nil
}
