package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/bench/peer"
)

const callerIP = "127.88.0.3"

// settings are what a session is run with.
type settings struct {
	Parts     []string      `json:"parts"`
	Loads     []string      `json:"loads"`
	Proxies   []string      `json:"proxies"`
	Rates     []int         `json:"calls_per_second"`
	Rounds    int           `json:"rounds"`
	Window    time.Duration `json:"window_ns"`
	Warmup    time.Duration `json:"warmup_ns"`
	Split     time.Duration `json:"split_ns"` // after the window: samples of user and system time
	Voids     int           `json:"most_voided_blocks"`
	Foreign   float64       `json:"most_foreign_share"` // CPUs that other processes may use
	Disturbed int           `json:"most_disturbed_blocks"`
	Sources   int           `json:"sources"`
	Workers   int           `json:"tandem_workers"`     // 0 is its default
	Dialogs   string        `json:"kamailio_in_dialog"` // stateless or tm
	Variant   string        `json:"variant,omitempty"`
	Pinned    bool          `json:"pinned"`
	ProxyCPU  int           `json:"proxy_cpu"`
	LoadCPU   int           `json:"load_cpu"`
	Numbers   int           `json:"numbers"`

	Step      time.Duration `json:"saturation_step_ns"`
	Precision float64       `json:"saturation_precision"`
	Latency   time.Duration `json:"latency_window_ns"`
	Calls     int           `json:"orders_calls"` // through tandem; a tenth through Kamailio

	Results        string `json:"-"`
	Connections    int    `json:"connections"` // of callers in the transports part
	TransportRates []int  `json:"transports_calls_per_second"`

	Name  string `json:"-"` // of the files in Results
	Bench string `json:"-"` // the directory of this module
	Work  string `json:"-"` // what the run leaves behind: logs, configs
}

var (
	allParts = []string{"cpu", "saturation", "latency", "orders", "transports"}
	allLoads = []string{"sipp", "own"}
)

// overUDP is the name of the same proxy over UDP.
func overUDP(name string) string {
	for _, transport := range transports {
		name = strings.TrimSuffix(name, "-"+transport)
	}
	return name
}

// core are the proxies that are in every round. The others show where the
// ground is and take part in every other one.
var core = []string{"tandem", "variant", "kamailio-1", "kamailio-2"}

