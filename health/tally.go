package health

import (
	"sync/atomic"
	"time"
)

const (
	// tallyOver is the time over which the outcomes of calls are shown.
	tallyOver = time.Minute

	// tallyGap is the time between two marks; there is one more than the marks
	// of tallyOver, so that one of them is always old enough.
	tallyGap   = 10 * time.Second
	tallyMarks = int(tallyOver/tallyGap) + 2
)

// Calls is what became of calls to a host, as far as it was told of them.
type Calls struct {
	Answered uint64
	Failed   uint64
	// Over is the time that they are of: about a minute while the host is
	// probed or this is asked often; 0 is all that there were.
	Over time.Duration
}

// tally counts the outcomes of calls. The counts only grow, so that an outcome
// costs one addition; what they were a while ago is marked now and then.
type tally struct {
	answered, failed atomic.Uint64

	marks [tallyMarks]mark // a ring; guarded by the host's lock
	n     int              // of all marks that there ever were
}

type mark struct {
	at               int64
	answered, failed uint64
}

func (t *tally) count(e Event) {
	switch {
	case e == CallAnswered:
		t.answered.Add(1)
	case e.fails():
		t.failed.Add(1)
	}
}

// mark remembers the counts, if it is time to.
func (t *tally) mark(now int64) {
	if t.n > 0 && now-t.marks[(t.n-1)%tallyMarks].at < int64(tallyGap) {
		return
	}
	t.marks[t.n%tallyMarks] = mark{now, t.answered.Load(), t.failed.Load()}
	t.n++
}

// last returns the counts since the youngest mark that is as old as tallyOver,
// or since the oldest one.
func (t *tally) last(now int64) Calls {
	t.mark(now)
	calls := Calls{Answered: t.answered.Load(), Failed: t.failed.Load()}
	for i := t.n - 1; i >= max(0, t.n-tallyMarks); i-- {
		m := t.marks[i%tallyMarks]
		if age := now - m.at; age >= int64(tallyOver) || i > 0 && i == t.n-tallyMarks {
			return Calls{calls.Answered - m.answered, calls.Failed - m.failed, time.Duration(age)}
		}
	}
	return calls
}
