// Command store shows what a store of millions of numbers, and managing what is
// in it, do to a node and its calls. It fills a store, starts tandem on it, lists
// numbers over HTTP, and under calls at a fixed rate imports numbers, moves and
// assigns some, and changes a ranking: every call must come out at its number's
// owner. It writes the figures to ../results/store-DATE.md.
//
//	go run ./store                           # ten million numbers, some three minutes
//	go run ./store -numbers 100000 -window 3s -results -
//
// It uses loopback addresses 127.91.0.x only.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tandem/bench/describe"
	"tandem/bench/plan"
)

type settings struct {
	numbers  int
	rate     float64
	window   time.Duration
	rounds   int
	imported int // numbers of an import, which are moved then
	assigns  int
	rankings int
	pages    int
	binary   string
	results  string
}

func main() {
	log.SetFlags(log.Ltime)
	var s settings
	flag.IntVar(&s.numbers, "numbers", 10_000_000, "how many numbers are in the store, in blocks of 10,000")
	flag.Float64Var(&s.rate, "rate", 500, "calls a second")
	flag.DurationVar(&s.window, "window", 10*time.Second, "how long calls are measured before all changes; half of it after each kind of them")
	flag.IntVar(&s.rounds, "rounds", 5, "how often numbers are imported and moved")
	flag.IntVar(&s.imported, "imported", 100_000, "how many numbers an import has, in blocks of 10,000; these are moved")
	flag.IntVar(&s.assigns, "assigns", 1000, "how many numbers are assigned one by one")
	flag.IntVar(&s.rankings, "rankings", 200, "how often a ranking is changed")
	flag.IntVar(&s.pages, "pages", 200, "how many pages of each list are read")
	flag.StringVar(&s.binary, "tandem", "", "a binary of tandem; built from this tree if not set")
	flag.StringVar(&s.results, "results", "results", "the directory to write to, - for none")
	flag.Parse()
	if flag.NArg() > 0 || !s.valid() {
		log.Fatalf("store: at least %d numbers, full blocks of %d, %d unassigned ones for -assigns, a rate above 0, one of all else, and no arguments are needed",
			leastNumbers, plan.Block, s.assigns)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, os.Stdout); err != nil {
		log.Fatal("store: ", err)
	}
}

func (s settings) valid() bool {
	full := s.numbers%plan.Block == 0 && s.imported%plan.Block == 0
	return full && s.numbers >= leastNumbers && s.numbers/10 >= s.assigns+fewNumbers && s.imported > 0 && s.rate > 0 &&
		s.window > 0 && s.rounds > 0 && s.assigns > 0 && s.rankings > 0 && s.pages > 0
}

func run(ctx context.Context, s settings, w io.Writer) error {
	r := &result{settings: s, about: describe.Run(describe.Built(s.binary), "store")}
	if err := r.measureAll(ctx); err != nil {
		return err
	}
	return r.write(w)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func progress(format string, args ...any) { log.Printf(format, args...) }
