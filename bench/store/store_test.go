package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"tandem/bench/load"
	"tandem/bench/node"
	"tandem/bench/plan"
)

// small is everything once, with few numbers.
var small = settings{
	numbers: 2 * plan.Block, rate: 100, window: 500 * time.Millisecond, rounds: 1, imported: plan.Block,
	assigns: 20, rankings: 10, pages: 2, results: "-",
}

func TestMeasured(t *testing.T) {
	if !small.valid() {
		t.Fatal("the settings are not valid")
	}
	dir := t.TempDir()
	binary, err := node.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	// On a machine so busy that connectors miss probes, calls rightly go elsewhere:
	// then all is measured again.
	const tries = 3
	var r *result
	for range tries {
		r = &result{settings: small, about: []string{"a test"}}
		if err := r.measure(t.Context(), t.TempDir(), binary); err != nil {
			t.Fatal(err)
		}
		if len(r.said) == 0 {
			break
		}
	}
	if len(r.said) > 0 {
		t.Fatalf("the log has warnings each time, the last time: %s", r.said)
	}
	var text strings.Builder
	r.render(&text)
	for _, want := range []string{"# A store of 20,000 numbers", "| import |", "| move: a group |", "| all: the last page |", "| ranking |"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, text.String())
		}
	}
	all := load.Sum(r.windows, "")
	if all.Counts[load.Failed] > 0 || all.Counts[load.Begun] == 0 {
		t.Errorf("%d of %d calls failed", all.Counts[load.Failed], all.Counts[load.Begun])
	}
	asks := 1 + 1 + 1 + small.assigns + small.rankings // a page of an import, of a move, and back
	if c := r.calls; c.asks != asks || c.askedRight+c.askedWrong != asks || c.right == 0 {
		t.Errorf("%+v, want %d asked for", c, asks)
	}
	if r.calls.wrong > 0 || r.rankedRight != small.rankings {
		t.Errorf("%+v, and %d of %d rankings were seen by the next call", r.calls, r.rankedRight, small.rankings)
	}
}

// A change leads to either place until its answer, for calls under way too, and
// to one after it.
func TestDialer(t *testing.T) {
	const number = 0 // the first group's
	d := newDialer(small)
	call := 0
	place := func() int {
		d.ask(number)
		call++
		if got := string(d.number(call)); got != string(plan.Append(nil, number)) {
			t.Fatalf("call %d goes to %s", call, got)
		}
		return call
	}
	wrong := func(call, connector int) bool {
		before := d.counts().wrong
		d.reached(call, connector)
		return d.counts().wrong > before
	}
	if wrong(place(), east) || !wrong(place(), west) {
		t.Error("calls to the first group come out at east, and nowhere else")
	}
	early, other := place(), place()
	d.giving(number, number+1, second)
	if wrong(early, west) || wrong(other, east) || wrong(place(), west) || wrong(place(), east) {
		t.Error("a number that is being moved is called at either place")
	}
	d.given(number, number+1, second)
	if wrong(place(), west) || !wrong(place(), east) {
		t.Error("a number that was moved is called at its new place")
	}
	early = place()
	d.leading(second, east)
	if wrong(early, east) || wrong(place(), west) || wrong(place(), east) {
		t.Error("while a ranking changes, calls come out at either place")
	}
	d.led(second, east)
	if wrong(place(), east) || !wrong(place(), west) {
		t.Error("after it they come out at the new one")
	}
}

// Numbers that are not there yet are not called, unless they are given to somebody.
func TestDialerCallsOwnedNumbers(t *testing.T) {
	d := newDialer(small)
	from, to := small.numbers, small.numbers+small.imported
	d.prefer(from, to)
	d.giving(from, to, first)
	for range 1000 {
		if q := d.next(); q.number >= small.numbers || ownerOf(q.number, small.numbers) == nobody {
			t.Fatalf("number %d has no owner", q.number)
		}
	}
	d.given(from, to, first)
	imported := 0
	for range 1000 {
		if d.next().number >= from {
			imported++
		}
	}
	if imported < 250 {
		t.Errorf("%d of 1000 calls go to the preferred numbers", imported)
	}
}

func TestTimes(t *testing.T) {
	all := times{4, 1, 3, 2}
	for fraction, want := range map[float64]time.Duration{0: 1, 0.5: 2, 0.75: 3, 0.99: 4, 1: 4} {
		if got := all.at(fraction); got != want {
			t.Errorf("at %v: %v, want %v", fraction, got, want)
		}
	}
	if (times{}).at(1) != 0 || all.sum() != 10 {
		t.Error("nothing has no times, or the sum is wrong")
	}
}

func TestOwnersOfPages(t *testing.T) {
	count := 3 * plan.Block // whose blocks belong to several owners
	counts := map[owner]int{}
	for i := range count {
		counts[ownerOf(i, count)]++
	}
	if counts[first] != 18_000 || counts[second] != 9_000 || counts[nobody] != 3_000-fewNumbers || counts[few] != fewNumbers || counts[third] != 0 {
		t.Error(counts)
	}
	if b := lastBlock(count); b%plan.Block != 0 || b >= count {
		t.Error("the last block begins at", b)
	}
	f, err := fill(context.Background(), t.TempDir()+"/tandem.db", count)
	if err != nil || f.size == 0 || len(f.commits) == 0 {
		t.Errorf("%+v, %v", f, err)
	}
}
