package probe

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"tandem/config/catalog"
	"tandem/health"
)

const (
	// spread is the time over which the first probes of hosts are spread, unless
	// the interval is shorter.
	spread = time.Second

	// minGap is the shortest time between two probes of one host, however often
	// calls raise doubts about it, unless the fast interval is shorter.
	minGap = 100 * time.Millisecond
)

// entry is a target's place in the schedule. Only the scheduler touches it. It is
// in the queue, or has a probe in flight, or is not probed at all.
type entry struct {
	target
	set     *catalog.Health // the host's settings that the schedule follows
	due     int64           // when the next probe leaves
	started int64           // when the last one left; 0: none did
	index   int             // in the queue; -1 when it is not there
	wanted  bool            // somebody asked for a probe while one was in flight
	dropped bool            // no target any more

	abort   context.CancelFunc // ends the probe in flight, without a result; nil: none is
	aborted bool               // that was done
}

// scheduler decides when hosts are probed. It is one goroutine, and one more
// for each probe in flight.
type scheduler struct {
	*Prober
	changes  uint64 // of settings, that were taken notice of
	queue    queue  // the earliest first
	entries  map[*health.Host]*entry
	turn     int // of first probes: each takes the next place in the spread
	inFlight int
	landed   chan *entry // the entries whose probe is over
	flights  sync.WaitGroup
}

// schedule runs until ctx ends and all probes have.
func (p *Prober) schedule(ctx context.Context) {
	s := &scheduler{
		Prober:  p,
		changes: p.registry.Changes(),
		entries: make(map[*health.Host]*entry),
		landed:  make(chan *entry, p.maxInFlight),
	}
	defer s.flights.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()

	var wanted []*health.Host
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-p.changed:
			s.replace()
		case <-p.registry.Woken():
			s.configure()
			wanted = p.registry.Wanted(wanted[:0])
			for _, h := range wanted {
				s.hasten(h)
			}
			clear(wanted)
		case e := <-s.landed:
			s.land(e)
		}
		s.launch(ctx)
		timer.Reset(s.untilNext())
	}
}

// launch starts the probes that are due.
func (s *scheduler) launch(ctx context.Context) {
	now := s.now()
	for len(s.queue) > 0 && s.queue[0].due <= now && s.inFlight < s.maxInFlight {
		e := s.queue[0]
		if set := e.Host.Settings(); set != e.set {
			s.adopt(e, set) // notice of it is under way
			continue
		}
		heap.Pop(&s.queue)
		e.started, e.wanted = now, false
		s.inFlight++
		flying, abort := context.WithCancel(ctx)
		e.abort = abort
		t, timeout := e.target, e.set.Timeout
		s.flights.Go(func() {
			defer abort()
			s.fly(flying, &t, timeout)
			s.landed <- e // has room for all
		})
	}
}

// land puts an entry back whose probe is over.
func (s *scheduler) land(e *entry) {
	aborted := e.aborted
	e.abort, e.aborted = nil, false
	s.inFlight--
	switch {
	case e.dropped || !e.set.Probe:
		return
	case aborted:
		e.due = s.soon(e)
	default:
		e.due = max(e.next(rand.Float64()), s.now())
	}
	e.wanted = false
	heap.Push(&s.queue, e)
}

// hasten brings a host's next probe forward because somebody asked for it.
func (s *scheduler) hasten(h *health.Host) {
	e := s.entries[h]
	if e == nil {
		return
	}
	if e.index < 0 {
		e.wanted = true // of no consequence when it is not probed
		return
	}
	soon := s.now()
	if e.started != 0 {
		soon = max(soon, e.started+int64(e.minGap()))
	}
	s.bringForward(e, soon)
}

// configure takes notice of new settings.
func (s *scheduler) configure() {
	changes := s.registry.Changes()
	if changes == s.changes {
		return
	}
	s.changes = changes
	for h, e := range s.entries {
		if set := h.Settings(); set != e.set {
			s.adopt(e, set)
		}
	}
}

