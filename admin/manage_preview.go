package admin

import (
	"context"
	"math"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/config/number"
	"tandem/router"
)

// Preview is what a dry run tells besides: nothing was done.
type Preview struct {
	DryRun      bool `json:"dry_run,omitempty"`
	RecentCalls *int `json:"recent_calls,omitempty"` // of the calls in memory, those that it would concern
}

func (p *managed) preview(concerned func(*router.CallRecord) bool) Preview {
	n := 0
	p.router.Recent(math.MaxInt, func(c *router.CallRecord) bool {
		if concerned(c) {
			n++
		}
		return false // it is counted, and not kept
	})
	return Preview{DryRun: true, RecentCalls: &n}
}

// previewRoute counts the calls to the numbers of a group.
func (p *managed) previewRoute(group string) Preview {
	return p.preview(func(c *router.CallRecord) bool { return c.Route == group })
}

// previewConnector counts the calls that tried a connector.
func (p *managed) previewConnector(name string) Preview {
	return p.preview(func(c *router.CallRecord) bool {
		for i := range c.Attempts {
			if c.Attempts[i].Connector == name {
				return true
			}
		}
		return c.Route == name
	})
}

// recentNumbers is how many of the calls in memory each number had.
type recentNumbers map[number.Key]int

func (p *managed) recentNumbers() recentNumbers {
	recent := make(recentNumbers)
	p.preview(func(c *router.CallRecord) bool {
		if k, ok := number.Parse([]byte(c.Number)); ok {
			recent[k]++
		}
		return false
	})
	return recent
}

// concerned counts the calls to numbers that a change is about: of a range or a
// prefix, those that nothing more specific leads elsewhere.
func (recent recentNumbers) concerned(ctx context.Context, m *manage.Manager, change []inventory.NumberChange) (int, error) {
	total := 0
	spans := make(map[catalog.Entry]bool)
	for _, c := range change {
		switch e := entryOf(c); e.Kind {
		case catalog.Exact:
			total += recent[e.First]
		default:
			spans[e] = true
		}
	}
	if len(spans) == 0 {
		return total, nil
	}
	var inside []catalog.Entry
	for k := range recent {
		if spans[leading(k, m.Snapshot().Spans, spans)] {
			inside = append(inside, catalog.Entry{First: k})
		}
	}
	exact, err := m.Find(ctx, inside)
	if err != nil {
		return 0, err
	}
	for i, e := range inside {
		if exact[i] == nil {
			total += recent[e.First]
		}
	}
	return total, nil
}

func entryOf(c inventory.NumberChange) catalog.Entry {
	if c.After != nil {
		return c.After.Entry
	}
	return c.Before.Entry
}

// leading is the most specific range or prefix that a number is in: a range,
// else the longest prefix.
func leading(k number.Key, there []inventory.Number, more map[catalog.Entry]bool) (best catalog.Entry) {
	try := func(e catalog.Entry) {
		if contains(e, k) && best.Kind != catalog.Range && (e.Kind == catalog.Range || e.First >= best.First) {
			best = e
		}
	}
	for i := range there {
		try(there[i].Entry)
	}
	for e := range more {
		try(e)
	}
	return best
}

func contains(e catalog.Entry, k number.Key) bool {
	if e.Kind == catalog.Range {
		return e.First <= k && k <= e.Last && e.First.Form() == k.Form()
	}
	first, last, ok := e.First.Numbers(k.Form())
	return ok && first <= k && k <= last
}
