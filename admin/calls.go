package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"tandem/router"
)

// The life of /calls?follow=1:
//
//  1. A place among the few followers is taken.
//  2. The router is told to note calls that end from now on; only then the
//     calls kept are read, so that none falls between the two.
//  3. Both overlap: what the first look of the follower brings is taken out of
//     the calls kept. These are written oldest first, then the others.
//  4. Every poll brings what ended since, until the client goes or the server
//     stops.

const (
	maxFollowers = 8
	followPoll   = 250 * time.Millisecond
	keepAlive    = 15 * time.Second
)

// callsPage is /calls. Its fields are set once.
type callsPage struct {
	recent    func(limit int, match func(*router.CallRecord) bool) []router.CallRecord
	follow    func() follower
	followers chan struct{} // has room for those at work
	stopping  chan struct{} // closed by stop
	stop      func()        // ends all followers

	poll, keepAlive, writeLimit time.Duration
}

// follower is what a router.Follower does.
type follower interface {
	Next() (calls []router.CallRecord, missed uint64)
}

func newCallsPage(r *router.Router) *callsPage {
	stopping := make(chan struct{})
	return &callsPage{
		recent:     r.Recent,
		follow:     func() follower { return r.Follow() },
		followers:  make(chan struct{}, maxFollowers),
		stopping:   stopping,
		stop:       sync.OnceFunc(func() { close(stopping) }),
		poll:       followPoll,
		keepAlive:  keepAlive,
		writeLimit: wholeTimeout,
	}
}

func (p *callsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := parseCallsQuery(r.URL.RawQuery)
	switch {
	case err != nil:
		say(w, http.StatusBadRequest, err.Error())
	case q.follow:
		p.serveFollower(w, r, q)
	default:
		found := p.recent(q.last, q.matcher())
		if found == nil {
			found = []router.CallRecord{} // [] and not null
		}
		sayJSON(w, http.StatusOK, found)
	}
}

func (p *callsPage) serveFollower(w http.ResponseWriter, r *http.Request, q callsQuery) {
	select {
	case p.followers <- struct{}{}:
		defer func() { <-p.followers }()
	default:
		say(w, http.StatusServiceUnavailable,
			fmt.Sprintf("%d clients follow the calls already, and more are not served: end one of them", cap(p.followers)))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if r.Method == http.MethodHead {
		return
	}
	s := &feed{w: w, control: http.NewResponseController(w), limit: p.writeLimit, lines: json.NewEncoder(w)}
	f := p.follow()
	if p.begin(s, f, q) {
		p.goOn(r.Context(), s, f, q)
	}
}

// begin writes the calls kept, and what ended while they were read. It reports
// whether the client is still there.
func (p *callsPage) begin(s *feed, f follower, q callsQuery) bool {
	kept := p.recent(q.last, q.matcher())
	ended, missed := f.Next()
	ended = q.filter(ended)
	kept = without(kept, ended)
	slices.Reverse(kept)
	return s.write(kept, 0) && s.write(ended, missed)
}

// goOn writes calls as they end.
func (p *callsPage) goOn(client context.Context, s *feed, f follower, q callsQuery) {
	tick := time.NewTicker(p.poll)
	defer tick.Stop()
	wrote := time.Now()
	for {
		select {
		case <-tick.C:
		case <-client.Done():
			return
		case <-p.stopping:
			return
		}
		ended, missed := f.Next()
		ended = q.filter(ended)
		ok := true
		switch {
		case len(ended) > 0 || missed > 0:
			ok = s.write(ended, missed)
		case time.Since(wrote) >= p.keepAlive:
			ok = s.writeEmpty()
		default:
			continue
		}
		if !ok {
			return
		}
		wrote = time.Now()
	}
}

// without returns the calls that are not among others. A call has no name of
// its own, but no two have all of identity in common, unless they came twice
// within one batch: then as many are taken out as there are others.
func without(calls, others []router.CallRecord) []router.CallRecord {
	if len(others) == 0 {
		return calls
	}
	times := make(map[identity]int, len(others))
	for i := range others {
		times[identityOf(&others[i])]++
	}
	return slices.DeleteFunc(calls, func(c router.CallRecord) bool {
		id := identityOf(&c)
		if times[id] == 0 {
			return false
		}
		times[id]--
		return true
	})
}

type identity struct {
	began                          int64
	took                           float64
	number, method, callID, source string
	status                         int
}

func identityOf(c *router.CallRecord) identity {
	return identity{c.Began.UnixNano(), c.Took, c.Number, c.Method, c.CallID, c.Source, c.Status}
}

// feed is the response to a follower.
type feed struct {
	w       http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration // within which the client has to take what is written
	lines   *json.Encoder
}

// write writes calls, each a line, behind the number of those that were
// overwritten before them. It reports whether the client is still there.
func (s *feed) write(calls []router.CallRecord, missed uint64) bool {
	if !s.extend() {
		return false
	}
	if missed > 0 {
		line := struct {
			Missed uint64 `json:"missed"`
		}{missed}
		if s.lines.Encode(line) != nil {
			return false
		}
	}
	for i := range calls {
		if s.lines.Encode(&calls[i]) != nil {
			return false
		}
	}
	return s.control.Flush() == nil
}

// writeEmpty writes an empty line: the client sees that the node is there.
func (s *feed) writeEmpty() bool {
	if !s.extend() {
		return false
	}
	_, err := s.w.Write([]byte("\n"))
	return err == nil && s.control.Flush() == nil
}

// extend moves the deadline of the connection: that of the server is for whole
// requests, and this one has no end.
func (s *feed) extend() bool {
	return s.control.SetWriteDeadline(time.Now().Add(s.limit)) == nil
}
