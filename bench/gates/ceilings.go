package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"text/tabwriter"

	"tandem/bench/describe"
)

// ceilings are the contents of ceilings.json, and what is counted now.
type ceilings struct {
	On             environment     `json:"on"`
	AllowedPercent float64         `json:"allowed_percent"` // above a ceiling, before it fails
	Gates          map[string]cost `json:"gates"`
}

func readCeilings(path string) (ceilings, error) {
	var c ceilings
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c ceilings) write(path string) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// updated are c with what is counted now. Of another environment, those that
// were not counted have no ceiling any more.
func (c ceilings) updated(now ceilings) ceilings {
	gates := map[string]cost{}
	if c.On == now.On {
		maps.Copy(gates, c.Gates)
	}
	maps.Copy(gates, now.Gates)
	return ceilings{On: now.On, AllowedPercent: c.AllowedPercent, Gates: gates}
}

// verdict is how a cost stands to its ceiling.
type verdict int

const (
	within verdict = iota
	unknown
	below // so far that growth would go unseen
	above
)

// judge compares a cost with its ceiling. What is not much is within either way.
func judge(now, held cost, allowedPercent float64) verdict {
	switch allowed := held.Instructions * allowedPercent / 100; {
	case now.Allocations > held.Allocations, now.Instructions > held.Instructions+allowed:
		return above
	case now.Allocations < held.Allocations, now.Instructions < held.Instructions-allowed:
		return below
	}
	return within
}

// comparison is what run has found.
type comparison struct {
	held, now ceilings
	lines     []line
}

type line struct {
	gate
	held, now cost
	verdict   verdict
}

// compare judges the gates, none of them where counts are of another compiler or
// CPU than the ceilings.
func compare(gates []gate, held, now ceilings) comparison {
	c := comparison{held: held, now: now}
	for _, g := range gates {
		l := line{gate: g, now: now.Gates[g.name]}
		var ok bool
		if l.held, ok = held.Gates[g.name]; !ok || c.elsewhere() {
			l.verdict = unknown
		} else {
			l.verdict = judge(l.now, l.held, held.AllowedPercent)
		}
		c.lines = append(c.lines, l)
	}
	return c
}

func (c comparison) elsewhere() bool { return c.held.On != c.now.On }

// write writes the table.
func (c comparison) write(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "instructions\tnow\tceiling\tdifference\tallocations\tceiling\t")
	for _, l := range c.lines {
		if l.held == (cost{}) {
			fmt.Fprintf(table, "%s\t%s\t-\t-\t%d\t-\t\n", l.name, figure(l.now.Instructions), l.now.Allocations)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%+.1f %%\t%d\t%d\t\n", l.name, figure(l.now.Instructions), figure(l.held.Instructions),
			100*(l.now.Instructions/l.held.Instructions-1), l.now.Allocations, l.held.Allocations)
	}
	table.Flush()
}

// remark writes what to do about what is in the table.
func (c comparison) remark(out io.Writer) {
	if c.elsewhere() {
		fmt.Fprintf(out, "\nNothing was judged: these counts are of %s, the ceilings of %s.\n", c.now.On, c.held.On)
		return
	}
	for _, l := range c.lines {
		switch l.verdict {
		case below:
			fmt.Fprintf(out, "\n%s is well below its ceiling, so that it could grow again unseen. Keep what was gained: make gates UPDATE=1\n", l.name)
		case unknown:
			fmt.Fprintf(out, "\n%s has no ceiling yet: make gates UPDATE=1\n", l.name)
		case above:
			fmt.Fprintf(out, "\n%[1]s has grown. See where: in bench/, go run ./gates -only %[1]s -keep . && callgrind_annotate %[1]s.callgrind\n"+
				"If that is wanted: make gates UPDATE=1, and say in the commit what it buys.\n", l.name)
		}
	}
}

// err says which gates do not hold.
func (c comparison) err() error {
	var errs []error
	for _, l := range c.lines {
		if l.verdict != above {
			continue
		}
		errs = append(errs, fmt.Errorf("gate %s does not hold: %s instructions and %d allocations an iteration of %s in %s, where %s (and %v %%) and %d are allowed",
			l.name, figure(l.now.Instructions), l.now.Allocations, l.benchmark, l.pkg,
			figure(l.held.Instructions), c.held.AllowedPercent, l.held.Allocations))
	}
	return errors.Join(errs...)
}

// String names an environment in a sentence.
func (e environment) String() string {
	return strings.Join([]string{e.Go, e.Arch, e.CPU}, ", ")
}

// figure writes instructions, a tenth where they are few.
func figure(instructions float64) string {
	if instructions < 1000 {
		return fmt.Sprintf("%.1f", instructions)
	}
	return describe.Number(int(instructions))
}
