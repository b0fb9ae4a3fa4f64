package router

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The environment says what TestSim runs. Of one seed:
//
//	SIM_SEED=17 [SIM_WITHOUT=loss,dup] [SIM_CALLS=3,4] go test -run '^TestSim$' ./router
//
// or many: SIM_SEEDS of them or as long as SIM_DURATION, from SIM_START on.
const (
	simEnvSeed     = "SIM_SEED"
	simEnvWithout  = "SIM_WITHOUT"
	simEnvCalls    = "SIM_CALLS"
	simEnvSeeds    = "SIM_SEEDS"
	simEnvDuration = "SIM_DURATION"
	simEnvStart    = "SIM_START"
)

// TestSim lets callers and connectors that behave in all ways talk through
// nodes and a network that fail in all ways, on a clock of its own, and holds
// what the router does against what it must do and must never do (design
// section 10). Each seed is a world of its own, and the same one each time.
func TestSim(t *testing.T) {
	if number, ok := simNumber(t, simEnvSeed); ok {
		if v, s, trace := simReplay(simSeedOf(t, number)); v != nil {
			t.Fatal(simReport(s, v, trace))
		}
		return
	}
	f := &simFleet{t: t, began: time.Now()}
	start, _ := simNumber(t, simEnvStart)
	f.next.Store(start)
	seeds, ok := simNumber(t, simEnvSeeds)
	f.end = start + seeds
	if f.for_ = simDuration(t); !ok {
		f.end = ^uint64(0)
	} else if os.Getenv(simEnvDuration) == "" {
		f.for_ = 0
	}
	f.run()
	t.Log(f.summary())
	require.Zero(t, f.failed.Load(), "violations")
}

// simFleet runs seeds, as many at a time as there are processors.
type simFleet struct {
	t      *testing.T
	began  time.Time
	for_   time.Duration // 0: until end
	next   atomic.Uint64
	end    uint64
	seeds  atomic.Int64
	calls  atomic.Int64
	nanos  atomic.Int64 // of virtual time
	sent   atomic.Int64
	failed atomic.Int64

	report sync.Mutex
}

func (f *simFleet) run() {
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !f.over() {
				seed := f.next.Add(1) - 1
				if seed >= f.end {
					return
				}
				f.one(simSeed{number: seed})
			}
		})
	}
	done := make(chan struct{})
	var progress sync.WaitGroup
	progress.Go(func() { f.progress(done) })
	workers.Wait()
	close(done)
	progress.Wait()
}

func (f *simFleet) over() bool {
	const enough = 3 // violations: the first ones are the news
	return f.for_ > 0 && time.Since(f.began) > f.for_ || f.failed.Load() >= enough
}

func (f *simFleet) one(seed simSeed) {
	v, w := simRun(seed, nil, nil)
	f.seeds.Add(1)
	f.nanos.Add(max(0, w.ticked-w.begun))
	f.sent.Add(int64(w.check.messages))
	for _, c := range w.calls {
		if c != nil {
			f.calls.Add(1)
		}
	}
	if v == nil {
		return
	}
	f.failed.Add(1)
	small := simShrink(seed, v, func(s simSeed) *simViolation {
		v, _ := simRun(s, nil, nil)
		return v
	})
	v, s, trace := simReplay(small)
	f.report.Lock()
	defer f.report.Unlock()
	f.t.Error(simReport(s, v, trace))
}

// progress tells every few seconds how far it is, of a long run.
func (f *simFleet) progress(done chan struct{}) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			if testing.Verbose() {
				fmt.Println(f.summary())
			}
		}
	}
}

func (f *simFleet) summary() string {
	seconds := time.Since(f.began).Seconds()
	minutes := time.Duration(f.nanos.Load()).Minutes()
	calls := float64(f.calls.Load())
	return fmt.Sprintf("%4.0f s: %d seeds, %.0f calls, %d messages, %.0f virtual minutes, %d violations; %.0f calls and %.0f virtual minutes a second",
		seconds, f.seeds.Load(), calls, f.sent.Load(), minutes, f.failed.Load(), calls/seconds, minutes/seconds)
}

