// Command failover shows what a dead connector costs the calls that are to go
// there first: from INVITE to answer, beside calls at the same time whose first
// connector is well. It writes the figures to ../results/failover-DATE.md.
//
//	go run ./failover                                # some two minutes
//	go run ./failover -calls 100 -results -
//
// It places calls on loopback addresses 127.93.x.x only.
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
	calls   int
	rate    float64
	wait    time.Duration
	binary  string
	results string
}

func main() {
	log.SetFlags(log.Ltime)
	var s settings
	flag.IntVar(&s.calls, "calls", 1000, "calls of each kind, each to a host of its own")
	flag.Float64Var(&s.rate, "rate", 50, "calls a second, and as many beside them to a connector that is well")
	flag.DurationVar(&s.wait, "first-response", 500*time.Millisecond, "how long tandem waits for a first response")
	flag.StringVar(&s.binary, "tandem", "", "a binary of tandem; built from this tree if not set")
	flag.StringVar(&s.results, "results", "results", "the directory to write to, - for none")
	flag.Parse()
	if s.calls < 1 || s.calls > mostHosts-warmUp || s.rate <= 0 || flag.NArg() > 0 {
		log.Fatalf("failover: 1 to %d calls and a rate above 0 are needed, and no arguments", mostHosts-warmUp)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		log.Fatal("failover: ", err)
	}
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "tandem-failover-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r := &result{settings: s, about: describe.Run(describe.Built(s.binary), "failover")}
	if err := r.measure(ctx, dir); err != nil {
		return err
	}
	return r.write(os.Stdout)
}

func progress(format string, args ...any) { log.Printf(format, args...) }
