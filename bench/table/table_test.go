package main

import (
	"strings"
	"testing"
)

// TestMeasured runs everything once, with few numbers: the measurements hold
// each contestant and sketch against the numbers that it was made from.
func TestMeasured(t *testing.T) {
	layouts, err := measureSketches(blockSize, 1)
	if err != nil {
		t.Fatal(err)
	}
	maps, err := measureContestants(blockSize, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range maps {
		if f.name == "tandem" && f.allocs != 0 {
			t.Errorf("a lookup allocates %.2f times", f.allocs)
		}
	}
	changes, err := measureUpdates(blockSize, 1)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	r := report{layouts: layouts, maps: maps, updates: changes}
	r.render(&text, "plot.svg")
	for _, want := range []string{"| 10,000 | tandem |", "| 10,000 | packed word |", "| by the clock, during |"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report has no %q", want)
		}
	}
	if svg := plot(maps); strings.Contains(svg, "NaN") || !strings.Contains(svg, "sync.Map") {
		t.Error("the plot is not whole:", svg)
	}
}