// simRun runs one seed to its end or its first violation.
func simRun(seed simSeed, trace *simTrace, tamper simTamper) (v *simViolation, w *simWorld) {
	w = newSimWorld(newSimSettings(seed), trace)
	w.tamper = tamper
	defer func() {
		if p := recover(); p != nil {
			var ok bool
			if v, ok = p.(*simViolation); !ok {
				fmt.Fprintf(os.Stderr, "%s=%d\n", simEnvSeed, seed.number)
				panic(p)
			}
		}
	}()
	w.run()
	return nil, w
}

// simReplay runs a seed again and writes down what happens.
func simReplay(seed simSeed) (*simViolation, *simSettings, *simTrace) {
	trace := new(simTrace)
	v, w := simRun(seed, trace, nil)
	return v, w.simSettings, trace
}

func simReport(s *simSettings, v *simViolation, trace *simTrace) string {
	if v == nil {
		return fmt.Sprintf("seed %d fails no more", s.number)
	}
	replay := fmt.Sprintf("%s=%d", simEnvSeed, s.number)
	if s.without != 0 {
		replay += fmt.Sprintf(" %s=%v", simEnvWithout, s.without)
	}
	if s.only != nil {
		replay += " " + simEnvCalls + "=" + strings.Trim(strings.ReplaceAll(fmt.Sprint(s.only), " ", ","), "[]")
	}
	return fmt.Sprintf("%v\n%s go test -run '^TestSim$' ./router\n%v\n%s", v, replay, s, trace.of(v.call))
}

// simShrink leaves features and calls out of a failing seed as long as it goes
// on failing in the same way.
func simShrink(seed simSeed, v *simViolation, run func(simSeed) *simViolation) simSeed {
	fails := func(s simSeed) bool {
		now := run(s)
		return now != nil && now.clause == v.clause
	}
	for f := simFeature(1); f < simFeatures; f <<= 1 {
		less := seed
		less.without |= f
		if fails(less) {
			seed = less
		}
	}
	seed.only = make([]int, newSimSettings(seed).many)
	for i := range seed.only {
		seed.only[i] = i
	}
	for size := len(seed.only) / 2; size > 0; size /= 2 {
		for at := 0; at < len(seed.only); {
			less := seed
			less.only = slices.Concat(seed.only[:at], seed.only[min(at+size, len(seed.only)):])
			if len(less.only) > 0 && fails(less) {
				seed = less
			} else {
				at += size
			}
		}
	}
	return seed
}

func simSeedOf(t *testing.T, number uint64) simSeed {
	seed := simSeed{number: number}
	if names := os.Getenv(simEnvWithout); names != "" {
		for _, name := range strings.Split(names, ",") {
			i := slices.Index(simFeatureNames, name)
			require.GreaterOrEqual(t, i, 0, "%s: no feature %q; there are %v", simEnvWithout, name, simFeatureNames)
			seed.without |= 1 << i
		}
	}
	if calls := os.Getenv(simEnvCalls); calls != "" {
		for _, call := range strings.Split(calls, ",") {
			i, err := strconv.Atoi(call)
			require.NoError(t, err, simEnvCalls)
			seed.only = append(seed.only, i)
		}
	}
	return seed
}

func simNumber(t *testing.T, name string) (n uint64, ok bool) {
	s := os.Getenv(name)
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err, name)
	return n, true
}

// simDuration is how long to run when nothing says how many seeds.
func simDuration(t *testing.T) time.Duration {
	if s := os.Getenv(simEnvDuration); s != "" {
		d, err := time.ParseDuration(s)
		require.NoError(t, err, simEnvDuration)
		return d
	}
	if testing.Short() {
		return 3 * time.Second
	}
	return 20 * time.Second
}
