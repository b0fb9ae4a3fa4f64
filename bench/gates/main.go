// Command gates holds what the proxy's own code costs: it counts the
// instructions and allocations of Go benchmarks, and fails when one has more
// than its ceiling in ceilings.json.
//
//	go run ./gates                      # compares; make gates does it from the root
//	go run ./gates -update              # makes what is counted now the ceilings
//	go run ./gates -only parse -keep .  # leaves parse.callgrind, for callgrind_annotate
//
// Times on a shared machine drift by tens of per cent; a count is the same
// whatever else runs. It is not a time: what waits for memory or for the kernel
// is not in it. Nothing here says how fast calls are; compare does.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// gates are what is counted. The more iterations are so many that what the
// runtime does beside them, some ten thousand instructions in a run, is far below
// one per cent of theirs.
var gates = []gate{
	{name: "parse", pkg: "./router/wire", benchmark: "BenchmarkParse", few: 200, many: 5_200},
	{name: "splice", pkg: "./router/wire", benchmark: "BenchmarkSplice", few: 200, many: 20_200},
	{name: "lookup", pkg: "./router/table", benchmark: "BenchmarkLookupCounted/exact", few: 10_000, many: 1_010_000},
	{name: "lookup-prefix", pkg: "./router/table", benchmark: "BenchmarkLookupCounted/prefix", few: 10_000, many: 210_000},
	{name: "candidates", pkg: "./router", benchmark: "BenchmarkCandidates", few: 200, many: 40_200},
	{name: "decide", pkg: "./router", benchmark: "BenchmarkDecide", few: 1000, many: 401_000},
	{name: "whole-call", pkg: "./router", benchmark: "BenchmarkWholeCall", few: 100, many: 1100},
}

type settings struct {
	update   bool
	only     string
	keep     string
	ceilings string
}

func main() {
	log.SetFlags(0)
	var s settings
	flag.BoolVar(&s.update, "update", false, "make what is counted now the ceilings")
	flag.StringVar(&s.only, "only", "", "the names of the gates to run, with commas between; all if not set")
	flag.StringVar(&s.keep, "keep", "", "a directory to leave NAME.callgrind of each gate in")
	flag.StringVar(&s.ceilings, "ceilings", filepath.Join("gates", "ceilings.json"), "the file of the ceilings")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatal("gates: there are no arguments, only flags")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run counts, writes a table, and compares or updates. A gate that does not hold
// is an error.
func run(ctx context.Context, s settings, out io.Writer) error {
	chosen, err := choose(gates, s.only)
	if err != nil {
		return err
	}
	held, err := readCeilings(s.ceilings)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gates")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := counter{dir: dir, keep: s.keep}
	now := ceilings{AllowedPercent: held.AllowedPercent, Gates: map[string]cost{}}
	for _, g := range chosen {
		cost, on, err := c.count(ctx, g)
		if err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		now.On, now.Gates[g.name] = on, cost
	}
	report := compare(chosen, held, now)
	report.write(out)
	if s.update {
		return held.updated(now).write(s.ceilings)
	}
	report.remark(out)
	return report.err()
}

// choose returns the gates of these names, all for none.
func choose(all []gate, names string) ([]gate, error) {
	if names == "" {
		return all, nil
	}
	var chosen []gate
	for name := range strings.SplitSeq(names, ",") {
		before := len(chosen)
		for _, g := range all {
			if g.name == name {
				chosen = append(chosen, g)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("there is no gate %q", name)
		}
	}
	return chosen, nil
}
