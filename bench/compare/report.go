package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"tandem/bench/describe"
	"tandem/bench/peer"
)

// about is what a result is worthless without.
type about struct {
	Commit   string   `json:"commit"`
	Date     string   `json:"date"`
	Command  string   `json:"command"`
	Machine  string   `json:"machine"`
	Versions []string `json:"versions"`
	Settings settings `json:"settings"`
}

// results is everything that was measured.
type results struct {
	About      about        `json:"about"`
	Curves     []curve      `json:"cpu"`
	Saturation []saturation `json:"saturation"`
	Latency    []latency    `json:"latency"`
	Orders     []orderly    `json:"orders"`
	Transports transported  `json:"transports"`
}

func describeRun(s settings) about {
	a := about{Date: describe.Date(), Command: describe.Command("compare"), Settings: s}
	a.Commit = describe.Commit(s.Bench, "--untracked-files=no")
	a.Machine = describe.Machine()
	a.Versions = []string{runtime.Version()}
	if slices.Contains(s.stages(), "sipp") {
		a.Versions = append(a.Versions, firstLine(describe.Output("", "sipp", "-v"))) // which exits with 99
	}
	for _, name := range s.Proxies {
		if strings.HasPrefix(name, "kamailio") {
			a.Versions = append(a.Versions, firstLine(describe.Output("", "kamailio", "-v")))
			break
		}
	}
	return a
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

// report prints the tables and writes everything under results.
func report(w io.Writer, s settings, r results) error {
	text := r.markdown()
	say(w, "\n%s", text)
	if s.Results == "-" {
		return nil
	}
	dir := s.Results
	if dir == "" {
		dir = filepath.Join(s.Bench, "results", time.Now().UTC().Format(time.DateOnly)+"-"+r.About.Commit)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	files := map[string][]byte{s.Name + ".md": []byte(text), s.Name + ".json": append(raw, '\n')}
	for name, svg := range r.plots() {
		files[s.Name+"-"+name+".svg"] = []byte(svg)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	say(w, "written to %s\n", dir)
	return nil
}

// aboutLoad says in words who places the calls.
func aboutLoad(name string) string {
	return map[string]string{"sipp": "SIPp, calls in bursts", "own": "our own generator, calls evenly spaced"}[name]
}

func (r results) markdown() string {
	var b strings.Builder
	a := r.About
	say(&b, "# tandem and its peers on the same calls\n\n")
	place := "No process is pinned."
	if a.Settings.Pinned {
		place = fmt.Sprintf("All proxies are pinned to CPU %d, the load to CPU %d.", a.Settings.ProxyCPU, a.Settings.LoadCPU)
	}
	dialogs := "ACK and BYE statelessly; sipgo has a transaction for BYE too"
	if a.Settings.Dialogs == "tm" {
		dialogs = "ACK statelessly; BYE goes through tandem statelessly, through Kamailio and sipgo with a transaction"
	}
	sources := "one address and port"
	if a.Settings.Sources > 1 {
		sources = fmt.Sprintf("one address and port with SIPp, %d ports with our own generator", a.Settings.Sources)
	}
	say(&b, "One call is INVITE, 100, 180, 200, ACK, BYE, 200, record-routed. %s Calls come from %s.\n"+
		"tandem and Kamailio handle INVITE with a transaction, %s; both probe the same\n"+
		"two connectors every 5 s. Nothing is logged for a good call, no message is held back for a batch, every INVITE gets its 100 at once.\n"+
		"How everything is measured is in bench/README.md.\n\n", place, sources, dialogs)
	say(&b, "- commit %s, %s\n- %s\n- %s\n- `%s`, in bench/\n", a.Commit, a.Date, a.Machine, strings.Join(a.Versions, "; "), a.Command)
	if a.Settings.Variant != "" {
		say(&b, "- variant is a second tandem, with this in its config: `%s`\n", a.Settings.Variant)
	}
	for _, c := range r.Curves {
		c.write(&b, a.Settings)
	}
	writeSaturation(&b, a.Settings, r.Saturation)
	writeLatency(&b, a.Settings, r.Latency)
	writeOrders(&b, r.Orders)
	r.Transports.write(&b, a.Settings)
	return b.String()
}

// write renders the CPU part of one load.
func (c curve) write(w io.Writer, s settings) {
	say(w, "\n## CPU per call: %s\n\n", aboutLoad(c.Load))
	say(w, "User and system time of all threads of all processes of a proxy, by schedstat, in a window of %v, a call that ended well in it;\n"+
		"medians of the blocks, in microseconds. The ratio is that of blocks of the same round.\n\n", s.Window)
	rival := rivals(s.Proxies)
	say(w, "| calls/s | tandem | better rival | tandem : rival, median | spread | floor | floor, batched |\n|---|---|---|---|---|---|---|\n")
	for _, rate := range s.Rates {
		best := c.better(rate, rival)
		ratios := c.ratios(rate, "tandem", best)
		name := "-"
		if best != "" {
			name = fmt.Sprintf("%s (%s)", number(median(c.values(rate, best, total)), "%.1f"), best)
		}
		say(w, "| %d | %s | %s | %s | %s | %s | %s |\n", rate, c.median(rate, "tandem", total), name,
			number(median(ratios), "%.2f"), spread(ratios, "%.2f"), c.median(rate, "floor", total), c.median(rate, "floor-batch", total))
	}
	say(w, "\n")
	c.writeBlocks(w, s)
}

// writeBlocks has a row for each proxy at each rate.
func (c curve) writeBlocks(w io.Writer, s settings) {
	say(w, "| calls/s | proxy | blocks (void) | failed | us/call | spread | user | system |%s\n|---|---|---|---|---|---|---|---|%s\n",
		map[bool]string{true: " generator |"}[c.Load == "own"], map[bool]string{true: "---|"}[c.Load == "own"])
	for _, rate := range s.Rates {
		for _, name := range s.Proxies {
			values := c.values(rate, name, total)
			failures := 0.0
			for _, n := range c.values(rate, name, failed) {
				failures += n
			}
			say(w, "| %d | %s | %d (%d) | %.0f | %s | %s | %s | %s |", rate, peer.About(name), len(values), c.voids(rate, name), failures,
				number(median(values), "%.1f"), spread(values, "%.1f"), c.median(rate, name, user), c.median(rate, name, system))
			if c.Load == "own" {
				say(w, " %s |", c.median(rate, name, generator))
			}
			say(w, "\n")
		}
	}
	say(w, "\nUser and system are the figure before them, split as samples of cpu-clock, taken after the window, fell.\n")
	if slices.Contains(s.Proxies, "sipgo") {
		say(w, "\nOf sipgo's calls up to %.0f %% may fail in a block that counts: its messages overtake each other.\n", 100*tolerated)
	}
	for _, g := range c.GivenUp {
		say(w, "\n%s was given up at %d calls/s: %s.\n", peer.About(g.Proxy), g.Rate, g.Why)
	}
}

func total(b block) float64  { return b.Total }
func failed(b block) float64 { return float64(b.Failed) }

// user and system are not known without samples.
func user(b block) float64   { return known(b.User, b) }
func system(b block) float64 { return known(b.System, b) }

func known(v float64, b block) float64 {
	if b.User+b.System == 0 {
		return math.NaN()
	}
	return v
}

func generator(b block) float64 { return b.Generator }

// rivals are the proxies that tandem is compared with.
func rivals(proxies []string) (all []string) {
	for _, name := range proxies {
		if base := overUDP(name); base != "tandem" && slices.Contains(core, base) {
			all = append(all, name)
		}
	}
	return all
}

// better is the one of these with the lowest median, "" if none has one.
func (c curve) better(rate int, of []string) (best string) {
	least := math.Inf(1)
	for _, name := range of {
		if m := median(c.values(rate, name, total)); m < least {
			best, least = name, m
		}
	}
	return best
}

// ratios are those of two proxies in each round in which both have a block.
func (c curve) ratios(rate int, of, to string) (all []float64) {
	blocks := map[int]map[string]float64{}
	rounds := 0
	for _, b := range c.Blocks {
		if b.Rate == rate && b.Void == "" {
			if blocks[b.Round] == nil {
				blocks[b.Round] = map[string]float64{}
			}
			blocks[b.Round][b.Proxy] = b.Total
			rounds = max(rounds, b.Round+1)
		}
	}
	for round := range rounds {
		x, okX := blocks[round][of]
		y, okY := blocks[round][to]
		if okX && okY && y > 0 {
			all = append(all, x/y)
		}
	}
	return all
}

// values are a figure of all blocks that count.
func (c curve) values(rate int, name string, of func(block) float64) (all []float64) {
	for _, b := range c.Blocks {
		if b.Rate == rate && b.Proxy == name && b.Void == "" {
			all = append(all, of(b))
		}
	}
	return all
}

func (c curve) voids(rate int, name string) (n int) {
	for _, b := range c.Blocks {
		if b.Rate == rate && b.Proxy == name && b.Void != "" {
			n++
		}
	}
	return n
}

func (c curve) median(rate int, name string, of func(block) float64) string {
	return number(median(c.values(rate, name, of)), "%.1f")
}

func number(v float64, format string) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func spread(values []float64, format string) string {
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf(format+" to "+format, slices.Min(values), slices.Max(values))
}
