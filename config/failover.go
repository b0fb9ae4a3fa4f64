package config

import (
	"strconv"
	"time"

	"tandem/config/catalog"
)

var failoverKeys = keys{
	known: []string{"codes", "first_response", "progress", "no_answer", "timer_c", "max_ring", "after_ringing",
		"max_attempts", "exhausted_code", "setup_budget", "when_all_down"},
}

const (
	// minTimerC is the time that timer C has to exceed (RFC 3261 16.6 step 11).
	minTimerC = 3 * time.Minute

	// timerB is when a request without any response has failed anyway: 64*T1
	// (RFC 3261 17.1.1.2; timer F, 17.1.2.2).
	timerB = 32 * time.Second

	// shortestTime is the shortest of any timer.
	shortestTime = 10 * time.Millisecond
)

// failover reads what one level says of when an attempt is given up.
func (d *decoder) failover(n node) catalog.FailoverPart {
	f := d.fields(n, failoverKeys)
	v := catalog.DefaultFailover()
	v.Codes = d.codes(f["codes"], v.Codes, d.failoverCode)
	v.FirstResponse = d.firstResponse(f["first_response"], v.FirstResponse)
	v.Progress = d.duration(f["progress"], v.Progress, shortestTime, 3*time.Minute)
	v.NoAnswer = d.durationOrOff(f["no_answer"], v.NoAnswer, time.Second, 10*time.Minute)
	v.TimerC = d.timerC(f["timer_c"], v.TimerC)
	v.MaxRing = d.duration(f["max_ring"], v.MaxRing, time.Second, 24*time.Hour)
	v.AfterRinging = d.boolean(f["after_ringing"], v.AfterRinging)
	v.MaxAttempts = d.integer(f["max_attempts"], v.MaxAttempts, 1, catalog.MaxAttempts)
	v.ExhaustedCode = d.exhaustedCode(f["exhausted_code"], v.ExhaustedCode)
	v.SetupBudget = d.durationOrOff(f["setup_budget"], v.SetupBudget, 500*time.Millisecond, time.Minute)
	v.WhenAllDown = catalog.WhenAllDown(d.choice(f["when_all_down"], catalog.WhenAllDownWords[:]...))

	read := catalog.FailoverPart{Values: v}
	for _, field := range catalog.FailoverFields {
		if d.says(f[field.Key()]) {
			read.Set |= field
		}
	}
	var none catalog.Failover
	return catalog.FailoverPart{Set: read.Set, Values: none.With(read, catalog.EveryField)}
}

// says reports whether a value stands in the file and could be read.
func (d *decoder) says(n node) bool {
	return n.kind() != missing && n.kind() != null && !d.failed[n.path]
}

// firstResponse reads a time that is over before the request has failed.
func (d *decoder) firstResponse(n node, otherwise time.Duration) time.Duration {
	first := d.duration(n, otherwise, 0, 24*time.Hour)
	if (first < shortestTime || first >= timerB) && !d.failed[n.path] {
		d.fail(n, "%s is out of range; write %s or more, and less than %s, when RFC 3261 gives up a request without any response (64*T1, timers B and F)",
			catalog.Duration(first), catalog.Duration(shortestTime), catalog.Duration(timerB))
		return otherwise
	}
	return first
}

// timerC reads a time above three minutes.
func (d *decoder) timerC(n node, otherwise time.Duration) time.Duration {
	c := d.duration(n, otherwise, 0, 24*time.Hour)
	if c <= minTimerC && !d.failed[n.path] {
		d.fail(n, "%s is too short: RFC 3261 16.6 wants more than 3 minutes; write 181s or more", catalog.Duration(c))
		return otherwise
	}
	return c
}

// failoverCode says why a code cannot move a call to the next candidate.
func (d *decoder) failoverCode(n node, code int) bool {
	switch {
	case code < 400:
		d.fail(n, "%d is not a failure; write codes from 400 to 599", code)
	case code >= 600:
		d.fail(n, "%d is an answer for all destinations (RFC 3261 21.6), so the call ends; write codes from 400 to 599", code)
	case code == 401 || code == 407:
		d.fail(n, "%d asks the caller for credentials and has to reach it; remove it", code)
	default:
		return true
	}
	return false
}

// codes reads a list of status codes that each pass a check.
func (d *decoder) codes(n node, otherwise catalog.Codes, check func(node, int) bool) catalog.Codes {
	if n.kind() == missing || n.kind() == null {
		return otherwise
	}
	var codes []int
	for _, item := range d.list(n) {
		code := d.integer(item, 0, 100, 699)
		if d.failed[item.path] || !check(item, code) {
			continue
		}
		codes = append(codes, code)
	}
	return catalog.NewCodes(codes...)
}

// exhaustedCode reads a final response, or "best" as 0.
func (d *decoder) exhaustedCode(n node, otherwise int) int {
	text, ok := d.scalar(n)
	if !ok {
		return otherwise
	}
	if text == "best" {
		return 0
	}
	code, err := strconv.Atoi(text)
	if err != nil || code < 400 || code > 699 {
		d.fail(n, "%s is not a final failure; write a code from 400 to 699, or best", quote(text))
		return otherwise
	}
	if code == 401 || code == 407 {
		d.fail(n, "%d asks the caller for credentials, and there is nobody to give them to; write another code", code)
		return otherwise
	}
	return code
}

var (
	progressRule = rule{
		low: "first_response", high: "progress",
		atLow:  "%s is longer than progress, %s: both count from the same moment; write less",
		atHigh: "%s is less than first_response, %s: it counts from the same moment; write more",
	}
	noAnswerRules = []struct {
		high catalog.FailoverField
		rule rule
	}{
		{catalog.FieldTimerC, neverComes("timer_c")},
		{catalog.FieldMaxRing, neverComes("max_ring")},
	}
)

func neverComes(high string) rule {
	return rule{
		low: "no_answer", high: high, apart: true, warning: true,
		atLow:  "%s is not less than " + high + ", %s: it never comes; write less",
		atHigh: "%s is not more than no_answer, %s: that never comes; write more",
	}
}

// checkFailover checks what one file cannot say at one place: values of several
// levels that meet in one attempt.
func (d *decoder) checkFailover(cfg *Config) {
	l := levelsOf(cfg)
	d.checkOrder(l, catalog.FieldFirstResponse, catalog.FieldProgress, progressRule)
	for _, r := range noAnswerRules {
		d.checkOrder(l, catalog.FieldNoAnswer, r.high, r.rule)
	}
	for i := range cfg.Catalog.Connectors {
		c := &cfg.Catalog.Connectors[i]
		if c.HasNumbers() {
			continue
		}
		for _, field := range catalog.FailoverFields {
			if c.Failover.Set&field&catalog.OfTheCall != 0 {
				path := child(child(element("connectors", i), "failover"), field.Key())
				d.warnAt(d.root.find(path).line(), path,
					"counts for a whole call, and in a connector for calls to its own numbers only, of which it has none; write it in the group's failover")
			}
		}
	}
}