func parse(args []string) (settings, error) {
	s := settings{ProxyCPU: 0, LoadCPU: 1, Numbers: 10000}
	flags := flag.NewFlagSet("compare", flag.ExitOnError)
	parts := flags.String("parts", strings.Join(allParts, ","), "what is measured: CPU per call, the highest rate, latencies, and calls that failed or came out of order; CPU per call over UDP, TCP and TLS")
	orders := flags.Bool("orders", false, "the same as -parts orders")
	loads := flags.String("load", strings.Join(allLoads, ","), "who places the calls of the CPU part: SIPp, in bursts, or our own generator, evenly")
	proxies := flags.String("proxies", "tandem,kamailio-1,kamailio-2,sipgo,floor,floor-batch", "of "+strings.Join(peer.Names(), ", "))
	rates := flags.String("rates", "500,1000,2000,3000", "calls a second of the CPU part")
	transportRates := flags.String("transport-rates", "500,1000,2000", "calls a second of the transports part")
	quick := flags.Bool("quick", false, "the same with fewer rates, rounds and calls: some 8 minutes")
	flags.IntVar(&s.Rounds, "rounds", 5, "blocks of each proxy at each rate; peers that are no rivals have about half of them")
	flags.DurationVar(&s.Window, "window", 5*time.Second, "how long CPU is measured in each block")
	flags.DurationVar(&s.Warmup, "warmup", 2*time.Second, "load before each window")
	flags.DurationVar(&s.Split, "split", time.Second, "load after each window, to sample the split into user and system")
	flags.IntVar(&s.Voids, "voids", 3, "a proxy is given up at a rate after more void blocks of its own making than that")
	flags.IntVar(&s.Disturbed, "disturbed", 40, "blocks of a load that others disturbed are repeated, until there are more than that")
	flags.Float64Var(&s.Foreign, "foreign", 0.1, "share of a CPU that other processes of this machine may use, or a block is void")
	flags.IntVar(&s.Sources, "sources", 1, "ports that calls of our own generator come from; SIPp has one")
	flags.IntVar(&s.Connections, "connections", 8, "of callers in the transports part, and ports over UDP")
	flags.IntVar(&s.Workers, "workers", 0, "tandem's workers; 0 is its default")
	flags.StringVar(&s.Dialogs, "dialogs", "stateless", "how Kamailio forwards ACK and BYE: stateless, as tandem does, or tm, with a transaction for BYE")
	flags.StringVar(&s.Variant, "variant", "", "a second tandem, \"variant\" among -proxies, has this line more in its config, as in: recent_calls: off")
	flags.BoolVar(&s.Pinned, "pin", true, "pin the proxies to one CPU and the load to another")
	flags.DurationVar(&s.Step, "step", 3*time.Second, "each step of the search for the highest rate")
	flags.Float64Var(&s.Precision, "precision", 0.04, "of the highest rate, as a share of it")
	flags.DurationVar(&s.Latency, "latency", 6*time.Second, "how long latencies are measured, twice for each proxy and rate")
	flags.IntVar(&s.Calls, "calls", 1_000_000, "calls through tandem in the part orders; a tenth of it through Kamailio with two children")
	flags.StringVar(&s.Bench, "bench", ".", "the bench directory")
	flags.StringVar(&s.Results, "results", "", "where results go; default results/DATE-COMMIT; - for nowhere")
	flags.StringVar(&s.Name, "name", "bench", "what the result's files are called")
	_ = flags.Parse(args) // ends the program
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *quick {
		s.quicken(given, rates, transportRates)
	}
	if *orders {
		*parts = "orders"
	}
	var err error
	if s.Parts, err = list(*parts, allParts); err != nil {
		return s, fmt.Errorf("-parts: %w", err)
	}
	if !given["name"] && fmt.Sprint(s.Parts) == "[transports]" {
		s.Name = "transports"
	}
	if s.Loads, err = list(*loads, allLoads); err != nil {
		return s, fmt.Errorf("-load: %w", err)
	}
	if s.Proxies, err = list(*proxies, peer.Names()); err != nil {
		return s, fmt.Errorf("-proxies: %w", err)
	}
	if s.Variant != "" && !slices.Contains(s.Proxies, "variant") {
		s.Proxies = append(s.Proxies, "variant")
	}
	if s.Rates, err = numbers(*rates); err != nil {
		return s, fmt.Errorf("-rates: %w", err)
	}
	if s.TransportRates, err = numbers(*transportRates); err != nil {
		return s, fmt.Errorf("-transport-rates: %w", err)
	}
	switch {
	case s.Dialogs != "stateless" && s.Dialogs != "tm":
		return s, fmt.Errorf("-dialogs %s: there is stateless and tm", s.Dialogs)
	case s.Rounds < 1 || s.Sources < 1 || s.Connections < 1 || s.Calls < 10 || s.Window < time.Second || s.Step < time.Second || s.Latency < time.Second:
		return s, errors.New("at least one round, one source, 10 calls, and a second for each window and step")
	case s.Precision <= 0 || s.Precision >= 1:
		return s, errors.New("-precision is a share between 0 and 1")
	}
	return s, nil
}

// quicken sets what was not given to less.
func (s *settings) quicken(given map[string]bool, rates, transportRates *string) {
	for name, set := range map[string]func(){
		"rates":           func() { *rates = "500,2000" },
		"transport-rates": func() { *transportRates = "500,2000" },
		"rounds":          func() { s.Rounds = 1 },
		"window":          func() { s.Window = 2 * time.Second },
		"split":           func() { s.Split = 500 * time.Millisecond },
		"warmup":          func() { s.Warmup = time.Second },
		"step":            func() { s.Step = 1200 * time.Millisecond },
		"precision":       func() { s.Precision = 0.1 },
		"latency":         func() { s.Latency = 2 * time.Second },
		"calls":           func() { s.Calls = 100_000 },
	} {
		if !given[name] {
			set()
		}
	}
}

// numbers are those of a list.
func numbers(text string) (all []int, err error) {
	for _, one := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(one))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of calls", one)
		}
		all = append(all, n)
	}
	return all, nil
}

// list splits a list and says what is not in it.
func list(text string, known []string) (all []string, err error) {
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no %q, but %s", name, strings.Join(known, ", "))
		}
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all, nil
}

func (s settings) has(part string) bool { return slices.Contains(s.Parts, part) }

// stages are the loads that are needed: parts other than CPU are for our own
// generator.
func (s settings) stages() (all []string) {
	for _, name := range allLoads {
		if s.has("cpu") && slices.Contains(s.Loads, name) || name == "own" && (s.has("saturation") || s.has("latency") || s.has("orders")) {
			all = append(all, name)
		}
	}
	return all
}

// cpu is where the load runs, -1 for anywhere.
func (s settings) cpu() int {
	if s.Pinned {
		return s.LoadCPU
	}
	return -1
}

// peer is what proxies are started with.
func (s settings) peer() peer.Settings {
	cpu := -1
	if s.Pinned {
		cpu = s.ProxyCPU
	}
	return peer.Settings{Bench: s.Bench, Work: s.Work, CPU: cpu, Numbers: s.Numbers, Dialogs: s.Dialogs, Workers: s.Workers, Variant: s.Variant}
}
