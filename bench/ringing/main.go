// Command ringing shows what calls cost in memory: while 100,000 of them ring at
// once, after their answer, when they have ended and when the last of their
// timers has. It writes the figures to ../results/ringing-DATE.md.
//
//	go run ./ringing                    # some eight minutes
//	go run ./ringing -calls 5000 -bodies 0 -settle 20s -results -
//
// It places calls on loopback addresses 127.92.0.x only.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tandem/bench/describe"
	"tandem/bench/node"
)

type settings struct {
	calls   int
	large   int
	bodies  []int
	rate    float64
	settle  time.Duration
	binary  string
	results string
}

func main() {
	log.SetFlags(log.Ltime)
	s := settings{bodies: []int{0, 8 << 10, 40 << 10}}
	flag.IntVar(&s.calls, "calls", 100_000, "calls that ring at once")
	flag.IntVar(&s.large, "large", 10_000, "calls that ring at once where the INVITE has a body of its own size")
	flag.Func("bodies", "bytes of body of the INVITEs of each run, 0 for the SDP of a carrier (default 0,8192,40960)", func(text string) (err error) {
		s.bodies, err = integers(text)
		return err
	})
	flag.Float64Var(&s.rate, "rate", 2000, "calls a second that begin, are answered and end")
	flag.DurationVar(&s.settle, "settle", 75*time.Second, "how long tandem has to give memory back when the last timer has ended")
	flag.StringVar(&s.binary, "tandem", "", "a binary of tandem; built from this tree if not set")
	flag.StringVar(&s.results, "results", "results", "the directory to write to, - for none")
	flag.Parse()
	if s.calls < 1 || s.large < 1 || s.rate <= 0 || flag.NArg() > 0 {
		log.Fatal("ringing: a call and a rate above 0 are needed, and no arguments")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		log.Fatal("ringing: ", err)
	}
}

func integers(text string) (all []int, err error) {
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 || n > mostBody {
			return nil, fmt.Errorf("bytes of 0 to %d, separated by commas, are needed", mostBody)
		}
		all = append(all, n)
	}
	return all, nil
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "tandem-ringing-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r := &result{settings: s, about: describe.Run(describe.Built(s.binary), "ringing")}
	if s.binary == "" {
		if s.binary, err = node.Build(dir); err != nil {
			return err
		}
	}
	for _, body := range s.bodies {
		one := series{calls: s.calls, body: body}
		if body > 0 {
			one.calls = s.large
		}
		if err := one.measure(ctx, s, dir); err != nil {
			return err
		}
		r.series = append(r.series, one)
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
