// Command table measures router/table: lookups beside a Go map, sync.Map and
// xsync's maps, sketches of other layouts beside each other, updates, and
// lookups while the table is resized. It writes a table and a plot to
// ../results/table-DATE.md and .svg.
//
//	go run ./table                            # all, some ten minutes
//	go run ./table -sizes 10000 -results -
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"tandem/bench/describe"
)

func main() {
	sizes := flag.String("sizes", "10000,100000,1000000,10000000", "counts of numbers")
	rounds := flag.Int("rounds", 5, "how often all is measured, in turn")
	results := flag.String("results", "results", "the directory to write to, - for none")
	flag.Parse()
	if err := run(*sizes, *rounds, *results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(sizes string, rounds int, results string) error {
	r := report{about: describe.Run(commit(), "table", versions()...)}
	largest := 0
	for _, size := range strings.Split(sizes, ",") {
		count, err := strconv.Atoi(size)
		if err != nil || count < blockSize {
			return fmt.Errorf("size %q: want a number from %d", size, blockSize)
		}
		fmt.Fprintf(os.Stderr, "%d numbers\n", count)
		layouts, err := measureSketches(count, rounds)
		if err != nil {
			return err
		}
		maps, err := measureContestants(count, rounds)
		if err != nil {
			return err
		}
		r.layouts, r.maps = append(r.layouts, layouts...), append(r.maps, maps...)
		largest = max(largest, count)
	}
	fmt.Fprintf(os.Stderr, "changes\n")
	var err error
	if r.updates, err = measureUpdates(largest, rounds); err != nil {
		return err
	}
	return r.write(results)
}
