package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// progress says how much is left: what was planned for the rest, times how much
// longer than planned everything took so far.
type progress struct {
	planned, did time.Duration
	began        time.Time
	now          func() time.Time
}

func newProgress(planned time.Duration) *progress {
	return &progress{planned: planned, began: time.Now(), now: time.Now}
}

// done takes off what was planned for something that has been done, or adds what
// was not planned and has come off.
func (p *progress) done(planned time.Duration) { p.did += planned }

// left is an estimate.
func (p *progress) left() time.Duration {
	rest := max(p.planned-p.did, 0)
	if p.did < 30*time.Second {
		return rest
	}
	return time.Duration(float64(rest) * float64(p.now().Sub(p.began)) / float64(p.did))
}

func (p *progress) say(w io.Writer, format string, args ...any) {
	say(w, "[%4.1f min left] %s\n", p.left().Minutes(), fmt.Sprintf(format, args...))
}

// blockTime is how long a block takes.
func (s settings) blockTime(load string) time.Duration {
	if load == "sipp" {
		return s.Warmup + s.Window + s.Split + tail + reporting + 300*time.Millisecond
	}
	return s.Warmup/2 + s.Window + s.Split + 300*time.Millisecond
}

// plan is how long everything takes.
func (s settings) plan() (all time.Duration) {
	for _, load := range s.stages() {
		if load == "own" {
			all += s.planOwn()
		}
		all += settling + time.Duration(len(s.Proxies))*time.Second
		if s.has("cpu") && slices.Contains(s.Loads, load) {
			all += s.planBlocks(load)
		}
	}
	if s.has("transports") {
		all += s.planTransports()
	}
	return all
}

// planBlocks is how long all blocks of a load take.
func (s settings) planBlocks(load string) (all time.Duration) {
	for round := range s.Rounds {
		all += time.Duration(len(s.Rates)*len(order(s.Proxies, round))) * s.blockTime(load)
	}
	return all
}

// planOwn is how long the parts take that only our own generator has.
func (s settings) planOwn() (all time.Duration) {
	if s.has("saturation") {
		all += time.Duration(len(s.contenders())) * s.searchTime()
	}
	if s.has("latency") {
		each := 2 // by its own highest rate and by that of all
		if !s.has("saturation") {
			each = 1
		}
		all += time.Duration(2*each*len(s.contenders())) * s.latencyTime()
	}
	if s.has("orders") {
		for _, t := range s.trials(nil) {
			all += s.trialTime(t)
		}
	}
	return all
}
