package main

import (
	"sync"

	xsync3 "github.com/puzpuzpuz/xsync/v3"
	xsync4 "github.com/puzpuzpuz/xsync/v4"

	"tandem/config/number"
	"tandem/router/table"
)

// contestant is something that leads from a number to a route.
type contestant struct {
	name string
	make func(numbers *numbers) (lookups, error)
	note string
}

// asked is numbers to look up, as they come and as keys.
type asked struct {
	text [][length]byte
	keys []number.Key
}

// lookups are one, and one after the other. All of a list are looked up in a loop
// of the contestant's own, so that what stands between the loop and the lookup is
// nothing, and not a call more for some than for others; all returns the sum of
// the routes.
type lookups struct {
	one func(text []byte, k number.Key) (route uint32, ok bool)
	all func(list asked) (sum uint32)
}

var contestants = []contestant{
	{"tandem", makeTandem, "router/table; ranges and prefixes are looked at on a miss"},
	{"tandem, from text", makeTandemText, "the same, with the reading of the number's text, as it is in a request, before it"},
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
		func(_ []byte, k number.Key) (uint32, bool) {
			m, ok := t.Lookup(k)
			return m.Route, ok
		},
		func(list asked) (sum uint32) {
			for _, k := range list.keys {
				m, _ := t.Lookup(k)
				sum += m.Route
			}
			return sum
		},
	}, nil
}

func makeTandemText(numbers *numbers) (lookups, error) {
	t, err := buildTable(numbers)
	if err != nil {
		return lookups{}, err
	}
	return lookups{
		func(text []byte, _ number.Key) (uint32, bool) {
			k, _ := number.Parse(text)
			m, ok := t.Lookup(k)
			return m.Route, ok
		},
		func(list asked) (sum uint32) {
			for i := range list.text {
				k, _ := number.Parse(list.text[i][:])
				m, _ := t.Lookup(k)
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
		m[uint64(numberKey(numbers.hit(i)))] = routeOf(i)
	}
	return lookups{
		func(_ []byte, k number.Key) (uint32, bool) {
			route, ok := m[uint64(k)]
			return route, ok
		},
		func(list asked) (sum uint32) {
			for _, k := range list.keys {
				sum += m[uint64(k)]
			}
			return sum
		},
	}, nil
}

func makeXsync3(numbers *numbers) (lookups, error) {
	m := xsync3.NewMapOf[uint64, uint32](xsync3.WithPresize(numbers.count))
	for i := range numbers.count {
		m.Store(uint64(numberKey(numbers.hit(i))), routeOf(i))
	}
	return lookups{
		func(_ []byte, k number.Key) (uint32, bool) { return m.Load(uint64(k)) },
		func(list asked) (sum uint32) {
			for _, k := range list.keys {
				route, _ := m.Load(uint64(k))
				sum += route
			}
			return sum
		},
	}, nil
}

func makeXsync4(numbers *numbers) (lookups, error) {
	m := xsync4.NewMap[uint64, uint32](xsync4.WithPresize(numbers.count))
	for i := range numbers.count {
		m.Store(uint64(numberKey(numbers.hit(i))), routeOf(i))
	}
	return lookups{
		func(_ []byte, k number.Key) (uint32, bool) { return m.Load(uint64(k)) },
		func(list asked) (sum uint32) {
			for _, k := range list.keys {
				route, _ := m.Load(uint64(k))
				sum += route
			}
			return sum
		},
	}, nil
}

func makeSyncMap(numbers *numbers) (lookups, error) {
	var m sync.Map
	for i := range numbers.count {
		m.Store(uint64(numberKey(numbers.hit(i))), routeOf(i))
	}
	return lookups{
		func(_ []byte, k number.Key) (uint32, bool) {
			route, ok := m.Load(uint64(k))
			if !ok {
				return 0, false
			}
			return route.(uint32), true
		},
		func(list asked) (sum uint32) {
			for _, k := range list.keys {
				if route, ok := m.Load(uint64(k)); ok {
					sum += route.(uint32)
				}
			}
			return sum
		},
	}, nil
}
