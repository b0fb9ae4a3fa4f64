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

// entry is a target's place in the schedule. Only the scheduler touches it.
type entry struct {
	target
	due     int64 // when the next probe leaves
	started int64 // when the last one left; 0: none did
	index   int   // in the queue; -1 while a probe is in flight
	wanted  bool  // somebody asked for a probe while one was in flight
	dropped bool  // no target any more

	abort context.CancelFunc // ends the probe in flight, without a result
}

// scheduler decides when hosts are probed. It is one goroutine, and one more
// for each probe in flight.
type scheduler struct {
	*Prober
	set      *catalog.Health
	queue    queue // all entries without a probe in flight, the earliest first
	entries  map[*health.Host]*entry
	inFlight int
	landed   chan *entry // the entries whose probe is over
	flights  sync.WaitGroup
}

// schedule runs until ctx ends and all probes have.
func (p *Prober) schedule(ctx context.Context) {
	s := &scheduler{
		Prober:  p,
		set:     p.registry.Settings(),
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
	for s.set.Probe && len(s.queue) > 0 && s.queue[0].due <= now && s.inFlight < s.maxInFlight {
		e := heap.Pop(&s.queue).(*entry)
		e.index, e.started, e.wanted = -1, now, false
		s.inFlight++
		flying, abort := context.WithCancel(ctx)
		e.abort = abort
		t, timeout := e.target, s.set.Timeout
		s.flights.Go(func() {
			defer abort()
			s.fly(flying, &t, timeout)
			s.landed <- e // has room for all
		})
	}
}

// land puts an entry back whose probe is over.
func (s *scheduler) land(e *entry) {
	s.inFlight--
	if e.dropped {
		return
	}
	now := s.now()
	status := e.Host.Status()
	gap := s.set.Interval
	if status.InDoubt() {
		gap = s.set.FastInterval
	}
	gap = jittered(gap)
	if e.wanted && status.InDoubt() {
		gap = s.minGap()
	}
	e.due = max(e.started+int64(gap), now)
	heap.Push(&s.queue, e)
}

// hasten brings a host's next probe forward because somebody asked for it.
func (s *scheduler) hasten(h *health.Host) {
	e := s.entries[h]
	if e == nil {
		return
	}
	if e.index < 0 {
		e.wanted = true
		return
	}
	soon := s.now()
	if e.started != 0 {
		soon = max(soon, e.started+int64(s.minGap()))
	}
	if soon < e.due {
		e.due = soon
		heap.Fix(&s.queue, e.index)
	}
}

// configure takes notice of new settings: all hosts are probed soon.
func (s *scheduler) configure() {
	set := s.registry.Settings()
	if set == s.set {
		return
	}
	s.set = set
	s.stagger(s.queue)
	heap.Init(&s.queue)
}

// replace takes over new targets.
func (s *scheduler) replace() {
	s.mu.Lock()
	targets := s.targets
	s.mu.Unlock()

	before := s.entries
	s.entries = make(map[*health.Host]*entry, len(targets))
	var fresh []*entry
	for _, t := range targets {
		if s.entries[t.Host] != nil {
			continue // twice in the list
		}
		e := before[t.Host]
		if e == nil {
			e = &entry{}
			fresh = append(fresh, e)
		}
		e.target = t
		s.entries[t.Host] = e
	}
	s.stagger(fresh)
	for _, e := range fresh {
		heap.Push(&s.queue, e)
	}
	for h, e := range before {
		if s.entries[h] != nil {
			continue
		}
		e.dropped = true
		if e.index >= 0 {
			heap.Remove(&s.queue, e.index)
		} else {
			e.abort()
		}
	}
}

// stagger makes entries due soon, one after the other.
func (s *scheduler) stagger(entries []*entry) {
	now := s.now()
	over := min(s.set.Interval, spread)
	for i, e := range entries {
		e.due = now + int64(over)*int64(i)/int64(len(entries))
	}
}

// untilNext is how long the scheduler may sleep.
func (s *scheduler) untilNext() time.Duration {
	if len(s.queue) == 0 || !s.set.Probe || s.inFlight >= s.maxInFlight {
		return time.Hour // something else wakes it
	}
	return time.Duration(max(s.queue[0].due-s.now(), 0))
}

func (s *scheduler) minGap() time.Duration { return min(minGap, s.set.FastInterval) }

// jittered returns d, more or less, so that hosts which were in step do not stay
// so.
func jittered(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*health.Jitter*float64(d))
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
	return e
}
