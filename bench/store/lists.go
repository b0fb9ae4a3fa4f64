package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"tandem/bench/plan"
)

// list is pages of one kind, read many times. Each has least numbers or more.
type list struct {
	name  string
	least int
	query func(s settings, rnd *rand.Rand) string
	times times
}

// pageSize is the most numbers that a page may have.
const pageSize = 1000

func allLists() []list {
	return []list{
		{name: "all: the first page", least: pageSize, query: always("")},
		{name: "all: behind any number", query: behind("")},
		{name: "all: the last page", least: pageSize, query: func(s settings, _ *rand.Rand) string {
			return after(lastBlock(s.numbers) + plan.Block - 1 - pageSize)
		}},
		{name: "of the group with six tenths: the first page", least: pageSize, query: always("&group=first")},
		{name: "of the group with six tenths: behind any number", query: behind("&group=first")},
		{name: "unassigned: the first page", least: pageSize, query: always("&unassigned=true")},
		{name: "unassigned: behind any number", query: behind("&unassigned=true")},
		{name: "of the connector with three numbers", least: fewNumbers, query: always("&connector=few")},
		{name: "that begin with six digits, of any block", least: pageSize, query: func(s settings, rnd *rand.Rand) string {
			block := plan.Append(nil, rnd.IntN(s.numbers)/plan.Block*plan.Block)
			return "&digits=%2B" + string(block[1:8])
		}},
	}
}

func always(query string) func(settings, *rand.Rand) string {
	return func(settings, *rand.Rand) string { return query }
}

func behind(query string) func(settings, *rand.Rand) string {
	return func(s settings, rnd *rand.Rand) string { return query + after(rnd.IntN(s.numbers)) }
}

func after(number int) string { return "&after=%2B" + string(plan.Append(nil, number)[1:]) }

// readLists reads so many pages of each list, in turn.
func readLists(ctx context.Context, a *api, s settings, pages int) ([]list, error) {
	lists, rnd := allLists(), rand.New(rand.NewPCG(3, 3))
	for range pages {
		for i := range lists {
			l := &lists[i]
			var page struct {
				Numbers []struct{ Number string }
			}
			path := "/v1/numbers?limit=" + strconv.Itoa(pageSize) + l.query(s, rnd)
			took, err := a.ask(ctx, "GET", path, nil, &page)
			if err != nil {
				return nil, err
			}
			if n := len(page.Numbers); n < l.least || n > pageSize {
				return nil, fmt.Errorf("GET %s: %d numbers", path, n)
			}
			l.times = append(l.times, took)
		}
	}
	return lists, nil
}
