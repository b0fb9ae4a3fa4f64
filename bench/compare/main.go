// Command compare measures the CPU time that tandem and Kamailio spend on the
// same calls, in pairs of runs that follow each other, and writes the numbers
// under results. See bench/README.md for the method.
//
// It places calls on loopback addresses 127.88.0.x only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settings are what a session is run with.
type settings struct {
	Rates    []int         `json:"calls_per_second"`
	Pairs    int           `json:"pairs"`
	Window   time.Duration `json:"window_ns"`
	Warmup   time.Duration `json:"warmup_ns"`
	Children int           `json:"kamailio_children"`
	Workers  int           `json:"tandem_workers"`     // 0 is its default
	Dialogs  string        `json:"kamailio_in_dialog"` // stateless or tm
	Pinned   bool          `json:"pinned"`
	Only     string        `json:"only,omitempty"`
	Variant  string        `json:"variant,omitempty"` // config of a second tandem, which takes Kamailio's place
	Voids    int           `json:"most_voided_pairs"`
	ProxyCPU int           `json:"proxy_cpu"`
	LoadCPU  int           `json:"load_cpu"`
	Numbers  int           `json:"numbers"`
	Results  string        `json:"-"`
	Name     string        `json:"-"` // of the files in Results
	Bench    string        `json:"-"` // the directory of this module
	Work     string        `json:"-"` // what the run leaves behind: logs, configs
}

// peer is what tandem is measured beside.
func (s settings) peer() string {
	if s.Variant != "" {
		return "variant"
	}
	return "kamailio"
}

func main() {
	log.SetFlags(0)
	s := settings{ProxyCPU: 0, LoadCPU: 1, Numbers: 10000}
	rates := flag.String("rates", "2000", "calls a second, several separated by commas")
	flag.IntVar(&s.Pairs, "pairs", 6, "pairs of valid blocks for each rate")
	flag.DurationVar(&s.Window, "window", 8*time.Second, "how long CPU is measured in each block")
	flag.DurationVar(&s.Warmup, "warmup", 3*time.Second, "load before each window")
	flag.IntVar(&s.Children, "children", 1, "Kamailio's children: 1 or 2, the better one counts")
	flag.IntVar(&s.Workers, "workers", 0, "tandem's workers; 0 is its default")
	flag.StringVar(&s.Dialogs, "dialogs", "stateless", "how Kamailio forwards ACK and BYE: stateless, as tandem does, or tm, with a transaction for BYE")
	flag.BoolVar(&s.Pinned, "pin", true, "pin the proxies to one CPU and the load to another")
	flag.StringVar(&s.Only, "only", "", "measure tandem or kamailio alone")
	flag.StringVar(&s.Variant, "variant", "", "measure tandem beside a second one with this line more in its config, instead of Kamailio, as in: recent_calls: off")
	flag.IntVar(&s.Voids, "voids", 12, "give up after so many void pairs")
	flag.StringVar(&s.Bench, "bench", ".", "the bench directory")
	flag.StringVar(&s.Results, "results", "", "where results go; default results/DATE-COMMIT; - for nowhere")
	flag.StringVar(&s.Name, "name", "kamailio", "what the result's files are called")
	flag.Parse()
	for _, text := range strings.Split(*rates, ",") {
		rate, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || rate < 1 {
			log.Fatalf("compare: -rates: %q is no number of calls", text)
		}
		s.Rates = append(s.Rates, rate)
	}
	if s.Variant != "" && s.Only != "" {
		log.Fatal("compare: -variant and -only exclude each other")
	}
	if s.Dialogs != "stateless" && s.Dialogs != "tm" {
		log.Fatalf("compare: -dialogs %s: there is stateless and tm", s.Dialogs)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		log.Fatal("compare: ", err)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if runtime.NumCPU() < 2 {
		return errors.New("needs two CPUs: one for the proxy, one for the load")
	}
	for program, packages := range map[string]string{"sipp": "sip-tester", "taskset": "util-linux", "kamailio": "kamailio"} {
		if program == "kamailio" && (s.Only == "tandem" || s.Variant != "") {
			continue
		}
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed. Run: apt-get install -y %s", program, packages)
		}
	}
	alone, err := net.Listen("tcp4", net.JoinHostPort(callerIP, "65000"))
	if err != nil {
		return fmt.Errorf("is another comparison running on this machine? %w", err)
	}
	defer func() { _ = alone.Close() }()
	if s.Work, err = os.MkdirTemp("", "tandem-compare-"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			_ = os.RemoveAll(s.Work)
		} else {
			log.Printf("logs are in %s", s.Work)
		}
	}()
	if s.Bench, err = filepath.Abs(s.Bench); err != nil {
		return err
	}

	about := describeRun(s)
	proxies, err := startProxies(ctx, s)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range proxies {
			p.stop()
		}
	}()
	connectors, err := startConnectors(ctx, s)
	if err != nil {
		return err
	}
	defer connectors.stop()
	if err := sleep(ctx, 8*time.Second); err != nil { // probes find the connectors
		return err
	}

	session := &session{settings: s, proxies: proxies, connectors: connectors, out: os.Stdout}
	var results []result
	for _, rate := range s.Rates {
		r, err := session.measure(ctx, rate)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	return report(os.Stdout, s, about, results)
}

// session is a run of all blocks.
type session struct {
	settings
	proxies    []*proxy
	connectors *connectors
	out        io.Writer
}

// result is one rate.
type result struct {
	Rate   int    `json:"calls_per_second"`
	Pairs  []pair `json:"pairs"`
	Voided []pair `json:"voided"`
}

// pair is one block of each proxy, right after each other.
type pair struct {
	First  string           `json:"first"` // whose block came first
	Blocks map[string]block `json:"blocks"`
}

func (p pair) void() string {
	for name, b := range p.Blocks {
		if b.Void != "" {
			return name + ": " + b.Void
		}
	}
	return ""
}

// measure runs pairs in the order A B, B A, A B, … until enough are valid. A
// void block voids its pair.
func (s *session) measure(ctx context.Context, rate int) (result, error) {
	r := result{Rate: rate}
	for turn := 0; len(r.Pairs) < s.Pairs; turn++ {
		order := append([]*proxy(nil), s.proxies...)
		if turn%2 == 1 && len(order) == 2 {
			order[0], order[1] = order[1], order[0]
		}
		p := pair{First: order[0].name, Blocks: map[string]block{}}
		for _, proxy := range order {
			b, err := s.block(ctx, proxy, rate)
			if err != nil {
				return r, err
			}
			p.Blocks[proxy.name] = b
			say(s.out, "%5d/s  %-8s  %6.1f us/call (user %.0f, system %.0f)  %d calls  %s\n",
				rate, proxy.name, b.Total, b.User, b.System, b.Calls, b.Void)
		}
		if why := p.void(); why != "" {
			r.Voided = append(r.Voided, p)
			if len(r.Voided) > s.Voids {
				return r, fmt.Errorf("%d pairs are void at %d calls/s, the last one by %s", len(r.Voided), rate, why)
			}
			continue
		}
		r.Pairs = append(r.Pairs, p)
	}
	return r, nil
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