// adopt puts new settings of a host in force: they decide whether it is probed
// from now on, and when next, unless that was to be sooner.
func (s *scheduler) adopt(e *entry, set *catalog.Health) {
	was := e.set
	e.set = set
	switch {
	case e.abort != nil:
		// What the probe says would be worth nothing, or come too late.
		if !set.Probe || set.Timeout < was.Timeout {
			e.callOff()
		}
	case !set.Probe:
		if e.index >= 0 {
			heap.Remove(&s.queue, e.index)
		}
	case e.index < 0:
		e.due = s.soon(e)
		heap.Push(&s.queue, e)
	case e.started != 0:
		next := e.next(rand.Float64())
		if next <= s.now() {
			next = s.soon(e) // perhaps one of many
		}
		s.bringForward(e, next)
	}
}

func (s *scheduler) bringForward(e *entry, due int64) {
	if due < e.due {
		e.due = due
		heap.Fix(&s.queue, e.index)
	}
}

// replace takes over new targets.
func (s *scheduler) replace() {
	s.mu.Lock()
	targets := s.targets
	s.mu.Unlock()

	before := s.entries
	s.entries = make(map[*health.Host]*entry, len(targets))
	// Of new ones, those that were ill before a restart go first: it may be over.
	var ill, well []*entry
	for _, t := range targets {
		if s.entries[t.Host] != nil {
			continue // twice in the list
		}
		e := before[t.Host]
		if e == nil {
			e = &entry{set: t.Host.Settings(), index: -1}
			e.target = t
			if e.inDoubt() {
				ill = append(ill, e)
			} else {
				well = append(well, e)
			}
		}
		e.target = t
		s.entries[t.Host] = e
	}
	for _, e := range append(ill, well...) {
		if e.set.Probe {
			e.due = s.soon(e)
			heap.Push(&s.queue, e)
		}
	}
	for h, e := range before {
		if s.entries[h] != nil {
			continue
		}
		e.dropped = true
		switch {
		case e.index >= 0:
			heap.Remove(&s.queue, e.index)
		case e.abort != nil:
			e.callOff()
		}
	}
}

// soon returns when to probe a host first, or first after a change. If that is
// asked for many hosts, together or one by one, their probes leave one after the
// other.
func (s *scheduler) soon(e *entry) int64 {
	n := len(s.entries)
	over := int64(min(e.set.Interval, spread))
	due := s.now() + over*int64(s.turn%n)/int64(n)
	s.turn++
	if e.started != 0 {
		due = max(due, e.started+int64(e.minGap()))
	}
	return due
}

// untilNext is how long the scheduler may sleep.
func (s *scheduler) untilNext() time.Duration {
	if len(s.queue) == 0 || s.inFlight >= s.maxInFlight {
		return time.Hour // something else wakes it
	}
	return time.Duration(max(s.queue[0].due-s.now(), 0))
}

// next is when the probe after the last one is to leave; random is from 0 to 1.
func (e *entry) next(random float64) int64 {
	gap := e.set.Interval
	if e.inDoubt() {
		if e.wanted {
			return e.started + int64(e.minGap())
		}
		gap = e.set.FastInterval
	}
	return e.started + int64(jittered(gap, random))
}

func (e *entry) inDoubt() bool {
	status := e.Host.Status()
	return status.InDoubt()
}

func (e *entry) minGap() time.Duration { return min(minGap, e.set.FastInterval) }

// callOff ends the probe in flight, without a result.
func (e *entry) callOff() {
	e.aborted = true
	e.abort()
}

// jittered returns d, more or less, so that hosts which were in step do not stay
// so.
func jittered(d time.Duration, random float64) time.Duration {
	return d + time.Duration((random*2-1)*catalog.ProbeJitter*float64(d))
}

// queue is a heap of entries by their due time, for container/heap.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.index = -1
	return e
}
