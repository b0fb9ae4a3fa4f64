package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"tandem/bench/describe"
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

func describeRun(s settings) about {
	a := about{Date: describe.Date(), Command: describe.Command("compare"), Settings: s}
	a.Commit = describe.Commit(s.Bench, "--untracked-files=no")
	a.Machine = describe.Machine()
	a.Versions = []string{runtime.Version(), firstLine(describe.Output("", "sipp", "-v"))} // which exits with 99
	if s.Only != "tandem" && s.Variant == "" {
		a.Versions = append(a.Versions, firstLine(describe.Output("", "kamailio", "-v")))
	}
	return a
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

// report prints the tables and writes everything under results.
func report(w io.Writer, s settings, a about, results []result) error {
	var text strings.Builder
	write(&text, a, results)
	say(w, "\n%s", text.String())
	if s.Results == "-" {
		return nil
	}
	dir := s.Results
	if dir == "" {
		dir = filepath.Join(s.Bench, "results", time.Now().UTC().Format("2006-01-02")+"-"+a.Commit)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(struct {
		About   about    `json:"about"`
		Results []result `json:"results"`
	}{a, results}, "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		s.Name + ".md": []byte(text.String()), s.Name + ".json": append(raw, '\n'), s.Name + ".svg": []byte(plot(results)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	say(w, "written to %s\n", dir)
	return nil
}

// write renders the result as Markdown.
func write(w io.Writer, a about, results []result) {
	say(w, "# CPU per call beside Kamailio\n\n")
	place := "No process is pinned."
	if a.Settings.Pinned {
		place = fmt.Sprintf("The proxy is pinned to CPU %d, SIPp's caller and connectors to CPU %d.", a.Settings.ProxyCPU, a.Settings.LoadCPU)
	}
	dialogs := "ACK and BYE statelessly"
	if a.Settings.Dialogs == "tm" {
		dialogs = "ACK statelessly; BYE goes through tandem statelessly and through Kamailio with a transaction"
	}
	say(w, "One call is INVITE, 100, 180, 200, ACK, BYE, 200, record-routed. CPU is user and system time of all threads of all\n"+
		"processes of the proxy, by schedstat, in a window of %v in the middle of a run. %s\n"+
		"Both proxies handle INVITE with a transaction, %s, and probe the same two connectors\n"+
		"every 5 s. Everything else is in bench/README.md.\n\n", a.Settings.Window, place, dialogs)
	peer, children := a.Settings.peer(), fmt.Sprintf(", %d child(ren)", a.Settings.Children)
	if a.Settings.Variant != "" {
		children = ""
		say(w, "variant is a second tandem, with this in its config: `%s`.\n\n", a.Settings.Variant)
	}
	say(w, "- commit %s, %s\n- %s\n- %s\n- `%s`, in bench/\n\n", a.Commit, a.Date, a.Machine, strings.Join(a.Versions, "; "), a.Command)
	say(w, "| calls/s | pairs (void) | tandem us/call | user, system* | %s us/call%s | user, system* | tandem : %s, median | spread |\n", peer, children, peer)
	say(w, "|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		ratios := r.ratios()
		say(w, "| %d | %d (%d) | %s | %s | %s | %s | %s | %s |\n", r.Rate, len(r.Pairs), len(r.Voided),
			r.median("tandem", total), r.split("tandem"), r.median(peer, total), r.split(peer),
			number(median(ratios), "%.2f"), spread(ratios))
	}
	say(w, "\n\\* split by clock ticks, which here is coarse to the point of guessing: only the sum is exact.\n")
	say(w, "\nEach pair, in order:\n\n| calls/s | first | tandem | %s | ratio |\n|---|---|---|---|---|\n", peer)
	for _, r := range results {
		for _, p := range r.Pairs {
			say(w, "| %d | %s | %s | %s | %s |\n", r.Rate, p.First, p.value("tandem"), p.value(peer), number(p.ratio(), "%.2f"))
		}
	}
}

func total(b block) float64  { return b.Total }
func user(b block) float64   { return b.User }
func system(b block) float64 { return b.System }

func (p pair) value(name string) string {
	if b, ok := p.Blocks[name]; ok {
		return fmt.Sprintf("%.1f", b.Total)
	}
	return "-"
}

// ratio is tandem's CPU per call divided by its peer's, NaN without both.
func (p pair) ratio() float64 {
	t, okT := p.Blocks["tandem"]
	k, okK := p.Blocks["kamailio"]
	if !okK {
		k, okK = p.Blocks["variant"]
	}
	if !okT || !okK || k.Total == 0 {
		return math.NaN()
	}
	return t.Total / k.Total
}

func (r result) ratios() (all []float64) {
	for _, p := range r.Pairs {
		if v := p.ratio(); !math.IsNaN(v) {
			all = append(all, v)
		}
	}
	return all
}

func (r result) values(name string, of func(block) float64) (all []float64) {
	for _, p := range r.Pairs {
		if b, ok := p.Blocks[name]; ok {
			all = append(all, of(b))
		}
	}
	return all
}

func (r result) median(name string, of func(block) float64) string {
	return number(median(r.values(name, of)), "%.0f")
}

func (r result) split(name string) string {
	return r.median(name, user) + ", " + r.median(name, system)
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

func spread(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f to %.2f", slices.Min(values), slices.Max(values))
}

// names are those of the proxies, tandem first.
func names(results []result) []string {
	seen := make(map[string]bool)
	for _, r := range results {
		for _, p := range r.Pairs {
			for name := range p.Blocks {
				seen[name] = true
			}
		}
	}
	all := slices.Sorted(maps.Keys(seen))
	if i := slices.Index(all, "tandem"); i > 0 {
		all[0], all[i] = all[i], all[0]
	}
	return all
}

// plot draws every block: CPU per call over the order of measurement.
func plot(results []result) string {
	const width, height, left, bottom = 720, 320, 60, 40
	colours := map[string]string{"tandem": "#0b6e4f", "kamailio": "#b5562b", "variant": "#b5562b"}
	most, blocks := 1.0, 0
	for _, r := range results {
		for _, p := range r.Pairs {
			blocks++
			for _, b := range p.Blocks {
				most = max(most, b.Total)
			}
		}
	}
	most *= 1.1
	var svg strings.Builder
	say(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	say(&svg, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	y := func(v float64) float64 { return (height - bottom) - v/most*(height-bottom-20) }
	for i := range 5 {
		v := most * float64(i) / 4
		say(&svg, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`+"\n",
			left, width-10, y(v), y(v), left-6, y(v)+4, v)
	}
	say(&svg, `<text x="%d" y="14">CPU microseconds per call, a pair a column</text>`+"\n", left)
	step, column := float64(width-left-20)/float64(max(blocks, 1)), 0
	for _, r := range results {
		for i, p := range r.Pairs {
			x := left + step*(float64(column)+0.5)
			for name, b := range p.Blocks {
				say(&svg, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"><title>%s %d/s %.1f</title></circle>`+"\n", x, y(b.Total), colours[name], name, r.Rate, b.Total)
			}
			if i == 0 {
				say(&svg, `<text x="%.1f" y="%d">%d calls/s</text>`+"\n", x-step/2, height-bottom+18, r.Rate)
			}
			column++
		}
	}
	for i, name := range names(results) {
		say(&svg, `<circle cx="%d" cy="10" r="4" fill="%s"/><text x="%d" y="14">%s</text>`+"\n", width-220+i*100, colours[name], width-210+i*100, name)
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}
