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
	make func(numbers *numbers) (lookup func(number []byte) (uint32, bool), err error)
	note string
}

var contestants = []contestant{
	{"tandem", makeTandem, "router/table; ranges and prefixes are looked at on a miss"},
	{"map", makeMap, "map[uint64]uint32; cannot be changed while it is read"},
	{"xsync v3", makeXsync3, "MapOf[uint64, uint32]"},
	{"xsync v4", makeXsync4, "Map[uint64, uint32]"},
	{"sync.Map", makeSyncMap, "key and value in interfaces"},
}

func makeTandem(numbers *numbers) (func([]byte) (uint32, bool), error) {
	t, err := buildTable(numbers)
	if err != nil {
		return nil, err
	}
	return func(number []byte) (uint32, bool) {
		m, ok := t.Lookup(number)
		return m.Route, ok
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

func makeMap(numbers *numbers) (func([]byte) (uint32, bool), error) {
	m := make(map[uint64]uint32, numbers.count)
	for i := range numbers.count {
		m[keyOf(numbers.hit(i))] = routeOf(i)
	}
	return func(number []byte) (uint32, bool) {
		route, ok := m[keyOf(number)]
		return route, ok
	}, nil
}

func makeXsync3(numbers *numbers) (func([]byte) (uint32, bool), error) {
	m := xsync3.NewMapOf[uint64, uint32](xsync3.WithPresize(numbers.count))
	for i := range numbers.count {
		m.Store(keyOf(numbers.hit(i)), routeOf(i))
	}
	return func(number []byte) (uint32, bool) { return m.Load(keyOf(number)) }, nil
}

func makeXsync4(numbers *numbers) (func([]byte) (uint32, bool), error) {
	m := xsync4.NewMap[uint64, uint32](xsync4.WithPresize(numbers.count))
	for i := range numbers.count {
		m.Store(keyOf(numbers.hit(i)), routeOf(i))
	}
	return func(number []byte) (uint32, bool) { return m.Load(keyOf(number)) }, nil
}

func makeSyncMap(numbers *numbers) (func([]byte) (uint32, bool), error) {
	var m sync.Map
	for i := range numbers.count {
		m.Store(keyOf(numbers.hit(i)), routeOf(i))
	}
	return func(number []byte) (uint32, bool) {
		route, ok := m.Load(keyOf(number))
		if !ok {
			return 0, false
		}
		return route.(uint32), true
	}, nil
}
