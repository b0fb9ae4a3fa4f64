package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	stdout = `goos: linux
goarch: amd64
pkg: tandem/router
cpu: Intel(R) Core(TM) i7-4910MQ CPU @ 2.90GHz
BenchmarkWholeCall 	    1100	   1324525 ns/op	      12 B/op	       3 allocs/op
PASS
`
	stderr = `==14141== Callgrind, a call-graph generating cache profiler
==14141== Command: ./router.test -test.bench ^BenchmarkWholeCall$ -test.benchtime=1100x
==14141== 
==14141== Events    : Ir
==14141== Collected : 158065263
==14141== 
==14141== I   refs:      158,065,263
`
)

func TestRead(t *testing.T) {
	got, err := read(stdout, stderr)
	if err != nil {
		t.Fatal(err)
	}
	if want := (counted{158065263, 1100, 3, "Intel(R) Core(TM) i7-4910MQ CPU @ 2.90GHz"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := read(strings.ReplaceAll(stdout, "\t", "  "), stderr); err != nil {
		t.Error(err)
	}
	withSpeed := strings.Replace(stdout, "ns/op", "ns/op	   5.72 MB/s", 1)
	if got, err := read(withSpeed, stderr); err != nil || got.iterations != 1100 || got.allocations != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	line := strings.Split(stdout, "\n")[4] + "\n"
	for name, run := range map[string][2]string{
		"no benchmark":   {strings.Replace(stdout, line, "", 1), stderr},
		"two benchmarks": {stdout + line, stderr},
		"no allocations": {strings.Replace(stdout, "3 allocs/op", "", 1), stderr},
		"no count":       {stdout, strings.Replace(stderr, "Collected", "", 1)},
	} {
		if got, err := read(run[0], run[1]); err == nil {
			t.Errorf("%s: read %+v", name, got)
		}
	}
}

// The start is in both runs, so it is in no iteration.
func TestPerIteration(t *testing.T) {
	got := perIteration(counted{instructions: 19_841_026, iterations: 100, allocations: 7}, counted{instructions: 158_065_263, iterations: 1100})
	if want := (cost{Instructions: 138_224}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = perIteration(counted{instructions: 5000, iterations: 10}, counted{instructions: 18_014, iterations: 110, allocations: 1})
	if want := (cost{Instructions: 130.1, Allocations: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestJudge(t *testing.T) {
	held := cost{Instructions: 1000, Allocations: 1}
	for _, c := range []struct {
		now  cost
		want verdict
	}{
		{cost{1000, 1}, within},
		{cost{1030, 1}, within},
		{cost{970, 1}, within},
		{cost{1031, 1}, above},
		{cost{1000, 2}, above},
		{cost{500, 2}, above},
		{cost{969, 1}, below},
		{cost{1000, 0}, below},
	} {
		if got := judge(c.now, held, 3); got != c.want {
			t.Errorf("%+v is judged %d, want %d", c.now, got, c.want)
		}
	}
}

var here = environment{"go1.26", "amd64", "a CPU"}

func TestCompare(t *testing.T) {
	held := ceilings{On: here, AllowedPercent: 3, Gates: map[string]cost{
		"held": {Instructions: 1000}, "grown": {Instructions: 100}, "cut": {Instructions: 200_000}}}
	now := ceilings{On: here, Gates: map[string]cost{
		"held": {Instructions: 1001}, "grown": {Instructions: 104.5, Allocations: 2}, "cut": {Instructions: 123_456}, "new": {Instructions: 5}}}
	all := []gate{{name: "held"}, {name: "grown", pkg: "./router", benchmark: "BenchmarkGrown"}, {name: "cut"}, {name: "new"}}

	c := compare(all, held, now)
	var out strings.Builder
	c.write(&out)
	c.remark(&out)
	for _, want := range []string{"+4.5 %", "123,456", "\ncut is well below its ceiling", "\nnew has no ceiling yet",
		"\ngrown has grown.", "-only grown -keep . && callgrind_annotate grown.callgrind"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &out)
		}
	}
	err := c.err()
	if err == nil {
		t.Fatal("growth is no error")
	}
	const want = "gate grown does not hold: 104.5 instructions and 2 allocations an iteration of BenchmarkGrown in ./router, where 100.0 (and 3 %) and 0 are allowed"
	if err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
}

func TestCompareElsewhere(t *testing.T) {
	held := ceilings{On: here, AllowedPercent: 3, Gates: map[string]cost{"grown": {Instructions: 100}}}
	now := ceilings{On: environment{"go1.27", "amd64", "a CPU"}, Gates: map[string]cost{"grown": {Instructions: 200}}}
	c := compare([]gate{{name: "grown"}}, held, now)
	var out strings.Builder
	c.write(&out)
	c.remark(&out)
	if want := "Nothing was judged: these counts are of go1.27, amd64, a CPU, the ceilings of go1.26, amd64, a CPU."; !strings.Contains(out.String(), want) {
		t.Errorf("the table has no %q:\n%s", want, &out)
	}
	if err := c.err(); err != nil {
		t.Error(err)
	}
}

func TestUpdated(t *testing.T) {
	held := ceilings{On: here, AllowedPercent: 3, Gates: map[string]cost{"a": {Instructions: 1}, "b": {Instructions: 2}}}
	same := held.updated(ceilings{On: here, Gates: map[string]cost{"b": {Instructions: 3}}})
	if len(same.Gates) != 2 || same.Gates["b"].Instructions != 3 || same.AllowedPercent != 3 || held.Gates["b"].Instructions != 2 {
		t.Errorf("%+v of %+v", same, held)
	}
	other := held.updated(ceilings{On: environment{Go: "go1.27"}, Gates: map[string]cost{"b": {Instructions: 3}}})
	if len(other.Gates) != 1 || other.On.Go != "go1.27" {
		t.Errorf("%+v", other)
	}
}

func TestMinor(t *testing.T) {
	for version, want := range map[string]string{"go1.26.8": "go1.26", "go1.27rc1": "go1.27rc1", "go1.26": "go1.26", "devel": "devel"} {
		if got := minor(version); got != want {
			t.Errorf("%s is %s, want %s", version, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	if got, err := choose(gates, "decide,parse"); err != nil || len(got) != 2 || got[0].name != "decide" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := choose(gates, "decide,parsed"); err == nil || !strings.Contains(err.Error(), `"parsed"`) {
		t.Error(err)
	}
}

// A benchmark that costs more than its ceiling fails the gate, what it costs
// made the ceiling does not, and the ceilings in the repository have all gates.
func TestGate(t *testing.T) {
	committed, err := readCeilings("ceilings.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gates {
		if committed.Gates[g.name].Instructions == 0 {
			t.Errorf("%s has no ceiling", g.name)
		}
	}
	if _, err := exec.LookPath("valgrind"); err != nil {
		t.Skip("valgrind is not installed: make tools")
	}
	path := filepath.Join(t.TempDir(), "ceilings.json")
	committed.Gates = nil
	if err := committed.write(path); err != nil {
		t.Fatal(err)
	}
	run := func(update bool) (string, error) {
		var out strings.Builder
		err := run(t.Context(), settings{only: "decide", ceilings: path, update: update}, &out)
		return out.String(), err
	}
	if out, err := run(true); err != nil {
		t.Fatal(err, out)
	}
	if out, err := run(false); err != nil || strings.Contains(out, "ceiling yet") || strings.Contains(out, "Nothing was judged") {
		t.Fatal(err, out)
	}
	lowered, err := readCeilings(path)
	if err != nil {
		t.Fatal(err)
	}
	held := lowered.Gates["decide"]
	lowered.Gates["decide"] = cost{Instructions: held.Instructions * 0.9}
	if err := lowered.write(path); err != nil {
		t.Fatal(err)
	}
	if out, err := run(false); err == nil || !strings.Contains(err.Error(), "gate decide does not hold") {
		t.Errorf("%v\n%s", err, out)
	}
}
