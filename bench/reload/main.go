// Command reload shows what a reload of millions of numbers does to calls. It
// writes two files of numbers, starts tandem on them, places calls at a fixed
// rate, and has the files read again, each time with a block of numbers that
// has changed hands. It writes the figures to ../results/reload-DATE.md.
//
//	go run ./reload                          # ten million numbers, some two minutes
//	go run ./reload -numbers 100000 -window 3s -results -
//
// It places calls on loopback addresses 127.90.0.x only.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tandem/bench/describe"
)

type settings struct {
	numbers int
	rate    float64
	sources int
	window  time.Duration
	quiet   time.Duration
	reloads int
	settle  time.Duration
	pin     bool
	binary  string
	results string
}

const (
	proxyCPU = 0 // with -pin
	loadCPU  = 1
)

func main() {
	log.SetFlags(log.Ltime)
	var s settings
	flag.IntVar(&s.numbers, "numbers", 10_000_000, "how many numbers, in all")
	flag.Float64Var(&s.rate, "rate", 500, "calls a second")
	flag.IntVar(&s.sources, "sources", 1, "ports that calls come from")
	flag.DurationVar(&s.window, "window", 20*time.Second, "how long calls are measured before the reloads, and after")
	flag.DurationVar(&s.quiet, "quiet", 5*time.Second, "how long there is no reload between two")
	flag.IntVar(&s.reloads, "reloads", 5, "how often it reloads")
	flag.DurationVar(&s.settle, "settle", 0, "after all calls, wait so long and look at the memory once more: Go collects what is left after two minutes")
	flag.BoolVar(&s.pin, "pin", false, "pin tandem to one CPU and the load to another")
	flag.StringVar(&s.binary, "tandem", "", "a binary of tandem; built from this tree if not set")
	flag.StringVar(&s.results, "results", "results", "the directory to write to, - for none")
	flag.Parse()
	if s.numbers < 2*blockSize || s.rate <= 0 || s.reloads < 1 || flag.NArg() > 0 {
		log.Fatalf("reload: at least %d numbers, one reload and a rate above 0 are needed, and no arguments", 2*blockSize)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		log.Fatal("reload: ", err)
	}
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "tandem-reload-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r := &result{settings: s, about: describe.Run(describe.Built(s.binary), "reload")}
	if err := r.measure(ctx, dir); err != nil {
		return err
	}
	return r.write(os.Stdout)
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
