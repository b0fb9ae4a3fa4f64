//go:build linux && soak

package main_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Hosts that answer OPTIONS and fail calls, and hosts that are slow.

const sick = "127.0.0.11" // the host that falls ill

// ails has the first connector's host do something else for a time. check holds
// the goals between the end of the illness and the end of the calls.
func ails(t *testing.T, scenario string, rate int, how manner, check func(*experiment)) {
	t.Helper()
	x := newExperiment(t, scenario, oneEach, sick, "127.0.0.12")
	a := x.actor(sick)
	x.begin(rate)
	time.Sleep(warmUp)
	before := x.asked(sick)
	x.fell = time.Now()
	a.does(how)
	time.Sleep(illness)
	x.rose = time.Now()
	during := x.asked(sick) - before
	a.does(healthy)
	x.recovered(sick, 80*time.Second)
	time.Sleep(time.Second) // calls that go there again
	x.row.probes = fmt.Sprintf("%d in all, %d in the %.0f s of illness", x.asked(sick), during, illness.Seconds())
	x.row.detected = x.after(sick, x.fell, "doubtful", "full", "ejected", "down")
	x.row.back = x.after(sick, x.rose, "recovering", "up")
	check(x)
	x.end()
}

var failedCalls = regexp.MustCompile(`^(\d+) failed calls in a row`)

// ejects holds that a grey failure is found within 5 failed calls or 1 s, and
// that the host is back a slow start after the first trial that can go well: no
// probe brings it back, and trials are as far apart as the last ejection is long.
func ejects(x *experiment) {
	x.t.Helper()
	f, ok := x.first(sick, "ejected", x.fell)
	x.goal(ok, "not ejected")
	if !ok {
		return
	}
	failed := 0
	if m := failedCalls.FindStringSubmatch(f.Reason); m != nil {
		failed, _ = strconv.Atoi(m[1])
	}
	x.goal(0 < failed && failed <= 5 || f.Time.Sub(x.fell) <= time.Second, "ejected after %.2f s and %q", f.Time.Sub(x.fell).Seconds(), f.Reason)
	x.row.note("ejected after %d failed calls", failed)
	x.trials(10 * time.Second)
}

// trials counts the calls that an ejected host was tried with while it was ill,
// and holds when it was back. hold is that of the first ejection.
func (x *experiment) trials(hold time.Duration) {
	x.t.Helper()
	tried := 0
	for _, c := range x.calls() {
		f, _ := x.first(sick, "ejected", x.fell)
		if c.Began.After(f.Time) && c.Began.Before(x.rose) && c.Attempts[0].Connector == "first" {
			tried++
			hold = min(2*hold, 5*time.Minute)
		}
	}
	x.row.note("%d trial calls, trials %v apart then", tried, hold)
	f, ok := x.first(sick, "recovering", x.rose)
	x.goal(ok && f.Time.Sub(x.rose) <= hold+grace, "not back within the %v between trials", hold)
	up, ok := x.first(sick, "up", x.rose)
	x.goal(ok && up.Time.Sub(f.Time) <= 30*time.Second+grace, "not up within the slow start")
	if since := up.Time.Sub(x.rose); since > 35500*time.Millisecond {
		x.row.note("later than one probe interval and the slow start, as trials decide")
	}
}

func TestSoakHealth503(t *testing.T) {
	if alone(t) {
		ails(t, "503 to calls", healthRate, says(503), ejects)
	}
}

// Each Retry-After keeps calls away; the call after it finds out. After
// eject_after of them the host is ejected.
func TestSoakHealth503RetryAfter(t *testing.T) {
	if alone(t) {
		ails(t, "503 to calls, Retry-After: 2", healthRate, says(503, "Retry-After: 2"), func(x *experiment) {
			f, ok := x.first(sick, "full", x.fell)
			x.goal(ok && f.Time.Sub(x.fell) < time.Second, "not full at once")
			asked := 0
			for _, c := range x.calls() {
				if c.Began.After(x.fell) && c.Began.Before(x.rose) && c.Attempts[0].Connector == "first" {
					asked++
				}
			}
			x.row.note("%d calls were refused by it in %v", asked, illness)
			// A few calls are on their way when the first 503 comes.
			x.goal(asked <= int(illness/(2*time.Second))+3, "%d calls went there", asked)
			if _, ejected := x.first(sick, "ejected", x.fell); ejected {
				x.trials(10 * time.Second)
			}
		})
	}
}

func TestSoakHealthOnly100(t *testing.T) {
	if alone(t) {
		trying := manner{options: 200, invite: func(g *leg) { g.respond(100) }}
		ails(t, "100 and nothing else", healthRate, trying, func(x *experiment) {
			ejects(x)
			f, ok := x.first(sick, "doubtful", x.fell)
			x.goal(ok && f.Time.Sub(x.fell) <= 4*time.Second+250*time.Millisecond+grace, "not doubtful after stall and 5 calls")
		})
	}
}

func TestSoakHealthGrey500(t *testing.T) {
	if alone(t) {
		ails(t, "OPTIONS fine, 500 to calls of all numbers", healthRate, says(500), ejects)
	}
}

func TestSoakHealthGreySilent(t *testing.T) {
	if alone(t) {
		ails(t, "OPTIONS fine, silence to calls", healthRate, manner{options: 200}, ejects)
	}
}

// Slow hosts do everything late, OPTIONS too.
func slow(t *testing.T, late time.Duration, check func(*experiment)) {
	how := healthy
	how.late = late
	ails(t, fmt.Sprintf("slow: %v until any answer, to OPTIONS too", late), healthRate, how, check)
}

