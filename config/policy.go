package config

import (
	"strconv"
	"time"

	"tandem/config/catalog"
)

var (
	failoverKeys = keys{
		known: []string{"codes", "first_response", "progress", "timer_c", "max_attempts", "exhausted_code", "after_ringing"},
		later: []string{"setup_budget", "max_ring", "when_all_down"},
	}
	healthKeys = keys{
		known: []string{"probe", "interval", "fast_interval", "timeout", "down_after", "up_after", "down_codes", "doubt_hold"},
		later: []string{"when_all_down", "eject_after", "slow_start", "max_detection", "passive", "region"},
	}
	quotaKeys = keys{known: []string{"groups", "connectors_per_group"}, later: []string{"connectors", "numbers"}}
)

const (
	// minTimerC is the time that timer C has to exceed (RFC 3261 16.6 step 11).
	minTimerC = 3 * time.Minute

	// timerB is when a request without any response has failed anyway: 64*T1
	// (RFC 3261 17.1.1.2; timer F, 17.1.2.2).
	timerB = 32 * time.Second

	// shortestTime is the shortest of any timer.
	shortestTime = 10 * time.Millisecond
)

// failover reads when an attempt is given up.
func (d *decoder) failover(n node) catalog.Failover {
	f := d.fields(n, failoverKeys)
	v := catalog.DefaultFailover()
	v.Codes = d.codes(f["codes"], v.Codes, d.failoverCode)
	v.FirstResponse = d.firstResponse(f["first_response"], v.FirstResponse)
	v.Progress = d.duration(f["progress"], v.Progress, shortestTime, 3*time.Minute)
	v.TimerC = d.timerC(f["timer_c"], v.TimerC)
	v.MaxAttempts = d.integer(f["max_attempts"], v.MaxAttempts, 1, catalog.MaxAttempts)
	v.ExhaustedCode = d.exhaustedCode(f["exhausted_code"], v.ExhaustedCode)
	v.AfterRinging = d.boolean(f["after_ringing"], v.AfterRinging)
	if v.Progress < v.FirstResponse && !d.failed["failover.progress"] && !d.failed["failover.first_response"] {
		d.failAt(d.root.find("failover.progress").line(), "failover.progress",
			"%s is less than first_response, %s: it counts from the same moment; write more", catalog.Duration(v.Progress), catalog.Duration(v.FirstResponse))
	}
	return v
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
	return code
}

// health reads how hosts are probed.
func (d *decoder) health(n node) catalog.Health {
	const shortest, longest = shortestTime, time.Hour
	const most = 100 // failures or successes in a row
	f := d.fields(n, healthKeys)
	v := catalog.DefaultHealth()
	v.Probe = d.boolean(f["probe"], v.Probe)
	v.Interval = d.duration(f["interval"], v.Interval, shortest, longest)
	v.FastInterval = d.duration(f["fast_interval"], min(v.FastInterval, v.Interval), shortest, longest)
	v.Timeout = d.duration(f["timeout"], min(v.Timeout, v.Interval), shortest, longest)
	v.DownAfter = d.integer(f["down_after"], v.DownAfter, 1, most)
	v.UpAfter = d.integer(f["up_after"], v.UpAfter, 1, most)
	v.DownCodes = d.codes(f["down_codes"], v.DownCodes, d.downCode)
	v.DoubtHold = d.duration(f["doubt_hold"], v.DoubtHold, shortest, 5*time.Minute)
	if v.FastInterval > v.Interval && !d.failed["health.interval"] {
		d.fail(f["fast_interval"], "%s is longer than interval, %s; write less", catalog.Duration(v.FastInterval), catalog.Duration(v.Interval))
	}
	if v.Timeout > v.Interval && !d.failed["health.interval"] {
		d.fail(f["timeout"], "%s is longer than interval, %s; write less", catalog.Duration(v.Timeout), catalog.Duration(v.Interval))
	}
	return v
}

// downCode says why a code cannot mean that a host is down.
func (d *decoder) downCode(n node, code int) bool {
	if code < 300 {
		d.fail(n, "%d is a good answer; write codes from 300 to 699", code)
		return false
	}
	return true
}

func (d *decoder) quotas(n node) Quotas {
	const most = 1_000_000
	f := d.fields(n, quotaKeys)
	return Quotas{
		Groups:             d.integer(f["groups"], 0, 0, most),
		ConnectorsPerGroup: d.integer(f["connectors_per_group"], 0, 0, most),
	}
}
