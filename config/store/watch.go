package store

import (
	"context"
	"sync"
)

// Watch implements Store. It begins at any of the last commits, up to 4,096 of
// them, that altogether changed up to about a hundred thousand numbers; none of
// before the store was opened. One whose f is slower than that for long gets
// ErrCompacted.
func (b *Bolt) Watch(ctx context.Context, after uint64, f func(Event) error) error {
	for {
		if err := b.goOn(ctx); err != nil {
			return err
		}
		e, grown, found := b.ring.next(after)
		switch {
		case found:
			if err := f(e); err != nil {
				return err
			}
			after = e.Revision
		case grown == nil:
			// It may have been seen by a reader before it came here.
			if err := b.take(ctx); err != nil {
				return err
			}
			b.leave()
			if _, grown, found := b.ring.next(after); !found && grown == nil {
				return ErrCompacted
			}
		default:
			select {
			case <-grown:
			case <-ctx.Done():
			case <-b.closing:
			}
		}
	}
}

// How much a ring holds.
const (
	ringEvents = 4096
	ringWeight = 32 << 20 // bytes, about
)

// ring is the last commits.
type ring struct {
	mu     sync.Mutex
	last   uint64  // the revision of the last commit
	events []Event // the last ones, in order
	weight int
	grown  chan struct{} // closed by the next commit
}

func (r *ring) begin(revision uint64) {
	r.last, r.grown = revision, make(chan struct{})
}

// add adds a commit that was made.
func (r *ring) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = e.Revision
	r.events = append(r.events, e)
	r.weight += e.weight()
	for len(r.events) > 1 && (len(r.events) > ringEvents || r.weight > ringWeight) {
		r.weight -= r.events[0].weight()
		r.events[0] = Event{}
		r.events = r.events[1:]
	}
	close(r.grown)
	r.grown = make(chan struct{})
}

// next returns the commit after a revision, or, if there is none yet, what is
// closed when there is. Neither means that there is no going on from there.
func (r *ring) next(after uint64) (e Event, grown <-chan struct{}, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	behind := r.last - after
	switch {
	case after > r.last || behind > uint64(len(r.events)):
		return Event{}, nil, false
	case behind == 0:
		return Event{}, r.grown, false
	}
	return r.events[uint64(len(r.events))-behind], nil, true
}

// weight is about how many bytes an event takes.
func (e Event) weight() int {
	return 1000 + 2000*(len(e.Change.Connectors)+len(e.Change.Groups)) + 300*len(e.Change.Numbers)
}