func TestSoakHealthSlow200ms(t *testing.T) {
	if alone(t) {
		slow(t, 200*time.Millisecond, func(x *experiment) {
			x.goal(len(x.flips(sick)) == 0, "slow is not ill")
		})
	}
}

// At the edge of the timeout of probes, beneath first_response.
func TestSoakHealthSlow1s(t *testing.T) {
	if alone(t) {
		slow(t, time.Second, func(*experiment) {})
	}
}

// At the edge of first_response: the answer and the next attempt cross.
func TestSoakHealthSlow2s(t *testing.T) {
	if alone(t) {
		slow(t, 2*time.Second, (*experiment).slowIsDown)
	}
}

func TestSoakHealthSlow5s(t *testing.T) {
	if alone(t) {
		slow(t, 5*time.Second, (*experiment).slowIsDown)
	}
}

// lateToCalls is prompt with OPTIONS and answers calls after first_response, so
// that all of them move on.
var lateToCalls = manner{options: 200, invite: func(g *leg) {
	g.after(2200*time.Millisecond, func() { healthy.invite(g) })
}}

func TestSoakHealthLateCalls(t *testing.T) {
	if alone(t) {
		ails(t, "OPTIONS fine, 2.2 s until any answer to calls", healthRate, lateToCalls, ejects)
	}
}

// With fewer calls a late answer comes between any five that were given up.
func TestSoakHealthLateFewCalls(t *testing.T) {
	if alone(t) {
		ails(t, "OPTIONS fine, 2.2 s until any answer to calls, 4 calls/s", 4, lateToCalls, ejects)
	}
}

// slowIsDown holds that a host whose answers to OPTIONS come after the timeout
// is as good as silent.
func (x *experiment) slowIsDown() {
	x.t.Helper()
	x.detectedBy(sick)
	x.backAgain(sick, 5500*time.Millisecond, 30*time.Second)
}

// One number is refused with 500 by both connectors, wherever it is tried: a
// tenth of the calls, and then a row of nothing else.
func TestSoakHealthBadNumber(t *testing.T) {
	if !alone(t) {
		return
	}
	const bad = "+15550009999"
	x := newExperiment(t, "one bad number of many: 500 always", oneEach, sick, "127.0.0.12")
	refusing := manner{options: 200, invite: func(g *leg) {
		if strings.Contains(g.invite.uri(), bad) {
			g.respond(500)
			return
		}
		healthy.invite(g)
	}}
	for _, host := range []string{sick, "127.0.0.12"} {
		x.actor(host).does(refusing)
	}
	x.number = func(i int) string {
		if i%10 == 0 || 400 <= i && i < 440 {
			return bad
		}
		return fmt.Sprintf("+1555000%04d", i%50)
	}
	x.alibi = "calls to the bad number, each refused with 503"
	x.excuse = func(p *play) bool {
		return p.d.number == bad && len(p.finals) == 1 && p.finals[0].status == 503
	}
	x.fell = time.Now()
	x.begin(healthRate)
	time.Sleep(40 * time.Second)
	x.row.probes = fmt.Sprintf("%d", x.asked(sick))
	x.goal(len(x.flips("")) == 0, "the bad number changed a host's state")
	x.row.detected = "nobody ejected"
	x.end()
	require.Greater(t, x.row.made, 700)
}

// busyOptions says 503 to OPTIONS and takes calls all the same.
var busyOptions = manner{options: 503, invite: healthy.invite}

// A host that says it is full is tried last: the others take the calls, and
// nobody waits. It is back with the first probe that says otherwise.
func TestSoakHealthOptions503(t *testing.T) {
	if !alone(t) {
		return
	}
	ails(t, "OPTIONS answered 503, calls taken", healthRate, busyOptions, func(x *experiment) {
		f, ok := x.first(sick, "full", x.fell)
		x.goal(ok && f.Time.Sub(x.fell) <= 5500*time.Millisecond+grace, "not full within one probe interval")
		back, ok := x.first(sick, "up", x.rose)
		x.goal(ok && back.Time.Sub(x.rose) <= 5500*time.Millisecond+grace, "not up within one probe interval")
		there := 0
		for _, c := range x.calls() {
			if c.Began.After(f.Time) && c.Began.Before(x.rose) && c.Attempts[0].Connector == "first" {
				there++
			}
		}
		x.row.note("%d calls went there while it was full", there)
		x.goal(there == 0, "%d calls went there while it was full", there)
	})
}

// When all say so, calls go where they would have gone, and succeed.
func TestSoakHealthOptions503Everywhere(t *testing.T) {
	if !alone(t) {
		return
	}
	x := newExperiment(t, "OPTIONS answered 503 by all hosts, calls taken", oneEach, sick, "127.0.0.12")
	x.begin(healthRate)
	time.Sleep(warmUp)
	x.fell = time.Now()
	for _, host := range []string{sick, "127.0.0.12"} {
		x.actor(host).does(busyOptions)
	}
	time.Sleep(illness)
	x.rose = time.Now()
	for _, host := range []string{sick, "127.0.0.12"} {
		f, ok := x.first(host, "full", x.fell)
		x.goal(ok && f.Time.Sub(x.fell) <= 5500*time.Millisecond+grace, "%s is not full within one probe interval", host)
		x.actor(host).does(healthy)
	}
	x.row.detected = x.after(sick, x.fell, "full")
	x.recovered(sick, 10*time.Second)
	x.recovered("127.0.0.12", 10*time.Second)
	x.row.back = x.after(sick, x.rose, "up")
	x.row.probes = fmt.Sprint(x.asked(sick))
	x.end()
	x.goal(len(x.row.waits) == 0, "%d calls were tried more than once", len(x.row.waits))
}
