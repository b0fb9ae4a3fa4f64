package main

import (
	"fmt"
	"io"
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

// done takes off what was planned for something that has been done.
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
	measured := s.Warmup + s.Window + s.Split
	if load == "sipp" {
		return measured + tail + reporting + 300*time.Millisecond
	}
	return measured + 300*time.Millisecond
}

// plan is how long everything takes.
func (s settings) plan() (all time.Duration) {
	for _, load := range s.Loads {
		if load == "sipp" && !s.has("cpu") {
			continue
		}
		all += settling + time.Duration(len(s.Proxies))*time.Second
		if s.has("cpu") {
			for round := range s.Rounds {
				all += time.Duration(len(s.Rates)*len(order(s.Proxies, round))) * s.blockTime(load)
			}
		}
	}
	return all
}
