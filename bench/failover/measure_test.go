package main

import (
	"testing"
	"time"

	"tandem/bench/load"
)

// Each call of a kind meets the dead host that it is to meet, and is answered.
func TestEachCallFailsOver(t *testing.T) {
	r := result{settings: settings{calls: 20, rate: 50, wait: time.Second}}
	if err := r.measure(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if len(r.cases) != len(kinds) {
		t.Fatal(len(r.cases), "kinds")
	}
	for _, c := range r.cases {
		name, dead, well := c.kind.name, c.dead, c.well
		for _, one := range []load.Report{dead, well} {
			if one.Counts[load.Good] != 20 || one.Counts[load.Failed] != 0 {
				t.Errorf("%s: %v", name, one)
			}
		}
		if c.kind.why != "" && c.failovers != 20 {
			t.Errorf("%s: %d failovers", name, c.failovers)
		}
		if c.kind.open != (dead.Answer.ValueAtQuantile(0) > int64(time.Second)*99/100) {
			t.Errorf("%s: answered after %v", name, time.Duration(dead.Answer.ValueAtQuantile(0)))
		}
	}
}
