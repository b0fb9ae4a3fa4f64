package main

import (
	"strings"
	"testing"
)

// searched runs a search against a proxy that bears so much, and returns what
// was tried.
func searched(most float64, precision float64, blame func(try, rate int) bool) (s *search, tries []int) {
	s = newSearch(1500, precision)
	for {
		rate, more := s.rate()
		if !more {
			return s, tries
		}
		tries = append(tries, rate)
		s.take(float64(rate) <= most && (blame == nil || !blame(len(tries), rate)))
	}
}

func TestSearch(t *testing.T) {
	for _, most := range []float64{100, 400, 1499, 1500, 1501, 4321, 9876, 33333} {
		s, tries := searched(most, 0.04, nil)
		rate, sure := s.result()
		if !sure || float64(rate) > most || float64(rate) < most*0.95 {
			t.Errorf("of %v it found %d, sure %v", most, rate, sure)
		}
		for i := 1; i <= confirms; i++ {
			if tries[len(tries)-i] != rate {
				t.Errorf("of %v it found %d and tried %v at the end", most, rate, tries[len(tries)-confirms:])
				break
			}
		}
		if len(tries) > 32 {
			t.Errorf("of %v: %d tries", most, len(tries))
		}
	}
}

// One bad moment of the machine does not change what is found.
func TestSearchIsPatient(t *testing.T) {
	quiet, _ := searched(9876, 0.04, nil)
	want, _ := quiet.result()
	for bad := 1; bad < 8; bad++ {
		s, _ := searched(9876, 0.04, func(try, _ int) bool { return try == bad })
		if rate, sure := s.result(); rate != want || !sure {
			t.Errorf("with try %d bad: %d, want %d", bad, rate, want)
		}
	}
}

// What cannot be confirmed is not the result; what comes below is.
func TestSearchConfirms(t *testing.T) {
	quiet, tries := searched(9876, 0.04, nil)
	high, _ := quiet.result()
	s, _ := searched(9876, 0.04, func(try, _ int) bool { return try == len(tries) })
	rate, sure := s.result()
	if !sure || rate >= high || float64(rate) < 0.97*float64(high) {
		t.Errorf("%d, sure %v; before it failed once %d", rate, sure, high)
	}
}

func TestSearchOfNothing(t *testing.T) {
	s, tries := searched(0, 0.04, nil)
	if rate, sure := s.result(); rate != 0 || sure || len(tries) > 20 {
		t.Errorf("%d, sure %v, after %d tries", rate, sure, len(tries))
	}
	random := newSearch(1500, 0.001) // never ends by itself
	for i := 0; ; i++ {
		if _, more := random.rate(); !more {
			break
		}
		random.take(i%2 == 0)
		if i > 100 {
			t.Fatal("it does not end")
		}
	}
}

func TestStepTooMuch(t *testing.T) {
	good := step{Rate: 1000, Placed: 1000, Slowest: 20, AtEnd: 2}
	if why := good.why(); why != "" {
		t.Errorf("a good step is %q", why)
	}
	for want, change := range map[string]func(*step){
		"failed":          func(s *step) { s.Failed = 1 },
		"retransmissions": func(s *step) { s.Retransmissions = 1 },
		"socket buffers":  func(s *step) { s.Lost = 1 },
		"placed":          func(s *step) { s.Placed = 970 },
		"sent again":      func(s *step) { s.Slowest = 501 },
		"queue":           func(s *step) { s.AtEnd = 51 },
	} {
		bad := good
		change(&bad)
		if why := bad.why(); !strings.Contains(why, want) {
			t.Errorf("%+v is %q, want something about %s", bad, why, want)
		}
	}
}

func TestLimit(t *testing.T) {
	good := step{Rate: 1000, Placed: 1000, Proxy: 0.9, Generator: 0.9}
	far := step{Rate: 2000, Why: "x", Placed: 1000, Proxy: 1, Generator: 0.1}
	for want, above := range map[string]step{
		"proxy":     {Rate: 1100, Why: "x", Placed: 1100, Proxy: 0.99, Generator: 0.7},
		"generator": {Rate: 1100, Why: "x", Placed: 1100, Proxy: 0.7, Generator: 0.99},
		"neither":   {Rate: 1100, Why: "x", Placed: 1100, Proxy: 0.5, Generator: 0.5},
	} {
		if got := limit(1000, []step{far, good, above}); got != want {
			t.Errorf("the limit is %s, want %s", got, want)
		}
	}
	behind := step{Rate: 1100, Why: "x", Placed: 900, Proxy: 0.8, Generator: 0.8}
	if got := limit(1000, []step{behind}); got != "generator" {
		t.Errorf("a generator that is behind: the limit is %s", got)
	}
	if got := limit(1000, []step{good}); got != "nobody" || !(saturation{Limit: got}).lowerBound() {
		t.Errorf("without a step above: the limit is %s", got)
	}
}

func TestAims(t *testing.T) {
	found := []saturation{{Proxy: "tandem", Rate: 10000}, {Proxy: "kamailio-1", Rate: 4000}, {Proxy: "kamailio-2", Rate: 3000}, {Proxy: "floor", Rate: 1000}}
	got := aims([]string{"tandem", "kamailio-1", "floor"}, found, []int{500, 2000})
	want := []aim{{"tandem", 5000, false}, {"kamailio-1", 2000, false}, {"floor", 500, false}, {"tandem", 2000, true}, {"kamailio-1", 2000, true}}
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got[i], want[i])
		}
	}
	if got := aims([]string{"tandem"}, nil, []int{500, 2000}); len(got) != 1 || got[0] != (aim{"tandem", 2000, true}) {
		t.Errorf("without a search: %v", got)
	}
}

func TestTrials(t *testing.T) {
	s := settings{Calls: 1_000_000, Proxies: []string{"tandem", "kamailio-2", "floor"}}
	got := s.trials([]saturation{{Proxy: "tandem", Rate: 20000}, {Proxy: "kamailio-2", Rate: 4000}})
	if len(got) != 2 || got[0] != (trial{"tandem", 1_000_000, 5000}) || got[1] != (trial{"kamailio-2", 100_000, 2000}) {
		t.Errorf("%v", got)
	}
	s.Proxies = []string{"tandem"}
	if got := s.trials(nil); len(got) != 1 || got[0].rate != 5000 {
		t.Errorf("%v", got)
	}
}
