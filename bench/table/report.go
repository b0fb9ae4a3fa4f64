package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tandem/bench/describe"
)

type report struct {
	about         []string
	layouts, maps []*figures
	updates       *updates // of the largest size
}

// commit is that of what is measured.
func commit() string { return describe.Commit("", "--", "../router/table", "table") }

func versions() (all []string) {
	for line := range strings.Lines(describe.Output("", "go", "list", "-m", "github.com/puzpuzpuz/xsync/v3", "github.com/puzpuzpuz/xsync/v4")) {
		all = append(all, strings.TrimPrefix(strings.TrimSpace(line), "github.com/puzpuzpuz/"))
	}
	return all
}

func (r *report) write(dir string) error {
	var text strings.Builder
	date := time.Now().UTC().Format("2006-01-02")
	r.render(&text, "table-"+date+".svg")
	fmt.Print(text.String())
	if dir == "-" {
		return nil
	}
	for name, content := range map[string]string{"table-" + date + ".md": text.String(), "table-" + date + ".svg": plot(r.maps)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) render(w io.Writer, image string) {
	say(w, "# Lookups in tables of numbers\n\n")
	for _, line := range append(r.about, "load average at the end "+describe.LoadAverage()) {
		say(w, "- %s\n", line)
	}
	say(w, "\nThe machine was shared: other work took its cores and its memory bandwidth. A figure is the **median** of stretches of\n"+
		"%d lookups, and after it, in brackets, the least; everything of one size was measured in turn, several times. Numbers\n"+
		"are drawn at random, %d of them, so that a table that does not fit into the cache is not in it. Independent lookups\n"+
		"may overlap in the processor, as those of a batch of calls do; a dependent one begins when the one before has ended. The\n"+
		"numbers that are asked for are in the cache, as those of messages that have just come are.\n\n", stretch, drawn)
	say(w, "![cost against size](%s)\n\n## Beside other maps\n\nFrom the number's key, an integer, to its route; a request's number is read into one first, and a row shows what both cost.\n\n", image)
	say(w, "| numbers | map | hit, ns | dependent hit, ns | miss, ns | allocations | bytes of heap a number | ns a number to build |\n|---|---|---|---|---|---|---|---|\n")
	for _, f := range r.maps {
		say(w, "| %s | %s | %s | %s | %s | %.0f | %.1f | %.0f |\n", describe.Number(f.count), f.name, f.hit, f.dependent, f.miss, f.allocs, f.bytes, f.build)
	}
	say(w, "\n")
	for _, c := range contestants {
		say(w, "- %s: %s\n", c.name, c.note)
	}
	say(w, "\n## Layouts of the table\n\nSketches in bench/table, lookups of keys, which have been read from text already. All are open addressing in atomic words, of one writer.\n\n")
	say(w, "| numbers | layout | hit, ns | dependent hit, ns | miss, ns | bytes a number |\n|---|---|---|---|---|---|\n")
	for _, f := range r.layouts {
		say(w, "| %s | %s | %s | %s | %s | %.1f |\n", describe.Number(f.count), f.name, f.hit, f.dependent, f.miss, f.bytes)
	}
	r.updates.render(w)
}

func (u *updates) render(w io.Writer) {
	say(w, "\n## Changes, at %s numbers\n\n| | median (least) |\n|---|---|\n", describe.Number(u.count))
	say(w, "| lead a number elsewhere | %s ns, %.0f allocations |\n| add a number | %s ns |\n| remove a number | %s ns |\n", u.move, u.allocs, u.add, u.remove)
	say(w, "| move a block of %d | %.2f (%.2f) ms |\n", blockSize, at(u.block, 0.5), at(u.block, 0))
	say(w, "\nA change has been made when the call returns; every lookup that begins then sees it.\n")
	say(w, "\n## Lookups while the full table grows\n\nSingle lookups, in ns, with the cost of reading the clock; another goroutine changes numbers meanwhile, ten thousand or so a second. By the clock,\n"+
		"what other processes took of the machine is in them; by the thread's CPU time it is not (that clock is a system call and slower).\n\n")
	say(w, "| | lookups | median | p99 | p99.99 | most | over 1 ms |\n|---|---|---|---|---|---|---|\n")
	for kind, name := range []string{"by the clock", "by CPU time"} {
		say(w, "| %s, before | %s |\n| %s, during | %s |\n", name, u.still[kind], name, u.resizing[kind])
	}
	say(w, "| changes during it, by CPU time | %s |\n", u.updating)
	say(w, "\nThe resizes took %v to %v.\n", slices.Min(u.resizes).Round(time.Millisecond), slices.Max(u.resizes).Round(time.Millisecond))
}

func (c cost) String() string {
	if c.median() < 100 {
		return fmt.Sprintf("%.1f (%.1f)", c.median(), c.least())
	}
	return fmt.Sprintf("%.0f (%.0f)", c.median(), c.least())
}

func (l latencies) String() string {
	slow := 0
	for _, ns := range l {
		if ns > 1e6 {
			slow++
		}
	}
	return fmt.Sprintf("%s | %.0f | %.0f | %.0f | %.0f | %d", describe.Number(len(l)), at(l, 0.5), at(l, 0.99), at(l, 0.9999), at(l, 1), slow)
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// plot draws the medians of independent hits and, dashed, misses.
func plot(all []*figures) string {
	const width, height, left, right, top, bottom = 720, 400, 60, 120, 30, 45
	colours := []string{"#0b6e4f", "#6bbf9a", "#b5562b", "#3b6fb6", "#8a4fae", "#777777"}
	least, most := math.Inf(1), 0.0
	smallest, largest := math.Inf(1), 0.0
	for _, f := range all {
		least, most = min(least, f.hit.median(), f.miss.median()), max(most, f.hit.median(), f.miss.median())
		smallest, largest = min(smallest, float64(f.count)), max(largest, float64(f.count))
	}
	least, most = math.Floor(math.Log10(least)*3)/3, math.Ceil(math.Log10(most)*3)/3
	x := func(count int) float64 {
		return left + math.Log(float64(count)/smallest)/max(math.Log(largest/smallest), 1e-9)*(width-left-right)
	}
	y := func(ns float64) float64 {
		return height - bottom - (math.Log10(ns)-least)/(most-least)*(height-bottom-top)
	}
	var svg strings.Builder
	say(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	say(&svg, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	say(&svg, `<text x="%d" y="16">ns a lookup against numbers in the table: independent hits, and misses dashed (medians; both scales logarithmic)</text>`+"\n", 10)
	for _, ns := range []float64{5, 10, 20, 50, 100, 200, 500, 1000, 2000} {
		if v := math.Log10(ns); v >= least && v <= most {
			say(&svg, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`+"\n",
				left, width-right, y(ns), y(ns), left-6, y(ns)+4, ns)
		}
	}
	for i, c := range contestants {
		var hits, misses []string
		var last *figures
		for _, f := range all {
			if f.name != c.name {
				continue
			}
			hits = append(hits, fmt.Sprintf("%.1f,%.1f", x(f.count), y(f.hit.median())))
			misses = append(misses, fmt.Sprintf("%.1f,%.1f", x(f.count), y(f.miss.median())))
			say(&svg, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s, %s numbers: %s ns</title></circle>`+"\n",
				x(f.count), y(f.hit.median()), colours[i], c.name, describe.Number(f.count), f.hit)
			if i == 0 {
				say(&svg, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(f.count), height-bottom+20, describe.Number(f.count))
			}
			last = f
		}
		if last == nil {
			continue
		}
		say(&svg, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(hits, " "), colours[i])
		say(&svg, `<polyline points="%s" fill="none" stroke="%s" stroke-dasharray="4 3"/>`+"\n", strings.Join(misses, " "), colours[i])
		say(&svg, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="3"/><text x="%d" y="%d">%s</text>`+"\n",
			width-right+14, width-right+32, top+20+i*18, top+20+i*18, colours[i], width-right+38, top+24+i*18, c.name)
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}
