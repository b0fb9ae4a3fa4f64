package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// gate is a benchmark whose iterations have a ceiling.
type gate struct {
	name      string
	pkg       string // from the root of the repository
	benchmark string // with the names of subtests behind slashes
	few, many int    // iterations of its two runs
}

// cost is what one iteration takes.
type cost struct {
	Instructions float64 `json:"instructions"`
	Allocations  int     `json:"allocations"`
}

// environment is what instruction counts depend on beside our code: the
// compiler, and the instructions that it and the runtime choose among. CPU is the
// one that Valgrind imitates, which is the same on all that have AVX2.
type environment struct {
	Go   string `json:"go"` // without the patch release
	Arch string `json:"arch"`
	CPU  string `json:"cpu"`
}

// counter builds test binaries, once each, and counts what they do.
type counter struct {
	dir  string // of the binaries
	keep string // of callgrind's files, "" for none
}

// count is the difference of two runs, divided by that of their iterations: what
// the start, the benchmark's own setup and the end take is in both.
func (c *counter) count(ctx context.Context, g gate) (cost, environment, error) {
	binary, err := c.build(ctx, g.pkg)
	if err != nil {
		return cost{}, environment{}, err
	}
	few, err := c.run(ctx, binary, g, g.few)
	if err != nil {
		return cost{}, environment{}, err
	}
	many, err := c.run(ctx, binary, g, g.many)
	if err != nil {
		return cost{}, environment{}, err
	}
	on, err := environmentOf(binary, many.cpu)
	return perIteration(few, many), on, err
}

func perIteration(few, many counted) cost {
	each := float64(many.instructions-few.instructions) / float64(many.iterations-few.iterations)
	if each < 1000 { // a tenth is noise of what is more
		each = math.Round(each*10) / 10
	} else {
		each = math.Round(each)
	}
	return cost{Instructions: each, Allocations: many.allocations}
}

func (c *counter) build(ctx context.Context, pkg string) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("where is the source?")
	}
	binary := filepath.Join(c.dir, filepath.Base(pkg)+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, pkg)
	build.Dir = filepath.Join(filepath.Dir(file), "..", "..")
	// What a user's environment sets for his builds would make others of these.
	// There is no profile to optimise by either: each new one would inline
	// differently, and move counts of code that has not changed.
	build.Env = append(os.Environ(), "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c %s: %w\n%s", pkg, err, out)
	}
	return binary, nil
}

// run runs the benchmark under callgrind, which counts every instruction of the
// process. Valgrind imitates a CPU without AVX-512, and the runtime asks the CPU
// what it has, so no instructions have to be switched off for it.
//
// One processor and no collector: what a second one, idle marking or a sweep
// does depends on time. Goroutines are not preempted by signals, which come by
// time too.
func (c *counter) run(ctx context.Context, binary string, g gate, iterations int) (counted, error) {
	file := os.DevNull
	if c.keep != "" {
		file = filepath.Join(c.keep, g.name+".callgrind")
	}
	args := []string{"--tool=callgrind", "--callgrind-out-file=" + file, binary,
		"-test.run=^$", "-test.bench=" + pattern(g.benchmark), "-test.benchmem", "-test.benchtime=" + strconv.Itoa(iterations) + "x"}
	cmd := exec.CommandContext(ctx, "valgrind", args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=off", "GODEBUG=asyncpreemptoff=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return counted{}, errors.New("valgrind is not installed. Run: sudo apt-get install -y valgrind")
		}
		return counted{}, fmt.Errorf("%s: %w\n%s%s", cmd, err, &stdout, &stderr)
	}
	got, err := read(stdout.String(), stderr.String())
	if err == nil && got.iterations != iterations {
		err = fmt.Errorf("%s ran %d iterations, not %d", g.benchmark, got.iterations, iterations)
	}
	return got, err
}

// pattern is the -test.bench of one benchmark and no other.
func pattern(benchmark string) string {
	return "^" + strings.ReplaceAll(benchmark, "/", "$/^") + "$"
}

// counted is what one run has told.
type counted struct {
	instructions int64
	iterations   int
	allocations  int // of one iteration
	cpu          string
}

var (
	resultLine    = regexp.MustCompile(`(?m)^Benchmark\S+\s+(\d+)\s.*\s(\d+) allocs/op$`)
	cpuLine       = regexp.MustCompile(`(?m)^cpu: (.+)$`)
	collectedLine = regexp.MustCompile(`(?m)^==\d+== Collected : (\d+)$`)
)

// read takes a run's figures from what the benchmark and callgrind have written.
func read(stdout, stderr string) (counted, error) {
	results := resultLine.FindAllStringSubmatch(stdout, -1)
	if len(results) != 1 {
		return counted{}, fmt.Errorf("%d results of benchmarks, want one:\n%s", len(results), stdout)
	}
	collected := collectedLine.FindStringSubmatch(stderr)
	if collected == nil {
		return counted{}, fmt.Errorf("callgrind has not told what it collected:\n%s", stderr)
	}
	var c counted
	var errs [3]error
	c.iterations, errs[0] = strconv.Atoi(results[0][1])
	c.allocations, errs[1] = strconv.Atoi(results[0][2])
	c.instructions, errs[2] = strconv.ParseInt(collected[1], 10, 64)
	if cpu := cpuLine.FindStringSubmatch(stdout); cpu != nil {
		c.cpu = cpu[1]
	}
	return c, errors.Join(errs[:]...)
}

// environmentOf is that of a binary, and of the CPU that it saw.
func environmentOf(binary, cpu string) (environment, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return environment{}, err
	}
	on := environment{Go: minor(info.GoVersion), CPU: cpu}
	for _, s := range info.Settings {
		if s.Key == "GOARCH" {
			on.Arch = s.Value
		}
	}
	return on, nil
}

// minor cuts the patch release, which seldom changes what the compiler does:
// go1.26 of "go1.26.8".
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
