package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"tandem/bench/describe"
	"tandem/bench/load"
	"tandem/bench/node"
	"tandem/bench/plan"
)

const (
	warmUp   = 3 * time.Second  // of calls before the first window
	patience = 10 * time.Second // that a call which was asked for may take
)

// story is what happens while calls run.
type story struct {
	*result
	generator *load.Generator
	dialer    *dialer
	node      *node.Node
	api       *api
	windows   []*load.Window
}

func (s *story) tell(ctx context.Context) error {
	if err := sleep(ctx, min(warmUp, s.settings.window)); err != nil {
		return err
	}
	for _, chapter := range []func(context.Context) error{s.before, s.read, s.importNumbers, s.moveNumbers, s.assign, s.rank} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	s.generator.Window("") // calls that only fill the time until the end
	return nil
}

// window begins one; those of one name are one in the report.
func (s *story) window(name string) {
	s.windows = append(s.windows, s.generator.Window(name))
}

// quiet is a window in which nothing is changed.
func (s *story) quiet(ctx context.Context, name string, d time.Duration) error {
	progress("%s: calls, %g a second, for %v", name, s.settings.rate, d)
	s.window(name)
	return sleep(ctx, d)
}

// remember takes down the memory, and begins its peak anew.
func (s *story) remember(when string) error {
	m, err := memoryOf(s.node, when)
	if err != nil {
		return err
	}
	s.memory = append(s.memory, m)
	return s.node.ResetPeak()
}

func (s *story) before(ctx context.Context) error {
	if err := s.quiet(ctx, "before", s.settings.window); err != nil {
		return err
	}
	return s.remember("lists without calls, then calls alone")
}

// read reads lists, as without calls.
func (s *story) read(ctx context.Context) (err error) {
	progress("reading pages")
	s.window("lists")
	if s.busyLists, err = readLists(ctx, s.api, s.settings, max(1, s.settings.pages/4)); err != nil {
		return err
	}
	return s.after(ctx, "lists")
}

// after ends a chapter.
func (s *story) after(ctx context.Context, chapter string) error {
	if err := s.remember(chapter); err != nil {
		return err
	}
	return s.quiet(ctx, "after "+chapter, s.settings.window/2)
}

// importNumbers adds new numbers and gives them to the first group.
func (s *story) importNumbers(ctx context.Context) error {
	for i := range s.settings.rounds {
		from, to := s.imported(i)
		s.dialer.prefer(from, to)
		s.window("import")
		r, err := s.pages(ctx, "/v1/numbers/assign", map[string]any{"to": ref(first), "add": true}, from, to, first)
		if err != nil {
			return err
		}
		s.imports = append(s.imports, r)
		progress("import %d: %v, %d calls failed so far", i+1, round10(r.took), s.failed())
		if err := s.pause(ctx, "after import"); err != nil {
			return err
		}
	}
	return s.after(ctx, "import")
}

// imported are the numbers of an import.
func (s *story) imported(i int) (from, to int) {
	from = s.settings.numbers + i*s.settings.imported
	return from, from + s.settings.imported
}

func (s *story) failed() int { return s.windows[len(s.windows)-1].Count(load.Failed) }

// pause is between two changes of a kind.
func (s *story) pause(ctx context.Context, name string) error {
	s.window(name)
	return sleep(ctx, s.settings.window/10)
}

// pages changes numbers, page by page; after each answer one of the page is called.
func (s *story) pages(ctx context.Context, path string, body map[string]any, from, to int, o owner) (r round, err error) {
	began := time.Now()
	for ; from < to; from += plan.Block {
		end := from + plan.Block
		body["numbers"] = texts(from, end)
		s.dialer.giving(from, end, o)
		took, err := s.api.change(ctx, path, body, plan.Block)
		if err != nil {
			return r, err
		}
		s.dialer.given(from, end, o)
		s.dialer.ask(from)
		r.answers = append(r.answers, took)
	}
	r.took = time.Since(began)
	return r, nil
}

// moveNumbers moves imported numbers from the first group to the third, as lists,
// and back, all that the third has.
func (s *story) moveNumbers(ctx context.Context) error {
	for i := range s.settings.rounds {
		from, to := s.imported(i)
		s.dialer.prefer(from, to)
		s.window("move: lists")
		r, err := s.pages(ctx, "/v1/numbers/move", map[string]any{"to": ref(third)}, from, to, third)
		if err != nil {
			return err
		}
		s.moves = append(s.moves, r)
		if err := s.pause(ctx, "after move"); err != nil {
			return err
		}
		s.window("move: a group")
		s.dialer.giving(from, to, first)
		took, err := s.api.change(ctx, "/v1/numbers/move", map[string]any{"from": ref(third), "to": ref(first)}, to-from)
		if err != nil {
			return err
		}
		s.dialer.given(from, to, first)
		s.dialer.ask(to - 1)
		s.backs = append(s.backs, round{took, times{took}})
		progress("move %d: %v, back %v, %d calls failed so far", i+1, round10(r.took), round10(took), s.failed())
		if err := s.pause(ctx, "after move"); err != nil {
			return err
		}
	}
	return s.after(ctx, "move")
}

// assign assigns unassigned numbers to the second group, one after the other, and
// calls each.
func (s *story) assign(ctx context.Context) error {
	from := s.settings.numbers / 10 * 9
	progress("assigning %s numbers one by one", describe.Number(s.settings.assigns))
	s.window("assign")
	for i := from; i < from+s.settings.assigns; i++ {
		body := map[string]any{"numbers": texts(i, i+1), "to": ref(second)}
		took, err := s.api.change(ctx, "/v1/numbers/assign", body, 1)
		if err != nil {
			return err
		}
		s.dialer.given(i, i+1, second)
		s.dialer.ask(i)
		s.assigns = append(s.assigns, took)
	}
	return s.after(ctx, "assign")
}

// rank changes the ranking of the first group to and fro. The very next call that
// begins after an answer goes to one of its numbers.
func (s *story) rank(ctx context.Context) error {
	progress("changing a ranking %d times", s.settings.rankings)
	s.window("ranking")
	for i := range s.settings.rankings {
		to := [...]int{west, east}[i%2]
		ranking := map[string]int{connectorNames[to]: 1, connectorNames[east+west-to]: 2}
		s.dialer.leading(first, to)
		var group struct{ Name string }
		took, err := s.api.ask(ctx, "PUT", "/v1/groups/"+url.PathEscape(ownerNames[first])+"/ranking", ranking, &group)
		if err != nil {
			return fmt.Errorf("ranking %d: %w", i+1, err)
		}
		s.dialer.led(first, to)
		next := s.dialer.ask(i * (s.settings.numbers / 10 * 6 / s.settings.rankings))
		s.rankings = append(s.rankings, took)
		select {
		case right := <-next:
			if right {
				s.rankedRight++
			}
		case <-time.After(patience):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.after(ctx, "ranking")
}
