package router

// simQueue holds what is going to happen, ordered by time; what is due at one
// moment happens in the order in which it was put in.
type simQueue struct {
	events []simEvent
	puts   uint64
}

type simEvent struct {
	at  int64
	put uint64
	do  func()
}

func (a *simEvent) before(b *simEvent) bool { return a.at < b.at || a.at == b.at && a.put < b.put }

func (q *simQueue) put(at int64, do func()) {
	q.puts++
	q.events = append(q.events, simEvent{at, q.puts, do})
	es := q.events
	for i := len(es) - 1; i > 0; {
		parent := (i - 1) / 2
		if !es[i].before(&es[parent]) {
			return
		}
		es[i], es[parent] = es[parent], es[i]
		i = parent
	}
}

// next is when the first event is due; never when there is none.
func (q *simQueue) next() int64 {
	if len(q.events) == 0 {
		return never
	}
	return q.events[0].at
}

func (q *simQueue) take() simEvent {
	es := q.events
	first, last := es[0], len(es)-1
	es[0], es[last] = es[last], simEvent{}
	es = es[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < last && es[child+1].before(&es[child]) {
			child++
		}
		if child >= last || !es[child].before(&es[i]) {
			break
		}
		es[i], es[child] = es[child], es[i]
		i = child
	}
	q.events = es
	return first
}
